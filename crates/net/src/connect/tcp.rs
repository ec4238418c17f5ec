//! Real connections.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use async_trait::async_trait;
use tokio::net::TcpSocket;

use super::{ConnectError, Connector};
use crate::{Stream, listen::is_out_of_descriptors, stream::Transport};

/// Connects over TCP.
#[derive(Clone, Debug, Default)]
pub struct TcpConnector(());

impl TcpConnector {
    /// A connector.
    pub fn new() -> Self {
        Self(())
    }
}

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, to: SocketAddr, from: Option<IpAddr>, deadline: Instant) -> Result<Stream, ConnectError> {
        let socket = open(to, from)?;
        match tokio::time::timeout_at(deadline.into(), socket.connect(to)).await {
            Err(_) => Err(ConnectError::Deadline { to }),
            Ok(Err(error)) => Err(classify(to, &error)),
            Ok(Ok(connected)) => Ok(Stream::new(Transport::Tcp(connected), to)),
        }
    }
}

fn open(to: SocketAddr, from: Option<IpAddr>) -> Result<TcpSocket, ConnectError> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| classify(to, &error))?;
    socket.set_nodelay(true).map_err(|error| classify(to, &error))?;
    if let Some(from) = from {
        let source = |why: String| ConnectError::Source { to, from, why };
        if from.is_ipv4() != to.is_ipv4() {
            return Err(source("one is IPv4 and the other IPv6".into()));
        }
        socket.bind(SocketAddr::new(from, 0)).map_err(|error| source(error.to_string()))?;
    }
    Ok(socket)
}

fn classify(to: SocketAddr, error: &io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { to },
        io::ErrorKind::TimedOut => ConnectError::Deadline { to },
        _ if is_out_of_descriptors(error) => ConnectError::NoDescriptor { to, why: error.to_string() },
        _ => ConnectError::Unreachable { to, why: error.to_string() },
    }
}
