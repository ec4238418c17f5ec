//! What a domain publishes (RFC 7208 §4.6, §5, §6), read once into a tree; printed, it reads as the same.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::macros::{DomainSpec, MacroError, MacroString, Place};

/// RFC 7208 §4.5.
const VERSION: &str = "v=spf1";
/// Octets of a faulty term that a message shows.
const TERM_SHOWN: usize = 80;

/// One SPF record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The mechanisms in their order.
    pub directives: Vec<Directive>,
    /// `redirect`: whose record decides when none of the mechanisms matches.
    pub redirect: Option<DomainSpec>,
    /// `exp`: where the explanation of a fail is.
    pub explanation: Option<DomainSpec>,
    /// Modifiers that we don't know: their names and values. They change nothing (RFC 7208 §6).
    pub unknown: Vec<(Box<str>, MacroString)>,
}

/// A mechanism and what its match means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// What its match means.
    pub qualifier: Qualifier,
    /// What is compared.
    pub mechanism: Mechanism,
}

/// RFC 7208 §4.6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qualifier {
    /// `+`, or nothing.
    Pass,
    /// `-`.
    Fail,
    /// `~`.
    SoftFail,
    /// `?`.
    Neutral,
}

/// RFC 7208 §5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Everyone.
    All,
    /// Those that another domain lets pass.
    Include(DomainSpec),
    /// The addresses of a host; without a name those of the domain.
    A(Option<DomainSpec>, DualCidr),
    /// The addresses of the mail exchangers.
    Mx(Option<DomainSpec>, DualCidr),
    /// Those with a name in the domain.
    Ptr(Option<DomainSpec>),
    /// An IPv4 network and the bits that count.
    Ip4(Ipv4Addr, u8),
    /// An IPv6 network and the bits that count.
    Ip6(Ipv6Addr, u8),
    /// Everyone, if the name has an A record.
    Exists(DomainSpec),
}

/// How many bits of an address count, for each family (RFC 7208 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DualCidr {
    /// Of IPv4, 32 at most.
    pub v4: u8,
    /// Of IPv6, 128 at most.
    pub v6: u8,
}

/// Why a text is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It does not begin with `v=spf1` and a blank.
    #[error("it does not begin with v=spf1")]
    Version,
    /// RFC 7208 §3.1.
    #[error("it has octets that are not ASCII")]
    NotAscii,
    /// A term of it is wrong.
    #[error("the term \"{term}\": {error}")]
    Term {
        /// The term, escaped and cut.
        term: String,
        /// What is wrong with it.
        error: TermError,
    },
}

/// What is wrong with a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// Neither a mechanism that we know nor a modifier.
    #[error("there is no such mechanism")]
    Unknown,
    /// `all:x`, `ip4:1.2.3.4//32`, and the like.
    #[error("there is something behind it that does not belong there")]
    Surplus,
    /// `ip4` or `ip6` without a good address.
    #[error("it needs an IP address in full")]
    Address,
    /// A prefix length that is too great or is written with zeros in front.
    #[error("a prefix length is 0 to 32 for IPv4, 0 to 128 for IPv6")]
    Prefix,
    /// A bad domain or macro.
    #[error("{0}")]
    Macro(#[from] MacroError),
    /// RFC 7208 §6: `redirect` and `exp` at most once each.
    #[error("it is there twice")]
    Twice,
}

impl Record {
    /// Whether a TXT record is an SPF record at all, good or bad: it begins with the version, in any case, and a blank
    /// or its end (RFC 7208 §4.5).
    pub fn is_one(text: &[u8]) -> bool {
        text.split_at_checked(VERSION.len()).is_some_and(|(version, rest)| {
            version.eq_ignore_ascii_case(VERSION.as_bytes()) && matches!(rest.first(), None | Some(b' '))
        })
    }

    /// Reads a record. Every term is judged, also those that would never be used (RFC 7208 §4.6).
    ///
    /// # Errors
    /// When it is no SPF record, or one that ends in `permerror`.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        if !Self::is_one(text) {
            return Err(RecordError::Version);
        }
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or(RecordError::NotAscii)?;
        let mut record = Self::default();
        for term in text.get(VERSION.len()..).unwrap_or_default().split(' ').filter(|term| !term.is_empty()) {
            record.add(term).map_err(|error| RecordError::Term { term: mail::for_log(term, TERM_SHOWN), error })?;
        }
        Ok(record)
    }

    fn add(&mut self, term: &str) -> Result<(), TermError> {
        let Some((name, value)) = as_modifier(term) else {
            self.directives.push(Directive::parse(term)?);
            return Ok(());
        };
        // Known names are never taken for unknown modifiers, whatever the grammar allows (errata to RFC 7208 §6).
        let place = if name.eq_ignore_ascii_case("redirect") {
            &mut self.redirect
        } else if name.eq_ignore_ascii_case("exp") {
            &mut self.explanation
        } else {
            self.unknown.push((name.into(), MacroString::parse(value, Place::Term)?));
            return Ok(());
        };
        let spec = DomainSpec::parse(value)?;
        if place.replace(spec).is_some() { Err(TermError::Twice) } else { Ok(()) }
    }
}

