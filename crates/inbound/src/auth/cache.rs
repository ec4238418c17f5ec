//! Credentials that were verified a short while ago, so that a program that authenticates for each message does not
//! cost an Argon2id each time.
//!
//! An entry is the HMAC of (user, stored hash, password) under a key that lives as long as the process: a dump of the
//! cache gives nothing to compare passwords with. A changed password or a removed user has another stored hash, or
//! none, so old entries can't be hit from that moment on.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use smtp::sasl::scram;
use zeroize::Zeroizing;

/// How long a verification is believed, counted from the hashing and not prolonged by use.
pub(super) const BELIEVED: Duration = Duration::from_secs(300);
/// Entries kept: the oldest go first. 72 octets each, twice.
pub(super) const ENTRIES_MAX: usize = 10_000;

/// The name of one verified credential.
pub(super) type Ticket = scram::Digest;

/// The credentials by their tickets.
#[derive(Debug, Default)]
pub(super) struct Cache {
    known: HashSet<Ticket>,
    /// In order of verification, which is the order of expiry.
    order: VecDeque<(Instant, Ticket)>,
}

/// The ticket of a credential. Each part is led by its length, so that no two credentials share one.
pub(super) fn ticket(key: &[u8; 32], user: &str, hash: &str, password: &str) -> Ticket {
    let mut message = Zeroizing::new(Vec::with_capacity(24 + user.len() + hash.len() + password.len()));
    for part in [user, hash, password] {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    scram::hmac(key, &message)
}

impl Cache {
    /// Whether the credential was verified less than [`BELIEVED`] ago.
    pub(super) fn knows(&mut self, ticket: &Ticket, now: Instant) -> bool {
        self.forget_old(now);
        self.known.contains(ticket)
    }

    /// Remembers a verification.
    pub(super) fn remember(&mut self, ticket: Ticket, now: Instant) {
        self.forget_old(now);
        if !self.known.insert(ticket) {
            return;
        }
        self.order.push_back((now + BELIEVED, ticket));
        if self.order.len() > ENTRIES_MAX {
            self.forget_first();
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(expires, _)| *expires <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, ticket)) = self.order.pop_front() {
            self.known.remove(&ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verification_is_believed_for_five_minutes() {
        let (mut cache, now) = (Cache::default(), net::Clock::system().instant());
        assert!(!cache.knows(&[1; 32], now));
        cache.remember([1; 32], now);
        cache.remember([1; 32], now + BELIEVED / 2);
        assert!(cache.knows(&[1; 32], now + BELIEVED - Duration::from_nanos(1)));
        assert!(!cache.knows(&[2; 32], now));
        assert!(!cache.knows(&[1; 32], now + BELIEVED));
    }

    #[test]
    fn it_is_bounded() {
        let (mut cache, now) = (Cache::default(), net::Clock::system().instant());
        let ticket = |number: usize| scram::hash(&number.to_be_bytes());
        (0..=ENTRIES_MAX).for_each(|number| cache.remember(ticket(number), now));
        assert_eq!((cache.known.len(), cache.order.len()), (ENTRIES_MAX, ENTRIES_MAX));
        assert!(!cache.knows(&ticket(0), now));
        assert!(cache.knows(&ticket(1), now));
    }

    #[test]
    fn parts_cannot_be_shifted() {
        let key = [7; 32];
        let first = ticket(&key, "ab", "c", "d");
        assert_eq!(first, ticket(&key, "ab", "c", "d"));
        for (user, hash, password) in [("a", "bc", "d"), ("ab", "cd", ""), ("ab", "c", "e"), ("ab", "x", "d")] {
            assert_ne!(first, ticket(&key, user, hash, password));
        }
        assert_ne!(first, ticket(&[8; 32], "ab", "c", "d"));
    }
}
