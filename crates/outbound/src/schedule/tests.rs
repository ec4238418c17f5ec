use std::{collections::HashMap, net::IpAddr};

use mail::{
    Body, DeliveryId, Domain, Envelope, FailureClass, FailureKind, MessageId, Origin, Reply, ReversePath, Stage,
    Timestamp,
};
use proptest::prelude::*;
use spool::{Delivery, Lease};

use super::*;
use crate::RelayTls;

const START: Duration = Duration::from_secs(1_000_000);

fn instant(after: Duration) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an instant has no other origin; the tests only add to it")]
    static ORIGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *ORIGIN + START + after
}

fn destination(name: &str) -> Destination {
    Destination::Mx { domain: name.parse().unwrap(), tls: RelayTls::Opportunistic }
}

fn job(number: u64, recipients: usize, domain: &str) -> Job {
    let id = MessageId::from_bytes(u128::from(number).to_be_bytes());
    let envelope = Envelope { reverse_path: ReversePath::Null, body: Body::SevenBit, origin: Origin::local() };
    let time = Timestamp::from_secs(0);
    let message = Message { id, envelope, size: 1, received: time, expires: time, content: None };
    let leased = |index: usize| {
        let id = DeliveryId::from_bytes((u128::from(number) * 1000 + index as u128).to_be_bytes());
        let recipient = format!("r{index}@{domain}").parse().unwrap();
        let delivery = Delivery { id, recipient, original: None, attempts: 0, forced_route: None };
        LeasedDelivery { lease: Lease { delivery: id, fence: 1 }, delivery: Arc::new(delivery) }
    };
    Job {
        message: Arc::new(message),
        deliveries: (0..recipients).map(leased).collect(),
        leased: instant(Duration::ZERO),
    }
}

fn refusal() -> Refusal {
    Refusal {
        stage: Stage::Connect,
        host: "mx".into(),
        reply: Reply::with(451, (4, 4, 1), "no answer"),
        from_peer: false,
        class: FailureClass::Network,
        kind: FailureKind::Soft,
    }
}

fn limits(window: usize, connections: usize, total: usize) -> Limits {
    Limits { window, window_total: 100, connections, connections_total: total, recipients: 10, messages: 1_000 }
}

fn starts(schedule: &mut Schedule<u64>, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| schedule.next_start(now)).map(|(_, destination)| destination.to_string()).collect()
}

fn queued(offered: Offered<u64>) -> bool {
    matches!(offered, Offered::Queued(_))
}

fn number(take: Take) -> Option<u128> {
    match take {
        Take::Job(job) => Some(u128::from_be_bytes(job.message.id.to_bytes())),
        Take::Wait | Take::Close => None,
    }
}

#[test]
fn a_lane_is_first_in_first_out_and_an_idle_worker_is_woken() {
    let now = instant(Duration::ZERO);
    let mut schedule = Schedule::new(limits(10, 1, 10));
    let a = destination("a.example");
    assert!(queued(schedule.offer(&a, job(1, 1, "a.example"), now)));
    assert!(queued(schedule.offer(&a, job(2, 1, "a.example"), now)));
    let (lane, _) = schedule.next_start(now).unwrap();
    assert!(schedule.next_start(now).is_none(), "one connection is all that this destination may have");
    schedule.opened(lane);
    assert_eq!(number(schedule.take(lane, 7, 0, || 7)), Some(1));
    assert_eq!(number(schedule.take(lane, 7, 1, || 7)), Some(2));
    assert!(matches!(schedule.take(lane, 7, 2, || 7), Take::Wait));
    assert!(matches!(schedule.offer(&a, job(3, 1, "a.example"), now), Offered::Queued(Some(7))));
    assert!(!schedule.leave(lane, 7), "a job came for it");
    assert_eq!(number(schedule.take(lane, 7, 2, || 7)), Some(3));
    assert!(matches!(schedule.take(lane, 7, 3, || 7), Take::Wait));
    assert!(schedule.leave(lane, 7));
    schedule.closed(lane, now);
    schedule.finished(lane, 3, now);
    assert_eq!((schedule.held(), schedule.connections(), schedule.lanes()), (0, 0, 0));
}

