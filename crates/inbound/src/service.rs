//! A service: its settings, which a reload replaces for the connections that come later.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use policy::account::Limits;
use smtp::server::Introduction;

use crate::{Settings, meters::Meters, network::any_contains, settings::Tls};

/// What all listeners of a service share. Cheap to clone; clones are one service.
#[derive(Clone, Debug)]
pub struct Service {
    current: Arc<RwLock<Arc<Current>>>,
}

/// The settings under which a connection begins and ends.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) settings: Settings,
    /// For everybody.
    session: Arc<smtp::server::Settings>,
    /// For clients in trusted networks, who need no AUTH.
    trusted_session: Arc<smtp::server::Settings>,
    /// For clients who are not trusted and not examined either.
    exempt_session: Arc<smtp::server::Settings>,
    /// What one client may use.
    limits: Limits,
    pub(crate) meters: Meters,
}

impl Service {
    /// A service with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { current: Arc::new(RwLock::new(Arc::new(Current::new(settings)))) }
    }

    /// Replaces the settings. Connections that are open keep theirs.
    pub fn reload(&self, settings: Settings) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Current::new(settings));
    }

    /// Reads the certificate again, when the service has one. After an error everything stays as it was.
    pub fn reload_certificate(&self) -> Result<(), net::tls::TlsError> {
        self.current().settings.tls.server().map_or(Ok(()), net::tls::Server::reload)
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Current {
    fn new(settings: Settings) -> Self {
        let exempt = smtp::server::Settings { tls: settings.tls.offer(), ..settings.session.clone() };
        let session = smtp::server::Settings { haste: settings.gate.haste, ..exempt.clone() };
        let trusted = smtp::server::Settings { auth_required: false, ..exempt.clone() };
        let open = u32::try_from(settings.connections_per_address).unwrap_or(u32::MAX);
        Self {
            meters: Meters::new(settings.name),
            session: Arc::new(session),
            trusted_session: Arc::new(trusted),
            exempt_session: Arc::new(exempt),
            limits: Limits { open, ..settings.gate.limits },
            settings,
        }
    }

    /// The rules of conversation for a client at this address.
    pub(crate) fn session(&self, peer: IpAddr) -> Arc<smtp::server::Settings> {
        let settings = &self.settings;
        let rules = Arc::clone(if any_contains(&settings.trusted_networks, peer) {
            &self.trusted_session
        } else if any_contains(&settings.gate.exempt_networks, peer) {
            &self.exempt_session
        } else {
            &self.session
        });
        if any_contains(&settings.gate.xclient_networks, peer) {
            return Arc::new(smtp::server::Settings { introduction: Introduction::Taken, ..(*rules).clone() });
        }
        rules
    }

    /// The rules of conversation for a client of whom nothing is known.
    pub(crate) fn session_of_anybody(&self) -> Arc<smtp::server::Settings> {
        Arc::clone(&self.session)
    }

    /// Whether a client at this address is examined, and counted. Who may speak for others is not: it stands for as many
    /// as it serves, and the one that it names is examined in its place.
    pub(crate) fn is_stranger(&self, peer: IpAddr) -> bool {
        let gate = &self.settings.gate;
        let known = [&gate.exempt_networks, &gate.xclient_networks, &self.settings.trusted_networks];
        !known.into_iter().any(|networks| any_contains(networks, peer))
    }

    /// Whether who connects from here speaks for others.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        any_contains(&self.settings.gate.proxy_networks, peer)
    }

    /// What one client may use.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The certificate for a handshake before the banner.
    pub(crate) fn implicit_tls(&self) -> Option<&net::tls::Server> {
        match &self.settings.tls {
            Tls::Implicit(server) => Some(server),
            Tls::Off | Tls::StartTls(_) => None,
        }
    }
}
