//! Whether a domain publishes what it should, said in words.
//!
//! The questions go to the resolver that the server uses. Judging an answer is pure.

use std::{net::IpAddr, sync::Arc};

use mail::{Domain, Timestamp};
use net::{Clock, DnsResolver, DnsSettings, Resolver};
use policy::{
    dmarc,
    dns::{Answer, Kind, Name, Question},
    iprev, spf,
};
use serde::Serialize;

use super::records::Record;
use crate::config::Config;

/// How it is with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// As it should be.
    Good,
    /// It could be better.
    Note,
    /// No answer: nothing can be said.
    Unknown,
    /// Mail will suffer.
    Wrong,
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// `SPF of example.net`.
    pub(crate) subject: String,
    pub(crate) status: Status,
    /// What is there, in words.
    pub(crate) found: String,
    /// What to do, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

impl Finding {
    fn new(subject: impl Into<String>, status: Status, found: impl Into<String>) -> Self {
        Self { subject: subject.into(), status, found: found.into(), advice: None }
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// What a domain should publish: the records, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) domain: Domain,
    /// Of the server.
    pub(crate) hostname: String,
    pub(crate) records: Vec<Record>,
    pub(crate) now: Timestamp,
}

/// Asks the DNS.
#[derive(Clone, Debug)]
pub(crate) struct Questions(Arc<dyn Resolver>);

/// Does something with questions to the DNS, as the configuration means it.
pub(crate) fn ask<T, F: Future<Output = T>>(
    config: &Config,
    clock: Clock,
    work: impl FnOnce(Questions) -> F,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let resolver = DnsResolver::new(&DnsSettings { servers: config.dns_servers.clone() }, clock)?;
        Ok(work(Questions(Arc::new(resolver))).await)
    })
}

/// The findings as lines.
pub(crate) fn report(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.status {
            Status::Good => "good   ",
            Status::Note => "note   ",
            Status::Unknown => "unknown",
            Status::Wrong => "WRONG  ",
        };
        text.push_str(&format!("{mark}  {}: {}\n", finding.subject, mail::for_log(&finding.found, 600)));
        if let Some(advice) = &finding.advice {
            text.push_str(&format!("         {advice}\n"));
        }
    }
    text
}

impl Questions {
    async fn ask(&self, name: &str, kind: Kind) -> Answer {
        match Name::parse(name) {
            Ok(name) => self.0.ask(&Question { name, kind }).await,
            Err(_) => Answer::NoName,
        }
    }

