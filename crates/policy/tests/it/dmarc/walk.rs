//! The tree walk, alignment, and the policy that follows: RFC 9989 §4.10, §5.3, and the examples of appendix B.

use std::collections::BTreeMap;

use policy::{
    dmarc::{Author, Check, Identifiers, Method, Outcome, Policy, Poll, Source, Verdict},
    dns::{Answer, Kind, Name, Question},
};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// What the DNS holds, a line each: `domain record` for `_dmarc.domain`, `domain !` where its server fails, `domain +`
/// for a domain that exists without a record, and `domain ?` for one whose existence can't be found out.
#[derive(Default)]
struct Zone<'a> {
    lines: Vec<(&'a str, &'a str)>,
}

impl<'a> Zone<'a> {
    fn new(text: &'a str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Self { lines: lines.map(|line| line.split_once(' ').unwrap()).collect() }
    }

    fn answer(&self, question: &Question) -> Answer {
        let asked = question.name.as_str();
        let domain = asked.strip_prefix("_dmarc.").unwrap_or(asked);
        let here: Vec<&str> = self.lines.iter().filter(|(at, _)| *at == domain).map(|(_, what)| *what).collect();
        if question.kind == Kind::A {
            return match here.first() {
                Some(&"?") => Answer::Failed,
                Some(_) => Answer::NoData,
                None => Answer::NoName,
            };
        }
        assert_eq!(question.kind, Kind::Txt);
        let records: Vec<Vec<u8>> = here
            .iter()
            .filter(|what| !matches!(**what, "+" | "?" | "!"))
            .map(|text| text.as_bytes().to_vec())
            .collect();
        match here.first() {
            Some(&"!") => Answer::Failed,
            _ if records.is_empty() => Answer::NoName,
            _ => Answer::Txt(records),
        }
    }
}

/// Runs a check to its end; the verdict, and what was asked.
fn run(zone: &Zone<'_>, from: &str, identifiers: Identifiers) -> (Verdict, Vec<Question>) {
    let mut check = Check::new(Author { domain: name(from) }, identifiers);
    let mut asked = Vec::new();
    loop {
        match check.poll() {
            Poll::Done(verdict) => {
                assert_eq!(check.poll(), Poll::Done(verdict.clone()), "a verdict stays");
                return (verdict, asked);
            }
            Poll::Ask(question) => {
                assert!(!asked.contains(&question), "asked twice: {question:?}");
                check.answer(zone.answer(&question));
                asked.push(question);
            }
        }
    }
}

/// `spf=a dkim=b dkim=c`.
fn identifiers(text: &str) -> Identifiers {
    let mut identifiers = Identifiers::default();
    for word in text.split_whitespace() {
        match word.split_once('=').unwrap() {
            ("spf", domain) => identifiers.spf = Some(name(domain)),
            (_, domain) => identifiers.dkim.push(name(domain)),
        }
    }
    identifiers
}

/// `outcome [policy domain, tag, policy, disposition] [what aligned]`.
fn told(verdict: &Verdict) -> String {
    let mut text = match verdict.outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::None => "none",
        Outcome::TempError => "temperror",
    }
    .to_owned();
    if let Some(applied) = &verdict.applied {
        let tag = match applied.source {
            Source::Domain => "p",
            Source::Subdomain => "sp",
            Source::Nonexistent => "np",
        };
        text += &format!(" {} {tag} {}", applied.domain, applied.policy);
    }
    if verdict.disposition != Policy::None {
        text += &format!(" -> {}", verdict.disposition);
    }
    if let Some((method, domain)) = &verdict.aligned {
        let method = if *method == Method::Dkim { "dkim" } else { "spf" };
        text += &format!(" by {method}={domain}");
    }
    text
}

fn check(zone: &str, from: &str, passed: &str, expect: &str) {
    let (verdict, asked) = run(&Zone::new(zone), from, identifiers(passed));
    assert_eq!(told(&verdict), expect, "From {from}, {passed:?}, asked {asked:#?}, in\n{zone}");
}

const PLAIN: &str = "example.com v=DMARC1; p=reject";
const STRICT: &str = "example.com v=DMARC1; p=reject; adkim=s; aspf=s";

