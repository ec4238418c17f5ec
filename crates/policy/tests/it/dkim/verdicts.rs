//! One reason for each thing that can be wrong, and what becomes of it.

use std::time::Duration;

use mail::Timestamp;
use policy::{
    dkim::{Algorithm, KeyRecord, Outcome, Reason},
    dns::{Answer, Question},
};

use super::{
    DOMAIN, ED25519, NOW, RSA, Zone, asked, halves, name, signatures, signed, signer, verdict, verify, verify_by,
};

const LETTER: &[u8] = b"From: ann@example.net\r\nTo: bob@example.org\r\nSubject: Hello\r\n\r\nHi Bob\r\n";

/// The letter with only the RSA signature, some of it replaced. It no longer fits, so what is expected comes earlier.
fn altered(from: &str, to: &str) -> Vec<u8> {
    let both = signatures(LETTER, &signer());
    let first = both.split_inclusive("\r\n").enumerate();
    let first: String =
        first.take_while(|(at, line)| *at == 0 || line.starts_with('\t')).map(|(_, line)| line).collect();
    assert!(first.contains(from), "{from:?} in {first}");
    [first.replacen(from, to, 1).as_bytes(), LETTER].concat()
}

/// What must be said before anything is asked.
#[track_caller]
fn refused(from: &str, to: &str, reason: Reason, outcome: Outcome) {
    let message = altered(from, to);
    assert_eq!(asked(&message), Vec::<String>::new(), "{to:?}");
    let verdict = verdict(&message, &Zone::ours());
    assert_eq!((verdict.reason, verdict.outcome()), (Some(reason), outcome), "{to:?}");
}

#[test]
fn what_the_signature_says_is_checked_before_the_dns_is_asked() {
    use Outcome::{Neutral, PermError, Policy};
    refused("v=1;", "v=2;", Reason::Version, PermError);
    refused("v=1;", "", Reason::Missing("v"), PermError);
    refused("a=rsa-sha256", "a=rsa-sha1", Reason::Sha1, PermError);
    refused("a=rsa-sha256", "a=dsa-sha256", Reason::Algorithm, PermError);
    refused("c=relaxed/relaxed", "c=nofws", Reason::Canonicalization, PermError);
    refused("v=1;", "v=1; q=dns/srv;", Reason::Query, PermError);
    refused("d=example.net; ", "", Reason::Missing("d"), PermError);
    refused("v=1;", "v=1; i=ann@example.org;", Reason::Identity, PermError);
    refused("v=1;", "v=1; i=ann@badexample.net;", Reason::Identity, PermError);
    refused("v=1;", "v=1; i=nobody;", Reason::Malformed("i"), Neutral);
    refused("v=1;", "v=1; i=a=0D=0Ab@example.net;", Reason::Malformed("i"), Neutral);
    refused("v=1;", "v=1; x=1;", Reason::ExpiresBeforeMade, PermError);
    refused("t=1795521600;", "x=1795521600;", Reason::Expired, Policy);
    refused("t=1795521600", "t=-1", Reason::Malformed("t"), Neutral);
    refused("v=1;", "v=1; l=1x;", Reason::Malformed("l"), Neutral);
    refused("h=From:From:", "h=", Reason::FromNotSigned, PermError);
    refused("h=From:", "h=From::", Reason::Malformed("h"), Neutral);
    refused("bh=", "bh=AAAA", Reason::Malformed("bh"), Neutral);
    refused(" s=rsa;", " s=rsa; b=x;", Reason::Tags(policy::TagError::Duplicate), Neutral);
    refused(" s=rsa;", " s rsa;", Reason::Tags(policy::TagError::Syntax), Neutral);
}

#[test]
fn f3_no_name_with_other_characters_reaches_the_dns() {
    let bad = [
        "\0",
        "a\0b.example",
        "\"example.net\"",
        "'example.net'",
        ".example.net",
        "example..net",
        "example.net.",
        ".",
        "..",
        "",
        "exa mple.net",
        "example.net/",
        "*.example.net",
        "ex\u{e4}mple.net",
        "a,b.example",
        "a@b.example",
        "a\\046b.example",
        "net",
    ];
    for text in bad {
        for (tag, rest) in [("d", "s=rsa"), ("s", "d=example.net")] {
            // A selector may be one label.
            if (tag, text) == ("s", "net") {
                continue;
            }
            let message = altered("d=example.net; s=rsa;", &format!("{tag}={text}; {rest};"));
            assert_eq!(asked(&message), Vec::<String>::new(), "{tag}={text:?}");
            let reason = verdict(&message, &Zone::ours()).reason.unwrap();
            assert!(matches!(reason, Reason::Domain(_) | Reason::Tags(_)), "{tag}={text:?}: {reason}");
        }
    }
    let long = format!("s={}; d=example.net;", ["a"; 120].join("."));
    assert_eq!(asked(&altered("d=example.net; s=rsa;", &long)), Vec::<String>::new());
}

#[test]
fn what_is_fine_is_asked_once() {
    let message = signed(LETTER, &signer());
    assert_eq!(asked(&message), ["rsa._domainkey.example.net", "ed._domainkey.example.net"]);
    let twice = [signatures(LETTER, &signer()).as_bytes(), &message].concat();
    assert_eq!(asked(&twice), ["rsa._domainkey.example.net", "ed._domainkey.example.net"]);
    assert!(verify(&twice, &Zone::ours()).verdicts.iter().all(|verdict| verdict.passed()));
}

