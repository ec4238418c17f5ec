//! What became of messages: the latest state per recipient, and how lists of it are asked for.

use mail::{DeliveryId, Event, EventKind, Mailbox, MessageId, Outcome, ReversePath, Timestamp};
use serde::{Deserialize, Serialize};

/// Rows of one page at most.
pub const PAGE_MAX: usize = 1000;

/// The latest state of a delivery, as the events tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted, or let go on; the spool knows more.
    Queued,
    /// Tried, and to be tried again.
    Deferred,
    /// Waiting for an operator.
    Held,
    /// The next hop has it.
    Delivered,
    /// It failed for good.
    Bounced,
    /// Its deadline passed.
    Expired,
    /// An operator gave it up.
    Cancelled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Deferred, Self::Held, Self::Delivered, Self::Bounced, Self::Expired, Self::Cancelled];

    /// Whether nothing more will happen: the delivery has left the spool.
    pub fn is_final(self) -> bool {
        self >= Self::Delivered
    }

    /// The stored number; the order is that of the enum and is part of the schema.
    pub(crate) fn code(self) -> i64 {
        Self::ALL.iter().position(|state| *state == self).and_then(|at| i64::try_from(at).ok()).unwrap_or(0)
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|code| Self::ALL.get(code).copied())
    }

    /// The state of a recipient after an event about it; nothing when the event leaves it where it is.
    pub(crate) fn after(kind: &EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::Accepted { .. } | EventKind::Released { .. } => Self::Queued,
            EventKind::Attempted { outcome: Outcome::Delivered { .. }, .. } => Self::Delivered,
            EventKind::Attempted { outcome: Outcome::Deferred(_), .. } => Self::Deferred,
            EventKind::Attempted { outcome: Outcome::Bounced(_), .. } => Self::Bounced,
            EventKind::Expired { .. } => Self::Expired,
            EventKind::Held { .. } => Self::Held,
            EventKind::Cancelled { .. } => Self::Cancelled,
            EventKind::Retried { .. } | EventKind::Rerouted { .. } => return None,
        })
    }
}

/// What an append did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Events taken now.
    pub taken: u64,
    /// Events that had been taken before.
    pub known: u64,
    /// Sequences whose bytes are no event: passed over, and logged.
    pub damaged: Vec<u64>,
}

/// Which deliveries. Everything given must hold; nothing given is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These messages.
    pub messages: Vec<MessageId>,
    /// These deliveries.
    pub deliveries: Vec<DeliveryId>,
    /// The recipient: a whole address, or `@domain`.
    pub to: Option<String>,
    /// The reverse-path: a whole address, `@domain`, or `<>`.
    pub from: Option<String>,
    /// The recipient's domain.
    pub domain: Option<String>,
    /// One of these states.
    pub states: Vec<State>,
    /// Accepted before this time.
    pub older: Option<Timestamp>,
}

/// Where in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows, at most [`PAGE_MAX`].
    pub limit: usize,
    /// What the page before ended with.
    pub cursor: Option<String>,
}

/// One delivery with its message, as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryView {
    /// The message.
    pub message: MessageId,
    /// Its reverse-path.
    pub reverse_path: ReversePath,
    /// Octets of content.
    pub size: u64,
    /// When it was accepted.
    pub received: Timestamp,
    /// The service that took it.
    pub service: String,
    /// The delivery.
    pub delivery: DeliveryId,
    /// Where it goes.
    pub recipient: Mailbox,
    /// Its latest state.
    pub state: State,
    /// Attempts so far.
    pub attempts: u32,
    /// The event that led to the state: when, and for an attempt how it ended.
    pub last: Event,
}
