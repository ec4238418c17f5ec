//! The gate: who gets in, how much of us a client may use, and what is asked of strangers.
//!
//! ```text
//! accept ─► proxy (from its networks) ─► ledger ── too much: 421 ─►
//!                                          │ visit
//!                                          ▼
//!                                    pregreet wait ── spoke first: 554 ─►
//!                                          │ 220
//!                    commands ─► ledger ───┤ too much: 421, 450; errors wait (tarpit)
//!                                          ▼
//!                                        desk
//! ```
//!
//! Three kinds of client: a *stranger* is examined; an *exempt* one (loopback, unless the configuration says otherwise)
//! and a *trusted* one are not. A user who has authenticated is no stranger any more. The rules are pure and in
//! `policy`; here are the tables of one server, one short lock each, and the words.
//!
//! What it is not: who may send to whom (`admission`), and whether a message is what it says (`vouch`).

pub(crate) mod greylist;
pub(crate) mod guest;
pub(crate) mod ledger;
pub(crate) mod proxy;
pub(crate) mod stranger;
pub(crate) mod words;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use policy::{account::Limits, load::Tightness, rate::Rate};

use self::ledger::{Ledger, Refusal, Visit};
pub use self::stranger::{Examination, List, Measure};
use crate::{
    Network,
    service::Current,
    settings::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS},
};

/// How long a command of a stranger who has begun no message may take when the server is at its limits.
const PATIENCE_MIN: Duration = Duration::from_secs(30);
/// How often such a wait is looked at again.
pub(crate) const GLANCE: Duration = Duration::from_secs(30);
/// Of its usual connections a client may have one in so many when the server is at its limits.
const CONNECTIONS_SHARE_MIN: u32 = 10;
/// The longest that one reply to an error waits.
const TARPIT_MAX: Duration = Duration::from_secs(20);
/// Errors of a session, or since its latest message, that are answered at once.
const ERRORS_FREE: u32 = 3;

/// What a service asks of its clients before it listens to them.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// Clients that are not examined, beside the trusted networks.
    pub exempt_networks: Vec<Network>,
    /// Proxies: each of their connections must begin with a PROXY header, which says who the client is.
    pub proxy_networks: Vec<Network>,
    /// Clients that may say for whom they speak by XCLIENT.
    pub xclient_networks: Vec<Network>,
    /// What one client may use. How many connections at a time says
    /// [`connections_per_address`](crate::Settings::connections_per_address).
    pub limits: Limits,
    /// How long a stranger must wait for the banner; nothing to take who comes. Clients that have waited are known.
    pub pregreet_wait: Duration,
    /// What becomes of a stranger that goes on where it must wait for a reply.
    pub haste: smtp::server::Haste,
    /// How much longer each reply to an error of a stranger takes, after the first few. It shrinks with the load.
    pub tarpit: Duration,
    /// What is asked about strangers and their messages.
    pub examination: Examination,
    /// Whether strangers are asked to come again.
    pub greylisting: bool,
}

impl GateSettings {
    /// The defaults of a service.
    pub fn new(service: smtp::server::Service) -> Self {
        let (pregreet_wait, haste, examination) = match service {
            smtp::server::Service::Mx => {
                (Duration::from_millis(400), smtp::server::Haste::Refused, Examination::default())
            }
            smtp::server::Service::Submission => (Duration::ZERO, smtp::server::Haste::Obeyed, Examination::none()),
        };
        Self {
            exempt_networks: Network::LOOPBACK.to_vec(),
            proxy_networks: Vec::new(),
            xclient_networks: Vec::new(),
            limits: Limits {
                open: u32::try_from(CONNECTIONS_PER_ADDRESS).unwrap_or(u32::MAX),
                connections: Rate::per_minute(300),
                messages: Rate::per_minute(600),
                recipients: Rate::per_minute(6000),
                commands: Rate::per_minute(6000),
                errors: Rate::per_hour(200),
                junk: Rate::per_hour(2000),
            },
            pregreet_wait,
            haste,
            tarpit: Duration::from_secs(1),
            examination,
            greylisting: false,
        }
    }
}

/// What makes it hard for the server beside its connections. Zero for a bound that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Deliveries that wait.
    pub queued: u64,
    /// Deliveries that may wait before it is too much.
    pub queued_max: u64,
    /// File descriptors in use.
    pub descriptors: u64,
    /// File descriptors that the system allows.
    pub descriptors_max: u64,
}

/// The tables of one server.
#[derive(Debug)]
pub(crate) struct Gate {
    ledger: Arc<Ledger>,
    pub(crate) grey: greylist::Grey,
    /// By queue and descriptors, in thousandths.
    load: AtomicU32,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { ledger: Arc::default(), grey: greylist::Grey::default(), load: AtomicU32::new(0) }
    }

    /// A connection from this client begins.
    pub(crate) fn enter(&self, service: &Current, peer: IpAddr, now: Instant) -> Result<Visit, Refusal> {
        let tightness = self.tightness();
        let mut limits = *service.limits();
        limits.open = tightness.between_numbers(limits.open, (limits.open / CONNECTIONS_SHARE_MIN).max(1));
        let limits = service.is_stranger(peer).then_some(&limits);
        self.ledger.enter(service.settings.name, peer, limits, now)
    }

    /// A connection whose client is not known yet, or does not count.
    pub(crate) fn enter_uncounted(&self) -> Result<Visit, Refusal> {
        self.ledger.enter_uncounted()
    }

    /// How hard it is, beside the connections.
    pub(crate) fn set_load(&self, load: Load) {
        let queue = Tightness::of(load.queued, load.queued_max);
        let descriptors = Tightness::of(load.descriptors, load.descriptors_max);
        self.load.store(queue.max(descriptors).thousandths(), Ordering::Relaxed);
    }

    /// How tight it is now.
    pub(crate) fn tightness(&self) -> Tightness {
        let connections = Tightness::of(self.ledger.connections() as u64, CONNECTIONS_MAX as u64);
        Tightness::from_thousandths(self.load.load(Ordering::Relaxed)).max(connections)
    }

    /// How long a stranger waits for the banner.
    pub(crate) fn pregreet_wait(&self, settings: &GateSettings) -> Duration {
        self.tightness().between(settings.pregreet_wait, settings.pregreet_wait / 4)
    }

    /// How long a command of a stranger may take that has begun no message.
    pub(crate) fn patience(&self, usual: Duration) -> Duration {
        self.tightness().between(usual, PATIENCE_MIN.min(usual))
    }

    /// How long the reply to the latest of so many errors waits: under load nobody is worth a connection held open.
    pub(crate) fn tarpit(&self, settings: &GateSettings, errors: u32) -> Duration {
        let wait = settings.tarpit.saturating_mul(errors.saturating_sub(ERRORS_FREE)).min(TARPIT_MAX);
        self.tightness().between(wait, Duration::ZERO)
    }
}
