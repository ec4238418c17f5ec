//! iprev: RFC 8601 §3.

use std::net::IpAddr;

use policy::{
    dns::{Answer, Kind, Name},
    iprev::{Check, Outcome, Poll},
};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Runs a check; answers by name, and what was asked.
fn run(address: &str, answers: &[(&str, Answer)]) -> (Outcome, Vec<String>) {
    let mut check = Check::new(address.parse().unwrap());
    let mut asked = Vec::new();
    loop {
        match check.poll() {
            Poll::Done(outcome) => {
                check.answer(Answer::NoData);
                assert_eq!(check.poll(), Poll::Done(outcome.clone()), "a result stays");
                return (outcome, asked);
            }
            Poll::Ask(question) => {
                let known = answers.iter().find(|(name, _)| *name == question.name.as_str());
                check.answer(known.map_or(Answer::NoName, |(_, answer)| answer.clone()));
                let kind = match question.kind {
                    Kind::Ptr => "PTR",
                    Kind::A => "A",
                    Kind::Aaaa => "AAAA",
                    _ => panic!("{question:?}"),
                };
                asked.push(format!("{kind} {}", question.name));
            }
        }
    }
}

fn ptr(names: &[&str]) -> Answer {
    Answer::Ptr(names.iter().map(|text| name(text)).collect())
}

fn a(addresses: &[&str]) -> Answer {
    Answer::A(addresses.iter().map(|address| address.parse().unwrap()).collect())
}

const ARPA: &str = "1.2.0.192.in-addr.arpa";

#[test]
fn a_name_that_leads_back_passes() {
    let answers =
        [(ARPA, ptr(&["x.example", "mx.example", "y.example"])), ("mx.example", a(&["192.0.2.9", "192.0.2.1"]))];
    let expect = ["PTR 1.2.0.192.in-addr.arpa", "A x.example", "A mx.example"].map(str::to_owned).to_vec();
    assert_eq!(run("192.0.2.1", &answers), (Outcome::Pass(name("mx.example")), expect.clone()));
    assert_eq!(run("::ffff:192.0.2.1", &answers), (Outcome::Pass(name("mx.example")), expect));
    let arpa = "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    let answers =
        [(arpa, ptr(&["mx.example"])), ("mx.example", Answer::Aaaa(vec!["2001:db8::567:89ab".parse().unwrap()]))];
    let (outcome, asked) = run("2001:db8::567:89ab", &answers);
    assert_eq!((outcome, asked.last().unwrap().as_str()), (Outcome::Pass(name("mx.example")), "AAAA mx.example"));
}

#[test]
fn what_does_not_pass() {
    let outcome = |answers: &[(&str, Answer)]| run("192.0.2.1", answers).0;
    assert_eq!(outcome(&[]), Outcome::PermError);
    assert_eq!(outcome(&[(ARPA, Answer::NoData)]), Outcome::PermError);
    assert_eq!(outcome(&[(ARPA, ptr(&[]))]), Outcome::PermError);
    assert_eq!(outcome(&[(ARPA, a(&["192.0.2.1"]))]), Outcome::PermError);
    assert_eq!(outcome(&[(ARPA, Answer::Failed)]), Outcome::TempError);
    let names = || (ARPA, ptr(&["x.example", "y.example"]));
    assert_eq!(outcome(&[names()]), Outcome::Fail);
    assert_eq!(outcome(&[names(), ("x.example", a(&["192.0.2.2"]))]), Outcome::Fail);
    assert_eq!(outcome(&[names(), ("x.example", Answer::Failed)]), Outcome::TempError);
    let passes = [names(), ("x.example", Answer::Failed), ("y.example", a(&["192.0.2.1"]))];
    assert_eq!(outcome(&passes), Outcome::Pass(name("y.example")));
    // The wrong family of addresses.
    let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    let IpAddr::V6(mapped) = mapped else { panic!() };
    assert_eq!(outcome(&[names(), ("x.example", Answer::Aaaa(vec![mapped]))]), Outcome::Fail);
}

#[test]
fn no_more_than_ten_names_are_asked() {
    let names: Vec<String> = (0..10_000).map(|number| format!("n{number}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (outcome, asked) = run("192.0.2.1", &[(ARPA, ptr(&names)), ("n10.example", a(&["192.0.2.1"]))]);
    assert_eq!((outcome, asked.len()), (Outcome::Fail, 11));
    let (outcome, _) = run("192.0.2.1", &[(ARPA, ptr(&names)), ("n9.example", a(&["192.0.2.1"]))]);
    assert_eq!(outcome, Outcome::Pass(name("n9.example")));
}