#[test]
fn connections_grow_with_the_backlog_and_with_success() {
    let now = instant(Duration::ZERO);
    let mut schedule = Schedule::new(limits(50, 20, 100));
    let a = destination("a.example");
    for number in 0..50 {
        assert!(queued(schedule.offer(&a, job(number, 1, "a.example"), now)));
    }
    let lane = schedule.next_start(now).unwrap().0;
    assert_eq!(starts(&mut schedule, now).len(), 4, "five at first");
    schedule.opened(lane);
    for served in 0..30 {
        assert!(matches!(schedule.take(lane, 1, served, || 1), Take::Job(_)));
        schedule.succeeded(lane);
    }
    schedule.give_back(lane, job(99, 1, "a.example"));
    schedule.consider(lane, now);
    assert_eq!(starts(&mut schedule, now).len(), 15, "twenty in the end");
}

#[test]
fn connections_are_given_in_turns_and_taken_back_when_others_wait() {
    let now = instant(Duration::ZERO);
    let mut schedule = Schedule::new(limits(50, 20, 4));
    let (a, b) = (destination("a.example"), destination("b.example"));
    for number in 0..30 {
        schedule.offer(&a, job(number, 1, "a.example"), now);
    }
    for number in 30..40 {
        schedule.offer(&b, job(number, 1, "b.example"), now);
    }
    let (lane, _) = schedule.next_start(now).unwrap();
    assert_eq!(starts(&mut schedule, now), ["mx:b.example", "mx:a.example", "mx:b.example"]);
    schedule.opened(lane);
    let served = (0..30).take_while(|served| matches!(schedule.take(lane, 1, *served, || 1), Take::Job(_))).count();
    assert_eq!(served, 20, "a turn");
    schedule.closed(lane, now);
    assert_eq!(starts(&mut schedule, now).len(), 1);
}

#[test]
fn a_full_window_refuses_and_others_go_on() {
    let now = instant(Duration::ZERO);
    let mut schedule: Schedule<u64> = Schedule::new(limits(10, 1, 10));
    let (a, b) = (destination("a.example"), destination("b.example"));
    assert!(queued(schedule.offer(&a, job(1, 9, "a.example"), now)));
    assert!(matches!(schedule.offer(&a, job(2, 2, "a.example"), now), Offered::Full(_)));
    assert!(queued(schedule.offer(&b, job(3, 2, "b.example"), now)));
    assert_eq!(schedule.domains_to_skip(now)[..], ["a.example"]);
    let (lane, _) = schedule.next_start(now).unwrap();
    schedule.opened(lane);
    assert_eq!(number(schedule.take(lane, 1, 0, || 1)), Some(1));
    assert!(!schedule.finished(lane, 3, now));
    assert!(schedule.finished(lane, 1, now), "half empty: room again");
    assert!(schedule.domains_to_skip(now).is_empty() && !schedule.is_full());
}

#[test]
fn the_whole_is_bounded() {
    let now = instant(Duration::ZERO);
    let mut schedule: Schedule<u64> = Schedule::new(limits(10, 1, 10));
    for number in 0..10 {
        let name = format!("d{number}.example");
        assert!(queued(schedule.offer(&destination(&name), job(number, 10, &name), now)));
    }
    assert!(matches!(schedule.offer(&destination("x.example"), job(99, 1, "x.example"), now), Offered::Full(_)));
    assert!(schedule.is_full() && schedule.room() == 0);
}

#[test]
fn a_dead_destination_is_left_alone_longer_and_longer() {
    let mut schedule: Schedule<u64> = Schedule::new(limits(10, 3, 10));
    let a = destination("a.example");
    let mut at = Duration::ZERO;
    for expect in [30, 60, 120, 240, 240] {
        let now = instant(at);
        schedule.offer(&a, job(1, 1, "a.example"), now);
        let (lane, _) = schedule.next_start(now).unwrap();
        let drained = schedule.failed(lane, Blame::Suspend, &refusal(), now);
        assert_eq!(drained.len(), 1);
        schedule.finished(lane, 1, now);
        let Offered::Suspended(_, suspension) = schedule.offer(&a, job(2, 1, "a.example"), now) else {
            panic!("it is left alone");
        };
        assert_eq!(suspension.until - now, Duration::from_secs(expect));
        assert!(schedule.next_start(now).is_none());
        assert_eq!(schedule.domains_to_skip(now)[..], ["a.example"]);
        assert_eq!(schedule.next_opening(now), Some(Duration::from_secs(expect)));
        at += Duration::from_secs(expect);
    }
    assert!(schedule.domains_to_skip(instant(at)).is_empty());
    assert_eq!(schedule.lanes(), 1, "its failures are remembered");
    schedule.sweep(instant(at + MEMORY));
    assert_eq!(schedule.lanes(), 0);
}

