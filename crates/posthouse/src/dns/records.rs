//! The records of a domain whose mail this server takes and signs. Pure: the facts come in, text goes out.

use std::{fmt::Write as _, net::IpAddr, time::Duration};

use mail::{Domain, Timestamp};
use serde::{Deserialize, Serialize};
use store::{DkimKey, KeyState};

/// Seconds that others may keep a record.
pub(crate) const TTL: u32 = 3600;
/// Mail signed by a retired key is on its way for so long at most.
pub(crate) const OVERLAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How much a record matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Need {
    /// Without it mail is refused or lost.
    Required,
    /// Large providers want it, or clients find their settings by it.
    Recommended,
    /// A place that is free for what may come.
    Later,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its name, without the final dot.
    pub(crate) name: String,
    /// `MX`, `TXT` and so on.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// As it stands in a zone; the text itself for TXT.
    pub(crate) value: String,
    /// Seconds.
    pub(crate) ttl: u32,
    /// What it is for, in a sentence.
    pub(crate) purpose: String,
    /// How much it matters.
    pub(crate) need: Need,
}

/// What the records are made of.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) domain: &'a Domain,
    /// Of this server.
    pub(crate) hostname: &'a str,
    /// Of this server, as the internet sees it; empty when that is not known.
    pub(crate) addresses: &'a [IpAddr],
    pub(crate) keys: &'a [DkimKey],
    pub(crate) now: Timestamp,
}

/// Every record, in the order in which one would publish them.
pub(crate) fn records(facts: &Facts<'_>) -> Vec<Record> {
    let (domain, host) = (facts.domain, facts.hostname);
    let record = |name: String, kind: &str, value: String, need: Need, purpose: &str| Record {
        name,
        kind: kind.into(),
        value,
        ttl: TTL,
        purpose: purpose.into(),
        need,
    };
    let mut all = vec![record(
        domain.to_string(),
        "MX",
        format!("10 {host}."),
        Need::Required,
        "Mail for the domain comes here.",
    )];
    for address in facts.addresses {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        let purpose = "Where this server is. Let the provider of the address point its PTR record back to this name.";
        all.push(record(host.into(), kind, address.to_string(), Need::Required, purpose));
    }
    let txt = |name: String, value: &str, need, purpose| record(name, "TXT", value.to_owned(), need, purpose);
    let spf = "Who may send for the domain (SPF). If there is an SPF record, add its terms to this one: there may be only one.";
    all.push(txt(domain.to_string(), "v=spf1 mx ~all", Need::Required, spf));
    let helo = "The same for bounces, which carry only the server's name.";
    all.push(txt(host.into(), "v=spf1 a -all", Need::Recommended, helo));
    all.extend(facts.keys.iter().filter_map(|key| dkim(facts, key)));
    let dmarc = "What to do with mail that is not vouched for (DMARC). Begin with p=none, read the reports, then change to \
                 p=quarantine and p=reject.";
    let value = format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}");
    all.push(txt(format!("_dmarc.{domain}"), &value, Need::Required, dmarc));
    for (service, port) in [("_submissions", 465), ("_submission", 587)] {
        let purpose = "Mail programs find this server by it (RFC 6186).";
        all.push(record(
            format!("{service}._tcp.{domain}"),
            "SRV",
            format!("0 1 {port} {host}."),
            Need::Recommended,
            purpose,
        ));
    }
    let value = format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}");
    let purpose = "Others report by mail when TLS to this server fails (RFC 8460).";
    all.push(txt(format!("_smtp._tls.{domain}"), &value, Need::Later, purpose));
    let purpose =
        "Others insist on TLS to this server (MTA-STS, RFC 8461). Only with a policy at https://mta-sts.DOMAIN/.";
    all.push(txt(format!("_mta-sts.{domain}"), "v=STSv1; id=1", Need::Later, purpose));
    let purpose = "Thunderbird asks there for settings. Only with a web server that answers.";
    all.push(record(format!("autoconfig.{domain}"), "CNAME", format!("{host}."), Need::Later, purpose));
    all
}

