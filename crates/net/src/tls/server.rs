//! The server's end.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use mail::Timestamp;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{NoServerSessionStorage, ProducesTickets},
};
use tokio_rustls::TlsAcceptor;

use super::{TlsError, Wall, identity::Identity, provider, self_signed};
use crate::Clock;

/// What a client may name by ALPN. A client that names none is welcome; one that wants HTTP is not (RFC 7301 §3.2), which
/// keeps a web page from speaking to a mail port under a certificate of the same name.
const PROTOCOLS: [&[u8]; 2] = [b"smtp", b"esmtp"];
/// Tickets given to a client of TLS 1.3. A mail client opens one connection at a time; each ticket costs time and bytes.
const TICKETS: usize = 1;

/// Where certificate and key come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// PEM files: the certificate with its chain, and its key.
    Files {
        /// The certificate first, then those that sign it.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// A certificate of our own, made when there is none yet: `cert.pem` and `key.pem` in `directory`.
    SelfSigned {
        /// Made with mode 0700 when it is not there.
        directory: PathBuf,
        /// The name in the certificate.
        hostname: String,
    },
}

/// A service's TLS: certificate, key, and a ticket key that is this service's alone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    clock: Clock,
    tickets: Arc<dyn ProducesTickets>,
    current: RwLock<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    config: Arc<ServerConfig>,
    not_after: Option<Timestamp>,
}

impl Server {
    /// Reads (or makes) certificate and key. A certificate that is not valid now is used, with a warning in the log.
    pub fn new(source: Source, clock: Clock) -> Result<Self, TlsError> {
        let tickets = Ticketer::new().map_err(|error| TlsError::Setup(error.to_string()))?;
        let current = load(&source, &clock, &tickets)?;
        Ok(Self { shared: Arc::new(Shared { source, clock, tickets, current: RwLock::new(current) }) })
    }

    /// Reads the files again. New handshakes use what was read; sessions that are open go on as they are. After an error
    /// everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = load(&self.shared.source, &self.shared.clock, &self.shared.tickets)?;
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The last moment at which the certificate is valid, when it says so.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.current().not_after
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current().config)
    }

    fn current(&self) -> Current {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn load(source: &Source, clock: &Clock, tickets: &Arc<dyn ProducesTickets>) -> Result<Current, TlsError> {
    let identity = match source {
        Source::Files { certificate, key } => Identity::read(certificate, key)?,
        Source::SelfSigned { directory, hostname } => self_signed::read_or_make(directory, hostname, clock.now())?,
    };
    identity.warn_unless_valid(clock.now());
    let not_after = identity.validity.map(|validity| validity.not_after);
    let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(Wall(clock.clone())))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(setup)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(identity.resolver()));
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    config.ticketer = Arc::clone(tickets);
    // Sessions live in tickets, at the client's expense.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    Ok(Current { config: Arc::new(config), not_after })
}
