//! A service: its settings, which a reload replaces for the connections that come later.

use std::sync::{Arc, PoisonError, RwLock};

use crate::{Settings, meters::Meters, settings::Tls};

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
        let session = smtp::server::Settings { tls: settings.tls.offer(), ..settings.session.clone() };
        let trusted = smtp::server::Settings { auth_required: false, ..session.clone() };
        Self {
            meters: Meters::new(settings.name),
            session: Arc::new(session),
            trusted_session: Arc::new(trusted),
            settings,
        }
    }

    /// The rules of conversation for a client at this address.
    pub(crate) fn session(&self, peer: std::net::IpAddr) -> Arc<smtp::server::Settings> {
        let trusted = crate::network::any_contains(&self.settings.trusted_networks, peer);
        Arc::clone(if trusted { &self.trusted_session } else { &self.session })
    }

    /// The certificate for a handshake before the banner.
    pub(crate) fn implicit_tls(&self) -> Option<&net::tls::Server> {
        match &self.settings.tls {
            Tls::Implicit(server) => Some(server),
            Tls::Off | Tls::StartTls(_) => None,
        }
    }
}
