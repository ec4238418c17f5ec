//! Verifying (RFC 6376 §6): the machine.
//!
//! ```text
//! new(header) ─► each of the first ten signatures:
//!                  unacceptable ──────────────────────────────────────────► verdict
//!                  acceptable: header hashed, body hash wanted, key asked
//!                      │
//!                      ├─ questions ─► answer: no key that fits ──────────► verdict
//!                      │                       a key ─┐
//!                      └─ body streams through the BodyHasher
//!                                                     ▼
//! finish(body hashes) ─► body hash ─► public-key operation ─► l= ─────────► verdict
//! ```
//! Questions may be answered in any order, together or while the body arrives. What is not answered at the end counts
//! as a failure of the DNS.

use mail::Timestamp;

use crate::{
    dns::{Answer, Name, Question},
    tags::Tags,
};

use super::{
    fields::{Fields, Unfit},
    hash::{self, BodyHashId, BodyHasher, BodyHashes, Sha256},
    record::KeyRecord,
    signature::{self, Algorithm, Signature},
    verdict::{Reason, Report, Verdict},
};

/// Signatures of one message that are verified.
pub const SIGNATURES_MAX: usize = 10;
/// RFC 6008 §3: characters of `b=` that name a signature.
const START_CHARACTERS: usize = 8;

/// Verifies the signatures of one message.
#[derive(Debug)]
pub struct Verify {
    checks: Vec<Check>,
    skipped: usize,
}

/// One signature.
#[derive(Debug)]
struct Check {
    /// As far as it is known; `reason` says so if it is over.
    verdict: Verdict,
    /// What is still to be done. Nothing when there is a verdict.
    open: Option<Open>,
}

/// A signature that is acceptable so far.
#[derive(Debug)]
struct Open {
    question: Question,
    /// The DNS did not answer. The hash of the body can still show that the signature is wrong.
    unavailable: bool,
    key: Option<KeyRecord>,
    algorithm: Algorithm,
    header_hash: Sha256,
    body: BodyHashId,
    body_hash: Sha256,
    length: Option<u64>,
    signature: Vec<u8>,
    /// `i=` is not of exactly the domain `d=`.
    subdomain: bool,
}

impl Verify {
    /// Reads the signatures, hashes what they sign of the header, and tells `bodies` what it will want to know.
    pub fn new(fields: &Fields<'_>, now: Timestamp, bodies: &mut BodyHasher) -> Self {
        let mut scratch = Vec::new();
        let checks = fields
            .named("DKIM-Signature")
            .take(SIGNATURES_MAX)
            .map(|(index, field)| Check::new(fields, index, field.value, now, bodies, &mut scratch))
            .collect();
        Self { checks, skipped: fields.count("DKIM-Signature").saturating_sub(SIGNATURES_MAX) }
    }

    /// What is asked of the DNS and not answered yet, each question once.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        let open = || self.checks.iter().filter_map(|check| check.open.as_ref()).filter(|open| open.is_unanswered());
        open()
            .enumerate()
            .filter(move |(at, open_one)| open().take(*at).all(|earlier| earlier.question != open_one.question))
            .map(|(_, open)| &open.question)
    }

    /// Takes an answer. One to something that was not asked is ignored.
    pub fn answer(&mut self, question: &Question, answer: &Answer) {
        for check in &mut self.checks {
            check.answer(question, answer);
        }
    }

    /// The body has ended: what became of the signatures.
    pub fn finish(self, bodies: &BodyHashes) -> Report {
        let verdicts = self.checks.into_iter().map(|check| check.finish(bodies)).collect();
        Report { verdicts, skipped: self.skipped }
    }
}

impl Check {
    fn new(
        fields: &Fields<'_>,
        index: usize,
        value: &[u8],
        now: Timestamp,
        bodies: &mut BodyHasher,
        scratch: &mut Vec<u8>,
    ) -> Self {
        let mut verdict = unread();
        let tags = match signature::tags_of(value) {
            Ok(tags) => tags,
            Err(reason) => return Self { verdict: Verdict { reason: Some(reason), ..verdict }, open: None },
        };
        describe(&mut verdict, &tags);
        let opened = Signature::read(&tags).and_then(|signature| {
            verdict.identity = Some(signature.identity.clone());
            accept(&signature, fields, now)?;
            let question = signature.question().ok_or(Reason::Domain("s"))?;
            scratch.clear();
            fields.select(signature.names.iter().copied(), Some(index), signature.header, scratch);
            let blank = tags.tag("b").map(|tag| tag.range.clone()).unwrap_or_default();
            fields.canonical_without(index, blank, signature.header, scratch);
            Ok(Open {
                question,
                unavailable: false,
                key: None,
                algorithm: signature.algorithm,
                header_hash: hash::sha256(scratch),
                body: bodies.want(signature.body, signature.length),
                body_hash: signature.body_hash,
                length: signature.length,
                subdomain: signature.identity_domain != signature.domain,
                signature: signature.signature,
            })
        });
        match opened {
            Ok(open) => Self { verdict, open: Some(open) },
            Err(reason) => Self { verdict: Verdict { reason: Some(reason), ..verdict }, open: None },
        }
    }

    fn answer(&mut self, question: &Question, answer: &Answer) {
        let Some(open) = self.open.as_mut().filter(|open| open.question == *question && open.is_unanswered()) else {
            return;
        };
        match open.take_key(answer, &mut self.verdict) {
            Ok(record) => open.key = Some(record),
            Err(Reason::KeyUnavailable) => open.unavailable = true,
            Err(reason) => {
                self.verdict.reason = Some(reason);
                self.open = None;
            }
        }
    }

