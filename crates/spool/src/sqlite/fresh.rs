//! The window in memory: messages with which nothing has happened yet, and who has a lease on what.
//!
//! A message is *whole* from its commit until something happens to one of its deliveries but success: then it is split
//! into rows and leaves the window. Delivered at once it never has rows. Leases of split deliveries are kept here too,
//! so that a settle finds its row without a query.
//!
//! ```text
//! commit ─► waiting ──lease──► leased ──settle──► settled ─┬─ all gone: one DELETE
//!              │                  │                        └─ else: split
//!              └──────────────────┴─ too old, parked, an operator's verb: split
//! ```
//!
//! Not here: SQL. Only the committer adds, takes and removes; `lease` is called from any task.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use mail::{DeliveryId, MessageId, Timestamp};

use super::row::{Base, Tally, Wish};
use crate::{Delivery, Item, Lease, LeasedDelivery, Message};

/// Fresh deliveries per domain; more get their rows at once.
const PER_DOMAIN_MAX: usize = 10_000;
/// Fresh deliveries in all.
const TOTAL_MAX: usize = 100_000;
/// A fresh delivery unsettled for this long gets its row, so that a restart has little to read.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// How finely the age of what is fresh is known: it may be taken for older by this much.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// Octets of content kept at hand for the first attempt.
const CONTENT_MAX: u64 = 32 * 1024 * 1024;

/// A message of the window.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) seq: u64,
    pub(super) message: Arc<Message>,
    pub(super) fence: u64,
    pub(super) content: ContentRef,
    pub(super) slots: Vec<Slot>,
}

/// Which content a message has, and whether it is a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct ContentRef {
    pub(super) seq: u64,
    pub(super) in_file: bool,
}

/// One delivery of it.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) delivery: Arc<Delivery>,
    pub(super) domain: Arc<str>,
    pub(super) state: SlotState,
}

/// Where a delivery of the window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    Waiting,
    Leased {
        until: Timestamp,
    },
    /// Its settlement is in the transaction being made.
    Settled,
}

/// A lease on a delivery that has a row.
#[derive(Clone, Debug)]
pub(super) struct RowLease {
    pub(super) seq: u64,
    pub(super) message: u64,
    pub(super) fence: u64,
    pub(super) until: Timestamp,
    pub(super) domain: Arc<str>,
    pub(super) state: Base,
    pub(super) attempts: u32,
    pub(super) wish: Option<Wish>,
}

/// Where the owner of a lease is found.
#[derive(Clone, Debug)]
enum Place {
    Whole { seq: u64, index: usize },
    Row(RowLease),
}

/// A lease taken out of the window, to be settled.
#[derive(Clone, Debug)]
pub(super) enum Taken {
    Whole { seq: u64, index: usize, until: Timestamp },
    Row(RowLease),
}

#[derive(Debug, Default)]
struct DomainWindow {
    /// Sequences of waiting deliveries, ascending.
    waiting: VecDeque<u64>,
    /// Deliveries reserved, waiting or leased.
    fresh: usize,
    leased: usize,
    rows_leased: Tally,
}

impl DomainWindow {
    fn is_unused(&self) -> bool {
        self.fresh == 0 && self.waiting.is_empty() && self.rows_leased.total() == 0
    }
}

/// Numbers of one domain, or of all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// Fresh and without a lease.
    pub(super) waiting: i64,
    /// Fresh and leased.
    pub(super) leased: i64,
    /// Rows that are leased, by the state they have on the disk.
    pub(super) rows_leased: Tally,
}

/// The window.
#[derive(Debug, Default)]
pub(super) struct Window {
    messages: BTreeMap<u64, Whole>,
    by_id: HashMap<MessageId, u64>,
    places: HashMap<DeliveryId, Place>,
    domains: HashMap<Arc<str>, DomainWindow>,
    /// The first waiting delivery of each domain.
    heads: BTreeMap<u64, Arc<str>>,
    total: usize,
    leased: usize,
    rows_leased: Tally,
    content_bytes: u64,
    /// (time, first sequence given out after it), oldest first.
    marks: VecDeque<(Timestamp, u64)>,
    /// Below this sequence all is old.
    aged_below: u64,
    restart_mark: Option<u64>,
}

impl Window {
    /// The shared name of a domain.
    pub(super) fn intern(&self, domain: &str) -> Arc<str> {
        self.domains.get_key_value(domain).map_or_else(|| Arc::from(domain), |(name, _)| Arc::clone(name))
    }

