//! The engines of one running server.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use inbound::Inbound;
use net::{Chance, Clock, Dialer, DnsResolver, DnsSettings, Listener, Resolver, TcpConnector, tasks::Tasks, tls};
use outbound::TlsClients;
use policy::srs::Srs;
use spool::{Lock, Spool};
use store::Store;
use web::Face;
use zeroize::Zeroizing;

use super::{Source, directory, events, gauges, local::StoreDomains, open_store, settings};
use crate::{
    admin::{self, Answer, Request},
    config::{Config, Service},
    control,
    process::{self, Sockets},
    sandbox::{self, Made},
    secret::{Purpose, Secret},
    signing::Keyring,
};

/// A running server.
pub(super) struct Node {
    /// What it runs by. A reload replaces what can be replaced.
    pub(super) config: Config,
    /// Connections, listeners, the delivery engine: what stops first.
    pub(super) tasks: Tasks,
    /// What serves those: the copying of events.
    background: Tasks,
    pub(super) clock: Clock,
    spool: Arc<dyn Spool>,
    store: Store,
    /// By place in the configuration; nothing for http.
    pub(super) services: Vec<Option<RunningService>>,
    pub(super) inbound: Inbound,
    /// The way to filters.
    pub(super) dialer: Dialer,
    pub(super) outbound: outbound::Engine,
    /// Makes the addresses of mail that is passed on.
    pub(super) srs: Srs,
    /// The demo user's password, in the sandbox.
    pub(super) sandbox_password: Option<Zeroizing<String>>,
    _lock: Lock,
}

/// An SMTP service and its certificate.
pub(super) struct RunningService {
    pub(super) service: inbound::Service,
    pub(super) tls: Option<RunningTls>,
}

/// A certificate with where it came from.
pub(super) struct RunningTls {
    pub(super) source: tls::Source,
    pub(super) server: tls::Server,
}

impl RunningTls {
    /// Reads the certificate that the configuration means.
    pub(super) fn new(source: tls::Source, clock: &Clock) -> Result<Self, tls::TlsError> {
        let server = tls::Server::new(source.clone(), clock.clone())?;
        Ok(Self { source, server })
    }
}

impl Node {
    /// Starts everything, in an order in which what can fail comes first.
    pub(super) async fn start(
        source: &Source,
        config: Config,
        sockets: Sockets,
        clock: Clock,
        chance: Chance,
    ) -> anyhow::Result<Self> {
        let lock = directory::lock(&config.data_dir, &clock).await?;
        let listeners = listeners(source, &config, sockets)?;
        let metrics = gauges::install()?;
        let (tasks, background) = (Tasks::new(), Tasks::new());
        directory::refuse_lost_queue(&config)?;
        if let Source::File(_) = source {
            directory::refuse_lost_store(&config)?;
        }
        let store = open_store(&config).await?;
        let sandbox_password = match source {
            Source::File(_) => None,
            Source::Sandbox => Some(prepare_sandbox(&config, &store, &chance).await?),
        };
        let spool = open_spool(&config, &clock, &chance)?;
        let resolver: Arc<dyn Resolver> = Arc::new(resolver(source, &config, &clock)?);
        let Receiving { inbound, keyring, srs } =
            receiving(&config, &spool, &store, &resolver, &clock, &chance, &tasks)?;
        let dialer = Dialer::new(Arc::new(TcpConnector::new()), Arc::clone(&resolver), clock.clone());
        inbound.remember().await?;
        inbound.set_filters(settings::filters(&config, &dialer, &clock));
        let outbound = outbound_engine((&config, &srs), resolver, &spool, &store, &inbound, &clock, &chance)?;
        let services = make_services(source, &config, &clock)?;

        let events = events::copy(Arc::clone(&spool), store.clone(), clock.clone(), background.clone());
        background.spawn_vital("events", events);
        let (measured, clocked, busy) = (metrics.clone(), clock.clone(), config.gate.busy_queue);
        let gauges = gauges::keep(Arc::clone(&spool), inbound.clone(), busy, measured, clocked, tasks.clone());
        tasks.spawn("gauges", gauges);
        let queue = admin::queue::Queue {
            spool: Arc::clone(&spool),
            store: store.clone(),
            outbound: outbound.clone(),
            clock: clock.clone(),
        };
        let signing = admin::signing::Signing::new(&config, store.clone(), keyring, chance.clone());
        serve_control(&config, queue, signing, &tasks)?;
        tasks.spawn_vital("delivery", outbound.clone().run(tasks.clone()));
        let face = Face { spool: Arc::clone(&spool), metrics, hostname: Arc::from(config.hostname.as_str()) };
        serve_listeners(listeners, &services, &inbound, face, &tasks);
        Ok(Self {
            config,
            tasks,
            background,
            clock,
            spool,
            store,
            services,
            inbound,
            dialer,
            outbound,
            srs,
            sandbox_password,
            _lock: lock,
        })
    }

