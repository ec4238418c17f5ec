//! What an operator decides about delivery. The configuration is checked elsewhere; these are its results.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use mail::{Domain, Mailbox, ReversePath};
use zeroize::Zeroizing;

/// The port of MX hosts (RFC 5321 §4.5.4.2).
pub const SMTP_PORT: u16 = 25;

/// Everything that delivery is told. Replaced as a whole on a reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name: in EHLO, as Reporting-MTA, in file names of a Maildir.
    pub hostname: String,
    /// The routes, first match wins.
    pub routes: Vec<Route>,
    /// The folder under which every mailbox of our own has its Maildir: `ROOT/domain/local-part`.
    pub maildir_root: PathBuf,
    /// What is ourselves, so that an MX that leads back here is seen as the loop it is.
    pub own: Own,
    /// Waits between attempts; the last one repeats.
    pub retry: Vec<Duration>,
    /// TLS towards MX hosts of mail that no route names.
    pub mx_tls: RelayTls,
    /// The port of MX hosts.
    pub mx_port: u16,
    /// Makes addresses of ours for the senders of mail that an alias passes on; nothing when it goes on under theirs.
    pub forwarding: Option<policy::srs::Srs>,
    /// Bounds.
    pub limits: Limits,
    /// Waits.
    pub deadlines: Deadlines,
}

impl Settings {
    /// The defaults: no routes, local mailboxes under `maildir_root`, the rest by MX.
    pub fn new(hostname: impl Into<String>, maildir_root: impl Into<PathBuf>) -> Self {
        let hostname = hostname.into();
        Self {
            own: Own { names: vec![hostname.to_ascii_lowercase()], addresses: Vec::new() },
            hostname,
            routes: Vec::new(),
            maildir_root: maildir_root.into(),
            retry: crate::retry::DEFAULT_SCHEDULE.to_vec(),
            mx_tls: RelayTls::Opportunistic,
            mx_port: SMTP_PORT,
            forwarding: None,
            limits: Limits::default(),
            deadlines: Deadlines::default(),
        }
    }
}

/// Names and addresses that are this server.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Host names in lower case without a last dot.
    pub names: Vec<String>,
    /// Where service `mx` listens, with every address of the machine in the place of a wildcard.
    pub addresses: Vec<SocketAddr>,
}

/// Bounds of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Deliveries that one destination may have in memory; what is beyond waits in the spool.
    pub window: usize,
    /// Deliveries in memory in all.
    pub window_total: usize,
    /// Connections to one destination.
    pub connections: usize,
    /// Outgoing connections in all.
    pub connections_total: usize,
    /// Recipients of one transaction (RFC 5321 §4.5.3.1.8: every server takes 100).
    pub recipients: usize,
    /// Messages over one connection.
    pub messages: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: 10_000,
            window_total: 200_000,
            connections: 20,
            connections_total: 1_000,
            recipients: 100,
            messages: 1_000,
        }
    }
}

/// Waits of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For a connection to one address.
    pub connect: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the next message on a kept connection.
    pub idle: Duration,
    /// For transactions in flight when the server stops.
    pub stop: Duration,
    /// Of the conversation (RFC 5321 §4.5.3.2).
    pub session: smtp::client::Deadlines,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            handshake: Duration::from_secs(30),
            idle: Duration::from_secs(10),
            stop: Duration::from_secs(30),
            session: smtp::client::Deadlines::default(),
        }
    }
}

/// One rule: for whom, and where to. A list without patterns is met by everything.
#[derive(Clone, Debug)]
pub struct Route {
    /// Patterns of recipients.
    pub recipients: Vec<Pattern>,
    /// Patterns of reverse-paths.
    pub senders: Vec<Pattern>,
    /// Patterns of authenticated users; mail without a user meets only an empty list.
    pub users: Vec<Pattern>,
    /// Where to.
    pub to: Target,
}

