//! ARC (RFC 8617): chains of ours and of dkimpy, and everything that breaks one.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use mail::Timestamp;
use policy::{
    arc::{FieldKind, Outcome, Reason, Seal, SealError, Sealer, Verdict, Verify},
    authres::{self, Entry, Method, Results},
    dkim::{self, BodyHasher, Fields, PrivateKey, SignError, SigningKey},
    dns::{Answer, Name, Question},
};
use proptest::prelude::*;

/// 2026-11-24T12:00:00Z.
const NOW: Timestamp = Timestamp::from_secs(1_795_521_600);
const MESSAGE: &str = "From: A <a@example.com>\r\nTo: list@list.example\r\nSubject: [list] one  two\r\n three\r\n\
    Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nDKIM-Signature: v=1; not=one\r\n\r\nOne.  \r\n\r\ntwo\t three\r\n\r\n";

static RSA: LazyLock<Arc<PrivateKey>> = LazyLock::new(|| Arc::new(PrivateKey::generate_rsa().unwrap()));
static ED25519: LazyLock<Arc<PrivateKey>> = LazyLock::new(|| Arc::new(PrivateKey::generate_ed25519().unwrap()));

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A sealer: `rsa` or `ed` below its domain.
fn sealer(domain: &str, selector: &str) -> Seal {
    let key = if selector == "rsa" { &RSA } else { &ED25519 };
    Seal::new(name(domain), SigningKey { selector: name(selector), key: Arc::clone(key) }).unwrap()
}

/// What is published; any domain has both keys of [`sealer`] unless told otherwise.
#[derive(Default)]
struct Zone(HashMap<String, Answer>);

impl Zone {
    fn ask(&self, question: &Question) -> Answer {
        let asked = question.name.as_str();
        let key = if asked.starts_with("rsa.") { &RSA } else { &ED25519 };
        let ours = || Answer::Txt(vec![key.public_record().unwrap().into_bytes()]);
        self.0.get(asked).cloned().unwrap_or_else(ours)
    }
}

fn halves(message: &str) -> (&[u8], &[u8]) {
    let (header, body) = message.split_at(message.find("\r\n\r\n").map_or(message.len(), |at| at + 4));
    (header.as_bytes(), body.as_bytes())
}

/// What becomes of a chain when the body comes in pieces of `cut` octets, and what was asked.
fn run(message: &str, zone: &Zone, cut: usize) -> (Verdict, Vec<String>) {
    let (header, body) = halves(message);
    let mut bodies = BodyHasher::default();
    let mut verify = Verify::new(&Fields::parse(header), NOW, &mut bodies);
    let mut asked = Vec::new();
    loop {
        let questions = verify.questions();
        if questions.is_empty() {
            break;
        }
        for question in questions {
            assert!(!asked.contains(&question.name.to_string()), "asked twice: {question:?}");
            asked.push(question.name.to_string());
            verify.answer(&question, &zone.ask(&question));
        }
    }
    body.chunks(cut).for_each(|piece| bodies.update(piece));
    (verify.finish(&bodies.finish()), asked)
}

fn verify(message: &str) -> Verdict {
    run(message, &Zone::default(), 1000).0
}

fn found(domain: &str) -> Results {
    Results { id: domain.into(), entries: vec![Entry::new(Method::Spf, authres::Outcome::Pass).comment("i=9; d=x")] }
}

fn try_seal(message: &str, domain: &str, selector: &str) -> Result<String, SealError> {
    let (header, body) = halves(message);
    let mut bodies = BodyHasher::default();
    let sealing = sealer(domain, selector).begin(&Fields::parse(header), NOW, &mut bodies)?;
    body.chunks(7).for_each(|piece| bodies.update(piece));
    let set = sealing.finish(&bodies.finish(), &verify(message), &found(domain))?;
    Ok(set + message)
}

fn seal(message: &str, domain: &str, selector: &str) -> String {
    try_seal(message, domain, selector).unwrap()
}

