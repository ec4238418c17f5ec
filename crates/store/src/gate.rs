//! What the gate remembers over a restart. It lives in the memory of the gate and is written here now and then: a crash
//! costs what was new, and somebody waits once more.

use std::net::IpAddr;

use mail::Timestamp;

/// A triplet of the greylist, or a network, by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GreylistRow {
    /// The digest.
    pub key: [u8; 16],
    /// When it was first seen.
    pub first: Timestamp,
    /// When it last passed, or was first seen.
    pub latest: Timestamp,
    /// How often it passed; zero for a mere try.
    pub passes: u32,
}

/// A client from which an account has signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquaintanceRow {
    /// The client.
    pub client: IpAddr,
    /// The digest of the account's name.
    pub account: [u8; 16],
    /// When it last did.
    pub latest: Timestamp,
}
