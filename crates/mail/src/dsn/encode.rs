//! Making foreign text fit for a message of plain lines.

use std::fmt::Write as _;

/// Octets of a line that people can read and every program takes (RFC 5322 §2.1.1).
const LINE: usize = 78;
/// Octets of an encoded line (RFC 2045 §6.7).
const ENCODED_LINE: usize = 76;

/// The text as printable ASCII on one line: anything else becomes `?`. Cut at `max` characters with `...`.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut out: String =
        text.chars().take(max).map(|character| if matches!(character, ' '..='~') { character } else { '?' }).collect();
    if text.chars().nth(max).is_some() {
        out.push_str("...");
    }
    out
}

/// A field, folded at blanks (RFC 5322 §2.2.3), with its CRLF. `line` is printable.
pub(super) fn fold(line: &str) -> String {
    wrap(line, "", " ")
}

/// Printable text wrapped at blanks, each line indented, with a CRLF after each.
pub(super) fn wrap(text: &str, first: &str, next: &str) -> String {
    let mut out = String::from(first);
    let mut length = first.len();
    let mut at_start = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        for piece in pieces(word) {
            if !at_start && length + 1 + piece.len() > LINE {
                out.push_str("\r\n");
                out.push_str(next);
                length = next.len();
            } else if !at_start {
                out.push(' ');
                length += 1;
            }
            out.push_str(piece);
            length += piece.len();
            at_start = false;
        }
    }
    out.push_str("\r\n");
    out
}

/// A word in pieces that fit on a line. `word` is ASCII.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    const PIECE: usize = LINE - 8;
    (0..word.len().div_ceil(PIECE)).filter_map(move |piece| {
        let start = piece * PIECE;
        word.get(start..word.len().min(start + PIECE))
    })
}

/// The header as it is, when it is nothing but lines of printable ASCII and tabs of a bearable length, none of which
/// could be taken for a boundary.
pub(super) fn plain_lines(header: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(header).ok()?;
    let is_plain = text.split_terminator("\r\n").all(|line| {
        line.len() <= crate::header::LINE_MAX
            && !line.starts_with("--")
            && line.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
    });
    (is_plain && (text.is_empty() || text.ends_with("\r\n"))).then_some(text)
}

/// Quoted-printable (RFC 2045 §6.7), each line of the text a line of the result, one that begins like a boundary encoded.
pub(super) fn quoted_printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3 / 2);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut length = 0;
        for (index, byte) in line.iter().enumerate() {
            if length + 3 > ENCODED_LINE - 1 {
                out.push_str("=\r\n");
                length = 0;
            }
            let is_last = index + 1 == line.len();
            let is_literal = match byte {
                b'=' => false,
                b'-' => length > 0,
                b' ' | b'\t' => !is_last,
                other => matches!(other, b'!'..=b'~'),
            };
            if is_literal {
                out.push(char::from(*byte));
                length += 1;
            } else {
                let _infallible = write!(out, "={byte:02X}");
                length += 3;
            }
        }
        out.push_str("\r\n");
    }
    out
}
