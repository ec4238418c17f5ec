//! Sockets that whoever started the process has bound for it: socket activation, sd_listen_fds(3). They are recognised by
//! their address, not by their name or order.

use std::net::SocketAddr;

use listenfd::ListenFd;

use super::Bound;

/// Why the sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// One is of a kind that mail does not come through.
    #[error(
        "socket {number} of those handed over by systemd is no TCP listener ({why}); give ListenStream= addresses with ports"
    )]
    NotTcp {
        /// Its place, from 1.
        number: usize,
        /// The system's words.
        why: String,
    },
}

/// The sockets that were handed over and not yet claimed.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<Bound>,
}

impl Inherited {
    /// Takes them all, and with them the variables of the environment that announce them. Called once, at the start,
    /// while the process has one thread. Without activation there are none.
    pub fn take() -> Result<Self, InheritError> {
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::with_capacity(handed.len());
        for index in 0..handed.len() {
            let not_tcp = |error: std::io::Error| InheritError::NotTcp { number: index + 1, why: error.to_string() };
            let Some(socket) = handed.take_tcp_listener(index).map_err(not_tcp)? else { continue };
            sockets.push(Bound::adopt(socket).map_err(not_tcp)?);
        }
        Ok(Self { sockets })
    }

    /// The socket that listens on this address.
    pub fn claim(&mut self, address: SocketAddr) -> Option<Bound> {
        let found = self.sockets.iter().position(|socket| socket.local_addr() == address)?;
        Some(self.sockets.swap_remove(found))
    }

    /// The addresses that nobody has claimed.
    pub fn unclaimed(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(Bound::local_addr).collect()
    }
}
