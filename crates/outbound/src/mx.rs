//! The rules of RFC 5321 §5.1 and RFC 7505 over what the DNS answers. Pure: answers and chance in, hops in order out.
//!
//! ```text
//!            MX answer ──► Ladder ──► hosts of the best preference ──► addresses ──► hops
//!                            ▲                                                        │ all failed
//!                            └────────────────────────────────────────────────────────┘
//! ```
//! A *ladder* is climbed one preference at a time. A host that is ourselves ends it: it and everything of equal or worse
//! preference is left out, for a worse host would send the mail back to us.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use mail::{Domain, FailureClass, FailureKind, Refusal, Reply, Stage};
use net::{Chance, Exchange, MxAnswer, ResolveError};

use crate::Own;

/// Hosts of one domain that are tried in one attempt (RFC 5321 §5.1 wants at least two).
const HOSTS_MAX: usize = 20;
/// Addresses of one host that are tried in one attempt.
const HOST_ADDRESSES_MAX: usize = 8;

/// One address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The host's name: what its certificate must prove.
    pub host: String,
    /// Its address.
    pub address: SocketAddr,
}

impl std::fmt::Display for Hop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.host, self.address.ip())
    }
}

/// The hosts of a domain, best first.
#[derive(Debug)]
pub struct Ladder {
    domain: String,
    rungs: VecDeque<Vec<String>>,
    /// A host that is ourselves was found.
    looped: bool,
    /// A host could not be looked up for now.
    temporary: Option<String>,
    /// An address was found that mail is never sent to.
    forbidden: Option<(String, IpAddr)>,
    hosts_left: usize,
}

impl Ladder {
    /// Puts the answer for `domain` in order. Fails when the domain takes no mail, does not exist, or leads to us alone.
    pub fn new(
        domain: &Domain,
        answer: Result<MxAnswer, ResolveError>,
        own: &Own,
        chance: &Chance,
    ) -> Result<Self, Refusal> {
        let name = domain.to_string();
        let exchanges = match answer {
            Ok(MxAnswer::Exchanges(exchanges)) => exchanges,
            Ok(MxAnswer::NoSuchDomain) => return Err(no_such_domain(&name)),
            Err(ResolveError::Temporary(why)) => return Err(temporary(&name, &why)),
            Err(ResolveError::NoSuchDomain(_) | ResolveError::BadName(_)) => return Err(no_such_domain(&name)),
        };
        let mut ladder = Self::empty(name);
        ladder.fill(exchanges, own, chance)?;
        Ok(ladder)
    }

    fn empty(domain: String) -> Self {
        Self { domain, rungs: VecDeque::new(), looped: false, temporary: None, forbidden: None, hosts_left: HOSTS_MAX }
    }

    fn fill(&mut self, mut exchanges: Vec<Exchange>, own: &Own, chance: &Chance) -> Result<(), Refusal> {
        // RFC 7505 §3: a single MX of `.` takes no mail at all. Beside others it is a mistake and left out.
        let published = exchanges.len();
        exchanges.retain(|exchange| !matches!(exchange.host.as_str(), "." | ""));
        if exchanges.is_empty() && published > 0 {
            return Err(null_mx(&self.domain));
        }
        if exchanges.is_empty() {
            // RFC 5321 §5.1: no MX record at all: the domain itself is its host.
            exchanges.push(Exchange { preference: 0, host: self.domain.clone() });
        }
        exchanges.sort_by_key(|exchange| exchange.preference);
        if let Some(ours) = exchanges.iter().find(|exchange| own.names.contains(&exchange.host)) {
            let worst = ours.preference;
            exchanges.retain(|exchange| exchange.preference < worst);
            self.looped = true;
        }
        for rung in exchanges.chunk_by(|one, other| one.preference == other.preference) {
            let mut hosts: Vec<String> = rung.iter().map(|exchange| exchange.host.clone()).collect();
            shuffle(&mut hosts, chance);
            hosts.dedup();
            self.rungs.push_back(hosts);
        }
        if self.rungs.is_empty() { Err(self.refusal()) } else { Ok(()) }
    }

    /// The next hosts to look up: those of the best preference left, in a random order (RFC 5321 §5.1).
    pub fn next_hosts(&mut self) -> Option<Vec<String>> {
        let mut hosts = self.rungs.pop_front()?;
        hosts.truncate(self.hosts_left);
        self.hosts_left -= hosts.len();
        (!hosts.is_empty()).then_some(hosts)
    }

