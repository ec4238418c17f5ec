//! Verifying a chain (RFC 8617 §5.2): the machine.
//!
//! ```text
//! new(header) ─┬─ no set ───────────────────────────────────────────► None
//!              ├─ sets missing, doubled, unreadable, cv= wrong ─────► Fail
//!              └─ hashed, ask the keys of the newest set
//!                      │ answer ─► its seal does not verify ────────► Fail
//!                      ▼
//!                 ask the keys of the other seals ─► one does not ──► Fail
//!                      │ body streams through the BodyHasher
//! finish(body hashes) ─┴─ newest message signature ─────────────────► Pass or Fail
//! ```
//! Older message signatures are not looked at: later handlers may have changed the message (§5.2 step 5 is optional).

use mail::Timestamp;

use crate::{
    dkim::{
        Algorithm, BodyHashId, BodyHasher, BodyHashes, Canon, Fields, KeyRecord, Reason as DkimReason, Signature, parts,
    },
    dns::{Answer, Name, Question},
};

use super::{
    chain::{self, Set},
    reason::{FieldKind, Reason},
};

/// Chain Validation Status (RFC 8617 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// There is no chain.
    None,
    /// The chain is whole.
    Pass,
    /// It is not. To be treated as if it were not there.
    Fail,
}

impl Outcome {
    /// The word in the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

/// Who sealed one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealer {
    /// From 1.
    pub instance: u8,
    /// `d=` of the seal.
    pub domain: Name,
    /// `s=` of the seal.
    pub selector: Name,
    /// What it says it found: the value of an Authentication-Results field, for [`crate::authres::read`].
    pub results: String,
}

/// What became of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The result.
    pub outcome: Outcome,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// Who sealed it, the first one first. Nobody unless it passed.
    pub sealers: Vec<Sealer>,
}

impl Verdict {
    fn fail(reason: Reason) -> Self {
        Self { outcome: Outcome::Fail, reason: Some(reason), sealers: Vec::new() }
    }
}

/// Verifies the chain of one message.
#[derive(Debug)]
pub struct Verify(State);

#[derive(Debug)]
enum State {
    Open(Open),
    Done(Verdict),
}

/// A chain that is well-formed.
#[derive(Debug)]
struct Open {
    /// The newest one first.
    links: Vec<Link>,
    message: Message,
}

/// One seal.
#[derive(Debug)]
struct Link {
    sealer: Sealer,
    question: Question,
    algorithm: Algorithm,
    hash: [u8; 32],
    signature: Vec<u8>,
    verified: bool,
}

/// The newest message signature.
#[derive(Debug)]
struct Message {
    instance: u8,
    question: Question,
    key: Option<KeyRecord>,
    algorithm: Algorithm,
    header_hash: [u8; 32],
    body: BodyHashId,
    body_hash: [u8; 32],
    length: Option<u64>,
    signature: Vec<u8>,
}

impl Verify {
    /// Reads the chain, hashes what its seals and its newest message signature cover of the header, and tells `bodies`
    /// what it will want to know.
    pub fn new(fields: &Fields<'_>, now: Timestamp, bodies: &mut BodyHasher) -> Self {
        Self(match Open::new(fields, now, bodies) {
            Ok(Some(open)) => State::Open(open),
            Ok(None) => State::Done(Verdict { outcome: Outcome::None, reason: None, sealers: Vec::new() }),
            Err(reason) => State::Done(Verdict::fail(reason)),
        })
    }

    /// What is to be asked of the DNS now, each question once. After the answers there may be more; none are left when
    /// the list is empty.
    pub fn questions(&self) -> Vec<Question> {
        match &self.0 {
            State::Open(open) => open.questions(),
            State::Done(_) => Vec::new(),
        }
    }

    /// Takes an answer. One to something that was not asked is ignored.
    pub fn answer(&mut self, question: &Question, answer: &Answer) {
        if let State::Open(open) = &mut self.0
            && let Err(reason) = open.answer(question, answer)
        {
            self.0 = State::Done(Verdict::fail(reason));
        }
    }

    /// The body has ended: what became of the chain. What was not answered is a failure (§5.2.1: all are permanent).
    pub fn finish(self, bodies: &BodyHashes) -> Verdict {
        match self.0 {
            State::Open(open) => open.finish(bodies).unwrap_or_else(Verdict::fail),
            State::Done(verdict) => verdict,
        }
    }
}

impl Open {
    fn new(fields: &Fields<'_>, now: Timestamp, bodies: &mut BodyHasher) -> Result<Option<Self>, Reason> {
        let sets = chain::collect(fields)?;
        let Some(newest) = sets.last() else { return Ok(None) };
        if chain::is_broken(newest.seal.field) {
            return Err(Reason::Broken(newest.instance));
        }
        let mut links = links(fields, &sets)?;
        links.reverse();
        let message = Message::new(fields, newest, now, bodies)?;
        Ok(Some(Self { links, message }))
    }

    fn questions(&self) -> Vec<Question> {
        let newest = self.links.first().filter(|link| !link.verified);
        // A made-up chain has no newest seal that verifies, so its other names are never asked for.
        let others = self.links.iter().filter(|link| newest.is_none() && !link.verified);
        let message = self.message.key.is_none().then_some(&self.message.question);
        let mut questions: Vec<Question> = Vec::new();
        for question in
            message.into_iter().chain(newest.map(|link| &link.question)).chain(others.map(|link| &link.question))
        {
            if !questions.contains(question) {
                questions.push(question.clone());
            }
        }
        questions
    }

