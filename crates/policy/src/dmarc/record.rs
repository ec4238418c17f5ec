//! The policy record a domain publishes at `_dmarc` (RFC 9989 §4.7, §4.8).
//!
//! `v=DMARC1` must stand first and be right. All else is forgiving: what is unknown or wrong is skipped, as if it were
//! not there (§4.7). RFC 7489's `pct`, `rf` and `ri` are unknown by now. Beyond the grammar, words are read in any
//! case, as receivers always did.

use std::fmt;

/// Addresses for reports that are kept of each kind; more are not asked for by anyone honest.
const URIS_MAX: usize = 10;
/// Octets of such an address.
const URI_OCTETS: usize = 500;

/// What a domain publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `p`: the domain's own policy. Nothing when no policy can be taken from the record and it asks for no reports:
    /// then DMARC does not apply (§4.10.1).
    pub policy: Option<Policy>,
    /// `sp`: of its subdomains; as `p` when left out.
    pub subdomains: Option<Policy>,
    /// `np`: of subdomains that do not exist; as `sp` when left out.
    pub nonexistent: Option<Policy>,
    /// `adkim`.
    pub dkim: Alignment,
    /// `aspf`.
    pub spf: Alignment,
    /// `fo`: which failures are worth a report.
    pub failures: FailureReports,
    /// `rua`: URIs for aggregate reports.
    pub aggregate_to: Vec<String>,
    /// `ruf`: URIs for reports of failures.
    pub failures_to: Vec<String>,
    /// `t`: whether the domain only tries its policy out.
    pub testing: Testing,
    /// `psd`.
    pub psd: Psd,
}

/// What a domain wants done with mail that fails, from mild to severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// Nothing.
    None,
    /// It is suspicious.
    Quarantine,
    /// It is not ours.
    Reject,
}

impl Policy {
    /// The word in a record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let all = [Self::None, Self::Quarantine, Self::Reject];
        all.into_iter().find(|policy| word.eq_ignore_ascii_case(policy.as_str()))
    }

    /// RFC 9989 §4.7, `t`: one level below.
    pub(super) fn milder(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When an identifier speaks for the author.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alignment {
    /// When both have the same organizational domain.
    #[default]
    Relaxed,
    /// When both are the same.
    Strict,
}

/// Whether a policy is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Testing {
    /// It is.
    #[default]
    No,
    /// Apply the next milder one.
    Yes,
}

/// What a domain is in the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Psd {
    /// A public suffix: organizations are one label below.
    Yes,
    /// An organization.
    No,
    /// The tree walk finds out.
    #[default]
    Unknown,
}

/// Which messages the domain wants reports about; as published, not yet weighed against `ruf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureReports {
    /// `0`: no mechanism passed.
    pub none_passed: bool,
    /// `1`: one of them did not pass.
    pub any_failed: bool,
    /// `d`: a DKIM signature failed.
    pub dkim: bool,
    /// `s`: SPF failed.
    pub spf: bool,
}

impl Default for FailureReports {
    fn default() -> Self {
        Self { none_passed: true, any_failed: false, dkim: false, spf: false }
    }
}

/// Why a TXT record is no DMARC record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It does not begin with `v=DMARC1`.
    #[error("it does not begin with v=DMARC1")]
    Version,
}

impl Record {
    /// A record of nothing but a policy.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy: Some(policy),
            subdomains: None,
            nonexistent: None,
            dkim: Alignment::default(),
            spf: Alignment::default(),
            failures: FailureReports::default(),
            aggregate_to: Vec::new(),
            failures_to: Vec::new(),
            testing: Testing::default(),
            psd: Psd::default(),
        }
    }

    /// Reads a TXT record, its strings joined. Linear.
    ///
    /// # Errors
    /// When it is not a DMARC record.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        let mut parts = text.split(|octet| *octet == b';');
        // §4.7: the version stands first and matches to the letter, or the record is none.
        let version = parts.next().filter(|part| part.starts_with(b"v") || part.starts_with(b"V")).and_then(tag);
        if !version.is_some_and(|(name, value)| name.eq_ignore_ascii_case("v") && value == "DMARC1") {
            return Err(RecordError::Version);
        }
        let mut reader = Reader::default();
        for (name, value) in parts.filter_map(tag) {
            reader.read(name, value);
        }
        Ok(reader.record())
    }

    /// RFC 9989 §4.7: `sp`, or else `p`.
    pub fn for_subdomains(&self) -> Option<Policy> {
        self.policy.map(|policy| self.subdomains.unwrap_or(policy))
    }

    /// RFC 9989 §4.7: `np`, or else `sp`, or else `p`.
    pub fn for_nonexistent(&self) -> Option<Policy> {
        self.for_subdomains().map(|policy| self.nonexistent.unwrap_or(policy))
    }
}

/// `name = value` with blanks around each; nothing when it is not that.
fn tag(part: &[u8]) -> Option<(&str, &str)> {
    let text = str::from_utf8(part).ok()?;
    let (name, value) = text.split_once('=')?;
    let value = value.trim_matches([' ', '\t']);
    // §4.8: printable ASCII.
    let printable = value.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    (printable && !value.is_empty()).then_some((name.trim_matches([' ', '\t']), value))
}

/// Collects tags; of one that occurs twice the first counts.
#[derive(Default)]
struct Reader {
    /// What is there; the inner one is what is valid.
    policy: Option<Option<Policy>>,
    subdomains: Option<Option<Policy>>,
    nonexistent: Option<Option<Policy>>,
    dkim: Option<Alignment>,
    spf: Option<Alignment>,
    failures: Option<FailureReports>,
    aggregate_to: Option<Vec<String>>,
    failures_to: Option<Vec<String>>,
    testing: Option<Testing>,
    psd: Option<Psd>,
}

