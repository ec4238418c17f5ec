//! The one domain in From (RFC 9989 §5.3.1), and everything that is not one.
//!
//! A forger wins when we verify one domain and the reader's program shows another. So nothing is guessed here: a From
//! that two readers could understand differently is refused or has no author. What people write although it should be
//! quoted (dots, brackets, commas in a display name) does no harm and is taken.

use std::borrow::Cow;

use mail::header::Header;

use crate::{comment, dns::Name};

/// Octets of a domain that are converted to A-labels: one of 253 octets has fewer, whatever it is written in.
const FOREIGN_OCTETS: usize = 1024;

/// The author of a message, as far as DMARC is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The domain of its address in From, in A-labels.
    pub domain: Name,
}

/// Why there is no one author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorError {
    /// No From field.
    #[error("the message has no From field")]
    Missing,
    /// RFC 5322 §3.6: exactly one. Programs differ in which of two they show.
    #[error("the message has more than one From field")]
    Repeated,
    /// The header was not listed to its end, so a second From may follow.
    #[error("the message has too many header fields")]
    Overlong,
    /// NUL, another control character, or a bare CR or LF.
    #[error("the From field has a control character")]
    Character,
    /// Quotes, comments or brackets that do not match, text after the address, two addresses where one can be, a
    /// source route, or a domain that is none.
    #[error("the From field can't be read")]
    Malformed,
    /// Nothing but words, or an empty group (RFC 6854).
    #[error("the From field has no address")]
    NoAddress,
    /// An address literal: nobody can publish a policy for it.
    #[error("the address in the From field has no domain name")]
    Literal,
    /// Addresses of several domains; also one in a display name without quotes beside another in brackets.
    #[error("the From field has addresses of more than one domain")]
    Several,
}

/// What to do with a message that has no one author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// No honest program writes it, and what readers see is anybody's guess: 5xx.
    Refuse,
    /// It may be honest, but nobody vouches for it: `dmarc=permerror`, and the receiver's rule for that.
    Permerror,
}

impl AuthorError {
    /// What is safe to do.
    pub fn remedy(self) -> Remedy {
        match self {
            Self::Repeated | Self::Overlong | Self::Character | Self::Malformed => Remedy::Refuse,
            Self::Missing | Self::NoAddress | Self::Literal | Self::Several => Remedy::Permerror,
        }
    }
}

impl Author {
    /// Finds the author in a header section. `From :` is a From field, too (RFC 5322 §4.5). Linear in its length.
    ///
    /// # Errors
    /// When there is not exactly one domain that every reader would see.
    pub fn from_header(header: &Header<'_>) -> Result<Self, AuthorError> {
        let mut fields = header.all("From");
        let field = fields.next();
        if fields.next().is_some() {
            return Err(AuthorError::Repeated);
        }
        if header.fields.last().is_some_and(|last| last.range.end < header.end) {
            return Err(AuthorError::Overlong);
        }
        Self::from_value(field.ok_or(AuthorError::Missing)?.value)
    }

    /// Finds the author in the value of a From field, folds included.
    ///
    /// # Errors
    /// As [`Author::from_header`].
    pub fn from_value(value: &[u8]) -> Result<Self, AuthorError> {
        if !is_clean(value) {
            return Err(AuthorError::Character);
        }
        // Display names in old character sets are common and harmless; a domain of replacement characters is none.
        let text = String::from_utf8_lossy(value);
        let tokens = tokens(&text)?;
        let mut author = None;
        let ends = |token: &Token<'_>| matches!(token.kind, Kind::Sign(',' | ';' | ':'));
        for entry in tokens.split(ends) {
            read_entry(entry, &mut author)?;
        }
        author.ok_or(AuthorError::NoAddress)
    }
}

/// Whether there is no control character but tabs and folds.
fn is_clean(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|octet| octet.is_ascii_control() && *octet != b'\t') {
        rest = match rest.get(at..) {
            Some([b'\r', b'\n', rest @ ..]) if matches!(rest, [] | [b' ' | b'\t', ..]) => rest,
            _ => return false,
        };
    }
    true
}

