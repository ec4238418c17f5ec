//! Changes to a header: what filters add and remove, checked one by one, gathered from all of them, applied together.
//!
//! What is added stands below our own trace fields and above the letter's. What is removed is removed from the letter as
//! it came; our own fields stay. A field that could be more than one field, or a line that could end the header, is no
//! field: the whole answer it came in is worthless then.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use mail::header::{Header, LINE_MAX};
use spool::{Draft, DraftReader, Spool, SpoolError};

use super::letter::{self, Letter};

/// Fields that one answer adds, and fields that it removes.
pub(crate) const CHANGES_MAX: usize = 100;
/// Octets that one answer adds.
pub(crate) const ADDED_OCTETS_MAX: usize = 32 * 1024;
/// Octets of a field's name.
const NAME_MAX: usize = 76;
/// Octets that a line should stay within (RFC 5322 §2.1.1).
const LINE_WISH: usize = 78;
/// Octets of text in one encoded word (RFC 2047 §2): with its frame in base64 it has at most 75.
const ENCODED_TEXT: usize = 45;

/// Why something is no field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoField {
    /// Its name has octets that no name has, or is too long.
    #[error("{0:?} is no name of a header field")]
    Name(String),
    /// Its value has a line end that ends the field, or a control character.
    #[error("the value of {0} has a line end or a control character")]
    Value(String),
    /// A line of it would be too long, and can't be folded.
    #[error("the value of {0} has a word too long for a line")]
    Word(String),
    /// There is too much.
    #[error("more than {CHANGES_MAX} fields or {ADDED_OCTETS_MAX} octets of them")]
    TooMuch,
}

/// Which of the fields with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All of them.
    All,
    /// The first is 0.
    FromTop(usize),
    /// The last is 0.
    FromBottom(usize),
}

/// What is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Whole fields with their line ends.
    added: Vec<u8>,
    additions: usize,
    removed: Vec<(String, Which)>,
}

impl Changes {
    /// Adds a field below those added before. A value may be folded; text that is not ASCII is encoded (RFC 2047).
    pub(crate) fn add(&mut self, name: &str, value: &str) -> Result<(), NoField> {
        check_name(name)?;
        let field = field(name, value)?;
        if self.additions >= CHANGES_MAX || self.added.len() + field.len() > ADDED_OCTETS_MAX {
            return Err(NoField::TooMuch);
        }
        self.additions += 1;
        self.added.extend_from_slice(&field);
        Ok(())
    }

    /// Removes fields by their name.
    pub(crate) fn remove(&mut self, name: &str, which: Which) -> Result<(), NoField> {
        check_name(name)?;
        if self.removed.len() >= CHANGES_MAX {
            return Err(NoField::TooMuch);
        }
        self.removed.push((name.to_owned(), which));
        Ok(())
    }

    /// Takes in the changes of another filter. Both were made for the same letter.
    pub(crate) fn join(&mut self, other: Self) {
        self.added.extend_from_slice(&other.added);
        self.additions += other.additions;
        self.removed.extend(other.removed);
    }

    /// The whole fields that are added.
    #[cfg(test)]
    pub(crate) fn added(&self) -> &[u8] {
        &self.added
    }

    /// Applies everything: the prefix with the added fields, and a draft without the removed ones. The draft is another
    /// one only when something was there to remove; an error leaves nothing behind.
    pub(crate) async fn apply(
        &self,
        spool: &dyn Spool,
        prefix: Bytes,
        draft: Draft,
    ) -> Result<(Bytes, Draft), SpoolError> {
        let prefix = if self.added.is_empty() {
            prefix
        } else {
            let mut longer = BytesMut::with_capacity(prefix.len() + self.added.len());
            longer.extend_from_slice(&prefix);
            longer.extend_from_slice(&self.added);
            longer.freeze()
        };
        if self.removed.is_empty() {
            return Ok((prefix, draft));
        }
        let gathered = Letter::new(&prefix, draft.reader()?).gather_header().await?;
        let gone = self.ranges(&letter::header(&gathered));
        if gone.is_empty() {
            return Ok((prefix, draft));
        }
        let rewritten = copy_without(spool, draft.reader()?, &gone).await?;
        Ok((prefix, rewritten))
    }

