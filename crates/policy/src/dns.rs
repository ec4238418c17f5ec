//! What the machines of this crate ask of the DNS, and the answers they are given.
//!
//! A machine is polled: it either has its result or names one [`Question`]; the driver asks the resolver and hands the
//! [`Answer`] back. The driver keeps the deadlines (RFC 7208 §4.6.4: 20 seconds in all); a machine keeps the counts.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// RFC 1035 §2.3.4: octets of a name without its final dot.
const NAME_OCTETS: usize = 253;
/// RFC 1035 §2.3.4: octets of one label.
const LABEL_OCTETS: usize = 63;

/// The name of something in the DNS, in lower case, without a final dot. Not only host names: `_dmarc.example.net` and
/// `selector._domainkey.example.net` are names, too. Any label of printable ASCII without a dot is taken, because
/// RFC 7208 macros make such names; a blank, a control character and 8-bit octets are not. Only
/// [`Name::parse_expanded`] makes names with a blank.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or two dots in a row.
    #[error("a DNS name has no empty labels")]
    Empty,
    /// RFC 1035 §2.3.4.
    #[error("a DNS name is at most 253 octets long and its labels at most 63")]
    TooLong,
    /// A blank, a control character or an octet that is not ASCII.
    #[error("a DNS name consists of printable ASCII characters")]
    Character,
}

impl Name {
    /// Reads a name; one final dot is dropped.
    ///
    /// # Errors
    /// When it is empty, has an empty label, is too long or has characters that do not belong there.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Self::read(text, |octet| octet.is_ascii_graphic())
    }

    /// Reads a name that macros made (RFC 7208 §7.3), which may have blanks in its labels: `%_` stands for one, and a
    /// local part or a HELO name can bring one in. Such a name is fit for a question and nothing else.
    ///
    /// # Errors
    /// As those of [`Name::parse`].
    pub fn parse_expanded(text: &str) -> Result<Self, NameError> {
        Self::read(text, |octet| octet.is_ascii_graphic() || octet == b' ')
    }

    fn read(text: &str, is_allowed: impl Fn(u8) -> bool) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > NAME_OCTETS || text.split('.').any(|label| label.len() > LABEL_OCTETS) {
            return Err(NameError::TooLong);
        }
        if text.split('.').any(str::is_empty) {
            return Err(NameError::Empty);
        }
        if !text.bytes().all(is_allowed) {
            return Err(NameError::Character);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The name as text: lower case, no final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its labels, the leftmost first.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether this name is the other one or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_suffix(other.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One question to the DNS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Of what.
    pub name: Name,
    /// What about it.
    pub kind: Kind,
}

/// The types of records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// TXT.
    Txt,
    /// A.
    A,
    /// AAAA.
    Aaaa,
    /// MX.
    Mx,
    /// PTR; the name is the one below `in-addr.arpa` or `ip6.arpa`.
    Ptr,
}

/// What the DNS said. Each variant with records belongs to one [`Kind`]; a machine that is given records of another
/// kind takes them for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One entry for each record, its strings joined without anything between them (RFC 7208 §3.3).
    Txt(Vec<Vec<u8>>),
    /// The A records.
    A(Vec<Ipv4Addr>),
    /// The AAAA records.
    Aaaa(Vec<Ipv6Addr>),
    /// The MX records: preference and host. The null MX (RFC 7505) is no host, so it is not among them.
    Mx(Vec<(u16, Name)>),
    /// The PTR records.
    Ptr(Vec<Name>),
    /// The name exists, but has no such record.
    NoData,
    /// There is no such name.
    NoName,
    /// No answer in time, or a failure of the server: it may work later.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_lower_case_and_without_the_final_dot() {
        let check = |text: &str, expect: Result<&str, NameError>| {
            assert_eq!(Name::parse(text).as_ref().map(Name::as_str), expect.as_ref().map(|name| *name), "{text:?}");
        };
        check("S1._DomainKey.Example.NET.", Ok("s1._domainkey.example.net"));
        check("a/b=c.example", Ok("a/b=c.example"));
        check("", Err(NameError::Empty));
        assert_eq!(Name::parse_expanded("A b.Example.").unwrap().as_str(), "a b.example");
        assert_eq!(Name::parse_expanded("a\tb"), Err(NameError::Character));
        check("a..b", Err(NameError::Empty));
        check("a b", Err(NameError::Character));
        check("a\0b", Err(NameError::Character));
        check("b\u{fc}cher.example", Err(NameError::Character));
        check(&"a".repeat(64), Err(NameError::TooLong));
        check(&"ab.".repeat(85), Err(NameError::TooLong));
    }

    #[test]
    fn a_name_lies_within_itself_and_its_parents_only() {
        let name = |text| Name::parse(text).unwrap();
        assert!(name("mail.example.net").is_within(&name("example.net")));
        assert!(name("example.net").is_within(&name("example.net")));
        assert!(!name("badexample.net").is_within(&name("example.net")));
        assert!(!name("net").is_within(&name("example.net")));
    }
}
