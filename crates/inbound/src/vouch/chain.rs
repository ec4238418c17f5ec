//! What the chain of ARC seals says of a message, and whether it is believed. Pure.

use policy::{
    arc::{Outcome, Verdict},
    authres::{self, Entry, Method, PropertyKind},
    dns::Name,
};

use super::settings::Verification;

/// The result of ARC.
#[derive(Debug)]
pub(super) struct OfArc {
    verdict: Verdict,
    /// Whether a sealer whom the operator trusts says that the message passed DMARC.
    pub(super) trust: Trust,
}

/// What a chain is worth here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// A trusted sealer saw the message pass DMARC.
    Vouched,
    /// Nobody of consequence.
    None,
}

impl OfArc {
    /// Weighs a chain for a message of this author.
    pub(super) fn new(verdict: Verdict, author: Option<&Name>, verification: &Verification) -> Self {
        // From the newest seal back, as far as all are trusted: whoever is not may have changed anything before them.
        let trusted = verdict.sealers.iter().rev().take_while(|sealer| verification.trusts(&sealer.domain));
        let saw_pass = |results: &str| author.is_some_and(|author| saw_pass(results, author));
        let vouched = trusted.map(|sealer| &sealer.results).any(|results| saw_pass(results));
        let trust = if verdict.outcome == Outcome::Pass && vouched { Trust::Vouched } else { Trust::None };
        Self { verdict, trust }
    }

    /// Nothing when the message has no chain: most have none.
    pub(super) fn entry(&self) -> Option<Entry> {
        let outcome = match self.verdict.outcome {
            Outcome::None => return None,
            Outcome::Pass => authres::Outcome::Pass,
            Outcome::Fail => authres::Outcome::Fail,
        };
        let mut entry = Entry::new(Method::Arc, outcome);
        if let Some(reason) = &self.verdict.reason {
            entry = entry.reason(reason.to_string());
        }
        if let Some(newest) = self.verdict.sealers.last() {
            entry = entry.property(PropertyKind::Header, "d", newest.domain.as_str());
        }
        Some(entry)
    }
}

/// Whether the results have a pass of DMARC, for this author.
fn saw_pass(results: &str, author: &Name) -> bool {
    let is_from = |(kind, name, value): &(String, String, String)| {
        kind == "header" && name == "from" && value.eq_ignore_ascii_case(author.as_str())
    };
    let passed = |entry: &authres::ReadingEntry| {
        entry.method == "dmarc" && entry.outcome == "pass" && entry.properties.iter().any(is_from)
    };
    authres::read(results.as_bytes()).is_ok_and(|reading| reading.entries.iter().any(passed))
}
