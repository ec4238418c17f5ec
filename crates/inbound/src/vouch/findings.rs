//! What was found out about a message: written into fields, and held against it as charges. Pure.
//!
//! The fields go above our own Received, the newest first (RFC 8601 §5, RFC 7208 §9.1):
//!
//! ```text
//! X-Posthouse-Quarantine: dmarc=fail (p=quarantine) header.from=a.example        or -Suspect, or neither
//! Authentication-Results: mx.example.net; iprev=…; spf=…; dkim=…; arc=…; dmarc=…
//! Received-SPF: softfail (…) …
//! Received: …
//! ```

use std::fmt;

use mail::header::{QUARANTINE, SUSPECT};
use policy::{
    authres::{self, Entry, Method, PropertyKind, Results},
    dkim,
    dmarc::{self, AuthorError, Identifiers, Remedy},
    dns::Name,
    iprev, spf,
};

use super::{
    Client,
    chain::{OfArc, Trust},
    charge::{Charge, Sentence},
    sender::OfSpf,
    settings::{Action, Actions},
};
use crate::meters::Meters;

/// All results for one message.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    pub(super) client: &'a Client,
    pub(super) spf: OfSpf,
    pub(super) iprev: iprev::Outcome,
    pub(super) dkim: dkim::Report,
    pub(super) arc: OfArc,
    pub(super) dmarc: OfDmarc,
}

/// What DMARC says.
#[derive(Debug)]
pub(super) enum OfDmarc {
    /// There is one author.
    Verdict {
        verdict: dmarc::Verdict,
        /// Not so when it failed and the DNS owes an answer with which it might have passed.
        certainty: Certainty,
    },
    /// There is none.
    NoAuthor(AuthorError),
}

/// Whether a failure would stand if the DNS had answered everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// It would.
    Sure,
    /// Perhaps not.
    Open,
}

/// Which identifiers are good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standard {
    /// Those that passed.
    Passed,
    /// Those, and the ones that the DNS did not let us check.
    NotRefuted,
}

/// The domains that speak for a message.
pub(super) fn identifiers(spf: &OfSpf, dkim: &dkim::Report, standard: Standard) -> Identifiers {
    let open = standard == Standard::NotRefuted;
    let signed = |verdict: &&dkim::Verdict| match verdict.outcome() {
        dkim::Outcome::Pass => true,
        dkim::Outcome::TempError => open,
        dkim::Outcome::Fail | dkim::Outcome::Neutral | dkim::Outcome::Policy | dkim::Outcome::PermError => false,
    };
    let sent = match spf.outcome {
        spf::Outcome::Pass => true,
        spf::Outcome::TempError => open,
        spf::Outcome::None
        | spf::Outcome::Neutral
        | spf::Outcome::Fail
        | spf::Outcome::SoftFail
        | spf::Outcome::PermError => false,
    };
    Identifiers {
        spf: spf.domain.clone().filter(|_| sent),
        dkim: dkim.verdicts.iter().filter(signed).filter_map(|verdict| verdict.domain.clone()).collect(),
    }
}

/// For the log: `spf=pass dkim=none dmarc=pass`.
impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, entry) in self.entries().iter().enumerate() {
            let blank = if number == 0 { "" } else { " " };
            write!(f, "{blank}{}={}", entry.method.as_str(), entry.outcome.as_str())?;
        }
        Ok(())
    }
}

