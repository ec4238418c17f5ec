//! Who may try a password now: back-off for addresses and for accounts, and a way past both for the owner.
//!
//! ```text
//!  try (client, account)
//!    │ has this client signed in to this account lately?
//!    ├─ yes ─► a short back-off of this pair alone
//!    └─ no ──► the back-off of the client, and that of the account among all who are not known to it
//! ```
//!
//! So one address that guesses has to wait longer and longer, whatever accounts it tries; a thousand addresses that
//! guess at one account have few tries together; and its owner, at an address from which it signed in well in the last
//! thirty days, waits for neither. Accounts are counted by the name that was typed, whether or not there is such a user:
//! nobody learns from a wait who exists.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use mail::Timestamp;

use crate::{
    backoff::{Backoff, Schedule},
    recent::Recent,
};

/// Clients that are remembered for their tries.
const CLIENTS_MAX: usize = 50_000;
/// Accounts that are remembered for the tries at them.
const ACCOUNTS_MAX: usize = 50_000;
/// Pairs of client and account that are known. Only success makes one, so a guesser can't push others out.
const KNOWN_MAX: usize = 50_000;
/// How long a pair is known after it last signed in.
pub const KNOWN: Duration = Duration::from_secs(30 * 86_400);
/// A pair that signs in often need not be written each time.
const REFRESH: Duration = Duration::from_secs(86_400);

const OF_CLIENT: Schedule = Schedule {
    free: 10,
    first: Duration::from_secs(5),
    longest: Duration::from_secs(3600),
    half_life: Duration::from_secs(900),
};
const OF_ACCOUNT: Schedule = Schedule {
    free: 20,
    first: Duration::from_secs(2),
    longest: Duration::from_secs(300),
    half_life: Duration::from_secs(900),
};
const OF_PAIR: Schedule = Schedule {
    free: 20,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
    half_life: Duration::from_secs(300),
};

/// A digest of the name of an account, as it was typed.
pub type Account = [u8; 16];

/// A client and an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The client: see [`crate::client::client`].
    pub client: IpAddr,
    /// The account.
    pub account: Account,
}

/// The tables.
#[derive(Debug)]
pub struct SignIn {
    clients: Recent<IpAddr, Backoff>,
    accounts: Recent<Account, Backoff>,
    known: Recent<Pair, Acquaintance>,
    changed: Vec<(Pair, Timestamp)>,
}

#[derive(Debug)]
struct Acquaintance {
    latest: Timestamp,
    backoff: Backoff,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            clients: Recent::new(CLIENTS_MAX),
            accounts: Recent::new(ACCOUNTS_MAX),
            known: Recent::new(KNOWN_MAX),
            changed: Vec::new(),
        }
    }
}

impl SignIn {
    /// Has this client to wait before it tries a password of this account, and how long?
    pub fn wait(&self, pair: Pair, today: Timestamp, now: Instant) -> Option<Duration> {
        match self.known.get(&pair).filter(|acquaintance| acquaintance.is_fresh(today)) {
            Some(acquaintance) => acquaintance.backoff.wait(now),
            None => {
                let of_client = self.clients.get(&pair.client).and_then(|backoff| backoff.wait(now));
                of_client.max(self.accounts.get(&pair.account).and_then(|backoff| backoff.wait(now)))
            }
        }
    }

    /// The same at a client that stands for many people, as a webmail does: one who guesses there does not keep the others
    /// out. The account's back-off holds there, too.
    pub fn wait_among_many(&self, pair: Pair, today: Timestamp, now: Instant) -> Option<Duration> {
        match self.known.get(&pair).filter(|acquaintance| acquaintance.is_fresh(today)) {
            Some(acquaintance) => acquaintance.backoff.wait(now),
            None => self.accounts.get(&pair.account).and_then(|backoff| backoff.wait(now)),
        }
    }

    /// It was the wrong password.
    pub fn failed(&mut self, pair: Pair, today: Timestamp, now: Instant) {
        if self.known.get(&pair).is_some_and(|acquaintance| acquaintance.is_fresh(today)) {
            let known = || Acquaintance { latest: today, backoff: Backoff::default() };
            self.known.entry(pair, |_| false, known).backoff.failed(&OF_PAIR, now);
        } else {
            self.clients.entry(pair.client, |_| false, Backoff::default).failed(&OF_CLIENT, now);
            self.accounts.entry(pair.account, |_| false, Backoff::default).failed(&OF_ACCOUNT, now);
        }
    }

    /// It was the right password: the two know each other from now on.
    pub fn succeeded(&mut self, pair: Pair, today: Timestamp) {
        let fresh = || Acquaintance { latest: Timestamp::default(), backoff: Backoff::default() };
        let acquaintance = self.known.entry(pair, |_| false, fresh);
        acquaintance.backoff = Backoff::default();
        if today.since(acquaintance.latest) >= REFRESH || today < acquaintance.latest {
            acquaintance.latest = today;
            if self.changed.len() < KNOWN_MAX {
                self.changed.push((pair, today));
            }
        }
    }

    /// Takes over what was kept on disk, the oldest first.
    pub fn restore(&mut self, pair: Pair, latest: Timestamp) {
        self.known.entry(pair, |_| false, || Acquaintance { latest, backoff: Backoff::default() });
    }

    /// What changed since the last call, for the disk.
    pub fn take_changes(&mut self) -> Vec<(Pair, Timestamp)> {
        std::mem::take(&mut self.changed)
    }
}

