//! RFC 7208 §4.6.4 and attack E7: no record makes us ask more than it may.

use policy::spf::{CLIENT_NAMES_MAX, Check, MX_HOSTS_MAX, Outcome, Problem, QUESTIONS_MAX};

use super::zone::{Entry, Zone, expect, play, subject};

#[test]
fn ten_terms_that_ask_are_allowed_and_eleven_are_not() {
    let zone = |terms: usize, tail: &str| {
        format!("example.net TXT v=spf1 {}{tail}\n h.example A 198.51.100.1", "a:h.example ".repeat(terms))
    };
    expect(&zone(10, "ip4:192.0.2.1 -all"), "192.0.2.1", Outcome::Pass);
    let verdict = expect(&zone(11, "ip4:192.0.2.1 -all"), "192.0.2.1", Outcome::PermError);
    assert_eq!(verdict.problem, Some(Problem::Lookups));
    assert_eq!(verdict.mechanism, None);
    // What is not reached is not counted.
    expect(&zone(11, "-all"), "198.51.100.1", Outcome::Pass);
    // all, ip4, ip6 and modifiers are free.
    expect(
        &format!("example.net TXT v=spf1 {}-all", "ip4:192.0.2.2 ip6:2001:db8::/32 x=y ".repeat(100)),
        "192.0.2.1",
        Outcome::Fail,
    );
}

#[test]
fn every_kind_of_term_counts_wherever_it_stands() {
    let zone = "example.net TXT v=spf1 a:h.example mx:h.example ptr:h.example exists:six.example include:two.example redirect=three.example
        two.example TXT v=spf1 a:h.example a:h.example
        three.example TXT v=spf1 a:h.example a:h.example ip4:192.0.2.1
        h.example A 198.51.100.1\n h.example MX h.example\n six.example AAAA 2001:db8::6
        1.2.0.192.in-addr.arpa PTR c.example";
    expect(zone, "192.0.2.1", Outcome::Pass);
    let one_more = zone.replace("v=spf1 a:h.example a:h.example ip4", "v=spf1 a:h.example a:h.example a:h.example ip4");
    let verdict = expect(&one_more, "192.0.2.1", Outcome::PermError);
    assert_eq!(verdict.problem, Some(Problem::Lookups));
}

#[test]
fn loops_end() {
    for zone in [
        "example.net TXT v=spf1 include:example.net -all",
        "example.net TXT v=spf1 redirect=example.net",
        "example.net TXT v=spf1 include:other.example -all\n other.example TXT v=spf1 include:example.net -all",
        "example.net TXT v=spf1 include:other.example\n other.example TXT v=spf1 redirect=example.net",
    ] {
        let (asked, verdict) = play(&Zone::new(zone), Check::new(&subject("192.0.2.1")));
        assert_eq!((verdict.outcome, verdict.problem), (Outcome::PermError, Some(Problem::Lookups)), "{zone}");
        assert_eq!(asked.len(), 11, "{zone}");
    }
}

#[test]
fn two_void_lookups_are_allowed_and_three_are_not() {
    let zone = |terms: &str| format!("example.net TXT v=spf1 {terms} ip4:192.0.2.1 -all\n empty.example TXT nothing");
    expect(&zone("a:no.example exists:empty.example"), "192.0.2.1", Outcome::Pass);
    for third in ["a:no.example", "mx:no.example", "exists:empty.example", "ptr", "exists:%{p}.example"] {
        let verdict = expect(&zone(&format!("a:no.example a:empty.example {third}")), "192.0.2.1", Outcome::PermError);
        assert_eq!(verdict.problem, Some(Problem::VoidLookups), "{third}");
    }
}

#[test]
fn exchangers_that_do_not_exist_are_void_but_those_of_the_other_family_are_not() {
    let zone = "example.net TXT v=spf1 mx ip4:192.0.2.1 ip6:2001:db8::1
        example.net MX a.example\n example.net MX b.example\n example.net MX c.example";
    let verdict = expect(zone, "192.0.2.1", Outcome::PermError);
    assert_eq!(verdict.problem, Some(Problem::VoidLookups));
    let zone = format!("{zone}\n a.example A 198.51.100.1\n b.example A 198.51.100.2\n c.example A 198.51.100.3");
    expect(&zone, "2001:db8::1", Outcome::Pass);
}

