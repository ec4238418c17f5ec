//! Who a client is: user names and passwords against the store.
//!
//! - Argon2id runs on threads for blocking work, as many at a time as there are processors. So many may wait; past that
//!   a client gets 454 4.7.0 at once, and the others their answer in bounded time.
//! - Verified credentials are believed for five minutes ([`cache`]).
//! - A user that does not exist costs what a wrong password costs: the same number of hashes of the same size. SCRAM
//!   gets a verifier invented from the name under a secret of this server, the same one each time.
//! - Whoever guesses waits longer and longer ([`policy::sign_in`]), before anything is hashed. The owner of an account,
//!   where it has signed in lately, does not wait for the guesses of others.
//! - The name is data: it is parsed as a mailbox, and what is none belongs to nobody.

mod cache;
mod password;

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use mail::{Mailbox, Reply, Timestamp};
use net::{Chance, Clock, tasks::Tasks};
use policy::{
    client,
    sign_in::{Pair, SignIn},
};
use smtp::sasl::{Secret, encode, scram};
use store::{ScramVerifier, Store, User};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use self::cache::{Cache, Ticket};
pub use self::password::{Cost, HashError, hash_password};
use crate::gate::words::spell;

/// Clients that may wait for each processor that hashes: some five seconds' worth.
const WAITING_PER_PROCESSOR: usize = 256;
/// Whoever has to wait longer than this is not waited for: the connection is closed.
const BAN: Duration = Duration::from_secs(60);
/// Octets of the server's part of a SCRAM nonce, before base64.
const NONCE: usize = 18;
/// Octets of an invented salt: as many as a real one has.
const INVENTED_SALT: usize = 16;

/// For how many people a client signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StandsFor {
    /// For itself, as far as we know.
    One,
    /// For everybody who uses it: a webmail on this host.
    Many,
}

/// Why a client is not who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No such user, or not this password: nobody is told which.
    Wrong,
    /// Too many wait already.
    Busy,
    /// There were too many wrong passwords: not before so long.
    TooSoon(Duration),
}

impl Denied {
    /// What the client hears.
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Wrong => Reply::with(535, (5, 7, 8), "User name or password is wrong; the name is a whole address"),
            Self::Busy => {
                Reply::with(454, (4, 7, 0), "Too many are authenticating at the moment; try again in a minute")
            }
            // RFC 4954 §6: a temporary failure, so that nobody's program asks for another password.
            Self::TooSoon(wait) if wait < BAN => {
                Reply::with(454, (4, 7, 0), format!("Too many wrong passwords; try again in {}", spell(wait)))
            }
            Self::TooSoon(wait) => {
                Reply::with(421, (4, 7, 0), format!("Too many wrong passwords; come again in {}", spell(wait)))
            }
        }
    }

    /// The word in logs and metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Busy => "busy",
            Self::TooSoon(_) => "too_soon",
        }
    }
}

/// The door-keeper. One for all services, so that its bounds hold for all.
#[derive(Debug)]
pub(crate) struct Authenticator {
    store: Store,
    tasks: Tasks,
    clock: Clock,
    chance: Chance,
    cache: Mutex<Cache>,
    /// Of this process: names cached credentials.
    cache_key: [u8; 32],
    /// Of this server for good: invents verifiers.
    invention_key: [u8; 32],
    /// Who has tried what.
    tries: Mutex<SignIn>,
    nobodys_hash: String,
    rounds: u32,
    /// Those who wait and those who hash.
    room: Semaphore,
    /// Those who hash.
    processors: Semaphore,
    /// Hashes computed so far.
    hashes: AtomicU64,
}

