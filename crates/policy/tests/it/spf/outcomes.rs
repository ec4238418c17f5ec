//! What the suite does not look at: what a verdict says beside its outcome, identities, names of other scripts, failures.

use policy::{
    dns::{Answer, Kind},
    spf::{Check, Identity, Outcome, Poll, Problem, Subject},
};

use super::zone::{Zone, expect, play, subject};

#[test]
fn the_mechanism_that_decided_and_whose_it_is() {
    let zone = "example.net TXT v=spf1 a:nowhere.example.net include:allowed.example -ip4:198.51.100.0/24 redirect=last.example
        allowed.example TXT v=spf1 ip4:192.0.2.0/24 -all
        last.example TXT v=spf1 exists:%{i}.list.example ?ip6:2001:db8::/32
        203.0.113.5.list.example A 127.0.0.2";
    let check = |address, outcome, mechanism: Option<&str>, domain: &str| {
        let verdict = expect(zone, address, outcome);
        assert_eq!(verdict.mechanism.as_deref(), mechanism, "{address}");
        assert_eq!(verdict.decided_by.unwrap().as_str(), domain, "{address}");
        assert_eq!(verdict.domain.unwrap().as_str(), "example.net");
        assert_eq!(verdict.problem, None);
    };
    check("192.0.2.77", Outcome::Pass, Some("include:allowed.example"), "example.net");
    check("198.51.100.1", Outcome::Fail, Some("ip4:198.51.100.0/24"), "example.net");
    check("203.0.113.5", Outcome::Pass, Some("exists:%{i}.list.example"), "last.example");
    check("2001:db8::1", Outcome::Neutral, Some("ip6:2001:db8::/32"), "last.example");
    check("203.0.113.6", Outcome::Neutral, None, "last.example");
}

#[test]
fn the_null_reverse_path_is_judged_by_the_helo_name() {
    let zone = Zone::new(
        "mail.example.net TXT v=spf1 exists:%{l}.at.%{o} -all
        postmaster.at.mail.example.net A 127.0.0.2
        example.net TXT v=spf1 -all",
    );
    let null = Subject { mail_from: "", ..subject("192.0.2.1") };
    let (_, verdict) = play(&zone, Check::new(&null));
    assert_eq!((verdict.outcome, verdict.identity), (Outcome::Pass, Identity::Helo));
    let (_, verdict) = play(&zone, Check::helo(&subject("192.0.2.1")));
    assert_eq!((verdict.outcome, verdict.identity), (Outcome::Pass, Identity::Helo));
    let (_, verdict) = play(&zone, Check::new(&subject("192.0.2.1")));
    assert_eq!((verdict.outcome, verdict.identity), (Outcome::Fail, Identity::MailFrom));
}

#[test]
fn without_a_domain_nothing_is_asked() {
    let long = format!("a@{}", "b".repeat(5_000));
    for mail_from in
        ["a@localhost", "a@[192.0.2.1]", "a@192.0.2.1", "a@", "a@b..example", "a@b c.example", "a@\u{7f}", &long]
    {
        let check = Check::new(&Subject { mail_from, ..subject("192.0.2.1") });
        let Poll::Done(verdict) = check.poll() else { panic!("{mail_from} is asked for") };
        assert_eq!((verdict.outcome, verdict.problem), (Outcome::None, Some(Problem::NoDomain)), "{mail_from}");
        assert_eq!(verdict.domain, None);
    }
}

#[test]
fn names_of_other_scripts_are_asked_for_as_a_labels() {
    let zone = Zone::new(
        "xn--bcher-kva.example TXT v=spf1 exists:%{l}.x.example exists:%{o}.y.example -all
        xn--bcher-kva.example.y.example A 127.0.0.2",
    );
    let (asked, verdict) =
        play(&zone, Check::new(&Subject { mail_from: "\u{fc}@B\u{fc}cher.example", ..subject("192.0.2.1") }));
    assert_eq!(verdict.outcome, Outcome::Pass);
    assert_eq!(verdict.domain.unwrap().as_str(), "xn--bcher-kva.example");
    assert_eq!(asked.len(), 2, "a local part that is not ASCII makes no name: {asked:?}");
}

