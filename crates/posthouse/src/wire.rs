//! Putting the engines together: the only place that constructs them.
//!
//! ```text
//!  process (ports, account) ─► lock ─► store ─► spool ─► inbound ─► outbound ─► http, control ─► ready
//!
//!  SIGTERM, SIGINT: accept no more, finish what is in flight, copy the last events, close
//!  SIGHUP:          read the configuration again; what is wrong is reported and the old one stays
//! ```
//!
//! Everything that can fail for a reason outside comes before the first mail is taken: a port in use, a directory of
//! another server, a key that is none.

pub(crate) mod directory;
mod events;
mod gauges;
mod interfaces;
mod local;
mod node;
mod reload;
mod settings;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use net::{Chance, Clock, Phase, Supervisor};
use store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    cli::say,
    config::{self, Config, LogFormat},
    logs,
    process::{self, Sockets},
    sandbox,
};
use node::Node;

/// How often a watchdog is told within its time: one beat may be late.
const WATCHDOG_SHARE: u32 = 3;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A file, which SIGHUP reads again.
    File(PathBuf),
    /// None: the sandbox.
    Sandbox,
}

impl Source {
    fn read(&self) -> Result<Config, config::ConfigError> {
        match self {
            Self::File(file) => config::load(file),
            Self::Sandbox => Ok(sandbox::config()),
        }
    }
}

/// Runs the server until it is told to stop.
pub(crate) fn serve(file: Option<&Path>, json: bool, clock: Clock) -> anyhow::Result<ExitCode> {
    let source = file.map_or(Source::Sandbox, |file| Source::File(file.to_owned()));
    let mut config = source.read()?;
    if json {
        config.log.format = LogFormat::Json;
    }
    logs::start(config.log, clock.clone());
    log_panics();
    raise_file_limit();
    let sockets = process::prepare(&config, matches!(source, Source::Sandbox))?;
    warn_of_unreadable(file);
    let supervisor = Supervisor::from_environment();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("posthouse").build()?;
    runtime.block_on(run(source, config, sockets, supervisor, clock))
}

async fn run(
    source: Source,
    config: Config,
    sockets: Sockets,
    supervisor: Supervisor,
    clock: Clock,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let mut node = Node::start(&source, config, sockets, clock, Chance::system()).await?;
    let pages = node.config.public_url.as_deref().unwrap_or("none");
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), public_url = pages, "ready");
    supervisor.tell(Phase::Ready);
    let mut alive = supervisor.watchdog().map(|within| tokio::time::interval(within / WATCHDOG_SHARE));
    if let Some(password) = &node.sandbox_password {
        say(&sandbox::greeting(&node.config.data_dir, password));
    }
    let broken = loop {
        tokio::select! {
            () = node.tasks.cancelled() => break true,
            () = next_beat(&mut alive) => supervisor.tell(Phase::Alive),
            Some(()) = signals.hangup.recv() => {
                supervisor.tell(Phase::Reloading);
                node.reload(&source);
                supervisor.tell(Phase::Ready);
            }
            Some(()) = signals.terminate.recv() => break false,
            Some(()) = signals.interrupt.recv() => break false,
        }
    };
    supervisor.tell(Phase::Stopping);
    tracing::info!("stopping: what is in flight is finished first; a second signal stops at once");
    let mut stopped = std::pin::pin!(node.stop());
    loop {
        tokio::select! {
            () = &mut stopped => break,
            () = next_beat(&mut alive) => supervisor.tell(Phase::Alive),
            Some(()) = signals.interrupt.recv() => break tracing::warn!("stopped at once"),
            Some(()) = signals.terminate.recv() => break tracing::warn!("stopped at once"),
        }
    }
    tracing::info!("stopped");
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// When the supervisor's watchdog is to be told again; never without one.
async fn next_beat(alive: &mut Option<tokio::time::Interval>) {
    match alive {
        Some(alive) => {
            alive.tick().await;
        }
        None => std::future::pending().await,
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Opens the store of a configuration.
pub(crate) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    Store::open(&config.store_url, &config.data_dir).await.map_err(Into::into)
}

/// Where this server is, as the internet sees it: the addresses it listens on, or else those of the machine, without
/// those that only the machine or its network knows.
pub(crate) fn public_addresses(config: &Config) -> Vec<IpAddr> {
    let listening: Vec<IpAddr> =
        config.listeners.iter().flat_map(|listener| &listener.addresses).map(|address| address.ip()).collect();
    let named = listening.iter().copied().filter(|address| !address.is_unspecified());
    let all: Vec<IpAddr> = if listening.iter().any(IpAddr::is_unspecified) {
        named.chain(interfaces::addresses()).collect()
    } else {
        named.collect()
    };
    let mut public: Vec<IpAddr> = all.into_iter().filter(interfaces::is_public).collect();
    public.sort_unstable();
    public.dedup();
    public
}

/// The configuration was read before the process became its account, which has to read it at a reload.
fn warn_of_unreadable(file: Option<&Path>) {
    use rustix::fs::{Access, access};
    if let Some(file) = file
        && let Err(error) = access(file, Access::READ_OK)
    {
        tracing::warn!(
            file = %file.display(), %error,
            "the configuration cannot be read any more, so a reload (SIGHUP) will not take a new one; let the group of the \
             server read it: chgrp and chmod 640, and 750 for the folders above it"
        );
    }
}

/// A panic is one line of the log like everything else; [`net::tasks`] says which task it was.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a bug: please report this line and the one after it");
    }));
}

/// Takes as many file descriptors as the system allows: each connection needs one.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
