//! Header fields of a message (RFC 5322 §2.2), found without changing a byte.

use std::ops::Range;

/// Octets of one line without its CRLF (RFC 5322 §2.1.1).
pub const LINE_MAX: usize = 998;

/// The field that marks a message as suspect enough for the folder Junk: written by this server as the first one, and
/// taken away from whatever comes in, so that where it is found it is true.
pub const QUARANTINE: &str = "X-Posthouse-Quarantine";

/// The field that says what speaks against a message that was taken all the same. As true as the one above.
pub const SUSPECT: &str = "X-Posthouse-Suspect";

/// One field where it stands in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without trailing blanks before the colon.
    pub name: &'a [u8],
    /// What follows the colon up to and with the last CRLF, folds included.
    pub value: &'a [u8],
    /// The whole field in the message.
    pub range: Range<usize>,
}

impl Field<'_> {
    /// Whether this field has that name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line: folds removed, blanks at the ends trimmed, octets that are not UTF-8 replaced.
    pub fn unfolded(&self) -> String {
        let text = String::from_utf8_lossy(self.value);
        text.replace("\r\n", "").replace('\n', "").trim().to_owned()
    }
}

/// The header section of a message, as far as it is one.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// The fields in order.
    pub fields: Vec<Field<'a>>,
    /// Where the header section ends: after its last field, before the empty line.
    pub end: usize,
    /// How it ends.
    pub ending: Ending,
}

/// What follows the last field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An empty line, as it should.
    EmptyLine,
    /// A line that is no field: the body begins without an empty line, as people type it.
    NoField,
    /// The message ends.
    Message,
}

impl<'a> Header<'a> {
    /// Finds the fields of `message`. Linear in the length of the header section; at most `max` fields are listed,
    /// the rest is skipped over.
    pub fn parse(message: &'a [u8], max: usize) -> Self {
        let mut fields: Vec<Field<'a>> = Vec::new();
        let mut at = 0;
        loop {
            let rest = message.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Self { fields, end: at, ending: Ending::Message };
            }
            let end = at + line_length(rest);
            let line = message.get(at..end).unwrap_or_default();
            if matches!(line, b"\r\n" | b"\n") {
                return Self { fields, end: at, ending: Ending::EmptyLine };
            }
            let Some(colon) = field_name_length(line) else {
                return Self { fields, end: at, ending: Ending::NoField };
            };
            let end = fold_end(message, end);
            if fields.len() < max {
                fields.push(Field {
                    name: line.get(..colon).unwrap_or_default().trim_ascii_end(),
                    value: message.get(at + colon + 1..end).unwrap_or_default(),
                    range: at..end,
                });
            }
            at = end;
        }
    }

    /// The fields with that name, in order.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Field<'a>> + 's {
        self.fields.iter().filter(move |field| field.is(name))
    }

    /// The first field with that name.
    pub fn first(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.is(name))
    }
}

fn line_length(rest: &[u8]) -> usize {
    memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1)
}

/// Where a field ends whose first line ends at `end`: lines that begin with a blank belong to it.
fn fold_end(message: &[u8], mut end: usize) -> usize {
    while let Some(rest @ [b' ' | b'\t', ..]) = message.get(end..) {
        end += line_length(rest);
    }
    end
}

/// Whether a line begins a field: a name, then a colon.
pub fn is_field_start(line: &[u8]) -> bool {
    field_name_length(line).is_some()
}

/// Octets before the colon when the line begins a field: printable ASCII without colon, blanks allowed before
/// the colon as in the obsolete syntax (RFC 5322 §4.5.8).
fn field_name_length(line: &[u8]) -> Option<usize> {
    let colon = memchr::memchr(b':', line)?;
    let name = line.get(..colon)?.trim_ascii_end();
    (!name.is_empty() && name.iter().all(|byte| matches!(byte, 33..=126))).then_some(colon)
}

