//! A service that the operator named, on the network or in the file system: where it is, and connecting to it.

use std::{
    fmt,
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Clock, ConnectError, Connector, LocalStream, ResolveError, Resolver, Stream, connect_local};

/// Where a service listens: `127.0.0.1:11333`, `[::1]:3310`, `rspamd.internal:11333`, `unix:/run/clamav/clamd.ctl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address and a port.
    Address(SocketAddr),
    /// A name that is looked up for every connection, and a port.
    Name(String, u16),
    /// A socket in the file system.
    Local(PathBuf),
}

/// The text is no place where a service could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a host with a port, such as 127.0.0.1:11333, or a socket, such as unix:/run/clamav/clamd.ctl")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let sound = path.starts_with('/') && !path.contains('\0');
            return if sound { Ok(Self::Local(path.into())) } else { Err(EndpointError) };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 { Err(EndpointError) } else { Ok(Self::Address(address)) };
        }
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError)?;
        let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or(EndpointError)?;
        let domain = host.parse::<mail::Domain>().ok().filter(|domain| domain.name().is_some());
        Ok(Self::Name(domain.ok_or(EndpointError)?.to_string(), port))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Local(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a service was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Its name leads nowhere.
    #[error("cannot find {0}: {1}")]
    Name(String, ResolveError),
    /// Its name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// It was not reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Its socket was not opened.
    #[error("cannot open {}: {error}", path.display())]
    Local {
        /// The socket.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// No answer in time.
    #[error("{0} did not answer in time")]
    Deadline(Endpoint),
}

/// Connects to services by their endpoints. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dialer {
    connector: Arc<dyn Connector>,
    resolver: Arc<dyn Resolver>,
    clock: Clock,
}

impl Dialer {
    /// A dialer over these.
    pub fn new(connector: Arc<dyn Connector>, resolver: Arc<dyn Resolver>, clock: Clock) -> Self {
        Self { connector, resolver, clock }
    }

    /// Connects, not past `deadline`. The addresses of a name are tried in turn, each with its share of the time left.
    pub async fn dial(&self, to: &Endpoint, deadline: Instant) -> Result<Channel, DialError> {
        let dialled = self.clock.timeout_at(deadline, self.open(to, deadline)).await;
        dialled.unwrap_or_else(|_| Err(DialError::Deadline(to.clone())))
    }

    async fn open(&self, to: &Endpoint, deadline: Instant) -> Result<Channel, DialError> {
        match to {
            Endpoint::Address(address) => Ok(Channel::Network(self.connector.connect(*address, None, deadline).await?)),
            Endpoint::Name(host, port) => self.open_by_name(host, *port, deadline).await,
            Endpoint::Local(path) => match connect_local(path).await {
                Ok(stream) => Ok(Channel::Local(stream)),
                Err(error) => Err(DialError::Local { path: path.clone(), error }),
            },
        }
    }

    async fn open_by_name(&self, host: &str, port: u16, deadline: Instant) -> Result<Channel, DialError> {
        let found = self.resolver.addresses(host).await;
        let addresses: Vec<IpAddr> = found.map_err(|error| DialError::Name(host.to_owned(), error))?;
        let mut failed = DialError::NoAddress(host.to_owned());
        for (tried, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let now = self.clock.instant();
            let share = now + deadline.saturating_duration_since(now) / left;
            match self.connector.connect(SocketAddr::new(*address, port), None, share).await {
                Ok(stream) => return Ok(Channel::Network(stream)),
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }
}

/// A connection to a service.
#[derive(Debug)]
pub enum Channel {
    /// Over the network.
    Network(Stream),
    /// On this machine.
    Local(LocalStream),
}

impl AsyncRead for Channel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Network(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Local(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Network(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Local(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Network(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Local(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Network(stream) => Pin::new(stream).poll_flush(cx),
            Self::Local(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Network(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Local(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_as_people_write_them() {
        for text in ["127.0.0.1:11333", "[::1]:3310", "rspamd.internal:11333", "localhost:1", "unix:/run/clamd.ctl"] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()), Ok(text.to_owned()));
        }
        for bad in ["", "127.0.0.1", "127.0.0.1:0", "host", "host:", "host:x", "a b:1", "unix:", "unix:run", ":1"] {
            assert_eq!(bad.parse::<Endpoint>(), Err(EndpointError), "{bad}");
        }
    }
}
