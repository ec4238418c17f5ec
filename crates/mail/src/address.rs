//! Addresses of the envelope (RFC 5321 §4.1.2, §4.1.3), parsed strictly. What people type around them (missing
//! brackets, source routes, stray spaces) is the command parser's business.
//!
//! Only ASCII addresses exist so far; SMTPUTF8 (RFC 6531) widens [`LocalPart`] and [`Domain`].

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// Octets of a local part on the wire (RFC 5321 §4.5.3.1.1).
const LOCAL_PART_MAX: usize = 64;
/// Octets of a domain (RFC 5321 §4.5.3.1.2).
const DOMAIN_MAX: usize = 255;
/// Octets of one label (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;
/// Octets of a path without its brackets (RFC 5321 §4.5.3.1.3).
const MAILBOX_MAX: usize = 254;

/// Why a text is not an address. The message says what was expected and is fit for a reply line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`.
    #[error("expected user@domain, there is no @")]
    NoAt,
    /// Nothing stands before the `@`.
    #[error("expected a name before the @")]
    EmptyLocalPart,
    /// The local part has a character that needs quotes, or is quoted wrongly.
    #[error("the part before the @ has a character that is not allowed there, or unbalanced quotes")]
    BadLocalPart,
    /// The local part is longer than 64 octets.
    #[error("the part before the @ is longer than 64 octets")]
    LongLocalPart,
    /// The domain is empty, or has an empty or malformed label.
    #[error("expected a domain such as example.net, or an address literal such as [192.0.2.1]")]
    BadDomain,
    /// The domain is longer than 255 octets or a label longer than 63.
    #[error("the domain is longer than 255 octets, or one of its labels longer than 63")]
    LongDomain,
    /// The whole is longer than 254 octets.
    #[error("the address is longer than 254 octets")]
    LongAddress,
}

/// A domain name in lower case, or an address literal. `Display` is the wire form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Host);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Host {
    Name(Box<str>),
    Literal(IpAddr),
}

impl Domain {
    /// The domain name, or nothing for an address literal.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Host::Name(name) => Some(name),
            Host::Literal(_) => None,
        }
    }

    /// The address of an address literal.
    pub fn literal(&self) -> Option<IpAddr> {
        match self.0 {
            Host::Name(_) => None,
            Host::Literal(address) => Some(address),
        }
    }

    /// The literal form of an address: `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
    pub fn from_address(address: IpAddr) -> Self {
        Self(Host::Literal(address))
    }

    /// Whether this name equals `parent` or lies below it.
    pub fn is_within(&self, parent: &Self) -> bool {
        match (self.name(), parent.name()) {
            (Some(name), Some(parent)) => {
                name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            _ => self == parent,
        }
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(AddressError::BadDomain)?;
            return parse_literal(inner).map(|address| Self(Host::Literal(address)));
        }
        if text.len() > DOMAIN_MAX {
            return Err(AddressError::LongDomain);
        }
        for label in text.split('.') {
            if label.len() > LABEL_MAX {
                return Err(AddressError::LongDomain);
            }
            if !is_label(label.as_bytes()) {
                return Err(AddressError::BadDomain);
            }
        }
        // A last label of digits only would be read as an IPv4 address by half the world (RFC 3696 §2).
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AddressError::BadDomain);
        }
        Ok(Self(Host::Name(text.to_ascii_lowercase().into_boxed_str())))
    }
}

/// Letters, digits, inner hyphens, and the underscore that real names contain.
fn is_label(label: &[u8]) -> bool {
    let (Some(first), Some(last)) = (label.first(), label.last()) else {
        return false;
    };
    *first != b'-'
        && *last != b'-'
        && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// RFC 5321 §4.1.3: four numbers, or `IPv6:` and an address.
fn parse_literal(inner: &str) -> Result<IpAddr, AddressError> {
    let v6 = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")).and_then(|_| inner.get(5..));
    match v6 {
        Some(rest) => rest.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => inner.parse::<Ipv4Addr>().map(IpAddr::V4),
    }
    .map_err(|_| AddressError::BadDomain)
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Host::Name(name) => f.write_str(name),
            Host::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Host::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
        }
    }
}

