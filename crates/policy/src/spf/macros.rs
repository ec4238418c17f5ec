//! Macro strings (RFC 7208 §7.1): read once, printed as they are written. What they stand for is `expand`'s.

use std::fmt;

/// The octets that may split a macro's value, in the order of their bits in [`Delimiters`].
const DELIMITERS: &[u8; 7] = b".-+,/_=";

/// Why a text is no macro string or domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacroError {
    /// After `%` comes something else than `{`, `%`, `_` or `-`.
    #[error("after % there must be one of {{ % _ -")]
    Percent,
    /// The `{` is never closed, or there is something before the `}` that does not belong there.
    #[error("a macro is written as a letter, a number, r and delimiters in braces, such as %{{l1r+}}")]
    Braces,
    /// There is no such macro.
    #[error("there is no macro of that letter")]
    Letter,
    /// `c`, `r` and `t` have no place in names.
    #[error("the macros c, r and t are for explanations only")]
    ExplanationOnly,
    /// `%{d0}`.
    #[error("a macro can't be cut to no parts at all")]
    NoParts,
    /// A control character, or a blank where there may be none.
    #[error("there is a character that is not printable ASCII")]
    Character,
    /// There must be a name.
    #[error("a domain is missing")]
    NoDomain,
    /// The name neither ends in a macro nor in a dot and a top-level label.
    #[error("the domain does not end in a macro or in a top-level domain")]
    TopLabel,
}

/// Where a macro string stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a term of a record.
    Term,
    /// In the text that `exp` points to, where there are blanks and three more letters.
    Explanation,
}

/// A text with macros in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacroString(Box<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(Box<str>),
    Macro(Macro),
    /// `%%`
    Percent,
    /// `%_`
    Blank,
    /// `%-`
    EncodedBlank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Macro {
    pub(super) letter: Letter,
    /// Written in upper case: the value is escaped as in URLs.
    pub(super) escape: bool,
    /// Parts that are kept, counted from the right.
    pub(super) keep: Option<u16>,
    pub(super) reverse: bool,
    pub(super) delimiters: Delimiters,
}

/// RFC 7208 §7.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    Sender,
    LocalPart,
    SenderDomain,
    Domain,
    Address,
    ClientName,
    AddressFamily,
    Helo,
    ReadableAddress,
    Receiver,
    Time,
}

const LETTERS: [(Letter, u8); 11] = [
    (Letter::Sender, b's'),
    (Letter::LocalPart, b'l'),
    (Letter::SenderDomain, b'o'),
    (Letter::Domain, b'd'),
    (Letter::Address, b'i'),
    (Letter::ClientName, b'p'),
    (Letter::AddressFamily, b'v'),
    (Letter::Helo, b'h'),
    (Letter::ReadableAddress, b'c'),
    (Letter::Receiver, b'r'),
    (Letter::Time, b't'),
];

impl Letter {
    fn read(octet: u8) -> Option<Self> {
        LETTERS.iter().find(|(_, letter)| *letter == octet.to_ascii_lowercase()).map(|(letter, _)| *letter)
    }

    fn as_char(self) -> char {
        LETTERS.iter().find(|(letter, _)| *letter == self).map_or('?', |(_, octet)| char::from(*octet))
    }

    fn is_for_explanations(self) -> bool {
        matches!(self, Self::ReadableAddress | Self::Receiver | Self::Time)
    }
}

/// A set of delimiters: a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delimiters(u8);

impl Delimiters {
    /// RFC 7208 §7.1: a dot when nothing is given.
    const DOT: Self = Self(1);

    fn read(text: &[u8]) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::DOT);
        }
        let bit = |octet: &u8| DELIMITERS.iter().position(|known| known == octet);
        text.iter().try_fold(0, |bits, octet| Some(bits | 1 << bit(octet)?)).map(Self)
    }

    pub(super) fn has(self, character: char) -> bool {
        DELIMITERS.iter().position(|known| char::from(*known) == character).is_some_and(|at| self.0 >> at & 1 == 1)
    }
}

