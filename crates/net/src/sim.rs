//! An internet in memory, for tests: hosts, listeners, connections and names, without a socket.
//!
//! It is deterministic: nothing is delayed unless a test says so, and delays are the runtime's, so that paused time jumps
//! over them. Hosts fail as real ones do: they refuse, never answer, can't be reached, or break all connections at once.
//! Not simulated: packets, bandwidth, latency once connected.

mod pipe;
mod zone;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::mpsc;

use self::pipe::Cut;
pub(crate) use self::pipe::Pipe;
pub use self::zone::Zone;
use crate::{BindError, ConnectError, Connector, Listener, Stream, stream::Transport};

/// Connections that wait to be accepted, as with a real listener.
const BACKLOG: usize = 1024;
/// The first port given to a client or to a listener on port 0.
const FIRST_PORT: u16 = 49_152;
/// The address of a client that names none.
const CLIENT_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The same for IPv6.
const CLIENT_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// The internet. Cheap to clone; clones are one internet. It is a [`Connector`].
#[derive(Clone, Debug, Default)]
pub struct Internet {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    listeners: HashMap<SocketAddr, mpsc::Sender<(Pipe, SocketAddr)>>,
    hosts: HashMap<IpAddr, Host>,
    connections: Vec<(SocketAddr, SocketAddr, Cut)>,
    ports_given: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Host {
    reach: Reach,
    latency: Duration,
}

/// Whether a host can be connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It answers: a listener accepts, a port without one refuses.
    #[default]
    Up,
    /// It never answers.
    Silent,
    /// There is no way to it.
    Unreachable,
}

impl Internet {
    /// An internet without hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens on an address; port 0 chooses one. The listener is the same type as a real one.
    pub fn listen(&self, address: SocketAddr) -> Result<Listener, BindError> {
        let mut shared = self.lock();
        let address = if address.port() == 0 { SocketAddr::new(address.ip(), shared.give_port()) } else { address };
        if shared.listeners.get(&address).is_some_and(|listener| !listener.is_closed()) {
            return Err(BindError::InUse { address });
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        shared.listeners.insert(address, sender);
        Ok(Listener::simulated(receiver, address))
    }

    /// Says whether a host can be reached from now on.
    pub fn set_reach(&self, host: IpAddr, reach: Reach) {
        self.lock().hosts.entry(host).or_default().reach = reach;
    }

    /// Says how long it takes to connect to a host from now on.
    pub fn set_latency(&self, host: IpAddr, latency: Duration) {
        self.lock().hosts.entry(host).or_default().latency = latency;
    }

    /// Breaks every connection that the host has: both ends get "connection reset".
    pub fn cut(&self, host: IpAddr) {
        self.lock().connections.retain(|(client, server, cut)| {
            let of_host = client.ip() == host || server.ip() == host;
            if of_host {
                cut.cut();
            }
            !of_host
        });
    }

    /// Open connections to an address.
    pub fn connections(&self, to: SocketAddr) -> usize {
        let mut shared = self.lock();
        shared.connections.retain(|(.., cut)| cut.is_open());
        shared.connections.iter().filter(|(_, server, _)| *server == to).count()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, address: IpAddr) -> Host {
        self.lock().hosts.get(&address).copied().unwrap_or_default()
    }

    /// Opens a connection at once, or says that nobody listens.
    fn open(&self, to: SocketAddr, from: Option<IpAddr>) -> Result<Stream, ConnectError> {
        let mut shared = self.lock();
        let refused = ConnectError::Refused { to };
        let listener = shared.listeners.get(&to).cloned().ok_or(refused.clone())?;
        let ip = from.unwrap_or(if to.is_ipv4() { CLIENT_V4 } else { CLIENT_V6 });
        let client = SocketAddr::new(ip, shared.give_port());
        let (near, far, cut) = Pipe::pair(client, to);
        listener.try_send((far, client)).map_err(|_| refused)?;
        shared.connections.retain(|(.., cut)| cut.is_open());
        shared.connections.push((client, to, cut));
        Ok(Stream::new(Transport::Sim(near), to))
    }
}

impl Shared {
    fn give_port(&mut self) -> u16 {
        let port = FIRST_PORT + self.ports_given;
        self.ports_given = (self.ports_given + 1) % (u16::MAX - FIRST_PORT);
        port
    }
}

#[async_trait]
impl Connector for Internet {
    async fn connect(&self, to: SocketAddr, from: Option<IpAddr>, deadline: Instant) -> Result<Stream, ConnectError> {
        if let Some(from) = from.filter(|from| from.is_ipv4() != to.is_ipv4()) {
            return Err(ConnectError::Source { to, from, why: "one is IPv4 and the other IPv6".into() });
        }
        let host = self.host(to.ip());
        let connected = async {
            match host.reach {
                Reach::Silent => std::future::pending().await,
                Reach::Unreachable => Err(ConnectError::Unreachable { to, why: "no route to host".into() }),
                Reach::Up => {
                    if !host.latency.is_zero() {
                        tokio::time::sleep(host.latency).await;
                    }
                    self.open(to, from)
                }
            }
        };
        let in_time = tokio::time::timeout_at(deadline.into(), connected).await;
        in_time.unwrap_or(Err(ConnectError::Deadline { to }))
    }
}