    fn answer(&mut self, question: &Question, answer: &Answer) -> Result<(), Reason> {
        if self.message.question == *question && self.message.key.is_none() {
            let key = KeyRecord::find(answer, self.message.algorithm);
            self.message.key = Some(key.map_err(|reason| Reason::Message(self.message.instance, reason))?);
        }
        for link in self.links.iter_mut().filter(|link| link.question == *question && !link.verified) {
            link.verify(answer).map_err(|reason| Reason::Seal(link.sealer.instance, reason))?;
        }
        Ok(())
    }

    fn finish(self, bodies: &BodyHashes) -> Result<Verdict, Reason> {
        self.message.finish(bodies).map_err(|reason| Reason::Message(self.message.instance, reason))?;
        if let Some(link) = self.links.iter().find(|link| !link.verified) {
            return Err(Reason::Seal(link.sealer.instance, DkimReason::KeyUnavailable));
        }
        let sealers = self.links.into_iter().rev().map(|link| link.sealer).collect();
        Ok(Verdict { outcome: Outcome::Pass, reason: None, sealers })
    }
}

/// Reads and hashes all seals, that of instance 1 first. Each covers all sets up to its own (§5.1.1).
fn links(fields: &Fields<'_>, sets: &[Set<'_, '_>]) -> Result<Vec<Link>, Reason> {
    let mut covered = parts::Hasher::new();
    let mut scratch = Vec::with_capacity(2048);
    let mut links = Vec::with_capacity(sets.len());
    for set in sets {
        let seal = chain::seal(set.instance, set.seal.field)?;
        for place in [set.results, set.message] {
            fields.canonical_without(place.index, 0..0, Canon::Relaxed, &mut scratch);
            scratch.extend_from_slice(b"\r\n");
        }
        covered.update(&scratch);
        scratch.clear();
        fields.canonical_without(set.seal.index, seal.blank, Canon::Relaxed, &mut scratch);
        let mut own = covered.clone();
        own.update(&scratch);
        scratch.clear();
        // Later seals cover this one with its signature.
        fields.canonical_without(set.seal.index, 0..0, Canon::Relaxed, &mut scratch);
        scratch.extend_from_slice(b"\r\n");
        let results = chain::results(set.results.field.value);
        links.push(Link {
            sealer: Sealer {
                instance: set.instance,
                domain: seal.domain,
                selector: seal.selector,
                results: results.map(|(_, results)| results).unwrap_or_default(),
            },
            question: seal.question,
            algorithm: seal.algorithm,
            hash: own.finish(),
            signature: seal.signature,
            verified: false,
        });
    }
    Ok(links)
}

impl Link {
    fn verify(&mut self, answer: &Answer) -> Result<(), DkimReason> {
        let record = KeyRecord::find(answer, self.algorithm)?;
        if !record.key.verify(&self.hash, &self.signature) {
            return Err(DkimReason::Signature);
        }
        self.verified = true;
        Ok(())
    }
}

impl Message {
    fn new(fields: &Fields<'_>, set: &Set<'_, '_>, now: Timestamp, bodies: &mut BodyHasher) -> Result<Self, Reason> {
        let wrong = |reason| Reason::Message(set.instance, reason);
        let tags = parts::tags_of(set.message.field.value).map_err(wrong)?;
        let signature = Signature::read_common(&tags).map_err(wrong)?;
        // §4.1.2: seals come after the signature, so none can be covered by it.
        if signature.names.iter().any(|name| name.eq_ignore_ascii_case(FieldKind::Seal.as_str())) {
            return Err(Reason::SealsSigned(set.instance));
        }
        if signature.is_expired(now) {
            return Err(wrong(DkimReason::Expired));
        }
        signature.require_all_named(fields).map_err(wrong)?;
        let mut scratch = Vec::with_capacity(2048);
        fields.select(signature.names.iter().copied(), Some(set.message.index), signature.header, &mut scratch);
        let blank = tags.tag("b").map(|tag| tag.range.clone()).unwrap_or_default();
        fields.canonical_without(set.message.index, blank, signature.header, &mut scratch);
        let mut hasher = parts::Hasher::new();
        hasher.update(&scratch);
        Ok(Self {
            instance: set.instance,
            question: signature.question().ok_or(wrong(DkimReason::Domain("s")))?,
            key: None,
            algorithm: signature.algorithm,
            header_hash: hasher.finish(),
            body: bodies.want(signature.body, signature.length),
            body_hash: signature.body_hash,
            length: signature.length,
            signature: signature.signature,
        })
    }

    /// As a DKIM signature (RFC 6376 §6.1.3).
    fn finish(&self, bodies: &BodyHashes) -> Result<(), DkimReason> {
        let key = self.key.as_ref().ok_or(DkimReason::KeyUnavailable)?;
        let body = bodies.get(self.body);
        if self.length.is_some_and(|length| length > body.length) {
            return Err(DkimReason::BodyTooShort);
        }
        if body.sha256 != self.body_hash {
            return Err(DkimReason::BodyHash);
        }
        if !key.key.verify(&self.header_hash, &self.signature) {
            return Err(DkimReason::Signature);
        }
        if self.length.is_some_and(|length| length < body.length) {
            return Err(DkimReason::BodyBeyond);
        }
        Ok(())
    }
}
