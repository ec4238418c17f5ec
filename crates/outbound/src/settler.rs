//! Outcomes on their way into the spool: gathered from all workers, settled in batches by one task.
//!
//! While one batch is being synced the next one gathers, so that a busy server settles many outcomes with one sync and an
//! idle one settles at once. An outcome stays here until the spool has it: a spool that refuses is asked again.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mail::Timestamp;
use spool::{Lease, SettleError, Settlement};
use tokio::sync::Notify;

use crate::{engine::Shared, feed, schedule::LaneId};

/// Outcomes of one batch.
const BATCH_MAX: usize = 1_000;
/// Outcomes that may wait before workers take a rest: what is delivered and not settled is delivered again after a crash.
const WAITING_MAX: usize = 1_000;
/// The pause after a spool that refuses.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// How often a refusing spool is asked while the server stops.
const LAST_TRIES: u32 = 3;

/// Outcomes that wait.
#[derive(Debug, Default)]
pub(crate) struct Settler {
    queue: Mutex<Queue>,
    /// There is something in the queue, or it is finished.
    filled: Notify,
    /// The queue was emptied.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    settlements: Vec<(Option<LaneId>, Settlement)>,
    parked: Vec<(Option<LaneId>, Lease, Timestamp)>,
    is_finished: bool,
}

impl Settler {
    /// Adds outcomes.
    pub(crate) fn push(&self, lane: Option<LaneId>, settlements: impl IntoIterator<Item = Settlement>) {
        let mut queue = self.queue();
        let was_empty = queue.is_empty();
        queue.settlements.extend(settlements.into_iter().map(|settlement| (lane, settlement)));
        let is_empty = queue.is_empty();
        drop(queue);
        if was_empty && !is_empty {
            self.filled.notify_one();
        }
    }

    /// Adds a lease to give back.
    pub(crate) fn push_parked(&self, lane: Option<LaneId>, lease: Lease, due: Timestamp) {
        self.queue().parked.push((lane, lease, due));
        self.filled.notify_one();
    }

    /// Says that nothing more will come: the task ends when all is settled.
    pub(crate) fn finish(&self) {
        self.queue().is_finished = true;
        self.filled.notify_one();
    }

    /// Waits while too much is unsettled.
    pub(crate) async fn rest(&self) {
        while self.queue().settlements.len() > WAITING_MAX {
            let mut emptied = pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.queue().settlements.len() > WAITING_MAX {
                emptied.await;
            }
        }
    }

    /// The task.
    pub(crate) async fn run(shared: Arc<Shared>) {
        let settler = &shared.settler;
        let mut refused = 0;
        loop {
            let batch = settler.take_batch();
            if batch.is_empty() {
                if settler.queue().is_finished {
                    return;
                }
                settler.filled.notified().await;
                continue;
            }
            settler.park(&shared, batch.parked).await;
            let left = settle(&shared, batch.settlements).await;
            if left.is_empty() {
                refused = 0;
                settler.emptied.notify_waiters();
                continue;
            }
            refused += 1;
            let is_finished = settler.put_back(left);
            if is_finished && refused >= LAST_TRIES {
                tracing::error!("outcomes could not be settled before the end: their deliveries will be repeated");
                return;
            }
            shared.parts.clock.sleep(REFUSED_PAUSE).await;
        }
    }

    /// Gives leases back, those with the same due time at once.
    async fn park(&self, shared: &Shared, parked: Vec<(Option<LaneId>, Lease, Timestamp)>) {
        for same in parked.chunk_by(|(_, _, one), (_, _, other)| one == other) {
            let due = same.first().map(|(_, _, due)| *due).unwrap_or_default();
            feed::park(shared, same.iter().map(|(_, lease, _)| *lease).collect(), due).await;
            for (lane, ..) in same {
                finished(shared, *lane, 1);
            }
        }
    }

    fn take_batch(&self) -> Queue {
        let mut queue = self.queue();
        let rest = queue.settlements.len().min(BATCH_MAX);
        let later = queue.settlements.split_off(rest);
        let settlements = std::mem::replace(&mut queue.settlements, later);
        Queue { settlements, parked: std::mem::take(&mut queue.parked), is_finished: false }
    }

    /// Puts back what the spool refused, before what came since. Returns whether nothing more will come.
    fn put_back(&self, mut left: Vec<(Option<LaneId>, Settlement)>) -> bool {
        let mut queue = self.queue();
        left.append(&mut queue.settlements);
        queue.settlements = left;
        queue.is_finished
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.settlements.is_empty() && self.parked.is_empty()
    }
}

/// Settles a batch. Returns what the spool as a whole refused.
async fn settle(shared: &Shared, batch: Vec<(Option<LaneId>, Settlement)>) -> Vec<(Option<LaneId>, Settlement)> {
    if batch.is_empty() {
        return Vec::new();
    }
    let settlements = batch.iter().map(|(_, settlement)| settlement.clone()).collect();
    let results = shared.parts.spool.settle(settlements, shared.parts.clock.now()).await;
    let mut left = Vec::new();
    // Neighbours are mostly of one lane: count them together.
    let (mut lane_now, mut count) = (None, 0);
    for ((lane, settlement), result) in batch.into_iter().zip(results) {
        match result {
            Ok(()) => {}
            Err(SettleError::LeaseLost(_)) => {
                tracing::warn!(
                    id = %settlement.message,
                    delivery = %settlement.lease.delivery,
                    "an outcome came too late: an operator or another attempt has the delivery"
                );
            }
            Err(SettleError::Spool(error)) => {
                if left.is_empty() {
                    tracing::error!(%error, "outcomes cannot be settled; they are kept and tried again");
                }
                left.push((lane, settlement));
                continue;
            }
        }
        if lane != lane_now {
            finished(shared, lane_now, count);
            (lane_now, count) = (lane, 0);
        }
        count += 1;
    }
    finished(shared, lane_now, count);
    left
}

fn finished(shared: &Shared, lane: Option<LaneId>, count: usize) {
    if let Some(lane) = lane.filter(|_| count > 0) {
        shared.finished(lane, count);
    }
}
