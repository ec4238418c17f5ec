//! Accepted mail that must survive anything.

mod content;
mod lock;
mod query;
mod reserve;
mod spool;
pub mod sqlite;
mod types;

pub use content::{Content, Draft, disk};
pub use lock::Lock;
pub use query::{Filter, Page, State, Update, View};
pub use spool::{Spool, Submit};
pub use types::{
    CaptureView, CommitError, Committed, Delivery, Item, Lease, LeasedDelivery, Message, NewDelivery, NewMessage,
    OutboxEntry, Settlement, SettleError, SpoolError, Submission, SubmitError, Submitted, Verdict,
};
