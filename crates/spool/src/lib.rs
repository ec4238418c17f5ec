//! Accepted mail that must survive anything.
//!
//! [`Spool`] is the trait: begin, commit, lease, settle, find, recover. [`sqlite::Engine`] is the engine there is. Deciding
//! when and where to send is `outbound`'s; this crate keeps, hands out one at a time, and never loses. It opens no socket
//! and reads no clock: every verb that needs the time is given it.
//!
//! # What is on the disk
//!
//! `queue.db` with its log `queue.db-wal`, `content/` with one file per message above 128 KiB, `incoming/` with what is
//! being received, `lock`. Rows are those of `sqlite/schema.sql`. *Durable* means that a sync has returned.
//!
//! | state | `message` | `delivery` | content | also |
//! | --- | --- | --- | --- | --- |
//! | being received | – | – | memory; past 128 KiB `incoming/N` | – |
//! | fresh: waiting or leased, nothing happened yet | whole: lists its deliveries | – | `content` row, or file with a row naming it | memory: the window |
//! | waiting: retried, parked, overflowed, older than 10 s | split | a row with `due` | the same | counted in `destination`, `counter` |
//! | waiting, and being attempted | split | `owner`, `lease_until`, `fence` set: out of the due index | the same | memory: the lease |
//! | held | split | state 3, no `due` | the same | |
//! | scheduled | split | state 2, `due` is the time asked for | the same | |
//! | captured | – | – | the same, kept by its counter | `captured` |
//! | done: delivered, bounced, expired, cancelled | deleted with its last delivery | deleted | deleted with its last user; then the file | events in `outbox` until the store has them |
//!
//! # What a crash leaves
//!
//! Each line is a moment; the next start, or an operator's `recover`, makes of it what stands on the right.
//!
//! | the crash comes | what is there | what becomes of it |
//! | --- | --- | --- |
//! | while content arrives | `incoming/N`, cut anywhere | removed at the start; nobody was told 250 |
//! | after the file was written, before its sync | the same | the same |
//! | after the rename, before the row is durable | a file of `content/` without a row | an orphan: its name carries an earlier epoch, the sweep removes it |
//! | while the transaction is written to the log | frames without a valid end | SQLite passes over them; nobody was told 250 |
//! | after the sync, before the 250 is sent | the message, whole | it is delivered; the client, who has no answer, may send it again |
//! | while it is leased and attempted | the message; a lease of a dead epoch | the lease is void, it is tried again: at worst a duplicate |
//! | after the settle's sync | no row; its event in the outbox | done; the event is copied |
//! | between the settle's sync and the removal of the file | a file without a row | an orphan: swept |
//! | with an operator's hold or cancel noted for an attempt | the wish on the row | granted at the start, with its event |
//! | between copying events and trimming them | the events, again | the store takes each (node, sequence) once |
//! | while a checkpoint runs | pages in the log and in the database file | the log has all of them; the checkpoint runs again |
//!
//! # When the disk fails
//!
//! A full disk fails what is waiting, and the next try may succeed. Any other error of a write or sync stops the spool
//! ([`Spool::poisoned`]): what the disk holds is then known to nobody, and a sync that failed must never be tried again as
//! if it had not. [`Spool::recover`] opens the files again, checks every page, and goes on from what is there; attempts
//! that were under way have lost their leases. A database that cannot be understood is renamed to `queue.db.damaged-N`;
//! every row on its sound pages is taken over, however its tree is broken, and [`Spool::alerts`] says so.

mod content;
mod lock;
mod query;
mod reserve;
mod spool;
pub mod sqlite;
mod types;

pub use content::{Content, Draft, DraftReader, disk};
pub use lock::Lock;
pub use query::{Filter, Page, State, Update, View};
pub use spool::{Spool, Submit};
pub use types::{
    CaptureView, CommitError, Committed, Delivery, Item, Lease, LeasedDelivery, Message, NewDelivery, NewMessage,
    OutboxEntry, SettleError, Settlement, SpoolError, Submission, SubmitError, Submitted, Verdict,
};