/// RFC 7208 §4.6.1: a modifier has a name and `=` before any `:` or `/`.
fn as_modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.'));
    is_name.then_some((name, value))
}

impl Directive {
    fn parse(term: &str) -> Result<Self, TermError> {
        let (qualifier, term) = match term.split_at_checked(1) {
            Some(("+", rest)) => (Qualifier::Pass, rest),
            Some(("-", rest)) => (Qualifier::Fail, rest),
            Some(("~", rest)) => (Qualifier::SoftFail, rest),
            Some(("?", rest)) => (Qualifier::Neutral, rest),
            _ => (Qualifier::Pass, term),
        };
        Ok(Self { qualifier, mechanism: Mechanism::parse(term)? })
    }
}

impl Mechanism {
    fn parse(term: &str) -> Result<Self, TermError> {
        let (name, rest) = term.split_at(term.find([':', '/']).unwrap_or(term.len()));
        match name.to_ascii_lowercase().as_str() {
            "all" => nothing(rest).map(|()| Self::All),
            "include" => Ok(Self::Include(needed_domain(rest)?)),
            "a" => domain_and_cidr(rest).map(|(spec, cidr)| Self::A(spec, cidr)),
            "mx" => domain_and_cidr(rest).map(|(spec, cidr)| Self::Mx(spec, cidr)),
            "ptr" if rest.is_empty() => Ok(Self::Ptr(None)),
            "ptr" => Ok(Self::Ptr(Some(needed_domain(rest)?))),
            "ip4" => network(rest, DualCidr::WHOLE.v4).map(|(address, bits)| Self::Ip4(address, bits)),
            "ip6" => network(rest, DualCidr::WHOLE.v6).map(|(address, bits)| Self::Ip6(address, bits)),
            "exists" => Ok(Self::Exists(needed_domain(rest)?)),
            _ => Err(TermError::Unknown),
        }
    }
}

fn nothing(rest: &str) -> Result<(), TermError> {
    if rest.is_empty() { Ok(()) } else { Err(TermError::Surplus) }
}

fn needed_domain(rest: &str) -> Result<DomainSpec, TermError> {
    match rest.strip_prefix(':') {
        Some(spec) => Ok(DomainSpec::parse(spec)?),
        None if rest.is_empty() => Err(MacroError::NoDomain.into()),
        None => Err(TermError::Surplus),
    }
}

fn domain_and_cidr(rest: &str) -> Result<(Option<DomainSpec>, DualCidr), TermError> {
    let (rest, cidr) = DualCidr::take(rest)?;
    match rest.strip_prefix(':') {
        Some(spec) => Ok((Some(DomainSpec::parse(spec)?), cidr)),
        None => nothing(rest).map(|()| (None, cidr)),
    }
}

/// `:`, an address, and perhaps `/` and its bits.
fn network<A: std::str::FromStr>(rest: &str, max: u8) -> Result<(A, u8), TermError> {
    let rest = rest.strip_prefix(':').ok_or(TermError::Address)?;
    let (address, bits) = match rest.split_once('/') {
        Some((address, bits)) => (address, prefix_length(bits, max)?),
        None => (rest, max),
    };
    Ok((address.parse().map_err(|_| TermError::Address)?, bits))
}

/// Digits without zeros in front.
fn prefix_length(digits: &str, max: u8) -> Result<u8, TermError> {
    let is_number = !digits.is_empty()
        && digits.bytes().all(|octet| octet.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|bits| is_number && *bits <= max).ok_or(TermError::Prefix)
}

impl DualCidr {
    /// One address.
    pub const WHOLE: Self = Self { v4: 32, v6: 128 };

    /// Takes `/n`, `//n` or `/n//n` off the end of a text.
    fn take(text: &str) -> Result<(&str, Self), TermError> {
        let mut cidr = Self::WHOLE;
        let mut rest = text;
        if let Some((before, digits)) = ending_in_number(rest)
            && let Some(before) = before.strip_suffix('/')
        {
            cidr.v6 = prefix_length(digits, Self::WHOLE.v6)?;
            rest = before;
        }
        if let Some((before, digits)) = ending_in_number(rest) {
            cidr.v4 = prefix_length(digits, Self::WHOLE.v4)?;
            rest = before;
        }
        Ok((rest, cidr))
    }
}

