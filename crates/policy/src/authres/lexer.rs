//! The pieces of an Authentication-Results field (RFC 8601 §2.2), and of the one of ARC (RFC 8617 §4.1.1).

use crate::comment;

/// Reads a field from left to right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A comment or a quoted string without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open;

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Octets read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character, not taken.
    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes a character when it is the next.
    pub(crate) fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    /// Skips blanks, folds and comments (CFWS).
    pub(crate) fn skip(&mut self) -> Result<(), Open> {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            self.at += blanks;
            if self.peek() != Some('(') {
                return Ok(());
            }
            self.at += comment::length(self.rest()).ok_or(Open)?;
        }
    }

    /// Takes characters as long as they are wanted.
    pub(crate) fn run(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|character| !wanted(character)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// Takes a value: words and quoted strings with nothing between them, the latter without their quotes. Empty when
    /// there is none.
    pub(crate) fn value(&mut self) -> Result<String, Open> {
        let mut value = String::new();
        loop {
            value.push_str(self.run(is_value));
            if self.peek() != Some('"') {
                return Ok(value);
            }
            let (text, length) = quoted(self.rest()).ok_or(Open)?;
            value.push_str(&text);
            self.at += length;
        }
    }
}

/// Beyond the grammar: all that does not end a value.
fn is_value(character: char) -> bool {
    !matches!(character, ' ' | '\t' | '\r' | '\n' | ';' | '(' | '"')
}

/// What the quoted string says that `text` begins with, and its octets.
fn quoted(text: &str) -> Option<(String, usize)> {
    let (mut out, mut escaped) = (String::new(), false);
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => {
                escaped = false;
                out.push(character);
            }
            '\\' => escaped = true,
            '"' => return Some((out, at + 1)),
            _ => out.push(character),
        }
    }
    None
}