impl Authenticator {
    /// A door-keeper. `cost` is that of the hashes in the store, `invention_key` a secret that outlives the process.
    pub(crate) fn new(
        store: Store,
        tasks: Tasks,
        clock: Clock,
        chance: Chance,
        invention_key: [u8; 32],
        cost: Cost,
    ) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            store,
            tasks,
            clock,
            cache: Mutex::default(),
            cache_key: chance.bytes(),
            chance,
            invention_key,
            tries: Mutex::default(),
            nobodys_hash: password::nobodys_hash(cost),
            rounds: cost.rounds,
            room: Semaphore::new(processors * (1 + WAITING_PER_PROCESSOR)),
            processors: Semaphore::new(processors),
            hashes: AtomicU64::new(0),
        }
    }

    /// Whether a client may try a password of that name now.
    pub(crate) fn may_try(&self, client: IpAddr, stands_for: StandsFor, name: &str) -> Result<(), Denied> {
        let (pair, today, now) = (pair(client, name), self.clock.now(), self.clock.instant());
        let wait = match stands_for {
            StandsFor::One => self.tries().wait(pair, today, now),
            StandsFor::Many => self.tries().wait_among_many(pair, today, now),
        };
        wait.map_or(Ok(()), |wait| Err(Denied::TooSoon(wait)))
    }

    /// What came of a try.
    pub(crate) fn tried(&self, client: IpAddr, name: &str, result: Result<(), Denied>) {
        let (pair, today) = (pair(client, name), self.clock.now());
        match result {
            Ok(()) => self.tries().succeeded(pair, today),
            Err(Denied::Wrong) => self.tries().failed(pair, today, self.clock.instant()),
            Err(Denied::Busy | Denied::TooSoon(_)) => {}
        }
    }

    /// Takes over an acquaintance that was kept on disk.
    pub(crate) fn restore(&self, pair: Pair, latest: Timestamp) {
        self.tries().restore(pair, latest);
    }

    /// Acquaintances that are new since the last call.
    pub(crate) fn take_changes(&self) -> Vec<(Pair, Timestamp)> {
        self.tries().take_changes()
    }

    /// The user that has this name and password.
    pub(crate) async fn password(&self, name: &str, password: &Secret) -> Result<Mailbox, Denied> {
        let user = self.user(name);
        let hash = user.as_ref().map_or_else(|| self.nobodys_hash.clone(), |user| user.verifiers.argon2.clone());
        let folded = name.to_ascii_lowercase();
        let ticket = cache::ticket(&self.cache_key, &folded, &hash, password.expose());
        if self.cache().knows(&ticket, self.clock.instant()) {
            return user.map(|user| user.mailbox).ok_or(Denied::Wrong);
        }
        let right = self.hash(password, hash).await?;
        match user {
            Some(user) if right => {
                self.remember(ticket);
                Ok(user.mailbox)
            }
            _ => Err(Denied::Wrong),
        }
    }

    /// What is kept about a user, or an invention, and a nonce for the exchange.
    pub(crate) fn scram_start(&self, name: &str) -> (scram::Verifier, String) {
        let verifier = match self.user(name).map(|user| user.verifiers.scram) {
            Some(ScramVerifier { salt, iterations, stored_key, server_key }) => {
                scram::Verifier { salt, iterations, stored_key, server_key }
            }
            None => self.invent(name),
        };
        (verifier, encode(&self.chance.bytes::<NONCE>()))
    }

    /// The user at the end of a SCRAM exchange whose proof was right.
    pub(crate) fn scram_user(&self, name: &str) -> Result<Mailbox, Denied> {
        // The user may be gone since the exchange began.
        self.user(name).map(|user| user.mailbox).ok_or(Denied::Wrong)
    }

    /// Hashes computed since the start.
    pub(crate) fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// The user of that name, as it is now.
    fn user(&self, name: &str) -> Option<User> {
        let mailbox = name.parse().ok()?;
        self.store.directory().user(&mailbox).cloned()
    }

    fn invent(&self, name: &str) -> scram::Verifier {
        let name = canonical(name);
        let part = |what: &str| scram::hmac(&self.invention_key, format!("{what}\0{name}").as_bytes());
        scram::Verifier {
            salt: part("salt").into_iter().take(INVENTED_SALT).collect(),
            iterations: self.rounds,
            stored_key: part("stored key"),
            server_key: part("server key"),
        }
    }

    /// Whether the password belongs to the hash, in its turn.
    async fn hash(&self, password: &Secret, hash: String) -> Result<bool, Denied> {
        let _room = self.room.try_acquire().map_err(|_| Denied::Busy)?;
        let _turn = self.processors.acquire().await.map_err(|_| Denied::Busy)?;
        self.hashes.fetch_add(1, Ordering::Relaxed);
        let password = Zeroizing::new(password.expose().to_owned());
        let matches = self.tasks.run_blocking("argon2", move || password::matches(&password, &hash)).await;
        // A panic was logged where it happened; the client may try again.
        matches.map_err(|_| Denied::Busy)
    }

    fn remember(&self, ticket: Ticket) {
        self.cache().remember(ticket, self.clock.instant());
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, SignIn> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one spelling of a name that may be written in several: in capitals, in quotes, with backslashes. Whether there is
/// such a user makes no difference.
fn canonical(name: &str) -> String {
    name.parse::<Mailbox>().map_or_else(|_| name.to_ascii_lowercase(), |mailbox| mailbox.folded())
}

/// A client and the name it typed, of which a digest is kept, so that its length is bounded.
fn pair(client: IpAddr, name: &str) -> Pair {
    let digest = scram::hash(canonical(name).as_bytes());
    Pair { client: client::client(client), account: digest.first_chunk().copied().unwrap_or_default() }
}