#[test]
fn a_failure_of_the_dns_is_a_temperror_where_it_decides() {
    expect("example.net TIMEOUT", "192.0.2.1", Outcome::TempError);
    for term in [
        "a:down.example",
        "mx:down.example",
        "mx:mx.example",
        "exists:down.example",
        "include:down.example",
        "redirect=down.example",
    ] {
        let zone = format!("example.net TXT v=spf1 {term}\n down.example TIMEOUT\n mx.example MX down.example");
        let verdict = expect(&zone, "192.0.2.1", Outcome::TempError);
        let Some(Problem::Dns(question)) = verdict.problem else { panic!("{verdict:?}") };
        assert_eq!(question.name.as_str(), "down.example");
    }
    // RFC 7208 §5.5: but not in ptr.
    let zone = "example.net TXT v=spf1 ptr ~all\n 1.2.0.192.in-addr.arpa TIMEOUT";
    expect(zone, "192.0.2.1", Outcome::SoftFail);
    let zone = "example.net TXT v=spf1 ptr ~all
        1.2.0.192.in-addr.arpa PTR a.example.net\n 1.2.0.192.in-addr.arpa PTR b.example.net
        a.example.net TIMEOUT\n b.example.net A 192.0.2.1";
    expect(zone, "192.0.2.1", Outcome::Pass);
}

#[test]
fn time_that_is_over_ends_in_temperror_but_a_fail_stays_one() {
    let mut check = Check::new(&subject("192.0.2.1"));
    check.expire();
    let Poll::Done(verdict) = check.poll() else { panic!() };
    assert_eq!((verdict.outcome, verdict.problem), (Outcome::TempError, Some(Problem::Expired)));
    check.answer(Answer::Txt(vec![b"v=spf1 +all".to_vec()]));
    check.expire();
    let Poll::Done(verdict) = check.poll() else { panic!() };
    assert_eq!(verdict.outcome, Outcome::TempError, "a late answer changes nothing");

    let mut check = Check::new(&subject("192.0.2.1"));
    check.answer(Answer::Txt(vec![b"v=spf1 -all exp=why.example".to_vec()]));
    assert!(matches!(check.poll(), Poll::Ask(_)), "the explanation");
    check.expire();
    let Poll::Done(verdict) = check.poll() else { panic!() };
    assert_eq!((verdict.outcome, verdict.problem), (Outcome::Fail, None));
}

#[test]
fn records_of_another_kind_are_none() {
    let mut check = Check::new(&subject("192.0.2.1"));
    check.answer(Answer::Txt(vec![b"v=spf1 a -all".to_vec()]));
    let Poll::Ask(question) = check.poll() else { panic!() };
    assert_eq!(question.kind, Kind::A);
    check.answer(Answer::Txt(vec![b"192.0.2.1".to_vec()]));
    let Poll::Done(verdict) = check.poll() else { panic!() };
    assert_eq!(verdict.outcome, Outcome::Fail);
}

#[test]
fn an_ipv4_address_in_an_ipv6_coat_is_one() {
    expect("example.net TXT v=spf1 ip4:192.0.2.1 -all", "::ffff:192.0.2.1", Outcome::Pass);
    expect("example.net TXT v=spf1 ip6:::/0 ?all", "::ffff:192.0.2.1", Outcome::Neutral);
}

#[test]
fn include_in_include_and_redirect_in_include() {
    let zone = "example.net TXT v=spf1 -include:a.example ~all
        a.example TXT v=spf1 ?include:b.example +include:c.example -all
        b.example TXT v=spf1 ip4:192.0.2.1
        c.example TXT v=spf1 redirect=d.example
        d.example TXT v=spf1 ip4:192.0.2.2 ~all";
    // b passes, so a is neutral, so it is no match in the first record.
    expect(zone, "192.0.2.1", Outcome::SoftFail);
    // d passes for c, so a passes, so the first record's qualifier decides.
    let verdict = expect(zone, "192.0.2.2", Outcome::Fail);
    assert_eq!(verdict.mechanism.as_deref(), Some("include:a.example"));
    expect(zone, "192.0.2.3", Outcome::SoftFail);
}
