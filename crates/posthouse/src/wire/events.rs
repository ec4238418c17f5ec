//! The task that copies facts from the spool's outbox to the store, and trims what the store has.
//!
//! Idempotent: the store keeps the cursor in the transaction that takes a batch, so a crash anywhere repeats at most one
//! batch, which the store knows already. While the store is away the outbox grows and mail goes on.

use std::{sync::Arc, time::Duration};

use net::{Clock, tasks::Tasks};
use spool::Spool;
use store::Store;

/// Events copied at once.
const BATCH: usize = 500;
/// Events that the store has and the outbox still keeps, before it is trimmed in the middle of work.
const UNTRIMMED_MAX: u64 = 5_000;
/// How long an idle task sleeps at most.
const IDLE: Duration = Duration::from_secs(30);
/// The first wait after a failure; it doubles.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
/// The longest such wait.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// Copies until the tasks shut down, then what is left.
pub(super) async fn copy(spool: Arc<dyn Spool>, store: Store, clock: Clock, tasks: Tasks) {
    let mut copier = Copier { spool, store, node: String::new(), cursor: None, trimmed: 0 };
    let mut back_off = BACK_OFF_MIN;
    let mut failing = false;
    let mut stopped = std::pin::pin!(tasks.cancelled());
    loop {
        let stopping = tasks.is_shutdown();
        match copier.step().await {
            Ok(Step::Copied) => {}
            Ok(Step::Idle(_)) if stopping => return,
            Ok(Step::Idle(after)) => tokio::select! {
                () = copier.spool.outbox_ready(after, IDLE) => {}
                () = stopped.as_mut() => {}
            },
            Err(error) => {
                if !failing {
                    tracing::error!(error = %format!("{error:#}"), "events cannot be copied to the store; mail goes on, they wait in the outbox");
                }
                failing = true;
                if stopping {
                    return;
                }
                tokio::select! {
                    () = clock.sleep(back_off) => {}
                    () = stopped.as_mut() => {}
                }
                back_off = (back_off * 2).min(BACK_OFF_MAX);
                continue;
            }
        }
        if failing {
            tracing::info!("events are copied to the store again");
        }
        failing = false;
        back_off = BACK_OFF_MIN;
    }
}

enum Step {
    /// A batch; there may be more.
    Copied,
    /// Nothing after that sequence.
    Idle(u64),
}

struct Copier {
    spool: Arc<dyn Spool>,
    store: Store,
    /// Whose sequence the outbox has.
    node: String,
    /// The last sequence that the store has; asked once.
    cursor: Option<u64>,
    /// The outbox is trimmed up to there.
    trimmed: u64,
}

impl Copier {
    async fn step(&mut self) -> anyhow::Result<Step> {
        let node = self.spool.node();
        if node != self.node {
            // The queue had to begin anew: so does the counting.
            (self.cursor, self.trimmed) = (None, 0);
            self.node.clone_from(&node);
        }
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None => self.store.cursor(&node).await?,
        };
        self.cursor = Some(cursor);
        let entries = self.spool.outbox(cursor, BATCH).await?;
        let Some(last) = entries.last().map(|entry| entry.sequence) else {
            self.trim(cursor).await?;
            return Ok(Step::Idle(cursor));
        };
        let count = entries.len();
        let batch: Vec<_> = entries.into_iter().map(|entry| (entry.sequence, entry.event)).collect();
        let appended = self.store.append_encoded(&node, &batch).await?;
        metrics::counter!("posthouse_events_copied_total").increment(appended.taken);
        self.cursor = Some(last);
        if last.saturating_sub(self.trimmed) >= UNTRIMMED_MAX {
            self.trim(last).await?;
        }
        Ok(if count < BATCH { Step::Idle(last) } else { Step::Copied })
    }

    async fn trim(&mut self, through: u64) -> anyhow::Result<()> {
        if through > self.trimmed {
            self.spool.trim_outbox(through).await?;
            self.trimmed = through;
        }
        Ok(())
    }
}
