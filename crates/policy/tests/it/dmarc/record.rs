//! The record: RFC 9989 §4.7 and §4.8, and what people publish instead.

use policy::dmarc::{Alignment, FailureReports, Policy, Psd, Record, RecordError, Testing};
use proptest::prelude::*;

fn read(text: &str) -> Record {
    Record::parse(text.as_bytes()).unwrap()
}

#[test]
fn every_tag_is_read() {
    let text = "v=DMARC1; p=quarantine; sp=none; np=reject; adkim=s; aspf=s; rua=mailto:a@x.example,https://y.example/r; \
                ruf=mailto:f@x.example; fo=0:1:d:s; t=y; psd=n";
    let record = read(text);
    assert_eq!(
        record,
        Record {
            policy: Some(Policy::Quarantine),
            subdomains: Some(Policy::None),
            nonexistent: Some(Policy::Reject),
            dkim: Alignment::Strict,
            spf: Alignment::Strict,
            failures: FailureReports { none_passed: true, any_failed: true, dkim: true, spf: true },
            aggregate_to: vec!["mailto:a@x.example".into(), "https://y.example/r".into()],
            failures_to: vec!["mailto:f@x.example".into()],
            testing: Testing::Yes,
            psd: Psd::No,
        }
    );
    assert_eq!(record.to_string(), text);
    assert_eq!(read("v=DMARC1; p=reject"), Record::new(Policy::Reject));
}

#[test]
fn the_version_stands_first_and_matches_to_the_letter() {
    for text in ["v=DMARC1;p=none", "v=DMARC1 ; p = none ;", "v\t= DMARC1; p=none;;", "V=DMARC1;p=none;"] {
        assert_eq!(Record::parse(text.as_bytes()), Ok(Record::new(Policy::None)), "{text}");
    }
    for text in [
        "",
        "v=dmarc1; p=none",
        "v=DMARC2; p=none",
        "v=DMARC1p=none",
        "p=none; v=DMARC1",
        " v=DMARC1; p=none",
        ";v=DMARC1",
        "v=DMARC1 p=none",
        "v=spf1 -all",
        "v=DMARC10; p=none",
        "\"v=DMARC1; p=none\"",
        "v=DMARC1\0; p=none",
        "v",
    ] {
        assert_eq!(Record::parse(text.as_bytes()), Err(RecordError::Version), "{text:?}");
    }
}

#[test]
fn what_is_unknown_or_wrong_is_skipped() {
    let reject = Record::new(Policy::Reject);
    for text in [
        "v=DMARC1; p=reject; pct=10; rf=afrf; ri=86400",
        "v=DMARC1; p=REJECT",
        "v=DMARC1; x=y; p=reject",
        "v=DMARC1; p=reject; p=none",
        "v=DMARC1; p=reject; nonsense; =; a=",
        "v=DMARC1; p=reject; adkim=x; aspf=; t=maybe; psd=perhaps; fo=9:z",
        "v=DMARC1; p=reject; adkim=\u{fc}",
        "v=DMARC1; p=reject; rua=nobody@x.example,mailto:,mailto:x,://y,1a:b",
        "v=DMARC1; p=reject; v=DMARC2",
    ] {
        assert_eq!(read(text), reject, "{text}");
    }
    assert_eq!(Record::parse(b"v=DMARC1; p=reject; rua=mailto:\xff@x.example; t=y").unwrap().testing, Testing::Yes);
    // RFC 9989 §4.8: the size is obsolete.
    assert_eq!(read("v=DMARC1; p=none; rua=mailto:a@x.example!10m").aggregate_to, ["mailto:a@x.example"]);
}

#[test]
fn without_a_right_policy_reports_make_it_none_and_nothing_makes_it_void() {
    let check = |text: &str, expect: Option<Policy>| {
        let record = read(text);
        assert_eq!((record.policy, record.subdomains, record.nonexistent), (expect, None, None), "{text}");
        assert_eq!(record.for_nonexistent(), expect, "{text}");
    };
    for wrong in [
        "",
        "; p=",
        "; p=maybe",
        "; sp=reject",
        "; p=reject; sp=maybe",
        "; p=reject; sp=reject; np=no",
        "; p=no; sp=reject",
    ] {
        check(&format!("v=DMARC1{wrong}"), None);
        check(&format!("v=DMARC1{wrong}; rua=somewhere"), None);
        check(&format!("v=DMARC1{wrong}; ruf=mailto:a@x.example"), None);
        check(&format!("v=DMARC1{wrong}; rua=mailto:a@x.example"), Some(Policy::None));
    }
}

#[test]
fn policies_fall_back_from_np_to_sp_to_p() {
    let check = |text: &str, subdomains, nonexistent| {
        let record = read(text);
        assert_eq!(
            (record.for_subdomains(), record.for_nonexistent()),
            (Some(subdomains), Some(nonexistent)),
            "{text}"
        );
    };
    check("v=DMARC1; p=reject", Policy::Reject, Policy::Reject);
    check("v=DMARC1; p=reject; sp=none", Policy::None, Policy::None);
    check("v=DMARC1; p=none; np=reject", Policy::None, Policy::Reject);
    check("v=DMARC1; p=none; sp=quarantine; np=reject", Policy::Quarantine, Policy::Reject);
}

#[test]
fn hostile_sizes_are_bounded() {
    let text = format!("v=DMARC1; p=none; rua={}", "mailto:a@x.example,".repeat(50_000));
    assert_eq!(read(&text).aggregate_to.len(), 10);
    let text = format!("v=DMARC1; p=none; rua=mailto:{}@x.example", "a".repeat(1 << 20));
    assert_eq!(read(&text).aggregate_to.len(), 0);
    assert_eq!(read(&format!("v=DMARC1{}; p=none", ";x=y".repeat(1 << 18))), Record::new(Policy::None));
}

proptest! {
    #[test]
    fn any_octets_are_read(text: Vec<u8>) {
        let _either = Record::parse(&text);
        let _either = Record::parse(&[b"v=DMARC1;", &text[..]].concat());
    }

    #[test]
    fn what_is_printed_reads_the_same(tags in "(; ?(p|sp|np|adkim|aspf|rua|ruf|fo|t|psd|x) ?= ?(none|reject|quarantine|r|s|y|n|u|0:d|mailto:a@b.example, mailto:c@d!1m|q)){0,8}") {
        let record = read(&format!("v=DMARC1{tags}"));
        prop_assert_eq!(Record::parse(record.to_string().as_bytes()), Ok(record));
    }
}
