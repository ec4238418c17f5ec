//! Asking strangers to come again: a server that queues its mail does, most programs that send spam do not
//! (RFC 6647).
//!
//! ```text
//!            first try             again after `wait`
//!  unknown ────────────► tried ──────────────────────► passed ──┐
//!     ▲   ◄── window over ─┘ ▲                            │ ▲    │ so many of one network
//!     │                      └ too early: wait            │ └────┘ seen: kept anew       ╲
//!     └────────────────────────────────── kept for `keep` ┘                    the network passes
//! ```
//!
//! What is remembered is a triplet: the network of the client, the sender, the recipient; as digests, so that a dump of
//! the table says nobody's name. Times are those of the wall clock, because the table outlives the process. A clock that
//! went back makes nobody wait longer than `wait`.

use std::{collections::HashSet, time::Duration};

use mail::Timestamp;

use crate::recent::Recent;

/// First tries that are remembered.
const TRIED_MAX: usize = 100_000;
/// Passes that are remembered, those of networks among them.
const PASSED_MAX: usize = 200_000;
/// Passes are used often and need not be written each time: only when so much of their time is over.
const REFRESH: Duration = Duration::from_secs(86_400);

/// A digest of a triplet, or of a network.
pub type Key = [u8; 16];

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Triplet {
    /// Of network, sender and recipient.
    pub whole: Key,
    /// Of the network alone.
    pub network: Key,
}

/// The times of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a stranger has to wait.
    pub wait: Duration,
    /// Until when the second try must come, counted from the first.
    pub window: Duration,
    /// How long a pass is remembered after it was last used.
    pub keep: Duration,
    /// Triplets of one network that must have passed for all of it to pass; none when zero.
    pub network_passes: u32,
}

impl Default for Settings {
    /// Five minutes, two days, thirty-six days, so that what comes once a month passes; five triplets.
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            wait: Duration::from_secs(300),
            window: Duration::from_secs(2 * DAY),
            keep: Duration::from_secs(36 * DAY),
            network_passes: 5,
        }
    }
}

/// The word on a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Pass,
    /// Not before so long.
    Wait(Duration),
}

/// What is remembered of a triplet or a network, and kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was first seen.
    pub first: Timestamp,
    /// When it last passed; the first time as long as it has not.
    pub latest: Timestamp,
    /// How often it passed first: triplets of a network, one for a triplet; zero for a mere try.
    pub passes: u32,
}

/// The table.
#[derive(Debug)]
pub struct Greylist {
    settings: Settings,
    tried: Recent<Key, Timestamp>,
    passed: Recent<Key, Entry>,
    /// What changed since it was last written.
    changed: HashSet<Key>,
}

impl Greylist {
    /// An empty table.
    pub fn new(settings: Settings) -> Self {
        Self { settings, tried: Recent::new(TRIED_MAX), passed: Recent::new(PASSED_MAX), changed: HashSet::new() }
    }

    /// Its times.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes over what was kept on disk, the oldest first.
    pub fn restore(&mut self, key: Key, entry: Entry) {
        if entry.passes == 0 {
            self.tried.entry(key, |_| false, || entry.first);
        } else {
            self.passed.entry(key, |_| false, || entry);
        }
    }

    /// May this triplet pass now?
    pub fn ask(&mut self, triplet: Triplet, now: Timestamp) -> Verdict {
        if self.settings.network_passes > 0 && self.has_passed(triplet.network, self.settings.network_passes, now) {
            return Verdict::Pass;
        }
        if self.has_passed(triplet.whole, 1, now) {
            return Verdict::Pass;
        }
        let first = *self.tried.entry(triplet.whole, |_| false, || now);
        let age = now.since(first);
        // A try of long ago, or of a future that the clock has left, is a new one.
        if age > self.settings.window || first > now {
            *self.tried.entry(triplet.whole, |_| false, || now) = now;
            self.note(triplet.whole);
            return Verdict::Wait(self.settings.wait);
        }
        if age < self.settings.wait {
            if age.is_zero() {
                self.note(triplet.whole);
            }
            return Verdict::Wait(self.settings.wait.saturating_sub(age));
        }
        self.pass(triplet, first, now);
        Verdict::Pass
    }

    /// What changed since the last call, at most so much; for the disk.
    pub fn take_changes(&mut self, most: usize) -> Vec<(Key, Entry)> {
        let keys: Vec<Key> = self.changed.iter().take(most).copied().collect();
        keys.into_iter()
            .filter_map(|key| {
                self.changed.remove(&key);
                Some((key, self.entry(&key)?))
            })
            .collect()
    }