#[test]
fn alignment() {
    // Appendix B.1: the same domain, parent and child, strangers; relaxed and strict.
    for method in ["spf", "dkim"] {
        let with = |domain: &str| format!("{method}={domain}");
        let by = |domain: &str| format!("by {method}={domain}");
        check(PLAIN, "example.com", &with("example.com"), &format!("pass example.com p reject {}", by("example.com")));
        check(STRICT, "example.com", &with("example.com"), &format!("pass example.com p reject {}", by("example.com")));
        check(
            PLAIN,
            "example.com",
            &with("a.example.com"),
            &format!("pass example.com p reject {}", by("a.example.com")),
        );
        check(STRICT, "example.com", &with("a.example.com"), "fail example.com p reject -> reject");
        check(
            PLAIN,
            "a.example.com",
            &with("example.com"),
            &format!("pass example.com sp reject {}", by("example.com")),
        );
        check(
            PLAIN,
            "a.example.com",
            &with("b.example.com"),
            &format!("pass example.com sp reject {}", by("b.example.com")),
        );
        check(STRICT, "a.example.com", &with("example.com"), "fail example.com sp reject -> reject");
        check(PLAIN, "a.example.com", &with("example.net"), "fail example.com sp reject -> reject");
        check(PLAIN, "example.com", &with("badexample.com"), "fail example.com p reject -> reject");
        check(PLAIN, "example.com", &with("com"), "fail example.com p reject -> reject");
    }
    // One mode does not bind the other, and one that passes is enough.
    let mixed = "example.com v=DMARC1; p=reject; adkim=s";
    check(mixed, "example.com", "dkim=a.example.com", "fail example.com p reject -> reject");
    check(
        mixed,
        "example.com",
        "dkim=a.example.com spf=a.example.com",
        "pass example.com p reject by spf=a.example.com",
    );
    check(
        PLAIN,
        "example.com",
        "spf=x.example dkim=y.example dkim=a.example.com",
        "pass example.com p reject by dkim=a.example.com",
    );
    check(PLAIN, "example.com", "", "fail example.com p reject -> reject");
}

#[test]
fn examples_of_appendix_b_4() {
    let zone = "example.com v=DMARC1; p=reject\n signing.example.com v=DMARC1; p=none";
    check(zone, "example.com", "dkim=signing.example.com", "pass example.com p reject by dkim=signing.example.com");
    let deep = "a.b.c.d.e.f.g.h.i.j.k.example.com";
    check(zone, deep, "dkim=signing.example.com", "pass example.com sp reject by dkim=signing.example.com");
    check(zone, deep, "spf=example.com", "pass example.com sp reject by spf=example.com");
    let zone = "bank.example v=DMARC1; p=reject; psd=y\n giant.bank.example v=DMARC1; p=quarantine";
    check(
        zone,
        "giant.bank.example",
        "spf=mail.giant.bank.example",
        "pass giant.bank.example p quarantine by spf=mail.giant.bank.example",
    );
    check(
        zone,
        "giant.bank.example",
        "dkim=mail.mega.bank.example",
        "fail giant.bank.example p quarantine -> quarantine",
    );
}

#[test]
fn public_suffixes() {
    let psd = "com v=DMARC1; p=reject; psd=y; sp=quarantine; np=reject\n";
    // The organization's own record wins over that of the suffix, whatever stands between.
    let own = format!("{psd} example.com v=DMARC1; p=none");
    check(&own, "a.example.com", "", "fail example.com sp none");
    // Without one, the suffix speaks.
    check(&format!("{psd} example.com +"), "example.com", "", "fail com sp quarantine -> quarantine");
    check(psd, "example.com", "", "fail com np reject -> reject");
    // A record between organization and author is neither's.
    let between = format!("{psd} mail.example.com v=DMARC1; p=none\n a.mail.example.com +");
    check(&between, "a.mail.example.com", "", "fail com sp quarantine -> quarantine");
    check(&between, "mail.example.com", "", "fail mail.example.com p none");
    // Organizations below a suffix are strangers to each other, and to it.
    check(&own, "example.com", "dkim=other.com", "fail example.com p none");
    check(psd, "a.example.com", "spf=b.example.com", "pass com sp quarantine by spf=b.example.com");
    check(psd, "a.example.com", "spf=b.other.com", "fail com np reject -> reject");
    check(psd, "a.example.com", "spf=com", "fail com np reject -> reject");
    // The suffix itself as author: where a walk begins, psd=y does not count.
    check(psd, "com", "spf=com", "pass com p reject by spf=com");
    check(psd, "com", "spf=example.com", "fail com p reject -> reject");
    // A suffix of two labels, and a stop that hides what is above.
    let two = "co.uk v=DMARC1; p=none; psd=y\n uk v=DMARC1; p=reject";
    check(two, "a.example.co.uk", "dkim=example.co.uk", "pass co.uk sp none by dkim=example.co.uk");
    check(two, "a.example.co.uk", "dkim=co.uk", "fail co.uk sp none");
}

