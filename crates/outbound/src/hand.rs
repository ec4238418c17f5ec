//! What a worker has in hand: the job of which nobody else knows while it is attempted. When the attempt ends by a panic,
//! its leases would last for hours with nobody to use them; from here they are settled, as put off.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mail::{Outcome, Refusal, Stage, Timestamp};
use spool::{LeasedDelivery, Settlement, Verdict};

use crate::{classify, schedule::Job};

/// How long a delivery whose attempt ended by a bug is left alone. It may well trip over the same bug again.
const PUT_OFF: Duration = Duration::from_secs(900);

/// At most one job.
#[derive(Debug, Default)]
pub(crate) struct Hand(Mutex<Option<Job>>);

impl Hand {
    /// A job was taken.
    pub(crate) fn hold(&self, job: &Job) {
        *self.job() = Some(job.clone());
    }

    /// All of it is concluded, or with somebody else.
    pub(crate) fn release(&self) {
        *self.job() = None;
    }

    /// All but these are concluded.
    pub(crate) fn keep_only(&self, deliveries: &[LeasedDelivery]) {
        if let Some(job) = &mut *self.job() {
            job.deliveries = deliveries.to_vec();
        }
    }

    /// Somebody else has these.
    pub(crate) fn pass_on(&self, deliveries: &[LeasedDelivery]) {
        if let Some(job) = &mut *self.job() {
            job.deliveries.retain(|held| deliveries.iter().all(|passed| passed.lease != held.lease));
        }
    }

    /// The attempt ended by a panic: what to settle.
    pub(crate) fn put_off(&self, now: Timestamp) -> Vec<Settlement> {
        let Some(job) = self.job().take().filter(|job| !job.deliveries.is_empty()) else {
            return Vec::new();
        };
        let due = now + PUT_OFF;
        tracing::error!(
            id = %job.message.id, deliveries = job.deliveries.len(), next = due.to_rfc3339(),
            "an attempt ended by a bug; it is made again later"
        );
        let refusal: Refusal =
            classify::lost(Stage::Local, "", "the attempt ended by a bug here, which the log tells of");
        let settlement = |leased: LeasedDelivery| Settlement {
            lease: leased.lease,
            message: job.message.id,
            recipient: leased.delivery.recipient.clone(),
            verdict: Verdict::Retry(Outcome::Deferred(refusal.clone()), due),
            source: None,
            transcript: None,
        };
        job.deliveries.into_iter().map(settlement).collect()
    }

    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
