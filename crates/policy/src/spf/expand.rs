//! What macros stand for (RFC 7208 §7.2 to §7.4).

use std::{borrow::Cow, fmt::Write as _, net::IpAddr};

use mail::Timestamp;

use crate::dns::Name;

use super::{
    EXPLANATION_OCTETS_MAX,
    macros::{DomainSpec, Letter, Macro, MacroString, Piece},
};

/// RFC 7208 §7.3: octets of an expanded name; labels that are too many are dropped on the left.
const NAME_OCTETS: usize = 253;
/// Octets on the right of an expansion that are looked at: a name, its last dot, and a dot before it.
const SUFFIX_OCTETS: usize = NAME_OCTETS + 2;
/// RFC 7208 §7.3: what `%{p}` is without a name, and `%{r}` when we have none.
const UNKNOWN: &str = "unknown";

/// What the letters stand for at one moment of a check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    pub(super) address: IpAddr,
    pub(super) local_part: &'a str,
    pub(super) sender_domain: &'a str,
    pub(super) helo: &'a str,
    pub(super) receiver: &'a str,
    pub(super) now: Timestamp,
    /// `<domain>` of the record that is being evaluated.
    pub(super) domain: &'a Name,
    /// A name of the client that leads back to its address.
    pub(super) client_name: Option<&'a Name>,
}

impl Values<'_> {
    /// The name that a domain-spec becomes, or nothing if it becomes something that can't be asked for.
    pub(super) fn name(&self, spec: &DomainSpec) -> Option<Name> {
        // Only the end counts, so it is made from the right, and no further than needed.
        let mut pieces: Vec<Cow<'_, str>> = Vec::new();
        let mut octets = 0;
        for piece in spec.as_macros().pieces().iter().rev() {
            let text = self.piece(piece);
            octets += text.len();
            pieces.push(text);
            if octets >= SUFFIX_OCTETS {
                break;
            }
        }
        pieces.reverse();
        let text = pieces.concat();
        let text = text.strip_suffix('.').unwrap_or(&text);
        Name::parse_expanded(shortened(text)?).ok()
    }

    /// The explanation: one line of printable ASCII, whatever the sender's name brings in.
    pub(super) fn explanation(&self, text: &MacroString) -> String {
        let mut out = String::new();
        for piece in text.pieces() {
            let printable = |character| if matches!(character, ' '..='~') { character } else { '?' };
            out.extend(self.piece(piece).chars().map(printable).take(EXPLANATION_OCTETS_MAX - out.len()));
            if out.len() >= EXPLANATION_OCTETS_MAX {
                break;
            }
        }
        out
    }

    fn piece<'p>(&self, piece: &'p Piece) -> Cow<'p, str> {
        match piece {
            Piece::Literal(text) => Cow::Borrowed(text),
            Piece::Macro(one) => Cow::Owned(self.expand(*one)),
            Piece::Percent => Cow::Borrowed("%"),
            Piece::Blank => Cow::Borrowed(" "),
            Piece::EncodedBlank => Cow::Borrowed("%20"),
        }
    }

    fn expand(&self, one: Macro) -> String {
        let value = self.value(one.letter);
        let mut parts: Vec<&str> = value.split(|character| one.delimiters.has(character)).collect();
        if one.reverse {
            parts.reverse();
        }
        let dropped = one.keep.map_or(0, |keep| parts.len().saturating_sub(usize::from(keep)));
        let kept = parts.get(dropped..).unwrap_or_default().join(".");
        if one.escape { url_escaped(&kept) } else { kept }
    }

    fn value(&self, letter: Letter) -> Cow<'_, str> {
        match letter {
            Letter::Sender => Cow::Owned(format!("{}@{}", self.local_part, self.sender_domain)),
            Letter::LocalPart => Cow::Borrowed(self.local_part),
            Letter::SenderDomain => Cow::Borrowed(self.sender_domain),
            Letter::Domain => Cow::Borrowed(self.domain.as_str()),
            Letter::Address => Cow::Owned(dotted(self.address)),
            Letter::ClientName => Cow::Borrowed(self.client_name.map_or(UNKNOWN, Name::as_str)),
            Letter::AddressFamily => Cow::Borrowed(if self.address.is_ipv4() { "in-addr" } else { "ip6" }),
            Letter::Helo => Cow::Borrowed(self.helo),
            Letter::ReadableAddress => Cow::Owned(self.address.to_string()),
            Letter::Receiver => Cow::Borrowed(if self.receiver.is_empty() { UNKNOWN } else { self.receiver }),
            Letter::Time => Cow::Owned(self.now.as_secs().to_string()),
        }
    }
}

