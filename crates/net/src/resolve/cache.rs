//! Answers kept for as long as their publishers allow, and no more of them than fit.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// Answers kept; the oldest go first. An answer is at most 100 exchanges or 32 addresses, so this is some megabytes.
const ANSWERS_MAX: usize = 10_000;
/// The longest that an answer is kept, whatever it says.
const TTL_MAX: Duration = Duration::from_secs(24 * 3600);

/// A bounded cache with a deadline per entry.
#[derive(Debug)]
pub(super) struct Cache<V> {
    entries: HashMap<String, Entry<V>>,
    /// Names in order of insertion, with the entry's number: a renewed entry leaves its old place behind.
    order: VecDeque<(String, u64)>,
    next: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    until: Instant,
    number: u64,
}

impl<V: Clone> Cache<V> {
    pub(super) fn new() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), next: 0 }
    }

    pub(super) fn get(&self, name: &str, now: Instant) -> Option<V> {
        self.entries.get(name).filter(|entry| entry.until > now).map(|entry| entry.value.clone())
    }

    pub(super) fn insert(&mut self, name: String, value: V, ttl: Duration, now: Instant) {
        if ttl.is_zero() {
            return;
        }
        self.next += 1;
        self.order.push_back((name.clone(), self.next));
        self.entries.insert(name, Entry { value, until: now + ttl.min(TTL_MAX), number: self.next });
        while self.order.len() > ANSWERS_MAX {
            let Some((oldest, number)) = self.order.pop_front() else { break };
            if self.entries.get(&oldest).is_some_and(|entry| entry.number == number) {
                self.entries.remove(&oldest);
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
        let mut cache = Cache::new();
        let now = start();
        cache.insert("a".into(), 1, Duration::from_secs(60), now);
        cache.insert("b".into(), 2, Duration::ZERO, now);
        cache.insert("c".into(), 3, Duration::MAX, now);
        assert_eq!(cache.get("a", now + Duration::from_secs(59)), Some(1));
        assert_eq!(cache.get("a", now + Duration::from_secs(60)), None);
        assert_eq!(cache.get("b", now), None);
        assert_eq!(cache.get("c", now + TTL_MAX), None);
    }

    #[test]
    fn it_is_bounded_and_keeps_the_newest() {
        let mut cache = Cache::new();
        let now = start();
        for number in 0..2 * ANSWERS_MAX {
            cache.insert(number.to_string(), number, Duration::from_secs(60), now);
        }
        assert_eq!((cache.entries.len(), cache.order.len()), (ANSWERS_MAX, ANSWERS_MAX));
        assert_eq!(cache.get("0", now), None);
        assert_eq!(cache.get("19999", now), Some(19999));
        for _ in 0..ANSWERS_MAX - 1 {
            cache.insert("hot".into(), 0, Duration::from_secs(60), now);
        }
        assert_eq!(cache.get("hot", now), Some(0));
        assert!(cache.order.len() <= ANSWERS_MAX && cache.entries.len() <= ANSWERS_MAX);
    }
}