#[test]
fn organizations_inside_organizations() {
    // psd=n is the organization, though there is a record above.
    let zone = "example.com v=DMARC1; p=reject\n dept.example.com v=DMARC1; p=quarantine; psd=n\n a.dept.example.com +";
    check(
        zone,
        "a.dept.example.com",
        "dkim=b.dept.example.com",
        "pass dept.example.com sp quarantine by dkim=b.dept.example.com",
    );
    check(zone, "a.dept.example.com", "dkim=example.com", "fail dept.example.com sp quarantine -> quarantine");
    check(zone, "dept.example.com", "dkim=example.com", "fail dept.example.com p quarantine -> quarantine");
    check(zone, "example.com", "dkim=dept.example.com", "fail example.com p reject -> reject");
    check(zone, "example.com", "dkim=a.dept.example.com", "fail example.com p reject -> reject");
    check(zone, "other.example.com", "dkim=example.com", "pass example.com sp reject by dkim=example.com");
    // Without psd the record with the fewest labels is the organization's.
    let zone = "example.com v=DMARC1; p=reject; psd=u\n mail.example.com v=DMARC1; p=none";
    check(zone, "a.mail.example.com", "", "fail example.com sp reject -> reject");
    check(zone, "mail.example.com", "dkim=example.com", "pass mail.example.com p none by dkim=example.com");
    // Even a top-level domain, when it publishes without psd=y.
    check("com v=DMARC1; p=none", "a.example.com", "spf=other.com", "pass com sp none by spf=other.com");
    // psd=n too deep to be looked at (§5.1.8): the walk does not see it.
    let zone = "example.com v=DMARC1; p=reject\n b.c.d.e.f.g.example.com v=DMARC1; p=none; psd=n";
    check(zone, "mail.a.b.c.d.e.f.g.example.com", "", "fail example.com sp reject -> reject");
    // One below a suffix that a long walk shortened away.
    let zone = "c.d.e.f.g.h.i v=DMARC1; p=reject; psd=y\n x.a.b.c.d.e.f.g.h.i +";
    let passes = "pass c.d.e.f.g.h.i sp reject by spf=b.c.d.e.f.g.h.i";
    check(zone, "x.a.b.c.d.e.f.g.h.i", "spf=b.c.d.e.f.g.h.i", passes);
    check(zone, "x.a.b.c.d.e.f.g.h.i", "spf=z.c.d.e.f.g.h.i", "fail c.d.e.f.g.h.i sp reject -> reject");
}

#[test]
fn records_that_do_not_count() {
    check("", "example.com", "spf=example.com", "none");
    check("example.com v=spf1 -all", "example.com", "spf=example.com", "none");
    check("example.com v=DMARC2; p=reject", "example.com", "spf=example.com", "none");
    // Of several all are discarded, and the walk goes on.
    let two = "example.com v=DMARC1; p=reject\n example.com v=DMARC1; p=none";
    check(two, "example.com", "spf=example.com", "none");
    check(
        &format!("{two}\n com v=DMARC1; p=none; psd=y"),
        "example.com",
        "spf=example.com",
        "pass com sp none by spf=example.com",
    );
    check(
        "example.com v=spf1 -all\n example.com v=DMARC1; p=reject",
        "example.com",
        "",
        "fail example.com p reject -> reject",
    );
    // No policy can be taken from it: DMARC does not apply, though there is one above.
    check("example.com v=DMARC1; p=maybe\n com v=DMARC1; p=reject; psd=y", "example.com", "spf=example.com", "none");
    check("example.com v=DMARC1; p=maybe; rua=mailto:a@x", "example.com", "", "fail example.com p none");
}