    /// Whether so much content may be kept at hand.
    pub(super) fn keeps_content(&self, size: u64) -> bool {
        self.content_bytes + size <= CONTENT_MAX
    }

    pub(super) fn knows_message(&self, id: MessageId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn knows_delivery(&self, id: DeliveryId) -> bool {
        self.places.contains_key(&id)
    }

    pub(super) fn by_message(&self, id: MessageId) -> Option<&Whole> {
        self.messages.get(self.by_id.get(&id)?)
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Whole> {
        self.messages.get(&seq)
    }

    /// The message of a whole delivery.
    pub(super) fn whole_delivery(&self, id: DeliveryId) -> Option<&Whole> {
        match self.places.get(&id)? {
            Place::Whole { seq, .. } => self.messages.get(seq),
            Place::Row(_) => None,
        }
    }

    /// The whole delivery with this number.
    pub(super) fn at(&self, seq: u64) -> Option<(&Whole, &Slot)> {
        let (first, whole) = self.messages.range(..=seq).next_back()?;
        Some((whole, whole.slots.get(usize::try_from(seq - first).ok()?)?))
    }

    /// Messages with a sequence below `before`, newest first.
    pub(super) fn newest_before(&self, before: u64) -> impl Iterator<Item = &Whole> {
        self.messages.range(..before).rev().map(|(_, whole)| whole)
    }

    /// Messages with a sequence of at least `from`, oldest first.
    pub(super) fn oldest_from(&self, from: u64) -> impl Iterator<Item = &Whole> {
        self.messages.range(from..).map(|(_, whole)| whole)
    }

    /// The sequence of the oldest message.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.messages.keys().next().copied()
    }

    /// Takes room for a message; false when a domain's window or the whole one is full.
    pub(super) fn reserve(&mut self, domains: &[Arc<str>]) -> bool {
        if self.total + domains.len() > TOTAL_MAX {
            return false;
        }
        for (done, domain) in domains.iter().enumerate() {
            let window = self.domains.entry(Arc::clone(domain)).or_default();
            if window.fresh >= PER_DOMAIN_MAX {
                self.total += done;
                self.release(domains.get(..done).unwrap_or_default());
                return false;
            }
            window.fresh += 1;
        }
        self.total += domains.len();
        true
    }

    /// Gives reserved room back.
    pub(super) fn release(&mut self, domains: &[Arc<str>]) {
        for domain in domains {
            self.forget_fresh(domain);
        }
    }

    /// Adds a committed message, for which room was reserved.
    pub(super) fn insert(&mut self, whole: Whole) {
        self.by_id.insert(whole.message.id, whole.seq);
        for (index, slot) in whole.slots.iter().enumerate() {
            self.places.insert(slot.delivery.id, Place::Whole { seq: whole.seq, index });
        }
        for (offset, slot) in (0..).zip(&whole.slots) {
            if slot.state == SlotState::Waiting {
                self.push_waiting(&Arc::clone(&slot.domain), whole.seq + offset);
            }
        }
        self.content_bytes += content_size(&whole.message);
        self.messages.insert(whole.seq, whole);
    }

    /// Leases at most `limit` waiting deliveries in order of arrival, but none of `skip`.
    pub(super) fn lease(&mut self, limit: usize, skip: &HashSet<&str>, until: Timestamp) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        let (mut cursor, mut count) = (0, 0);
        while count < limit {
            let next = self.heads.range(cursor..).find(|(_, domain)| !skip.contains(domain.as_ref()));
            let Some((&seq, domain)) = next else {
                break;
            };
            let domain = Arc::clone(domain);
            cursor = seq;
            self.pop_waiting(&domain);
            if self.hand_out(seq, until, &mut items) {
                count += 1;
            }
        }
        items
    }

    /// Marks one delivery as leased and adds it to `items`, beside the last when that is the same message.
    fn hand_out(&mut self, seq: u64, until: Timestamp, items: &mut Vec<Item>) -> bool {
        let Some((_, whole)) = self.messages.range_mut(..=seq).next_back() else {
            return false;
        };
        let index = usize::try_from(seq - whole.seq).unwrap_or(usize::MAX);
        let Some(slot) = whole.slots.get_mut(index).filter(|slot| slot.state == SlotState::Waiting) else {
            return false;
        };
        slot.state = SlotState::Leased { until };
        self.leased += 1;
        if let Some(window) = self.domains.get_mut(&slot.domain) {
            window.leased += 1;
        }
        let lease = Lease { delivery: slot.delivery.id, fence: whole.fence };
        let leased = LeasedDelivery { lease, delivery: Arc::clone(&slot.delivery) };
        match items.last_mut() {
            Some(last) if last.message.id == whole.message.id => last.deliveries.push(leased),
            _ => items.push(Item { message: Arc::clone(&whole.message), deliveries: vec![leased] }),
        }
        true
    }

