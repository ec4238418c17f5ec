//! What the engine's threads and its callers share.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use tokio::sync::{Notify, watch};

use super::{fresh::Window, row::Tally};
use crate::{SpoolError, content::Place, reserve::Reserve};

/// Alerts kept for an operator to read.
const ALERTS_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) reserve: Arc<Reserve>,
    /// A new fresh message, or an earlier due time.
    pub(super) ready: Notify,
    /// The last sequence of the outbox.
    pub(super) outbox_last: watch::Sender<u64>,
    window: Mutex<Window>,
    /// Rows of `delivery` by state.
    rows: Mutex<Tally>,
    /// The earliest due time of what has no lease, in microseconds; `i64::MAX` when there is none.
    due_head: AtomicI64,
    poisoned: AtomicBool,
    poison: Mutex<Option<String>>,
    closed: AtomicBool,
    /// How often the database was opened: connections of an earlier one are stale.
    generation: AtomicU64,
    orphans_wanted: AtomicBool,
    node: Mutex<String>,
    alerts: Mutex<Vec<String>>,
}

impl Shared {
    pub(super) fn new(place: Place, reserve: Reserve) -> Arc<Self> {
        Arc::new(Self {
            place,
            reserve: Arc::new(reserve),
            ready: Notify::new(),
            outbox_last: watch::Sender::new(0),
            window: Mutex::default(),
            rows: Mutex::default(),
            due_head: AtomicI64::new(i64::MAX),
            poisoned: AtomicBool::new(false),
            poison: Mutex::default(),
            closed: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            orphans_wanted: AtomicBool::new(true),
            node: Mutex::default(),
            alerts: Mutex::default(),
        })
    }

    pub(super) fn window(&self) -> MutexGuard<'_, Window> {
        lock(&self.window)
    }

    pub(super) fn rows(&self) -> Tally {
        *lock(&self.rows)
    }

    pub(super) fn set_rows(&self, rows: Tally) {
        *lock(&self.rows) = rows;
    }

    pub(super) fn due_head(&self) -> i64 {
        self.due_head.load(Ordering::Acquire)
    }

    /// Notes the earliest due time; wakes the one who leases when it came nearer.
    pub(super) fn set_due_head(&self, head: i64) {
        if head < self.due_head.swap(head, Ordering::AcqRel) {
            self.ready.notify_one();
        }
    }

    /// Stops the spool: a sync failed, or the database cannot be trusted. The first cause stays.
    pub(super) fn set_poison(&self, cause: &str) {
        let mut poison = lock(&self.poison);
        if poison.is_none() {
            tracing::error!(
                cause,
                "the queue is stopped: nothing is accepted or delivered until `posthouse queue recover`"
            );
            metrics::counter!("posthouse_spool_poisoned_total").increment(1);
            *poison = Some(cause.to_owned());
        }
        self.poisoned.store(true, Ordering::Release);
    }

    pub(super) fn lift_poison(&self) {
        *lock(&self.poison) = None;
        self.poisoned.store(false, Ordering::Release);
    }

    pub(super) fn poison(&self) -> Option<String> {
        if self.poisoned.load(Ordering::Acquire) { lock(&self.poison).clone() } else { None }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.orphans_wanted.store(true, Ordering::Release);
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether work may begin.
    pub(super) fn check(&self) -> Result<(), SpoolError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(SpoolError::Closed);
        }
        self.poison().map_or(Ok(()), |cause| Err(SpoolError::Poisoned(cause)))
    }

    /// Whether content files may be without a row, since this was last asked.
    pub(super) fn take_orphans_wanted(&self) -> bool {
        self.orphans_wanted.swap(false, Ordering::AcqRel)
    }

    pub(super) fn node(&self) -> String {
        lock(&self.node).clone()
    }

    pub(super) fn set_node(&self, node: String) {
        *lock(&self.node) = node;
    }

    pub(super) fn alerts(&self) -> Vec<String> {
        lock(&self.alerts).clone()
    }

    /// Something that an operator must look at.
    pub(super) fn alert(&self, text: String) {
        tracing::error!("{text}");
        metrics::counter!("posthouse_spool_alerts_total").increment(1);
        let mut alerts = lock(&self.alerts);
        if alerts.len() < ALERTS_MAX {
            alerts.push(text);
        }
    }
}

/// A panic while the lock was held leaves data that every reader checks again: the lock itself is no evidence.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
