//! The engine: everything that delivery needs, put together once by `wire`.
//!
//! ```text
//! spool ──lease──► feed ──plan──► schedule ◄──take── pool (a worker for each connection) ──► dial · converse
//!   ▲               │ capture, hold, reject              │ outcomes
//!   │               ▼                                    ▼
//!   └──settle── settler ◄──────────────────────────── conclude ──failures──► bouncer ──► Submit
//! ```
//! Workers take jobs straight from the schedule, under a lock that is held for the taking alone. What they conclude is
//! settled in batches, beside them: a worker never waits for the disk.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use mail::Domain;
use net::{Chance, Clock, Connector, Resolver, tasks::Tasks, tls};
use spool::{Spool, Submit};
use tokio::sync::Notify;

use crate::{
    Settings,
    bouncer::Bouncer,
    feed, meters, pool,
    retry::ClockGuard,
    route::Destination,
    schedule::{LaneId, Schedule},
    settler::Settler,
};

/// Tasks that write notifications.
const BOUNCERS: usize = 4;
/// Hosts that are remembered for what they can't do.
const FLAWS_MAX: usize = 1_000;

/// Which domains have their mailboxes here.
pub trait LocalDomains: Send + Sync + std::fmt::Debug + 'static {
    /// Whether mail for this domain goes into a mailbox of this server when no route says otherwise.
    fn is_local(&self, domain: &Domain) -> bool;

    /// Whether this server takes mail for this domain at all, if only to pass it on.
    fn is_ours(&self, domain: &Domain) -> bool {
        self.is_local(domain)
    }
}

/// How TLS is spoken to next hops.
#[derive(Clone, Debug)]
pub struct TlsClients {
    /// Takes any certificate.
    pub opportunistic: tls::Client,
    /// Takes valid ones.
    pub verified: tls::Client,
}

/// What the engine is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where messages come from and outcomes go.
    pub spool: Arc<dyn Spool>,
    /// Where notifications go.
    pub submit: Arc<dyn Submit>,
    /// Names.
    pub resolver: Arc<dyn Resolver>,
    /// Connections.
    pub connector: Arc<dyn Connector>,
    /// TLS.
    pub tls: TlsClients,
    /// Our domains.
    pub domains: Arc<dyn LocalDomains>,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub chance: Chance,
    /// What the operator wants.
    pub settings: Settings,
}

/// The delivery engine. Cheap to clone; clones are one engine.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What the engine has in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Destinations.
    pub destinations: usize,
    /// Deliveries, waiting and in flight.
    pub deliveries: usize,
    /// Connections, open and opening.
    pub connections: usize,
    /// Notifications that wait to be submitted.
    pub notifications: usize,
}

impl Engine {
    /// Puts the parts together. Nothing runs yet. Called in a runtime.
    pub fn new(parts: Parts) -> Self {
        meters::describe();
        Self { shared: Arc::new(Shared::new(parts)) }
    }

    /// Delivers until `tasks` shuts down. Then transactions in flight finish, at the longest for `deadlines.stop`, their
    /// outcomes are settled, and everything else is given back to the spool.
    pub async fn run(self, tasks: Tasks) {
        let shared = self.shared;
        let settler = tasks.spawn_vital("outbound-settler", Settler::run(Arc::clone(&shared)));
        let bouncers: Vec<_> = (0..BOUNCERS)
            .map(|_| tasks.spawn_vital("outbound-bouncer", Bouncer::run(Arc::clone(&shared), tasks.clone())))
            .collect();
        feed::run(&shared, &tasks).await;
        shared.stop().await;
        shared.bouncer.finish();
        for bouncer in bouncers {
            // A panic has been logged, and its deliveries keep their leases until the restart.
            let _ended = bouncer.await.is_ok();
        }
        shared.settler.finish();
        let _ended = settler.await.is_ok();
        tracing::info!("delivery has stopped");
    }