    /// Finishes what is in flight, copies the last events and closes.
    pub(super) async fn stop(self) {
        self.tasks.shutdown();
        let deadline = self.clock.instant() + self.config.limits.shutdown;
        if let Err(running) = self.tasks.wait(deadline).await {
            tracing::warn!(
                ?running,
                "not everything was finished in time; what is left is tried again after the start"
            );
        }
        self.background.shutdown();
        let deadline = self.clock.instant() + self.config.limits.shutdown;
        if self.background.wait(deadline).await.is_err() {
            tracing::warn!("not all events were copied to the store; the rest follows after the start");
        }
        self.spool.close().await;
        self.store.close().await;
    }
}

/// A listener that is bound, with its place in the configuration.
type Bound = (usize, Listener);

/// Begins to listen on the sockets that are bound. Where one was not to be had, whoever had it may be gone now that the
/// lock is ours; else it is said.
fn listeners(source: &Source, config: &Config, sockets: Sockets) -> anyhow::Result<Vec<Bound>> {
    let sockets = sockets.or_else(|_| process::bind(config));
    let started = sockets.and_then(|sockets| {
        sockets.into_iter().map(|(place, socket)| Ok((place, Listener::start(socket)?))).collect::<Result<Vec<_>, _>>()
    });
    match source {
        Source::File(_) => Ok(started?),
        Source::Sandbox => started.context(
            "the sandbox's ports are fixed; to use others, write a configuration and name it with --config (`posthouse \
             reference sample` prints one)",
        ),
    }
}

fn open_spool(config: &Config, clock: &Clock, chance: &Chance) -> anyhow::Result<Arc<dyn Spool>> {
    let mut options = spool::sqlite::Options::new(config.data_dir.join(directory::SPOOL_FOLDER), chance.bytes());
    options.disk_reserve = config.limits.disk_reserve;
    // For the histogram of syncs.
    options.instant = Some(|| Clock::system().instant());
    Ok(spool::sqlite::Engine::open(options, clock.now())?)
}

/// The sandbox looks nothing up: it starts on a machine without name servers, too.
fn resolver(source: &Source, config: &Config, clock: &Clock) -> anyhow::Result<DnsResolver> {
    const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);
    let servers = match source {
        Source::File(_) => config.dns_servers.clone(),
        Source::Sandbox => vec![NOBODY],
    };
    Ok(DnsResolver::new(&DnsSettings { servers }, clock.clone())?)
}

/// The receiving engine, and what of its secrets others need.
struct Receiving {
    inbound: Inbound,
    keyring: Arc<Keyring>,
    srs: Srs,
}

fn receiving(
    config: &Config,
    spool: &Arc<dyn Spool>,
    store: &Store,
    resolver: &Arc<dyn Resolver>,
    clock: &Clock,
    chance: &Chance,
    tasks: &Tasks,
) -> anyhow::Result<Receiving> {
    let secret = Secret::load(&config.data_dir, chance)?;
    let srs = Srs::new(&secret.key(Purpose::Forwarding));
    let invention = *secret.key(Purpose::Invention);
    let keyring = Arc::new(Keyring::new(store.clone(), secret));
    let inbound = Inbound::new(inbound::Parts {
        spool: Arc::clone(spool),
        store: store.clone(),
        resolver: Arc::clone(resolver),
        clock: clock.clone(),
        chance: chance.clone(),
        tasks: tasks.clone(),
        secret: invention,
        cost: inbound::Cost::default(),
        submit: settings::submit(config),
        signers: Some(Arc::clone(&keyring) as _),
        srs: Some(srs.clone()),
    });
    Ok(Receiving { inbound, keyring, srs })
}

