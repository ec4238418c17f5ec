//! Records made to hurt, and any record at all.

use policy::{
    dns::{Answer, Kind, Name},
    spf::{Check, Outcome, Poll, Problem, QUESTIONS_MAX, RECORD_OCTETS_MAX, Record, Subject, received_spf},
};
use proptest::prelude::*;

use super::zone::{Entry, Zone, expect, play, subject};

#[test]
fn ten_thousand_terms_are_read_and_used() {
    let many = format!("example.net TXT v=spf1 {}ip4:192.0.2.1 -all", "x=y ".repeat(10_000));
    expect(&many, "192.0.2.1", Outcome::Pass);
    let many = format!("example.net TXT v=spf1 {} -all", "a".repeat(60_000));
    expect(&many, "192.0.2.1", Outcome::PermError);
    let many = format!("example.net TXT v=spf1 {} -all", "a ".repeat(30_000));
    let verdict = expect(&many, "192.0.2.1", Outcome::PermError);
    assert_eq!(verdict.problem, Some(Problem::VoidLookups));
}

#[test]
fn a_record_of_64_kib_is_the_greatest() {
    let filler = RECORD_OCTETS_MAX - "v=spf1 +all".len();
    let record = format!("v=spf1{} +all", " ".repeat(filler));
    assert_eq!(record.len(), RECORD_OCTETS_MAX);
    expect(&format!("example.net TXT {record}"), "192.0.2.1", Outcome::Pass);
    let verdict = expect(&format!("example.net TXT {}", record.replace(" +", "  +")), "192.0.2.1", Outcome::PermError);
    assert_eq!(verdict.problem, Some(Problem::TooLong));
}

#[test]
fn open_records_share_one_bound() {
    let filler = " ".repeat(RECORD_OCTETS_MAX / 3);
    let mut zone = Zone::default();
    for number in 0..9 {
        let domain = if number == 0 { "example.net".to_owned() } else { format!("d{number}.example") };
        let record = format!("v=spf1{filler} include:d{}.example", number + 1);
        zone.add(&domain, Entry::Txt(record.into_bytes()));
    }
    let (asked, verdict) = play(&zone, Check::new(&subject("192.0.2.1")));
    assert_eq!((verdict.outcome, verdict.problem), (Outcome::PermError, Some(Problem::TooLong)));
    assert_eq!(asked.len(), 3);
    // One after the other is another thing: they are let go.
    let one = format!("v=spf1{filler} -all");
    let mut zone = Zone::new(
        "example.net TXT v=spf1 include:a.example include:b.example include:c.example include:d.example +all",
    );
    for domain in ["a.example", "b.example", "c.example", "d.example"] {
        zone.add(domain, Entry::Txt(one.clone().into_bytes()));
    }
    assert_eq!(play(&zone, Check::new(&subject("192.0.2.1"))).1.outcome, Outcome::Pass);
}

#[test]
fn macros_by_the_thousand_make_short_names() {
    let record = format!("v=spf1 exists:{}.example -all", "%{s}".repeat(15_000));
    let (asked, verdict) = play(&Zone::new(&format!("example.net TXT {record}")), Check::new(&subject("192.0.2.1")));
    assert_eq!(verdict.outcome, Outcome::Fail);
    assert!(asked.iter().all(|question| question.name.as_str().len() <= 253), "{asked:?}");
}

#[test]
fn other_txt_records_are_nobody_s_business() {
    let mut zone = Zone::new("example.net TXT v=spf1 -all");
    for other in
        [&b"\xff\xfe"[..], b"", b"v=spf2.0/pra -all", b"v=spf1-all", b"v=spf10 -all", b"V=SPF", b" v=spf1 -all"]
    {
        zone.add("example.net", Entry::Txt(other.to_vec()));
    }
    assert_eq!(play(&zone, Check::new(&subject("192.0.2.1"))).1.outcome, Outcome::Fail);
    zone.add("example.net", Entry::Txt(b"V=SPF1".to_vec()));
    assert!(matches!(play(&zone, Check::new(&subject("192.0.2.1"))).1.problem, Some(Problem::SeveralRecords(_))));
}

