//! Who may send what to whom: facts in, a reply out. Pure.
//!
//! | client | may send as | may send to |
//! | --- | --- | --- |
//! | anybody, on mx | anybody, and `<>` | recipients that the store knows |
//! | a trusted network | anybody, and `<>` | recipients that the store knows, and all of the world |
//! | an authenticated user | its own addresses, in MAIL, From and Sender; and `<>` | the same |
//! | in the sandbox, all of them | as above | everybody: nothing leaves |
//!
//! A recipient of ours that nobody has is refused at RCPT (550 5.1.1), never bounced later. A recipient elsewhere is
//! refused to those who may not relay (550 5.7.1), whatever its syntax: the domain after the last `@` decides, and
//! text before it that names another host (`user%host`, `host!user`, `"user@host"`) is not taken from strangers even
//! in a domain of ours, for the next server might read it (RFC 5321 §3.3, §F.2).

pub(crate) mod authors;
pub(crate) mod recipient;
pub(crate) mod returned;
pub(crate) mod rights;

use std::net::IpAddr;

use crate::{Settings, network};

/// What a client is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Somebody.
    Stranger,
    /// A client in a trusted network, or this server itself.
    Trusted,
    /// An authenticated user.
    User,
}

/// Whether a client has shown who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// It has not.
    Unknown,
    /// By AUTH.
    Authenticated,
}

impl Standing {
    /// The standing of a client by its address and by AUTH.
    pub(crate) fn of(settings: &Settings, peer: IpAddr, identity: Identity) -> Self {
        match identity {
            Identity::Authenticated => Self::User,
            Identity::Unknown if network::any_contains(&settings.trusted_networks, peer) => Self::Trusted,
            Identity::Unknown => Self::Stranger,
        }
    }
}
