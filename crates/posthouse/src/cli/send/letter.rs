//! The letter that `posthouse send` writes: a header, a text, nothing that a client's user could break out of.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mail::Timestamp;
use net::Chance;

use super::Letter;

/// Octets of a text from standard input.
const TEXT_MAX: u64 = 100_000_000;
/// Octets of a base64 line (RFC 2045 §6.8).
const BASE64_LINE: usize = 76;
/// Octets that one encoded word takes, so that it stays within 75 (RFC 2047 §2).
const WORD_OCTETS: usize = 42;

/// The whole message, lines ended by CRLF.
pub(super) fn compose(letter: &Letter, hostname: &str, now: Timestamp, chance: &Chance) -> anyhow::Result<Vec<u8>> {
    let text = match &letter.body {
        Some(body) => body.clone(),
        None => {
            let mut text = String::new();
            std::io::stdin()
                .take(TEXT_MAX)
                .read_to_string(&mut text)
                .context("reading the text from standard input")?;
            text
        }
    };
    if letter.subject.contains(char::is_control) {
        bail!("--subject has a control character");
    }
    let from = if letter.from.is_empty() || letter.from == "<>" { "MAILER-DAEMON" } else { &letter.from };
    let to: Vec<String> = letter.to.iter().map(ToString::to_string).collect();
    let id: String = chance.bytes::<12>().iter().map(|byte| format!("{byte:02x}")).collect();
    let (encoding, body) = encode(&text);
    let message = format!(
        "Date: {}\r\nFrom: {from}\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{id}@{hostname}>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}",
        now.to_rfc5322(),
        to.join(",\r\n "),
        subject(&letter.subject),
    );
    Ok(message.into_bytes())
}

/// The text as it is when its lines are short enough, else in base64.
fn encode(text: &str) -> (&'static str, String) {
    let lines = || text.lines().map(|line| line.trim_end_matches('\r'));
    let plain = lines().all(|line| line.len() <= mail::header::LINE_MAX && !line.contains(['\r', '\0']));
    if plain {
        let body = lines().flat_map(|line| [line, "\r\n"]).collect();
        return (if text.is_ascii() { "7bit" } else { "8bit" }, body);
    }
    let encoded = STANDARD.encode(text);
    let mut body = String::with_capacity(encoded.len() + encoded.len() / 30);
    let mut rest = encoded.as_str();
    while let Some((line, more)) =
        rest.split_at_checked(BASE64_LINE.min(rest.len())).filter(|(line, _)| !line.is_empty())
    {
        body.push_str(line);
        body.push_str("\r\n");
        rest = more;
    }
    ("base64", body)
}

/// The subject, in encoded words when it is not ASCII (RFC 2047).
fn subject(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words: Vec<String> = vec![String::new()];
    for character in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + character.len_utf8() <= WORD_OCTETS => word.push(character),
            _ => words.push(character.into()),
        }
    }
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_within_the_lines() {
        assert_eq!(encode("a\nb"), ("7bit", "a\r\nb\r\n".into()));
        assert_eq!(encode("ж\r\n"), ("8bit", "ж\r\n".into()));
        let (encoding, body) = encode(&"x".repeat(2000));
        assert_eq!(encoding, "base64");
        assert!(body.lines().all(|line| line.len() <= BASE64_LINE));
        assert_eq!(STANDARD.decode(body.replace("\r\n", "")).unwrap(), "x".repeat(2000).as_bytes());
    }

    #[test]
    fn subjects() {
        assert_eq!(subject("Hello"), "Hello");
        let long = subject(&"привет ".repeat(20));
        assert!(long.split("\r\n ").all(|word| word.len() <= 75 && word.starts_with("=?utf-8?B?")), "{long}");
    }
}
