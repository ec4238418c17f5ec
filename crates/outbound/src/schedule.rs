//! Who is served next. Pure: a table of lanes that changes with each event; nothing here waits or connects.
//!
//! A *lane* is what one destination has in memory: jobs in order of arrival, and connections. A *worker* owns one
//! connection and takes jobs from its lane until there are none; then it waits there for a while, connection kept.
//!
//! ```text
//!   offer ──► waiting ──take──► in flight ──finished──► gone        lane: clear ──failed──► suspended
//!     │          ▲                  │                                       ◄──a try after `until` opens──
//!     │          └────give_back─────┘
//!     ├─► full: the window has no room, the job waits in the spool
//!     └─► suspended: the destination failed a moment ago, nobody tries it before `until`
//! ```
//! Fairness: a lane's window bounds what it can hold, so that a million messages to a dead domain leave room for others;
//! connections are given to lanes in turns; and when there are none left, a lane that has many gives one up.

mod lane;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use mail::Refusal;
use spool::{LeasedDelivery, Message};

use self::lane::Lane;
use crate::{Limits, route::Destination};

/// Messages that a worker sends in one turn while other lanes wait for a connection.
const TURN: u32 = 20;
/// How long a destination is left alone after its first failure; doubled with each further one.
const SUSPENSION: Duration = Duration::from_secs(30);
/// The longest that a destination is left alone. Shorter than the second step of the usual retry schedule, so that a
/// delivery that comes back finds the destination open to a try.
const SUSPENSION_MAX: Duration = Duration::from_secs(240);
/// How long no further connection is opened beside those that work, after one that failed.
const GROWTH_PAUSE: Duration = Duration::from_secs(10);
/// How long failures of a destination are remembered after its suspension: a later one counts as the first again.
const MEMORY: Duration = Duration::from_secs(3600);
/// Domains that the spool is asked to leave alone.
const SKIP_MAX: usize = 1_000;

/// One transaction's worth: recipients of one message for one destination.
#[derive(Clone, Debug)]
pub struct Job {
    /// The message.
    pub message: Arc<Message>,
    /// The deliveries, at least one, at most `limits.recipients`.
    pub deliveries: Vec<LeasedDelivery>,
    /// When they were leased.
    pub leased: Instant,
}

/// A lane's name. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(u64);

/// A destination that failed a moment ago.
#[derive(Clone, Debug)]
pub struct Suspension {
    /// Nobody tries it before.
    pub until: Instant,
    /// How it failed.
    pub refusal: Arc<Refusal>,
}

/// What became of an offer.
#[derive(Debug)]
pub enum Offered<W> {
    /// It waits in its lane. A worker that was idle there is to be woken.
    Queued(Option<W>),
    /// The window is full: give the lease back.
    Full(Job),
    /// The destination is left alone for now.
    Suspended(Job, Suspension),
}

/// What a worker does next.
#[derive(Debug)]
pub enum Take {
    /// This.
    Job(Job),
    /// Wait: it is known as idle now.
    Wait,
    /// Close the connection: it has carried enough, or others wait for one, or all is ending.
    Close,
}

/// What a failed connection means for its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// It cannot be reached or will not talk: leave it alone for a while.
    Suspend,
    /// The answer is final, or about us: others may ask again at once.
    Judged,
}

/// The table. `W` is what wakes a worker.
#[derive(Debug)]
pub struct Schedule<W> {
    limits: Limits,
    lanes: HashMap<LaneId, Lane<W>>,
    by_destination: HashMap<Destination, LaneId>,
    next_lane: u64,
    /// Deliveries in memory.
    held: usize,
    /// Connections, open and opening.
    connections: usize,
    /// Lanes that want another connection, in turns.
    wanting: VecDeque<LaneId>,
    /// Lanes whose windows were full and are not half empty yet.
    full_lanes: HashSet<LaneId>,
    /// The same of the whole.
    full: bool,
    /// Lanes by the end of their suspension; ends that have passed are taken out by a sweep.
    suspended: BTreeSet<(Instant, LaneId)>,
    /// Lanes by the time until which their failures are remembered.
    remembered: BTreeSet<(Instant, LaneId)>,
    /// What [`Schedule::domains_to_skip`] said last; nothing when that is not true any more.
    skip: Option<Arc<[String]>>,
    closed: bool,
}

