//! The verbs that every engine has: begin, commit, rollback, lease, settle, find, recover.

use std::time::Duration;

use async_trait::async_trait;
use mail::{DeliveryId, MessageId, Timestamp};

use crate::{
    CaptureView, CommitError, Committed, Content, Draft, Filter, Item, Lease, NewMessage, OutboxEntry, Page,
    SettleError, Settlement, SpoolError, State, Submission, SubmitError, Submitted, Update, View,
};

/// A durable queue. One conformance suite (`tests/`) holds for every engine.
#[async_trait]
pub trait Spool: Send + Sync + std::fmt::Debug + 'static {
    /// Starts receiving a message. Nothing is durable until [`Spool::commit`]; a dropped draft is rolled back.
    /// Fails at once when the spool is poisoned or the disk is below its reserve, so that MAIL can be refused.
    fn begin(&self) -> Result<Draft, SpoolError>;

    /// Makes message and content durable. When this returns `Ok`, both are synced. A known idempotency key answers
    /// `Committed::Already` and the draft is dropped. Events are written to the outbox in the same transaction.
    async fn commit(&self, draft: Draft, message: NewMessage, now: Timestamp) -> Result<Committed, CommitError>;

    /// Takes what is ready: fresh messages first, in order of arrival, then those due at `now`, fairly by domain.
    /// Each delivery returned is leased with a fence. `skip_domains` are left alone (their windows are full).
    async fn lease(&self, limit: usize, skip_domains: &[String], now: Timestamp) -> Result<Vec<Item>, SpoolError>;

    /// Waits until there may be more to lease than before: a fresh message, or a due time that came nearer. A due time
    /// that is reached is for the caller's timer, see [`Spool::next_due`]: the spool has no clock.
    async fn ready(&self);

    /// The earliest due time of what waits, for the caller's timer.
    async fn next_due(&self) -> Result<Option<Timestamp>, SpoolError>;

    /// Gives leases back untried, due at the given time: for a full window, a fresh item that waits too long, shutdown.
    async fn park(&self, leases: Vec<Lease>, due: Timestamp) -> Result<(), SpoolError>;

    /// Records what became of leased deliveries, with events, in one transaction with whatever else is waiting. An
    /// old fence is refused for that settlement alone.
    async fn settle(&self, settlements: Vec<Settlement>, now: Timestamp) -> Vec<Result<(), SettleError>>;

    /// The content of a message, as a stream handle.
    async fn content(&self, message: MessageId) -> Result<Content, SpoolError>;

    /// Deliveries that match, newest first, with a cursor.
    async fn find(
        &self,
        filter: &Filter,
        page: &Page,
        now: Timestamp,
    ) -> Result<(Vec<View>, Option<String>), SpoolError>;

    /// Numbers per state, from maintained counters: costs the same at ten and at ten million.
    async fn count(&self) -> Result<Vec<(State, u64)>, SpoolError>;

    /// Numbers per (domain, state) for the largest domains, at most `limit` rows.
    async fn count_by_domain(&self, limit: usize) -> Result<Vec<(String, State, u64)>, SpoolError>;

    /// Changes everything that matches, set-wise and in bounded steps that let the mail go on. Returns how many.
    async fn update(&self, filter: &Filter, update: &Update, now: Timestamp) -> Result<u64, SpoolError>;

    /// Captured messages, newest first.
    async fn captured(&self, before: Option<MessageId>, limit: usize) -> Result<Vec<CaptureView>, SpoolError>;

    /// Outbox entries after `after`, in order of sequence.
    async fn outbox(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>, SpoolError>;

    /// Waits until the outbox may have entries after `after`, at most `wait`.
    async fn outbox_ready(&self, after: u64, wait: Duration);

    /// Whose sequence the outbox has: a consumer's cursor is (node, sequence). A new one when the database had to begin
    /// anew, so that an old cursor never hides new entries.
    fn node(&self) -> String;

    /// Forgets outbox entries up to and with `through`: the store has them.
    async fn trim_outbox(&self, through: u64) -> Result<(), SpoolError>;

    /// Why the spool refuses work, when it does: a sentence for an operator.
    fn poisoned(&self) -> Option<String>;

    /// What an operator must look at: damage that was set aside. Kept until the next start.
    fn alerts(&self) -> Vec<String> {
        Vec::new()
    }

    /// An operator says that the cause is mended: checks the files again and, if they are sound, lifts the poison.
    async fn recover(&self) -> Result<(), SpoolError>;

    /// Deletes what retention no longer wants: captured messages beyond the bound, old idempotency keys, orphaned files.
    async fn sweep(&self, now: Timestamp) -> Result<(), SpoolError>;

    /// Finishes what is in flight, checkpoints and closes.
    async fn close(&self);

    /// Whether a delivery is still in the spool.
    async fn get(&self, delivery: DeliveryId, now: Timestamp) -> Result<Option<View>, SpoolError>;
}

/// The one door for everything that sends: implemented by `inbound::submit`, handed by `wire` to bounces, the web
/// and the command line, so that sender rights, limits, fix-ups and filters hold for all.
#[async_trait]
pub trait Submit: Send + Sync + std::fmt::Debug + 'static {
    /// Submits one message. Durable when it returns `Ok`.
    async fn submit(&self, submission: Submission, now: Timestamp) -> Result<Submitted, SubmitError>;
}
