//! Fields from outside that speak in our name (RFC 8601 §5). What reads mail behind us believes them, so they go,
//! whatever else is done or not done with the message:
//!
//! | field | goes |
//! | --- | --- |
//! | Authentication-Results | when it is said to be ours, or when nobody can tell whose it is |
//! | Received-SPF | when its `receiver` is said to be us |
//! | X-Posthouse-Quarantine, X-Posthouse-Suspect | always |
//!
//! Others' results stay: they may be signed, and they are true for who believes them.

use mail::header::{Field, QUARANTINE, SUSPECT};
use policy::authres;

/// Whether a field is a forgery of ours.
pub(crate) fn is_forged(field: &Field<'_>, hostname: &str) -> bool {
    match field.name.first() {
        Some(b'A' | b'a') if field.is("Authentication-Results") => authres::claims_to_be(field.value, hostname),
        Some(b'R' | b'r') if field.is("Received-SPF") => is_received_by(field.value, hostname),
        Some(b'X' | b'x') => field.is(QUARANTINE) || field.is(SUSPECT),
        _ => false,
    }
}

fn is_us(name: &[u8], hostname: &str) -> bool {
    name.strip_suffix(b".").unwrap_or(name).eq_ignore_ascii_case(hostname.as_bytes())
}

/// Whether one of the pairs behind the result and its comment is `receiver=` and our name (RFC 7208 §9.1). What can't be
/// read is read by others as they please, so from there on our name anywhere is enough.
fn is_received_by(value: &[u8], hostname: &str) -> bool {
    let mut rest = value;
    while let Some((pair, after)) = next(rest) {
        if pair.is_some_and(|(key, name)| key.eq_ignore_ascii_case(b"receiver") && is_us(&name, hostname)) {
            return true;
        }
        rest = after;
    }
    let unread = skip_blanks(rest).unwrap_or(rest);
    unread.windows(hostname.len().max(1)).any(|window| window.eq_ignore_ascii_case(hostname.as_bytes()))
}

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// The next pair, or nothing for a word without a value; and what follows. Nothing at the end, and where neither stands.
fn next(text: &[u8]) -> Option<(Option<Pair>, &[u8])> {
    let text = skip_blanks(text)?;
    let (key, after) = word(skip_blanks(text.strip_prefix(b";").unwrap_or(text))?)?;
    let Some(rest) = skip_blanks(after)?.strip_prefix(b"=") else { return Some((None, after)) };
    let rest = skip_blanks(rest)?;
    Some(match word(rest) {
        Some((value, after)) => (Some((key, value)), after),
        None => (None, rest),
    })
}

/// A token or a quoted string, and what follows it. Nothing when something else comes first.
fn word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    if let [b'"', rest @ ..] = text {
        return quoted(rest);
    }
    let is_end = |octet: &u8| octet.is_ascii_whitespace() || matches!(octet, b'(' | b')' | b';' | b'=' | b'"' | b'/');
    let length = text.iter().position(is_end).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(length)?;
    (!word.is_empty()).then(|| (word.to_vec(), rest))
}

fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [b'"', after @ ..] => return Some((word, after)),
            [b'\\', octet, after @ ..] | [octet, after @ ..] => {
                word.push(*octet);
                rest = after;
            }
            [] => return None,
        }
    }
}

/// Past blanks, line ends and comments, which nest. Nothing when a comment does not end.
fn skip_blanks(mut text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    loop {
        text = match (text, depth) {
            ([b'(', rest @ ..], _) => {
                depth += 1;
                rest
            }
            ([b')', rest @ ..], 1..) => {
                depth -= 1;
                rest
            }
            ([b'\\', _, rest @ ..], 1..) => rest,
            ([_, rest @ ..], 1..) => rest,
            ([octet, rest @ ..], 0) if octet.is_ascii_whitespace() => rest,
            ([], 1..) => return None,
            (_, 0) => return Some(text),
        };
    }
}

#[cfg(test)]
mod tests {
    use mail::header::Header;
    use proptest::prelude::*;

