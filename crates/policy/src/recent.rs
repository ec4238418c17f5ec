//! A bounded table that forgets what was not used for longest.
//!
//! ```text
//!   asked ─► young ── full: becomes old, the old one is forgotten
//!              ▲ └── what must be kept comes along
//!     found ── old
//! ```
//!
//! Two halves instead of a list through all entries: what is asked for moves to the young half; when that is full it
//! becomes the old one. An entry is forgotten when as many others as fit into a half were used after it. One lookup for
//! what is in use, no work in the background, and a flood of new keys costs each of them the same.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    mem,
};

/// The table.
#[derive(Clone, Debug)]
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
    /// Of the young, those that were kept for their owner's sake: they do not count.
    kept: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// An empty table of at most `most` entries, and those that must be kept.
    pub fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (most / 2).max(1), kept: 0 }
    }

    /// The entry of a key, made when there is none. When room is needed, old entries go, but not those that `keep`
    /// speaks for.
    pub fn entry(&mut self, key: K, keep: impl Fn(&V) -> bool, make: impl FnOnce() -> V) -> &mut V {
        let mut asked = None;
        if self.young.len() >= self.half + self.kept {
            asked = self.old.remove(&key);
            self.age(keep);
        }
        match self.young.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let value = asked.or_else(|| self.old.remove(entry.key())).unwrap_or_else(make);
                entry.insert(value)
            }
        }
    }

    /// The entry of a key, when there is one; asking does not make it younger.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn age(&mut self, keep: impl Fn(&V) -> bool) {
        let mut gone = mem::replace(&mut self.old, mem::take(&mut self.young));
        gone.retain(|_, value| keep(value));
        self.kept = gone.len();
        self.young = gone;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_used_stays() {
        let mut table = Recent::new(10);
        for number in 0..1000 {
            table.entry(number, |_| false, || number);
            assert_eq!(*table.entry(0, |_| false, || 7), 0);
        }
        assert!(table.len() <= 10);
        assert_eq!((table.get(&0), table.get(&1), table.get(&999)), (Some(&0), None, Some(&999)));
        assert_eq!((table.remove(&999), table.get(&999)), (Some(999), None));
    }

    #[test]
    fn what_must_be_kept_is_kept() {
        let mut table = Recent::new(4);
        for number in 0..1000 {
            table.entry(number, |value| *value < 3, || number);
        }
        assert!([0, 1, 2].iter().all(|kept| table.get(kept).is_some()));
        assert!(table.len() <= 4 + 3);
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_remembers_the_latest_half(most in 2_usize..40, keys in prop::collection::vec(0_u8..60, 1..300)) {
            let mut table = Recent::new(most);
            let mut latest: Vec<u8> = Vec::new();
            for key in keys {
                table.entry(key, |_| false, || key);
                latest.retain(|other| *other != key);
                latest.push(key);
                prop_assert!(table.len() <= most.max(2));
                let recent = latest.iter().rev().take(most / 2);
                prop_assert!(recent.clone().all(|key| table.get(key) == Some(key)));
            }
        }
    }
}