    /// Whether these DKIM keys are published: pairs of names and records.
    pub(crate) async fn keys(&self, keys: Vec<(String, String)>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, record) in keys {
            findings.push(key(&name, &record, &self.ask(&name, Kind::Txt).await));
        }
        findings
    }

    /// Everything about a domain.
    pub(crate) async fn domain(&self, expected: &Expected) -> Vec<Finding> {
        let (domain, host) = (expected.domain.to_string(), expected.hostname.as_str());
        let mut findings = vec![exchanges(&domain, host, &self.ask(&domain, Kind::Mx).await)];
        let addresses = self.addresses(host).await;
        findings.push(address(host, &addresses));
        let addresses = addresses.unwrap_or_default();
        for address in &addresses {
            findings.push(self.reverse(host, *address).await);
        }
        for address in &addresses {
            findings.push(self.spf(expected, *address).await);
        }
        findings.extend(self.published_keys(expected).await);
        let name = format!("_dmarc.{domain}");
        findings.push(policy_of(&domain, &self.ask(&name, Kind::Txt).await));
        for (what, name, version) in [
            ("TLS reports", format!("_smtp._tls.{domain}"), "v=TLSRPTv1"),
            ("MTA-STS", format!("_mta-sts.{domain}"), "v=STSv1"),
        ] {
            findings.push(optional(what, &name, version, &self.ask(&name, Kind::Txt).await));
        }
        findings
    }

    async fn published_keys(&self, expected: &Expected) -> Vec<Finding> {
        let keys = expected.records.iter().filter(|record| record.name.contains("._domainkey."));
        let keys: Vec<_> = keys.map(|record| (record.name.clone(), record.value.clone())).collect();
        if keys.is_empty() {
            let domain = &expected.domain;
            let finding = Finding::new(
                format!("DKIM of {domain}"),
                Status::Wrong,
                "the domain has no keys, so its mail is not signed",
            );
            return vec![finding.advise(format!("posthouse dkim create {domain}"))];
        }
        self.keys(keys).await
    }

    /// Whether the name of an address leads back.
    async fn reverse(&self, host: &str, address: IpAddr) -> Finding {
        let subject = format!("PTR of {address}");
        let advice = format!(
            "ask the provider of the address to name it {host}; many servers refuse mail from an address without a name"
        );
        let mut check = iprev::Check::new(address);
        let outcome = loop {
            match check.poll() {
                iprev::Poll::Ask(question) => check.answer(self.0.ask(&question).await),
                iprev::Poll::Done(outcome) => break outcome,
            }
        };
        match outcome {
            iprev::Outcome::Pass(name) if name.as_str().eq_ignore_ascii_case(host) => {
                Finding::new(subject, Status::Good, name.as_str())
            }
            iprev::Outcome::Pass(name) => {
                Finding::new(subject, Status::Note, format!("{name}, not {host}")).advise(advice)
            }
            iprev::Outcome::Fail => {
                Finding::new(subject, Status::Wrong, "its name does not lead back to it").advise(advice)
            }
            iprev::Outcome::PermError => Finding::new(subject, Status::Wrong, "it has no name").advise(advice),
            iprev::Outcome::TempError => unanswered(subject),
        }
    }

    /// Whether the domain lets an address of this server send for it.
    async fn spf(&self, expected: &Expected, address: IpAddr) -> Finding {
        let domain = &expected.domain;
        let mail_from = format!("postmaster@{domain}");
        let subject = spf::Subject {
            address,
            helo: &expected.hostname,
            mail_from: &mail_from,
            receiver: &expected.hostname,
            now: expected.now,
        };
        let mut check = spf::Check::new(&subject);
        let verdict = loop {
            match check.poll() {
                spf::Poll::Ask(question) => check.answer(self.0.ask(&question).await),
                spf::Poll::Done(verdict) => break verdict,
            }
        };
        let subject = format!("SPF of {domain} for {address}");
        let why = verdict.problem.map(|problem| problem.to_string());
        match verdict.outcome {
            spf::Outcome::Pass => {
                Finding::new(subject, Status::Good, format!("pass, by {}", verdict.mechanism.unwrap_or_default()))
            }
            spf::Outcome::TempError => unanswered(subject),
            spf::Outcome::None => Finding::new(subject, Status::Wrong, "there is no record")
                .advise(format!("publish: {domain}. IN TXT \"v=spf1 mx ~all\"")),
            spf::Outcome::PermError => Finding::new(subject, Status::Wrong, why.unwrap_or_default())
                .advise("correct the record: as it is, it counts as none"),
            other => Finding::new(
                subject,
                Status::Wrong,
                format!("the record does not allow this server ({})", other.as_str()),
            )
            .advise(format!("add to the record, before its `all`: mx, or {}", ip_term(address))),
        }
    }

    /// Where a host is; an error when that cannot be found out.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ()> {
        let mut addresses = Vec::new();
        match self.ask(host, Kind::A).await {
            Answer::A(found) => addresses.extend(found.into_iter().map(IpAddr::V4)),
            Answer::Failed => return Err(()),
            _ => {}
        }
        match self.ask(host, Kind::Aaaa).await {
            Answer::Aaaa(found) => addresses.extend(found.into_iter().map(IpAddr::V6)),
            Answer::Failed => return Err(()),
            _ => {}
        }
        Ok(addresses)
    }
}

fn exchanges(domain: &str, host: &str, answer: &Answer) -> Finding {
    let subject = format!("MX of {domain}");
    let publish = format!("publish: {domain}. IN MX 10 {host}.");
    match answer {
        Answer::Failed => unanswered(subject),
        Answer::Mx(hosts) if hosts.iter().any(|(_, name)| name.as_str().eq_ignore_ascii_case(host)) => {
            Finding::new(subject, Status::Good, format!("mail comes to {host}"))
        }
        Answer::Mx(hosts) if !hosts.is_empty() => {
            let names: Vec<_> = hosts.iter().map(|(_, name)| name.as_str()).collect();
            let finding =
                Finding::new(subject, Status::Note, format!("mail goes to {}, not to {host}", names.join(", ")));
            finding.advise(format!("if this server is to take it, {publish}"))
        }
        _ => Finding::new(subject, Status::Wrong, "there is no MX record").advise(publish),
    }
}