    /// Where the removed fields stand, in order.
    fn ranges(&self, header: &Header<'_>) -> Vec<Range<usize>> {
        let mut gone: Vec<Range<usize>> = Vec::new();
        for (name, which) in &self.removed {
            let mut found = header.all(name).map(|field| field.range.clone());
            match which {
                Which::All => gone.extend(found),
                Which::FromTop(place) => gone.extend(found.nth(*place)),
                Which::FromBottom(place) => {
                    let all: Vec<_> = found.collect();
                    gone.extend(all.into_iter().rev().nth(*place));
                }
            }
        }
        gone.sort_by_key(|range| range.start);
        gone.dedup();
        gone
    }
}

/// A new draft with what the old one has outside the ranges.
async fn copy_without(
    spool: &dyn Spool,
    mut reader: DraftReader<'_>,
    gone: &[Range<usize>],
) -> Result<Draft, SpoolError> {
    let mut copy = spool.begin()?;
    let mut at = 0;
    while let Some(piece) = reader.read().await? {
        let end = at + piece.len();
        let mut from = at;
        for range in gone.iter().filter(|range| range.start < end && range.end > at) {
            if let Some(kept) = piece.get(from - at..range.start.max(from) - at) {
                copy.write(kept).await?;
            }
            from = range.end.clamp(from, end);
        }
        copy.write(piece.get(from - at..).unwrap_or_default()).await?;
        at = end;
    }
    Ok(copy)
}

fn check_name(name: &str) -> Result<(), NoField> {
    // RFC 5322 §3.6.8
    let sound = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, 33..=57 | 59..=126));
    if sound { Ok(()) } else { Err(NoField::Name(name.chars().take(NAME_MAX).collect())) }
}

