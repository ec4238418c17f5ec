//! The Received field (RFC 5321 §4.4), the first thing in a message that we took:
//!
//! ```text
//! Received: from client.example ([192.0.2.1])
//!  by mx.example.net (Posthouse) with ESMTPSA
//!  id msg_0000… for <a@example.net>
//!  tls TLS_AES_128_GCM_SHA256 (TLSv1.3);
//!  Tue, 24 Nov 2026 08:16:09 +0000
//! ```
//!
//! The name is what the client called itself, the address where it really came from. The protocol word is that of
//! RFC 3848, the `tls` clause that of RFC 8314 §4.3. Authenticated users are not named: it is nobody's business. Nor is
//! where they are, unless [`crate::Privacy`] says otherwise.
//!
//! Deviation: such a field has no `from` clause (RFC 5321 §4.4 has no field without one), as that of mail made here has
//! none.

use std::net::IpAddr;

use mail::{Domain, Mailbox, MessageId, Origin, Protocol, Timestamp};

use crate::ClientIn;

/// Octets that a line should stay within (RFC 5322 §2.1.1).
const LINE_WISH: usize = 78;
/// Octets that are kept of a name that is no name.
const HELO_SHOWN: usize = 64;

/// The facts of one reception.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reception<'a> {
    /// Where it came from.
    pub(crate) origin: &'a Origin,
    /// Where the client is named.
    pub(crate) client: ClientIn,
    /// Our name.
    pub(crate) hostname: &'a str,
    /// The message's id.
    pub(crate) id: MessageId,
    /// The recipient as the client gave it, when there was only one: with more, the field would tell each about the
    /// others (RFC 5321 §7.2).
    pub(crate) recipient: Option<&'a Mailbox>,
    /// When the content was complete.
    pub(crate) now: Timestamp,
}

/// The field with its last CRLF.
pub(crate) fn field(reception: &Reception<'_>) -> Vec<u8> {
    let mut folded = Folded::new("Received:");
    if let Some(peer) = reception.origin.peer.filter(|_| reception.client == ClientIn::Received) {
        for word in from(reception.origin.helo.as_deref(), peer.ip()) {
            folded.word(&word);
        }
        folded.fold();
    }
    folded.word("by");
    folded.word(reception.hostname);
    folded.word("(Posthouse)");
    if reception.origin.protocol != Protocol::Local {
        folded.word("with");
        folded.word(&reception.origin.protocol.to_string());
    }
    folded.word(&format!("id {}", reception.id));
    if let Some(recipient) = reception.recipient {
        folded.word(&format!("for <{recipient}>"));
    }
    if let Some(tls) = &reception.origin.tls {
        folded.word(&format!("tls {} ({})", tls.cipher, tls.version));
    }
    folded.end_clauses();
    folded.fold();
    folded.word(&reception.now.to_rfc5322());
    folded.finish()
}

/// `from name ([address])`; a name that is none stands in a comment, made harmless.
fn from(helo: Option<&str>, address: IpAddr) -> Vec<String> {
    let literal = Domain::from_address(address.to_canonical());
    match helo.map(|helo| (helo, helo.parse::<Domain>())) {
        Some((_, Ok(name))) => vec!["from".into(), name.to_string(), format!("({literal})")],
        Some((helo, Err(_))) => {
            vec!["from".into(), literal.to_string(), format!("(HELO {})", comment(helo))]
        }
        None => vec!["from".into(), literal.to_string()],
    }
}

/// Text from outside as the inside of a comment: printable ASCII without what would end the comment or quote its end.
fn comment(text: &str) -> String {
    let plain = |character| match character {
        '(' | ')' | '\\' => '?',
        '!'..='~' => character,
        _ => '?',
    };
    text.chars().take(HELO_SHOWN).map(plain).collect()
}

/// A field that is broken between words where a line would become too long.
struct Folded {
    out: Vec<u8>,
    line: usize,
}

impl Folded {
    fn new(name: &str) -> Self {
        let mut out = Vec::with_capacity(320);
        out.extend_from_slice(name.as_bytes());
        Self { line: out.len(), out }
    }

    fn word(&mut self, word: &str) {
        if self.line > 1 && self.line + 1 + word.len() > LINE_WISH {
            self.fold();
        }
        if self.line != 1 {
            self.out.push(b' ');
            self.line += 1;
        }
        self.out.extend_from_slice(word.as_bytes());
        self.line += word.len();
    }

    /// Begins a new line with the blank that belongs before its first word.
    fn fold(&mut self) {
        self.out.extend_from_slice(b"\r\n ");
        self.line = 1;
    }

