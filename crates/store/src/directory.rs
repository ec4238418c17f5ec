//! Whose mail is ours: domains, users, aliases and catch-alls, held in memory and never changed in place.
//!
//! Pure: no SQL, no clock. The engine builds a [`Directory`] and hands out the current one; a session may keep it for a
//! transaction. How an address becomes mailboxes is in `resolve`.

mod resolve;
mod signing;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, OnceLock},
};

use mail::{Domain, Mailbox};
use serde::{Deserialize, Serialize};

pub(crate) use self::resolve::untagged;
pub use self::{
    resolve::{EXPANSION_DEPTH_MAX, Resolution, TARGETS_MAX},
    signing::{DKIM_KEYS_MAX, DkimKey, KeyState},
};

/// What we are to a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainKind {
    /// Its mailboxes are here.
    Local,
    /// Its mail is taken here and handed on to its own server.
    Relay,
}

/// A domain in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainEntry {
    /// The domain.
    pub domain: Domain,
    /// Its kind.
    pub kind: DomainKind,
}

/// What proves a user's password; the password itself is nowhere. Made by `inbound::auth`, only kept here.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifiers {
    /// A PHC string: `$argon2id$v=19$…`.
    pub argon2: String,
    /// For SCRAM-SHA-256.
    pub scram: ScramVerifier,
}

/// What a SCRAM-SHA-256 server keeps (RFC 5802 §3, RFC 7677).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    /// The salt.
    pub salt: Vec<u8>,
    /// The iteration count.
    pub iterations: u32,
    /// H(ClientKey).
    pub stored_key: [u8; 32],
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: [u8; 32],
}

impl fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifiers(<redacted>)")
    }
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramVerifier(<redacted>)")
    }
}

/// A user with a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The place in order of creation.
    pub id: i64,
    /// The address, as it was typed when it was made.
    pub mailbox: Mailbox,
    /// What proves the password.
    pub verifiers: Verifiers,
}

/// An address that leads to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The address.
    pub address: Mailbox,
    /// Where it leads: here or elsewhere.
    pub targets: Vec<Mailbox>,
}

/// Where the mail of a domain goes that no user or alias takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchAll {
    /// The domain.
    pub domain: Domain,
    /// Where it leads.
    pub target: Mailbox,
}

/// A state of the directory. Cheap to clone: the tables are shared.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub(crate) version: u64,
    pub(crate) domains: Arc<BTreeMap<Domain, DomainKind>>,
    /// By folded address.
    pub(crate) users: Arc<HashMap<String, Arc<User>>>,
    /// By folded address.
    pub(crate) aliases: Arc<HashMap<String, Arc<Alias>>>,
    pub(crate) catch_alls: Arc<BTreeMap<Domain, Mailbox>>,
    /// By domain; never an empty list.
    pub(crate) dkim: Arc<BTreeMap<Domain, Arc<[DkimKey]>>>,
    /// The first user of each domain, found when postmaster is first asked for; a change of users begins a new one.
    pub(crate) first_users: Arc<OnceLock<BTreeMap<Domain, Arc<User>>>>,
}

impl Directory {
    /// What we are to a domain; nothing when it is not ours.
    pub fn domain_kind(&self, domain: &Domain) -> Option<DomainKind> {
        self.domains.get(domain).copied()
    }

    /// Every domain, by name.
    pub fn domains(&self) -> Vec<DomainEntry> {
        self.domains.iter().map(|(domain, kind)| DomainEntry { domain: domain.clone(), kind: *kind }).collect()
    }

    /// The user with that address; +tags and aliases are not looked at.
    pub fn user(&self, address: &Mailbox) -> Option<&User> {
        self.users.get(&address.folded()).map(AsRef::as_ref)
    }

    /// Every user, by address.
    pub fn users(&self) -> Vec<Mailbox> {
        let mut users: Vec<_> = self.users.values().map(|user| user.mailbox.clone()).collect();
        users.sort_by(|a, b| (&a.domain, &a.local).cmp(&(&b.domain, &b.local)));
        users
    }

    /// Every alias, by address.
    pub fn aliases(&self) -> Vec<Alias> {
        let mut aliases: Vec<_> = self.aliases.values().map(|alias| Alias::clone(alias)).collect();
        aliases.sort_by(|a, b| (&a.address.domain, &a.address.local).cmp(&(&b.address.domain, &b.address.local)));
        aliases
    }

    /// Every catch-all, by domain.
    pub fn catch_alls(&self) -> Vec<CatchAll> {
        let catch_all =
            |(domain, target): (&Domain, &Mailbox)| CatchAll { domain: domain.clone(), target: target.clone() };
        self.catch_alls.iter().map(catch_all).collect()
    }
}