/// Where a route leads.
#[derive(Clone, Debug)]
pub enum Target {
    /// To the MX of the recipient's domain.
    Mx {
        /// TLS towards it.
        tls: RelayTls,
    },
    /// To one named host.
    Relay(Arc<Relay>),
    /// Into the recipient's mailbox.
    Maildir,
    /// Among the captured messages.
    Capture,
    /// Nowhere, until an operator says more.
    Hold,
    /// Back to the sender.
    Reject,
}

/// A next hop that is named instead of looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relay {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS towards it.
    pub tls: RelayTls,
    /// Whom to be there.
    pub credentials: Option<Credentials>,
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A user of a next hop.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Zeroizing<String>,
}

impl std::hash::Hash for Credentials {
    /// By the name: a password tells nothing through a table's order.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.username.hash(state);
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, <redacted>)", self.username)
    }
}

/// TLS towards a next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RelayTls {
    /// None.
    Off,
    /// When offered, whatever the certificate (RFC 7435).
    #[default]
    Opportunistic,
    /// Always, whatever the certificate.
    Required,
    /// Always, with a valid certificate for the host's name.
    Verified,
}

impl fmt::Display for RelayTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Opportunistic => "opportunistic",
            Self::Required => "required",
            Self::Verified => "verified",
        })
    }
}

/// Which addresses: everything, a domain, what lies below a domain, one address, or the null reverse-path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*`
    All,
    /// `example.net`
    Domain(Domain),
    /// `*.example.net`: not `example.net` itself.
    Below(Domain),
    /// `a@example.net`, compared without regard to case.
    Address(Mailbox),
    /// `<>`
    Null,
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected *, a domain, *.domain, a whole address, or <>")]
pub struct PatternError;

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let domain = |text: &str| text.parse::<Domain>().map_err(|_| PatternError);
        match text {
            "*" => Ok(Self::All),
            "<>" => Ok(Self::Null),
            _ if text.contains('@') => text.parse().map(Self::Address).map_err(|_| PatternError),
            _ => match text.strip_prefix("*.") {
                Some(parent) => domain(parent).map(Self::Below),
                None => domain(text).map(Self::Domain),
            },
        }
    }
}

impl Pattern {
    /// Whether a mailbox is one of these.
    pub fn meets(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::All => true,
            Self::Domain(domain) => mailbox.domain == *domain,
            Self::Below(parent) => mailbox.domain != *parent && mailbox.domain.is_within(parent),
            Self::Address(address) => {
                address.domain == mailbox.domain
                    && address.local.unquoted().eq_ignore_ascii_case(mailbox.local.unquoted())
            }
            Self::Null => false,
        }
    }

    /// Whether a reverse-path is one of these.
    pub fn meets_sender(&self, path: &ReversePath) -> bool {
        match path {
            ReversePath::Null => matches!(self, Self::All | Self::Null),
            ReversePath::Mailbox(mailbox) => self.meets(mailbox),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, address: &str, expect: bool) {
        let pattern: Pattern = pattern.parse().unwrap();
        assert_eq!(pattern.meets(&address.parse().unwrap()), expect, "{pattern:?} {address}");
    }

    #[test]
    fn patterns() {
        check("*", "a@b.example", true);
        check("b.example", "a@b.example", true);
        check("B.Example", "a@b.example", true);
        check("b.example", "a@c.b.example", false);
        check("*.b.example", "a@c.b.example", true);
        check("*.b.example", "a@b.example", false);
        check("*.b.example", "a@xb.example", false);
        check("A@b.example", "a@b.example", true);
        check("a@b.example", "b@b.example", false);
        check("<>", "a@b.example", false);
        check("[192.0.2.1]", "a@[192.0.2.1]", true);
        for bad in ["", "a b", "*@", "@x", "*.", "**"] {
            assert_eq!(bad.parse::<Pattern>(), Err(PatternError), "{bad}");
        }
        assert!(Pattern::Null.meets_sender(&ReversePath::Null) && Pattern::All.meets_sender(&ReversePath::Null));
    }
}
