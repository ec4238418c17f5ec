//! Who may send what to whom: facts in, a reply out. Pure.
//!
//! | client | may send as | may send to |
//! | --- | --- | --- |
//! | anybody, on mx | anybody, and `<>` | recipients that the store knows |
//! | a trusted network | anybody, and `<>` | recipients that the store knows, and all of the world |
//! | an authenticated user | its own addresses, in MAIL, From and Sender; and `<>` | the same |
//! | anybody, in the sandbox | anybody, and `<>` | everybody: nothing leaves |
//!
//! A recipient of ours that nobody has is refused at RCPT (550 5.1.1), never bounced later. A recipient elsewhere is
//! refused to those who may not relay (550 5.7.1), whatever its syntax: the domain after the last `@` decides, and
//! text before it that names another host (`user%host`, `host!user`, `"user@host"`) is not taken from strangers even
//! in a domain of ours, for the next server might read it (RFC 5321 §3.3, §F.2).

pub(crate) mod authors;
pub(crate) mod recipient;
pub(crate) mod rights;

use std::net::IpAddr;

use mail::Mailbox;

use crate::{Settings, network, settings::Recipients};

/// What a client may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Somebody.
    Stranger,
    /// A client in a trusted network, or this server itself.
    Trusted,
    /// An authenticated user.
    User(Mailbox),
    /// Anybody in the sandbox.
    Sandboxed,
}

impl Standing {
    /// The standing of a client by its address and, later, by its name.
    pub(crate) fn of(settings: &Settings, peer: IpAddr, user: Option<&Mailbox>) -> Self {
        match user {
            Some(user) => Self::User(user.clone()),
            None if network::any_contains(&settings.trusted_networks, peer) => Self::Trusted,
            None if settings.recipients == Recipients::Anybody => Self::Sandboxed,
            None => Self::Stranger,
        }
    }
}