fn outbound_engine(
    (config, srs): (&Config, &Srs),
    resolver: Arc<dyn Resolver>,
    spool: &Arc<dyn Spool>,
    store: &Store,
    inbound: &Inbound,
    clock: &Clock,
    chance: &Chance,
) -> anyhow::Result<outbound::Engine> {
    Ok(outbound::Engine::new(outbound::Parts {
        spool: Arc::clone(spool),
        submit: Arc::new(inbound.clone()),
        resolver,
        connector: Arc::new(TcpConnector::new()),
        tls: TlsClients {
            opportunistic: tls::Client::opportunistic(clock.clone())?,
            verified: tls::Client::verified(config.authorities.as_deref(), clock.clone())?,
        },
        domains: Arc::new(StoreDomains(store.clone())),
        clock: clock.clone(),
        chance: chance.clone(),
        settings: settings::outbound(config, srs),
    }))
}

fn make_services(source: &Source, config: &Config, clock: &Clock) -> anyhow::Result<Vec<Option<RunningService>>> {
    let make = |listener: &crate::config::Listener| {
        if listener.service == Service::Http {
            return Ok(None);
        }
        let tls = settings::tls_source(config, listener).map(|source| RunningTls::new(source, clock)).transpose()?;
        let settings = settings::inbound(source, config, listener, tls.as_ref().map(|tls| &tls.server));
        Ok(Some(RunningService { service: inbound::Service::new(settings), tls }))
    };
    config.listeners.iter().map(make).collect()
}

fn serve_listeners(
    listeners: Vec<Bound>,
    services: &[Option<RunningService>],
    inbound: &Inbound,
    face: Face,
    tasks: &Tasks,
) {
    let router = web::router(face);
    for (place, listener) in listeners {
        match services.get(place) {
            Some(Some(running)) => inbound.serve(listener, &running.service),
            _ => {
                tracing::info!(service = Service::Http.name(), address = %listener.local_addr(), "listening");
                tasks.spawn_vital("http", web::serve(listener, router.clone(), tasks.clone()));
            }
        }
    }
}

fn serve_control(
    config: &Config,
    queue: admin::queue::Queue,
    signing: admin::signing::Signing,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let bound = control::Bound::bind(&config.data_dir)
        .with_context(|| format!("cannot make the control socket {}", control::path(&config.data_dir).display()))?;
    let clock = queue.clock.clone();
    let answer = move |request: Request| {
        let (queue, signing) = (queue.clone(), signing.clone());
        async move {
            let answer: Result<Answer, String> = match request {
                Request::Directory(request) => signing.edit(request, queue.clock.now()).await,
                Request::Signing(request) => signing.answer(request, queue.clock.now()).await,
                Request::Queue(request) => queue.answer(request).await,
            };
            answer
        }
    };
    tasks.spawn_vital("control", control::serve(bound, clock, tasks.clone(), answer));
    Ok(())
}

/// The demo user of the sandbox, as it was on the last start.
async fn prepare_sandbox(config: &Config, store: &Store, chance: &Chance) -> anyhow::Result<Zeroizing<String>> {
    let kept = sandbox::password(&config.data_dir, chance);
    let (password, made) = kept.context("cannot keep the demo user's password")?;
    let domain: mail::Domain = sandbox::DOMAIN.parse()?;
    let user: mail::Mailbox = sandbox::USER.parse()?;
    if store.directory().domain_kind(&domain).is_none() {
        store.domain_add(&domain, store::DomainKind::Local).await?;
    }
    let known = store.directory().user(&user).is_some();
    if !known || made == Made::Now {
        let verifiers = inbound::hash_password(&password, inbound::Cost::default(), chance)?;
        match known {
            false => store.user_add(&user, &verifiers).await?,
            true => store.user_password(&user, &verifiers).await?,
        }
    }
    Ok(password)
}
