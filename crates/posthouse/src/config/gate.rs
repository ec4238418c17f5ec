//! `[gate]` and `[[blocklist]]`: what is asked of strangers before they are listened to.

use std::time::Duration;

use inbound::{List, Measure, Thresholds};
use mail::Domain;
use toml::de::DeValue;

use super::{
    Complaint, Network,
    check::{Tables, heading_span},
    keys::{self, Key},
    reader::Reader,
    value,
};

/// The words for measures.
const MEASURES: [(&str, Measure); 4] =
    [("accept", Measure::Accept), ("score", Measure::Score), ("defer", Measure::Defer), ("refuse", Measure::Refuse)];
/// RFC 5321 §4.5.3.2.1 lets a client wait five minutes for the banner; nobody gains anything past this.
const PREGREET_MAX: Duration = Duration::from_secs(30);
/// The longest that one more error may add.
const TARPIT_MAX: Duration = Duration::from_secs(20);
/// Lists that are asked.
const LISTS_MAX: usize = 50;
/// A weight, and a sum.
const WEIGHT_MAX: u64 = 1000;

/// `[gate]` and its lists. Each field is documented where its key is declared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gate {
    pub(crate) exempt_networks: Vec<Network>,
    pub(crate) pregreet_wait: Duration,
    pub(crate) early_pipelining: bool,
    pub(crate) tarpit: Duration,
    pub(crate) own_name: Measure,
    pub(crate) unqualified_name: Measure,
    pub(crate) sender_domain: Measure,
    pub(crate) thresholds: Thresholds,
    pub(crate) greylisting: bool,
    pub(crate) busy_queue: u64,
    pub(crate) lists: Vec<List>,
}

impl Default for Gate {
    fn default() -> Self {
        let loopback = |text: &str| value::network(text).ok();
        Self {
            exempt_networks: ["127.0.0.0/8", "::1"].into_iter().filter_map(loopback).collect(),
            pregreet_wait: Duration::from_millis(400),
            early_pipelining: false,
            tarpit: Duration::from_secs(1),
            own_name: Measure::Refuse,
            unqualified_name: Measure::Score,
            sender_domain: Measure::Refuse,
            thresholds: Thresholds::default(),
            greylisting: false,
            busy_queue: 1_000_000,
            lists: Vec::new(),
        }
    }
}

impl Gate {
    /// Nothing is looked up.
    pub(crate) fn without_network() -> Self {
        let accept = Measure::Accept;
        Self { own_name: accept, unqualified_name: accept, sender_domain: accept, ..Self::default() }
    }
}

/// Reads both.
pub(super) fn read(tables: &Tables<'_>, complaints: &mut Vec<Complaint>) -> Gate {
    let mut noted = Vec::new();
    let mut gate = Gate::default();
    if let Some(mut reader) = tables.one(&keys::GATE, &mut noted) {
        read_gate(&mut reader, &mut gate);
    }
    complaints.append(&mut noted);
    let found = tables.many(&keys::BLOCKLIST, complaints);
    if let Some(first) = found.get(LISTS_MAX) {
        complaints.push(Complaint::at(first.span(), format!("more than {LISTS_MAX} lists would be asked")));
    }
    for value in found.into_iter().take(LISTS_MAX) {
        let DeValue::Table(table) = value.get_ref() else { continue };
        let mut reader = Reader::new(&keys::BLOCKLIST, table, heading_span(value), complaints);
        gate.lists.extend(read_list(&mut reader));
    }
    gate
}

fn read_gate(reader: &mut Reader<'_>, gate: &mut Gate) {
    if let Some(networks) = reader.list(&keys::GATE_EXEMPT, value::network) {
        gate.exempt_networks = networks.into_iter().map(|placed| placed.value).collect();
    }
    let up_to = |longest: Duration| {
        move |text: &str| match value::duration(text)? {
            long if long > longest => Err(format!("expected at most {} seconds", longest.as_secs())),
            other => Ok(other),
        }
    };
    if let Some(wait) = reader.text(&keys::GATE_PREGREET, up_to(PREGREET_MAX)) {
        gate.pregreet_wait = wait.value;
    }
    if let Some(wait) = reader.text(&keys::GATE_TARPIT, up_to(TARPIT_MAX)) {
        gate.tarpit = wait.value;
    }
    if let Some(flag) = reader.flag(&keys::GATE_PIPELINING) {
        gate.early_pipelining = flag.value;
    }
    if let Some(flag) = reader.flag(&keys::GATE_GREYLISTING) {
        gate.greylisting = flag.value;
    }
    let mut measure = |key: &'static Key, field: &mut Measure| {
        if let Some(placed) = reader.word(key, &MEASURES) {
            *field = placed.value;
        }
    };
    measure(&keys::GATE_OWN_NAME, &mut gate.own_name);
    measure(&keys::GATE_UNQUALIFIED, &mut gate.unqualified_name);
    measure(&keys::GATE_SENDER, &mut gate.sender_domain);
    gate.thresholds = read_thresholds(reader);
    if let Some(busy) = reader.number(&keys::GATE_BUSY_QUEUE, 1..=1_000_000_000) {
        gate.busy_queue = busy.value;
    }
}

