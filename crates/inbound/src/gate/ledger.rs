//! The accounts of all clients, and the place of each connection.
//!
//! A connection looks its client up once and holds on to its account; later questions cost one short lock that only
//! connections of that client share. Accounts of clients that are away are kept as long as there is room, those of
//! clients that are here always, so that nobody can make us forget his connections.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use policy::{
    account::{Account, Excess, Limits, Tally},
    client,
    recent::Recent,
};

use crate::settings::CONNECTIONS_MAX;

/// Clients remembered that are not connected: some 200 octets each.
const CLIENTS_MAX: usize = 50_000;
/// Networks remembered of which no client is.
const NETWORKS_MAX: usize = 50_000;
/// How many times as much as one client a whole network may use.
pub(crate) const NETWORK_FACTOR: u32 = 4;
/// How long a client that waited for the banner is known to have manners.
const MANNERS: Duration = Duration::from_secs(86_400);

/// Whose limit it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Of the client.
    Client,
    /// Of its network.
    Network,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// For anybody.
    Full,
    /// For this client.
    Excess(Excess, Whose),
}

/// The accounts.
#[derive(Debug)]
pub(crate) struct Ledger {
    connections: AtomicUsize,
    books: Mutex<Books>,
}

/// By service and client or network.
type Key = (&'static str, IpAddr);

#[derive(Debug)]
struct Books {
    clients: Recent<Key, Arc<Client>>,
    networks: Recent<Key, Arc<Mutex<Account>>>,
}

#[derive(Debug)]
struct Client {
    own: Mutex<Own>,
    network: Arc<Mutex<Account>>,
}

#[derive(Debug, Default)]
struct Own {
    account: Account,
    /// Until when the client is known to wait for the banner.
    manners: Option<Instant>,
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    ledger: Arc<Ledger>,
    /// Nothing for those who are not counted.
    client: Option<Arc<Client>>,
}

impl Default for Ledger {
    fn default() -> Self {
        let books = Books { clients: Recent::new(CLIENTS_MAX), networks: Recent::new(NETWORKS_MAX) };
        Self { connections: AtomicUsize::new(0), books: Mutex::new(books) }
    }
}

impl Ledger {
    /// Takes a place, within the limits of the client when it has some.
    pub(crate) fn enter(
        self: &Arc<Self>,
        service: &'static str,
        address: IpAddr,
        limits: Option<&Limits>,
        now: Instant,
    ) -> Result<Visit, Refusal> {
        let mut visit = self.enter_uncounted()?;
        if let Some(limits) = limits {
            let client = lock(&self.books).client(service, address);
            client.enter(limits, now)?;
            visit.client = Some(client);
        }
        Ok(visit)
    }

    /// Takes a place that counts for the server alone.
    pub(crate) fn enter_uncounted(self: &Arc<Self>) -> Result<Visit, Refusal> {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::Full);
        }
        Ok(Visit { ledger: Arc::clone(self), client: None })
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Books {
    fn client(&mut self, service: &'static str, address: IpAddr) -> Arc<Client> {
        let Self { clients, networks } = self;
        // Somebody beside the table holds it: a connection, or a client of the network.
        let make = || {
            let key = (service, client::neighbours(address));
            let network = networks.entry(key, |network| Arc::strong_count(network) > 1, Arc::default);
            Arc::new(Client { own: Mutex::default(), network: Arc::clone(network) })
        };
        let key = (service, client::client(address));
        Arc::clone(clients.entry(key, |client| Arc::strong_count(client) > 1, make))
    }
}

impl Client {
    fn enter(&self, limits: &Limits, now: Instant) -> Result<(), Refusal> {
        lock(&self.own).account.enter(limits, now).map_err(|excess| Refusal::Excess(excess, Whose::Client))?;
        let entered = lock(&self.network).enter(&limits.times(NETWORK_FACTOR), now);
        entered.map_err(|excess| {
            lock(&self.own).account.leave();
            Refusal::Excess(excess, Whose::Network)
        })
    }

    /// What a session counted. What comes from a client that has used up its own share is not put to its network, or
    /// one of the neighbours could spend what all of them share.
    fn count(&self, limits: &Limits, tally: Tally, now: Instant) -> Result<(), (Excess, Whose)> {
        let (spent, own) = {
            let account = &mut lock(&self.own).account;
            (account.is_spent(limits, now), account.count(limits, tally, now))
        };
        let network = if spent { Ok(()) } else { lock(&self.network).count(&limits.times(NETWORK_FACTOR), tally, now) };
        own.map_err(|excess| (excess, Whose::Client))?;
        network.map_err(|excess| (excess, Whose::Network))
    }

    /// Takes something from the client's account and then from that of its network.
    fn both(
        &self,
        limits: &Limits,
        act: impl Fn(&mut Account, &Limits) -> Result<(), Excess>,
    ) -> Result<(), (Excess, Whose)> {
        act(&mut lock(&self.own).account, limits).map_err(|excess| (excess, Whose::Client))?;
        let network = act(&mut lock(&self.network), &limits.times(NETWORK_FACTOR));
        network.map_err(|excess| (excess, Whose::Network))
    }
}

impl Visit {
    /// Whether the client is examined.
    pub(crate) fn is_counted(&self) -> bool {
        self.client.is_some()
    }

    /// MAIL.
    pub(crate) fn message(&self, limits: &Limits, now: Instant) -> Result<(), (Excess, Whose)> {
        self.client
            .as_ref()
            .map_or(Ok(()), |client| client.both(limits, |account, limits| account.message(limits, now)))
    }

    /// RCPT.
    pub(crate) fn recipient(&self, limits: &Limits, now: Instant) -> Result<(), (Excess, Whose)> {
        self.client
            .as_ref()
            .map_or(Ok(()), |client| client.both(limits, |account, limits| account.recipient(limits, now)))
    }

    /// What the session counted since the last time.
    pub(crate) fn count(&self, limits: &Limits, tally: Tally, now: Instant) -> Result<(), (Excess, Whose)> {
        self.client.as_ref().map_or(Ok(()), |client| client.count(limits, tally, now))
    }

    /// A message was accepted.
    pub(crate) fn accepted(&self, limits: &Limits, now: Instant) {
        if let Some(client) = &self.client {
            lock(&client.own).account.accepted(limits, now);
            lock(&client.network).accepted(&limits.times(NETWORK_FACTOR), now);
        }
    }

    /// Whether the client need not show that it waits for the banner.
    pub(crate) fn has_manners(&self, now: Instant) -> bool {
        self.client.as_ref().is_none_or(|client| lock(&client.own).manners.is_some_and(|until| now < until))
    }

    /// The client waited for the banner.
    pub(crate) fn remember_manners(&self, now: Instant) {
        if let Some(client) = &self.client {
            lock(&client.own).manners = Some(now + MANNERS);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.ledger.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = &self.client {
            lock(&client.own).account.leave();
            lock(&client.network).leave();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use policy::{account::What, rate::Rate};

    use super::*;

    fn limits(open: u32) -> Limits {
        Limits { open, ..crate::GateSettings::new(smtp::server::Service::Mx).limits }
    }

    fn enter(ledger: &Arc<Ledger>, service: &'static str, address: &str, open: u32) -> Result<Visit, Refusal> {
        let now = net::Clock::system().instant();
        ledger.enter(service, address.parse().unwrap(), Some(&limits(open)), now)
    }

    fn check_full(result: Result<Visit, Refusal>, expect: Whose) {
        match result {
            Err(Refusal::Excess(Excess { what: What::Open, wait: None }, whose)) => assert_eq!(whose, expect),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let ledger = Arc::new(Ledger::default());
        let first = enter(&ledger, "mx", "192.0.2.1", 1).unwrap();
        check_full(enter(&ledger, "mx", "192.0.2.1", 1), Whose::Client);
        check_full(enter(&ledger, "mx", "::ffff:192.0.2.1", 1), Whose::Client);
        let _other_service = enter(&ledger, "submission", "192.0.2.1", 1).unwrap();
        let _other_client = enter(&ledger, "mx", "192.0.2.2", 1).unwrap();
        assert_eq!(ledger.connections(), 3);
        drop(first);
        let _again = enter(&ledger, "mx", "192.0.2.1", 1).unwrap();
        assert_eq!(ledger.connections(), 3);
    }

    #[test]
    fn a_network_has_four_times_as_much() {
        let ledger = Arc::new(Ledger::default());
        let _visits: Vec<_> =
            (1..=4).map(|host| enter(&ledger, "mx", &format!("192.0.2.{host}"), 1).unwrap()).collect();
        check_full(enter(&ledger, "mx", "192.0.2.5", 1), Whose::Network);
        assert!(enter(&ledger, "mx", "192.0.3.1", 1).is_ok());
        assert_eq!(ledger.connections(), 4);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let ledger = Arc::new(Ledger::default());
        let _first = enter(&ledger, "mx", "2001:db8::1", 1).unwrap();
        check_full(enter(&ledger, "mx", "2001:db8::ffff:2", 1), Whose::Client);
        assert!(enter(&ledger, "mx", "2001:db8:0:1::1", 1).is_ok());
    }

    #[test]
    fn the_uncounted_count_for_the_server_alone() {
        let (ledger, now) = (Arc::new(Ledger::default()), net::Clock::system().instant());
        let loopback = "127.0.0.1".parse().unwrap();
        let places: Vec<_> = (0..CONNECTIONS_MAX).map(|_| ledger.enter("mx", loopback, None, now).unwrap()).collect();
        assert_eq!(ledger.enter("mx", loopback, None, now).unwrap_err(), Refusal::Full);
        assert!(places.iter().all(|place| place.has_manners(now) && !place.is_counted()));
        assert!(lock(&ledger.books).clients.is_empty());
        drop(places);
        assert_eq!(ledger.connections(), 0);
    }

    #[test]
    fn a_flood_of_clients_does_not_make_us_forget_who_is_here() {
        let ledger = Arc::new(Ledger::default());
        let here = enter(&ledger, "mx", "198.51.100.1", 1).unwrap();
        for number in 0..2 * u32::try_from(CLIENTS_MAX).unwrap() {
            let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            drop(ledger.enter("mx", address, Some(&limits(1)), net::Clock::system().instant()));
        }
        check_full(enter(&ledger, "mx", "198.51.100.1", 1), Whose::Client);
        let books = lock(&ledger.books);
        assert!(books.clients.len() <= CLIENTS_MAX + 1, "{}", books.clients.len());
        assert!(books.networks.len() <= NETWORKS_MAX + 1, "{}", books.networks.len());
        drop((books, here));
    }

    #[test]
    fn errors_stay_with_the_client_and_its_network() {
        let (ledger, now) = (Arc::new(Ledger::default()), net::Clock::system().instant());
        let limits = Limits { errors: Rate::per_hour(10), ..limits(100) };
        for host in 1..=4 {
            let address = format!("192.0.2.{host}").parse().unwrap();
            let visit = ledger.enter("mx", address, Some(&limits), now).unwrap();
            let (excess, whose) = visit.count(&limits, Tally { commands: 10, errors: 10, junk: 0 }, now).unwrap_err();
            assert_eq!((excess.what, whose), (What::Errors, Whose::Client));
            assert!(matches!(ledger.enter("mx", address, Some(&limits), now), Err(Refusal::Excess(_, Whose::Client))));
        }
        let neighbour = ledger.enter("mx", "192.0.2.5".parse().unwrap(), Some(&limits), now);
        assert!(matches!(neighbour, Err(Refusal::Excess(_, Whose::Network))));
        assert!(ledger.enter("mx", "192.0.3.5".parse().unwrap(), Some(&limits), now).is_ok());
    }

    #[test]
    fn one_client_does_not_use_up_what_its_neighbours_share() {
        let (ledger, now) = (Arc::new(Ledger::default()), net::Clock::system().instant());
        let few = Limits { errors: Rate::per_hour(10), messages: Rate::per_minute(3), ..limits(100) };
        let enter = |address: &str| ledger.enter("mx", address.parse().unwrap(), Some(&few), now);
        let visits: Vec<_> = (0..20).map(|_| enter("192.0.2.1").unwrap()).collect();
        for visit in &visits {
            let _refused = visit.message(&few, now).is_err();
            visit.count(&few, Tally { commands: 10, errors: 10, junk: 0 }, now).unwrap_err();
        }
        let neighbour = enter("192.0.2.2").unwrap();
        assert_eq!(neighbour.message(&few, now), Ok(()));
    }
}
