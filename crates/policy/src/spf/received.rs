//! The `Received-SPF` field (RFC 7208 §9.1).
//!
//! ```text
//! Received-SPF: fail (mx.example.net: domain of a@example.org does not allow 192.0.2.1)
//!  identity=mailfrom; client-ip=192.0.2.1; envelope-from="a@example.org";
//!  helo=mail.example.org; receiver=mx.example.net; mechanism=all
//! ```
//!
//! Nearly everything in it comes from strangers: a value is a dot-atom, or a quoted string of printable ASCII.

use std::fmt::Write as _;

use super::verdict::{Identity, Outcome, Subject, Verdict};

/// Octets of one value or of a name in the comment; an address of the greatest size fits (RFC 5321 §4.5.3.1).
const VALUE_OCTETS: usize = 320;
/// RFC 5322 §2.1.1.
const LINE_WISH: usize = 78;

/// The value of the field, folded, without its last line end: write `Received-SPF: ` before it and CRLF after it.
pub fn received_spf(subject: &Subject<'_>, verdict: &Verdict) -> String {
    let mut out = format!("{} ({})\r\n", verdict.outcome.as_str(), comment(&summary(subject, verdict)));
    let mut pairs = vec![
        ("identity", verdict.identity.as_str().to_owned()),
        ("client-ip", subject.address.to_canonical().to_string()),
        ("envelope-from", subject.mail_from.to_owned()),
        ("helo", subject.helo.to_owned()),
        ("receiver", subject.receiver.to_owned()),
    ];
    if verdict.problem.is_none() {
        // RFC 7208 §9.1: "default" stands for no match.
        pairs.push(("mechanism", verdict.mechanism.clone().unwrap_or_else(|| "default".to_owned())));
    }
    if let Some(problem) = &verdict.problem {
        pairs.push(("problem", problem.to_string()));
    }
    let mut line = 0;
    for (at, (key, text)) in pairs.iter().enumerate() {
        let pair = format!(" {key}={}{}", value(text), if at + 1 < pairs.len() { ";" } else { "" });
        if line > 0 && line + pair.len() > LINE_WISH {
            out.push_str("\r\n");
            line = 0;
        }
        line += pair.len();
        out.push_str(&pair);
    }
    out
}

/// The verdict in words.
fn summary(subject: &Subject<'_>, verdict: &Verdict) -> String {
    let address = subject.address.to_canonical();
    let sender = match verdict.identity {
        Identity::MailFrom => cut(subject.mail_from),
        Identity::Helo => cut(subject.helo),
    };
    let mut out = format!("{}: ", cut(subject.receiver));
    let _infallible = match (verdict.outcome, &verdict.problem) {
        (_, Some(problem)) => write!(out, "{problem}"),
        (Outcome::Pass, None) => write!(out, "domain of {sender} allows {address}"),
        (Outcome::Fail, None) => write!(out, "domain of {sender} does not allow {address}"),
        (Outcome::SoftFail, None) => write!(out, "domain of {sender} does not expect {address}"),
        (_, None) => write!(out, "domain of {sender} says nothing about {address}"),
    };
    out
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(VALUE_OCTETS)).unwrap_or(text)
}

/// Text as the inside of a comment.
fn comment(text: &str) -> String {
    let plain = |character| if matches!(character, '(' | ')' | '\\') { '?' } else { printable(character) };
    text.chars().map(plain).take(2 * VALUE_OCTETS).collect()
}

/// RFC 7208 §9.1: a dot-atom or a quoted-string.
fn value(text: &str) -> String {
    let text = cut(text);
    let is_atom = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    if text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(printable(character));
    }
    out.push('"');
    out
}

fn printable(character: char) -> char {
    if matches!(character, ' '..='~') { character } else { '?' }
}
