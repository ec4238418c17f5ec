//! The verbs, and what is mistaken for one. The words of HELP and of usage replies stand beside each verb.

use std::fmt;

/// A command of SMTP that is offered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Verb {
    Ehlo,
    Helo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
    StartTls,
    Auth,
}

impl Verb {
    /// All of them, in the order in which HELP lists them.
    pub const ALL: [Self; 14] = [
        Self::Ehlo,
        Self::Helo,
        Self::StartTls,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::Bdat,
        Self::Rset,
        Self::Noop,
        Self::Vrfy,
        Self::Expn,
        Self::Help,
        Self::Quit,
    ];

    /// The verb with this name, in any case.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name().eq_ignore_ascii_case(name))
    }

    /// The name in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Bdat => "BDAT",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Vrfy => "VRFY",
            Self::Expn => "EXPN",
            Self::Help => "HELP",
            Self::Quit => "QUIT",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
        }
    }

    /// What to type.
    pub fn usage(self) -> &'static str {
        match self {
            Self::Ehlo => "EHLO your.host.name",
            Self::Helo => "HELO your.host.name",
            Self::Mail => "MAIL FROM:<you@your.domain>",
            Self::Rcpt => "RCPT TO:<somebody@their.domain>",
            Self::Data => "DATA",
            Self::Bdat => "BDAT octets, or BDAT octets LAST",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Vrfy => "VRFY somebody@their.domain",
            Self::Expn => "EXPN list-name",
            Self::Help => "HELP, or HELP command",
            Self::Quit => "QUIT",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH mechanism",
        }
    }

    /// An example to copy.
    pub fn example(self) -> &'static str {
        match self {
            Self::Ehlo => "EHLO laptop.example.com",
            Self::Helo => "HELO laptop.example.com",
            Self::Mail => "MAIL FROM:<anna@example.com> SIZE=12000",
            Self::Rcpt => "RCPT TO:<boris@example.net>",
            Self::Data => "DATA, then the letter, then a line with a single dot",
            Self::Bdat => "BDAT 1000, its 1000 octets, BDAT 250 LAST, its 250 octets",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Vrfy => "VRFY boris@example.net",
            Self::Expn => "EXPN staff",
            Self::Help => "HELP MAIL",
            Self::Quit => "QUIT",
            Self::StartTls => "STARTTLS, then after 220 the TLS handshake, then EHLO again",
            Self::Auth => "AUTH LOGIN, then name and password in base64, each when asked",
        }
    }

    /// What it is for.
    pub fn purpose(self) -> &'static [&'static str] {
        match self {
            Self::Ehlo => &["Says who you are; the answer lists what this server can do.", "It comes first."],
            Self::Helo => &["Says who you are, the old way, without extensions. EHLO is better."],
            Self::Mail => &[
                "Begins a message and says where failures are reported; <> means nowhere.",
                "Parameters: SIZE=octets, BODY=7BIT or BODY=8BITMIME.",
            ],
            Self::Rcpt => &["Names one recipient. Repeat it for each.", "It comes after MAIL."],
            Self::Data => &[
                "Sends the message: header fields, an empty line, text.",
                "It ends with a dot on a line of its own. It comes after RCPT.",
            ],
            Self::Bdat => &[
                "Sends a piece of the message as so many octets, with no dot at the end (RFC 3030).",
                "The last piece says LAST. It is for programs; type DATA instead.",
            ],
            Self::Rset => &["Forgets the message that was begun."],
            Self::Noop => &["Does nothing, successfully."],
            Self::Vrfy => &["Asks whether a mailbox exists. This server may not tell."],
            Self::Expn => &["Asks who is on a list. This server does not tell."],
            Self::Help => &["Lists the commands, or explains one."],
            Self::Quit => &["Ends the conversation."],
            Self::StartTls => &["Turns encryption on. Everything said before is forgotten."],
            Self::Auth => &[
                "Says who you are and proves it. EHLO lists the mechanisms.",
                "LOGIN asks for the name (334 VXNlcm5hbWU6), then for the password (334 UGFzc3dvcmQ6).",
                "Base64 is made in a shell by: printf %s anna@example.com | base64",
                "A line with * stops it.",
            ],
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Verbs of SMTP that we know and do not offer (RFC 5321 §4.2.4: 502, not 500): of RFC 821, RFC 1985, RFC 4468.
pub(super) fn not_implemented(name: &str) -> Option<&'static str> {
    const KNOWN: [&str; 7] = ["SEND", "SOML", "SAML", "TURN", "ETRN", "ATRN", "BURL"];
    KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

/// A protocol that knocks at the wrong door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A request line or a field of HTTP.
    Http,
    /// The record of a TLS handshake.
    Tls,
}

impl Foreign {
    /// The other protocol that a line belongs to. Of TLS the first octet tells.
    pub fn of(line: &[u8]) -> Option<Self> {
        // RFC 8446 §5.1: ContentType handshake(22). No line of SMTP begins with SYN.
        if line.first() == Some(&22) {
            return Some(Self::Tls);
        }
        const METHODS: [&[u8]; 10] =
            [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH", b"PRI"];
        const FIELDS: [&[u8]; 4] = [b"Host:", b"User-Agent:", b"Content-Length:", b"Content-Type:"];
        let name = line.split(|octet| *octet == b' ').next().unwrap_or_default();
        let method = METHODS.iter().any(|method| method.eq_ignore_ascii_case(name));
        let field = FIELDS.iter().any(|field| {
            line.split_at_checked(field.len()).is_some_and(|(start, _)| start.eq_ignore_ascii_case(field))
        });
        (method || field).then_some(Self::Http)
    }
}
