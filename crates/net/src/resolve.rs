//! Asking for mail exchangers and addresses, and for what `policy` wants to know of strangers. The rules over the answers
//! (order, null MX, implicit MX) are `outbound::mx`'s and `policy`'s.

mod cache;
mod dns;
pub(crate) mod facts;

use std::{fmt, net::IpAddr};

use async_trait::async_trait;
use policy::dns::{Answer, Question};

pub use self::dns::{DnsResolver, DnsSettings, ResolverError};

/// MX records taken from one answer; the rest is ignored.
pub const MX_MAX: usize = 100;
/// Addresses taken for one host; the rest is ignored.
pub const ADDRESSES_MAX: usize = 32;

/// Records taken from one answer to a question of `policy`; the rest is ignored.
pub const RECORDS_MAX: usize = 100;
/// Octets of TXT taken from one answer, in whole records; the rest is ignored. The longest record that is of use, an RSA
/// key of 4096 bits, has 800.
pub const TXT_OCTETS_MAX: usize = 32 * 1024;

/// Answers questions about names: [`DnsResolver`] from the real DNS, [`crate::sim::Zone`] in tests.
#[async_trait]
pub trait Resolver: Send + Sync + fmt::Debug + 'static {
    /// The mail exchangers of a domain, CNAMEs followed (RFC 5321 §5.1).
    async fn mx(&self, domain: &str) -> Result<MxAnswer, ResolveError>;

    /// The addresses of a host, IPv4 and IPv6, at most [`ADDRESSES_MAX`]. Empty: the name exists and has none.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError>;

    /// What the DNS says of a stranger, CNAMEs followed: at most [`RECORDS_MAX`] records and [`TXT_OCTETS_MAX`] octets of
    /// text. Whatever goes wrong is [`Answer::Failed`], after 20 s at most.
    async fn ask(&self, question: &Question) -> Answer;
}

/// What a domain publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MxAnswer {
    /// Its MX records as they came, at most [`MX_MAX`]. Empty: the name exists and has no MX record. A null MX
    /// (RFC 7505) is one exchange whose host is `.`.
    Exchanges(Vec<Exchange>),
    /// There is no such name (NXDOMAIN).
    NoSuchDomain,
}

/// One MX record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exchange {
    /// The lower the better.
    pub preference: u16,
    /// The host in lower case, without the last dot; `.` for the root.
    pub host: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// It may be answered later: no server answered, or all failed.
    #[error("{0}")]
    Temporary(String),
    /// There is no such name (NXDOMAIN).
    #[error("there is no such name: {0}")]
    NoSuchDomain(String),
    /// The text is no name that could be asked for.
    #[error("not a domain name: {0}")]
    BadName(String),
}

impl ResolveError {
    /// Whether another try may succeed.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Temporary(_))
    }
}