#[test]
fn an_operator_ends_the_wait() {
    let mut schedule: Schedule<u64> = Schedule::new(limits(10, 3, 10));
    let a = destination("a.example");
    let now = instant(Duration::ZERO);
    schedule.offer(&a, job(1, 1, "a.example"), now);
    let (lane, _) = schedule.next_start(now).unwrap();
    schedule.failed(lane, Blame::Suspend, &refusal(), now);
    schedule.finished(lane, 1, now);
    schedule.end_suspensions(now);
    assert!(schedule.domains_to_skip(now).is_empty());
    assert!(queued(schedule.offer(&a, job(2, 1, "a.example"), now)));
    assert!(schedule.next_start(now).is_some());
    schedule.sweep(instant(MEMORY));
    assert_eq!(schedule.next_opening(now), None);
}

#[test]
fn one_connection_refused_beside_others_that_work_stops_the_growth_only() {
    let now = instant(Duration::ZERO);
    let mut schedule: Schedule<u64> = Schedule::new(limits(10, 3, 10));
    let a = destination("a.example");
    for number in 0..5 {
        schedule.offer(&a, job(number, 1, "a.example"), now);
    }
    let (lane, _) = schedule.next_start(now).unwrap();
    schedule.opened(lane);
    assert!(schedule.next_start(now).is_some());
    assert!(schedule.failed(lane, Blame::Suspend, &refusal(), now).is_empty());
    schedule.consider(lane, now);
    assert_eq!(starts(&mut schedule, now), [""; 0]);
    assert_eq!(number(schedule.take(lane, 1, 0, || 1)), Some(0));
}

#[test]
fn at_the_end_what_waits_is_given_back_and_idle_workers_wake() {
    let now = instant(Duration::ZERO);
    let mut schedule: Schedule<u64> = Schedule::new(limits(10, 1, 10));
    let (a, b) = (destination("a.example"), destination("b.example"));
    schedule.offer(&a, job(1, 1, "a.example"), now);
    let (lane, _) = schedule.next_start(now).unwrap();
    schedule.opened(lane);
    let Take::Job(in_flight) = schedule.take(lane, 5, 0, || 5) else { panic!("a job waits") };
    schedule.offer(&b, job(2, 1, "b.example"), now);
    let (waiting, wakers) = schedule.close();
    assert_eq!((waiting.len(), wakers.len()), (1, 0));
    assert!(matches!(schedule.take(lane, 5, 1, || 5), Take::Close));
    assert!(schedule.give_back(lane, in_flight).is_some());
    assert!(matches!(schedule.offer(&a, job(3, 1, "a.example"), now), Offered::Full(_)));
}

#[test]
fn an_address_literal_is_a_destination() {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let domain = Domain::from_address(address);
    assert_eq!(Destination::Mx { domain, tls: RelayTls::Off }.to_string(), "mx:[192.0.2.1]");
}

/// What a random walk does next.
#[derive(Clone, Debug)]
enum Step {
    Offer(u8, usize),
    Start,
    Connect(usize, bool),
    Work(usize),
    Finish(usize, bool),
    Leave(usize),
    Wait(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..6, 1usize..10).prop_map(|(domain, recipients)| Step::Offer(domain, recipients)),
        3 => Just(Step::Start),
        3 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, good)| Step::Connect(which, good)),
        6 => any::<usize>().prop_map(Step::Work),
        5 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(which, done)| Step::Finish(which, done)),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => (1u64..400).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// A world around the schedule that knows where every job is.
struct Walk {
    schedule: Schedule<u64>,
    limits: Limits,
    now: Duration,
    next_job: u64,
    next_worker: u64,
    opening: Vec<LaneId>,
    /// Workers with a connection: lane, name, the job in hand, whether it is idle.
    workers: Vec<(LaneId, u64, Option<Job>, bool)>,
    /// Jobs that the schedule has: number to deliveries.
    inside: HashMap<u128, usize>,
}

impl Walk {
    fn new() -> Self {
        let limits = limits(30, 3, 6);
        Self {
            schedule: Schedule::new(limits),
            limits,
            now: Duration::ZERO,
            next_job: 1,
            next_worker: 1,
            opening: Vec::new(),
            workers: Vec::new(),
            inside: HashMap::new(),
        }
    }

    fn key(job: &Job) -> u128 {
        u128::from_be_bytes(job.message.id.to_bytes())
    }