/// The addresses of an address-list field, as far as they can be read: `a@b`, `Name <a@b>`, groups, comments.
/// Returns nothing for the entries that are no mailbox. Linear time; at most `max` addresses.
pub fn mailboxes(value: &str, max: usize) -> Vec<crate::Mailbox> {
    split_list(value).into_iter().filter_map(|entry| mailbox_of(&entry)).take(max).collect()
}

/// Cuts at commas, semicolons and group names outside quotes, comments and brackets, and drops the comments.
fn split_list(value: &str) -> Vec<String> {
    let (mut entries, mut entry) = (Vec::new(), String::new());
    let (mut quoted, mut escaped, mut comments, mut bracket) = (false, false, 0_usize, false);
    for character in value.chars() {
        if escaped {
            escaped = false;
            if comments == 0 {
                entry.push(character);
            }
            continue;
        }
        match character {
            '\\' if quoted || comments > 0 => {
                escaped = true;
                if comments == 0 {
                    entry.push(character);
                }
                continue;
            }
            '"' if comments == 0 => quoted = !quoted,
            '(' if !quoted => {
                comments += 1;
                continue;
            }
            ')' if comments > 0 => {
                comments -= 1;
                continue;
            }
            '<' if !quoted && comments == 0 => bracket = true,
            '>' if !quoted && comments == 0 => bracket = false,
            ',' | ';' if !quoted && comments == 0 && !bracket => {
                entries.push(std::mem::take(&mut entry));
                continue;
            }
            ':' if !quoted && comments == 0 && !bracket => {
                entry.clear();
                continue;
            }
            _ => {}
        }
        if comments == 0 {
            entry.push(character);
        }
    }
    entries.push(entry);
    entries
}

/// The address inside the last pair of brackets, or the whole entry.
fn mailbox_of(entry: &str) -> Option<crate::Mailbox> {
    let entry = entry.trim();
    let address = match (entry.rfind('<'), entry.strip_suffix('>')) {
        (Some(open), Some(rest)) => rest.get(open + 1..)?,
        _ => entry,
    };
    // A source route inside a header is obsolete syntax; the mailbox is what follows the colon.
    let address =
        if address.starts_with('@') { address.split_once(':').map_or(address, |(_, rest)| rest) } else { address };
    address.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(message: &str) -> (Vec<String>, Ending, usize) {
        let header = Header::parse(message.as_bytes(), 100);
        let names = header.fields.iter().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect();
        (names, header.ending, header.end)
    }

    #[test]
    fn fields_are_found_and_folds_belong_to_them() {
        let message = "From: a\r\nSubject : b\r\n c\r\n\r\nbody: x\r\n";
        assert_eq!(names(message), (vec!["From".into(), "Subject".into()], Ending::EmptyLine, 26));
        let header = Header::parse(message.as_bytes(), 100);
        assert_eq!(header.first("SUBJECT").unwrap().unfolded(), "b c");
    }

    #[test]
    fn a_header_may_end_early_or_be_missing() {
        assert_eq!(names("Hello there\r\n"), (vec![], Ending::NoField, 0));
        assert_eq!(names("A: b\r\nHello\r\n"), (vec!["A".into()], Ending::NoField, 6));
        assert_eq!(names(""), (vec![], Ending::Message, 0));
        assert_eq!(names("A: b"), (vec!["A".into()], Ending::Message, 4));
        assert_eq!(names(": b\r\n"), (vec![], Ending::NoField, 0));
    }

    #[test]
    fn address_lists() {
        let read = |value: &str| mailboxes(value, 10).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(read("a@b.example"), ["a@b.example"]);
        assert_eq!(read("A, B <a@b>, \"x, y\" <c@d>"), ["a@b", "c@d"]);
        assert_eq!(read("Team: a@b, c@d;, e@f (home, sweet)"), ["a@b", "c@d", "e@f"]);
        assert_eq!(read("\"<a@b>\" <c@d>"), ["c@d"]);
        assert_eq!(read("<@x,@y:c@d>"), ["c@d"]);
        assert_eq!(read("nobody, ((((, <>"), Vec::<String>::new());
    }
}
