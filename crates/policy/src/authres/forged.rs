//! Fields that arrive under our name (RFC 8601 §5; D7 of the list of attacks).
//!
//! Whoever reads our field later may read it badly: without comments, quotes or folds, or just the first word. So a
//! field is ours to remove when any such reader could find our name where the authserv-id stands, and when nobody can
//! tell what stands there. The field of a stranger that is removed by mistake is no loss: only ours is trusted.

use std::borrow::Cow;

use super::lexer::Lexer;

/// Values before the results. Honest fields have one or two; some that leave the id out have a few more.
const VALUES_MAX: usize = 16;
/// Octets before the results when there are others than ASCII. Converting names costs much, and names are short.
const FOREIGN_OCTETS: usize = 256;
/// Values before the results when there are octets other than ASCII: the id and its version.
const FOREIGN_VALUES: usize = 2;

/// Whether the value of an Authentication-Results field, folds included, could be taken for one of `our_id`. Linear.
pub fn claims_to_be(field_value: &[u8], our_id: &str) -> bool {
    let ours = ascii(our_id).unwrap_or(Cow::Borrowed(our_id));
    let ours = ours.trim_matches('.');
    // What can't be read could be anything.
    if has_controls(field_value) {
        return true;
    }
    let text = String::from_utf8_lossy(field_value);
    let Some(Head { values, end }) = head(&text) else { return true };
    let head = text.get(..end).unwrap_or_default();
    if !head.is_ascii() && (head.len() > FOREIGN_OCTETS || values.len() > FOREIGN_VALUES) {
        return true;
    }
    // An id of nothing, in an encoded word, or of what is no name.
    let Some(id) = values.first().filter(|id| !id.is_empty() && !id.contains("=?")) else { return true };
    if ascii(id).is_none() {
        return true;
    }
    let (joined, unescaped) = (without_folds(head), head.replace(['"', '\\'], ""));
    is_ours_in_pieces(&values, ours) || [head, &joined, &unescaped].iter().any(|head| names(head, ours))
}

/// What stands before the results.
struct Head {
    /// The id, and whatever follows it: the version in an honest field.
    values: Vec<String>,
    /// At the first semicolon for some readers, at the first outside comments and quotes for others: the later one.
    end: usize,
}

/// Reads what stands before the results. Nothing when a comment or a quote does not end, or when there is too much.
fn head(text: &str) -> Option<Head> {
    let (mut lexer, mut values) = (Lexer::new(text), Vec::new());
    loop {
        lexer.skip().ok()?;
        if matches!(lexer.peek(), None | Some(';')) {
            let plain = text.find(';').unwrap_or(text.len());
            return Some(Head { values, end: plain.max(lexer.position()) });
        }
        if values.len() == VALUES_MAX {
            return None;
        }
        values.push(lexer.value().ok()?);
    }
}

/// Whether our name comes out when comments and blanks are dropped without leaving anything between.
fn is_ours_in_pieces(values: &[String], ours: &str) -> bool {
    let mut joined = String::new();
    values.iter().any(|value| {
        joined.push_str(value);
        ascii(&joined).is_some_and(|joined| joined.trim_matches('.').eq_ignore_ascii_case(ours))
    })
}

/// Whether one of the words is our name.
fn names(head: &str, ours: &str) -> bool {
    // Some characters become blanks or brackets when converted.
    let is_ours = |name: &str| words(name).any(|name| name.trim_matches('.').eq_ignore_ascii_case(ours));
    words(head).any(|word| ascii(word).is_some_and(|name| is_ours(&name)))
}

/// What names could consist of.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |octet: char| octet.is_ascii_alphanumeric() || matches!(octet, '.' | '-' | '_') || !octet.is_ascii();
    text.split(move |character| !is_word(character)).filter(|word| !word.is_empty())
}

/// A name in A-labels.
fn ascii(text: &str) -> Option<Cow<'_, str>> {
    if text.is_ascii() {
        return Some(Cow::Borrowed(text));
    }
    idna::domain_to_ascii(text).ok().map(Cow::Owned)
}

/// Control characters but tabs and folds; a bare CR or LF is one.
fn has_controls(value: &[u8]) -> bool {
    value.iter().enumerate().any(|(at, octet)| match octet {
        b'\t' => false,
        b'\r' => value.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || value.get(at - 1) != Some(&b'\r'),
        octet => octet.is_ascii_control(),
    })
}

/// As a reader sees it who joins lines without a blank.
fn without_folds(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.split("\r\n").enumerate() {
        out.push_str(if number == 0 { line } else { line.trim_start_matches([' ', '\t']) });
    }
    out
}
