//! DKIM from outside: the vectors of the RFCs, sign and verify, attacks.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use mail::Timestamp;
use policy::{
    dkim::{BodyHasher, Fields, PrivateKey, Report, Signer, SigningKey, Verdict, Verify},
    dns::{Answer, Name, Question},
};

#[path = "dkim/attacks.rs"]
mod attacks;
#[path = "dkim/signing.rs"]
mod signing;
#[path = "dkim/vectors.rs"]
mod vectors;
#[path = "dkim/verdicts.rs"]
mod verdicts;

/// 2026-11-24T12:00:00Z.
const NOW: Timestamp = Timestamp::from_secs(1_795_521_600);
const DOMAIN: &str = "example.net";

static RSA: LazyLock<Arc<PrivateKey>> = LazyLock::new(|| Arc::new(PrivateKey::generate_rsa().unwrap()));
static ED25519: LazyLock<Arc<PrivateKey>> = LazyLock::new(|| Arc::new(PrivateKey::generate_ed25519().unwrap()));

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Signs for example.net with both keys.
fn signer() -> Signer {
    let key = |selector, key: &LazyLock<Arc<PrivateKey>>| SigningKey { selector: name(selector), key: Arc::clone(key) };
    Signer::new(name(DOMAIN), vec![key("rsa", &RSA), key("ed", &ED25519)]).unwrap()
}

/// TXT records by name.
#[derive(Clone, Default)]
struct Zone(HashMap<String, Answer>);

impl Zone {
    /// With the keys of [`signer`].
    fn ours() -> Self {
        let at = |selector: &str| format!("{selector}._domainkey.{DOMAIN}");
        Self::default()
            .with(&at("rsa"), &[&RSA.public_record().unwrap()])
            .with(&at("ed"), &[&ED25519.public_record().unwrap()])
    }

    fn with(mut self, name: &str, records: &[&str]) -> Self {
        let records = records.iter().map(|text| text.as_bytes().to_vec()).collect();
        self.0.insert(name.to_owned(), Answer::Txt(records));
        self
    }

    fn ask(&self, question: &Question) -> Answer {
        self.0.get(question.name.as_str()).cloned().unwrap_or(Answer::NoName)
    }
}

/// Header section, and body behind the empty line.
fn halves(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").map_or(message.len(), |at| at + 4);
    message.split_at(end)
}

/// What becomes of a message when its body comes in pieces of `cut` octets.
fn verify_by(message: &[u8], zone: &Zone, now: Timestamp, cut: usize) -> Report {
    let (header, body) = halves(message);
    let mut bodies = BodyHasher::default();
    let mut verify = Verify::new(&Fields::parse(header), now, &mut bodies);
    for question in verify.questions().cloned().collect::<Vec<_>>() {
        verify.answer(&question, &zone.ask(&question));
    }
    body.chunks(cut).for_each(|piece| bodies.update(piece));
    verify.finish(&bodies.finish())
}

fn verify(message: &[u8], zone: &Zone) -> Report {
    verify_by(message, zone, NOW, 1000)
}

/// The verdict on the only signature.
fn verdict(message: &[u8], zone: &Zone) -> Verdict {
    let report = verify(message, zone);
    assert_eq!((report.verdicts.len(), report.skipped), (1, 0));
    report.verdicts[0].clone()
}

/// The questions that a message makes us ask.
fn asked(message: &[u8]) -> Vec<String> {
    let mut bodies = BodyHasher::default();
    let verify = Verify::new(&Fields::parse(halves(message).0), NOW, &mut bodies);
    verify.questions().map(|question| question.name.to_string()).collect()
}

/// The DKIM-Signature fields for a message.
fn signatures(message: &[u8], signer: &Signer) -> String {
    let (header, body) = halves(message);
    let mut bodies = BodyHasher::default();
    let signing = signer.begin(&Fields::parse(header), NOW, &mut bodies).unwrap();
    body.chunks(17).for_each(|piece| bodies.update(piece));
    signing.finish(&bodies.finish()).unwrap()
}

/// A message with its signatures on top.
fn signed(message: &[u8], signer: &Signer) -> Vec<u8> {
    [signatures(message, signer).as_bytes(), message].concat()
}
