//! Accepting connections, and going on when there are too many.
//!
//! A socket is bound first ([`Bound`]), without a runtime: that is what may need a privilege. [`Listener`] accepts on it.
//!
//! When the process has no file descriptor left, a connection that waits in the backlog can't be accepted and can't be
//! refused either: its client would hang. So one descriptor is kept in reserve. It is given up to accept such a
//! connection, say a last word to it and close it, and taken again.

mod bound;
mod inherited;

use std::{fs::File, io, net::SocketAddr, time::Duration};

use rustix::io::Errno;
use tokio::{net::TcpListener, sync::mpsc};

use crate::{Stream, sim::Pipe, stream::Transport};

pub use bound::Bound;
pub use inherited::{InheritError, Inherited};

/// The first wait when accepting fails for want of descriptors or memory.
const BACK_OFF_MIN: Duration = Duration::from_millis(5);
/// The longest such wait; it doubles up to here.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// Connections turned away through the reserve before the next wait.
const TURN_AWAY_MAX: usize = 64;

/// Why an address cannot be listened on: a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Another program listens there.
    #[error(
        "cannot listen on {address}: the port is in use; find who has it with `ss -ltnp 'sport = :{port}'`, stop it, or \
         choose another port",
        port = address.port()
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The port is below 1024 and we are not allowed.
    #[error(
        "cannot listen on {address}: ports below 1024 need a privilege; give the program CAP_NET_BIND_SERVICE (under \
         systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or choose a port above 1023"
    )]
    Privileged {
        /// The address.
        address: SocketAddr,
    },
    /// The address is not one of this machine.
    #[error("cannot listen on {address}: no interface of this machine has that address (`ip address` lists them)")]
    NotLocal {
        /// The address.
        address: SocketAddr,
    },
    /// Something else.
    #[error("cannot listen on {address}: {why}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        why: String,
    },
}

/// An address that takes connections.
#[derive(Debug)]
pub struct Listener {
    source: Source,
    address: SocketAddr,
    /// Given up to turn a connection away when there is no other descriptor.
    reserve: Option<File>,
    farewell: Vec<u8>,
    back_off: Duration,
    /// Whether the want of descriptors was logged already.
    starving: bool,
}

#[derive(Debug)]
enum Source {
    Tcp(TcpListener),
    Sim(mpsc::Receiver<(Pipe, SocketAddr)>),
}

impl Listener {
    /// Listens on an address. An IPv6 address takes IPv6 only. Called in a runtime.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::start(Bound::bind(address)?)
    }

    /// Takes connections from a socket that is bound. Called in a runtime.
    pub fn start(bound: Bound) -> Result<Self, BindError> {
        let address = bound.local_addr();
        let listener = TcpListener::from_std(bound.into_std()).map_err(|error| classify(address, &error))?;
        Ok(Self::new(Source::Tcp(listener), address, open_reserve()))
    }

    pub(crate) fn simulated(connections: mpsc::Receiver<(Pipe, SocketAddr)>, address: SocketAddr) -> Self {
        Self::new(Source::Sim(connections), address, None)
    }

    fn new(source: Source, address: SocketAddr, reserve: Option<File>) -> Self {
        Self { source, address, reserve, farewell: Vec::new(), back_off: BACK_OFF_MIN, starving: false }
    }

    /// Sets what is said to a connection that is turned away for want of descriptors: `421 4.3.2 …`.
    pub fn set_farewell(&mut self, farewell: impl Into<Vec<u8>>) {
        self.farewell = farewell.into();
    }

    /// The address, with the port that the system chose when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection. It never fails: what goes wrong with one connection is that connection's, and a want of
    /// descriptors or memory is waited out. Cancel-safe.
    pub async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            let accepted = match &mut self.source {
                Source::Tcp(listener) => listener.accept().await,
                Source::Sim(connections) => match connections.recv().await {
                    Some((pipe, peer)) => return (Stream::new(Transport::Sim(pipe), peer), peer),
                    // The simulated internet is gone, and with it whoever could connect.
                    None => return std::future::pending().await,
                },
            };
            match accepted {
                Ok((socket, peer)) => {
                    self.recovered();
                    return (Stream::new(Transport::Tcp(socket), peer), peer);
                }
                Err(error) if is_exhaustion(&error) => self.starve(&error).await,
                // The connection was gone before we took it.
                Err(error) => {
                    tracing::debug!(address = %self.address, %error, "a connection was lost before it was accepted")
                }
            }
        }
    }

    /// Turns away what waits, then waits for better times.
    async fn starve(&mut self, error: &io::Error) {
        if !self.starving {
            self.starving = true;
            tracing::error!(
                address = %self.address, %error,
                "cannot accept connections; new clients are turned away until it is over (raise the limit of open files: LimitNOFILE)"
            );
        }
        let turned_away = self.turn_away();
        if turned_away < TURN_AWAY_MAX {
            tokio::time::sleep(self.back_off).await;
            self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
        } else {
            tokio::task::yield_now().await;
        }
    }

    fn recovered(&mut self) {
        if self.reserve.is_none() {
            self.reserve = open_reserve();
        }
        if self.starving {
            self.starving = false;
            self.back_off = BACK_OFF_MIN;
            tracing::info!(address = %self.address, "connections are accepted again");
        }
    }

    /// Accepts and closes through the reserve; returns how many were turned away.
    fn turn_away(&mut self) -> usize {
        let Source::Tcp(listener) = &self.source else {
            return 0;
        };
        let mut turned_away = 0;
        while turned_away < TURN_AWAY_MAX {
            if self.reserve.take().is_none() {
                self.reserve = open_reserve();
                if self.reserve.take().is_none() {
                    return turned_away;
                }
            }
            let Ok(socket) = rustix::net::accept_with(listener, rustix::net::SocketFlags::NONBLOCK) else {
                self.reserve = open_reserve();
                return turned_away;
            };
            turned_away += 1;
            // A last word, as far as the socket takes it at once; the client may be gone already.
            let _told = rustix::net::send(&socket, &self.farewell, rustix::net::SendFlags::NOSIGNAL).is_ok();
            drop(socket);
            self.reserve = open_reserve();
        }
        turned_away
    }
}

fn open_reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

fn classify(address: SocketAddr, error: &io::Error) -> BindError {
    match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        io::ErrorKind::PermissionDenied if address.port() < 1024 => BindError::Privileged { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotLocal { address },
        _ => BindError::Other { address, why: error.to_string() },
    }
}

pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

fn is_exhaustion(error: &io::Error) -> bool {
    is_out_of_descriptors(error) || matches!(Errno::from_io_error(error), Some(Errno::NOBUFS | Errno::NOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_socket_sends_at_once() {
        let bound = Bound::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let to = bound.local_addr();
        let listener = TcpListener::from_std(bound.into_std()).unwrap();
        let (client, accepted) = tokio::join!(tokio::net::TcpStream::connect(to), listener.accept());
        assert!(accepted.unwrap().0.nodelay().unwrap());
        drop(client.unwrap());
    }

    #[test]
    fn a_privileged_port_is_said_with_what_to_do() {
        let address = SocketAddr::from(([0, 0, 0, 0], 25));
        let denied = classify(address, &io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied, BindError::Privileged { address });
        assert!(denied.to_string().contains("CAP_NET_BIND_SERVICE"), "{denied}");
    }
}