    /// The hops of those hosts, now that their addresses are known. Empty when none of them can be used.
    pub fn hops(
        &mut self,
        answers: Vec<(String, Result<Vec<IpAddr>, ResolveError>)>,
        port: u16,
        own: &Own,
    ) -> Vec<Hop> {
        let mut hops = Vec::new();
        for (host, answer) in answers {
            let addresses = match answer {
                Ok(addresses) => addresses,
                Err(ResolveError::Temporary(why)) => {
                    self.temporary.get_or_insert(why);
                    continue;
                }
                Err(ResolveError::NoSuchDomain(_) | ResolveError::BadName(_)) => continue,
            };
            if addresses.iter().any(|address| is_own(*address, port, own)) {
                self.looped = true;
                self.rungs.clear();
                return Vec::new();
            }
            if let Some(bad) = addresses.iter().find(|address| is_forbidden(**address)) {
                self.forbidden.get_or_insert((host.clone(), *bad));
            }
            let usable = addresses.into_iter().filter(|address| !is_forbidden(*address)).collect();
            hops.extend(
                interleave(usable)
                    .into_iter()
                    .take(HOST_ADDRESSES_MAX)
                    .map(|address| Hop { host: host.clone(), address: SocketAddr::new(address, port) }),
            );
        }
        hops
    }

    /// Why no hop was left to connect to.
    pub fn refusal(&self) -> Refusal {
        if let Some(why) = &self.temporary {
            return temporary(&self.domain, why);
        }
        if self.looped {
            return looped(&self.domain);
        }
        if let Some((host, address)) = &self.forbidden {
            let text =
                format!("mail for {} would go to {host} [{address}], an address that no mail is sent to", self.domain);
            return hard(Stage::Dns, FailureClass::BadDomain, Reply::with(550, (5, 4, 4), text));
        }
        let text = format!("none of the mail hosts of {} has an address", self.domain);
        hard(Stage::Dns, FailureClass::BadDomain, Reply::with(550, (5, 4, 4), text))
    }
}

/// The hop of an address literal, which is not looked up (RFC 5321 §4.1.3).
pub fn literal(address: IpAddr, port: u16, own: &Own) -> Result<Hop, Refusal> {
    let domain = Domain::from_address(address).to_string();
    if is_own(address, port, own) {
        return Err(looped(&domain));
    }
    if is_forbidden(address) {
        let text = format!("{domain} is an address that no mail is sent to");
        return Err(hard(Stage::Dns, FailureClass::BadDomain, Reply::with(550, (5, 4, 4), text)));
    }
    Ok(Hop { host: domain, address: SocketAddr::new(address, port) })
}

/// The hops of a relay: an operator named it, so every address is allowed.
pub fn relay(host: &str, port: u16, answer: Result<Vec<IpAddr>, ResolveError>) -> Result<Vec<Hop>, Refusal> {
    let soft = |text: String| Refusal {
        stage: Stage::Dns,
        host: String::new(),
        reply: Reply::with(451, (4, 4, 3), text),
        from_peer: false,
        class: FailureClass::Network,
        kind: FailureKind::Soft,
    };
    let addresses = answer.map_err(|error| soft(format!("the relay {host} cannot be looked up: {error}")))?;
    if addresses.is_empty() {
        // A mistake in our settings bounces nobody's mail.
        return Err(soft(format!("the relay {host} has no address; check the route")));
    }
    let hop = |address| Hop { host: host.to_owned(), address: SocketAddr::new(address, port) };
    Ok(interleave(addresses).into_iter().take(HOST_ADDRESSES_MAX).map(hop).collect())
}

/// Both families in turn, IPv6 first (RFC 8305 §4), each in the order of the answer.
fn interleave(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut turns = Vec::with_capacity(six.len() + four.len());
    loop {
        let pair = (six.next(), four.next());
        if pair == (None, None) {
            return turns;
        }
        turns.extend(pair.0);
        turns.extend(pair.1);
    }
}

fn shuffle(hosts: &mut [String], chance: &Chance) {
    for end in (1..hosts.len()).rev() {
        let other = chance.below(end as u64 + 1);
        hosts.swap(end, usize::try_from(other).unwrap_or(end));
    }
}

fn is_own(address: IpAddr, port: u16, own: &Own) -> bool {
    let address = address.to_canonical();
    own.addresses.iter().any(|listener| listener.port() == port && listener.ip().to_canonical() == address)
}