impl<W> Schedule<W> {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            by_destination: HashMap::new(),
            next_lane: 0,
            held: 0,
            connections: 0,
            wanting: VecDeque::new(),
            full_lanes: HashSet::new(),
            full: false,
            suspended: BTreeSet::new(),
            remembered: BTreeSet::new(),
            skip: None,
            closed: false,
        }
    }

    /// Replaces the bounds; what is in memory stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Brings a job. Call [`Schedule::next_start`] after a batch of these.
    pub fn offer(&mut self, destination: &Destination, job: Job, now: Instant) -> Offered<W> {
        let count = job.deliveries.len();
        if self.closed {
            return Offered::Full(job);
        }
        if self.held + count > self.limits.window_total {
            self.full = true;
            return Offered::Full(job);
        }
        let id = self.lane_of(destination);
        let (limits, held) = (self.limits, &mut self.held);
        let lane = self.lanes.get_mut(&id).expect("`lane_of` made it");
        if let Some(suspension) = lane.suspension(now) {
            let suspension = suspension.clone();
            return Offered::Suspended(job, suspension);
        }
        if lane.held > 0 && lane.held + count > limits.window {
            lane.refuse(&job, SKIP_MAX);
            self.full_lanes.insert(id);
            self.skip = None;
            return Offered::Full(job);
        }
        lane.held += count;
        *held += count;
        lane.waiting.push_back(job);
        let idle = lane.wake();
        self.consider(id, now);
        Offered::Queued(idle)
    }

    /// The lane that a new connection is to be opened for, if any; the caller starts a worker that ends with
    /// [`Schedule::opened`] or [`Schedule::failed`].
    pub fn next_start(&mut self, now: Instant) -> Option<(LaneId, Destination)> {
        while self.connections < self.limits.connections_total {
            let id = self.wanting.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.wanting = false;
            if !lane.wants_connection(&self.limits, now) {
                continue;
            }
            lane.opening += 1;
            self.connections += 1;
            let destination = lane.destination.clone();
            self.consider(id, now);
            return Some((id, destination));
        }
        None
    }

    /// The connection is ready for transactions.
    pub fn opened(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.opening -= 1;
            lane.open += 1;
            lane.failures = 0;
            if lane.suspended.take().is_some() {
                self.skip = None;
            }
        }
    }

    /// No connection came about. Returns the jobs that share its fate; the caller settles them and says
    /// [`Schedule::finished`]. While other connections to the destination work, nothing shares it.
    pub fn failed(&mut self, id: LaneId, blame: Blame, refusal: &Refusal, now: Instant) -> Vec<Job> {
        self.connections -= 1;
        let Some(lane) = self.lanes.get_mut(&id) else { return Vec::new() };
        lane.opening -= 1;
        lane.growth_after = Some(now + GROWTH_PAUSE);
        if lane.open > 0 {
            lane.connections_max = lane.open;
            return Vec::new();
        }
        lane.connections_max = 1;
        if blame == Blame::Suspend && lane.suspension(now).is_none() {
            let length = SUSPENSION.saturating_mul(1 << lane.failures.min(8)).min(SUSPENSION_MAX);
            lane.failures += 1;
            lane.suspended = Some(Suspension { until: now + length, refusal: Arc::new(refusal.clone()) });
            self.suspended.insert((now + length, id));
            self.skip = None;
        }
        if blame == Blame::Judged {
            lane.growth_after = None;
        }
        lane.waiting.drain(..).collect()
    }

    /// The next job for a worker that has carried `served` messages. When there is none, the worker is idle until
    /// `waker` is used or it leaves; `worker` tells it from others.
    pub fn take(&mut self, id: LaneId, worker: u64, served: u32, waker: impl FnOnce() -> W) -> Take {
        let others_wait = !self.wanting.is_empty() && self.connections >= self.limits.connections_total;
        let Some(lane) = self.lanes.get_mut(&id).filter(|_| !self.closed) else { return Take::Close };
        lane.woken.retain(|woken| *woken != worker);
        if served >= self.limits.messages || (others_wait && served >= TURN) {
            return Take::Close;
        }
        if let Some(job) = lane.waiting.pop_front() {
            return Take::Job(job);
        }
        if others_wait {
            return Take::Close;
        }
        lane.idle.push((worker, waker()));
        Take::Wait
    }

    /// A message went through: the destination bears another connection.
    pub fn succeeded(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.connections_max = (lane.connections_max + 1).min(self.limits.connections);
        }
    }

    /// An idle worker has waited long enough. False when a job came for it in this moment: it should take again.
    pub fn leave(&mut self, id: LaneId, worker: u64) -> bool {
        let Some(lane) = self.lanes.get_mut(&id) else { return true };
        lane.woken.retain(|woken| *woken != worker);
        let place = lane.idle.iter().position(|(idle, _)| *idle == worker);
        place.map(|place| lane.idle.remove(place)).is_some() || lane.waiting.is_empty()
    }

    /// A job goes back untried to the head of its lane. It is returned when all is ending: give its lease back.
    pub fn give_back(&mut self, id: LaneId, job: Job) -> Option<Job> {
        match self.lanes.get_mut(&id) {
            Some(lane) if !self.closed => {
                lane.waiting.push_front(job);
                None
            }
            _ => Some(job),
        }
    }

    /// An open connection is closed. An idle worker that is returned is to be woken: jobs wait.
    pub fn closed(&mut self, id: LaneId, now: Instant) -> Option<W> {
        self.connections -= 1;
        let lane = self.lanes.get_mut(&id)?;
        lane.open -= 1;
        let idle = if lane.waiting.is_empty() { None } else { lane.wake() };
        self.consider(id, now);
        self.forget_if_empty(id, now);
        idle
    }

    /// A connection was given up before it was ready, because all is ending.
    pub fn abandoned(&mut self, id: LaneId) {
        self.connections -= 1;
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.opening -= 1;
        }
    }

    /// So many deliveries of a lane are settled or given back. True when a window that was full has room again.
    pub fn finished(&mut self, id: LaneId, count: usize, now: Instant) -> bool {
        self.held -= count;
        let mut room = false;
        if self.full && self.held <= self.limits.window_total / 2 {
            self.full = false;
            room = true;
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.held -= count;
            if lane.has_room_again(self.limits.window) {
                self.full_lanes.remove(&id);
                self.skip = None;
                room = true;
            }
        }
        self.forget_if_empty(id, now);
        room
    }

    /// Domains that need not be leased from the spool: their windows are full, or they are left alone for now.
    pub fn domains_to_skip(&mut self, now: Instant) -> Arc<[String]> {
        self.sweep(now);
        let (lanes, full, suspended) = (&self.lanes, &self.full_lanes, &self.suspended);
        let list = self.skip.get_or_insert_with(|| {
            let full = full.iter().filter_map(|id| lanes.get(id)).flat_map(|lane| lane.refused.iter().cloned());
            let suspended = suspended.iter().filter_map(|(_, id)| lanes.get(id)).filter_map(Lane::suspended_domain);
            full.chain(suspended).take(SKIP_MAX).collect()
        });
        Arc::clone(list)
    }

    /// How long until the next destination may be tried again.
    pub fn next_opening(&self, now: Instant) -> Option<Duration> {
        let (until, _) = self.suspended.iter().next()?;
        Some(until.saturating_duration_since(now))
    }

    /// Whether a window is full: of a destination, or the whole.
    pub fn is_full(&self) -> bool {
        self.full || !self.full_lanes.is_empty()
    }

    /// Deliveries that there is room for.
    pub fn room(&self) -> usize {
        if self.closed { 0 } else { self.limits.window_total.saturating_sub(self.held) }
    }

    /// Deliveries in memory.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Connections, open and opening.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Lanes in memory.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Ends the handing out. Returns the jobs that wait, by lane, and the idle workers to wake.
    pub fn close(&mut self) -> (Vec<(LaneId, Job)>, Vec<W>) {
        self.closed = true;
        self.wanting.clear();
        let (mut jobs, mut wakers) = (Vec::new(), Vec::new());
        for (id, lane) in &mut self.lanes {
            jobs.extend(lane.waiting.drain(..).map(|job| (*id, job)));
            wakers.extend(lane.idle.drain(..).map(|(_, waker)| waker));
        }
        (jobs, wakers)
    }

    /// Ends all suspensions: an operator says that it is worth a try.
    pub fn end_suspensions(&mut self, now: Instant) {
        for (_, id) in std::mem::take(&mut self.suspended) {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.suspended = None;
            }
            self.remembered.insert((now + MEMORY, id));
        }
        self.skip = None;
    }

    /// Ends suspensions whose time is over, and forgets failures of long ago.
    pub fn sweep(&mut self, now: Instant) {
        while let Some((until, id)) = self.suspended.first().copied().filter(|(until, _)| *until <= now) {
            self.suspended.remove(&(until, id));
            self.remembered.insert((until + MEMORY, id));
            self.skip = None;
        }
        while let Some((until, id)) = self.remembered.first().copied().filter(|(until, _)| *until <= now) {
            self.remembered.remove(&(until, id));
            self.forget_if_empty(id, now);
        }
    }

    /// Idle workers of lanes without jobs, to be woken so that lanes that wait get their connections.
    pub fn spare_workers(&mut self) -> Vec<W> {
        if self.wanting.is_empty() || self.connections < self.limits.connections_total {
            return Vec::new();
        }
        let needed = self.wanting.len();
        self.lanes.values_mut().filter_map(Lane::wake).take(needed).collect()
    }

    fn lane_of(&mut self, destination: &Destination) -> LaneId {
        if let Some(id) = self.by_destination.get(destination) {
            return *id;
        }
        let id = LaneId(self.next_lane);
        self.next_lane += 1;
        self.lanes.insert(id, Lane::new(destination.clone(), &self.limits));
        self.by_destination.insert(destination.clone(), id);
        id
    }

    /// Notes that a lane wants a connection, once.
    fn consider(&mut self, id: LaneId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if !self.closed && !lane.wanting && lane.wants_connection(&self.limits, now) {
            lane.wanting = true;
            self.wanting.push_back(id);
        }
    }

    fn forget_if_empty(&mut self, id: LaneId, now: Instant) {
        if self.lanes.get(&id).is_some_and(|lane| lane.is_forgettable(now))
            && let Some(lane) = self.lanes.remove(&id)
        {
            self.by_destination.remove(&lane.destination);
        }
    }
}

#[cfg(test)]
mod tests;