/// RFC 7208 §7.3: labels are dropped on the left until the name is short enough.
fn shortened(text: &str) -> Option<&str> {
    let Some(excess) = text.len().checked_sub(NAME_OCTETS).filter(|excess| *excess > 0) else {
        return Some(text);
    };
    // A label that begins right after the cut is whole when a dot stands before the cut.
    let dot = text.bytes().skip(excess - 1).position(|octet| octet == b'.')?;
    text.get(excess + dot..)
}

/// RFC 7208 §7.3: an IPv6 address as its 32 digits with dots between them.
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let digits = format!("{:032X}", address.to_bits());
            let mut out = String::with_capacity(63);
            for digit in digits.chars() {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push(digit);
            }
            out
        }
    }
}

/// RFC 7208 §7.3: everything but the unreserved characters of RFC 3986 §2.3 is escaped.
fn url_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(octet));
        } else {
            let _infallible = write!(out, "%{octet:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::macros::Place, *};

    fn with_values(address: &str, look: impl FnOnce(Values<'_>)) {
        let domain = Name::parse("email.example.com").unwrap();
        let client = Name::parse("mx.example.org").unwrap();
        look(Values {
            address: address.parse().unwrap(),
            local_part: "strong-bad",
            sender_domain: "email.example.com",
            helo: "mail host",
            receiver: "mx.example.net",
            now: Timestamp::from_secs(1_795_521_600),
            domain: &domain,
            client_name: Some(&client),
        });
    }

    fn explain(address: &str, text: &str, expect: &str) {
        let text = MacroString::parse(text, Place::Explanation).unwrap();
        with_values(address, |values| assert_eq!(values.explanation(&text), expect, "{text}"));
    }

    /// RFC 7208 §7.4.
    #[test]
    fn the_examples_of_the_rfc() {
        let check = |text, expect| explain("192.0.2.3", text, expect);
        check("%{s}", "strong-bad@email.example.com");
        check("%{o} %{d} %{d4} %{d3}", "email.example.com email.example.com email.example.com email.example.com");
        check("%{d2} %{d1} %{dr} %{d2r}", "example.com com com.example.email example.email");
        check("%{l} %{l-} %{lr} %{lr-} %{l1r-}", "strong-bad strong.bad strong-bad bad.strong strong");
        check("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com");
        check("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com");
        check("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com");
        check("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com");
        check("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net");
        explain(
            "2001:db8::cb01",
            "%{ir}.%{v}._spf.%{d2}",
            "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com",
        );
    }

    #[test]
    fn the_other_letters() {
        explain(
            "192.0.2.3",
            "%{p} %{h} %{H} %{r} %{t}",
            "mx.example.org mail host mail%20host mx.example.net 1795521600",
        );
        explain("2001:db8::1", "%{c} 100%%%_%-", "2001:db8::1 100% %20");
        explain("192.0.2.3", "%{S}", "strong-bad%40email.example.com");
    }

    #[test]
    fn an_explanation_is_one_bounded_line() {
        let text = MacroString::parse(&"%{l}".repeat(10_000), Place::Explanation).unwrap();
        with_values("192.0.2.3", |values| {
            let hostile = Values { local_part: "a\r\nb\u{e9}", ..values };
            let line = hostile.explanation(&text);
            assert!(line.starts_with("a??b?a??b?"), "{line}");
            assert_eq!(line.len(), EXPLANATION_OCTETS_MAX);
        });
    }

    #[test]
    fn a_name_that_is_too_long_loses_labels_on_the_left() {
        let name = |text: &str| {
            let mut out = None;
            with_values("192.0.2.3", |values| out = values.name(&DomainSpec::parse(text).unwrap()));
            out.map(|name| name.to_string())
        };
        let tail = format!("{}.example", "a23456789.".repeat(24).trim_end_matches('.'));
        assert_eq!(tail.len(), 247);
        assert_eq!(name(&format!("b.12345.{tail}.")), Some(format!("12345.{tail}")), "253 octets fit");
        assert_eq!(name(&format!("b.123456.{tail}")), Some(tail.clone()), "254 do not");
        assert_eq!(
            name(&format!("{}.{tail}", "%{d}.".repeat(10_000).trim_end_matches('.'))),
            Some(format!("com.{tail}"))
        );
        assert_eq!(name(&format!("{}.example", "a".repeat(64))), None, "a label that is too long");
        assert_eq!(name(&format!("{}.a.example", "a".repeat(60_000))).as_deref(), Some("a.example"));
        assert_eq!(name("a..example"), None);
        assert_eq!(name("%{h}.example").as_deref(), Some("mail host.example"));
    }
}
