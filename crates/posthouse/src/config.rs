//! The configuration file: read as text, taken apart ([`reader`]), checked ([`check`]). What comes out of [`load`]
//! holds together; what is wrong comes out as [`Complaints`], all at once.
//!
//! Deviation: the house reads configuration through serde. serde stops at the first mistake, so the tables are walked
//! by hand against their declarations; see `docs/decisions`.

mod check;
mod complaint;
mod filter;
mod gate;
mod keys;
mod listener;
mod reader;
mod reference;
mod route;
mod value;
mod verify;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use check::DEFAULT_STORE_URL;
pub(crate) use complaint::{Complaint, Complaints};
pub(crate) use gate::Gate;
pub(crate) use listener::{BareNewline, Listener, ListenerTls, Service};
pub(crate) use reference::{reference, sample};
pub(crate) use route::{RelayTls, Route, Target};
#[cfg(test)]
pub(crate) use value::address_pattern;
pub(crate) use value::{Network, duration, host_and_port};

/// The folder of data when nothing says otherwise.
pub(crate) const DEFAULT_DATA_DIR: &str = "posthouse-data";

/// Bytes of a configuration file. Anything longer is not one.
const FILE_MAX: u64 = 1_000_000;

/// A configuration that holds together.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// What the server calls itself.
    pub(crate) hostname: String,
    /// Where its data are.
    pub(crate) data_dir: PathBuf,
    /// As whom it runs when root starts it, and in which group.
    pub(crate) user: Option<String>,
    pub(crate) group: Option<String>,
    /// The address of its pages.
    pub(crate) public_url: Option<String>,
    /// Where it listens.
    pub(crate) listeners: Vec<Listener>,
    /// Its certificate, unless it makes its own.
    pub(crate) tls: Option<CertificateFiles>,
    /// Certificates of authorities trusted beside the public ones.
    pub(crate) authorities: Option<PathBuf>,
    /// The name servers; empty for the system's.
    pub(crate) dns_servers: Vec<SocketAddr>,
    /// Bounds and deadlines.
    pub(crate) limits: Limits,
    /// What is asked of strangers.
    pub(crate) gate: Gate,
    /// What is done about mail that nobody vouches for; nothing when that is not looked at.
    pub(crate) verify: Option<inbound::Verification>,
    /// Who judges it before it is kept, in order.
    pub(crate) filters: Vec<inbound::FilterSettings>,
    /// What the world learns of our users' clients.
    pub(crate) privacy: inbound::Privacy,
    /// Where mail goes, in order.
    pub(crate) routes: Vec<Route>,
    /// Retries and expiry.
    pub(crate) delivery: Delivery,
    /// The store's address.
    pub(crate) store_url: String,
    /// How to log.
    pub(crate) log: Log,
}

/// A certificate chain and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    /// The chain, in PEM.
    pub(crate) certificate: PathBuf,
    /// The key, in PEM.
    pub(crate) key: PathBuf,
}

/// `[limits]`: sizes in bytes. Each field is documented where its key is declared.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) message_size: u64,
    pub(crate) recipients: u64,
    pub(crate) disk_reserve: u64,
    pub(crate) connections_per_address: u64,
    pub(crate) connections_per_minute: u32,
    pub(crate) messages_per_minute: u32,
    pub(crate) recipients_per_minute: u32,
    pub(crate) commands_per_minute: u32,
    pub(crate) errors_per_hour: u32,
    pub(crate) junk_per_hour: u32,
    pub(crate) errors: u64,
    pub(crate) junk: u64,
    pub(crate) handshake: Duration,
    pub(crate) command: Duration,
    pub(crate) data: Duration,
    pub(crate) data_rate: u64,
    pub(crate) connect: Duration,
    pub(crate) banner: Duration,
    pub(crate) dot: Duration,
    pub(crate) shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 50_000_000,
            recipients: 1000,
            disk_reserve: 1_000_000_000,
            connections_per_address: 100,
            connections_per_minute: 300,
            messages_per_minute: 600,
            recipients_per_minute: 6000,
            commands_per_minute: 6000,
            errors_per_hour: 200,
            junk_per_hour: 2000,
            errors: 20,
            junk: 100,
            handshake: Duration::from_secs(30),
            command: Duration::from_secs(5 * 60),
            data: Duration::from_secs(3 * 60),
            data_rate: 256,
            connect: Duration::from_secs(30),
            banner: Duration::from_secs(5 * 60),
            dot: Duration::from_secs(10 * 60),
            shutdown: Duration::from_secs(30),
        }
    }
}

/// `[delivery]`.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// The waits between attempts; the last repeats.
    pub(crate) retry: Vec<Duration>,
    /// The age at which a failing message goes back.
    pub(crate) expire: Duration,
    /// Connections to one destination at a time.
    pub(crate) connections: u64,
    /// Whether mail that is passed on goes on under an address of ours.
    pub(crate) srs: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        let retry = [1, 5, 15, 30, 60, 120, 240, 480];
        Self {
            retry: retry.map(|minutes| Duration::from_secs(minutes * MINUTE)).to_vec(),
            expire: Duration::from_secs(5 * 24 * 60 * MINUTE),
            connections: 20,
            srs: true,
        }
    }
}

/// `[log]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// How a line looks.
    pub(crate) format: LogFormat,
    /// What is logged.
    pub(crate) level: LogLevel,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {file}: {why}")]
    Unreadable {
        /// Its name as given.
        file: String,
        /// The system's words, and what to do.
        why: String,
    },
    /// The file can be read and is wrong.
    #[error(transparent)]
    Wrong(#[from] Complaints),
}

/// Reads and checks a file.
pub(crate) fn load(file: &Path) -> Result<Config, ConfigError> {
    let text = read(file)?;
    check::parse(file, &text).map_err(ConfigError::Wrong)
}

fn read(file: &Path) -> Result<String, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable { file: file.display().to_string(), why };
    let explain = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file; check the path after --config".to_owned(),
        std::io::ErrorKind::PermissionDenied => {
            "permission denied; run as the user who may read it, or change its mode".to_owned()
        }
        std::io::ErrorKind::IsADirectory => "it is a directory; name a file".to_owned(),
        _ => error.to_string(),
    };
    let size = fs::metadata(file).map_err(|error| unreadable(explain(error)))?.len();
    if size > FILE_MAX {
        return Err(unreadable(format!("it has {size} bytes; a configuration has at most {FILE_MAX}")));
    }
    let bytes = fs::read(file).map_err(|error| unreadable(explain(error)))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = line.iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable(format!("line {line} is not UTF-8 text"))
    })
}

/// The system's name, or one that says that there is none.
pub(crate) fn system_hostname() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    value::hostname(&name).unwrap_or_else(|_| "localhost".to_owned())
}
