//! Random verbs against a model in memory, restarts included: nothing is lost, nothing is leased twice.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use mail::{DeliveryId, MessageId, Timestamp};
use proptest::prelude::*;
use spool::{Filter, LeasedDelivery, Message, Page, Spool, State, Update, Verdict, sqlite::Engine};

use crate::support::{
    at, commit, count, deferred, delivered, find, flat, message, open, options, read, rounds, settlement,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Recipients, which domain to begin with, octets in hundreds, held, seconds to wait.
    Commit(u8, u8, u16, bool, u16),
    Lease(u8, Option<u8>),
    /// Which of the leases held, and how it ended.
    Settle(u8, u8),
    Park(u8, u8),
    /// Which verb, on which domain or on all.
    Update(u8, Option<u8>),
    Wait(u8),
    Sweep,
    /// With or without a close before.
    Restart(bool),
    Recount,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..5u8, 0..4u8, 0..900u16, prop::bool::weighted(0.1), prop_oneof![4 => Just(0), 1 => 1..100u16])
            .prop_map(|(n, domain, size, held, wait)| Step::Commit(n, domain, size, held, wait)),
        6 => (1..12u8, prop::option::weighted(0.3, 0..4u8)).prop_map(|(limit, skip)| Step::Lease(limit, skip)),
        8 => (any::<u8>(), 0..6u8).prop_map(|(which, how)| Step::Settle(which, how)),
        1 => (any::<u8>(), 0..50u8).prop_map(|(which, wait)| Step::Park(which, wait)),
        2 => (0..5u8, prop::option::of(0..4u8)).prop_map(|(verb, domain)| Step::Update(verb, domain)),
        3 => (0..60u8).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
        1 => any::<bool>().prop_map(Step::Restart),
        2 => Just(Step::Recount),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    None,
    Hold,
    Cancel,
}

#[derive(Clone, Debug)]
struct Known {
    message: MessageId,
    domain: String,
    state: State,
    due: Timestamp,
    attempts: u32,
    wish: Wish,
}

/// What should be in the queue.
#[derive(Debug, Default)]
struct Model {
    deliveries: BTreeMap<DeliveryId, Known>,
    sizes: HashMap<MessageId, usize>,
    now: i64,
}

type Held = Vec<(Arc<Message>, LeasedDelivery)>;

fn domain(n: u8) -> String {
    format!("d{n}.example")
}

impl Model {
    fn now(&self) -> Timestamp {
        at(self.now)
    }

    fn leased(&mut self, (message, leased): &(Arc<Message>, LeasedDelivery), skip: &[String]) {
        let now = self.now();
        let known = self.deliveries.get_mut(&leased.delivery.id).expect("what is leased was committed and is not done");
        assert!(matches!(known.state, State::Queued | State::Deferred | State::Scheduled), "leased twice: {known:?}");
        assert!(known.due <= now, "{known:?} is not due at {now}");
        assert!(!skip.contains(&known.domain));
        assert_eq!((known.message, known.attempts), (message.id, leased.delivery.attempts));
        known.state = State::Active;
    }

    /// What an attempt that did not succeed leaves.
    fn ended(&mut self, id: DeliveryId, state: State, due: Timestamp, attempted: bool) {
        let known = self.deliveries.get_mut(&id).unwrap();
        known.attempts += u32::from(attempted);
        match known.wish {
            Wish::Cancel => {
                self.deliveries.remove(&id);
            }
            Wish::Hold => (known.state, known.wish) = (State::Held, Wish::None),
            Wish::None => (known.state, known.due) = (state, due),
        }
    }

    fn update(&mut self, verb: u8, only: Option<&str>) -> u64 {
        let now = self.now();
        let mut changed = 0;
        self.deliveries.retain(|_, known| {
            if only.is_some_and(|only| only != known.domain) {
                return true;
            }
            let waiting = if known.attempts > 0 { State::Deferred } else { State::Queued };
            let (state, wish) = (known.state, known.wish);
            match (verb, state) {
                (0, State::Active) if wish == Wish::None => known.wish = Wish::Hold,
                (1, State::Active) if wish == Wish::Hold => known.wish = Wish::None,
                (2, State::Active) if wish != Wish::Cancel => known.wish = Wish::Cancel,
                (_, State::Active) if verb < 4 => return true,
                (0, State::Queued | State::Deferred | State::Scheduled) => known.state = State::Held,
                (1, State::Held) | (3, State::Queued | State::Deferred | State::Scheduled) => {
                    (known.state, known.due) = (waiting, now);
                }
                (2, _) => {
                    changed += 1;
                    return false;
                }
                (4, _) => {}
                _ => return true,
            }
            changed += 1;
            true
        });
        changed
    }
}