/// What stands before and after the last slash, if digits and nothing else stand after it.
fn ending_in_number(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('/').filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit()))
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        self.directives.iter().try_for_each(|directive| write!(f, " {directive}"))?;
        if let Some(redirect) = &self.redirect {
            write!(f, " redirect={redirect}")?;
        }
        if let Some(explanation) = &self.explanation {
            write!(f, " exp={explanation}")?;
        }
        self.unknown.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let qualifier = match self.qualifier {
            Qualifier::Pass => "",
            Qualifier::Fail => "-",
            Qualifier::SoftFail => "~",
            Qualifier::Neutral => "?",
        };
        write!(f, "{qualifier}{}", self.mechanism)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Include(spec) => write!(f, "include:{spec}"),
            Self::A(None, cidr) => write!(f, "a{cidr}"),
            Self::A(Some(spec), cidr) => write!(f, "a:{spec}{cidr}"),
            Self::Mx(None, cidr) => write!(f, "mx{cidr}"),
            Self::Mx(Some(spec), cidr) => write!(f, "mx:{spec}{cidr}"),
            Self::Ptr(None) => f.write_str("ptr"),
            Self::Ptr(Some(spec)) => write!(f, "ptr:{spec}"),
            Self::Ip4(address, bits) if *bits == DualCidr::WHOLE.v4 => write!(f, "ip4:{address}"),
            Self::Ip4(address, bits) => write!(f, "ip4:{address}/{bits}"),
            Self::Ip6(address, bits) if *bits == DualCidr::WHOLE.v6 => write!(f, "ip6:{address}"),
            Self::Ip6(address, bits) => write!(f, "ip6:{address}/{bits}"),
            Self::Exists(spec) => write!(f, "exists:{spec}"),
        }
    }
}

impl fmt::Display for DualCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.v4 != Self::WHOLE.v4 {
            write!(f, "/{}", self.v4)?;
        }
        if self.v6 != Self::WHOLE.v6 {
            write!(f, "//{}", self.v6)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_printed() {
        let check = |text: &str, expect: &str| {
            assert_eq!(
                Record::parse(text.as_bytes()).map(|record| record.to_string()).as_deref(),
                Ok(expect),
                "{text}"
            );
        };
        check("v=spf1", "v=spf1");
        check("V=sPf1  +A -MX ?ptr ~aLL  ", "v=spf1 a -mx ?ptr ~all");
        check("v=spf1 a/24 mx//64 a:x.example/24//64 a/32//128", "v=spf1 a/24 mx//64 a:x.example/24//64 a");
        check("v=spf1 a:foo/bar.example mx:a/1.example/0", "v=spf1 a:foo/bar.example mx:a/1.example/0");
        check(
            "v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.1/32 ip6:2001:DB8::/32",
            "v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.1 ip6:2001:db8::/32",
        );
        check(
            "v=spf1 exp=e.%{d} include:%{d2}.x.example Redirect=r.example",
            "v=spf1 include:%{d2}.x.example redirect=r.example exp=e.%{d}",
        );
        check("v=spf1 moo.cow-far_out=man:dog/cat x= x=%%", "v=spf1 moo.cow-far_out=man:dog/cat x= x=%%");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |text: &str, expect: &str| {
            let error = Record::parse(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(expect), "{text}: {error}");
        };
        check("v=spf10", "does not begin with v=spf1");
        check("v=spf1\tall", "does not begin with v=spf1");
        check("v=spf1 a:b\u{fc}cher.example", "not ASCII");
        check("v=spf1 ip4:192.0.2.1 moo", "\"moo\": there is no such mechanism");
        check("v=spf1 -", "no such mechanism");
        check("v=spf1 --all", "no such mechanism");
        check("v=spf1 redirect:a.example", "no such mechanism");
        check("v=spf1 1up=x", "no such mechanism");
        check("v=spf1 all:x", "does not belong");
        check("v=spf1 ptr/0", "does not belong");
        check("v=spf1 a/24/32", "does not belong");
        check("v=spf1 a/24/64", "0 to 32");
        check("v=spf1 a///64", "does not belong");
        check("v=spf1 exists", "a domain is missing");
        check("v=spf1 a:", "a domain is missing");
        check("v=spf1 exp=", "a domain is missing");
        check("v=spf1 a:192.0.2.1", "top-level domain");
        check("v=spf1 a:x.example/24/32", "top-level domain");
        check("v=spf1 a/33", "0 to 32");
        check("v=spf1 a//129", "0 to 32");
        check("v=spf1 a/024", "0 to 32");
        check("v=spf1 ip4:192.0.2.1//32", "0 to 32");
        check("v=spf1 ip4:192.0.2", "IP address in full");
        check("v=spf1 ip4:192.0.02.1", "IP address in full");
        check("v=spf1 ip4", "IP address in full");
        check("v=spf1 ip6:192.0.2.1", "IP address in full");
        check("v=spf1 exp=a.example exp=a.example", "twice");
        check("v=spf1 x=%{x}", "no macro of that letter");
        check("v=spf1 x=%{c}", "explanations only");
        check("v=spf1 a:\u{1b}[31m.example", "\\u{1b}[31m");
    }
}