/// Addresses that nobody else's mail host can have: this machine, nobody, everybody.
fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => is_forbidden_v4(four),
        IpAddr::V6(six) => {
            let embedded = six.to_ipv4().filter(|_| !six.is_loopback() && !six.is_unspecified());
            six.is_loopback() || six.is_unspecified() || six.is_multicast() || embedded.is_some_and(is_forbidden_v4)
        }
    }
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first == 0 || address.is_loopback() || address.is_multicast() || address.is_broadcast()
}

fn hard(stage: Stage, class: FailureClass, reply: Reply) -> Refusal {
    Refusal { stage, host: String::new(), reply, from_peer: false, class, kind: FailureKind::Hard }
}

fn no_such_domain(domain: &str) -> Refusal {
    let text = format!("there is no domain {domain}");
    hard(Stage::Dns, FailureClass::BadDomain, Reply::with(550, (5, 1, 2), text))
}

fn null_mx(domain: &str) -> Refusal {
    // RFC 7505 §4.1
    let text = format!("{domain} accepts no mail (null MX)");
    hard(Stage::Dns, FailureClass::BadDomain, Reply::with(556, (5, 1, 10), text))
}

fn looped(domain: &str) -> Refusal {
    let text = format!("mail for {domain} loops back to this server, which has no such domain");
    hard(Stage::Route, FailureClass::Loop, Reply::with(554, (5, 4, 6), text))
}