fn verb(n: u8) -> Update {
    match n {
        0 => Update::Hold,
        1 => Update::Release,
        2 => Update::Cancel,
        3 => Update::Retry,
        _ => Update::Reroute("mx".into()),
    }
}

struct Run {
    directory: tempfile::TempDir,
    spool: Arc<Engine>,
    model: Model,
    held: Held,
}

impl Run {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let spool = open(directory.path(), at(0));
        Self { directory, spool, model: Model::default(), held: Vec::new() }
    }

    async fn step(&mut self, step: Step) {
        let now = self.model.now();
        let spool = Arc::clone(&self.spool);
        match step {
            Step::Commit(n, first, size, held, wait) => {
                self.commit(n, first, usize::from(size) * 100, held, wait).await
            }
            Step::Lease(limit, skip) => {
                let skip: Vec<String> = skip.into_iter().map(domain).collect();
                let items = flat(spool.lease(usize::from(limit), &skip, now).await.unwrap());
                assert!(items.len() <= usize::from(limit));
                for item in items {
                    self.model.leased(&item, &skip);
                    self.held.push(item);
                }
            }
            Step::Settle(which, how) => self.settle(which, how).await,
            Step::Park(which, wait) => {
                let Some(one) = self.take(which) else {
                    return;
                };
                let due = at(self.model.now + i64::from(wait));
                spool.park(vec![one.1.lease], due).await.unwrap();
                let known = &self.model.deliveries[&one.1.delivery.id];
                let state = if known.attempts > 0 { State::Deferred } else { State::Queued };
                self.model.ended(one.1.delivery.id, state, due, false);
            }
            Step::Update(which, only) => {
                let only = only.map(domain);
                let filter = Filter { domain: only.clone(), ..Filter::default() };
                let changed = spool.update(&filter, &verb(which), now).await.unwrap();
                assert_eq!(changed, self.model.update(which, only.as_deref()), "{step:?}");
            }
            Step::Wait(seconds) => self.model.now += i64::from(seconds),
            Step::Sweep => spool.sweep(now).await.unwrap(),
            Step::Restart(close) => {
                if close {
                    spool.close().await;
                }
                drop(spool);
                self.restart();
            }
            Step::Recount => self.recount().await,
        }
    }

    async fn commit(&mut self, n: u8, first: u8, size: usize, held: bool, wait: u16) {
        let now = self.model.now();
        let addresses: Vec<String> = (0..n).map(|n| format!("u{n}@{}", domain((first + n) % 4))).collect();
        let mut new = message(now, &addresses.iter().map(String::as_str).collect::<Vec<_>>());
        new.deliveries[0].held = held;
        let due = at(self.model.now + i64::from(wait));
        new.not_before = (wait > 0).then_some(due);
        self.model.sizes.insert(new.id, size);
        for (n, delivery) in new.deliveries.iter().enumerate() {
            let state = match (n == 0 && held, wait > 0) {
                (true, _) => State::Held,
                (false, true) => State::Scheduled,
                (false, false) => State::Queued,
            };
            let domain = delivery.recipient.domain.to_string();
            let known = Known { message: new.id, domain, state, due, attempts: 0, wish: Wish::None };
            self.model.deliveries.insert(delivery.id, known);
        }
        commit(self.spool.as_ref(), &vec![b'x'; size], new, now).await.unwrap();
    }

    fn take(&mut self, which: u8) -> Option<(Arc<Message>, LeasedDelivery)> {
        let at = usize::from(which).checked_rem(self.held.len())?;
        Some(self.held.swap_remove(at))
    }

    async fn settle(&mut self, which: u8, how: u8) {
        let Some(one) = self.take(which) else {
            return;
        };
        let (id, due) = (one.1.delivery.id, at(self.model.now + 30));
        let verdict = match how {
            0 => Verdict::Retry(deferred(), due),
            1 => Verdict::Held,
            2 => Verdict::Captured(delivered()),
            3 => Verdict::Expired(deferred()),
            _ => Verdict::Done(delivered()),
        };
        let again = settlement(&one.0, &one.1, Verdict::Done(delivered()));
        let results = self.spool.settle(vec![settlement(&one.0, &one.1, verdict), again], self.model.now()).await;
        assert!(results[0].is_ok() && results[1].is_err(), "{results:?}");
        match how {
            0 => self.model.ended(id, State::Deferred, due, true),
            1 => self.model.ended(id, State::Held, due, false),
            _ => {
                self.model.deliveries.remove(&id);
            }
        }
    }

    /// As after a crash: leases are void, wishes about them are granted.
    fn restart(&mut self) {
        let now = self.model.now();
        self.spool = open_again(&self.directory, &mut self.spool, now);
        for (_, leased) in std::mem::take(&mut self.held) {
            let id = leased.delivery.id;
            let known = &self.model.deliveries[&id];
            let state = if known.attempts > 0 { State::Deferred } else { State::Queued };
            self.model.ended(id, state, now, false);
        }
    }

    async fn recount(&self) {
        let mut seen = BTreeMap::new();
        let mut cursor = None;
        loop {
            let (views, next) =
                self.spool.find(&Filter::default(), &Page { limit: 7, cursor }, self.model.now()).await.unwrap();
            for view in views {
                assert!(seen.insert(view.delivery, (view.message, view.state, view.attempts)).is_none());
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        // A scheduled one whose attempt was given up is no longer scheduled; the model does not tell these apart.
        let plain = |state: State| if state == State::Scheduled { State::Queued } else { state };
        let seen: Vec<_> = seen.into_iter().map(|(id, (message, state, n))| (id, message, plain(state), n)).collect();
        let known: Vec<_> = self
            .model
            .deliveries
            .iter()
            .map(|(id, known)| (*id, known.message, plain(known.state), known.attempts))
            .collect();
        assert_eq!(seen, known);
        let counts = self.spool.count().await.unwrap();
        assert_eq!(counts.iter().map(|(_, n)| n).sum::<u64>(), known.len() as u64);
        let active = known.iter().filter(|one| one.2 == State::Active).count() as u64;
        assert_eq!(count(self.spool.as_ref(), State::Active).await, active);
        for (state, n) in counts {
            let filter = Filter { state: Some(state), ..Filter::default() };
            assert_eq!(find(self.spool.as_ref(), &filter, self.model.now()).await.len() as u64, n, "{state:?}");
        }
        let by_domain = self.spool.count_by_domain(100).await.unwrap();
        assert_eq!(by_domain.iter().map(|(_, _, n)| n).sum::<u64>(), known.len() as u64);
    }

    /// Everything is leased in the end, with its content.
    async fn drain(&mut self) {
        let all = Filter::default();
        self.restart();
        self.model.now += 1000;
        let now = self.model.now();
        self.spool.update(&all, &Update::Release, now).await.unwrap();
        self.model.update(1, None);
        let mut left = self.model.deliveries.len();
        while left > 0 {
            let items = flat(self.spool.lease(50, &[], now).await.unwrap());
            assert!(!items.is_empty(), "{left} are never leased");
            for one in items {
                self.model.leased(&one, &[]);
                let content = read(self.spool.as_ref(), one.0.id).await;
                assert_eq!(content.len(), self.model.sizes[&one.0.id]);
                let done = settlement(&one.0, &one.1, Verdict::Done(delivered()));
                assert!(self.spool.settle(vec![done], now).await[0].is_ok());
                left -= 1;
            }
        }
        self.spool.close().await;
        let connection = rusqlite::Connection::open(self.directory.path().join("queue.db")).unwrap();
        for table in ["message", "delivery", "attempt", "destination"] {
            let sql = format!("SELECT count(*) FROM {table}");
            let n: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(n, 0, "{table}");
        }
        let sql = "SELECT (SELECT count(*) FROM content) - (SELECT count(*) FROM captured)";
        let unreferred: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(unreferred, 0, "content that nothing refers to");
        let sum: i64 = connection.query_row("SELECT coalesce(sum(n), 0) FROM counter", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 0);
    }
}

/// Drops the old engine before the new one asks for the lock.
fn open_again(directory: &tempfile::TempDir, old: &mut Arc<Engine>, now: Timestamp) -> Arc<Engine> {
    let elsewhere = tempfile::tempdir().unwrap();
    let placeholder = Engine::open(options(elsewhere.path()), now).unwrap();
    drop(std::mem::replace(old, placeholder));
    open(directory.path(), now)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: rounds(40), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_and_nothing_leased_twice(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new();
            for step in steps {
                run.step(step).await;
            }
            run.recount().await;
            run.drain().await;
        });
    }
}
