//! What goes through the verbs.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mail::{DeliveryId, Envelope, Mailbox, MessageId, Outcome, Reply, ReversePath, Timestamp, Transcript};

/// A message to commit. Its content is in the [`crate::Draft`].
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Its id, the one in the 250.
    pub id: MessageId,
    /// Its envelope.
    pub envelope: Envelope,
    /// Its recipients after aliases, each once.
    pub deliveries: Vec<NewDelivery>,
    /// Bytes to put before the content: trace fields made once everything is known.
    pub prefix: Bytes,
    /// A key under which a second commit is the same message, and how long it is kept.
    pub idempotency: Option<(String, Duration)>,
    /// Not before this time (scheduled); nothing: at once.
    pub not_before: Option<Timestamp>,
    /// The time after whose passing an attempt that fails is the last one.
    pub expires: Timestamp,
}

/// One recipient of a message to commit.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Where it goes.
    pub recipient: Mailbox,
    /// The address that the client gave, when an alias led to `recipient`.
    pub original: Option<Mailbox>,
    /// Whether it is born held.
    pub held: bool,
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The message is durable.
    New,
    /// Its idempotency key was known: that message stands for it.
    Already(MessageId),
}

/// A committed message as the scheduler sees it.
#[derive(Debug)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its envelope.
    pub envelope: Envelope,
    /// Octets of content.
    pub size: u64,
    /// When it was accepted.
    pub received: Timestamp,
    /// The time after whose passing a failed attempt is the last one.
    pub expires: Timestamp,
    /// The content, when it is small and still at hand.
    pub content: Option<Bytes>,
}

/// A message with those of its deliveries that were leased together.
#[derive(Clone, Debug)]
pub struct Item {
    /// The message.
    pub message: Arc<Message>,
    /// The leased deliveries, at least one.
    pub deliveries: Vec<LeasedDelivery>,
}

/// The right to attempt one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The fence: a settle with an older one is refused.
    pub fence: u64,
}

/// One leased delivery with its durable state.
#[derive(Clone, Debug)]
pub struct LeasedDelivery {
    /// The right to it.
    pub lease: Lease,
    /// The durable state.
    pub delivery: Arc<Delivery>,
}

/// The durable state of one delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Where it goes.
    pub recipient: Mailbox,
    /// The address that the client gave, when an alias led to `recipient`.
    pub original: Option<Mailbox>,
    /// Attempts so far.
    pub attempts: u32,
    /// The route that an operator forced: `reroute`.
    pub forced_route: Option<String>,
}

/// What became of one leased delivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The right to say so.
    pub lease: Lease,
    /// The message it belongs to.
    pub message: MessageId,
    /// The recipient, for the event.
    pub recipient: Mailbox,
    /// What to do with it.
    pub verdict: Verdict,
    /// The local address used.
    pub source: Option<String>,
    /// The conversation, kept for failures.
    pub transcript: Option<Transcript>,
}

/// What to do with a delivery that was attempted.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Delivered or bounced: it leaves the queue. A message without deliveries frees its content.
    Done(Outcome),
    /// Like `Done`, and the message is kept among the captured ones.
    Captured(Outcome),
    /// Try again at that time.
    Retry(Outcome, Timestamp),
    /// The attempt failed and its deadline has passed: it leaves the queue.
    Expired(Outcome),
    /// A route says hold: it waits for an operator. Not an attempt.
    Held,
}

/// One line of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its place, given by the single writer: never reused, always growing.
    pub sequence: u64,
    /// `mail::Event::encode`d.
    pub event: Bytes,
}

/// A captured message in a list.
#[derive(Clone, Debug)]
pub struct CaptureView {
    /// Its id.
    pub id: MessageId,
    /// When it was captured.
    pub at: Timestamp,
    /// Its reverse-path.
    pub reverse_path: ReversePath,
    /// Its recipients.
    pub recipients: Vec<Mailbox>,
    /// Octets of content.
    pub size: u64,
}

/// Why the spool as a whole refuses or fails.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// A sync failed: nothing is accepted or delivered until `posthouse queue recover`.
    #[error("the queue is stopped: {0}; mend the cause, then run `posthouse queue recover`")]
    Poisoned(String),
    /// Below the reserve. It recovers by itself.
    #[error("the disk is nearly full: {free} bytes free, {reserve} are kept in reserve")]
    DiskReserve {
        /// Bytes free.
        free: u64,
        /// Bytes kept.
        reserve: u64,
    },
    /// Too few files more can be made. It recovers by itself.
    #[error("the disk has hardly any inodes left: {free} free, {reserve} are kept in reserve")]
    InodeReserve {
        /// Inodes free.
        free: u64,
        /// Inodes kept.
        reserve: u64,
    },
    /// Another server has the directory: which, and what is known of it.
    #[error("{0}: another posthouse uses it; stop that one first, or give this one a data_dir of its own")]
    InUse(String),
    /// The queue was written by a newer version. It is left as it is.
    #[error(
        "{path} has format {found}, this version knows {known}; start the newer posthouse again, or move the file away"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// A file cannot grow. It recovers by itself.
    #[error("{what}: the disk is full; free some space there")]
    DiskFull {
        /// What was tried, with its path.
        what: String,
    },
    /// A file cannot be read or written.
    #[error("{what}: {why}")]
    Io {
        /// What was tried, with its path.
        what: String,
        /// The system's words.
        why: String,
    },
    /// Not known here.
    #[error("no such message")]
    NotFound,
    /// A stored thing that cannot be understood. It was set aside.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A cursor or filter that makes no sense.
    #[error("{0}")]
    BadQuery(String),
    /// Closing down.
    #[error("the queue is closed")]
    Closed,
}

impl SpoolError {
    /// Whether this is how the spool is for now, stopped or without room: it told the log once, when that began, and
    /// does so again when it is over. A caller who logs it for every message tells nothing new.
    pub fn is_told(&self) -> bool {
        match self {
            Self::Poisoned(_) | Self::DiskReserve { .. } | Self::InodeReserve { .. } | Self::Closed => true,
            Self::InUse(_)
            | Self::Newer { .. }
            | Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::NotFound
            | Self::Damaged(_)
            | Self::BadQuery(_) => false,
        }
    }
}

/// Why one commit failed. Its draft is rolled back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The spool as a whole.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// This message's id or a delivery's is taken: our bug.
    #[error("the id {0} is already in the queue")]
    DuplicateId(String),
}

/// Why one settlement failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SettleError {
    /// The lease was lost: another attempt owns the delivery, or an operator cancelled it.
    #[error("the lease of {0} is lost")]
    LeaseLost(DeliveryId),
    /// The spool as a whole: the delivery keeps its old state.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// A message for [`crate::Submit`].
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its envelope. `origin.user` decides the sender's rights; mail of our own has `Protocol::Local`.
    pub envelope: Envelope,
    /// Its recipients as given.
    pub recipients: Vec<Mailbox>,
    /// The content with header, lines ended by CRLF.
    pub content: Bytes,
    /// A key under which a second submission is the same message.
    pub idempotency: Option<String>,
}

/// What a submission did.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The message's id (the first one's, for a known key).
    pub id: MessageId,
    /// Whether the key was known.
    pub already: bool,
    /// Recipients refused, with the reason as a reply; the others are queued.
    pub refused: Vec<(Mailbox, Reply)>,
}

/// Why a submission was refused as a whole.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// By us, with the reply that an SMTP client would have got.
    #[error("{0}")]
    Refused(Reply),
    /// The spool failed: try later.
    #[error(transparent)]
    Spool(#[from] CommitError),
}