/// The record of a key; none for one that was retired so long ago that nobody asks for it any more.
fn dkim(facts: &Facts<'_>, key: &DkimKey) -> Option<Record> {
    let purpose = match key.state {
        KeyState::Active => "The key that signs the domain's mail (DKIM).".to_owned(),
        KeyState::Waiting => {
            "The key that will sign; publish it, then run `posthouse dkim rotate` again (DKIM).".to_owned()
        }
        KeyState::Retired if facts.now.since(key.since) > OVERLAP => return None,
        KeyState::Retired => {
            format!("It signs no more; keep the record until {}, then remove it (DKIM).", key.since + OVERLAP)
        }
    };
    Some(Record {
        name: dkim_name(facts.domain, key),
        kind: "TXT".into(),
        value: key.record.clone(),
        ttl: TTL,
        purpose,
        need: Need::Required,
    })
}

/// Where a key is published.
pub(crate) fn dkim_name(domain: &Domain, key: &DkimKey) -> String {
    format!("{}._domainkey.{domain}", key.selector)
}

/// The records as lines of a zone; what is for later is commented out, and what only the operator knows left open.
pub(crate) fn zone(records: &[Record]) -> String {
    let mut text = String::new();
    let server = records.iter().find(|record| record.kind == "MX").and_then(|record| record.value.split(' ').nth(1));
    if let Some(host) = server.filter(|_| !records.iter().any(|record| matches!(record.kind.as_str(), "A" | "AAAA"))) {
        let open =
            "; Where this server is. It has no public address of its own: publish the one under which it is reached.";
        writeln!(text, "{open}\n;{host} {TTL} IN A ADDRESS").expect("a string takes everything");
    }
    for record in records {
        let comment = if record.need == Need::Later { ";" } else { "" };
        let value = if record.kind == "TXT" { quoted(&record.value) } else { record.value.clone() };
        let written =
            write!(text, "; {}\n{comment}{}. {} IN {} {value}\n", record.purpose, record.name, record.ttl, record.kind);
        written.expect("a string takes everything");
    }
    text
}

/// A text in the strings of a TXT record (RFC 1035 §5.1).
fn quoted(text: &str) -> String {
    let strings = policy::dkim::key::txt_strings(text);
    let quote = |string: &str| format!("\"{}\"", string.replace('\\', "\\\\").replace('"', "\\\""));
    strings.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(domain: &'a Domain, keys: &'a [DkimKey], addresses: &'a [IpAddr]) -> Facts<'a> {
        Facts { domain, hostname: "mx.example.net", addresses, keys, now: Timestamp::from_secs(1_000_000) }
    }

    fn key(selector: &str, state: KeyState, since: i64) -> DkimKey {
        let record = format!("v=DKIM1; k=rsa; p={}", "A".repeat(300));
        DkimKey { selector: selector.into(), record, secret: vec![], state, since: Timestamp::from_secs(since) }
    }

    #[test]
    fn a_zone_can_be_pasted() {
        let domain: Domain = "example.net".parse().unwrap();
        let addresses = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let keys =
            [key("r1", KeyState::Active, 0), key("r0", KeyState::Retired, 999_999), key("old", KeyState::Retired, 0)];
        let zone = zone(&records(&facts(&domain, &keys, &addresses)));
        let line = |start: &str| zone.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        assert_eq!(line("example.net. 3600 IN MX"), "example.net. 3600 IN MX 10 mx.example.net.");
        assert_eq!(line("mx.example.net. 3600 IN AAAA"), "mx.example.net. 3600 IN AAAA 2001:db8::1");
        assert_eq!(
            line("_dmarc"),
            "_dmarc.example.net. 3600 IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@example.net\""
        );
        let dkim = line("r1._domainkey.example.net. 3600 IN TXT \"v=DKIM1; k=rsa; p=AAA");
        assert!(dkim.split('"').all(|string| string.len() <= 255) && dkim.ends_with('"'), "{dkim}");
        assert!(zone.contains("r0._domainkey") && !zone.contains("old._domainkey"), "{zone}");
        assert!(zone.lines().all(|line| !line.is_empty()));
        assert!(line("_mta-sts").is_empty() && zone.contains("\n;_mta-sts.example.net."), "{zone}");
    }

    #[test]
    fn quotes_stay_inside_of_their_string() {
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
    }
}
