//! The real DNS, through hickory, with bounds on everything that a publisher could make large or slow.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
    system_conf::read_system_conf,
};

use policy::dns::{Answer, Question};
use tokio::sync::Semaphore;

use super::{ADDRESSES_MAX, Exchange, MX_MAX, MxAnswer, RECORDS_MAX, ResolveError, Resolver, cache::Cache, facts};
use crate::Clock;

/// For a whole question, CNAMEs, retries and all servers included.
const QUESTION_MAX: Duration = Duration::from_secs(20);
/// The server that is asked when the system names none.
const LOCAL_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);
/// For one try of one server.
const TRY_MAX: Duration = Duration::from_secs(5);
/// Questions about strangers that are open at a time; the others wait, and their deadline with them. Each has a socket.
const QUESTIONS_MAX: usize = 512;
/// How long an answer about a stranger is kept at least: one message asks the same thing more than once.
const FACT_TTL_MIN: Duration = Duration::from_secs(5);
/// How long "no answer" is kept (RFC 2308 §7 allows five minutes), so that a crowd does not wait for a dead server again
/// and again.
const FAILED_TTL: Duration = Duration::from_secs(10);
/// How long "there is none" is kept when the answer does not say.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);
/// How long "there is none" is kept at most (RFC 2308 §5 suggests hours; mail to a new domain should not wait so long).
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(3600);

/// What an entry of a cache takes besides its records, about.
const ENTRY_OCTETS: usize = 200;

/// Which servers to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// `["127.0.0.1:5353"]`; empty: those of the system (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
}

/// Why there is no resolver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolverError {
    /// The system's configuration cannot be read.
    #[error("cannot read the system's name servers ({why}); set `servers` in [dns], for example [\"127.0.0.1:53\"]")]
    System {
        /// The system's words.
        why: String,
    },
}

/// A resolver that asks name servers, caches what they allow, and reads `/etc/hosts` for addresses.
pub struct DnsResolver {
    resolver: TokioResolver,
    clock: Clock,
    mx: Mutex<Cache<String, MxAnswer>>,
    addresses: Mutex<Cache<String, Result<Vec<IpAddr>, ResolveError>>>,
    facts: Mutex<Cache<Question, Answer>>,
    open: Semaphore,
}

impl std::fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsResolver").finish_non_exhaustive()
    }
}