#[test]
fn subdomains_that_do_not_exist() {
    let zone = "example.com v=DMARC1; p=none; sp=quarantine; np=reject\n here.example.com +\n lame.example.com ?";
    check(zone, "example.com", "", "fail example.com p none");
    check(zone, "here.example.com", "", "fail example.com sp quarantine -> quarantine");
    check(zone, "gone.example.com", "", "fail example.com np reject -> reject");
    // The milder one while nobody knows.
    check(zone, "lame.example.com", "", "fail example.com sp quarantine -> quarantine");
    let milder = "example.com v=DMARC1; p=reject; np=none\n lame.example.com ?";
    check(milder, "lame.example.com", "", "fail example.com np none");
    check("example.com v=DMARC1; p=none; np=reject", "gone.example.com", "", "fail example.com np reject -> reject");
    // It is asked only where it makes a difference.
    let asked = |zone: &str, from: &str, passed: &str| {
        let (_, asked) = run(&Zone::new(zone), from, identifiers(passed));
        asked.iter().any(|question| question.kind == Kind::A)
    };
    assert!(asked(zone, "gone.example.com", ""));
    assert!(!asked(zone, "gone.example.com", "spf=example.com"));
    assert!(!asked(zone, "example.com", ""));
    assert!(!asked("example.com v=DMARC1; p=reject; sp=reject", "gone.example.com", ""));
}

#[test]
fn a_domain_that_only_tries_gets_the_next_milder() {
    let check = |policy: &str, expect: &str| {
        check(
            &format!("example.com v=DMARC1; p={policy}; t=y"),
            "example.com",
            "",
            &format!("fail example.com p {policy}{expect}"),
        );
    };
    check("reject", " -> quarantine");
    check("quarantine", "");
    check("none", "");
}

#[test]
fn failures_of_the_dns() {
    // The record itself.
    check("example.com !", "example.com", "spf=example.com", "temperror");
    check("example.com !", "a.example.com", "spf=a.example.com", "temperror");
    check("com !", "example.com", "spf=example.com", "temperror");
    // Only where it decides: what is the same as the author needs no walk.
    let zone = format!("{PLAIN}\n com !");
    check(&zone, "example.com", "spf=example.com", "pass example.com p reject by spf=example.com");
    check(&zone, "example.com", "spf=a.example.com", "temperror example.com p reject");
    check(&zone, "example.com", "spf=other.example", "fail example.com p reject -> reject");
    check(&format!("{STRICT}\n com !"), "example.com", "spf=a.example.com", "fail example.com p reject -> reject");
    // A stop below hides the failure above.
    check(
        "example.com v=DMARC1; p=reject; psd=n\n com !",
        "example.com",
        "spf=a.example.com",
        "pass example.com p reject by spf=a.example.com",
    );
    // An identifier that can't be walked from; another one may pass.
    let zone = format!("{PLAIN}\n a.example.com !");
    check(&zone, "example.com", "dkim=a.example.com", "temperror example.com p reject");
    check(
        &zone,
        "example.com",
        "dkim=a.example.com spf=b.example.com",
        "pass example.com p reject by spf=b.example.com",
    );
    check(&zone, "example.com", "dkim=a.example.com spf=other.com", "temperror example.com p reject");
}

#[test]
fn the_questions_are_those_of_the_rfc_in_its_order() {
    let asked = |zone: &str, from: &str, passed: &str| -> Vec<String> {
        let (_, asked) = run(&Zone::new(zone), from, identifiers(passed));
        asked.iter().map(|question| question.name.to_string()).collect()
    };
    // §4.10 and appendix B.4.2.
    assert_eq!(
        asked("", "a.b.c.d.e.f.g.h.i.j.k.example.com", ""),
        [
            "_dmarc.a.b.c.d.e.f.g.h.i.j.k.example.com",
            "_dmarc.g.h.i.j.k.example.com",
            "_dmarc.h.i.j.k.example.com",
            "_dmarc.i.j.k.example.com",
            "_dmarc.j.k.example.com",
            "_dmarc.k.example.com",
            "_dmarc.example.com",
            "_dmarc.com",
        ]
    );
    // One question is enough for most mail.
    assert_eq!(asked(PLAIN, "example.com", "dkim=example.com spf=bounce.example.com"), ["_dmarc.example.com"]);
    assert_eq!(asked(PLAIN, "example.com", "dkim=provider.example spf=provider.example"), ["_dmarc.example.com"]);
    // An answer serves both walks; strangers below the same suffix are not walked from.
    assert_eq!(
        asked(PLAIN, "example.com", "spf=bounce.example.com dkim=other.com"),
        ["_dmarc.example.com", "_dmarc.com", "_dmarc.bounce.example.com",]
    );
    // The walk stops at psd=y.
    assert_eq!(
        asked("bank.example v=DMARC1; p=none; psd=y", "mail.giant.bank.example", ""),
        ["_dmarc.mail.giant.bank.example", "_dmarc.giant.bank.example", "_dmarc.bank.example",]
    );
}

