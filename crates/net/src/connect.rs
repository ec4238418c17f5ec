//! Opening connections.

mod tcp;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use async_trait::async_trait;

pub use self::tcp::TcpConnector;
use crate::Stream;

/// Opens connections: [`TcpConnector`] to the real internet, [`crate::sim::Internet`] in tests.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug + 'static {
    /// Connects to `to` from the local address `from` (nothing: the system chooses), not past `deadline`.
    async fn connect(&self, to: SocketAddr, from: Option<IpAddr>, deadline: Instant) -> Result<Stream, ConnectError>;
}

/// Why there is no connection. All but `Source` are the network's or the peer's fault and worth another try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No answer in time.
    #[error("no answer from {to} in time")]
    Deadline {
        /// Where to.
        to: SocketAddr,
    },
    /// Nobody listens there.
    #[error("{to} refused the connection")]
    Refused {
        /// Where to.
        to: SocketAddr,
    },
    /// No way there.
    #[error("{to} cannot be reached: {why}")]
    Unreachable {
        /// Where to.
        to: SocketAddr,
        /// The system's words.
        why: String,
    },
    /// Our own settings: the source address is not one of this machine, or of the other family.
    #[error("cannot connect to {to} from {from}: {why}; check the source address")]
    Source {
        /// Where to.
        to: SocketAddr,
        /// From where.
        from: IpAddr,
        /// The system's words.
        why: String,
    },
    /// This process has no file descriptor left.
    #[error("no file descriptor left to connect to {to}: {why}")]
    NoDescriptor {
        /// Where to.
        to: SocketAddr,
        /// The system's words.
        why: String,
    },
}