impl DnsResolver {
    /// A resolver for these settings. Called in a runtime.
    pub fn new(settings: &DnsSettings, clock: Clock) -> Result<Self, ResolverError> {
        let system = |error: NetError| ResolverError::System { why: error.to_string() };
        let (config, mut options) = if settings.servers.is_empty() {
            system_servers().map_err(system)?
        } else {
            (servers(&settings.servers), ResolverOpts::default())
        };
        tune(&mut options);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build().map_err(system)?;
        let (mx, addresses, facts) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { resolver, clock, mx, addresses, facts, open: Semaphore::new(QUESTIONS_MAX) })
    }

    /// One question, bounded in time.
    async fn look_up(&self, name: &Name, record_type: RecordType) -> Result<Records, ResolveError> {
        let asked = tokio::time::timeout(QUESTION_MAX, self.resolver.lookup(name.clone(), record_type)).await;
        match asked {
            Ok(Ok(lookup)) => Ok(Records::of(&lookup)),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => Records::none(name, record_type, &none),
            Ok(Err(error)) => Err(temporary(name, record_type, &error.to_string())),
            Err(_) => Err(temporary(name, record_type, "no answer within 20 seconds")),
        }
    }

    /// A question about a stranger, and how long its answer is kept. What fails is told in the log of who asked.
    async fn ask_fact(&self, question: &Question) -> (Answer, Duration) {
        let Some(name) = facts::name(&question.name) else {
            return (Answer::NoName, FACT_TTL_MIN);
        };
        let asked = async {
            let _permit = self.open.acquire().await.ok()?;
            self.look_up(&name, facts::record_type(question.kind)).await.ok()
        };
        match tokio::time::timeout(QUESTION_MAX, asked).await.ok().flatten() {
            Some(records) if records.exists => {
                (facts::answer(question.kind, &records.data), records.ttl.max(FACT_TTL_MIN))
            }
            Some(records) => (Answer::NoName, records.ttl.max(FACT_TTL_MIN)),
            None => (Answer::Failed, FAILED_TTL),
        }
    }

    async fn ask_mx(&self, name: &Name) -> Result<(MxAnswer, Duration), ResolveError> {
        let answer = self.look_up(name, RecordType::MX).await?;
        let exchanges = answer.data.iter().filter_map(exchange).take(MX_MAX).collect();
        let found = if answer.exists { MxAnswer::Exchanges(exchanges) } else { MxAnswer::NoSuchDomain };
        Ok((found, answer.ttl))
    }

    /// Both families at once. One family's failure does not hide the other's addresses.
    async fn ask_addresses(&self, name: &Name) -> Result<(Vec<IpAddr>, Duration, bool), ResolveError> {
        let (v4, v6) = tokio::join!(self.look_up(name, RecordType::A), self.look_up(name, RecordType::AAAA));
        let (v4, v6, failed) = match (v4, v6) {
            (Ok(v4), Ok(v6)) => (v4, v6, None),
            (Ok(v4), Err(error)) => (v4, Records::default(), Some(error)),
            (Err(error), Ok(v6)) => (Records::default(), v6, Some(error)),
            (Err(error), Err(_)) => return Err(error),
        };
        let addresses = interleave(&v4.data, &v6.data);
        match failed {
            Some(error) if addresses.is_empty() => Err(error),
            // The other family is asked for again soon.
            Some(_) => Ok((addresses, v4.ttl.max(v6.ttl).min(NEGATIVE_TTL), true)),
            None => Ok((addresses, v4.ttl.min(v6.ttl), v4.exists || v6.exists)),
        }
    }
}

/// One of each family in turn, so that many of one do not push out the other.
fn interleave(v4: &[RData], v6: &[RData]) -> Vec<IpAddr> {
    let longest = v4.len().max(v6.len());
    let turns = (0..longest).flat_map(|turn| [v4.get(turn), v6.get(turn)]);
    turns.flatten().filter_map(address).take(ADDRESSES_MAX).collect()
}

#[async_trait]
impl Resolver for DnsResolver {
    async fn mx(&self, domain: &str) -> Result<MxAnswer, ResolveError> {
        let (key, name) = parse(domain)?;
        let cached = lock(&self.mx).get(&key, self.clock.instant());
        if let Some(answer) = cached {
            return Ok(answer);
        }
        let (answer, ttl) = self.ask_mx(&name).await?;
        lock(&self.mx).insert(key, answer.clone(), mx_octets(&answer), ttl, self.clock.instant());
        Ok(answer)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let (key, name) = parse(host)?;
        let cached = lock(&self.addresses).get(&key, self.clock.instant());
        if let Some(answer) = cached {
            return answer;
        }
        let (addresses, ttl, exists) = self.ask_addresses(&name).await?;
        let answer = if exists { Ok(addresses) } else { Err(ResolveError::NoSuchDomain(key.clone())) };
        let octets = ENTRY_OCTETS + answer.as_ref().map_or(key.len(), |addresses| size_of_val(addresses.as_slice()));
        lock(&self.addresses).insert(key, answer.clone(), octets, ttl, self.clock.instant());
        answer
    }

    async fn ask(&self, question: &Question) -> Answer {
        let cached = lock(&self.facts).get(question, self.clock.instant());
        if let Some(answer) = cached {
            return answer;
        }
        let (answer, ttl) = self.ask_fact(question).await;
        let octets = ENTRY_OCTETS + question.name.as_str().len() + facts::octets(&answer);
        lock(&self.facts).insert(question.clone(), answer.clone(), octets, ttl, self.clock.instant());
        answer
    }
}

