//! Facts in, verdict out: what domains publish and what we permit.
//!
//! Every machine here is pure. What it needs to know it asks ([`dns::Question`]), and it goes on when the answer is
//! given; time comes in as `now`. There is no socket, file, clock or randomness.

pub mod account;
pub mod arc;
pub mod authres;
pub mod backoff;
pub mod client;
mod comment;
pub mod dkim;
pub mod dmarc;
pub mod dns;
pub mod dnsbl;
pub mod greeting;
pub mod greylist;
pub mod iprev;
pub mod load;
pub mod rate;
pub mod recent;
pub mod relay;
pub mod score;
pub mod sender;
pub mod sign_in;
pub mod spf;
pub mod srs;
mod tags;
#[cfg(test)]
mod testing;

pub use tags::TagError;
