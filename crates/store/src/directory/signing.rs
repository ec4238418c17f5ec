//! The keys that sign the mail of our domains, as they are kept: sealed.

use std::sync::Arc;

use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};

use super::Directory;

/// Keys of one domain, in any state: two algorithms, before, during and after a rotation.
pub const DKIM_KEYS_MAX: usize = 12;

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// To be published; it does not sign yet.
    Waiting,
    /// It signs.
    Active,
    /// It signs no more; its record stays published until the mail that it signed has arrived.
    Retired,
}

/// A key of a domain (RFC 6376 §3.6).
#[derive(Clone, PartialEq, Eq)]
pub struct DkimKey {
    /// `s=`.
    pub selector: String,
    /// The text of the TXT record at `SELECTOR._domainkey.DOMAIN`.
    pub record: String,
    /// The private half, sealed by the caller.
    pub secret: Vec<u8>,
    /// What it is used for.
    pub state: KeyState,
    /// Since when.
    pub since: Timestamp,
}

impl std::fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DkimKey")
            .field("selector", &self.selector)
            .field("state", &self.state)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// The keys of a domain, by selector; none when it has none. The same allocation as long as nothing is changed.
    pub fn dkim_keys(&self, domain: &Domain) -> Option<&Arc<[DkimKey]>> {
        self.dkim.get(domain)
    }
}