    /// How often the holder of this lease has tried before; nothing when the lease is lost.
    pub(super) fn attempts(&self, lease: Lease) -> Option<u32> {
        match self.places.get(&lease.delivery)? {
            Place::Whole { seq, .. } => self.messages.get(seq).filter(|whole| whole.fence == lease.fence).map(|_| 0),
            Place::Row(row) => (row.fence == lease.fence).then_some(row.attempts),
        }
    }

    /// Takes a lease out to settle it; nothing when it is lost.
    pub(super) fn take(&mut self, lease: Lease) -> Option<Taken> {
        match self.places.get(&lease.delivery)? {
            &Place::Whole { seq, index } => {
                let whole = self.messages.get_mut(&seq).filter(|whole| whole.fence == lease.fence)?;
                let slot = whole.slots.get_mut(index)?;
                let SlotState::Leased { until } = slot.state else {
                    return None;
                };
                slot.state = SlotState::Settled;
                Some(Taken::Whole { seq, index, until })
            }
            Place::Row(row) if row.fence == lease.fence => {
                let row = row.clone();
                self.places.remove(&lease.delivery);
                self.count_row(&row, -1);
                Some(Taken::Row(row))
            }
            Place::Row(_) => None,
        }
    }

    /// Puts back what was taken: its transaction failed.
    pub(super) fn put_back(&mut self, delivery: DeliveryId, taken: Taken) {
        match taken {
            Taken::Whole { seq, index, until } => {
                if let Some(slot) = self.messages.get_mut(&seq).and_then(|whole| whole.slots.get_mut(index)) {
                    slot.state = SlotState::Leased { until };
                }
            }
            Taken::Row(row) => self.add_row(delivery, row),
        }
    }

    /// Notes the lease of a delivery that has a row.
    pub(super) fn add_row(&mut self, delivery: DeliveryId, row: RowLease) {
        self.count_row(&row, 1);
        self.places.insert(delivery, Place::Row(row));
    }

    /// What an operator wishes for a leased row.
    pub(super) fn wish(&mut self, delivery: DeliveryId, wish: Option<Wish>) {
        if let Some(Place::Row(row)) = self.places.get_mut(&delivery) {
            row.wish = wish;
        }
    }

    /// Leased rows whose time is over: their holders are gone.
    pub(super) fn overdue(&self, now: Timestamp) -> Vec<Lease> {
        let over = |(id, place): (&DeliveryId, &Place)| match place {
            Place::Row(row) if row.until < now => Some(Lease { delivery: *id, fence: row.fence }),
            _ => None,
        };
        self.places.iter().filter_map(over).collect()
    }

    /// Lets every lease on a row last longer: the wall clock was set forward by so much.
    pub(super) fn extend_leases(&mut self, by: Duration) {
        for place in self.places.values_mut() {
            if let Place::Row(row) = place {
                row.until = row.until + by;
            }
        }
    }

    /// Keeps the waiting deliveries of a message from being leased while its transaction runs.
    pub(super) fn freeze(&mut self, seq: u64) {
        for (domain, seq) in self.waiting_of(seq) {
            self.remove_waiting(&domain, seq);
        }
    }

    /// Lets them be leased again: the transaction failed.
    pub(super) fn unfreeze(&mut self, seq: u64) {
        for (domain, seq) in self.waiting_of(seq) {
            self.push_waiting(&domain, seq);
        }
    }

