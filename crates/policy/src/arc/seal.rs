//! Adding a set of our own (RFC 8617 §5.1).
//!
//! ```text
//! Seal::begin(header) ─► the chain is counted and hashed, the fields to sign are hashed, a body hash is wanted
//!                             │   body streams through the BodyHasher
//! Sealing::finish(body hashes, what we found) ─► results ─► message signature ─► seal ─► text
//! ```
//!
//! Deviation: a chain that did not pass is left as it is. §5.1.2 lets a sealer mark it with `cv=fail`, which tells the
//! next one only what it finds out itself.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mail::Timestamp;

use crate::{
    authres::Results,
    dkim::{
        BodyHashId, BodyHasher, BodyHashes, Canon, Fields, NAMES_MAX, OVERSIGNED, SIGNED, SignError, Signer,
        SigningKey, parts,
    },
    dns::Name,
};

use super::{
    chain::{self, SETS_MAX},
    reason::FieldKind,
    verify::{Outcome, Verdict},
};

/// Columns of a line (RFC 5322 §2.1.1 asks for at most 78).
const COLUMNS: usize = 76;
/// Characters of base64 in a line.
const BASE64_COLUMNS: usize = 72;
const FOLD: &str = "\r\n\t";

/// What we seal with. Made once, used for many messages.
#[derive(Clone, Debug)]
pub struct Seal {
    domain: Name,
    key: SigningKey,
}

/// Why a message gets no seal of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The chain did not pass, or is not the one that the verdict is about.
    #[error("the chain on the message is broken")]
    Broken,
    /// There are fifty sets.
    #[error("the chain on the message is full")]
    Full,
    /// It can't be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Seal {
    /// Seals for a domain.
    ///
    /// # Errors
    /// When a name is not one that can be in `d=` or `s=`.
    pub fn new(domain: Name, key: SigningKey) -> Result<Self, SignError> {
        // The names must be such that they could sign mail, too.
        Signer::new(domain.clone(), vec![key.clone()])?;
        Ok(Self { domain, key })
    }

    /// Hashes the header of a message and asks `bodies` for the hash of its body. All other changes have been made by
    /// now, our DKIM-Signature included (§5.1 step 1).
    ///
    /// # Errors
    /// When the chain is malformed or full, or the message has no From or too many fields.
    pub fn begin(&self, fields: &Fields<'_>, now: Timestamp, bodies: &mut BodyHasher) -> Result<Sealing, SealError> {
        let sets = chain::collect(fields).map_err(|_| SealError::Broken)?;
        if sets.len() == SETS_MAX {
            return Err(SealError::Full);
        }
        let names = names(fields)?;
        let mut scratch = Vec::with_capacity(2048);
        fields.select(names.iter().copied(), None, Canon::Relaxed, &mut scratch);
        let mut message = parts::Hasher::new();
        message.update(&scratch);
        scratch.clear();
        for index in sets.iter().flat_map(|set| [set.results.index, set.message.index, set.seal.index]) {
            fields.canonical_without(index, 0..0, Canon::Relaxed, &mut scratch);
            scratch.extend_from_slice(b"\r\n");
        }
        let mut chain = parts::Hasher::new();
        chain.update(&scratch);
        Ok(Sealing {
            seal: self.clone(),
            names: names.join(": "),
            instance: sets.len() + 1,
            message,
            chain,
            made: now.as_secs().max(0),
            body: bodies.want(Canon::Relaxed, None),
        })
    }
}

/// `h=`: what DKIM signs, and the signatures that are there (§4.1.2). From once more than it occurs.
fn names(fields: &Fields<'_>) -> Result<Vec<&'static str>, SignError> {
    if fields.count("From") == 0 {
        return Err(SignError::NoFrom);
    }
    let mut names = vec!["From"];
    for name in OVERSIGNED.iter().chain(SIGNED).chain(&["DKIM-Signature"]) {
        let count = fields.count(name);
        if !fields.is_whole() || names.len() + count > NAMES_MAX {
            return Err(SignError::TooManyFields);
        }
        names.extend(std::iter::repeat_n(*name, count));
    }
    Ok(names)
}

/// A message that is being sealed.
#[derive(Debug)]
pub struct Sealing {
    seal: Seal,
    names: String,
    instance: usize,
    /// Has taken the fields that are signed.
    message: parts::Hasher,
    /// Has taken the sets that are there.
    chain: parts::Hasher,
    /// `t=`.
    made: i64,
    body: BodyHashId,
}

impl Sealing {
    /// The set: three fields, each with its CRLF; they go on top of the header. Two private-key operations.
    /// `verdict` is what became of the chain on arrival, `results` all that we found out.
    ///
    /// # Errors
    /// When the chain did not pass, or the key does not sign.
    pub fn finish(mut self, bodies: &BodyHashes, verdict: &Verdict, results: &Results) -> Result<String, SealError> {
        let status = match verdict.outcome {
            Outcome::None if self.instance == 1 => "none",
            Outcome::Pass if self.instance == verdict.sealers.len() + 1 => "pass",
            _ => return Err(SealError::Broken),
        };
        let instance = self.instance;
        let aar = format!("{}: i={instance}; {results}\r\n", FieldKind::AuthenticationResults.as_str());
        let common = format!(
            "a={}; d={}; s={}; t={};",
            self.seal.key.key.algorithm().as_str(),
            self.seal.domain,
            self.seal.key.selector,
            self.made
        );
        let body = STANDARD.encode(bodies.get(self.body).sha256);
        let text = format!("i={instance}; c=relaxed/relaxed; {common} h={}; bh={body}; b=", self.names);
        let ams = self.signed(FieldKind::MessageSignature, &text, self.message.clone())?;
        for (kind, field) in [(FieldKind::AuthenticationResults, &aar), (FieldKind::MessageSignature, &ams)] {
            self.chain.update(&canonical(kind, field));
            self.chain.update(b"\r\n");
        }
        let text = format!("i={instance}; cv={status}; {common} b=");
        let seal = self.signed(FieldKind::Seal, &text, self.chain.clone())?;
        Ok(seal + &ams + &aar)
    }

    /// A field and its signature, which covers what `covered` has taken and the field itself.
    fn signed(&self, kind: FieldKind, text: &str, mut covered: parts::Hasher) -> Result<String, SignError> {
        let mut field = folded(kind, text);
        covered.update(&canonical(kind, &field));
        let signature = STANDARD.encode(self.seal.key.key.sign(&covered.finish())?);
        let mut rest = signature.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(BASE64_COLUMNS));
            field.push_str(FOLD);
            field.push_str(line);
            rest = after;
        }
        field.push_str("\r\n");
        Ok(field)
    }
}

/// RFC 6376 §3.4.2, without a line end.
fn canonical(kind: FieldKind, field: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let value = field.get(kind.as_str().len() + 1..).unwrap_or_default();
    parts::canonical_field(Canon::Relaxed, kind.as_str().as_bytes(), value.as_bytes(), field.as_bytes(), &mut out);
    out
}

/// A field whose words are separated by blanks or folds.
fn folded(kind: FieldKind, text: &str) -> String {
    let mut field = format!("{}:", kind.as_str());
    let mut column = field.len();
    for word in text.split(' ') {
        if column + 1 + word.len() > COLUMNS {
            field.push_str(FOLD);
            column = 1;
        } else {
            field.push(' ');
            column += 1;
        }
        field.push_str(word);
        column += word.len();
    }
    field
}