/// The part before the `@`, without quotes: `"a b"` and `a b` are one. `Display` quotes where it must.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// The text without quotes and backslashes: for comparing and looking up, never for a path or a header.
    pub fn unquoted(&self) -> &str {
        &self.0
    }
}

fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

impl FromStr for LocalPart {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::EmptyLocalPart);
        }
        if text.len() > LOCAL_PART_MAX {
            return Err(AddressError::LongLocalPart);
        }
        if is_dot_string(text) {
            return Ok(Self(text.into()));
        }
        let inner = text
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .filter(|_| text.len() >= 2)
            .ok_or(AddressError::BadLocalPart)?;
        unquote(inner).map(|content| Self(content.into_boxed_str()))
    }
}

/// The content of a Quoted-string (RFC 5321 §4.1.2): printable ASCII and spaces, `\` before `"` and `\`.
fn unquote(inner: &str) -> Result<String, AddressError> {
    let mut content = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let plain = match character {
            '\\' => characters.next().ok_or(AddressError::BadLocalPart)?,
            '"' => return Err(AddressError::BadLocalPart),
            other => other,
        };
        if !matches!(plain, ' '..='~') {
            return Err(AddressError::BadLocalPart);
        }
        content.push(plain);
    }
    if content.is_empty() {
        return Err(AddressError::EmptyLocalPart);
    }
    Ok(content)
}

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for character in self.0.chars() {
            if matches!(character, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        f.write_str("\"")
    }
}

/// `local-part@domain`. `Display` is the wire form without brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mailbox {
    /// The part before the `@`.
    pub local: LocalPart,
    /// The part after it.
    pub domain: Domain,
}

impl Mailbox {
    /// The two halves together; fails when the whole is longer than 254 octets.
    pub fn new(local: LocalPart, domain: Domain) -> Result<Self, AddressError> {
        let mailbox = Self { local, domain };
        if mailbox.to_string().len() > MAILBOX_MAX {
            return Err(AddressError::LongAddress);
        }
        Ok(mailbox)
    }

    /// The form for comparing accounts and keys: the local part in lower case. Local parts are case-sensitive by
    /// the letter of RFC 5321 §2.4; no mailbox that people use is.
    pub fn folded(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = split_at_sign(text).ok_or(AddressError::NoAt)?;
        Self::new(local.parse()?, domain.parse()?)
    }
}

/// Splits at the `@` that ends the local part: the last one, for a domain never contains one.
fn split_at_sign(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('@')
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// Where failures are reported to: MAIL FROM. `Display` is the wire form with brackets; `<>` is the null path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReversePath {
    /// `<>`: a notification, which is never answered with another (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The mailbox, or nothing for the null path.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl FromStr for ReversePath {
    type Err = AddressError;
    /// Parses the text between the brackets.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() { Ok(Self::Null) } else { text.parse().map(Self::Mailbox) }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Where a message goes: RCPT TO. `Display` is the wire form with brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, which every server takes (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl FromStr for ForwardPath {
    type Err = AddressError;
    /// Parses the text between the brackets.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.eq_ignore_ascii_case("postmaster") { Ok(Self::Postmaster) } else { text.parse().map(Self::Mailbox) }
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<postmaster>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(Domain, LocalPart, Mailbox);

impl Serialize for ReversePath {
    /// The mailbox without brackets; the null path is the empty text.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_str(""),
            Self::Mailbox(mailbox) => serializer.collect_str(mailbox),
        }
    }
}