/// Sealed twice, by RSA and by Ed25519.
fn chain() -> String {
    static CHAIN: LazyLock<String> = LazyLock::new(|| seal(&seal(MESSAGE, "one.example", "rsa"), "two.example", "ed"));
    CHAIN.clone()
}

fn fails(message: &str, reason: Reason) {
    let expect = Verdict { outcome: Outcome::Fail, reason: Some(reason), sealers: vec![] };
    assert_eq!(verify(message), expect, "{message}");
}

#[test]
fn what_we_seal_passes_and_names_the_sealers() {
    let none = Verdict { outcome: Outcome::None, reason: None, sealers: vec![] };
    assert_eq!(verify(MESSAGE), none);
    let mut message = MESSAGE.to_owned();
    for (instance, selector) in (1..=4).zip(["rsa", "ed", "ed", "rsa"]) {
        message = seal(&message, &format!("hop{instance}.example"), selector);
        let verdict = verify(&message);
        assert_eq!(
            (verdict.outcome, verdict.reason, verdict.sealers.len()),
            (Outcome::Pass, None, instance),
            "{message}"
        );
        for (sealer, instance) in verdict.sealers.iter().zip(1..) {
            let domain = format!("hop{instance}.example");
            assert_eq!((sealer.instance, sealer.domain.as_str()), (instance, domain.as_str()));
            let reading = authres::read(sealer.results.as_bytes()).unwrap();
            assert_eq!((reading.id, reading.entries[0].method.as_str()), (domain, "spf"));
        }
        assert!(message.lines().all(|line| line.len() <= 78), "{message}");
    }
}

#[test]
fn a_chain_of_dkimpy_passes() {
    let message = include_str!("arc/chain.eml").replace('\n', "\r\n");
    let record = |line: &str| {
        let (name, text) = line.split_once(' ').unwrap();
        (name.to_owned(), Answer::Txt(vec![text.as_bytes().to_vec()]))
    };
    let zone = Zone(include_str!("arc/keys.txt").lines().map(record).collect());
    let (verdict, asked) = run(&message, &zone, 1);
    let told = |sealer: &Sealer| format!("{} {} {}", sealer.instance, sealer.selector, sealer.domain);
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Pass, None));
    assert_eq!(
        verdict.sealers.iter().map(told).collect::<Vec<_>>(),
        ["1 s1 list.example", "2 s2 relay.example", "3 s1 list.example"]
    );
    assert_eq!(asked, ["s1._domainkey.list.example", "s2._domainkey.relay.example"]);
    let changed = message.replace("what was said", "what was not said");
    assert_eq!(run(&changed, &zone, 1).0.reason, Some(Reason::Message(3, dkim::Reason::BodyHash)));
    // Cut the newest set off: the rest is a chain of its own.
    let rest = &message[message.find("ARC-Seal: i=2").unwrap()..];
    assert_eq!(run(rest, &zone, 1).0.sealers.len(), 2);
}

