//! What a service is told. One [`Settings`] is shared by all connections that began under it; a reload gives the
//! connections that come later another.

use std::{sync::Arc, time::Duration};

use smtp::server::{Service, TlsOffer};

use crate::{GateSettings, Network, Privacy, Verification};

/// Connections of all services together.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Connections of one address to one service. Exempt and trusted networks are not counted.
pub const CONNECTIONS_PER_ADDRESS: usize = 100;
/// How long an undelivered message is tried.
pub const EXPIRE: Duration = Duration::from_secs(5 * 86_400);

/// Whose mail is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Recipients that the store knows; others for clients that may relay.
    Known,
    /// Everybody, wherever they are. For the sandbox only, where every route captures: it would be an open relay.
    Anybody,
}

/// Whether letters are repaired (RFC 6409 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixUps {
    /// Date, Message-ID and From are added where they are missing, Bcc is removed, a letter without a header gets one.
    On,
    /// The letter goes on as it came, except for the trace fields (RFC 5321 §4.4).
    Off,
}

/// How a service does TLS.
#[derive(Clone, Debug)]
pub enum Tls {
    /// Not at all.
    Off,
    /// By STARTTLS (RFC 3207).
    StartTls(net::tls::Server),
    /// From the first octet (RFC 8314).
    Implicit(net::tls::Server),
}

impl Tls {
    pub(crate) fn offer(&self) -> TlsOffer {
        match self {
            Self::Off => TlsOffer::None,
            Self::StartTls(_) => TlsOffer::StartTls,
            Self::Implicit(_) => TlsOffer::Established,
        }
    }

    pub(crate) fn server(&self) -> Option<&net::tls::Server> {
        match self {
            Self::Off => None,
            Self::StartTls(server) | Self::Implicit(server) => Some(server),
        }
    }
}

/// The settings of one service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service's name in logs, metrics and in the origin of a message: `mx`, `submission`.
    pub name: &'static str,
    /// What the conversation is told: host name, limits, deadlines, AUTH. Its `tls` follows from the one below.
    pub session: smtp::server::Settings,
    /// TLS.
    pub tls: Tls,
    /// Clients that may relay without AUTH.
    pub trusted_networks: Vec<Network>,
    /// Whose mail is taken.
    pub recipients: Recipients,
    /// Whether letters are repaired.
    pub fix_ups: FixUps,
    /// What the world learns of our users' clients.
    pub privacy: Privacy,
    /// How long an undelivered message is tried, counted from its acceptance.
    pub expire: Duration,
    /// Connections of one address: 421 4.7.0 past it. Exempt and trusted networks are not counted.
    pub connections_per_address: usize,
    /// What is asked of clients before they are listened to.
    pub gate: GateSettings,
    /// How strangers' messages are verified; nothing when they are not.
    pub verification: Option<Arc<Verification>>,
}

impl Settings {
    /// The defaults of a service for this host. TLS is off until there is a certificate.
    pub fn new(hostname: impl Into<String>, service: Service) -> Self {
        let (name, fix_ups) = match service {
            Service::Mx => ("mx", FixUps::Off),
            Service::Submission => ("submission", FixUps::On),
        };
        Self {
            name,
            session: smtp::server::Settings::new(hostname, service),
            tls: Tls::Off,
            trusted_networks: Vec::new(),
            recipients: Recipients::Known,
            fix_ups,
            privacy: Privacy::default(),
            expire: EXPIRE,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            gate: GateSettings::new(service),
            verification: None,
        }
    }
}

/// How mail that is made inside (notifications, the web, the command line) is treated.
#[derive(Clone, Debug)]
pub struct SubmitSettings {
    /// Our name in Received and Message-ID.
    pub hostname: String,
    /// Octets of a message.
    pub message_size: u64,
    /// Recipients of a message.
    pub recipients: usize,
    /// How long an undelivered message is tried.
    pub expire: Duration,
}

impl SubmitSettings {
    /// The defaults for this host: those of SMTP.
    pub fn new(hostname: impl Into<String>) -> Self {
        let limits = smtp::server::Limits::default();
        Self {
            hostname: hostname.into(),
            message_size: limits.message_size,
            recipients: limits.recipients,
            expire: EXPIRE,
        }
    }
}
