//! What a filter is told: where it is, what it sees, and what holds when it says nothing.

use std::time::Duration;

use net::Endpoint;

/// Filters of a server.
pub const FILTERS_MAX: usize = 16;
/// How long a filter may take, its queue and the connection included.
pub const FILTER_TIMEOUT: Duration = Duration::from_secs(30);
/// Octets of a message that a filter is shown. Debian's clamd takes no more.
pub const FILTER_SIZE_LIMIT: u64 = 25_000_000;
/// Messages that a filter has at a time; more wait for their turn, and their deadline runs.
pub const FILTER_CONCURRENCY: usize = 20;
/// How long all filters of a message may take together. The client waits 10 min for its reply (RFC 5321 §4.5.3.2.6), and
/// may have had to wait for other things.
pub const SCREENING_MAX: Duration = Duration::from_secs(5 * 60);

/// The settings of one filter.
#[derive(Clone, Debug)]
pub struct FilterSettings {
    /// Its name in logs and metrics.
    pub name: String,
    /// What it speaks, and where.
    pub kind: FilterKind,
    /// Whose mail it sees.
    pub directions: Directions,
    /// How long it may take.
    pub timeout: Duration,
    /// Octets of a message that it is shown.
    pub size_limit: u64,
    /// What becomes of a larger message.
    pub on_larger: OnLarger,
    /// What becomes of a message when the filter fails.
    pub on_failure: OnFailure,
    /// Messages that it has at a time.
    pub concurrency: usize,
}

impl FilterSettings {
    /// The defaults of a filter.
    pub fn new(name: impl Into<String>, kind: FilterKind) -> Self {
        Self {
            name: name.into(),
            kind,
            directions: Directions::Both,
            timeout: FILTER_TIMEOUT,
            size_limit: FILTER_SIZE_LIMIT,
            on_larger: OnLarger::Accept,
            on_failure: OnFailure::Tempfail,
            concurrency: FILTER_CONCURRENCY,
        }
    }
}

/// What a filter speaks, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterKind {
    /// Rspamd's `/checkv2` over HTTP.
    Rspamd(Endpoint),
    /// clamd's INSTREAM.
    ClamAv {
        /// Where clamd listens.
        endpoint: Endpoint,
        /// What becomes of a message in which it finds something.
        on_found: OnFound,
    },
    /// JSON over HTTP.
    Hook(Hook),
}

/// A program of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What it is called in Host.
    pub host: String,
    /// What is asked for there: `/filter`.
    pub path: String,
    /// How much of the message it sees.
    pub shown: Shown,
}

/// How much of a message a hook sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Its header fields; of the body only that it is there.
    Header,
    /// All of it.
    Whole,
}

/// Whose mail a filter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    /// What strangers bring.
    In,
    /// What users, trusted networks and this server's own pages send.
    Out,
    /// Both.
    Both,
}

/// Which way one message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From a stranger.
    In,
    /// From one of ours.
    Out,
}

impl Direction {
    /// Its word for filters and logs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

impl Directions {
    pub(crate) fn include(self, direction: Direction) -> bool {
        match self {
            Self::In => direction == Direction::In,
            Self::Out => direction == Direction::Out,
            Self::Both => true,
        }
    }
}

/// What becomes of a message when a filter fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The client is asked to come again: 451.
    Tempfail,
    /// It goes on as if the filter were not there.
    Accept,
}

/// What becomes of a message that is larger than a filter is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLarger {
    /// It goes on without this filter.
    Accept,
    /// The client is asked to come again: 451.
    Tempfail,
    /// It is refused: 552.
    Reject,
}

/// What becomes of a message with malware in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFound {
    /// It is refused: 550.
    Reject,
    /// It is taken and marked for the folder Junk; held when it is outgoing.
    Quarantine,
    /// It is taken, and nobody gets it until an operator releases it.
    Hold,
}