#[test]
fn a_hostile_message_asks_a_bounded_number_of_questions() {
    let deep = |leaf: usize| {
        let labels: Vec<String> =
            (0..10).map(|label| format!("{}{leaf}", "abcdefghij".get(label..=label).unwrap())).collect();
        format!("{}.example.com", labels.join("."))
    };
    let dkim: Vec<Name> = (0..1000).map(|leaf| name(&deep(leaf))).collect();
    let zone = Zone::new(PLAIN);
    let (verdict, asked) = run(&zone, &deep(5000), Identifiers { spf: None, dkim: dkim.clone() });
    assert_eq!(verdict.outcome, Outcome::Pass);
    assert!(asked.len() <= 16, "{}", asked.len());
    // None of them passes: each is an organization of its own.
    let lines: String = (0..1000).map(|leaf| format!("{} v=DMARC1; p=none; psd=n\n", deep(leaf))).collect();
    let lines = format!("{PLAIN}\n{lines}");
    let (verdict, asked) = run(&Zone::new(&lines), "example.com", Identifiers { spf: None, dkim });
    assert_eq!(verdict.outcome, Outcome::Fail);
    assert!(asked.len() <= 2 + 20, "{}", asked.len());
}

#[test]
fn a_name_that_does_not_fit_below_dmarc_has_no_record() {
    let long = format!("{}.example.com", vec!["a".repeat(59); 4].join("."));
    let (verdict, asked) = run(&Zone::new(PLAIN), &long, Identifiers::default());
    assert_eq!(told(&verdict), "fail example.com sp reject -> reject");
    assert_eq!(asked.len(), 5);
}

#[test]
fn answers_that_make_no_sense_are_no_records() {
    let mut check = Check::new(Author { domain: name("example.com") }, Identifiers::default());
    check.answer(Answer::Txt(vec![b"v=DMARC1; p=reject".to_vec()]));
    for answer in [Answer::A(vec![]), Answer::Mx(vec![])] {
        assert!(matches!(check.poll(), Poll::Ask(_)), "an answer before its question is dropped");
        check.answer(answer);
    }
    assert!(matches!(check.poll(), Poll::Done(verdict) if verdict.outcome == Outcome::None));
}

/// The walk of §4.10 written down once more, as plainly as it can be.
fn organizational(zone: &BTreeMap<String, char>, start: &str) -> String {
    let labels: Vec<&str> = start.split('.').collect();
    let mut targets = vec![start.to_owned()];
    for skipped in 1..labels.len() {
        if labels.len() - skipped <= 7 {
            targets.push(labels[skipped..].join("."));
        }
    }
    let mut last = start.to_owned();
    for target in targets {
        match zone.get(&target) {
            Some('n') => return target,
            Some('y') if target != start => {
                let below = labels.len() - target.split('.').count() - 1;
                return labels[below..].join(".");
            }
            Some('y') => return target,
            Some(_) => last = target,
            None => {}
        }
    }
    last
}

proptest! {
    #[test]
    fn relaxed_alignment_is_the_same_organization(
        records in proptest::collection::btree_map("([ab]\\.){0,8}c", "[ynu]", 0..8),
        from in "([ab]\\.){0,9}c",
        signer in "([ab]\\.){0,9}c",
    ) {
        let zone: BTreeMap<String, char> = records.iter().map(|(at, psd)| (at.clone(), psd.chars().next().unwrap())).collect();
        let lines: String = records.iter().map(|(at, psd)| format!("{at} v=DMARC1; p=reject; psd={psd}\n")).collect();
        let (verdict, asked) = run(&Zone::new(&lines), &from, Identifiers { spf: None, dkim: vec![name(&signer)] });
        prop_assert!(asked.len() <= 16);
        let same = organizational(&zone, &from) == organizational(&zone, &signer);
        match verdict.outcome {
            Outcome::None => {}
            outcome => prop_assert_eq!(outcome == Outcome::Pass, same || from == signer),
        }
    }
}