/// The field with its line ends.
fn field(name: &str, value: &str) -> Result<Vec<u8>, NoField> {
    let lines = lines(name, value)?;
    let unfolded = lines.join(" ");
    let mut out = format!("{name}:").into_bytes();
    if !unfolded.is_ascii() {
        fold(encoded(&unfolded).iter().map(String::as_str), &mut out);
    } else if lines.iter().all(|line| line.len() + name.len() + 2 <= LINE_MAX) {
        // As the filter folded it.
        out.push(b' ');
        out.extend_from_slice(lines.join("\r\n\t").as_bytes());
    } else if unfolded.split(' ').any(|word| word.len() + name.len() + 2 > LINE_MAX) {
        return Err(NoField::Word(name.to_owned()));
    } else {
        fold(unfolded.split(' '), &mut out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// The value's lines without the blanks around them: a line end counts only where a fold follows it.
fn lines<'v>(name: &str, value: &'v str) -> Result<Vec<&'v str>, NoField> {
    let bad = || NoField::Value(name.to_owned());
    let mut lines = Vec::new();
    for (number, line) in value.trim_end_matches(['\r', '\n', ' ', '\t']).split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let folded = number == 0 || line.starts_with([' ', '\t']);
        let line = line.trim_matches([' ', '\t']);
        if !folded || line.chars().any(|character| character.is_control() && character != '\t') {
            return Err(bad());
        }
        if line.is_empty() && number > 0 {
            // A line of blanks alone is obsolete, and many a program ends the header there (RFC 5322 §3.2.2).
            return Err(bad());
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// Words on lines of a wished length.
fn fold<'w>(words: impl Iterator<Item = &'w str>, out: &mut Vec<u8>) {
    let mut line = out.len();
    for word in words.filter(|word| !word.is_empty()) {
        if line + 1 + word.len() > LINE_WISH && line > 1 {
            out.extend_from_slice(b"\r\n\t");
            line = 1;
        } else {
            out.push(b' ');
            line += 1;
        }
        out.extend_from_slice(word.as_bytes());
        line += word.len();
    }
}

/// The text as encoded words (RFC 2047), each of whole characters.
fn encoded(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    for character in text.chars() {
        if word.len() + character.len_utf8() > ENCODED_TEXT {
            words.push(std::mem::take(&mut word));
        }
        word.push(character);
    }
    words.push(word);
    words.into_iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: &str, expect: Option<&str>) {
        let mut changes = Changes::default();
        let added = changes.add("X-Test", value).is_ok().then(|| String::from_utf8(changes.added).unwrap());
        assert_eq!(added.as_deref(), expect, "{value:?}");
    }

    #[test]
    fn values() {
        check("a b", Some("X-Test: a b\r\n"));
        check("", Some("X-Test: \r\n"));
        check("a\r\n\tb\n c\r\n", Some("X-Test: a\r\n\tb\r\n\tc\r\n"));
        check("ж", Some("X-Test: =?utf-8?B?0LY=?=\r\n"));
        for injection in
            ["a\r\nB: c", "a\nB: c", "a\rB: c", "a\0b", "a\r\n \r\nb", "a\r\n\r\nbody", "\u{85}x", "a\r\n \r\n b"]
        {
            check(injection, None);
        }
    }

    #[test]
    fn names() {
        let mut changes = Changes::default();
        for bad in ["", "a b", "a:", "a\r\n", "ж", "\0", &"x".repeat(77)] {
            assert!(changes.add(bad, "x").is_err() && changes.remove(bad, Which::All).is_err(), "{bad}");
        }
        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn long_lines_are_folded_or_refused() {
        let mut changes = Changes::default();
        changes.add("X-Long", &"word ".repeat(500)).unwrap();
        let text = String::from_utf8(changes.added.clone()).unwrap();
        assert!(text.lines().all(|line| line.len() <= LINE_WISH), "{text}");
        assert_eq!(text.split_whitespace().count(), 501);
        assert_eq!(changes.add("X-Word", &"x".repeat(LINE_MAX)), Err(NoField::Word("X-Word".into())));
    }

    #[test]
    fn bounds() {
        let mut changes = Changes::default();
        for _ in 0..CHANGES_MAX {
            changes.add("A", "b").unwrap();
            changes.remove("A", Which::All).unwrap();
        }
        assert_eq!(changes.add("A", "b"), Err(NoField::TooMuch));
        assert_eq!(changes.remove("A", Which::All), Err(NoField::TooMuch));
        let mut changes = Changes::default();
        let most = (0..CHANGES_MAX).take_while(|_| changes.add("A", &"b c ".repeat(200)).is_ok()).count();
        assert!(most < CHANGES_MAX && changes.added.len() <= ADDED_OCTETS_MAX);
    }

    #[test]
    fn which_fields_go() {
        let letter = b"A: 1\r\nB: 2\r\na: 3\r\n\tx\r\nA: 4\r\n\r\nA: body\r\n";
        let gone = |which| {
            let mut changes = Changes::default();
            changes.remove("A", which).unwrap();
            let header = letter::header(letter);
            changes.ranges(&header).into_iter().map(|range| letter[range.start + 3]).collect::<Vec<u8>>()
        };
        assert_eq!(gone(Which::All), b"134");
        assert_eq!(gone(Which::FromTop(1)), b"3");
        assert_eq!(gone(Which::FromBottom(0)), b"4");
        assert_eq!(gone(Which::FromTop(3)), b"");
        assert_eq!(gone(Which::FromBottom(3)), b"");
    }

    proptest! {
        #[test]
        fn one_field_stays_one_field(value in "(\r|\n|\r\n|\t| |a|ж|:|\0|B: c){0,30}") {
            let mut changes = Changes::default();
            if changes.add("X-Test", &value).is_ok() {
                let whole = [&changes.added[..], b"\r\nbody\r\n"].concat();
                let header = Header::parse(&whole, 10);
                prop_assert_eq!(header.fields.len(), 1);
                prop_assert_eq!(header.end, changes.added.len());
                prop_assert!(changes.added.is_ascii());
            }
        }
    }
}