impl<'de> Deserialize<'de> for ReversePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &str, expect: Result<&str, AddressError>) {
        let got = input.parse::<Mailbox>().map(|mailbox| mailbox.to_string());
        assert_eq!(got.as_deref().map_err(|error| *error), expect, "{input}");
    }

    #[test]
    fn mailboxes() {
        check("a@B.Example", Ok("a@b.example"));
        check("A.b+tag@x", Ok("A.b+tag@x"));
        check("\"a b\"@x", Ok("\"a b\"@x"));
        check("\"ab\"@x", Ok("ab@x"));
        check("\"a@b\"@x.example", Ok("\"a@b\"@x.example"));
        check("\"a\\\"b\"@x", Ok("\"a\\\"b\"@x"));
        check("a@[192.0.2.1]", Ok("a@[192.0.2.1]"));
        check("a@[IPv6:2001:db8::1]", Ok("a@[IPv6:2001:db8::1]"));
        check("ab", Err(AddressError::NoAt));
        check("@x", Err(AddressError::EmptyLocalPart));
        check("\"\"@x", Err(AddressError::EmptyLocalPart));
        check("a b@x", Err(AddressError::BadLocalPart));
        check("a..b@x", Err(AddressError::BadLocalPart));
        check("\"@x", Err(AddressError::BadLocalPart));
        check("a\r\n@x", Err(AddressError::BadLocalPart));
        check("\"a\r\n\"@x", Err(AddressError::BadLocalPart));
        check("a@", Err(AddressError::BadDomain));
        check("a@x..y", Err(AddressError::BadDomain));
        check("a@-x", Err(AddressError::BadDomain));
        check("a@x y", Err(AddressError::BadDomain));
        check("a@192.0.2.1", Err(AddressError::BadDomain));
        check("a@[300.0.2.1]", Err(AddressError::BadDomain));
        check("а@x", Err(AddressError::BadLocalPart));
    }

    #[test]
    fn lengths_are_those_of_the_rfc() {
        let local64 = "a".repeat(64);
        check(&format!("{local64}@x"), Ok(&format!("{local64}@x")));
        check(&format!("{local64}a@x"), Err(AddressError::LongLocalPart));
        let labels = |octets: usize| {
            let mut text = "a".repeat(63);
            while text.len() + 64 <= octets {
                text = format!("{text}.{}", "a".repeat(63));
            }
            text
        };
        assert_eq!(labels(255).len(), 255);
        assert!(labels(255).parse::<Domain>().is_ok());
        assert_eq!(format!("{}.a", labels(255)).parse::<Domain>(), Err(AddressError::LongDomain));
        check(&format!("a@{}", labels(255)), Err(AddressError::LongAddress));
        assert_eq!("a".repeat(64).parse::<Domain>(), Err(AddressError::LongDomain));
    }

    #[test]
    fn a_domain_lies_within_its_parents() {
        let domain = |text: &str| text.parse::<Domain>().unwrap();
        assert!(domain("a.example.net").is_within(&domain("example.net")));
        assert!(domain("example.net").is_within(&domain("example.net")));
        assert!(!domain("badexample.net").is_within(&domain("example.net")));
    }

    proptest! {
        #[test]
        fn what_parses_prints_to_something_that_parses_to_the_same(text in "[ -~]{0,12}@[a-z.\\[\\]0-9:-]{0,12}") {
            if let Ok(mailbox) = text.parse::<Mailbox>() {
                prop_assert_eq!(mailbox.to_string().parse::<Mailbox>(), Ok(mailbox));
            }
        }

        #[test]
        fn any_quoted_text_survives(text in "[ -~]{1,20}") {
            let quoted = format!("\"{}\"@x.example", text.replace('\\', "\\\\").replace('"', "\\\""));
            let mailbox = quoted.parse::<Mailbox>().unwrap();
            prop_assert_eq!(mailbox.local.unquoted(), text.as_str());
            prop_assert_eq!(mailbox.to_string().parse::<Mailbox>(), Ok(mailbox));
        }
    }
}