    /// Forgets a message: it is done, or split into rows.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Whole> {
        self.freeze(seq);
        let whole = self.messages.remove(&seq)?;
        self.by_id.remove(&whole.message.id);
        self.content_bytes = self.content_bytes.saturating_sub(content_size(&whole.message));
        for slot in &whole.slots {
            self.places.remove(&slot.delivery.id);
            if slot.state != SlotState::Waiting {
                self.leased = self.leased.saturating_sub(1);
                if let Some(window) = self.domains.get_mut(&slot.domain) {
                    window.leased = window.leased.saturating_sub(1);
                }
            }
            self.forget_fresh(&slot.domain);
        }
        Some(whole)
    }

    /// Notes how far the sequence was at a time. The wall clock may jump: back, and what is fresh counts as new.
    pub(super) fn mark(&mut self, now: Timestamp, next: u64) {
        match self.marks.back_mut() {
            Some((last, last_next)) if now < *last => {
                *last_next = next;
                for (at, _) in &mut self.marks {
                    *at = now;
                }
            }
            Some((last, last_next)) if now.since(*last) < MARK_EVERY => *last_next = next,
            _ => self.marks.push_back((now, next)),
        }
    }

    /// What came before this sequence is from an earlier process: it counts as new from the next time that is known.
    pub(super) fn mark_restart(&mut self, next: u64) {
        self.restart_mark = Some(next);
    }

    /// Takes room for messages of an earlier process: the bounds were kept when they were committed.
    pub(super) fn readmit(&mut self, domains: &[Arc<str>]) {
        for domain in domains {
            self.domains.entry(Arc::clone(domain)).or_default().fresh += 1;
        }
        self.total += domains.len();
    }

    /// The sequence below which everything is older than a fresh message may be; nothing when there is none such.
    pub(super) fn aged(&mut self, now: Timestamp) -> Option<u64> {
        if let Some(next) = self.restart_mark.take() {
            self.mark(now, next);
        }
        while let Some(&(at, seq)) = self.marks.front()
            && now.since(at) >= FRESH_FOR
        {
            self.aged_below = seq;
            self.marks.pop_front();
        }
        self.oldest().is_some_and(|oldest| oldest < self.aged_below).then_some(self.aged_below)
    }

    /// Numbers over all domains.
    pub(super) fn numbers(&self) -> Numbers {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        Numbers {
            waiting: number(self.total) - number(self.leased),
            leased: number(self.leased),
            rows_leased: self.rows_leased,
        }
    }

    /// Numbers of each domain that has any.
    pub(super) fn numbers_by_domain(&self) -> HashMap<String, Numbers> {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let numbers = |window: &DomainWindow| Numbers {
            waiting: number(window.fresh) - number(window.leased),
            leased: number(window.leased),
            rows_leased: window.rows_leased,
        };
        self.domains.iter().map(|(domain, window)| (domain.to_string(), numbers(window))).collect()
    }

    fn waiting_of(&self, seq: u64) -> Vec<(Arc<str>, u64)> {
        let Some(whole) = self.messages.get(&seq) else {
            return Vec::new();
        };
        let waiting = |(offset, slot): (u64, &Slot)| {
            (slot.state == SlotState::Waiting).then(|| (Arc::clone(&slot.domain), seq + offset))
        };
        (0..).zip(&whole.slots).filter_map(waiting).collect()
    }

    fn push_waiting(&mut self, domain: &Arc<str>, seq: u64) {
        let window = self.domains.entry(Arc::clone(domain)).or_default();
        let Err(at) = window.waiting.binary_search(&seq) else {
            return;
        };
        if at == 0 {
            if let Some(old) = window.waiting.front() {
                self.heads.remove(old);
            }
            self.heads.insert(seq, Arc::clone(domain));
        }
        window.waiting.insert(at, seq);
    }

    fn pop_waiting(&mut self, domain: &Arc<str>) {
        let Some(window) = self.domains.get_mut(domain) else {
            return;
        };
        if let Some(old) = window.waiting.pop_front() {
            self.heads.remove(&old);
        }
        if let Some(&new) = window.waiting.front() {
            self.heads.insert(new, Arc::clone(domain));
        }
    }

    fn remove_waiting(&mut self, domain: &Arc<str>, seq: u64) {
        let Some(window) = self.domains.get_mut(domain) else {
            return;
        };
        match window.waiting.binary_search(&seq) {
            Ok(0) => self.pop_waiting(domain),
            Ok(at) => {
                window.waiting.remove(at);
            }
            Err(_) => {}
        }
    }

    fn forget_fresh(&mut self, domain: &Arc<str>) {
        self.total = self.total.saturating_sub(1);
        if let Some(window) = self.domains.get_mut(domain) {
            window.fresh = window.fresh.saturating_sub(1);
            if window.is_unused() {
                self.domains.remove(domain);
            }
        }
    }

    fn count_row(&mut self, row: &RowLease, n: i64) {
        self.rows_leased.add(row.state, n);
        let window = self.domains.entry(Arc::clone(&row.domain)).or_default();
        window.rows_leased.add(row.state, n);
        if window.is_unused() {
            self.domains.remove(&row.domain);
        }
    }
}

fn content_size(message: &Message) -> u64 {
    message.content.as_ref().map_or(0, |content| content.len() as u64)
}