impl Findings<'_> {
    /// Whose message it seems to be: for exceptions.
    pub(super) fn domain(&self) -> Option<&Name> {
        match &self.dmarc {
            OfDmarc::Verdict { verdict, .. } => Some(&verdict.author),
            OfDmarc::NoAuthor(_) => self.spf.domain.as_ref(),
        }
    }

    /// Counts the results.
    pub(super) fn count(&self, meters: &Meters) {
        for entry in self.entries() {
            meters.verified(entry.method.as_str(), entry.outcome.as_str());
        }
    }

    /// What speaks against the message.
    pub(super) fn charges(&self, actions: &Actions) -> Vec<Charge> {
        let mut charges = Vec::new();
        charges.extend(self.charge_of_dmarc(actions));
        // Who is shown to be the author is not suspect for the way the message took, nor for another's broken signature.
        if !self.is_author_shown() {
            charges.extend(self.charge_of_spf(actions));
            charges.extend(self.charge_of_dkim(actions));
        }
        charges.extend(self.charge_of_iprev(actions));
        charges
    }

    fn is_author_shown(&self) -> bool {
        matches!(&self.dmarc, OfDmarc::Verdict { verdict, .. } if verdict.outcome == dmarc::Outcome::Pass)
    }

    fn charge_of_spf(&self, actions: &Actions) -> Option<Charge> {
        let (domain, address) = (self.spf.shown_domain(), self.client.address);
        let (action, detail, sentence) = match self.spf.outcome {
            spf::Outcome::None | spf::Outcome::Neutral | spf::Outcome::Pass => return None,
            spf::Outcome::Fail => {
                // RFC 7208 §6.2: it must be clear whose words these are.
                let words = self.spf.explanation.as_ref().map(|words| format!("; {domain} explains: {words}"));
                let words = words.unwrap_or_default();
                (actions.spf_fail, 23, format!("{domain} does not let {address} send its mail (SPF){words}"))
            }
            spf::Outcome::SoftFail => {
                (actions.spf_softfail, 23, format!("{domain} probably does not let {address} send its mail (SPF)"))
            }
            spf::Outcome::PermError => {
                (actions.spf_permerror, 24, format!("What {domain} publishes for SPF cannot be understood"))
            }
            spf::Outcome::TempError => {
                (actions.spf_temperror, 24, format!("What {domain} publishes for SPF cannot be looked up now"))
            }
        };
        let finding = format!("spf={} smtp.{}={domain}", self.spf.outcome.as_str(), self.spf.property());
        Some(Charge { action, code: (7, detail), finding, sentence })
    }

    fn charge_of_dkim(&self, actions: &Actions) -> Option<Charge> {
        // RFC 6376 §3.6.1: of a domain that is testing, a signature that is not right is as good as none.
        let mut broken = self.dkim.verdicts.iter().filter(|verdict| !verdict.testing).peekable();
        let first = broken.peek().copied().filter(|_| self.dkim.passed().next().is_none())?;
        let open = broken.find(|verdict| verdict.outcome() == dkim::Outcome::TempError);
        let told = open.unwrap_or(first);
        let why = told.reason.map(|reason| reason.to_string()).unwrap_or_default();
        let domain = told.domain.as_ref().map_or("?", Name::as_str);
        let finding = format!("dkim={} header.d={domain}", told.outcome().as_str());
        Some(match open {
            // RFC 6376 §6.1.2: it may be right when the key can be had, so there is no last word now.
            Some(_) => Charge {
                action: actions.dkim_fail.min(Action::Defer),
                code: (7, 5),
                finding,
                sentence: format!("The DKIM signature of {domain} cannot be verified now: {why}"),
            },
            None => Charge {
                action: actions.dkim_fail,
                code: (7, 20),
                finding,
                sentence: format!("No DKIM signature of the message is right; the first, of {domain}: {why}"),
            },
        })
    }

    fn charge_of_iprev(&self, actions: &Actions) -> Option<Charge> {
        match self.iprev {
            iprev::Outcome::Fail | iprev::Outcome::PermError => {}
            iprev::Outcome::Pass(_) | iprev::Outcome::TempError => return None,
        }
        let address = self.client.address;
        Some(Charge {
            action: actions.iprev_fail,
            code: (7, 25),
            finding: format!("iprev={} policy.iprev={address}", iprev_outcome(&self.iprev).as_str()),
            sentence: format!("{address} has no name in the DNS that leads back to it"),
        })
    }

    fn charge_of_dmarc(&self, actions: &Actions) -> Option<Charge> {
        let (verdict, certainty) = match &self.dmarc {
            OfDmarc::NoAuthor(error) => return Some(charge_of_author(*error, actions)),
            OfDmarc::Verdict { verdict, certainty } => (verdict, *certainty),
        };
        let from = &verdict.author;
        let open = || Charge {
            action: actions.dmarc_temperror,
            code: if self.spf.outcome == spf::Outcome::TempError { (7, 24) } else { (4, 3) },
            finding: format!("dmarc=temperror header.from={from}"),
            sentence: format!("The DNS does not say now whether the message is from {from} (DMARC); try again later"),
        };
        match verdict.outcome {
            dmarc::Outcome::Pass | dmarc::Outcome::None => return None,
            dmarc::Outcome::TempError => return Some(open()),
            dmarc::Outcome::Fail if self.arc.trust == Trust::Vouched => return None,
            dmarc::Outcome::Fail if certainty == Certainty::Open => return Some(open()),
            dmarc::Outcome::Fail => {}
        }
        let action = match verdict.disposition {
            dmarc::Policy::None => actions.dmarc_none,
            dmarc::Policy::Quarantine => actions.dmarc_quarantine,
            dmarc::Policy::Reject => actions.dmarc_reject,
        };
        Some(Charge {
            action,
            code: (7, 26),
            finding: format!("dmarc=fail (p={}) header.from={from}", verdict.disposition.as_str()),
            sentence: format!("Neither SPF nor DKIM shows that the message is from {from}, as it says (DMARC)"),
        })
    }

    /// The fields for a message that is taken.
    pub(super) fn fields(&self, hostname: &str, sentence: &Sentence) -> Vec<u8> {
        let mut out = match sentence {
            Sentence::Quarantined(finding) => format!("{QUARANTINE}: {finding}\r\n"),
            Sentence::Tagged(finding) => format!("{SUSPECT}: {finding}\r\n"),
            Sentence::Accepted | Sentence::Refused(_) => String::new(),
        };
        out.push_str(&Results { id: hostname.to_owned(), entries: self.entries() }.to_field());
        out.push_str(&self.spf.field);
        out.into_bytes()
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = vec![self.entry_of_iprev(), self.spf.entry()];
        entries.extend(self.dkim.verdicts.iter().map(entry_of_signature));
        if self.dkim.verdicts.is_empty() {
            entries.push(Entry::new(Method::Dkim, authres::Outcome::None));
        }
        if self.dkim.skipped > 0 {
            let reason = format!("{} more signatures were not looked at", self.dkim.skipped);
            entries.push(Entry::new(Method::Dkim, authres::Outcome::Policy).reason(reason));
        }
        entries.extend(self.arc.entry());
        entries.push(self.entry_of_dmarc());
        entries
    }

    fn entry_of_iprev(&self) -> Entry {
        let entry = Entry::new(Method::Iprev, iprev_outcome(&self.iprev));
        let entry = match &self.iprev {
            iprev::Outcome::Pass(name) => entry.comment(name.as_str()),
            iprev::Outcome::Fail | iprev::Outcome::TempError | iprev::Outcome::PermError => entry,
        };
        entry.property(PropertyKind::Policy, "iprev", self.client.address.to_string())
    }

    fn entry_of_dmarc(&self) -> Entry {
        let (verdict, certainty) = match &self.dmarc {
            OfDmarc::NoAuthor(error) => {
                return Entry::new(Method::Dmarc, authres::Outcome::PermError).reason(error.to_string());
            }
            OfDmarc::Verdict { verdict, certainty } => (verdict, *certainty),
        };
        let outcome = match verdict.outcome {
            dmarc::Outcome::Fail if certainty == Certainty::Open => authres::Outcome::TempError,
            dmarc::Outcome::Pass => authres::Outcome::Pass,
            dmarc::Outcome::Fail => authres::Outcome::Fail,
            dmarc::Outcome::None => authres::Outcome::None,
            dmarc::Outcome::TempError => authres::Outcome::TempError,
        };
        let mut entry = Entry::new(Method::Dmarc, outcome);
        if let Some(applied) = &verdict.applied {
            let arc = if self.arc.trust == Trust::Vouched { "; a trusted sealer vouches" } else { "" };
            entry = entry.comment(format!("p={} of {}{arc}", applied.policy.as_str(), applied.domain));
        }
        entry.property(PropertyKind::Header, "from", verdict.author.as_str())
    }
}