#[test]
fn what_is_published_decides() {
    let record = RSA.public_record().unwrap();
    let p = record.split_once("p=").unwrap().1;
    let check = |records: &[&str], expect: Option<Reason>, testing: bool| {
        let zone = Zone::default().with("rsa._domainkey.example.net", records);
        let verdict = verdict(&altered("v=1", "v=1"), &zone);
        assert_eq!((verdict.reason, verdict.testing), (expect, testing), "{records:?}");
    };
    check(&[&format!("p={p}")], None, false);
    check(&[&format!("k=rsa; p={}", p.replace("AAO", "AAO \t"))], None, false);
    check(&[&format!("v=DKIM1; h=sha1:sha256; s=other:email; t=y:s; n=note; p={p};")], None, true);
    check(&[&format!("v=DKIM1; s=*; g=; x=unknown; p={p}")], None, false);
    check(&["v=spf1 -all", &record], None, false);
    check(&[&ED25519.public_record().unwrap(), &record], None, false);
    check(&[&ED25519.public_record().unwrap()], Some(Reason::KeyType), false);
    check(&[&format!("v=DKIM1; h=sha1; p={p}")], Some(Reason::KeyHash), false);
    check(&[&format!("v=DKIM1; s=tlsrpt; p={p}")], Some(Reason::KeyService), false);
    check(&["v=DKIM1; p="], Some(Reason::Revoked), false);
    check(&["v=DKIM1; k=dsa; p=AAAA"], Some(Reason::KeyType), false);
    check(&["v=DKIM1; k=rsa; p=AAAA"], Some(Reason::KeySyntax), false);
    check(&["v=DKIM1; k=rsa; p=*"], Some(Reason::KeySyntax), false);
    check(&["v=DKIM1"], Some(Reason::KeySyntax), false);
    check(&[&format!("v=DKIM2; p={p}")], Some(Reason::KeySyntax), false);
    check(&[&format!("p={p}; v=DKIM1")], Some(Reason::KeySyntax), false);
    check(&["v=spf1 -all"], Some(Reason::KeySyntax), false);
    check(&[], Some(Reason::NoKey), false);
}

#[test]
fn the_dns_may_say_nothing() {
    let message = altered("v=1", "v=1");
    for (answer, reason, outcome) in [
        (Answer::Failed, Reason::KeyUnavailable, Outcome::TempError),
        (Answer::NoName, Reason::NoKey, Outcome::PermError),
        (Answer::NoData, Reason::NoKey, Outcome::PermError),
        (Answer::A(vec![]), Reason::NoKey, Outcome::PermError),
    ] {
        let mut zone = Zone::default();
        zone.0.insert("rsa._domainkey.example.net".to_owned(), answer);
        let verdict = verdict(&message, &zone);
        assert_eq!((verdict.reason, verdict.outcome()), (Some(reason), outcome));
    }
    // No key makes it right again: this is not open.
    let mut zone = Zone::default();
    zone.0.insert("rsa._domainkey.example.net".to_owned(), Answer::Failed);
    let changed = [&message[..], b"PS: something else\r\n"].concat();
    assert_eq!(verdict(&changed, &zone).reason, Some(Reason::BodyHash));
    // Never answered.
    let mut bodies = policy::dkim::BodyHasher::default();
    let fields = policy::dkim::Fields::parse(&message);
    let mut machine = policy::dkim::Verify::new(&fields, NOW, &mut bodies);
    let other = Question { name: name("other._domainkey.example.net"), kind: policy::dns::Kind::Txt };
    machine.answer(&other, &Answer::Txt(vec![RSA.public_record().unwrap().into_bytes()]));
    bodies.update(halves(&message).1);
    assert_eq!(machine.finish(&bodies.finish()).verdicts[0].reason, Some(Reason::KeyUnavailable));
}

#[test]
fn a_strict_key_wants_the_very_domain() {
    let record = RSA.public_record().unwrap();
    let zone = Zone::default().with("rsa._domainkey.example.net", &[&record.replace("v=DKIM1;", "v=DKIM1; t=s;")]);
    assert_eq!(verdict(&altered("v=1;", "v=1; i=@news.example.net;"), &zone).reason, Some(Reason::StrictIdentity));
    assert_eq!(verdict(&altered("v=1", "v=1"), &zone).reason, None);
}

#[test]
fn expiry_is_to_the_second() {
    let signer = signer().with_lifetime(Duration::from_secs(60));
    let message = signed(LETTER, &signer);
    let at = |seconds| verify_by(&message, &Zone::ours(), Timestamp::from_secs(NOW.as_secs() + seconds), 9);
    assert!(at(59).verdicts.iter().all(|verdict| verdict.passed()));
    assert!(at(60).verdicts.iter().all(|verdict| verdict.reason == Some(Reason::Expired)));
}

#[test]
fn a_message_without_signatures_has_no_verdicts() {
    let report = verify(LETTER, &Zone::ours());
    assert_eq!((report.verdicts.len(), report.skipped), (0, 0));
    let mut bodies = policy::dkim::BodyHasher::default();
    policy::dkim::Verify::new(&policy::dkim::Fields::parse(LETTER), NOW, &mut bodies);
    assert!(bodies.is_idle());
}

#[test]
fn key_records_are_read_alone_too() {
    let record = KeyRecord::parse(ED25519.public_record().unwrap().as_bytes()).unwrap();
    assert_eq!((record.key.algorithm(), record.key.bits()), (Algorithm::Ed25519Sha256, 256));
    assert_eq!(record.check(Algorithm::RsaSha256), Err(Reason::KeyType));
    assert_eq!(KeyRecord::parse(b"v=DKIM1; p=").map(|_| ()), Err(Reason::Revoked));
    assert_eq!(DOMAIN, "example.net");
}
