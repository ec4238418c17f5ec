//! Tag lists (RFC 6376 §3.2): `v=1; a=rsa-sha256; …`, in header fields and in the DNS.
//!
//! DKIM signatures, key records, ARC fields and DMARC records are all written so. What a tag means is not known here.

use std::{borrow::Cow, ops::Range};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// More tags than any list needs; those in use have about fifteen.
pub(crate) const TAGS_MAX: usize = 64;

/// Base64 as people publish it: padding may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a text is no tag list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Something that is not `name=value`, or a character that belongs to neither.
    #[error("it is not a list of tags")]
    Syntax,
    /// RFC 6376 §3.2: a tag that occurs twice makes the whole list invalid.
    #[error("a tag occurs twice")]
    Duplicate,
    /// More than 64 tags.
    #[error("it has too many tags")]
    TooMany,
}

/// A tag list, in the order written.
#[derive(Clone, Debug)]
pub(crate) struct Tags<'a>(Vec<Tag<'a>>);

/// One tag.
#[derive(Clone, Debug)]
pub(crate) struct Tag<'a> {
    /// As written; names are case-sensitive.
    pub(crate) name: &'a str,
    /// Without blanks and folds at its ends; those inside are kept.
    pub(crate) value: &'a str,
    /// All octets between `=` and `;` in the text, blanks included.
    pub(crate) range: Range<usize>,
}

impl<'a> Tags<'a> {
    /// Reads a list: a field's value with its folds, or a record. Linear.
    ///
    /// # Errors
    /// When it is not a list, has a tag twice or more than [`TAGS_MAX`] tags.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, TagError> {
        let text = str::from_utf8(text).map_err(|_| TagError::Syntax)?;
        let mut tags: Vec<Tag<'a>> = Vec::with_capacity(16);
        let mut at = 0;
        for part in text.split(';') {
            let range = at..at + part.len();
            at = range.end + 1;
            // Only what follows the last semicolon may be nothing.
            if range.end == text.len() && trimmed(part).is_empty() && !tags.is_empty() {
                break;
            }
            if tags.len() == TAGS_MAX {
                return Err(TagError::TooMany);
            }
            let tag = Tag::parse(part, range.start).ok_or(TagError::Syntax)?;
            if tags.iter().any(|other| other.name == tag.name) {
                return Err(TagError::Duplicate);
            }
            tags.push(tag);
        }
        Ok(Self(tags))
    }

    /// The value of a tag.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.tag(name).map(|tag| tag.value)
    }

    /// A tag.
    pub(crate) fn tag(&self, name: &str) -> Option<&Tag<'a>> {
        self.0.iter().find(|tag| tag.name == name)
    }

    /// The first tag of the list; RFC 6376 §3.6.1 and RFC 9989 §4.7 say what it must be.
    pub(crate) fn first(&self) -> Option<&Tag<'a>> {
        self.0.first()
    }
}

impl<'a> Tag<'a> {
    /// `part` is what stands between two semicolons; it begins at `start`.
    fn parse(part: &'a str, start: usize) -> Option<Self> {
        let (name, value) = part.split_once('=')?;
        let range = start + name.len() + 1..start + part.len();
        let (name, value) = (trimmed(name), trimmed(value));
        let named = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
        (named && is_value(value)).then_some(Self { name, value, range })
    }
}

/// Whether all characters may stand in a value: visible ones, blanks, folds, and (RFC 8616 §3) what is not ASCII.
fn is_value(value: &str) -> bool {
    let octets = value.as_bytes();
    octets.iter().enumerate().all(|(at, octet)| match octet {
        b'\r' => octets.get(at + 1) == Some(&b'\n'),
        b'\n' => at > 0 && octets.get(at - 1) == Some(&b'\r'),
        octet => !octet.is_ascii_control() || *octet == b'\t',
    })
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// Without blanks and folds at its ends.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Without any blank or fold (RFC 6376 §2.8: FWS is ignored in base64 and in lists).
pub(crate) fn without_blanks(text: &str) -> Cow<'_, str> {
    if text.contains(is_blank) {
        Cow::Owned(text.chars().filter(|character| !is_blank(*character)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The octets that a base64 value stands for, at most `max`; blanks are ignored.
pub(crate) fn base64_octets(value: &str, max: usize) -> Option<Vec<u8>> {
    let text = without_blanks(value);
    (text.len() / 4 * 3 <= max + 3)
        .then(|| LENIENT.decode(text.as_bytes()).ok())
        .flatten()
        .filter(|octets| octets.len() <= max)
}

/// The parts of a list with colons, blanks and folds around each removed (RFC 6376 §3.2).
pub(crate) fn colon_list(value: &str) -> impl Iterator<Item = &str> {
    value.split(':').map(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, TagError> {
        let tags = Tags::parse(text.as_bytes())?;
        Ok(tags.0.iter().map(|tag| (tag.name.to_owned(), tag.value.to_owned())).collect())
    }

    #[test]
    fn lists_are_read_with_their_blanks_and_folds() {
        let check = |text: &str, expect: &[(&str, &str)]| {
            let expect = expect.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(read(text), Ok(expect), "{text:?}");
        };
        check("a=b", &[("a", "b")]);
        check(" a = b c ;\r\n\tbh=d=\r\n e==;\r\n", &[("a", "b c"), ("bh", "d=\r\n e==")]);
        check("p=", &[("p", "")]);
        check("n=gr\u{fc}\u{df}e; p=x;", &[("n", "gr\u{fc}\u{df}e"), ("p", "x")]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let check = |text: &[u8], expect| assert_eq!(Tags::parse(text).map(|_| ()), Err(expect), "{text:?}");
        for text in ["", ";", "a", "a=b;;c=d", "=b", "1a=b", "a-b=c", "a=b\0c", "a=b\rc", "a=b\nc", "a b=c", "\u{e4}=b"]
        {
            check(text.as_bytes(), TagError::Syntax);
        }
        check(b"a=\xff", TagError::Syntax);
        check(b"a=b; c=d; a=b", TagError::Duplicate);
        check("a=b;".repeat(2).as_bytes(), TagError::Duplicate);
        let many: String = (0..=TAGS_MAX).map(|number| format!("a{number}=;")).collect();
        check(many.as_bytes(), TagError::TooMany);
    }

    #[test]
    fn the_range_is_all_between_the_sign_and_the_semicolon() {
        let text = "v=1; b =\r\n abc \r\n d ; x=1";
        let tags = Tags::parse(text.as_bytes()).unwrap();
        assert_eq!(&text[tags.tag("b").unwrap().range.clone()], "\r\n abc \r\n d ");
        assert_eq!(&text[tags.tag("x").unwrap().range.clone()], "1");
    }

    #[test]
    fn base64_may_be_folded_and_lack_its_padding() {
        assert_eq!(base64_octets("aGVs\r\n bG8=", 5).as_deref(), Some(&b"hello"[..]));
        assert_eq!(base64_octets("aGVsbG8", 5).as_deref(), Some(&b"hello"[..]));
        assert_eq!(base64_octets("aGVsbG8=", 4), None);
        assert_eq!(base64_octets("aGV*", 9), None);
    }
}
