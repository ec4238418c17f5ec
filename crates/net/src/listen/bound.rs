//! A socket that is bound and listens, and that nobody accepts on yet. It needs no runtime, so that a process can bind
//! while it is alone and privileged, and begin to work when it is neither.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{BindError, classify};

/// Connections that the system holds for us before we accept them.
const BACKLOG: i32 = 1024;

/// A listening socket.
#[derive(Debug)]
pub struct Bound {
    socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds an address. An IPv6 address takes IPv6 only.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let socket = listen(address).map_err(|error| classify(address, &error))?;
        let address = socket.local_addr().map_err(|error| classify(address, &error))?;
        Ok(Self { socket, address })
    }

    /// Takes a socket that somebody else has bound.
    pub(super) fn adopt(socket: TcpListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        rustix::net::listen(&socket, BACKLOG)?;
        // Accepted sockets inherit it: a system call less for each.
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    /// The address, with the port that the system chose when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn into_std(self) -> TcpListener {
        self.socket
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it: a system call less for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
