//! Repairs of a header section (RFC 6409 §8): what is missing is added, what must not be seen is removed, everything
//! else stays octet for octet.

use std::sync::Arc;

use mail::{
    Mailbox, MessageId, Timestamp,
    header::{Ending, Field, Header},
};

use super::forged;

/// Fields that only the sender may see (RFC 5322 §3.6.3), and the one that the last server writes (RFC 5321 §4.4).
const REMOVED_ON_SUBMISSION: [&str; 3] = ["Bcc", "Resent-Bcc", RETURN_PATH];
const RETURN_PATH: &str = "Return-Path";

/// What a letter gets that lacks it.
#[derive(Clone, Debug)]
pub(crate) struct Repairs {
    /// For From. Nothing when nobody is known: then none is added.
    pub(crate) author: Option<Mailbox>,
    /// For Message-ID, together with the host name.
    pub(crate) id: MessageId,
    /// For Date.
    pub(crate) now: Timestamp,
    /// Fields that are nobody's business: taken out.
    pub(crate) removed: Option<Arc<[String]>>,
}

impl Repairs {
    fn removes(&self, field: &Field<'_>) -> bool {
        let private = || self.removed.iter().flat_map(|names| names.iter()).any(|name| field.is(name));
        REMOVED_ON_SUBMISSION.iter().any(|name| field.is(name)) || private()
    }
}

