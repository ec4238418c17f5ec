//! What became of one attempt at one recipient. Delivered, deferred and bounced are outcomes, not errors.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Reply;

/// Where in the conversation something was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Deciding where to send it.
    Route,
    /// Asking for MX and addresses.
    Dns,
    /// Opening the connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The 220.
    Banner,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA, up to the 354.
    Data,
    /// The content and the reply to its end.
    Content,
    /// RSET, QUIT and between transactions.
    Close,
    /// Writing to a mailbox of our own.
    Local,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Route => "route",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Banner => "banner",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Content => "content",
            Self::Close => "close",
            Self::Local => "local",
        })
    }
}

/// Why a delivery failed, in one word for SMTP, API, console and statistics alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum FailureClass {
    UnknownUser,
    InactiveMailbox,
    BadDomain,
    MailboxFull,
    TooLarge,
    Greylisted,
    RateLimited,
    IpBlocked,
    DomainBlocked,
    ContentSpam,
    PolicyAuth,
    TlsRequired,
    Network,
    Protocol,
    Expired,
    Suppressed,
    Loop,
    Smtputf8,
    Virus,
    SenderRejected,
    Account,
    Unknown,
}

/// What a failure means for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The recipient is at fault, for good.
    Hard,
    /// It may work later.
    Soft,
    /// We are refused, not the recipient.
    Block,
}

/// A refusal and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The step that failed.
    pub stage: Stage,
    /// The host that answered, or that could not be reached: `mx.example.net [192.0.2.1]`. Empty when none was.
    pub host: String,
    /// The reply. One that we made ourselves for a failure without a reply has `from_peer` false.
    pub reply: Reply,
    /// Whether the reply is the peer's own words.
    pub from_peer: bool,
    /// The class.
    pub class: FailureClass,
    /// The kind.
    pub kind: FailureKind,
}

/// What became of one attempt at one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The next hop has it.
    Delivered {
        /// The host that took it.
        host: String,
        /// Its reply.
        reply: Reply,
    },
    /// It will be tried again.
    Deferred(Refusal),
    /// It will not.
    Bounced(Refusal),
}
