//! Answers kept for as long as their publishers allow, and no more of them than fit.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::{Duration, Instant},
};

/// Answers kept; the oldest go first.
const ANSWERS_MAX: usize = 10_000;
/// Octets of answers kept; the oldest go first. Ten thousand answers are usually two megabytes; a publisher of many large
/// ones pushes out others' answers, but takes no more memory than this.
const OCTETS_MAX: usize = 16 * 1024 * 1024;
/// The longest that an answer is kept, whatever it says.
const TTL_MAX: Duration = Duration::from_secs(24 * 3600);

/// A bounded cache with a deadline per entry.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Keys in order of insertion, with the entry's number: a renewed entry leaves its old place behind.
    order: VecDeque<(K, u64)>,
    next: u64,
    octets: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    octets: usize,
    until: Instant,
    number: u64,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), next: 0, octets: 0 }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Instant) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).filter(|entry| entry.until > now).map(|entry| entry.value.clone())
    }

    /// Keeps an answer of about so many octets.
    pub(super) fn insert(&mut self, key: K, value: V, octets: usize, ttl: Duration, now: Instant) {
        if ttl.is_zero() {
            return;
        }
        self.next += 1;
        self.order.push_back((key.clone(), self.next));
        let entry = Entry { value, octets, until: now + ttl.min(TTL_MAX), number: self.next };
        self.octets += octets;
        if let Some(old) = self.entries.insert(key, entry) {
            self.octets -= old.octets;
        }
        while self.order.len() > ANSWERS_MAX || self.octets > OCTETS_MAX {
            let Some((oldest, number)) = self.order.pop_front() else { break };
            if self.entries.get(&oldest).is_some_and(|entry| entry.number == number)
                && let Some(old) = self.entries.remove(&oldest)
            {
                self.octets -= old.octets;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::Clock::system().instant()
    }

    #[test]
    fn an_answer_lives_as_long_as_its_ttl() {
        let mut cache = Cache::<String, _>::default();
        let now = start();
        cache.insert("a".into(), 1, 1, Duration::from_secs(60), now);
        cache.insert("b".into(), 2, 1, Duration::ZERO, now);
        cache.insert("c".into(), 3, 1, Duration::MAX, now);
        assert_eq!(cache.get("a", now + Duration::from_secs(59)), Some(1));
        assert_eq!(cache.get("a", now + Duration::from_secs(60)), None);
        assert_eq!(cache.get("b", now), None);
        assert_eq!(cache.get("c", now + TTL_MAX), None);
    }

    #[test]
    fn it_is_bounded_and_keeps_the_newest() {
        let mut cache = Cache::<String, _>::default();
        let now = start();
        for number in 0..2 * ANSWERS_MAX {
            cache.insert(number.to_string(), number, 1, Duration::from_secs(60), now);
        }
        assert_eq!((cache.entries.len(), cache.order.len(), cache.octets), (ANSWERS_MAX, ANSWERS_MAX, ANSWERS_MAX));
        assert_eq!(cache.get("0", now), None);
        assert_eq!(cache.get("19999", now), Some(19999));
        for _ in 0..ANSWERS_MAX - 1 {
            cache.insert("hot".into(), 0, 1, Duration::from_secs(60), now);
        }
        assert_eq!(cache.get("hot", now), Some(0));
        assert!(cache.order.len() <= ANSWERS_MAX && cache.entries.len() <= ANSWERS_MAX);
    }

    #[test]
    fn large_answers_push_out_old_ones() {
        let mut cache = Cache::<String, _>::default();
        let now = start();
        for number in 0..100 {
            cache.insert(number.to_string(), number, OCTETS_MAX / 10, Duration::from_secs(60), now);
        }
        assert_eq!((cache.entries.len(), cache.get("89", now), cache.get("90", now)), (10, None, Some(90)));
        cache.insert("99".into(), 0, 7, Duration::from_secs(60), now);
        assert_eq!(cache.octets, 9 * (OCTETS_MAX / 10) + 7);
        cache.insert("beyond".into(), 0, OCTETS_MAX + 1, Duration::from_secs(60), now);
        assert_eq!((cache.entries.len(), cache.octets), (0, 0));
    }
}