#[test]
fn ten_exchangers_are_allowed_and_eleven_are_not() {
    let zone = |hosts: usize| {
        let mut zone = Zone::new("example.net TXT v=spf1 mx -all");
        for number in 0..hosts {
            zone.add("example.net", Entry::Mx(10, format!("mx{number}.example")));
            zone.add(&format!("mx{number}.example"), Entry::A([192, 0, 2, u8::try_from(number).unwrap()].into()));
        }
        zone
    };
    let (asked, verdict) = play(&zone(MX_HOSTS_MAX), Check::new(&subject("192.0.2.9")));
    assert_eq!((verdict.outcome, asked.len()), (Outcome::Pass, 12));
    let (asked, verdict) = play(&zone(MX_HOSTS_MAX + 1), Check::new(&subject("192.0.2.0")));
    assert_eq!((verdict.outcome, asked.len()), (Outcome::PermError, 2), "no host is asked for");
    assert_eq!(verdict.problem, Some(Problem::MxHosts(verdict.domain.unwrap())));
}

#[test]
fn exchangers_are_asked_in_their_order() {
    let mut zone = Zone::new("example.net TXT v=spf1 mx -all\n b.example A 198.51.100.1\n a.example A 192.0.2.1");
    zone.add("example.net", Entry::Mx(20, "b.example".into()));
    zone.add("example.net", Entry::Mx(10, "a.example".into()));
    let (asked, verdict) = play(&zone, Check::new(&subject("192.0.2.1")));
    assert_eq!((verdict.outcome, asked.len()), (Outcome::Pass, 3));
}

#[test]
fn only_the_first_ten_names_of_a_client_count_and_they_are_asked_for_once() {
    let zone = |names: usize| {
        let mut zone = Zone::new(
            "example.net TXT v=spf1 ptr ptr exists:%{p}.a.example exists:%{p}.b.example ptr:example.net -all\n
            unknown.a.example A 127.0.0.2",
        );
        for number in 0..names {
            zone.add("1.2.0.192.in-addr.arpa", Entry::Ptr(format!("h{number}.example.net")));
        }
        zone.add(&format!("h{}.example.net", names - 1), Entry::A([192, 0, 2, 1].into()));
        zone
    };
    let (asked, verdict) = play(&zone(CLIENT_NAMES_MAX), Check::new(&subject("192.0.2.1")));
    assert_eq!((verdict.outcome, asked.len()), (Outcome::Pass, 12));
    let (asked, verdict) = play(&zone(CLIENT_NAMES_MAX + 1), Check::new(&subject("192.0.2.1")));
    assert_eq!(verdict.mechanism.as_deref(), Some("exists:%{p}.a.example"), "no name is valid");
    assert_eq!(asked.len(), 13);
}

/// The greatest crowd of questions that a record can call up.
#[test]
fn the_worst_record_stays_within_the_bound() {
    let mut zone = Zone::new("example.net TXT v=spf1 mx mx mx mx mx mx mx mx mx mx -all exp=%{p}.why.example");
    for number in 0..10 {
        zone.add("example.net", Entry::Mx(10, format!("mx{number}.example")));
        zone.add(&format!("mx{number}.example"), Entry::A([198, 51, 100, 1].into()));
        zone.add("1.2.0.192.in-addr.arpa", Entry::Ptr(format!("c{number}.example")));
    }
    zone.add("unknown.why.example", Entry::Txt(b"enough".to_vec()));
    let (asked, verdict) = play(&zone, Check::new(&subject("192.0.2.1")));
    assert_eq!(verdict.explanation.as_deref(), Some("enough"));
    assert_eq!(asked.len(), QUESTIONS_MAX);
}
