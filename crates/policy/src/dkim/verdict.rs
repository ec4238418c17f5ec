//! What became of a signature: the result in the words of RFC 8601 §2.7.1, and why.

use crate::{dns::Name, tags::TagError};

use super::signature::Algorithm;

/// The results that Authentication-Results knows for DKIM. No signature at all is not a result of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The signature is right and acceptable.
    Pass,
    /// It is acceptable and does not fit the message.
    Fail,
    /// It has errors of syntax, so nothing can be said.
    Neutral,
    /// It was not looked at, or is not enough for us.
    Policy,
    /// The key could not be had; it may work later.
    TempError,
    /// It can't be verified, now or later.
    PermError,
}

impl Outcome {
    /// The word of Authentication-Results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Neutral => "neutral",
            Self::Policy => "policy",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// Why a signature did not pass. `Display` is a phrase of ASCII without quotes, for Authentication-Results and for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The field is no tag list.
    #[error("the field is malformed: {0}")]
    Tags(TagError),
    /// The field is longer than 16 KiB.
    #[error("the field is too long")]
    TooLong,
    /// A value can't be read.
    #[error("tag {0}= is malformed")]
    Malformed(&'static str),
    /// RFC 6376 §3.5: a required tag.
    #[error("tag {0}= is missing")]
    Missing(&'static str),
    /// `v=` is not 1.
    #[error("unknown version")]
    Version,
    /// `d=` or `s=` is not a domain name that anybody could own.
    #[error("tag {0}= is no domain name")]
    Domain(&'static str),
    /// RFC 8301 §3.1.
    #[error("rsa-sha1 is no longer accepted")]
    Sha1,
    /// `a=` is none that we know.
    #[error("unknown algorithm")]
    Algorithm,
    /// `c=` is none that we know.
    #[error("unknown canonicalization")]
    Canonicalization,
    /// `q=` has no method that we know.
    #[error("unknown query method")]
    Query,
    /// `h=` has no From.
    #[error("From is not signed")]
    FromNotSigned,
    /// `h=` has more than 500 names.
    #[error("too many fields are signed")]
    TooManyNames,
    /// The domain of `i=` is not within `d=`.
    #[error("the identity is outside the domain")]
    Identity,
    /// `x=` is over.
    #[error("the signature has expired")]
    Expired,
    /// `x=` is not after `t=`.
    #[error("the signature expires before it was made")]
    ExpiresBeforeMade,
    /// More than ten signatures come before it.
    #[error("too many signatures")]
    TooManySignatures,
    /// More fields than are looked at.
    #[error("too many header fields")]
    TooManyFields,
    /// A line of the header section is no field.
    #[error("the header is broken")]
    BrokenHeader,
    /// A field that a message has once is there more often than `h=` names it (RFC 6376 §8.15): anybody could have
    /// added the one that readers are shown.
    #[error("{0} is there more often than it is signed")]
    MoreThanSigned(&'static str),
    /// The DNS did not answer.
    #[error("the key could not be looked up")]
    KeyUnavailable,
    /// There is no record.
    #[error("no key is published")]
    NoKey,
    /// There are records, but none is a key.
    #[error("the published key is malformed")]
    KeySyntax,
    /// `p=` is empty.
    #[error("the key has been revoked")]
    Revoked,
    /// The key is for another algorithm.
    #[error("the key is of another type")]
    KeyType,
    /// `h=` of the key does not allow SHA-256.
    #[error("the key does not allow this hash")]
    KeyHash,
    /// `s=` of the key does not allow mail.
    #[error("the key is not for mail")]
    KeyService,
    /// RFC 8301 §3.2.
    #[error("the key has only {0} bits")]
    WeakKey(u32),
    /// More than 4096 bits.
    #[error("the key has {0} bits, which is too many")]
    HugeKey(u32),
    /// `t=s` of the key: `i=` must have exactly the domain `d=`.
    #[error("the key does not allow an identity in a subdomain")]
    StrictIdentity,
    /// The body was changed.
    #[error("the body has been changed")]
    BodyHash,
    /// A signed field was changed, or one was added to an over-signed name, or it is somebody else's signature.
    #[error("the signature does not fit the header")]
    Signature,
    /// `l=` is more than there is.
    #[error("the body is shorter than l=")]
    BodyTooShort,
    /// The signature is right, but anybody could have added the rest of the body.
    #[error("the body goes on beyond l=")]
    BodyBeyond,
}

impl Reason {
    /// The result that follows.
    pub fn outcome(self) -> Outcome {
        match self {
            // RFC 8601 §2.7.1: "contained syntax errors or were not otherwise able to be processed".
            Self::Tags(_) | Self::TooLong | Self::Malformed(_) => Outcome::Neutral,
            Self::Expired
            | Self::TooManySignatures
            | Self::TooManyFields
            | Self::BrokenHeader
            | Self::MoreThanSigned(_)
            | Self::WeakKey(_)
            | Self::HugeKey(_)
            | Self::BodyBeyond => Outcome::Policy,
            Self::KeyUnavailable => Outcome::TempError,
            Self::BodyHash | Self::Signature | Self::BodyTooShort => Outcome::Fail,
            Self::Missing(_)
            | Self::Version
            | Self::Domain(_)
            | Self::Sha1
            | Self::Algorithm
            | Self::Canonicalization
            | Self::Query
            | Self::FromNotSigned
            | Self::TooManyNames
            | Self::Identity
            | Self::ExpiresBeforeMade
            | Self::NoKey
            | Self::KeySyntax
            | Self::Revoked
            | Self::KeyType
            | Self::KeyHash
            | Self::KeyService
            | Self::StrictIdentity => Outcome::PermError,
        }
    }
}

/// What became of one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why it did not pass; nothing when it did.
    pub reason: Option<Reason>,
    /// `d=`: who takes responsibility. Nothing when it can't be read.
    pub domain: Option<Name>,
    /// `s=`.
    pub selector: Option<Name>,
    /// `i=`, or what stands for it when it is left out: `@` and the domain.
    pub identity: Option<String>,
    /// `a=`, if it is one that we know.
    pub algorithm: Option<Algorithm>,
    /// Bits of the public key, once it is known.
    pub key_bits: Option<u32>,
    /// `t=y` of the key (RFC 6376 §3.6.1): the domain is testing; a failure must not count against the message.
    pub testing: bool,
    /// The first eight characters of `b=`, which tell signatures apart (`header.b`, RFC 6008 §3). Base64 only.
    pub signature_start: String,
}

impl Verdict {
    /// The result.
    pub fn outcome(&self) -> Outcome {
        self.reason.map_or(Outcome::Pass, Reason::outcome)
    }

    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.reason.is_none()
    }
}

/// What became of all signatures of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One for each signature that was looked at, from the top down; at most ten.
    pub verdicts: Vec<Verdict>,
    /// How many more there are. They are not looked at, and count as `policy`: too many signatures.
    pub skipped: usize,
}

impl Report {
    /// The signatures that passed.
    pub fn passed(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.passed())
    }
}