#[test]
fn changes_after_the_newest_seal_break_it_and_those_before_do_not() {
    let chain = chain();
    let signature = |instance| Reason::Message(instance, dkim::Reason::Signature);
    let seal_of = |instance| Reason::Seal(instance, dkim::Reason::Signature);
    fails(&chain.replace("two\t three", "two four"), Reason::Message(2, dkim::Reason::BodyHash));
    fails(&format!("{chain}more\r\n"), Reason::Message(2, dkim::Reason::BodyHash));
    fails(&chain.replace("Subject: [list]", "Subject: [spam]"), signature(2));
    fails(&chain.replace("From: A", "From: x@victim.example\r\nFrom: A"), signature(2));
    fails(&chain.replace("not=one", "not=two"), signature(2));
    // What a sealer found, at any place of the chain; a seal; and who made it.
    fails(&chain.replace("two.example;\r\n\tspf=pass", "two.example;\r\n\tspf=fail"), seal_of(2));
    fails(&chain.replace("one.example;\r\n\tspf=pass", "one.example;\r\n\tspf=fail"), seal_of(2));
    fails(&chain.replace("i=1; cv=none; a=rsa-sha256; d=one", "i=1; cv=none; a=rsa-sha256; d=win"), seal_of(2));
    // A body changed before the second set was added; only the newest message signature counts.
    let list = seal(MESSAGE, "one.example", "rsa");
    let sealing = |message: &str| {
        let (header, body) = halves(message);
        let mut bodies = BodyHasher::default();
        let sealing = sealer("two.example", "ed").begin(&Fields::parse(header), NOW, &mut bodies).unwrap();
        bodies.update(body);
        sealing.finish(&bodies.finish(), &verify(&list), &found("two.example")).unwrap() + message
    };
    let footer = sealing(&format!("{list}-- \r\nthe list\r\n"));
    assert_eq!(verify(&footer).outcome, Outcome::Pass);
    // Blanks and folds are free, as relaxed as it is.
    let folded = chain.replace("i=1; cv=none;", "i=1;\r\n \tcv=none;").replace("ARC-Seal:", "arc-seal:   ");
    assert_eq!(verify(&folded).outcome, Outcome::Pass);
    // The order of the fields in the header does not matter.
    let (set, rest) = chain.split_at(chain.find("ARC-Seal: i=1").unwrap());
    let (header, body) = rest.split_at(rest.find("\r\n\r\n").unwrap() + 2);
    assert_eq!(verify(&format!("{header}{set}{body}")).outcome, Outcome::Pass);
}

#[test]
fn a_chain_that_is_not_whole_fails() {
    let chain = chain();
    let without = |field: &str| {
        let start = chain.find(field).unwrap();
        let length = chain[start..]
            .match_indices("\r\n")
            .map(|(at, _)| at + 2)
            .find(|at| !chain[start + at..].starts_with('\t'));
        [&chain[..start], &chain[start + length.unwrap()..]].concat()
    };
    let twice = |field: &str| {
        let start = chain.find(field).unwrap();
        let length = chain[start..]
            .match_indices("\r\n")
            .map(|(at, _)| at + 2)
            .find(|at| !chain[start + at..].starts_with('\t'));
        [&chain[start..start + length.unwrap()], &chain[..]].concat()
    };
    for kind in [FieldKind::AuthenticationResults, FieldKind::MessageSignature, FieldKind::Seal] {
        for instance in [1, 2] {
            let field = format!("{}: i={instance};", kind.as_str());
            fails(&without(&field), Reason::Incomplete(instance, kind));
            fails(&twice(&field), Reason::Repeated(instance, kind));
            // A gap.
            let lifted = chain.replace(&field, &format!("{}: i=7;", kind.as_str()));
            let missing = if instance == 1 { Reason::Incomplete(1, kind) } else { Reason::Incomplete(2, kind) };
            fails(&lifted, missing);
            for wrong in [
                "i=0;",
                "i=51;",
                "i=001;",
                "i=1x;",
                "i=-1;",
                "i=;",
                "i=99999999999999999999;",
                "I=1;",
                "x=1;",
                "",
                "i;",
                "i=+1;",
            ] {
                fails(&chain.replace(&field, &format!("{}: {wrong}", kind.as_str())), Reason::Instance(kind));
            }
        }
    }
    // Comments may stand in the results, and the instance stands first in them (§4.1.1).
    let aar = "ARC-Authentication-Results: i=1;";
    fails(
        &chain.replace(aar, "ARC-Authentication-Results: (x) i (y) = (z) 1 ;"),
        Reason::Seal(2, dkim::Reason::Signature),
    );
    fails(
        &chain.replace(aar, "ARC-Authentication-Results: one.example; i=1;"),
        Reason::Instance(FieldKind::AuthenticationResults),
    );
    fails(&chain.replace(aar, "ARC-Authentication-Results: (i=1;"), Reason::Instance(FieldKind::AuthenticationResults));
}

