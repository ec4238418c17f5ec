//! What operators ask and change.

use mail::{DeliveryId, Mailbox, MessageId, Outcome, ReversePath, Timestamp, Transcript};
use serde::{Deserialize, Serialize};

/// The state of a delivery, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting for its first attempt.
    Queued,
    /// Being attempted.
    Active,
    /// Waiting for another attempt.
    Deferred,
    /// Waiting for a time that the sender chose.
    Scheduled,
    /// Waiting for an operator.
    Held,
    /// The next hop has it. (From the events: no longer in the spool.)
    Delivered,
    /// It failed for good. (From the events.)
    Bounced,
    /// Its deadline passed. (From the events.)
    Expired,
    /// An operator gave it up. (From the events.)
    Cancelled,
}

/// Which deliveries. Everything given must hold; nothing given is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
    /// The state.
    pub state: Option<State>,
    /// Accepted before this time.
    pub older: Option<Timestamp>,
}

/// Where in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Rows, at most 1,000.
    pub limit: usize,
    /// What the page before ended with.
    pub cursor: Option<String>,
}

/// A change to deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Update {
    /// Stop until released.
    Hold,
    /// Let go on, at once.
    Release,
    /// Give up, without a bounce.
    Cancel,
    /// Try now.
    Retry,
    /// Send by this route from now on: `mx`, `relay:host:port`, `maildir`, `capture`, `hold`, `reject`.
    Reroute(String),
}

/// One delivery with its message, as a list shows it.
#[derive(Clone, Debug)]
pub struct View {
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
    /// The address as given.
    pub original: Option<Mailbox>,
    /// Its state.
    pub state: State,
    /// Attempts so far.
    pub attempts: u32,
    /// The next attempt; nothing while active or held.
    pub next_due: Option<Timestamp>,
    /// The local address of the last attempt.
    pub source: Option<String>,
    /// When and how the last attempt ended.
    pub last: Option<(Timestamp, Outcome)>,
    /// The conversation of the last failed attempt. Filled by `get` and for single messages, not in long lists.
    pub transcript: Option<Transcript>,
}
