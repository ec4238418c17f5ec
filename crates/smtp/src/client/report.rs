//! What a session says to its driver.

use std::fmt;

use mail::{ForwardPath, Reply, Stage};

/// What the driver must do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Take bytes with `take_write` and write them all before polling on. It comes only when nothing more can be said
    /// without an answer, so that commands leave together.
    Write,
    /// The server is ready for the handshake: do it and call `handle_tls` or `handle_tls_failed`. Read nothing before.
    StartTls,
    /// The session can take a transaction: call `start` or `quit`. It comes once; after each [`Output::Done`] of a
    /// report that is reusable the same holds.
    Ready,
    /// Call `content` once, with as much as is at hand, or `content_end`, or `content_failed`.
    NeedContent,
    /// The transaction is over.
    Done(Report),
    /// The connection is of no use: no transaction was or will be tried on it.
    Failed(Failure),
    /// Close the connection. Nothing follows.
    Close,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One result for each recipient, in the order in which they were given.
    pub recipients: Vec<(ForwardPath, RecipientResult)>,
    /// Whether another transaction can be started on this connection.
    pub reusable: bool,
    /// Set when the server offered CHUNKING and then did not know BDAT. The recipients are `Lost`, not refused: try
    /// again at once on a new connection with [`super::Use::Never`].
    pub chunking_refused: bool,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientResult {
    /// The server has taken responsibility: 2xx after the last octet of the content.
    Accepted {
        /// Its words.
        reply: Reply,
    },
    /// The server said no, with 4xx or 5xx. Some servers say 552 at RCPT when they mean 452 4.5.3, too many recipients
    /// (RFC 5321 §4.5.3.1.10): whoever classifies must know.
    Refused {
        /// What was refused: MAIL, RCPT, DATA or the content.
        stage: Stage,
        /// Its words.
        reply: Reply,
    },
    /// Nobody said anything: the recipient is worth another try.
    Lost {
        /// Which answer did not come.
        stage: Stage,
        /// Why.
        cause: Cause,
        /// What happened, in a sentence.
        text: String,
    },
}

/// A connection that is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where it ended.
    pub stage: Stage,
    /// Why. With a reply it is [`Cause::Refused`].
    pub cause: Cause,
    /// The server's words, when it refused.
    pub reply: Option<Reply>,
    /// What happened, in a sentence.
    pub text: String,
}

/// Why something ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server refused with 4xx or 5xx.
    Refused,
    /// The connection broke.
    Closed,
    /// The server did not answer in time.
    Deadline,
    /// The server said what it may not say there.
    Protocol,
    /// There is no TLS and the settings require it, or the handshake failed.
    Tls,
    /// The credentials can't be used here, or the server did not prove that it knows them.
    Auth,
    /// The driver could not go on with the content.
    Content,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Deadline => "deadline",
            Self::Protocol => "protocol",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Content => "content",
        })
    }
}