impl MacroString {
    pub(super) fn parse(text: &str, place: Place) -> Result<Self, MacroError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest.split_at(rest.find('%').unwrap_or(rest.len()));
            if !literal.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ' && place == Place::Explanation) {
                return Err(MacroError::Character);
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.into()));
            }
            rest = match after.strip_prefix('%') {
                Some(after) => {
                    let (piece, after) = read_expand(after, place)?;
                    pieces.push(piece);
                    after
                }
                None => after,
            };
        }
        Ok(Self(pieces.into()))
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Whether it has `%{p}`, for which the DNS must be asked.
    pub(super) fn needs_client_name(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Macro(Macro { letter: Letter::ClientName, .. })))
    }
}

/// Reads what stands after a `%`.
fn read_expand(text: &str, place: Place) -> Result<(Piece, &str), MacroError> {
    let rest = text.get(1..).ok_or(MacroError::Percent)?;
    match text.as_bytes().first() {
        Some(b'%') => Ok((Piece::Percent, rest)),
        Some(b'_') => Ok((Piece::Blank, rest)),
        Some(b'-') => Ok((Piece::EncodedBlank, rest)),
        Some(b'{') => {
            let (inner, rest) = rest.split_once('}').ok_or(MacroError::Braces)?;
            Ok((Piece::Macro(read_macro(inner.as_bytes(), place)?), rest))
        }
        _ => Err(MacroError::Percent),
    }
}

/// Reads a letter, digits, `r` and delimiters.
fn read_macro(inner: &[u8], place: Place) -> Result<Macro, MacroError> {
    let (first, rest) = inner.split_first().ok_or(MacroError::Braces)?;
    let letter = Letter::read(*first).ok_or(MacroError::Letter)?;
    if letter.is_for_explanations() && place == Place::Term {
        return Err(MacroError::ExplanationOnly);
    }
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(digits);
    let (reverse, rest) = match rest.split_first() {
        Some((b'r' | b'R', rest)) => (true, rest),
        _ => (false, rest),
    };
    Ok(Macro {
        letter,
        escape: first.is_ascii_uppercase(),
        keep: read_keep(digits)?,
        reverse,
        delimiters: Delimiters::read(rest).ok_or(MacroError::Braces)?,
    })
}

/// RFC 7208 §7.3: any number but 0. No value has as many parts as the greatest that fits, so a greater one is the same.
fn read_keep(digits: &[u8]) -> Result<Option<u16>, MacroError> {
    if digits.is_empty() {
        return Ok(None);
    }
    let number =
        digits.iter().fold(0_u16, |number, digit| number.saturating_mul(10).saturating_add(u16::from(*digit - b'0')));
    if number == 0 { Err(MacroError::NoParts) } else { Ok(Some(number)) }
}

impl fmt::Display for MacroString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Literal(text) => f.write_str(text),
            Piece::Macro(one) => one.fmt(f),
            Piece::Percent => f.write_str("%%"),
            Piece::Blank => f.write_str("%_"),
            Piece::EncodedBlank => f.write_str("%-"),
        })
    }
}

impl fmt::Display for Macro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = self.letter.as_char();
        write!(f, "%{{{}", if self.escape { letter.to_ascii_uppercase() } else { letter })?;
        if let Some(keep) = self.keep {
            write!(f, "{keep}")?;
        }
        if self.reverse {
            f.write_str("r")?;
        }
        if self.delimiters != Delimiters::DOT {
            for delimiter in DELIMITERS.iter().map(|octet| char::from(*octet)).filter(|one| self.delimiters.has(*one)) {
                write!(f, "{delimiter}")?;
            }
        }
        f.write_str("}")
    }
}

/// A macro string that becomes the name of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainSpec(MacroString);