    fn step(&mut self, step: Step) {
        let now = instant(self.now);
        match step {
            Step::Offer(domain, recipients) => self.offer(domain, recipients, now),
            Step::Start => {
                if let Some((lane, _)) = self.schedule.next_start(now) {
                    self.opening.push(lane);
                }
            }
            Step::Connect(which, good) if !self.opening.is_empty() => {
                let lane = self.opening.swap_remove(which % self.opening.len());
                self.connect(lane, good, now);
            }
            Step::Work(which) if !self.workers.is_empty() => {
                let which = which % self.workers.len();
                self.work(which, now);
            }
            Step::Finish(which, done) if !self.workers.is_empty() => {
                let which = which % self.workers.len();
                self.finish(which, done, now);
            }
            Step::Leave(which) if !self.workers.is_empty() => {
                let which = which % self.workers.len();
                let (lane, name, ref job, idle) = self.workers[which];
                if idle && job.is_none() && self.schedule.leave(lane, name) {
                    self.workers.swap_remove(which);
                    self.schedule.closed(lane, now);
                }
            }
            Step::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.schedule.sweep(instant(self.now));
            }
            Step::Restart => self.restart(),
            _ => {}
        }
        assert!(self.schedule.connections() <= self.limits.connections_total);
        assert_eq!(self.schedule.connections(), self.opening.len() + self.workers.len());
        assert_eq!(self.schedule.held(), self.inside.values().sum::<usize>(), "nothing lost, nothing twice");
        assert!(self.schedule.held() <= self.limits.window_total);
        for lane in self.schedule.lanes.values() {
            assert!(lane.held <= self.limits.window);
            assert!(lane.open + lane.opening <= self.limits.connections);
            let served = lane.open + lane.opening > 0 || lane.wanting;
            assert!(lane.waiting.is_empty() || served, "somebody will come for every job");
        }
    }

    fn offer(&mut self, domain: u8, recipients: usize, now: Instant) {
        let name = format!("d{domain}.example");
        let job = job(self.next_job, recipients, &name);
        self.next_job += 1;
        let key = Self::key(&job);
        match self.schedule.offer(&destination(&name), job, now) {
            Offered::Queued(_) => assert!(self.inside.insert(key, recipients).is_none()),
            Offered::Full(job) | Offered::Suspended(job, _) => assert_eq!(job.deliveries.len(), recipients),
        }
    }

    fn connect(&mut self, lane: LaneId, good: bool, now: Instant) {
        if good {
            self.schedule.opened(lane);
            self.workers.push((lane, self.next_worker, None, false));
            self.next_worker += 1;
            return;
        }
        for job in self.schedule.failed(lane, Blame::Suspend, &refusal(), now) {
            let count = self.inside.remove(&Self::key(&job)).expect("handed out once");
            self.schedule.finished(lane, count, now);
        }
    }

    fn work(&mut self, which: usize, now: Instant) {
        let (lane, name, job, idle) = &mut self.workers[which];
        if job.is_some() {
            return;
        }
        if *idle {
            self.schedule.leave(*lane, *name);
        }
        match self.schedule.take(*lane, *name, 0, || *name) {
            Take::Job(taken) => (*job, *idle) = (Some(taken), false),
            Take::Wait => *idle = true,
            Take::Close => {
                let (lane, ..) = self.workers.swap_remove(which);
                self.schedule.closed(lane, now);
            }
        }
    }

    fn finish(&mut self, which: usize, done: bool, now: Instant) {
        let (lane, _, job, _) = &mut self.workers[which];
        let Some(job) = job.take() else { return };
        if !done {
            assert!(self.schedule.give_back(*lane, job).is_none());
            return;
        }
        let count = self.inside.remove(&Self::key(&job)).expect("handed out once");
        self.schedule.finished(*lane, count, now);
        self.schedule.succeeded(*lane);
    }

    /// All ends: what waits comes out, what is in flight is finished by its worker.
    fn restart(&mut self) {
        let (waiting, _) = self.schedule.close();
        let in_flight = self.workers.iter_mut().filter_map(|(lane, _, job, _)| job.take().map(|job| (*lane, job)));
        for (_, job) in waiting.into_iter().chain(in_flight) {
            self.inside.remove(&Self::key(&job)).expect("comes out once");
        }
        assert!(self.inside.is_empty(), "everything came out");
        *self = Self { now: self.now, next_job: self.next_job, ..Self::new() };
    }
}

proptest! {
    #[test]
    fn the_schedule_never_loses_nor_hands_out_twice(steps in prop::collection::vec(step(), 1..400)) {
        let mut walk = Walk::new();
        for step in steps {
            walk.step(step);
        }
        walk.restart();
    }
}