/// A piece of an address list (RFC 5322 §3.2, §3.4).
#[derive(Debug, PartialEq, Eq)]
struct Token<'a> {
    kind: Kind<'a>,
    /// Whether a blank or a comment stands before it.
    apart: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind<'a> {
    /// Characters that mean nothing by themselves.
    Word(&'a str),
    /// A quoted string with its quotes; what it says is never an address.
    Quoted(&'a str),
    /// `[…]` after an `@`.
    Literal,
    /// One of `<>,;:@`.
    Sign(char),
}

/// Cuts a list into its pieces and drops blanks and comments.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, AuthorError> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut rest = text;
    let mut apart = false;
    while let Some(first) = rest.chars().next() {
        let after_at = tokens.last().is_some_and(|token| token.kind == Kind::Sign('@'));
        let (kind, length) = match first {
            ' ' | '\t' | '\r' | '\n' => (None, 1),
            '(' => (None, comment::length(rest).ok_or(AuthorError::Malformed)?),
            '"' => {
                let length = quoted_length(rest).ok_or(AuthorError::Malformed)?;
                (rest.get(..length).map(Kind::Quoted), length)
            }
            '[' if after_at => (Some(Kind::Literal), rest.find(']').ok_or(AuthorError::Malformed)? + 1),
            '<' | '>' | ',' | ';' | ':' | '@' => (Some(Kind::Sign(first)), 1),
            _ => {
                let length = word_length(rest);
                (rest.get(..length).map(Kind::Word), length)
            }
        };
        match kind {
            Some(kind) => tokens.push(Token { kind, apart: std::mem::take(&mut apart) }),
            None => apart = true,
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(tokens)
}

/// Octets of the quoted string that `text` begins with.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate().skip(1) {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Octets of the word that `text` begins with: at least one character.
fn word_length(text: &str) -> usize {
    let ends =
        |character: char| matches!(character, ' ' | '\t' | '\r' | '\n' | '(' | '"' | '<' | '>' | ',' | ';' | ':' | '@');
    text.char_indices().skip(1).find(|(_, character)| ends(*character)).map_or(text.len(), |(at, _)| at)
}

/// One entry of the list: words, an address, or words and an address in brackets.
fn read_entry(entry: &[Token<'_>], author: &mut Option<Author>) -> Result<(), AuthorError> {
    let position = |sign| entry.iter().position(|token| token.kind == Kind::Sign(sign));
    let Some(open) = position('<') else {
        return match (position('>'), position('@')) {
            (Some(_), _) => Err(AuthorError::Malformed),
            (None, Some(_)) => add(author, address(entry)?),
            (None, None) => Ok(()),
        };
    };
    // The first closing bracket ends the entry: nothing may follow the address.
    if position('>') != Some(entry.len() - 1) || position('<') != Some(open) {
        return Err(AuthorError::Malformed);
    }
    let (phrase, inner) =
        (entry.get(..open).unwrap_or_default(), entry.get(open + 1..entry.len() - 1).unwrap_or_default());
    if inner.iter().any(|token| token.kind == Kind::Sign('<')) {
        return Err(AuthorError::Malformed);
    }
    for shown in phrase.windows(3).filter(|window| is_shown_address(window)) {
        add(author, address(shown)?)?;
    }
    // RFC 5322 knows no empty path in From; it names nobody.
    if inner.is_empty() { Ok(()) } else { add(author, address(inner)?) }
}

/// Whether three pieces of a display name look like an address to whoever reads them.
fn is_shown_address(window: &[Token<'_>]) -> bool {
    matches!(
        window,
        [
            Token { kind: Kind::Word(_) | Kind::Quoted(_), .. },
            Token { kind: Kind::Sign('@'), apart: false },
            Token { kind: Kind::Word(_) | Kind::Literal, apart: false },
        ]
    )
}

/// The domain of `local@domain`.
fn address(tokens: &[Token<'_>]) -> Result<Name, AuthorError> {
    let is_at = |token: &Token<'_>| token.kind == Kind::Sign('@');
    let mut halves = tokens.split(is_at);
    let (Some(local), Some(domain), None) = (halves.next(), halves.next(), halves.next()) else {
        return Err(AuthorError::Malformed);
    };
    // RFC 2047 §5: there is no encoded word in an address; some programs decode it, and show another address.
    let plain = |token: &Token<'_>| match token.kind {
        Kind::Word(text) | Kind::Quoted(text) => !text.contains("=?"),
        Kind::Literal | Kind::Sign(_) => false,
    };
    if local.is_empty() || !local.iter().all(plain) {
        return Err(AuthorError::Malformed);
    }
    if matches!(domain, [Token { kind: Kind::Literal, .. }]) {
        return Err(AuthorError::Literal);
    }
    let mut text = String::new();
    for token in domain {
        let Kind::Word(word) = token.kind else { return Err(AuthorError::Malformed) };
        // RFC 5322 §4.4: blanks and comments may stand beside the dots, nowhere else.
        if token.apart && !text.is_empty() && !text.ends_with('.') && !word.starts_with('.') {
            return Err(AuthorError::Malformed);
        }
        text.push_str(word);
    }
    domain_name(&text).ok_or(AuthorError::Malformed)
}

/// The name of a domain, in A-labels (RFC 9989 §5.3.1).
fn domain_name(text: &str) -> Option<Name> {
    let ascii = match text.is_ascii() {
        true => Cow::Borrowed(text),
        // Converting takes time by the square of a label.
        false if text.len() > FOREIGN_OCTETS => return None,
        false => Cow::Owned(idna::domain_to_ascii(text).ok()?),
    };
    let domain: mail::Domain = ascii.strip_suffix('.').unwrap_or(&ascii).parse().ok()?;
    Name::parse(domain.name()?).ok()
}

/// Adds an author; another domain than before makes several.
fn add(author: &mut Option<Author>, domain: Name) -> Result<(), AuthorError> {
    match author {
        Some(author) if author.domain != domain => Err(AuthorError::Several),
        Some(_) => Ok(()),
        None => {
            *author = Some(Author { domain });
            Ok(())
        }
    }
}
