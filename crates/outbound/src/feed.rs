//! From the spool into the schedule: leases, plans, offers. One task; it sleeps until there is something to lease.

use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use mail::{FailureClass, FailureKind, Outcome, Refusal, Reply, Stage, Timestamp};
use net::tasks::Tasks;
use spool::{Filter, Item, Lease, LeasedDelivery, Message, SpoolError, State, Update};

use crate::{
    Settings,
    conclude::Attempt,
    engine::Shared,
    retry::Step,
    route::{Destination, Facts, Plan, plan},
    schedule::{Job, Offered},
};

/// Deliveries leased at once.
const BATCH: usize = 500;
/// How long the feeder sleeps when nothing calls it: bounds how late a set clock is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// The pause after a spool that refuses.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// The pause while all that comes is for full windows.
const FULL_PAUSE: Duration = Duration::from_millis(250);
/// When a delivery comes again that found its window full.
const FULL_WAIT: Duration = Duration::from_secs(5);

/// Feeds until shutdown.
pub(crate) async fn run(shared: &Arc<Shared>, tasks: &Tasks) {
    let mut cancelled = pin!(tasks.cancelled());
    let mut is_refused = false;
    loop {
        let now = shared.parts.clock.now();
        watch_clock(shared, now).await;
        let wait = match lease(shared, now).await {
            Ok(items) => {
                is_refused = false;
                let (count, full) = take_in(shared, tasks, items, now).await;
                wait_after(shared, count, full, now).await
            }
            Err(error) => {
                if !is_refused {
                    tracing::warn!(%error, "delivery waits: the queue gives nothing out");
                }
                is_refused = true;
                Some(REFUSED_PAUSE)
            }
        };
        let Some(wait) = wait else {
            if tasks.is_shutdown() {
                return;
            }
            continue;
        };
        // A refused lease leaves a call pending that would end every wait at once.
        let ready = async { if is_refused { std::future::pending().await } else { shared.parts.spool.ready().await } };
        tokio::select! {
            () = &mut cancelled => return,
            () = ready => {}
            () = shared.room.notified() => {}
            () = shared.parts.clock.sleep(wait) => {}
        }
    }
}

async fn lease(shared: &Shared, now: Timestamp) -> Result<Vec<Item>, SpoolError> {
    let (room, skip) = {
        let mut schedule = shared.schedule();
        (schedule.room().min(BATCH), schedule.domains_to_skip(shared.now()))
    };
    if room == 0 {
        return Ok(Vec::new());
    }
    shared.parts.spool.lease(room, &skip, now).await
}

/// How long to sleep before the next lease; nothing: not at all.
async fn wait_after(shared: &Shared, count: usize, full: usize, now: Timestamp) -> Option<Duration> {
    if count > 0 {
        // All that came was for full windows: whoever comes next is for them, too.
        return (full == count).then_some(FULL_PAUSE);
    }
    let due = match shared.parts.spool.next_due().await {
        Ok(due) => due,
        Err(error) => {
            tracing::debug!(%error, "the next due time is not known");
            None
        }
    };
    // What is due already and was not leased is for destinations that are left alone.
    let until_due = due.filter(|due| *due > now).map(|due| due.since(now));
    let until_open = shared.schedule().next_opening(shared.now());
    let wait = [until_due, until_open, Some(SLEEP_MAX)].into_iter().flatten().min();
    wait.map(|wait| wait.max(Duration::from_millis(1)))
}

/// Plans and offers what was leased. Returns how many deliveries there were and how many of them found no room.
async fn take_in(shared: &Arc<Shared>, tasks: &Tasks, items: Vec<Item>, now: Timestamp) -> (usize, usize) {
    if items.is_empty() {
        return (0, 0);
    }
    let settings = shared.settings();
    let mut jobs = Vec::with_capacity(items.len());
    let mut count = 0;
    for item in items {
        count += item.deliveries.len();
        plan_item(shared, &settings, item, now, &mut jobs);
    }
    let (full, untried) = offer(shared, jobs);
    shared.start_workers(tasks);
    let full_leases = full.into_iter().flat_map(leases).collect::<Vec<_>>();
    let refused = full_leases.len();
    park(shared, full_leases, now + spread(shared, FULL_WAIT)).await;
    for (wait, leases) in untried {
        park(shared, leases, now + spread(shared, wait)).await;
    }
    (count, refused)
}

/// Leases whose destination is left alone, by for how long.
type Untried = BTreeMap<Duration, Vec<Lease>>;

/// Offers jobs. Returns those that found their window full, and those that nobody tries now.
fn offer(shared: &Shared, jobs: Vec<(Destination, Job)>) -> (Vec<Job>, Untried) {
    let now = shared.now();
    let (mut full, mut untried, mut wakers) = (Vec::new(), Untried::new(), Vec::new());
    {
        let mut schedule = shared.schedule();
        for (destination, job) in jobs {
            match schedule.offer(&destination, job, now) {
                Offered::Queued(waker) => wakers.extend(waker),
                Offered::Full(job) => full.push(job),
                Offered::Suspended(job, suspension) => {
                    let wait = suspension.until.saturating_duration_since(now);
                    untried.entry(wait).or_default().extend(leases(job));
                }
            }
        }
    }
    for waker in wakers {
        waker.notify_one();
    }
    (full, untried)
}