#[test]
fn a_set_whose_tags_are_wrong_fails() {
    let chain = chain();
    let seal_one = "ARC-Seal: i=1; cv=none;";
    let seal_two = "ARC-Seal: i=2; cv=pass;";
    let message_two = "ARC-Message-Signature: i=2; c=relaxed/relaxed; a=ed25519-sha256;";
    assert!(chain.contains(seal_one) && chain.contains(seal_two) && chain.contains(message_two), "{chain}");
    let check = |from: &str, to: &str, reason| fails(&chain.replace(from, to), reason);
    let sealed = Reason::Seal;
    // §5.2, steps 2 and 3.3.
    check(seal_two, "ARC-Seal: i=2; cv=fail;", Reason::Broken(2));
    check(seal_two, "ARC-Seal: i=2; cv=FAIL;", Reason::Broken(2));
    check(seal_two, "ARC-Seal: i=2; cv=none;", Reason::ChainStatus(2));
    check(seal_two, "ARC-Seal: i=2; cv=;", Reason::ChainStatus(2));
    check(seal_two, "ARC-Seal: i=2;", Reason::ChainStatus(2));
    check(seal_one, "ARC-Seal: i=1; cv=pass;", Reason::ChainStatus(1));
    check(seal_one, "ARC-Seal: i=1; cv=fail;", Reason::ChainStatus(1));
    // §4.1.2, §4.1.3.
    check(seal_one, "ARC-Seal: i=1; cv=none; h=From;", Reason::SealNamesFields(1));
    check("h=From:", "h=ARC-Seal: From:", Reason::SealsSigned(2));
    // RFC 6376 §3.5, on which both stand.
    check("a=rsa-sha256; d=one.example;", "a=rsa-sha1; d=one.example;", sealed(1, dkim::Reason::Sha1));
    check("cv=pass; a=ed25519-sha256;", "cv=pass; a=none;", sealed(2, dkim::Reason::Algorithm));
    check("cv=pass; a=ed25519-sha256;", "cv=pass;", sealed(2, dkim::Reason::Missing("a")));
    check("cv=none; a=rsa-sha256; d=one.example;", "cv=none; a=rsa-sha256;", sealed(1, dkim::Reason::Missing("d")));
    check(
        "cv=none; a=rsa-sha256; d=one.example;",
        "cv=none; a=rsa-sha256; d=a\"b.example;",
        sealed(1, dkim::Reason::Domain("d")),
    );
    check(
        "cv=none; a=rsa-sha256; d=one.example; s=rsa;",
        "cv=none; a=rsa-sha256; d=one.example; s=a..b;",
        sealed(1, dkim::Reason::Domain("s")),
    );
    check(
        message_two,
        "ARC-Message-Signature: i=2; c=odd; a=ed25519-sha256;",
        Reason::Message(2, dkim::Reason::Canonicalization),
    );
    // The newest seal covers the message signature, too.
    check("h=From:", "h=X:", sealed(2, dkim::Reason::Signature));
    check("h=From: From:", "h=", Reason::Message(2, dkim::Reason::FromNotSigned));
    let expired = "ARC-Message-Signature: i=2; x=1795521600; c=relaxed/relaxed; a=ed25519-sha256;";
    fails(
        &chain.replace(message_two, expired).replace(" t=1795521600;", ""),
        Reason::Message(2, dkim::Reason::Expired),
    );
}