/// Texts that look like records, with pieces of the grammar and some dirt.
fn record() -> impl Strategy<Value = String> {
    let term = prop_oneof![
        "[+?~-]?(all|a|mx|ptr|include|exists|ip4|ip6|redirect|exp|foo)",
        "[+?~-]?(a|mx|ptr|include|exists):[a-z0-9.%{}_/-]{0,20}",
        "(include|exists|a|mx|ptr|redirect|exp|x)[:=](%\\{[slodipvhcrtSLODIPVHCRTx][0-9]{0,3}r?[.+,/_=-]{0,3}\\}|[a-z]\\.|%[%_-]){1,4}(example\\.net)?",
        "(a|mx)(:b\\.example)?(/[0-9]{1,3})?(//?[0-9]{1,3})?",
        "ip4:[0-9]{1,3}\\.[0-9]{1,3}\\.0\\.1(/[0-9]{1,2})?",
        "ip6:[0-9a-f:]{2,12}(/[0-9]{1,3})?",
        "\\PC{0,10}",
    ];
    proptest::collection::vec(term, 0..12).prop_map(|terms| format!("v=spf1 {}", terms.join(" ")))
}

/// An answer without rhyme or reason, chosen by a number.
fn answer(kind: Kind, number: u8, record: &str) -> Answer {
    let name = |text: &str| Name::parse(text).unwrap();
    match (number % 8, kind) {
        (0, _) => Answer::NoName,
        (1, _) => Answer::NoData,
        (2, _) if number > 128 => Answer::Failed,
        (3, Kind::Txt) => Answer::Txt(vec![b"v=spf1 -all".to_vec()]),
        (_, Kind::Txt) => Answer::Txt(vec![record.as_bytes().to_vec()]),
        (_, Kind::A) => Answer::A(vec![[192, 0, 2, number].into()]),
        (_, Kind::Aaaa) => Answer::Aaaa(vec![std::net::Ipv6Addr::from(u128::from(number))]),
        (_, Kind::Mx) => Answer::Mx(vec![(1, name("mx.example")), (2, name("b.example"))]),
        (_, Kind::Ptr) => Answer::Ptr(vec![name("a.example.net"), name("b.example")]),
    }
}

proptest! {
    #[test]
    fn what_is_read_prints_to_the_same(text in record()) {
        if let Ok(record) = Record::parse(text.as_bytes()) {
            let printed = record.to_string();
            prop_assert_eq!(Record::parse(printed.as_bytes()), Ok(record), "{}", printed);
        }
    }

    #[test]
    fn any_octets_are_a_record_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _either = Record::parse(&octets);
        let _either = Record::parse(&[b"v=spf1 ", octets.as_slice()].concat());
    }

    #[test]
    fn any_check_ends_within_its_bound(
        text in record(),
        answers in proptest::collection::vec(any::<u8>(), QUESTIONS_MAX),
        helo in "\\PC{0,40}",
        local_part in "\\PC{0,40}",
        v6 in any::<bool>(),
    ) {
        let mail_from = format!("{local_part}@example.net");
        let address = if v6 { "2001:db8::1" } else { "192.0.2.1" };
        let subject = Subject { helo: &helo, mail_from: &mail_from, ..subject(address) };
        let mut check = Check::new(&subject);
        let mut numbers = answers.into_iter();
        let verdict = loop {
            match check.poll() {
                Poll::Ask(question) => {
                    let number = numbers.next().expect("fewer questions than the bound");
                    prop_assert!(question.name.as_str().len() <= 253);
                    check.answer(answer(question.kind, number, &text));
                }
                Poll::Done(verdict) => break verdict,
            }
        };
        let is_error = matches!(verdict.outcome, Outcome::None | Outcome::TempError | Outcome::PermError);
        prop_assert_eq!(verdict.problem.is_some(), is_error);
        let field = received_spf(&subject, &verdict);
        prop_assert!(super::received::is_well_formed(&field), "{}", field);
    }
}
