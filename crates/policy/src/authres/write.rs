//! Writing the field: folded, quoted and bounded.

use std::fmt;

use super::{Entry, FIELD, Property, Results};

/// Octets of a line that the folding aims at (RFC 5322 §2.1.1).
const LINE_OCTETS: usize = 78;
/// Octets of a property's value. An address has 254; a line can't pass 998 with this (RFC 5322 §2.1.1).
const VALUE_OCTETS: usize = 320;
/// Octets of a reason or a comment.
const TEXT_OCTETS: usize = 200;
/// Results that are written. There are ten signatures and a handful of others.
const ENTRIES_MAX: usize = 50;

impl Results {
    /// The whole field with its name and its CRLF.
    pub fn to_field(&self) -> String {
        format!("{FIELD}: {self}\r\n")
    }
}

impl fmt::Display for Results {
    /// The value of the field with its folds, as if `Authentication-Results: ` stood before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&value(&self.id))?;
        if self.entries.is_empty() {
            return f.write_str("; none");
        }
        for entry in self.entries.iter().take(ENTRIES_MAX) {
            f.write_str(";\r\n")?;
            let mut line = Line { f, octets: 0, separator: "\t" };
            entry.write(&mut line)?;
        }
        Ok(())
    }
}

/// A line that is folded before a piece that does not fit.
struct Line<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    octets: usize,
    /// What stands before the next piece when it fits.
    separator: &'static str,
}

impl Line<'_, '_> {
    fn piece(&mut self, piece: &str) -> fmt::Result {
        if self.octets > 0 && self.octets + self.separator.len() + piece.len() > LINE_OCTETS {
            self.f.write_str("\r\n\t")?;
            self.octets = 1;
        } else {
            self.f.write_str(self.separator)?;
            self.octets += self.separator.len();
        }
        self.separator = " ";
        self.octets += piece.len();
        self.f.write_str(piece)
    }
}

impl Entry {
    /// RFC 8601 §2.2, resinfo: method and result, a comment, the reason, then the properties.
    fn write(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.piece(&format!("{}={}", self.method.as_str(), self.outcome.as_str()))?;
        if let Some(text) = &self.comment {
            line.piece(&comment(text))?;
        }
        if let Some(text) = &self.reason {
            line.piece(&format!("reason={}", quoted(&plain(text, TEXT_OCTETS))))?;
        }
        for Property { kind, name, value: text } in &self.properties {
            line.piece(&format!("{}.{name}={}", kind.as_str(), value(text)))?;
        }
        Ok(())
    }
}

/// The text with everything replaced that is not printable ASCII, cut at `max` characters.
fn plain(text: &str, max: usize) -> String {
    text.chars().take(max).map(|character| if matches!(character, ' '..='~') { character } else { '?' }).collect()
}

/// RFC 8601 §2.2, pvalue: as it is where the grammar takes it, or else quoted.
fn value(text: &str) -> String {
    let text = plain(text, VALUE_OCTETS);
    if is_bare(&text) { text } else { quoted(&text) }
}

/// A token, or a domain with an optional local part before an `@`.
fn is_bare(text: &str) -> bool {
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_octet);
    match text.split_once('@') {
        Some((local, domain)) => local.bytes().all(is_atom_octet) && is_token(domain),
        None => is_token(text),
    }
}

/// RFC 2045 §5.1: what a token consists of.
fn is_token_octet(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet)
}

/// RFC 5322 §3.2.3: atext, and the dot.
fn is_atom_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&octet)
}

fn quoted(text: &str) -> String {
    enclosed('"', text, &['"', '\\'], '"')
}

/// RFC 5322 §3.2.2.
fn comment(text: &str) -> String {
    enclosed('(', &plain(text, TEXT_OCTETS), &['(', ')', '\\'], ')')
}

fn enclosed(open: char, text: &str, escaped: &[char], close: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(open);
    for character in text.chars() {
        if escaped.contains(&character) {
            out.push('\\');
        }
        out.push(character);
    }
    out.push(close);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bare_only_where_the_grammar_takes_them() {
        let check = |text: &str, expect: &str| assert_eq!(value(text), expect);
        check("example.net", "example.net");
        check("bounce+a=b.example@example.net", "bounce+a=b.example@example.net");
        check("@example.net", "@example.net");
        check("", "\"\"");
        check("a b", "\"a b\"");
        check("a@", "\"a@\"");
        check("a@b@c", "\"a@b@c\"");
        check("2001:db8::1", "\"2001:db8::1\"");
        check("AbC/+x==", "\"AbC/+x==\"");
        check("a;spf=pass", "\"a;spf=pass\"");
        check("a\\\"b", "\"a\\\\\\\"b\"");
        check("a\r\nX: y\0", "\"a??X: y?\"");
        check("b\u{fc}cher", "\"b?cher\"");
        assert_eq!(comment("a) evil (\\"), "(a\\) evil \\(\\\\)");
    }
}