    fn finish(mut self, bodies: &BodyHashes) -> Verdict {
        if let Some(open) = self.open {
            self.verdict.reason = open.finish(bodies).err();
        }
        self.verdict
    }
}

impl Open {
    fn is_unanswered(&self) -> bool {
        self.key.is_none() && !self.unavailable
    }

    /// RFC 6376 §6.1.2: the key, if it may be used for this.
    fn take_key(&self, answer: &Answer, verdict: &mut Verdict) -> Result<KeyRecord, Reason> {
        let record = KeyRecord::find(answer, self.algorithm)?;
        verdict.key_bits = Some(record.key.bits());
        verdict.testing = record.testing;
        if record.strict && self.subdomain {
            return Err(Reason::StrictIdentity);
        }
        Ok(record)
    }

    /// RFC 6376 §6.1.3, the cheap comparison first.
    fn finish(&self, bodies: &BodyHashes) -> Result<(), Reason> {
        let body = bodies.get(self.body);
        if self.length.is_some_and(|length| length > body.length) {
            return Err(Reason::BodyTooShort);
        }
        if body.sha256 != self.body_hash {
            return Err(Reason::BodyHash);
        }
        let key = self.key.as_ref().ok_or(Reason::KeyUnavailable)?;
        if !key.key.verify(&self.header_hash, &self.signature) {
            return Err(Reason::Signature);
        }
        // RFC 6376 §8.2: what stands behind l= can be anything.
        if self.length.is_some_and(|length| length < body.length) {
            return Err(Reason::BodyBeyond);
        }
        Ok(())
    }
}

/// What speaks against a signature before the key is known.
fn accept(signature: &Signature<'_>, fields: &Fields<'_>, now: Timestamp) -> Result<(), Reason> {
    match fields.unfit() {
        Some(Unfit::TooMany) => return Err(Reason::TooManyFields),
        Some(Unfit::Broken) => return Err(Reason::BrokenHeader),
        None => {}
    }
    if signature.is_expired(now) {
        return Err(Reason::Expired);
    }
    signature.require_all_named(fields)
}

/// A verdict on something unread.
fn unread() -> Verdict {
    Verdict {
        reason: None,
        domain: None,
        selector: None,
        identity: None,
        algorithm: None,
        key_bits: None,
        testing: false,
        signature_start: String::new(),
    }
}

/// What can be said of a signature even when it is not acceptable.
fn describe(verdict: &mut Verdict, tags: &Tags<'_>) {
    let name = |read: fn(&Tags<'_>) -> Result<Name, Reason>| read(tags).ok();
    verdict.domain = name(signature::domain);
    verdict.selector = name(signature::selector);
    verdict.algorithm = tags.get("a").and_then(|word| Algorithm::parse(word).ok());
    let base64 = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '+' | '/' | '=');
    let start = tags.get("b").unwrap_or_default().chars().filter(base64);
    verdict.signature_start = start.take(START_CHARACTERS).collect();
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;
    use crate::dkim::{Canon, PrivateKey};

    /// What becomes of a message with that header, of which `signed` was signed under these names.
    fn reason(signed: &str, names: &str, header: &str) -> Option<Reason> {
        let key = PrivateKey::generate_ed25519().unwrap();
        let empty = STANDARD.encode(hash::sha256(b""));
        let mut field = format!(
            "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=b.example; s=s; h={names}; bh={empty}; b="
        );
        let text = format!("{field}\r\n{signed}");
        let fields = Fields::parse(text.as_bytes());
        let mut hashed = Vec::new();
        fields.select(names.split(':'), Some(0), Canon::Relaxed, &mut hashed);
        fields.canonical_without(0, 0..0, Canon::Relaxed, &mut hashed);
        write!(field, "{}\r\n", STANDARD.encode(key.sign(&hash::sha256(&hashed)).unwrap())).unwrap();
        let (text, mut bodies) = (field + header, BodyHasher::default());
        let mut verify = Verify::new(&Fields::parse(text.as_bytes()), Timestamp::from_secs(0), &mut bodies);
        let record = Answer::Txt(vec![key.public_record().unwrap().into_bytes()]);
        for question in verify.questions().cloned().collect::<Vec<_>>() {
            verify.answer(&question, &record);
        }
        verify.finish(&bodies.finish()).verdicts[0].reason
    }

    #[test]
    fn a_field_added_above_the_one_that_is_signed_is_not_vouched_for() {
        let (letter, names) = ("From: a@b.example\r\nSubject: Hello\r\nX: y\r\n", "from:subject:x");
        let check = |header: &str, expect| assert_eq!(reason(letter, names, header), expect, "{header}");
        check(letter, None);
        check(&format!("X: z\r\nTo: c@d.example\r\nTo: e@f.example\r\n{letter}"), None);
        check(&format!("subject : Pay now\r\n{letter}"), Some(Reason::MoreThanSigned("Subject")));
        check(&format!("From: c@d.example\r\n{letter}"), Some(Reason::MoreThanSigned("From")));
        // Whoever signs two has written two.
        let two = format!("Subject: Hi\r\n{letter}");
        assert_eq!(reason(&two, "from:subject:subject", &two), None);
    }
}
