//! The whole of it: what the services share.

use std::sync::Arc;

use net::{Chance, Clock, Listener, Resolver, tasks::Tasks};
use policy::srs::Srs;
use spool::Spool;
use store::Store;

use crate::{
    Service,
    accept::accept,
    auth::{Authenticator, Cost},
    filters::{Filters, Slot},
    gate::{Gate, Load, greylist},
    settings::SubmitSettings,
    sign::Signers,
};

/// What the engine is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where accepted mail goes.
    pub spool: Arc<dyn Spool>,
    /// Domains, users, aliases.
    pub store: Store,
    /// What the DNS says of strangers.
    pub resolver: Arc<dyn Resolver>,
    /// The time.
    pub clock: Clock,
    /// Ids, nonces, keys.
    pub chance: Chance,
    /// Where connections run; its shutdown is theirs.
    pub tasks: Tasks,
    /// A secret of this server that outlives the process: names that no user has get the same SCRAM salt each time,
    /// so that a restart does not show who exists.
    pub secret: [u8; 32],
    /// What a guess at a password in the store costs.
    pub cost: Cost,
    /// How mail that is made inside is treated.
    pub submit: SubmitSettings,
    /// Who signs what our users send; without, it goes unsigned.
    pub signers: Option<Arc<dyn Signers>>,
    /// Reads the addresses that mail is passed on under, so that notifications to them go on; without, they are nobody's.
    pub srs: Option<Srs>,
}

/// The receiving engine. Cheap to clone; clones are one engine. It is a [`spool::Submit`].
#[derive(Clone, Debug)]
pub struct Inbound {
    pub(crate) office: Arc<Office>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) store: Store,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) tasks: Tasks,
    pub(crate) auth: Authenticator,
    pub(crate) gate: Gate,
    pub(crate) filters: Slot,
    pub(crate) signers: Option<Arc<dyn Signers>>,
    /// Reads the addresses that mail is passed on under.
    pub(crate) srs: Option<Srs>,
    pub(crate) submit: SubmitSettings,
}

impl Inbound {
    /// An engine that serves nothing yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { spool, store, resolver, clock, chance, tasks, secret, cost, submit, signers, srs } = parts;
        let auth = Authenticator::new(store.clone(), tasks.clone(), clock.clone(), chance.clone(), secret, cost);
        let gate = Gate::new();
        let filters = Slot::default();
        Self {
            office: Arc::new(Office {
                spool,
                store,
                resolver,
                clock,
                chance,
                tasks,
                auth,
                gate,
                filters,
                signers,
                srs,
                submit,
            }),
        }
    }

    /// Serves a listener until the tasks shut down. Then it accepts no more, connections finish their transactions, and
    /// `tasks.wait` waits for them. A service may have several listeners.
    pub fn serve(&self, listener: Listener, service: &Service) {
        self.office.tasks.spawn_vital("listener", accept(Arc::clone(&self.office), service.clone(), listener));
    }

    /// Has these filters judge every message from the next one on.
    pub fn set_filters(&self, filters: Filters) {
        self.office.filters.set(filters);
    }

    /// Takes over what the gate remembered when the server stopped (the greylist, where accounts have signed in), and
    /// from now on writes what is new to the store. Called once, before a listener is served.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn remember(&self) -> Result<(), store::DatabaseError> {
        greylist::restore(&self.office).await?;
        self.office.tasks.spawn("gate", greylist::keep(Arc::clone(&self.office)));
        Ok(())
    }

    /// Says what makes it hard for the server beside its connections; the gate tightens and loosens with it.
    pub fn set_load(&self, load: Load) {
        self.office.gate.set_load(load);
    }

    /// Password hashes computed since the start: the costly part of AUTH.
    pub fn password_hashes(&self) -> u64 {
        self.office.auth.hashes()
    }
}