impl DomainSpec {
    /// Reads a `domain-spec`.
    ///
    /// # Errors
    /// When it is empty, has a bad macro, or ends in something that can't be a top-level domain.
    pub(super) fn parse(text: &str) -> Result<Self, MacroError> {
        let string = MacroString::parse(text, Place::Term)?;
        // RFC 7208 §7.1: domain-end is judged before the macros are expanded, not after.
        match string.pieces().last() {
            None => Err(MacroError::NoDomain),
            Some(Piece::Literal(end)) if !ends_in_top_label(end) => Err(MacroError::TopLabel),
            Some(_) => Ok(Self(string)),
        }
    }

    pub(super) fn as_macros(&self) -> &MacroString {
        &self.0
    }
}

impl fmt::Display for DomainSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A dot, then letters, digits and inner hyphens, not all of them digits; then perhaps a last dot.
fn ends_in_top_label(text: &str) -> bool {
    let Some((_, label)) = text.strip_suffix('.').unwrap_or(text).rsplit_once('.') else {
        return false;
    };
    let at_ends = |octet: Option<u8>| octet.is_some_and(|octet| octet.is_ascii_alphanumeric());
    at_ends(label.bytes().next())
        && at_ends(label.bytes().last())
        && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && !label.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_are_read_and_printed() {
        let check = |text: &str, expect: Result<&str, MacroError>| {
            let printed = MacroString::parse(text, Place::Term).map(|read| read.to_string());
            assert_eq!(printed.as_deref(), expect.as_ref().map(|text| *text), "{text}");
        };
        check("a%%b%_%-c", Ok("a%%b%_%-c"));
        check(
            "%{S}%{l1}%{o02}%{D3R}%{ir}%{p.}%{vr-.}%{h=_/,+-.}",
            Ok("%{S}%{l1}%{o2}%{D3r}%{ir}%{p}%{vr.-}%{h.-+,/_=}"),
        );
        check("%{d99999999999999999999}", Ok("%{d65535}"));
        check("%", Err(MacroError::Percent));
        check("%a", Err(MacroError::Percent));
        check("%(d)", Err(MacroError::Percent));
        check("%{d", Err(MacroError::Braces));
        check("%{}", Err(MacroError::Braces));
        check("%{dx}", Err(MacroError::Braces));
        check("%{d1r1}", Err(MacroError::Braces));
        check("%{x}", Err(MacroError::Letter));
        check("%{T}", Err(MacroError::ExplanationOnly));
        check("%{d0}", Err(MacroError::NoParts));
        check("%{d00r-}", Err(MacroError::NoParts));
        check("a b", Err(MacroError::Character));
        check("a\tb", Err(MacroError::Character));
        check("%\u{e9}", Err(MacroError::Percent));
    }

    #[test]
    fn explanations_have_blanks_and_more_letters() {
        let read = |text| MacroString::parse(text, Place::Explanation).map(|read| read.to_string());
        assert_eq!(read("%{c} at %{t} by %{R}"), Ok("%{c} at %{t} by %{R}".to_owned()));
        assert_eq!(read("a\r\nb"), Err(MacroError::Character));
    }

    #[test]
    fn a_domain_ends_in_a_macro_or_in_a_top_label() {
        let check = |text: &str, expect: Result<(), MacroError>| {
            assert_eq!(DomainSpec::parse(text).map(drop), expect, "{text}");
        };
        for good in
            ["a.example", "a.example.", "%{d}", "x%{d}", "%{d}.example", "a..example", "a/b:c.xn--p1ai", "a.1-2"]
        {
            check(good, Ok(()));
        }
        for bad in
            ["example", "example.", "a.123", "a.-b", "a.b-", "a.b_c", "%{d}example", "a.example:80", "a.b..", "."]
        {
            check(bad, Err(MacroError::TopLabel));
        }
        check("", Err(MacroError::NoDomain));
    }
}
