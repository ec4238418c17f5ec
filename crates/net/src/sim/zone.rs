//! Names of the simulated internet.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use policy::dns::{self, Answer, Kind, Question};

use crate::{ADDRESSES_MAX, Exchange, MX_MAX, MxAnswer, RECORDS_MAX, ResolveError, Resolver, resolve::facts};

/// CNAMEs followed for one question, as the real resolver does.
const CHAIN_MAX: usize = 8;

/// A zone that a test fills. Cheap to clone; clones are one zone. It is a [`Resolver`]. Names are compared in lower case.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    names: Arc<Mutex<HashMap<String, Name>>>,
}

#[derive(Clone, Debug, Default)]
struct Name {
    exchanges: Vec<Exchange>,
    addresses: Vec<IpAddr>,
    texts: Vec<Vec<u8>>,
    hosts: Vec<String>,
    alias: Option<String>,
    failing: bool,
    delay: Duration,
    questions: u64,
    /// A name known only for its failure or delay does not exist.
    exists: bool,
}

impl Zone {
    /// A zone without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an MX record. A null MX is `(0, ".")`.
    pub fn add_mx(&self, domain: &str, preference: u16, host: &str) {
        self.record(domain, |name| name.exchanges.push(Exchange { preference, host: host.to_ascii_lowercase() }));
    }

    /// Adds addresses to a host.
    pub fn add_addresses(&self, host: &str, addresses: &[IpAddr]) {
        self.record(host, |name| name.addresses.extend_from_slice(addresses));
    }

    /// Adds a TXT record, its strings joined.
    pub fn add_txt(&self, name: &str, text: impl Into<Vec<u8>>) {
        self.record(name, |name| name.texts.push(text.into()));
    }

    /// Adds a PTR record to a name below `in-addr.arpa` or `ip6.arpa`.
    pub fn add_ptr(&self, name: &str, host: &str) {
        self.record(name, |name| name.hosts.push(host.to_ascii_lowercase()));
    }

    /// Adds a name without MX and addresses.
    pub fn add_empty(&self, name: &str) {
        self.record(name, |_| {});
    }

    /// Makes a name an alias (CNAME) of another.
    pub fn add_alias(&self, alias: &str, target: &str) {
        self.record(alias, |name| name.alias = Some(target.to_ascii_lowercase()));
    }

    /// Forgets a name and all about it.
    pub fn remove(&self, name: &str) {
        self.lock().remove(&name.to_ascii_lowercase());
    }

    /// Lets questions about a name fail for now, or answers them again.
    pub fn set_failing(&self, name: &str, failing: bool) {
        self.lock().entry(name.to_ascii_lowercase()).or_default().failing = failing;
    }

    /// Lets answers about a name take so long.
    pub fn set_delay(&self, name: &str, delay: Duration) {
        self.lock().entry(name.to_ascii_lowercase()).or_default().delay = delay;
    }

    /// Questions asked about a name so far.
    pub fn questions(&self, name: &str) -> u64 {
        self.lock().get(&name.to_ascii_lowercase()).map_or(0, |name| name.questions)
    }

    fn record(&self, name: &str, change: impl FnOnce(&mut Name)) {
        let mut names = self.lock();
        let name = names.entry(name.to_ascii_lowercase()).or_default();
        name.exists = true;
        change(name);
    }

    /// What a name is in the end, its aliases followed; nothing when it does not exist.
    async fn find(&self, asked: &str) -> Result<Option<Name>, ResolveError> {
        let mut wanted = asked.strip_suffix('.').unwrap_or(asked).to_ascii_lowercase();
        for _ in 0..CHAIN_MAX {
            let found = self.lock().get_mut(&wanted).map(|name| {
                name.questions += 1;
                name.clone()
            });
            let Some(name) = found else { return Ok(None) };
            if !name.delay.is_zero() {
                tokio::time::sleep(name.delay).await;
            }
            if name.failing {
                return Err(ResolveError::Temporary(format!("no answer for {wanted}: the name server fails")));
            }
            match name.alias {
                Some(target) => wanted = target,
                None => return Ok(Some(name).filter(|name| name.exists)),
            }
        }
        Err(ResolveError::Temporary(format!("no answer for {asked}: too many aliases in a row")))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Resolver for Zone {
    async fn mx(&self, domain: &str) -> Result<MxAnswer, ResolveError> {
        Ok(match self.find(domain).await? {
            None => MxAnswer::NoSuchDomain,
            Some(name) => MxAnswer::Exchanges(name.exchanges.into_iter().take(MX_MAX).collect()),
        })
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let name = self.find(host).await?.ok_or_else(|| ResolveError::NoSuchDomain(host.into()))?;
        Ok(name.addresses.into_iter().take(ADDRESSES_MAX).collect())
    }

    async fn ask(&self, question: &Question) -> Answer {
        match self.find(question.name.as_str()).await {
            Ok(Some(name)) => name.answer(question.kind),
            Ok(None) => Answer::NoName,
            Err(_) => Answer::Failed,
        }
    }
}

impl Name {
    /// The records of a kind, within the same bounds as the real resolver's.
    fn answer(self, kind: Kind) -> Answer {
        let host = |host: &str| dns::Name::parse(host).ok();
        let v4 = |address: &IpAddr| if let IpAddr::V4(address) = address { Some(*address) } else { None };
        let v6 = |address: &IpAddr| if let IpAddr::V6(address) = address { Some(*address) } else { None };
        let addresses = || self.addresses.iter();
        let exchange = |exchange: &Exchange| Some((exchange.preference, host(&exchange.host)?));
        match kind {
            Kind::Txt if !self.texts.is_empty() => {
                Answer::Txt(facts::bounded(self.texts.into_iter().take(RECORDS_MAX)))
            }
            Kind::A if addresses().any(IpAddr::is_ipv4) => {
                Answer::A(addresses().filter_map(v4).take(RECORDS_MAX).collect())
            }
            Kind::Aaaa if addresses().any(IpAddr::is_ipv6) => {
                Answer::Aaaa(addresses().filter_map(v6).take(RECORDS_MAX).collect())
            }
            Kind::Mx if !self.exchanges.is_empty() => {
                Answer::Mx(self.exchanges.iter().take(RECORDS_MAX).filter_map(exchange).collect())
            }
            Kind::Ptr if !self.hosts.is_empty() => {
                Answer::Ptr(self.hosts.iter().take(RECORDS_MAX).filter_map(|name| host(name)).collect())
            }
            _ => Answer::NoData,
        }
    }
}
