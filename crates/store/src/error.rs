//! What can go wrong, by operation.

use std::path::PathBuf;

use mail::{Domain, Mailbox};

/// The database failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// Another program holds it for too long.
    #[error("the store is busy: another program holds {path} for too long", path = path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// No room.
    #[error("the store cannot be written: the disk of {path} is full; free some space", path = path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("the store {path} is damaged ({why}); stop the server and restore it from a backup", path = path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The library's words.
        why: String,
    },
    /// Something else.
    #[error("the store {path} failed: {why}", path = path.display())]
    Other {
        /// The database.
        path: PathBuf,
        /// The library's words.
        why: String,
    },
}

/// Why a store cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a kind of store that there is.
    #[error(
        "the store url {url:?} is not supported: write sqlite:FILE, for example sqlite:posthouse.db (PostgreSQL is not \
         supported yet)"
    )]
    Unsupported {
        /// What was given, without a password.
        url: String,
    },
    /// The file cannot be made or read.
    #[error("cannot open the store {path}: {why}", path = path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// A database, but not one of ours. It was left as it is.
    #[error(
        "{path} is a database of another program: its tables are not Posthouse's, and it was left as it is; name another \
         file as [store] url, or move this one away", path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "the store {path} was written by a newer posthouse (its schema is {found}, this program knows {known}); install \
         that version again, or restore a backup", path = path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Our newest.
        known: i64,
    },
    /// A step of its schema is not the one that we know.
    #[error(
        "the store {path} has a schema that this program does not know (step {step} differs): it was made by a development \
         version; restore a backup", path = path.display()
    )]
    ForeignSchema {
        /// The database.
        path: PathBuf,
        /// The step.
        step: i64,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Why a change of the directory was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The domain is there.
    #[error("the domain {0} is there already")]
    DomainExists(Domain),
    /// The domain is not there.
    #[error("there is no domain {0}; add it first: posthouse domain add {0}")]
    NoSuchDomain(Domain),
    /// An address literal is no domain that mail is kept for.
    #[error("{0} is an address, not a domain name")]
    NotAName(Domain),
    /// The domain still has users or aliases.
    #[error("the domain {domain} still has {users} users and {aliases} aliases, {example} for one; remove them first")]
    DomainInUse {
        /// The domain.
        domain: Domain,
        /// Its users.
        users: u64,
        /// Its aliases.
        aliases: u64,
        /// One of them.
        example: String,
    },
    /// Users live in local domains only.
    #[error("{0} is a relay domain: its mailboxes are on another server, so it has no users here")]
    RelayDomain(Domain),
    /// The user is there.
    #[error("the user {0} is there already; to change the password: posthouse user password {0}")]
    UserExists(Mailbox),
    /// The user is not there.
    #[error("there is no user {0}")]
    NoSuchUser(Mailbox),
    /// Something leads to the address.
    #[error("{by} leads to {address}; change that first")]
    StillTarget {
        /// What was to be removed.
        address: Mailbox,
        /// `the alias sales@example.net`.
        by: String,
    },
    /// The alias is not there.
    #[error("there is no alias {0}")]
    NoSuchAlias(Mailbox),
    /// A target in one of our local domains that nobody has.
    #[error("{0} is neither a user nor an alias here; add it first, or correct the target")]
    UnknownTarget(Mailbox),
    /// An alias without a target.
    #[error("the alias {0} needs at least one address to lead to")]
    NoTarget(Mailbox),
    /// Too many targets.
    #[error("the alias {address} would lead to {targets} addresses; {max} are allowed")]
    TooManyTargets {
        /// The alias.
        address: Mailbox,
        /// How many it would have.
        targets: usize,
        /// How many it may have.
        max: usize,
    },
    /// The domain has no catch-all.
    #[error("the domain {0} has no catch-all")]
    NoCatchAll(Domain),
    /// A selector names one key.
    #[error("the domain {domain} has a key with the selector {selector} already")]
    SelectorExists {
        /// The domain.
        domain: Domain,
        /// The selector.
        selector: String,
    },
    /// There is no such key.
    #[error("the domain {domain} has no key with the selector {selector}; see: posthouse dkim list {domain}")]
    NoSuchKey {
        /// The domain.
        domain: Domain,
        /// The selector.
        selector: String,
    },
    /// Nothing to put to use.
    #[error("the domain {0} has no keys that wait to be used; make some: posthouse dkim rotate {0}")]
    NoWaitingKey(Domain),
    /// Too many keys.
    #[error(
        "the domain {domain} would have more than {max} keys; remove retired ones: posthouse dkim remove {domain} SELECTOR"
    )]
    TooManyKeys {
        /// The domain.
        domain: Domain,
        /// How many it may have.
        max: usize,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A cursor that did not come from a page before.
    #[error("not a cursor: {0:?}; use the one that the page before ended with")]
    BadCursor(String),
    /// A filter that makes no sense.
    #[error("{0}")]
    BadFilter(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
