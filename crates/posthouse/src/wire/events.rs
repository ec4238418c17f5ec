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
/// From the begin of one batch to that of the next, unless the first was full: each is a transaction with a sync of its
/// own, so mail under load is told of in few large batches, while a lone message is told of at once.
const PACE: Duration = Duration::from_millis(100);
/// The first wait after a failure; it doubles.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
/// The longest such wait.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// Copies until the tasks shut down, then what is left.
pub(super) async fn copy(spool: Arc<dyn Spool>, store: Store, clock: Clock, tasks: Tasks) {
    pace(Copier { spool, store, node: String::new(), cursor: None, trimmed: 0 }, clock, tasks).await;
}

/// What is done step by step.
trait Work {
    /// One batch.
    async fn step(&mut self) -> anyhow::Result<Step>;
    /// Waits until there may be something after that sequence, but not for ever.
    async fn more(&self, after: u64);
}

/// Decides when the next step is due.
async fn pace(mut work: impl Work, clock: Clock, tasks: Tasks) {
    let mut back_off = BACK_OFF_MIN;
    let mut failing = false;
    let mut stopped = std::pin::pin!(tasks.cancelled());
    loop {
        let stopping = tasks.is_shutdown();
        let began = clock.instant();
        match work.step().await {
            Ok(Step::Copied) => {}
            Ok(Step::Idle(_)) if stopping => return,
            Ok(Step::Idle(after)) => {
                let next = async {
                    work.more(after).await;
                    clock.sleep_until(began + PACE).await;
                };
                tokio::select! {
                    () = next => {}
                    () = stopped.as_mut() => {}
                }
            }
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

impl Work for Copier {
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

    async fn more(&self, after: u64) {
        self.spool.outbox_ready(after, IDLE).await;
    }
}

impl Copier {
    async fn trim(&mut self, through: u64) -> anyhow::Result<()> {
        if through > self.trimmed {
            self.spool.trim_outbox(through).await?;
            self.trimmed = through;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mail::{Body, Envelope, MessageId, Origin, ReversePath, Timestamp};
    use net::Chance;
    use spool::{NewDelivery, NewMessage};

    use super::*;

    struct World {
        spool: Arc<dyn Spool>,
        store: Store,
        folder: tempfile::TempDir,
    }

    impl World {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let options = spool::sqlite::Options { disk_reserve: 0, ..options(&folder) };
            let spool = spool::sqlite::Engine::open(options, Timestamp::from_secs(1)).unwrap();
            let store = Store::open("sqlite:posthouse.db", folder.path()).await.unwrap();
            Self { spool, store, folder }
        }

        fn copier(&self) -> Copier {
            Copier {
                spool: Arc::clone(&self.spool),
                store: self.store.clone(),
                node: String::new(),
                cursor: None,
                trimmed: 0,
            }
        }

        async fn accept(&self, number: u8) -> MessageId {
            let now = Timestamp::from_secs(10);
            let id = MessageId::new(now, [number; 10]);
            let delivery = NewDelivery {
                id: mail::DeliveryId::new(now, [number + 100; 10]),
                recipient: "b@y.example".parse().unwrap(),
                original: None,
                held: false,
            };
            let envelope = Envelope { reverse_path: ReversePath::Null, body: Body::SevenBit, origin: Origin::local() };
            let message = NewMessage {
                id,
                envelope,
                deliveries: vec![delivery],
                prefix: bytes::Bytes::new(),
                idempotency: None,
                not_before: None,
                expires: Timestamp::from_secs(100),
            };
            let mut draft = self.spool.begin().unwrap();
            draft.write(b"Subject: x\r\n\r\ny\r\n").await.unwrap();
            self.spool.commit(draft, message, now).await.unwrap();
            id
        }
    }

    fn options(folder: &tempfile::TempDir) -> spool::sqlite::Options {
        spool::sqlite::Options::new(folder.path().join("spool"), Chance::seeded(1).bytes())
    }

    /// Steps until there is nothing to do.
    async fn drain(copier: &mut Copier) {
        while let Step::Copied = copier.step().await.unwrap() {}
        assert!(matches!(copier.step().await.unwrap(), Step::Idle(_)));
    }

    /// Work that a test lays out: what each step finds, and how long nothing comes after it.
    struct Planned {
        plan: std::collections::VecDeque<(Step, Duration)>,
        wait: Duration,
        clock: Clock,
        began: std::time::Instant,
        /// When each step was.
        steps: Arc<std::sync::Mutex<Vec<u64>>>,
        tasks: Tasks,
    }

    impl Work for Planned {
        async fn step(&mut self) -> anyhow::Result<Step> {
            let now = self.clock.instant().duration_since(self.began);
            self.steps.lock().unwrap().push(u64::try_from(now.as_millis()).unwrap());
            let Some((step, wait)) = self.plan.pop_front() else {
                self.tasks.shutdown();
                return Ok(Step::Idle(0));
            };
            self.wait = wait;
            Ok(step)
        }

        async fn more(&self, _after: u64) {
            self.clock.sleep(self.wait).await;
        }
    }

    /// The milliseconds at which steps are made.
    async fn steps(plan: impl IntoIterator<Item = (Step, u64)>) -> Vec<u64> {
        let (clock, tasks) = (Clock::system(), Tasks::new());
        let steps = Arc::default();
        let planned = Planned {
            plan: plan.into_iter().map(|(step, wait)| (step, Duration::from_millis(wait))).collect(),
            wait: Duration::ZERO,
            began: clock.instant(),
            clock: clock.clone(),
            steps: Arc::clone(&steps),
            tasks: tasks.clone(),
        };
        pace(planned, clock, tasks).await;
        std::mem::take(&mut *steps.lock().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn under_load_batches_keep_their_distance_and_a_lone_event_does_not_wait() {
        // Something comes all the time: a batch each 100 ms, though never a full one.
        assert_eq!(steps((0..4).map(|_| (Step::Idle(1), 1))).await[..5], [0, 100, 200, 300, 400]);
        // Full batches follow each other at once.
        assert_eq!(steps((0..3).map(|_| (Step::Copied, 1))).await[..4], [0, 0, 0, 0]);
        // After a pause the next event is copied when it comes.
        assert_eq!(steps([(Step::Idle(1), 5_000), (Step::Idle(2), 1)]).await[..3], [0, 5_000, 5_100]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_event_arrives_once_and_the_outbox_is_trimmed() {
        let world = World::new().await;
        let mut copier = world.copier();
        let first = world.accept(1).await;
        drain(&mut copier).await;
        let second = world.accept(2).await;
        drain(&mut copier).await;
        for id in [first, second] {
            assert_eq!(world.store.history(id).await.unwrap().len(), 1);
        }
        assert!(world.spool.outbox(0, 10).await.unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crash_before_the_trim_repeats_nothing() {
        let world = World::new().await;
        let id = world.accept(1).await;
        let copied = world.copier().step().await.unwrap();
        assert!(matches!(copied, Step::Idle(_)));
        assert_eq!(world.spool.outbox(0, 10).await.unwrap().len(), 1, "not trimmed yet");
        // The process dies here, and another one begins.
        drain(&mut world.copier()).await;
        assert_eq!(world.store.history(id).await.unwrap().len(), 1);
        assert!(world.spool.outbox(0, 10).await.unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_is_away_stops_no_mail() {
        let world = World::new().await;
        world.store.close().await;
        let (mut copier, tasks) = (world.copier(), Tasks::new());
        assert!(copier.step().await.is_err());
        let id = world.accept(1).await;
        tasks.spawn("events", copy(Arc::clone(&world.spool), world.store.clone(), Clock::system(), tasks.clone()));
        tasks.shutdown();
        let deadline = Clock::system().instant() + Duration::from_secs(60);
        tasks.wait(deadline).await.expect("a stop does not wait for the store");
        // The store is back.
        let store = Store::open("sqlite:posthouse.db", world.folder.path()).await.unwrap();
        let mut copier = Copier { store: store.clone(), ..world.copier() };
        drain(&mut copier).await;
        assert_eq!(store.history(id).await.unwrap().len(), 1);
    }
}