    use super::*;

    fn check(field: &str, expect: bool) {
        let header = Header::parse(field.as_bytes(), 10);
        assert_eq!(is_forged(&header.fields[0], "mx.ours.example"), expect, "{field:?}");
    }

    /// D7.
    #[test]
    fn results_in_our_name_are_forged() {
        for forged in [
            "Authentication-Results: mx.ours.example; spf=pass\r\n",
            "authentication-results : MX.Ours.Example.; none\r\n",
            "Authentication-Results:\r\n mx.ours.example 1; none\r\n",
            "Authentication-Results: (a (b\\) c)) \"mx.ours\\.example\" (v) 1; none\r\n",
            "Authentication-Results:mx.ours.example(x);none\r\n",
            "Authentication-Results: mx.ours.example/1; none\r\n",
            "Authentication-Results: mx.ours.example\r\n",
        ] {
            check(forged, true);
        }
        for honest in [
            "Authentication-Results: mx.ours.example.evil; none\r\n",
            "Authentication-Results: mx.other.example; none\r\n",
            "Authentication-Results: mx.other.example; spf=pass smtp.helo=mx.ours.example\r\n",
            "Authentication-Result: mx.ours.example; none\r\n",
            "ARC-Authentication-Results: i=1; mx.ours.example; none\r\n",
        ] {
            check(honest, false);
        }
    }

    #[test]
    fn results_of_nobody_are_forged() {
        for forged in ["", ";", "(open", "\"open", "; mx.other.example", "(a) (b", " \r\n"] {
            check(&format!("Authentication-Results: {forged}\r\n"), true);
        }
    }

    #[test]
    fn received_spf_is_ours_by_its_receiver() {
        check("Received-SPF: pass (a; b=c) receiver=mx.ours.example; client-ip=192.0.2.1\r\n", true);
        check("Received-SPF: pass client-ip=192.0.2.1; receiver=\"MX.ours.example\"; helo=x\r\n", true);
        check("Received-SPF: pass client-ip=192.0.2.1;\r\n\treceiver = (x) mx.ours.example\r\n", true);
        check("Received-SPF: pass (receiver=mx.ours.example) receiver=mx.other.example\r\n", false);
        check("Received-SPF: pass (mx.ours.example: domain of a@b designates it)\r\n", false);
        check("Received-SPF: ;=;=;receiver\r\n", false);
        // Some read the last one, or go on where the grammar ends.
        check("Received-SPF: pass receiver=mx.other.example; receiver=mx.ours.example\r\n", true);
        check("Received-SPF: pass mechanism=a/24; receiver=mx.ours.example\r\n", true);
        check("Received-SPF: pass (x)) receiver=mx.ours.example\r\n", true);
        check("Received-SPF: pass client-ip=192.0.2.1;; receiver=mx.ours.example\r\n", true);
        check("Received-SPF: pass receiver=\"mx.ours.example\r\n", true);
    }

    proptest! {
        /// Whatever stands before it: the pair is found where it can be read, and nothing else happens.
        #[test]
        fn odd_fields_come_to_an_end(noise in "[a-z=;()\\\\\" \r\n]{0,60}") {
            for value in [noise.clone(), format!("pass {noise}"), format!("pass ({noise}")] {
                let field = Field { name: b"Received-SPF", value: value.as_bytes(), range: 0..value.len() };
                prop_assert!(!is_forged(&field, "mx.ours.example"));
            }
            let quiet: String = noise.chars().filter(char::is_ascii_lowercase).collect();
            let value = format!("pass x={quiet}y; receiver=mx.ours.example; {noise}");
            let field = Field { name: b"Received-SPF", value: value.as_bytes(), range: 0..value.len() };
            prop_assert!(is_forged(&field, "mx.ours.example"));
        }
    }

    #[test]
    fn our_marks_are_always_forged() {
        check("X-Posthouse-Quarantine: x\r\n", true);
        check("x-posthouse-suspect :\r\n", true);
        check("X-Posthouse-Suspects: x\r\n", false);
    }
}
