//! A DNS of a few lines of text, and a driver that plays a check against it.

use std::collections::BTreeMap;

use mail::Timestamp;
use policy::{
    dns::{Answer, Kind, Name, Question},
    spf::{Check, Outcome, Poll, QUESTIONS_MAX, Subject, Verdict},
};

/// CNAMEs that are followed.
const CHAIN_MAX: usize = 8;

/// What is known of each name, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Zone(pub(super) BTreeMap<String, Vec<Entry>>);

#[derive(Clone, Debug)]
pub(super) enum Entry {
    Txt(Vec<u8>),
    A(std::net::Ipv4Addr),
    Aaaa(std::net::Ipv6Addr),
    Mx(u16, String),
    Ptr(String),
    Cname(String),
    /// Whatever was not answered by the entries before this one fails.
    Timeout,
}

impl Zone {
    /// Lines of a name, a type and a value; `TIMEOUT` has no value.
    pub(super) fn new(text: &str) -> Self {
        let mut zone = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(3, ' ');
            let (name, kind, value) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
            let entry = match kind {
                "TXT" => Entry::Txt(value.into()),
                "A" => Entry::A(value.parse().unwrap()),
                "AAAA" => Entry::Aaaa(value.parse().unwrap()),
                "MX" => Entry::Mx(10, value.into()),
                "PTR" => Entry::Ptr(value.into()),
                "CNAME" => Entry::Cname(value.into()),
                "TIMEOUT" => Entry::Timeout,
                other => panic!("{other}"),
            };
            zone.add(name, entry);
        }
        zone
    }

    pub(super) fn add(&mut self, name: &str, entry: Entry) {
        self.0.entry(name.to_ascii_lowercase()).or_default().push(entry);
    }

    /// Answers as a resolver does that follows CNAMEs.
    pub(super) fn ask(&self, question: &Question) -> Answer {
        let mut name = question.name.to_string();
        for _ in 0..CHAIN_MAX {
            let Some(entries) = self.0.get(&name) else { return Answer::NoName };
            let alias = entries.iter().find_map(|entry| match entry {
                Entry::Cname(alias) => Some(alias.trim_end_matches('.').to_ascii_lowercase()),
                _ => None,
            });
            match alias {
                Some(alias) => name = alias,
                None => return of_kind(entries, question.kind),
            }
        }
        Answer::Failed
    }
}

fn of_kind(entries: &[Entry], kind: Kind) -> Answer {
    let name = |text: &String| Name::parse_expanded(text).unwrap();
    let before = entries.iter().take_while(|entry| !matches!(entry, Entry::Timeout));
    let answer = match kind {
        Kind::Txt => Answer::Txt(
            before.filter_map(|e| if let Entry::Txt(text) = e { Some(text.clone()) } else { None }).collect(),
        ),
        Kind::A => {
            Answer::A(before.filter_map(|e| if let Entry::A(address) = e { Some(*address) } else { None }).collect())
        }
        Kind::Aaaa => Answer::Aaaa(
            before.filter_map(|e| if let Entry::Aaaa(address) = e { Some(*address) } else { None }).collect(),
        ),
        Kind::Mx => Answer::Mx(
            before
                .filter_map(|e| if let Entry::Mx(preference, host) = e { Some((*preference, host)) } else { None })
                .filter(|(_, host)| !host.is_empty())
                .map(|(preference, host)| (preference, name(host)))
                .collect(),
        ),
        Kind::Ptr => {
            Answer::Ptr(before.filter_map(|e| if let Entry::Ptr(host) = e { Some(name(host)) } else { None }).collect())
        }
    };
    let is_empty = match &answer {
        Answer::Txt(list) => list.is_empty(),
        Answer::A(list) => list.is_empty(),
        Answer::Aaaa(list) => list.is_empty(),
        Answer::Mx(list) => list.is_empty(),
        Answer::Ptr(list) => list.is_empty(),
        Answer::NoData | Answer::NoName | Answer::Failed => true,
    };
    match (is_empty, entries.iter().any(|entry| matches!(entry, Entry::Timeout))) {
        (false, _) => answer,
        (true, true) => Answer::Failed,
        (true, false) => Answer::NoData,
    }
}

/// A client that writes as `a@example.net`.
pub(super) fn subject(address: &str) -> Subject<'static> {
    Subject {
        address: address.parse().unwrap(),
        helo: "mail.example.net",
        mail_from: "a@example.net",
        receiver: "mx.receiver.example",
        now: Timestamp::from_secs(1_795_521_600),
    }
}

/// Plays a check to its end; what was asked, and the verdict.
pub(super) fn play(zone: &Zone, mut check: Check) -> (Vec<Question>, Verdict) {
    let mut asked = Vec::new();
    loop {
        match check.poll() {
            Poll::Ask(question) => {
                assert!(asked.len() < QUESTIONS_MAX, "no end: {asked:?}");
                let answer = zone.ask(&question);
                asked.push(question);
                check.answer(answer);
            }
            Poll::Done(verdict) => return (asked, verdict),
        }
    }
}

/// What comes out for a client that writes as `a@example.net`.
pub(super) fn verdict(zone: &str, address: &str) -> Verdict {
    play(&Zone::new(zone), Check::new(&subject(address))).1
}

#[track_caller]
pub(super) fn expect(zone: &str, address: &str, outcome: Outcome) -> Verdict {
    let verdict = verdict(zone, address);
    assert_eq!(verdict.outcome, outcome, "{address} by {zone:.500}: {verdict:?}");
    verdict
}