fn charge_of_author(error: AuthorError, actions: &Actions) -> Charge {
    let action = match error.remedy() {
        Remedy::Refuse => Action::Reject,
        Remedy::Permerror => actions.dmarc_permerror,
    };
    let words = error.to_string();
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter();
    Charge {
        action,
        code: (7, 1),
        finding: format!("dmarc=permerror ({error})"),
        sentence: first.chain(letters).collect(),
    }
}

fn iprev_outcome(outcome: &iprev::Outcome) -> authres::Outcome {
    match outcome {
        iprev::Outcome::Pass(_) => authres::Outcome::Pass,
        iprev::Outcome::Fail => authres::Outcome::Fail,
        iprev::Outcome::TempError => authres::Outcome::TempError,
        iprev::Outcome::PermError => authres::Outcome::PermError,
    }
}

/// RFC 8601 §2.7.1, RFC 6008.
fn entry_of_signature(verdict: &dkim::Verdict) -> Entry {
    let outcome = match verdict.outcome() {
        dkim::Outcome::Pass => authres::Outcome::Pass,
        dkim::Outcome::Fail => authres::Outcome::Fail,
        dkim::Outcome::Neutral => authres::Outcome::Neutral,
        dkim::Outcome::Policy => authres::Outcome::Policy,
        dkim::Outcome::TempError => authres::Outcome::TempError,
        dkim::Outcome::PermError => authres::Outcome::PermError,
    };
    let mut entry = Entry::new(Method::Dkim, outcome);
    if let Some(bits) = verdict.key_bits {
        let testing = if verdict.testing { ", testing" } else { "" };
        entry = entry.comment(format!("{bits}-bit key{testing}"));
    }
    if let Some(reason) = verdict.reason {
        entry = entry.reason(reason.to_string());
    }
    let properties = [
        ("d", verdict.domain.as_ref().map(|domain| domain.as_str().to_owned())),
        ("i", verdict.identity.clone()),
        ("s", verdict.selector.as_ref().map(|selector| selector.as_str().to_owned())),
        ("a", verdict.algorithm.map(|algorithm| algorithm.as_str().to_owned())),
        ("b", Some(verdict.signature_start.clone()).filter(|start| !start.is_empty())),
    ];
    for (name, value) in properties {
        if let Some(value) = value {
            entry = entry.property(PropertyKind::Header, name, value);
        }
    }
    entry
}
