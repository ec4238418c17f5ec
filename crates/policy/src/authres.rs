//! Authentication-Results (RFC 8601): what we found out, told to filters and mail programs; and what others claim that
//! we found out.
//!
//! [`Results`] is written by us under our name. [`claims_to_be`] finds the fields that arrive under it, which must be
//! removed before ours is added (§5): a program that trusts our field can't tell a forged one from it. [`read`] reads a
//! field by the grammar of §2.2.
//!
//! Nothing here depends on the checks whose results it writes: they are given as words and properties. Every text may
//! come from outside; it can't end the field, the line, a comment or a quoted string.

mod forged;
pub(crate) mod lexer;
mod read;
mod write;

pub use forged::claims_to_be;
pub use read::{Reading, ReadingEntry, UnreadableField, read};

/// The name of the field.
pub const FIELD: &str = "Authentication-Results";

/// All results for one message, under our name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Results {
    /// Our authserv-id (RFC 8601 §2.5): the name that readers of the field know us by.
    pub id: String,
    /// One for each thing that was checked; one for each signature. An empty list is written as `none`.
    pub entries: Vec<Entry>,
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was checked.
    pub method: Method,
    /// With which result.
    pub outcome: Outcome,
    /// Why, in words.
    pub reason: Option<String>,
    /// More for people.
    pub comment: Option<String>,
    /// What the result is about.
    pub properties: Vec<Property>,
}

impl Entry {
    /// A result with nothing else to say.
    pub fn new(method: Method, outcome: Outcome) -> Self {
        Self { method, outcome, reason: None, comment: None, properties: Vec::new() }
    }

    /// The same with a reason.
    #[must_use]
    pub fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// The same with a comment.
    #[must_use]
    pub fn comment(self, comment: impl Into<String>) -> Self {
        Self { comment: Some(comment.into()), ..self }
    }

    /// The same with one more property: `smtp.mailfrom=a@b.example`.
    #[must_use]
    pub fn property(mut self, kind: PropertyKind, name: &'static str, value: impl Into<String>) -> Self {
        self.properties.push(Property { kind, name, value: value.into() });
        self
    }
}

/// The methods of RFC 8601 §2.7 and RFC 8617 §10.1 that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// RFC 7208.
    Spf,
    /// RFC 6376.
    Dkim,
    /// RFC 9989.
    Dmarc,
    /// RFC 8617.
    Arc,
    /// RFC 8601 §3.
    Iprev,
    /// SMTP AUTH (RFC 4954).
    Auth,
}

impl Method {
    /// The word in the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spf => "spf",
            Self::Dkim => "dkim",
            Self::Dmarc => "dmarc",
            Self::Arc => "arc",
            Self::Iprev => "iprev",
            Self::Auth => "auth",
        }
    }
}

/// The results of RFC 8601 §2.7. Which of them a method has is said there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing to check.
    None,
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It probably does not.
    SoftFail,
    /// Nothing is said.
    Neutral,
    /// It holds, but not by our rules.
    Policy,
    /// It may be known later.
    TempError,
    /// It will never be known.
    PermError,
}

impl Outcome {
    /// The word in the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::Policy => "policy",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// What a result is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Where it stands.
    pub kind: PropertyKind,
    /// Which part of it: a word of RFC 8601 §2.7, never one from outside.
    pub name: &'static str,
    /// What it was.
    pub value: String,
}

/// The ptypes of RFC 8601 §2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PropertyKind {
    /// A parameter of an SMTP command.
    Smtp,
    /// A header field, or a tag of one.
    Header,
    /// Something in the body.
    Body,
    /// A rule of ours.
    Policy,
}

impl PropertyKind {
    /// The word in the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Header => "header",
            Self::Body => "body",
            Self::Policy => "policy",
        }
    }
}