impl Acquaintance {
    fn is_fresh(&self, today: Timestamp) -> bool {
        today.since(self.latest) <= KNOWN
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::start;

    const DAY: Duration = Duration::from_secs(86_400);
    const HOUR: Duration = Duration::from_secs(3600);

    fn pair(client: u32, account: u8) -> Pair {
        Pair { client: IpAddr::from(client.to_be_bytes()), account: [account; 16] }
    }

    fn today() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    /// Tries a wrong password, if that is allowed.
    fn guess_once(table: &mut SignIn, pair: Pair, now: Instant) -> bool {
        let may = table.wait(pair, today(), now).is_none();
        if may {
            table.failed(pair, today(), now);
        }
        may
    }

    /// Wrong passwords that were tried of so many, one each `step`.
    fn guess(table: &mut SignIn, pairs: impl Iterator<Item = Pair>, from: Instant, step: Duration) -> u32 {
        let mut now = from;
        pairs.fold(0, |tried, pair| {
            now += step;
            tried + u32::from(guess_once(table, pair, now))
        })
    }

    #[test]
    fn c6_ten_thousand_from_one_address() {
        let (mut table, now) = (SignIn::default(), start());
        let tried = guess(&mut table, (0..10_000).map(|_| pair(7, 1)), now, HOUR / 10_000);
        assert!((11..25).contains(&tried), "{tried}");
        // Nor by trying another account each time.
        let mut table = SignIn::default();
        let tried =
            guess(&mut table, (0..10_000).map(|number: u32| pair(7, number.to_be_bytes()[3])), now, HOUR / 10_000);
        assert!((11..25).contains(&tried), "{tried}");
    }

    #[test]
    fn c6_a_thousand_addresses_at_one_account_and_its_owner() {
        let (mut table, now) = (SignIn::default(), start());
        let owner = pair(99, 1);
        table.succeeded(owner, today());
        let tried = guess(&mut table, (0..10_000).map(|number| pair(1000 + number % 1000, 1)), now, HOUR / 10_000);
        assert!((21..50).contains(&tried), "{tried}");
        let later = now + HOUR;
        assert!(table.wait(pair(98, 1), today(), later).is_some());
        assert_eq!(table.wait(owner, today() + 29 * DAY, later), None);
        table.succeeded(owner, today() + 29 * DAY);
        assert_eq!(table.wait(owner, today() + 58 * DAY, later), None);
        assert!(table.wait(owner, today() + 100 * DAY, later).is_some());
    }

    #[test]
    fn a_guesser_at_the_owners_address_does_not_keep_the_owner_out_for_long() {
        let (mut table, now) = (SignIn::default(), start());
        [1, 2].into_iter().for_each(|account| table.succeeded(pair(7, account), today()));
        // A program with an old password for one account, and one that guesses at all others.
        guess(&mut table, (0..1000).map(|_| pair(7, 1)), now, HOUR / 1000);
        guess(&mut table, (0..1000).map(|_| pair(7, 3)), now, HOUR / 1000);
        let later = now + HOUR;
        assert_eq!(table.wait(pair(7, 2), today(), later), None);
        assert!(table.wait(pair(7, 1), today(), later).is_none_or(|wait| wait <= Duration::from_secs(30)));
        assert!(table.wait(pair(7, 4), today(), later).is_some());
    }

    #[test]
    fn a_guesser_among_many_keeps_out_nobody_else() {
        let (mut table, now) = (SignIn::default(), start());
        (0..30).for_each(|_| table.failed(pair(7, 1), today(), now));
        assert!(table.wait(pair(7, 2), today(), now).is_some());
        assert_eq!(table.wait_among_many(pair(7, 2), today(), now), None);
        assert!(table.wait_among_many(pair(7, 1), today(), now).is_some());
    }

    #[test]
    fn who_exists_makes_no_difference() {
        let (mut table, now) = (SignIn::default(), start());
        let waits = |table: &mut SignIn, account| {
            let one =
                |client| (guess_once(table, pair(client, account), now), table.wait(pair(99, account), today(), now));
            (0..60).map(one).collect::<Vec<_>>()
        };
        let first = waits(&mut table, 1);
        let mut table = SignIn::default();
        assert_eq!(first, waits(&mut table, 2));
    }

    #[test]
    fn what_changed_is_told_once_and_taken_over() {
        let (mut table, now) = (SignIn::default(), start());
        (0..3).for_each(|_| table.succeeded(pair(7, 1), today()));
        let changes = table.take_changes();
        assert_eq!(changes, [(pair(7, 1), today())]);
        assert_eq!(table.take_changes(), []);
        let mut again = SignIn::default();
        changes.into_iter().for_each(|(pair, latest)| again.restore(pair, latest));
        guess(&mut again, (0..100).map(|number| pair(1000 + number, 1)), now, Duration::ZERO);
        assert!(again.wait(pair(8, 1), today(), now).is_some());
        assert_eq!(again.wait(pair(7, 1), today(), now), None);
    }

    proptest! {
        /// However others guess, an owner at a known address waits half a minute at the most, for its own mistakes.
        #[test]
        fn the_owner_always_gets_in(guesses in prop::collection::vec((0_u32..5, 0_u8..3, 0_u64..5000), 0..300)) {
            let (mut table, mut now) = (SignIn::default(), start());
            table.succeeded(pair(0, 0), today());
            for (client, account, wait) in guesses {
                now += Duration::from_millis(wait);
                if (client, account) != (0, 0) {
                    guess_once(&mut table, pair(client, account), now);
                }
            }
            prop_assert_eq!(table.wait(pair(0, 0), today(), now), None);
        }
    }
}