#[test]
fn keys_are_those_of_dkim() {
    let chain = chain();
    let check = |at: &str, answer: Answer, reason: Reason| {
        let zone = Zone(HashMap::from([(at.to_owned(), answer)]));
        assert_eq!(run(&chain, &zone, 100).0.reason, Some(reason));
    };
    let (one, two) = ("rsa._domainkey.one.example", "ed._domainkey.two.example");
    let text = |text: &str| Answer::Txt(vec![text.as_bytes().to_vec()]);
    check(two, Answer::Failed, Reason::Message(2, dkim::Reason::KeyUnavailable));
    check(two, Answer::NoName, Reason::Message(2, dkim::Reason::NoKey));
    check(two, text("v=DKIM1; k=ed25519; p="), Reason::Message(2, dkim::Reason::Revoked));
    check(
        two,
        text(&PrivateKey::generate_ed25519().unwrap().public_record().unwrap()),
        Reason::Seal(2, dkim::Reason::Signature),
    );
    check(one, Answer::Failed, Reason::Seal(1, dkim::Reason::KeyUnavailable));
    check(one, text("v=DKIM1; p=AAAA"), Reason::Seal(1, dkim::Reason::KeySyntax));
    check(one, text(&ED25519.public_record().unwrap()), Reason::Seal(1, dkim::Reason::KeyType));
    // What nobody answers.
    let (header, body) = halves(&chain);
    let mut bodies = BodyHasher::default();
    let mut verify = Verify::new(&Fields::parse(header), NOW, &mut bodies);
    verify.answer(&Question { name: name("x.example"), kind: policy::dns::Kind::Txt }, &Answer::NoName);
    assert_eq!(verify.questions().len(), 1);
    bodies.update(body);
    assert_eq!(verify.finish(&bodies.finish()).reason, Some(Reason::Message(2, dkim::Reason::KeyUnavailable)));
}

/// A set that looks right and is not.
fn made_up(instance: usize) -> String {
    let status = if instance == 1 { "none" } else { "pass" };
    let common = format!("a=rsa-sha256; d=d{instance}.example; s=rsa; b=AAAA");
    format!(
        "ARC-Seal: i={instance}; cv={status}; {common}\r\nARC-Message-Signature: i={instance}; {common}; h=From;\r\n \
         bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\nARC-Authentication-Results: i={instance}; x; none\r\n"
    )
}

#[test]
fn a_made_up_chain_costs_two_questions() {
    let message: String = (1..=50).map(made_up).chain([MESSAGE.to_owned()]).collect();
    let (verdict, asked) = run(&message, &Zone::default(), 100);
    assert_eq!(verdict.reason, Some(Reason::Seal(50, dkim::Reason::Signature)));
    assert_eq!(asked, ["rsa._domainkey.d50.example"]);
    // An attacker who seals himself has the names behind him asked for: fifty at most.
    let sealed = seal_over(49);
    let (verdict, asked) = run(&sealed, &Zone::default(), 100);
    assert!(matches!(verdict.reason, Some(Reason::Seal(..))), "{verdict:?}");
    assert_eq!((verdict.outcome, asked.len() <= 50), (Outcome::Fail, true));
}

/// A right seal over so many wrong ones.
fn seal_over(sets: usize) -> String {
    let message: String = (1..=sets).map(made_up).chain([MESSAGE.to_owned()]).collect();
    let (header, body) = halves(&message);
    let mut bodies = BodyHasher::default();
    let sealing = sealer("evil.example", "ed").begin(&Fields::parse(header), NOW, &mut bodies).unwrap();
    bodies.update(body);
    let claimed = (1..=sets).map(|instance| Sealer {
        instance: u8::try_from(instance).unwrap(),
        domain: name("x.example"),
        selector: name("x"),
        results: String::new(),
    });
    let verdict = Verdict { outcome: Outcome::Pass, reason: None, sealers: claimed.collect() };
    sealing.finish(&bodies.finish(), &verdict, &found("evil.example")).unwrap() + &message
}

#[test]
fn there_are_fifty_sets_at_most() {
    let mut message = MESSAGE.to_owned();
    for hop in 1..=50 {
        message = seal(&message, &format!("hop{}.example", hop % 3), "ed");
    }
    let (verdict, asked) = run(&message, &Zone::default(), 100);
    assert_eq!((verdict.outcome, verdict.sealers.len(), asked.len()), (Outcome::Pass, 50, 3));
    assert_eq!(try_seal(&message, "more.example", "ed"), Err(SealError::Full));
    fails(&format!("{}{message}", made_up(51)), Reason::TooManySets);
    let hostile = made_up(1).repeat(10_000);
    fails(&format!("{hostile}{MESSAGE}"), Reason::TooManyFields);
    fails(&format!("{}{MESSAGE}", "ARC-Seal: x\r\n".repeat(10_000)), Reason::TooManySets);
    fails(&format!("ARC-Seal: i=1; {}\r\n{MESSAGE}", "a".repeat(1 << 20)), Reason::Instance(FieldKind::Seal));
}

