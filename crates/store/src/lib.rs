//! Everything an operator can edit or count: domains, users, aliases, and what became of every message.
//!
//! Two halves. The *directory* is small and asked at every RCPT: it is held in memory as an immutable [`Directory`] that
//! is replaced when something changes, so that a session reads it without SQL. The *events* are many and append-only:
//! they come in batches from the outbox of the spool, together with the cursor that says how far they were taken, so that
//! each is counted once. The queue itself is not here; spool and store do not know each other.
//!
//! | what | where | who writes it |
//! | --- | --- | --- |
//! | domains, users, aliases, catch-alls | `domain`, `user`, `alias`, `alias_target`, `catch_all` | an operator |
//! | the keys that sign a domain's mail, sealed | `dkim_key` | an operator |
//! | facts | `event` | the task that copies the outbox |
//! | the latest state per message and recipient | `message`, `delivery` | the same transaction |
//! | what the gate remembers | `greylist`, `acquaintance` | the gate, now and then |
//! | how far each node's facts were taken | `node` | the same transaction |
//!
//! A crash leaves either all of a batch or nothing of it. Migrations go forward only; a schema from a newer program is
//! refused.

mod directory;
mod error;
mod event;
mod gate;
mod sqlite;

pub use directory::{
    Alias, CatchAll, DKIM_KEYS_MAX, Directory, DkimKey, DomainEntry, DomainKind, EXPANSION_DEPTH_MAX, KeyState,
    Resolution, ScramVerifier, TARGETS_MAX, User, Verifiers,
};
pub use error::{ChangeError, DatabaseError, OpenError, QueryError};
pub use event::{Appended, DeliveryView, Filter, PAGE_MAX, Page, State};
pub use gate::{AcquaintanceRow, GreylistRow};
pub use sqlite::Store;