    fn end_clauses(&mut self) {
        self.out.push(b';');
        self.line += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"\r\n");
        self.out
    }
}

#[cfg(test)]
mod tests {
    use mail::{TlsSummary, header::Header};

    use super::*;

    fn origin(helo: &str, protocol: Protocol, tls: Option<TlsSummary>) -> Origin {
        Origin {
            service: "mx".into(),
            peer: Some("192.0.2.1:1234".parse().unwrap()),
            helo: Some(helo.into()),
            user: None,
            protocol,
            tls,
        }
    }

    fn check(origin: &Origin, recipient: Option<&str>, expect: &str) {
        let recipient: Option<Mailbox> = recipient.map(|recipient| recipient.parse().unwrap());
        let field = field(&Reception {
            origin,
            client: ClientIn::Received,
            hostname: "mx.example.net",
            id: MessageId::from_bytes([0; 16]),
            recipient: recipient.as_ref(),
            now: Timestamp::from_secs(1_795_508_169),
        });
        assert_eq!(String::from_utf8(field).unwrap(), expect.replace('\n', "\r\n"));
    }

    #[test]
    fn a_client_by_its_name_and_address() {
        let tls = TlsSummary { version: "TLSv1.3".into(), cipher: "TLS_AES_128_GCM_SHA256".into() };
        let protocol = Protocol::Esmtp { tls: true, auth: true };
        check(
            &origin("client.example", protocol, Some(tls)),
            Some("a@example.net"),
            "Received: from client.example ([192.0.2.1])\n by mx.example.net (Posthouse) with ESMTPSA\n \
             id msg_00000000000000000000000000000000 for <a@example.net>\n tls TLS_AES_128_GCM_SHA256 (TLSv1.3);\n \
             Tue, 24 Nov 2026 08:16:09 +0000\n",
        );
        check(
            &origin("[192.0.2.9]", Protocol::Smtp, None),
            None,
            "Received: from [192.0.2.9] ([192.0.2.1])\n by mx.example.net (Posthouse) with SMTP\n \
             id msg_00000000000000000000000000000000;\n Tue, 24 Nov 2026 08:16:09 +0000\n",
        );
    }

    #[test]
    fn a_user_is_not_told_of() {
        let tls = TlsSummary { version: "TLSv1.3".into(), cipher: "TLS_AES_128_GCM_SHA256".into() };
        let field = field(&Reception {
            origin: &origin("laptop.home.example", Protocol::Esmtp { tls: true, auth: true }, Some(tls)),
            client: ClientIn::Nothing,
            hostname: "mx.example.net",
            id: MessageId::from_bytes([0; 16]),
            recipient: None,
            now: Timestamp::from_secs(1_795_508_169),
        });
        let expect = "Received: by mx.example.net (Posthouse) with ESMTPSA\n id msg_00000000000000000000000000000000 tls \
                      TLS_AES_128_GCM_SHA256 (TLSv1.3);\n Tue, 24 Nov 2026 08:16:09 +0000\n";
        assert_eq!(String::from_utf8(field).unwrap(), expect.replace('\n', "\r\n"));
    }

    #[test]
    fn mail_made_here_has_no_client() {
        check(
            &Origin::local(),
            None,
            "Received: by mx.example.net (Posthouse)\n id msg_00000000000000000000000000000000;\n \
             Tue, 24 Nov 2026 08:16:09 +0000\n",
        );
    }

    #[test]
    fn a_hostile_name_stays_in_its_comment() {
        let long = "x".repeat(200);
        for helo in ["a)(b", "x\\", "a\r\nSubject: hi", "\u{1b}[31m\u{202e}", "a;b", "<a@b>", "\"q", &long] {
            let origin = origin(helo, Protocol::Smtp, None);
            let reception = Reception {
                origin: &origin,
                client: ClientIn::Received,
                hostname: "mx.example.net",
                id: MessageId::from_bytes([0; 16]),
                recipient: None,
                now: Timestamp::from_secs(0),
            };
            let field = field(&reception);
            let header = Header::parse(&field, 10);
            assert_eq!(header.fields.len(), 1, "{helo:?}");
            let text = header.fields[0].unfolded();
            assert!(text.starts_with("from [192.0.2.1] (HELO "), "{text}");
            assert_eq!((text.matches('(').count(), text.matches(')').count()), (2, 2), "{text}");
            assert!(text.is_ascii() && !text.contains('\\') && text.len() < 250, "{text}");
        }
    }
}