#[test]
fn a_broken_chain_is_not_sealed() {
    let chain = chain();
    assert_eq!(try_seal(&chain.replace("two\t three", "x"), "new.example", "ed"), Err(SealError::Broken));
    assert_eq!(try_seal(&format!("{}{chain}", made_up(7)), "new.example", "ed"), Err(SealError::Broken));
    assert_eq!(try_seal("Subject: x\r\n\r\n", "new.example", "ed"), Err(SealError::Sign(SignError::NoFrom)));
    let key = SigningKey { selector: name("s"), key: Arc::clone(&ED25519) };
    assert_eq!(Seal::new(name("com"), key).unwrap_err(), SignError::Name);
    // A verdict on another message.
    let (header, body) = halves(&chain);
    let mut bodies = BodyHasher::default();
    let sealing = sealer("new.example", "ed").begin(&Fields::parse(header), NOW, &mut bodies).unwrap();
    bodies.update(body);
    let result = sealing.finish(&bodies.finish(), &verify(MESSAGE), &found("new.example"));
    assert_eq!(result.unwrap_err(), SealError::Broken);
}

#[test]
fn a_seal_does_not_let_what_was_found_out_of_its_field() {
    let (header, body) = halves(MESSAGE);
    let mut bodies = BodyHasher::default();
    let sealing = sealer("one.example", "ed").begin(&Fields::parse(header), NOW, &mut bodies).unwrap();
    bodies.update(body);
    let entry = Entry::new(Method::Spf, authres::Outcome::Fail).reason("x\r\nFrom: a@victim.example\r\n\r\n");
    let results = Results { id: "one.example".into(), entries: vec![entry] };
    let set = sealing.finish(&bodies.finish(), &verify(MESSAGE), &results).unwrap();
    let message = set + MESSAGE;
    assert_eq!(verify(&message).outcome, Outcome::Pass);
    assert_eq!(mail::header::Header::parse(message.as_bytes(), 100).all("From").count(), 1);
}

proptest! {
    #[test]
    fn any_cut_of_the_body_gives_the_same(cut in 1_usize..50) {
        prop_assert_eq!(run(&chain(), &Zone::default(), cut).0.outcome, Outcome::Pass);
    }

    /// Every letter and digit of the sets and of the signed fields matters.
    #[test]
    fn no_changed_letter_goes_unseen(at in 0.0..1.0_f64, with in "[a-z0-9]") {
        let chain = chain();
        let signed = chain.find("Date:").unwrap();
        let at = (at * signed as f64) as usize;
        let old = &chain[at..=at];
        prop_assume!(old.bytes().all(|octet| octet.is_ascii_alphanumeric()) && !old.eq_ignore_ascii_case(&with));
        let changed = [&chain[..at], &with, &chain[at + 1..]].concat();
        let verdict = verify(&changed);
        // The last character of base64 has spare bits.
        let spare = chain[at + 1..].starts_with('=');
        prop_assert!(verdict.outcome == Outcome::Fail || spare, "{}", changed);
    }

    #[test]
    fn no_header_is_too_much(fields in proptest::collection::vec("(ARC-Seal|ARC-Message-Signature|ARC-Authentication-Results): ?[i=1-3; cvpasnorhbd(){}.]{0,40}\r\n", 0..8)) {
        let message = format!("{}{MESSAGE}", fields.concat());
        let verdict = verify(&message);
        prop_assert_eq!(verdict.outcome == Outcome::None, fields.is_empty());
    }
}