fn address(host: &str, addresses: &Result<Vec<IpAddr>, ()>) -> Finding {
    let subject = format!("address of {host}");
    match addresses.as_deref() {
        Err(()) => unanswered(subject),
        Ok([]) => Finding::new(subject, Status::Wrong, "the name of this server has no address")
            .advise(format!("publish an A record for {host}, or correct `hostname` in the configuration")),
        Ok(addresses) => {
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            Finding::new(subject, Status::Good, list.join(", "))
        }
    }
}

fn key(name: &str, record: &str, answer: &Answer) -> Finding {
    let subject = format!("DKIM key {name}");
    let publish = "publish the record that `posthouse domain dns` prints";
    match answer {
        Answer::Failed => unanswered(subject),
        Answer::Txt(found) => match found.as_slice() {
            [one] if public_key(one).is_some_and(|key| Some(key) == public_key(record.as_bytes())) => {
                Finding::new(subject, Status::Good, "published")
            }
            [_] => Finding::new(subject, Status::Wrong, "another key is published: signatures fail").advise(publish),
            _ => Finding::new(subject, Status::Wrong, format!("{} records are published", found.len()))
                .advise("leave one: several make every signature fail (RFC 6376 §3.6.2.2)"),
        },
        _ => Finding::new(subject, Status::Wrong, "not published").advise(publish),
    }
}

/// `p=` without blanks: other tags may differ.
fn public_key(record: &[u8]) -> Option<String> {
    let record = str::from_utf8(record).ok()?;
    let tag = record.split(';').find_map(|tag| tag.trim().strip_prefix("p")?.trim_start().strip_prefix('='))?;
    Some(tag.split_ascii_whitespace().collect())
}

fn policy_of(domain: &str, answer: &Answer) -> Finding {
    let subject = format!("DMARC of {domain}");
    let found: Vec<&Vec<u8>> = match answer {
        Answer::Failed => return unanswered(subject),
        Answer::Txt(found) => found.iter().filter(|text| text.starts_with(b"v=DMARC1")).collect(),
        _ => Vec::new(),
    };
    match found.as_slice() {
        [] => Finding::new(subject, Status::Wrong, "there is no record; large providers ask for one")
            .advise(format!("publish: _dmarc.{domain}. IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@{domain}\"")),
        [one] => match dmarc::Record::parse(one) {
            Ok(dmarc::Record { policy: Some(dmarc::Policy::None), .. }) => {
                Finding::new(subject, Status::Note, "p=none: forged mail is reported, not refused")
                    .advise("when the reports show only your own servers, change it to p=quarantine, then to p=reject")
            }
            Ok(dmarc::Record { policy: Some(policy), .. }) => {
                Finding::new(subject, Status::Good, format!("p={}", policy.as_str()))
            }
            Ok(_) => Finding::new(subject, Status::Wrong, "the record has no policy").advise("add p=none to it"),
            Err(error) => Finding::new(subject, Status::Wrong, format!("the record cannot be read: {error}")),
        },
        several => {
            Finding::new(subject, Status::Wrong, format!("{} records are published, so none counts", several.len()))
        }
    }
}

fn optional(what: &str, name: &str, version: &str, answer: &Answer) -> Finding {
    let subject = format!("{what} at {name}");
    match answer {
        Answer::Failed => unanswered(subject),
        Answer::Txt(found) if found.iter().any(|text| text.starts_with(version.as_bytes())) => {
            Finding::new(subject, Status::Good, "published")
        }
        _ => Finding::new(subject, Status::Note, "not published; it can wait"),
    }
}

/// The term of SPF that allows an address.
fn ip_term(address: IpAddr) -> String {
    let version = if address.is_ipv4() { 4 } else { 6 };
    format!("ip{version}:{address}")
}

fn unanswered(subject: String) -> Finding {
    Finding::new(subject, Status::Unknown, "the name servers did not answer")
        .advise("try again; see [dns] in the configuration")
}

#[cfg(test)]
mod tests;
