//! What goes into a check and what comes out.

use std::net::IpAddr;

use mail::Timestamp;

use crate::dns::{Name, Question};

use super::record::{Qualifier, RecordError};

/// Who sends, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// What it called itself in EHLO.
    pub helo: &'a str,
    /// The reverse-path without its brackets; empty for the null one.
    pub mail_from: &'a str,
    /// Our name, for `%{r}` and the header field.
    pub receiver: &'a str,
    /// For `%{t}`.
    pub now: Timestamp,
}

/// Which of the sender's names was checked (RFC 7208 §2.3, §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The domain of MAIL FROM.
    MailFrom,
    /// The name in HELO or EHLO.
    Helo,
}

impl Identity {
    /// The word in `Received-SPF` (RFC 7208 §9.1).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MailFrom => "mailfrom",
            Self::Helo => "helo",
        }
    }
}

/// The seven results of RFC 7208 §2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// There is no domain, or it publishes nothing.
    None,
    /// The domain says nothing about this address.
    Neutral,
    /// The address may send for the domain.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The DNS failed: later it may be known.
    TempError,
    /// The domain's records can't be understood.
    PermError,
}

impl Outcome {
    /// The word of the RFC, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl From<Qualifier> for Outcome {
    fn from(qualifier: Qualifier) -> Self {
        match qualifier {
            Qualifier::Pass => Self::Pass,
            Qualifier::Fail => Self::Fail,
            Qualifier::SoftFail => Self::SoftFail,
            Qualifier::Neutral => Self::Neutral,
        }
    }
}

/// Why a check ended without an answer of the domain. Its text is one line, safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// RFC 7208 §4.3: no domain, one of a single label, an address literal.
    #[error("there is no domain to check")]
    NoDomain,
    /// The domain has no SPF record.
    #[error("{0} has no SPF record")]
    NoRecord(Name),
    /// RFC 7208 §4.5.
    #[error("{0} has several SPF records")]
    SeveralRecords(Name),
    /// A record is wrong.
    #[error("in the record of {domain}: {error}")]
    Record {
        /// Whose.
        domain: Name,
        /// What is wrong with it.
        error: RecordError,
    },
    /// An `include` or `redirect` whose macros make no name.
    #[error("in the record of {0}: include or redirect leads to no domain")]
    BadTarget(Name),
    /// More than [`super::RECORD_OCTETS_MAX`].
    #[error("the records are too long")]
    TooLong,
    /// More than [`super::LOOKUPS_MAX`].
    #[error("the records need more than 10 DNS lookups")]
    Lookups,
    /// More than [`super::VOID_LOOKUPS_MAX`].
    #[error("more than 2 DNS lookups of the records find nothing")]
    VoidLookups,
    /// More than [`super::MX_HOSTS_MAX`].
    #[error("{0} has more than 10 MX records")]
    MxHosts(Name),
    /// The DNS failed.
    #[error("the DNS did not answer for {}", .0.name)]
    Dns(Question),
    /// Time was over.
    #[error("the DNS took too long")]
    Expired,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which of the seven.
    pub outcome: Outcome,
    /// Whose name was checked.
    pub identity: Identity,
    /// The domain that was checked, as a name of the DNS; DMARC aligns it. Nothing if there is none.
    pub domain: Option<Name>,
    /// The mechanism that decided, as its record has it, in the record of `domain` or where `redirect` led. Nothing when
    /// none matched.
    pub mechanism: Option<String>,
    /// Whose record that is: `domain`, or where `redirect` led.
    pub decided_by: Option<Name>,
    /// With a fail, the explanation that the domain gives: one line of printable ASCII, the words of a stranger.
    pub explanation: Option<String>,
    /// With none, temperror and permerror: what is wrong.
    pub problem: Option<Problem>,
}

/// What a check says when polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Ask this, and hand the answer to [`super::Check::answer`].
    Ask(Question),
    /// The result.
    Done(Verdict),
}
