//! The addresses of From and Sender, read so that nobody can read others: what is not plainly an address is refused.
//!
//! Programs disagree about `<a@b> <c@d>`, about groups and about unbalanced quotes. A sender's rights would mean
//! nothing if we read one address and the recipient's program showed another. So this reader is strict where
//! [`mail::header::mailboxes`] takes what it can get.

use mail::Mailbox;

/// The mailboxes of an address list (RFC 5322 §3.4, without groups); nothing when any part of it is unclear.
pub(crate) fn read(value: &str) -> Option<Vec<Mailbox>> {
    let marked = mark(value)?;
    let mut entries = marked.split(|(character, place)| *character == ',' && *place == Place::Open);
    let authors = entries.try_fold(Vec::new(), |mut authors, entry| {
        let entry = trim(entry);
        // Empty entries between commas are obsolete syntax and name nobody (RFC 5322 §4.4).
        if !entry.is_empty() {
            authors.push(mailbox(entry)?);
        }
        Some(authors)
    })?;
    (!authors.is_empty()).then_some(authors)
}

/// Where a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Open,
    Quoted,
}

type Marked = (char, Place);

/// The text without comments, each character marked; nothing when quotes or comments are unbalanced.
fn mark(value: &str) -> Option<Vec<Marked>> {
    let mut marked = Vec::with_capacity(value.len());
    let mut quoted = false;
    let mut comments = 0_usize;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' && (quoted || comments > 0) { Some(characters.next()?) } else { None };
        match character {
            _ if comments > 0 => match (character, escaped) {
                ('(', _) => comments += 1,
                (')', _) => comments -= 1,
                _ => {}
            },
            '\\' if quoted => {
                marked.push(('\\', Place::Quoted));
                marked.push((escaped?, Place::Quoted));
            }
            '"' => {
                marked.push(('"', Place::Quoted));
                quoted = !quoted;
            }
            other if quoted => marked.push((other, Place::Quoted)),
            '(' => {
                comments = 1;
                // A comment parts words as a blank does.
                marked.push((' ', Place::Open));
            }
            ')' => return None,
            other => marked.push((other, Place::Open)),
        }
    }
    (!quoted && comments == 0).then_some(marked)
}

fn trim(mut entry: &[Marked]) -> &[Marked] {
    let blank = |marked: &Marked| marked.1 == Place::Open && marked.0.is_whitespace();
    while let [first, rest @ ..] = entry
        && blank(first)
    {
        entry = rest;
    }
    while let [rest @ .., last] = entry
        && blank(last)
    {
        entry = rest;
    }
    entry
}

/// `address`, or `phrase <address>` with one pair of brackets, at the end. A phrase with a colon would be a group.
fn mailbox(entry: &[Marked]) -> Option<Mailbox> {
    let address = match entry.iter().position(|marked| *marked == ('<', Place::Open)) {
        None => entry,
        Some(open) => {
            let phrase = entry.get(..open)?;
            if phrase.iter().any(|marked| matches!(marked, (':' | ';' | '>', Place::Open))) {
                return None;
            }
            trim(entry.get(open + 1..)?.strip_suffix(&[('>', Place::Open)])?)
        }
    };
    address.iter().map(|(character, _)| *character).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expect: Option<&[&str]>) {
        let got = read(value).map(|authors| authors.iter().map(ToString::to_string).collect::<Vec<_>>());
        let expect = expect.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(got, expect, "{value}");
    }

    #[test]
    fn plain_addresses() {
        check("a@b.example", Some(&["a@b.example"]));
        check("Anna <a@b>", Some(&["a@b"]));
        check("\"Anna, <x@y>\" <a@b>", Some(&["a@b"]));
        check("a@b (Anna (from (here)) \\) <x@y>)", Some(&["a@b"]));
        check("Anna <a@b>, Bob <c@d>,", Some(&["a@b", "c@d"]));
        check("=?utf-8?q?=41?= <a@b>", Some(&["a@b"]));
        check("a@b <c@d>", Some(&["c@d"]));
        check("\"a b\"@c", Some(&["\"a b\"@c"]));
        check("A <a@[IPv6:2001:db8::1]>", Some(&["a@[IPv6:2001:db8::1]"]));
        check("Анна <a@b>", Some(&["a@b"]));
    }

    #[test]
    fn what_could_be_read_in_two_ways() {
        for value in [
            "",
            "Anna",
            "<>",
            "a@b c@d",
            "<a@b> <c@d>",
            "<a@b>c@d",
            "a@b>",
            "<a@b",
            "Team: a@b;",
            "x: <a@b>",
            "a@b; c@d",
            "\"a@b",
            "(a@b",
            "a@b)",
            "<<a@b>>",
            "<@x:a@b>",
            "a@b, Anna",
            "a@b\0",
            "<a @b>",
            "a@b\\",
            "\"\\",
            "[: a@b]",
        ] {
            check(value, None);
        }
    }
}