fn temporary(domain: &str, why: &str) -> Refusal {
    Refusal {
        stage: Stage::Dns,
        host: String::new(),
        reply: Reply::with(451, (4, 4, 3), format!("the mail hosts of {domain} cannot be looked up now: {why}")),
        from_peer: false,
        class: FailureClass::Network,
        kind: FailureKind::Soft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Own {
        Own {
            names: vec!["mx.ours.example".into()],
            addresses: vec!["203.0.113.1:25".parse().unwrap(), "[2001:db8:1::1]:25".parse().unwrap()],
        }
    }

    fn exchanges(text: &str) -> Result<MxAnswer, ResolveError> {
        let exchange = |entry: &str| {
            let (preference, host) = entry.split_once(' ').unwrap();
            Exchange { preference: preference.parse().unwrap(), host: host.into() }
        };
        Ok(MxAnswer::Exchanges(text.split(", ").filter(|entry| !entry.is_empty()).map(exchange).collect()))
    }

    fn climb(answer: Result<MxAnswer, ResolveError>, addresses: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let chance = Chance::seeded(1);
        let text = |refusal: Refusal| format!("{} {}", refusal.reply.code, refusal.reply.enhanced.unwrap());
        let mut ladder = Ladder::new(&"b.example".parse().unwrap(), answer, &own(), &chance).map_err(text)?;
        let mut seen = Vec::new();
        while let Some(mut hosts) = ladder.next_hosts() {
            hosts.sort();
            let answers = hosts.into_iter().map(|host| {
                let found = addresses.iter().find(|(name, _)| *name == host).map(|(_, addresses)| *addresses);
                let answer = match found {
                    None => Err(ResolveError::NoSuchDomain(host.clone())),
                    Some("?") => Err(ResolveError::Temporary("no answer".into())),
                    Some(list) => Ok(list.split_whitespace().map(|address| address.parse().unwrap()).collect()),
                };
                (host, answer)
            });
            seen.extend(ladder.hops(answers.collect(), 25, &own()).into_iter().map(|hop| hop.to_string()));
        }
        if seen.is_empty() { Err(text(ladder.refusal())) } else { Ok(seen) }
    }

    fn check(answer: &str, addresses: &[(&str, &str)], expect: Result<&[&str], &str>) {
        let got = climb(exchanges(answer), addresses);
        let got = got.as_ref().map(|hops| hops.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(got.as_deref().map_err(|error| error.as_str()), expect, "{answer}");
    }

    const A: (&str, &str) = ("a.example", "192.0.2.1");
    const C: (&str, &str) = ("c.example", "192.0.2.3 2001:db8::3 192.0.2.4");

    #[test]
    fn the_best_preference_comes_first_and_families_take_turns() {
        let expect: &[&str] =
            &["c.example [2001:db8::3]", "c.example [192.0.2.3]", "c.example [192.0.2.4]", "a.example [192.0.2.1]"];
        check("20 a.example, 10 c.example", &[A, C], Ok(expect));
    }

    #[test]
    fn without_mx_the_domain_is_its_own_host() {
        check("", &[("b.example", "192.0.2.9")], Ok(&["b.example [192.0.2.9]"]));
        check("", &[], Err("550 5.4.4"));
        // RFC 5321 §5.1: when there are MX records, the domain's own address is never used.
        check("10 gone.example", &[("b.example", "192.0.2.9")], Err("550 5.4.4"));
    }

    #[test]
    fn a_domain_may_take_no_mail_or_not_exist() {
        check("0 .", &[A], Err("556 5.1.10"));
        check("0 ., 10 a.example", &[A], Ok(&["a.example [192.0.2.1]"]));
        assert_eq!(climb(Ok(MxAnswer::NoSuchDomain), &[]), Err("550 5.1.2".into()));
        assert_eq!(climb(Err(ResolveError::Temporary("x".into())), &[]), Err("451 4.4.3".into()));
    }

    #[test]
    fn a_host_that_is_ourselves_ends_the_ladder() {
        check("10 mx.ours.example", &[], Err("554 5.4.6"));
        check("10 a.example, 10 mx.ours.example", &[A], Err("554 5.4.6"));
        check("10 a.example, 20 mx.ours.example, 30 c.example", &[A, C], Ok(&["a.example [192.0.2.1]"]));
        check("10 d.example", &[("d.example", "203.0.113.1")], Err("554 5.4.6"));
        check("10 d.example", &[("d.example", "2001:db8:1::1")], Err("554 5.4.6"));
        check("10 d.example", &[("d.example", "::ffff:203.0.113.1")], Err("554 5.4.6"));
        check("10 d.example, 10 a.example, 20 c.example", &[("d.example", "203.0.113.1"), A, C], Err("554 5.4.6"));
        check(
            "5 a.example, 10 d.example, 20 c.example",
            &[("d.example", "203.0.113.1"), A, C],
            Ok(&["a.example [192.0.2.1]"]),
        );
    }

    #[test]
    fn this_machine_nobody_and_everybody_are_no_mail_hosts() {
        for bad in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "::1",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
        ] {
            check("10 d.example", &[("d.example", bad)], Err("550 5.4.4"));
            check("10 d.example, 20 a.example", &[("d.example", bad), A], Ok(&["a.example [192.0.2.1]"]));
            assert!(literal(bad.parse().unwrap(), 25, &own()).is_err(), "{bad}");
        }
        assert!(literal("203.0.113.1".parse().unwrap(), 25, &own()).is_err());
        assert_eq!(literal("192.0.2.1".parse().unwrap(), 25, &own()).unwrap().to_string(), "[192.0.2.1] [192.0.2.1]");
        let named = relay("localhost", 2526, Ok(vec!["127.0.0.1".parse().unwrap()])).unwrap();
        assert_eq!(named[0].to_string(), "localhost [127.0.0.1]");
    }

    #[test]
    fn one_host_that_cannot_be_looked_up_now_defers() {
        check("10 d.example, 20 gone.example", &[("d.example", "?")], Err("451 4.4.3"));
        check("10 d.example, 20 a.example", &[("d.example", "?"), A], Ok(&["a.example [192.0.2.1]"]));
        assert_eq!(relay("r", 25, Err(ResolveError::NoSuchDomain("r".into()))).unwrap_err().reply.code, 451);
    }

    #[test]
    fn equal_preferences_are_shuffled() {
        let mut firsts = std::collections::HashSet::new();
        for seed in 0..50 {
            let answer = exchanges("10 a.example, 10 b.example, 10 c.example");
            let mut ladder = Ladder::new(&"x.example".parse().unwrap(), answer, &own(), &Chance::seeded(seed)).unwrap();
            let hosts = ladder.next_hosts().unwrap();
            assert_eq!(hosts.len(), 3);
            firsts.insert(hosts[0].clone());
        }
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn a_hundred_hosts_are_not_all_tried() {
        let many: Vec<String> = (0..100).map(|number| format!("{number} h{number}.example")).collect();
        let mut ladder =
            Ladder::new(&"x.example".parse().unwrap(), exchanges(&many.join(", ")), &own(), &Chance::seeded(1))
                .unwrap();
        let tried = std::iter::from_fn(|| ladder.next_hosts()).flatten().count();
        assert_eq!(tried, HOSTS_MAX);
    }
}