/// The records of one answer, bounded.
#[derive(Default)]
struct Records {
    /// At most [`RECORDS_MAX`].
    data: Vec<RData>,
    ttl: Duration,
    /// False for NXDOMAIN.
    exists: bool,
}

impl Records {
    fn of(lookup: &Lookup) -> Self {
        let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
        let wanted = lookup.query().query_type();
        let of_type = lookup.answers().iter().filter(|record| record.record_type() == wanted);
        let data = of_type.take(RECORDS_MAX).map(|record| record.data.clone()).collect();
        Self { data, ttl: Duration::from_secs(ttl.into()), exists: true }
    }

    fn none(name: &Name, record_type: RecordType, none: &NoRecords) -> Result<Self, ResolveError> {
        let exists = match none.response_code {
            ResponseCode::NoError => true,
            ResponseCode::NXDomain => false,
            code => return Err(temporary(name, record_type, &format!("the name server answers {code}"))),
        };
        let ttl = none.negative_ttl.map_or(NEGATIVE_TTL, |seconds| Duration::from_secs(seconds.into()));
        Ok(Self { data: Vec::new(), ttl: ttl.min(NEGATIVE_TTL_MAX), exists })
    }
}

/// The servers of `/etc/resolv.conf`; without such a file, or a server in it, the one on this machine (resolv.conf(5)).
fn system_servers() -> Result<(ResolverConfig, ResolverOpts), NetError> {
    match read_system_conf() {
        Ok((config, options)) if config.name_servers().is_empty() => Ok((servers(&[LOCAL_SERVER]), options)),
        Err(NetError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok((servers(&[LOCAL_SERVER]), ResolverOpts::default()))
        }
        other => other,
    }
}

fn servers(addresses: &[SocketAddr]) -> ResolverConfig {
    let with_port = |mut connection: ConnectionConfig, port| {
        connection.port = port;
        connection
    };
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections = vec![
            with_port(ConnectionConfig::udp(), address.port()),
            with_port(ConnectionConfig::tcp(), address.port()),
        ];
        server
    };
    ResolverConfig::from_parts(None, Vec::new(), addresses.iter().map(server).collect())
}

fn tune(options: &mut ResolverOpts) {
    options.timeout = TRY_MAX;
    // Room for a usual MX answer with its addresses; without it 512 bytes, then TCP (RFC 6891 §6.2.5).
    options.edns0 = true;
    // Our own cache keeps what is left after the bounds; hickory's would keep ten thousand records whole.
    options.cache_size = 0;
}

/// The cache's key and the name to ask for: always absolute, so that no search list is tried.
fn parse(text: &str) -> Result<(String, Name), ResolveError> {
    let bad = || ResolveError::BadName(mail::for_log(text, 255));
    let key = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let mut name = Name::from_ascii(&key).map_err(|_| bad())?;
    if name.is_root() {
        return Err(bad());
    }
    name.set_fqdn(true);
    Ok((key, name))
}

fn exchange(data: &RData) -> Option<Exchange> {
    let RData::MX(mx) = data else { return None };
    let host = mx.exchange.to_ascii().to_ascii_lowercase();
    let host = host.strip_suffix('.').filter(|host| !host.is_empty()).unwrap_or(".").to_owned();
    Some(Exchange { preference: mx.preference, host })
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

fn mx_octets(answer: &MxAnswer) -> usize {
    let MxAnswer::Exchanges(exchanges) = answer else { return ENTRY_OCTETS };
    let hosts: usize = exchanges.iter().map(|exchange| size_of_val(exchange) + exchange.host.len()).sum();
    ENTRY_OCTETS + hosts
}

fn temporary(name: &Name, record_type: RecordType, why: &str) -> ResolveError {
    let why = mail::for_log(why, 200);
    ResolveError::Temporary(format!("no answer for {record_type} of {name}: {why}"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