fn leases(job: Job) -> impl Iterator<Item = Lease> {
    job.deliveries.into_iter().map(|leased| leased.lease)
}

/// A wait, up to a tenth longer.
fn spread(shared: &Shared, wait: Duration) -> Duration {
    wait + wait.mul_f64(shared.parts.chance.fraction() / 10.0)
}

/// Gives leases back untried.
pub(crate) async fn park(shared: &Shared, leases: Vec<Lease>, due: Timestamp) {
    if leases.is_empty() {
        return;
    }
    let count = leases.len();
    metrics::counter!("posthouse_outbound_parked_total").increment(count as u64);
    if let Err(error) = shared.parts.spool.park(leases, due).await {
        tracing::warn!(count, %error, "leases could not be given back; they end by themselves");
    }
}

/// Plans the deliveries of one message: some are concluded at once, the others become jobs.
fn plan_item(
    shared: &Arc<Shared>,
    settings: &Settings,
    item: Item,
    now: Timestamp,
    jobs: &mut Vec<(Destination, Job)>,
) {
    let domains = &shared.parts.domains;
    let is_local = |domain: &mail::Domain| domains.is_local(domain);
    let facts = Facts { routes: &settings.routes, mx_tls: settings.mx_tls, is_local: &is_local };
    let Item { message, deliveries } = item;
    let mut sorted = Sorted::default();
    for leased in deliveries {
        let delivery = &leased.delivery;
        let planned = plan(&delivery.recipient, &message.envelope, delivery.forced_route.as_deref(), &facts);
        match planned {
            Plan::Send(destination) => sorted.add(destination, leased),
            Plan::Hold => shared.hold(&message, leased),
            Plan::Capture => sorted.captured.push((leased, captured())),
            Plan::Reject(reply) => sorted.rejected.push((leased, rejected(reply))),
        }
    }
    let attempt = Attempt::local(now);
    shared.capture(&message, std::mem::take(&mut sorted.captured));
    shared.conclude(&message, std::mem::take(&mut sorted.rejected), &attempt);
    sorted.into_jobs(&message, settings.limits.recipients.max(1), shared.now(), jobs);
}

fn captured() -> Outcome {
    Outcome::Delivered {
        host: "capture".into(),
        reply: Reply::with(250, (2, 0, 0), "kept to be looked at; nothing was sent"),
    }
}

fn rejected(reply: Reply) -> Outcome {
    Outcome::Bounced(Refusal {
        stage: Stage::Route,
        host: String::new(),
        reply,
        from_peer: false,
        class: FailureClass::Unknown,
        kind: FailureKind::Hard,
    })
}

/// The deliveries of one message by destination, in order.
#[derive(Default)]
struct Sorted {
    groups: Vec<(Destination, Vec<LeasedDelivery>)>,
    places: HashMap<Destination, usize>,
    captured: Vec<(LeasedDelivery, Outcome)>,
    rejected: Vec<(LeasedDelivery, Outcome)>,
}

impl Sorted {
    fn add(&mut self, destination: Destination, leased: LeasedDelivery) {
        if self.groups.is_empty() {
            // Most messages have one recipient and need no table.
            self.groups.push((destination, vec![leased]));
            return;
        }
        if self.places.is_empty() {
            self.places
                .extend(self.groups.iter().enumerate().map(|(place, (destination, _))| (destination.clone(), place)));
        }
        match self.places.get(&destination).and_then(|place| self.groups.get_mut(*place)) {
            Some((_, group)) => group.push(leased),
            None => {
                self.places.insert(destination.clone(), self.groups.len());
                self.groups.push((destination, vec![leased]));
            }
        }
    }

    fn into_jobs(
        self,
        message: &Arc<Message>,
        recipients_max: usize,
        leased: Instant,
        jobs: &mut Vec<(Destination, Job)>,
    ) {
        let job = |deliveries| Job { message: Arc::clone(message), deliveries, leased };
        for (destination, mut rest) in self.groups {
            while rest.len() > recipients_max {
                let later = rest.split_off(recipients_max);
                jobs.push((destination.clone(), job(rest)));
                rest = later;
            }
            jobs.push((destination, job(rest)));
        }
    }
}

/// Notices a clock that was set.
async fn watch_clock(shared: &Shared, now: Timestamp) {
    let step = shared.clock_guard().observe(now, shared.now());
    let Some(step) = step else { return };
    metrics::counter!("posthouse_outbound_clock_steps_total").increment(1);
    let (direction, length) = match step {
        Step::Forward(length) => ("forward", length),
        Step::Back(length) => ("back", length),
    };
    tracing::error!(
        direction,
        seconds = length.as_secs(),
        "the clock was set by more than an hour: nothing expires for a day; check the time service"
    );
    if matches!(step, Step::Back(_)) {
        // Due times were made by the old clock: some may be years away.
        let filter = Filter { state: Some(State::Deferred), ..Filter::default() };
        match shared.parts.spool.update(&filter, &Update::Retry, now).await {
            Ok(count) => tracing::warn!(count, "all that was deferred is tried again now"),
            Err(error) => tracing::error!(%error, "due times could not be mended; use `posthouse queue retry`"),
        }
    }
}