    /// Takes new settings: for connections and decisions from now on.
    pub fn reload(&self, settings: Settings) {
        self.shared.schedule().set_limits(settings.limits);
        *self.shared.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Tries destinations again that were left alone after failures: what an operator's retry asks for.
    pub fn end_suspensions(&self) {
        self.shared.schedule().end_suspensions(self.shared.parts.clock.instant());
    }

    /// What is in memory now.
    pub fn status(&self) -> Status {
        let schedule = self.shared.schedule();
        Status {
            destinations: schedule.lanes(),
            deliveries: schedule.held(),
            connections: schedule.connections(),
            notifications: self.shared.bouncer.len(),
        }
    }
}

/// What the tasks of one engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    settings: RwLock<Arc<Settings>>,
    schedule: Mutex<Schedule<Arc<Notify>>>,
    pub(crate) settler: Settler,
    pub(crate) bouncer: Bouncer,
    clock_guard: Mutex<ClockGuard>,
    /// Hosts that offer BDAT and can't do it.
    no_chunking: Mutex<HashSet<String>>,
    /// A window has room again.
    pub(crate) room: Notify,
    /// Workers that run.
    workers: AtomicUsize,
    /// The last of them has ended.
    workers_ended: Notify,
    next_worker: AtomicU64,
}

impl Shared {
    fn new(parts: Parts) -> Self {
        let limits = parts.settings.limits;
        let guard = ClockGuard::new(parts.clock.now(), parts.clock.instant());
        Self {
            settings: RwLock::new(Arc::new(parts.settings.clone())),
            parts,
            schedule: Mutex::new(Schedule::new(limits)),
            settler: Settler::default(),
            bouncer: Bouncer::default(),
            clock_guard: Mutex::new(guard),
            no_chunking: Mutex::default(),
            room: Notify::new(),
            workers: AtomicUsize::new(0),
            workers_ended: Notify::new(),
            next_worker: AtomicU64::new(0),
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The schedule, for a moment: never across an await.
    pub(crate) fn schedule(&self) -> MutexGuard<'_, Schedule<Arc<Notify>>> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock_guard(&self) -> MutexGuard<'_, ClockGuard> {
        self.clock_guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        self.parts.clock.instant()
    }

    /// A name for a worker.
    pub(crate) fn next_worker(&self) -> u64 {
        self.next_worker.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether BDAT is worth a try with a host.
    pub(crate) fn may_chunk(&self, host: &str) -> bool {
        !self.no_chunking.lock().unwrap_or_else(PoisonError::into_inner).contains(host)
    }

    /// Remembers that a host offers BDAT and can't do it.
    pub(crate) fn forbid_chunking(&self, host: &str) {
        let mut hosts = self.no_chunking.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= FLAWS_MAX {
            hosts.clear();
        }
        hosts.insert(host.to_owned());
    }

    /// So many deliveries of a lane are out of memory.
    pub(crate) fn finished(&self, lane: LaneId, count: usize) {
        let room = self.schedule().finished(lane, count, self.now());
        if room {
            self.room.notify_one();
        }
    }

    /// Starts a worker for each connection that the schedule wants.
    pub(crate) fn start_workers(self: &Arc<Self>, tasks: &Tasks) {
        loop {
            let next = self.schedule().next_start(self.now());
            let Some((lane, destination)) = next else { break };
            self.start_worker(lane, destination, tasks);
        }
        for spare in self.schedule().spare_workers() {
            spare.notify_one();
        }
    }

    fn start_worker(self: &Arc<Self>, lane: LaneId, destination: Destination, tasks: &Tasks) {
        self.workers.fetch_add(1, Ordering::AcqRel);
        let worker = pool::run(Arc::clone(self), lane, destination, tasks.clone());
        drop(tasks.spawn("outbound-worker", worker));
    }

    /// A worker has ended.
    pub(crate) fn worker_ended(&self) {
        if self.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.workers_ended.notify_waiters();
        }
    }

    /// Gives back what waits and lets workers finish what they have in hand.
    async fn stop(&self) {
        let deadline = self.now() + self.settings().deadlines.stop;
        let (jobs, idle) = self.schedule().close();
        idle.iter().for_each(|waker| waker.notify_one());
        let now = self.parts.clock.now();
        let mut leases = Vec::new();
        for (lane, job) in jobs {
            self.finished(lane, job.deliveries.len());
            leases.extend(job.deliveries.into_iter().map(|leased| leased.lease));
        }
        feed::park(self, leases, now).await;
        let all_ended = async {
            loop {
                let mut ended = pin!(self.workers_ended.notified());
                ended.as_mut().enable();
                if self.workers.load(Ordering::Acquire) == 0 {
                    return;
                }
                ended.await;
            }
        };
        if self.parts.clock.timeout_at(deadline, all_ended).await.is_err() {
            let workers = self.workers.load(Ordering::Acquire);
            tracing::warn!(workers, "transactions in flight were given up: they will be tried again after the restart");
        }
    }
}