/// The header section and body so far of a letter from one of our users, repaired. `gathered` begins with the section.
pub(crate) fn repair(gathered: &[u8], header: &Header<'_>, repairs: &Repairs, hostname: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(gathered.len() + 256);
    let removed = header.fields.iter().filter(|field| repairs.removes(field) || forged::is_forged(field, hostname));
    copy_without(gathered, header, removed, &mut out);
    if !out.is_empty() && !out.ends_with(b"\n") {
        // BDAT can end a message in the middle of a line.
        out.extend_from_slice(b"\r\n");
    }
    add_missing(header, repairs, hostname, &mut out);
    if header.ending == Ending::NoField {
        // Typed by hand: the body begins without the empty line that would part it from the header.
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(gathered.get(header.end..).unwrap_or_default());
    out
}

/// The header section and body so far of a letter from the world, without what it must not bring; nothing when it
/// brings none of it and can go on as it is.
///
/// A body without the empty line before it gets one: else its first line, which may begin with a space, would go on the
/// field above it, our own Received when there is no other.
pub(crate) fn strip(gathered: &[u8], header: &Header<'_>, hostname: &str) -> Option<Vec<u8>> {
    let parted = header.ending != Ending::NoField;
    let is_removed = |field: &&Field<'_>| field.is(RETURN_PATH) || forged::is_forged(field, hostname);
    let removed: Vec<&Field<'_>> = header.fields.iter().filter(is_removed).collect();
    if parted && removed.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(gathered.len() + 2);
    copy_without(gathered, header, removed.into_iter(), &mut out);
    if !parted {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(gathered.get(header.end..).unwrap_or_default());
    Some(out)
}

/// Copies the section in as few pieces as there are gaps.
fn copy_without<'f>(
    gathered: &[u8],
    header: &Header<'_>,
    removed: impl Iterator<Item = &'f Field<'f>>,
    out: &mut Vec<u8>,
) {
    let mut from = 0;
    for field in removed {
        out.extend_from_slice(gathered.get(from..field.range.start).unwrap_or_default());
        from = field.range.end;
    }
    out.extend_from_slice(gathered.get(from..header.end).unwrap_or_default());
}

fn add_missing(header: &Header<'_>, repairs: &Repairs, hostname: &str, out: &mut Vec<u8>) {
    if let Some(author) = repairs.author.as_ref().filter(|_| header.first("From").is_none()) {
        out.extend_from_slice(format!("From: {author}\r\n").as_bytes());
    }
    if header.first("Date").is_none() {
        out.extend_from_slice(format!("Date: {}\r\n", repairs.now.to_rfc5322()).as_bytes());
    }
    if header.first("Message-ID").is_none() {
        out.extend_from_slice(format!("Message-ID: <{}@{hostname}>\r\n", repairs.id).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Date: Thu, 1 Jan 1970 00:00:00 +0000\n";
    const ID: &str = "Message-ID: <msg_00000000000000000000000000000000@mx.example.net>\n";

    fn check_repair(letter: &str, expect: &str) {
        let letter = letter.replace('\n', "\r\n");
        let repairs = Repairs {
            author: Some("me@example.net".parse().unwrap()),
            id: MessageId::from_bytes([0; 16]),
            now: Timestamp::from_secs(0),
            removed: Some(crate::Privacy::default().removed_fields),
        };
        let repaired = repair(letter.as_bytes(), &Header::parse(letter.as_bytes(), 100), &repairs, "mx.example.net");
        assert_eq!(String::from_utf8(repaired).unwrap().replace("\r\n", "\n"), expect);
    }

    #[test]
    fn where_a_user_is_is_taken_out() {
        check_repair(
            &format!(
                "From: a@b\nX-Originating-IP: [192.0.2.9]\nUser-Agent: x\nx-client-ip:\n 192.0.2.9\n{DATE}{ID}\nX-Sender-IP: body\n"
            ),
            &format!("From: a@b\nUser-Agent: x\n{DATE}{ID}\nX-Sender-IP: body\n"),
        );
    }

    #[test]
    fn a_whole_letter_stays_as_it_is() {
        let letter = "From: a@b\ndate: x\nMESSAGE-ID : <y>\n\nbody\n";
        check_repair(letter, letter);
        let folded = "Subject: a\n b\nFrom: a@b\nDate: x\nMessage-ID:\n <y>\n\nbody\n.\nBcc: z\n";
        check_repair(folded, folded);
    }

    #[test]
    fn what_is_missing_is_added() {
        check_repair("To: a\n\nhi\n", &format!("To: a\nFrom: me@example.net\n{DATE}{ID}\nhi\n"));
        check_repair("From: a@b\nDate: x\n\nhi\n", &format!("From: a@b\nDate: x\n{ID}\nhi\n"));
    }

    #[test]
    fn a_letter_typed_by_hand_gets_a_header() {
        check_repair("Hello there\n\nBye\n", &format!("From: me@example.net\n{DATE}{ID}\nHello there\n\nBye\n"));
        check_repair("\nHello\n", &format!("From: me@example.net\n{DATE}{ID}\nHello\n"));
        check_repair("Subject: x\nHello\n", &format!("Subject: x\nFrom: me@example.net\n{DATE}{ID}\nHello\n"));
        check_repair("", &format!("From: me@example.net\n{DATE}{ID}"));
        check_repair("Subject: x", &format!("Subject: x\nFrom: me@example.net\n{DATE}{ID}"));
    }

    #[test]
    fn what_must_not_be_seen_is_removed() {
        check_repair(
            "Bcc: secret@x\nFrom: a@b\nReturn-Path: <q>\nDate: x\nbcc : more@x,\n and@x\nMessage-ID: <y>\nresent-bcc: z\n\nhi\n",
            "From: a@b\nDate: x\nMessage-ID: <y>\n\nhi\n",
        );
    }

    #[test]
    fn mail_from_the_world_loses_return_path_and_gets_its_empty_line() {
        let strip = |letter: &str| {
            let stripped = strip(letter.as_bytes(), &Header::parse(letter.as_bytes(), 100), "mx.example.net");
            stripped.map(|octets| String::from_utf8(octets).unwrap())
        };
        assert_eq!(strip("A: b\r\nBcc: c\r\n\r\nReturn-Path: <d>\r\n"), None);
        assert_eq!(
            strip("Return-Path: <a>\r\nA: b\r\nreturn-path:\r\n <c>\r\nDelivered-To: x\r\n\r\nbody\r\n").as_deref(),
            Some("A: b\r\nDelivered-To: x\r\n\r\nbody\r\n")
        );
        // Behind our Received this would be a piece of it.
        assert_eq!(strip(" by evil.example\r\n").as_deref(), Some("\r\n by evil.example\r\n"));
        assert_eq!(strip("A: b\r\nHello\r\n").as_deref(), Some("A: b\r\n\r\nHello\r\n"));
        assert_eq!(strip("\r\nHello\r\n"), None);
        assert_eq!(strip(""), None);
    }
}