impl Reader {
    fn read(&mut self, name: &str, value: &str) {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "p" => _ = self.policy.get_or_insert_with(|| Policy::parse(value)),
            "sp" => _ = self.subdomains.get_or_insert_with(|| Policy::parse(value)),
            "np" => _ = self.nonexistent.get_or_insert_with(|| Policy::parse(value)),
            "adkim" => self.dkim = self.dkim.or_else(|| alignment(value)),
            "aspf" => self.spf = self.spf.or_else(|| alignment(value)),
            "fo" => self.failures = self.failures.or_else(|| failures(value)),
            "rua" => _ = self.aggregate_to.get_or_insert_with(|| uris(value)),
            "ruf" => _ = self.failures_to.get_or_insert_with(|| uris(value)),
            "t" => self.testing = self.testing.or_else(|| testing(value)),
            "psd" => self.psd = self.psd.or_else(|| psd(value)),
            _ => {}
        }
    }

    fn record(self) -> Record {
        let aggregate_to = self.aggregate_to.unwrap_or_default();
        let whole = self.policy.flatten().filter(|_| self.subdomains != Some(None) && self.nonexistent != Some(None));
        // RFC 9989 §4.10.1: with a policy that is missing or wrong, whoever asks for reports gets p=none.
        let policy = whole.or_else(|| (!aggregate_to.is_empty()).then_some(Policy::None));
        Record {
            policy,
            subdomains: self.subdomains.flatten().filter(|_| whole.is_some()),
            nonexistent: self.nonexistent.flatten().filter(|_| whole.is_some()),
            dkim: self.dkim.unwrap_or_default(),
            spf: self.spf.unwrap_or_default(),
            failures: self.failures.unwrap_or_default(),
            aggregate_to,
            failures_to: self.failures_to.unwrap_or_default(),
            testing: self.testing.unwrap_or_default(),
            psd: self.psd.unwrap_or_default(),
        }
    }
}

fn alignment(value: &str) -> Option<Alignment> {
    match value {
        "r" | "R" => Some(Alignment::Relaxed),
        "s" | "S" => Some(Alignment::Strict),
        _ => None,
    }
}

fn testing(value: &str) -> Option<Testing> {
    match value {
        "y" | "Y" => Some(Testing::Yes),
        "n" | "N" => Some(Testing::No),
        _ => None,
    }
}

fn psd(value: &str) -> Option<Psd> {
    match value {
        "y" | "Y" => Some(Psd::Yes),
        "n" | "N" => Some(Psd::No),
        "u" | "U" => Some(Psd::Unknown),
        _ => None,
    }
}

/// `0`, `1`, `d`, `s` with colons between them; the unknown ones are skipped.
fn failures(value: &str) -> Option<FailureReports> {
    let mut failures = FailureReports { none_passed: false, ..FailureReports::default() };
    for word in value.split(':').map(str::trim) {
        match word {
            "0" => failures.none_passed = true,
            "1" => failures.any_failed = true,
            "d" | "D" => failures.dkim = true,
            "s" | "S" => failures.spf = true,
            _ => {}
        }
    }
    let asked = failures.none_passed || failures.any_failed || failures.dkim || failures.spf;
    asked.then_some(failures)
}

/// The URIs of a list that are some. RFC 9989 §4.8: a size after `!` is obsolete and dropped.
fn uris(value: &str) -> Vec<String> {
    let whole = value.split(',').map(str::trim);
    let without_size = whole.map(|uri| uri.split_once('!').map_or(uri, |(uri, _)| uri));
    without_size.filter(|uri| is_uri(uri)).take(URIS_MAX).map(str::to_owned).collect()
}

/// A scheme and something after it (RFC 3986 §3); an address when the scheme is `mailto`.
fn is_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let named = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'));
    let plain = !rest.is_empty() && rest.bytes().all(|octet| octet.is_ascii_graphic());
    let addressed = !scheme.eq_ignore_ascii_case("mailto")
        || rest.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    named && plain && addressed && uri.len() <= URI_OCTETS
}

impl fmt::Display for Record {
    /// The record as it is published; defaults are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v=DMARC1")?;
        let policies = [("p", self.policy), ("sp", self.subdomains), ("np", self.nonexistent)];
        for (name, policy) in policies {
            if let Some(policy) = policy {
                write!(f, "; {name}={policy}")?;
            }
        }
        for (name, alignment) in [("adkim", self.dkim), ("aspf", self.spf)] {
            if alignment == Alignment::Strict {
                write!(f, "; {name}=s")?;
            }
        }
        for (name, uris) in [("rua", &self.aggregate_to), ("ruf", &self.failures_to)] {
            if !uris.is_empty() {
                write!(f, "; {name}={}", uris.join(","))?;
            }
        }
        if self.failures != FailureReports::default() {
            write!(f, "; fo={}", self.failures)?;
        }
        if self.testing == Testing::Yes {
            f.write_str("; t=y")?;
        }
        match self.psd {
            Psd::Yes => f.write_str("; psd=y"),
            Psd::No => f.write_str("; psd=n"),
            Psd::Unknown => Ok(()),
        }
    }
}

impl fmt::Display for FailureReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [("0", self.none_passed), ("1", self.any_failed), ("d", self.dkim), ("s", self.spf)];
        let mut between = "";
        for (word, _) in words.iter().filter(|(_, asked)| *asked) {
            write!(f, "{between}{word}")?;
            between = ":";
        }
        Ok(())
    }
}