/// The sums, of which a harder measure needs the higher one: otherwise the softer would never be taken.
fn read_thresholds(reader: &mut Reader<'_>) -> Thresholds {
    let ladder =
        [("tag_score", &keys::GATE_TAG), ("defer_score", &keys::GATE_DEFER), ("refuse_score", &keys::GATE_REFUSE)];
    let mut sums = [None; 3];
    let mut softer: Option<(&str, u64)> = None;
    for ((name, key), sum) in ladder.into_iter().zip(&mut sums) {
        let Some(placed) = reader.number(key, 1..=WEIGHT_MAX) else { continue };
        if let Some((lower, value)) = softer.filter(|(_, value)| *value >= placed.value) {
            let what = format!("{lower} is {value}, so that {name} would always come before it");
            reader.complain(Complaint::at(placed.span, what).help(format!("make {name} larger, or leave {lower} out")));
        }
        softer = Some((name, placed.value));
        *sum = i32::try_from(placed.value).ok();
    }
    let [tag, defer, refuse] = sums;
    Thresholds { tag, defer, refuse }
}

fn read_list(reader: &mut Reader<'_>) -> Option<List> {
    let zone = |text: &str| match text.parse::<Domain>() {
        Ok(domain) if domain.name().is_some() => Ok(domain.to_string()),
        _ => Err(format!("expected the name of a list such as bl.example.net, found `{text}`")),
    };
    let zone = reader.text(&keys::BLOCKLIST_ZONE, zone);
    let zone = reader.required(&keys::BLOCKLIST_ZONE, zone);
    let weight = reader.number(&keys::BLOCKLIST_WEIGHT, 1..=WEIGHT_MAX);
    let weight = reader.required(&keys::BLOCKLIST_WEIGHT, weight);
    let allows = reader.flag(&keys::BLOCKLIST_ALLOW).is_some_and(|placed| placed.value);
    let answers = reader.list(&keys::BLOCKLIST_ANSWERS, answer).unwrap_or_default();
    let weight = i32::try_from(weight?.value).ok()?;
    Some(List {
        zone: zone?.value,
        weight: if allows { -weight } else { weight },
        answers: answers.into_iter().map(|placed| placed.value).collect(),
    })
}

/// Answers of lists lie in 127/8 (RFC 5782 §2.1).
fn answer(text: &str) -> Result<inbound::Network, String> {
    let network = value::network(text)?;
    if !network.address.is_ipv4() || !network.address.is_loopback() || network.prefix < 8 {
        return Err(format!("expected answers within 127.0.0.0/8 such as 127.0.0.2, found `{text}`"));
    }
    inbound::Network::new(network.address, network.prefix).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const LISTENER: &str = "[[listener]]\nservice = \"mx\"\naddress = \"127.0.0.1:25\"\n";

    fn parse(text: &str) -> Result<Gate, String> {
        let parsed = super::super::check::parse(Path::new("p.toml"), &format!("{LISTENER}{text}"));
        parsed.map(|config| config.gate).map_err(|complaints| complaints.to_string())
    }

    #[test]
    fn nothing_is_the_default() {
        assert_eq!(parse(""), Ok(Gate::default()));
        assert_eq!(parse("[gate]\n"), Ok(Gate::default()));
    }

    #[test]
    fn what_is_said_holds() {
        let gate = parse(
            "[gate]\nexempt_networks = []\npregreet_wait = \"0s\"\nearly_pipelining = true\ntarpit = \"2s\"\n\
             own_name = \"defer\"\nunqualified_name = \"refuse\"\nsender_domain = \"score\"\ntag_score = 3\n\
             refuse_score = 10\ngreylisting = true\nbusy_queue = 5\n[[blocklist]]\nzone = \"BL.example.net\"\n\
             weight = 5\nanswers = [\"127.0.0.2\", \"127.0.1.0/24\"]\n[[blocklist]]\nzone = \"wl.example.net\"\n\
             weight = 4\nallow = true\n",
        )
        .unwrap();
        assert!(gate.exempt_networks.is_empty() && gate.early_pipelining && gate.greylisting);
        assert_eq!((gate.pregreet_wait, gate.tarpit, gate.busy_queue), (Duration::ZERO, Duration::from_secs(2), 5));
        assert_eq!((gate.own_name, gate.sender_domain), (Measure::Defer, Measure::Score));
        assert_eq!(gate.thresholds, Thresholds { tag: Some(3), defer: None, refuse: Some(10) });
        let lists: Vec<_> =
            gate.lists.iter().map(|list| (list.zone.as_str(), list.weight, list.answers.len())).collect();
        assert_eq!(lists, [("bl.example.net", 5, 2), ("wl.example.net", -4, 0)]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, expect) in [
            ("[gate]\npregreet_wait = \"1m\"\n", "at most 30 seconds"),
            ("[gate]\nown_name = \"reject\"\n", "refuse"),
            ("[gate]\nrefuse_score = 0\n", "out of bounds"),
            ("[gate]\ntag_score = 10\nrefuse_score = 5\n", "tag_score is 10"),
            ("[gate]\ndefer_score = 5\nrefuse_score = 5\n", "defer_score is 5"),
            ("[[blocklist]]\nweight = 5\n", "zone is missing"),
            ("[[blocklist]]\nzone = \"bl.example.net\"\n", "weight is missing"),
            ("[[blocklist]]\nzone = \"bl.example.net\"\nweight = 1\nanswers = \"192.0.2.1\"\n", "within 127.0.0.0/8"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        }
    }
}