    /// What is remembered under a key.
    pub fn entry(&self, key: &Key) -> Option<Entry> {
        let tried = |first: &Timestamp| Entry { first: *first, latest: *first, passes: 0 };
        self.passed.get(key).copied().or_else(|| self.tried.get(key).map(tried))
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.tried.len() + self.passed.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the key has passed often enough and lately; if so, it is used now.
    fn has_passed(&mut self, key: Key, passes: u32, now: Timestamp) -> bool {
        let keep = self.settings.keep;
        let fresh =
            self.passed.get(&key).is_some_and(|entry| now.since(entry.latest) <= keep && entry.passes >= passes);
        if fresh {
            let entry = self.passed.entry(key, |_| false, || unused(now));
            if now.since(entry.latest) >= REFRESH {
                entry.latest = now;
                self.note(key);
            }
        }
        fresh
    }

    fn pass(&mut self, triplet: Triplet, first: Timestamp, now: Timestamp) {
        self.tried.remove(&triplet.whole);
        let keep = self.settings.keep;
        for (key, first) in [(triplet.whole, first), (triplet.network, now)] {
            let entry = self.passed.entry(key, |_| false, || Entry { first, ..unused(now) });
            if now.since(entry.latest) > keep {
                *entry = unused(now);
            }
            entry.passes = entry.passes.saturating_add(1);
            entry.latest = now;
            self.note(key);
        }
    }

    /// Remembers what is to be written. More than fits is not: it is a table of conveniences.
    fn note(&mut self, key: Key) {
        if self.changed.len() < TRIED_MAX {
            self.changed.insert(key);
        }
    }
}

fn unused(now: Timestamp) -> Entry {
    Entry { first: now, latest: now, passes: 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    fn triplet(network: u8, whole: u8) -> Triplet {
        Triplet { whole: [whole; 16], network: [network | 0x80; 16] }
    }

    fn begin() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    #[test]
    fn five_minutes_then_thirty_six_days() {
        let (mut list, now) = (Greylist::new(Settings::default()), begin());
        assert_eq!(list.ask(triplet(1, 1), now), Verdict::Wait(5 * MINUTE));
        assert_eq!(list.ask(triplet(1, 1), now + MINUTE), Verdict::Wait(4 * MINUTE));
        assert_eq!(list.ask(triplet(1, 1), now + 5 * MINUTE), Verdict::Pass);
        assert_eq!(list.ask(triplet(1, 2), now + 5 * MINUTE), Verdict::Wait(5 * MINUTE));
        assert_eq!(list.ask(triplet(1, 1), now + 36 * DAY), Verdict::Pass);
        assert_eq!(list.ask(triplet(1, 1), now + 72 * DAY), Verdict::Pass);
        assert_eq!(list.ask(triplet(1, 1), now + 109 * DAY), Verdict::Wait(5 * MINUTE));
    }

    #[test]
    fn a_second_try_must_come_within_two_days() {
        let (mut list, now) = (Greylist::new(Settings::default()), begin());
        list.ask(triplet(1, 1), now);
        assert_eq!(list.ask(triplet(1, 1), now + 2 * DAY + MINUTE), Verdict::Wait(5 * MINUTE));
        assert_eq!(list.ask(triplet(1, 1), now + 2 * DAY + 6 * MINUTE), Verdict::Pass);
    }

    #[test]
    fn a_network_of_which_five_have_passed_passes() {
        let (mut list, now) = (Greylist::new(Settings::default()), begin());
        for whole in 1..=5 {
            assert_eq!(list.ask(triplet(1, whole), now), Verdict::Wait(5 * MINUTE));
            assert_eq!(list.ask(triplet(1, whole), now + 5 * MINUTE), Verdict::Pass);
        }
        assert_eq!(list.ask(triplet(1, 6), now + 6 * MINUTE), Verdict::Pass);
        assert_eq!(list.ask(triplet(2, 7), now + 6 * MINUTE), Verdict::Wait(5 * MINUTE));
        assert_eq!(list.ask(triplet(1, 8), now + 43 * DAY), Verdict::Wait(5 * MINUTE));
    }

    #[test]
    fn a_clock_that_goes_back_makes_nobody_wait_longer() {
        let (mut list, now) = (Greylist::new(Settings::default()), begin());
        list.ask(triplet(1, 1), now);
        assert_eq!(list.ask(triplet(1, 1), now - 300 * DAY), Verdict::Wait(5 * MINUTE));
        assert_eq!(list.ask(triplet(1, 1), now - 300 * DAY + 5 * MINUTE), Verdict::Pass);
        assert_eq!(list.ask(triplet(1, 1), now - 400 * DAY), Verdict::Pass);
    }

    #[test]
    fn what_changed_is_told_once_and_taken_over() {
        let (mut list, now) = (Greylist::new(Settings::default()), begin());
        list.ask(triplet(1, 1), now);
        assert_eq!(list.take_changes(10), [([1; 16], Entry { first: now, latest: now, passes: 0 })]);
        list.ask(triplet(1, 1), now + MINUTE);
        assert_eq!(list.take_changes(10), []);
        list.ask(triplet(1, 1), now + 5 * MINUTE);
        let changes = list.take_changes(10);
        assert_eq!(changes.len(), 2);
        list.ask(triplet(1, 1), now + 6 * MINUTE);
        assert_eq!(list.take_changes(10), []);
        let mut again = Greylist::new(Settings::default());
        for (key, entry) in changes {
            again.restore(key, entry);
        }
        assert_eq!(again.ask(triplet(1, 1), now + DAY), Verdict::Pass);
        assert_eq!(again.take_changes(10).len(), 0);
        assert_eq!(again.ask(triplet(1, 1), now + 3 * DAY), Verdict::Pass);
        assert_eq!(again.take_changes(1).len(), 1);
    }

    proptest! {
        /// A triplet passes only when it was tried before, at least `wait` and at most `window` ago, or has passed.
        #[test]
        fn nobody_passes_at_the_first_try(steps in prop::collection::vec((0_u8..8, 0_u64..400), 1..200)) {
            let mut list = Greylist::new(Settings { network_passes: 0, ..Settings::default() });
            let mut now = begin();
            let mut tries: Vec<Vec<Timestamp>> = vec![Vec::new(); 8];
            for (whole, minutes) in steps {
                now = now + Duration::from_secs(60 * minutes);
                let verdict = list.ask(triplet(1, whole), now);
                let tried = &mut tries[usize::from(whole)];
                if verdict == Verdict::Pass {
                    prop_assert!(tried.iter().any(|at| now.since(*at) >= Duration::from_secs(300)));
                } else {
                    let waited = tried.last().is_some_and(|at| (5 * MINUTE..2 * DAY).contains(&now.since(*at)));
                    let alone = tried.len() == 1;
                    prop_assert!(!(waited && alone), "waited and was sent away");
                }
                tried.push(now);
            }
        }
    }
}
