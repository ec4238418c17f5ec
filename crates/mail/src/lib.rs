//! The words of mail: addresses, envelopes, replies, outcomes, events, messages.
//!
//! Everything here is plain data that is built by parsing and printed by name. There is no socket, file,
//! clock or randomness: time comes in as [`Timestamp`], chance as bytes.

mod address;
mod date;
pub mod dsn;
mod envelope;
mod escape;
mod event;
pub mod header;
mod id;
mod outcome;
mod reply;
mod time;
mod transcript;

pub use address::{AddressError, Domain, ForwardPath, LocalPart, Mailbox, ReversePath};
pub use envelope::{Body, Envelope, Origin, Protocol, TlsSummary};
pub use escape::for_log;
pub use event::{Event, EventError, EventKind};
pub use id::{DeliveryId, IdError, MessageId};
pub use outcome::{FailureClass, FailureKind, Outcome, Refusal, Stage};
pub use reply::{EnhancedCode, Reply, ReplyError};
pub use time::Timestamp;
pub use transcript::{Line, Side, Transcript};
