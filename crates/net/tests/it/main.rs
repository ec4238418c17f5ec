//! The network crate from outside: real sockets, real handshakes, hostile name servers, and the simulated internet.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod clock;
mod dns;
mod exhaustion;
mod service;
mod sim;
mod tasks;
mod tcp;
mod tls;
mod tls_files;
mod tls_hostile;
