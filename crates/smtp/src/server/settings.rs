//! What a session is told about its service. One [`Settings`] is shared by all sessions of a listener.

use std::time::Duration;

use crate::{data::receive::BareNewline, sasl::Mechanism};

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Mail for our domains, from anybody.
    Mx,
    /// Mail from our users, to anybody.
    Submission,
}

/// How TLS comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsOffer {
    /// Not at all.
    None,
    /// By STARTTLS (RFC 3207).
    StartTls,
    /// Before the banner (RFC 8314): the driver does the handshake and calls `handle_tls` before it answers
    /// `Ask::Connect`.
    Established,
}

/// When AUTH is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOffer {
    /// Never.
    Never,
    /// Under TLS only; in clear text it gets 538.
    OverTls,
    /// In clear text, too.
    Always,
}

/// What becomes of a client that goes on talking where it must wait for a reply: behind EHLO, HELO and DATA (RFC 2920
/// §3.1, RFC 5321 §4.1.1.4). Only what comes in the same piece is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Haste {
    /// Its commands are obeyed in order.
    #[default]
    Obeyed,
    /// 554 5.5.0, and it is closed.
    Refused,
}

/// Whether a client may say for whom it speaks, by XCLIENT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Introduction {
    /// It is no command.
    #[default]
    Refused,
    /// It is offered and obeyed.
    Taken,
}

/// Bounds of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a message, without the dots of transparency (RFC 1870).
    pub message_size: u64,
    /// Recipients of a transaction: 452 4.5.3 past it (RFC 5321 §4.5.3.1.8 wants at least 100, RFC 9422 names it).
    pub recipients: usize,
    /// Octets of a command line with its CRLF. RFC 5321 §4.5.3.1.4 wants at least 512, extensions add to it.
    pub command_line: usize,
    /// Octets of a line of AUTH with its CRLF (RFC 4954 §4 wants 12288).
    pub auth_line: usize,
    /// Errors without a message accepted in between: the next one is answered with 421 4.7.0.
    pub errors: u32,
    /// Commands that lead nowhere (NOOP, RSET, VRFY, EHLO, HELP, what the driver refuses with 4xx) without a message
    /// accepted in between: the next one is answered with 421 4.7.0.
    pub junk: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 50_000_000,
            recipients: 1000,
            command_line: 2048,
            auth_line: 12_288,
            errors: 20,
            junk: 100,
        }
    }
}

/// How long a session waits for the client (RFC 5321 §4.5.3.2.7). Each expiry is a 421 4.4.2 that names the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the TLS handshake, and for the driver to answer `Ask::Connect`.
    pub banner: Duration,
    /// For one whole command line, counted from the reply to the one before it: single bytes do not prolong it.
    pub command: Duration,
    /// For the next bytes of the content.
    pub data_block: Duration,
    /// Octets a second that content must have come in with on the average, once `data_rate_after` is over.
    pub data_rate: u32,
    /// How long content may come as slowly as it likes: as long as a person needs who types a letter by telnet.
    pub data_rate_after: Duration,
    /// For the client to read what the driver writes. The session does not write: it is the driver's to keep.
    pub write: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            banner: Duration::from_secs(30),
            command: Duration::from_secs(300),
            data_block: Duration::from_secs(180),
            data_rate: 256,
            data_rate_after: Duration::from_secs(600),
            write: Duration::from_secs(300),
        }
    }
}

/// The settings of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our name in banner and EHLO.
    pub hostname: String,
    /// What follows `220 hostname ESMTP `, for instance the product's name. Printable ASCII.
    pub banner: String,
    /// What the listener is for: it chooses the words of replies.
    pub service: Service,
    /// Bounds.
    pub limits: Limits,
    /// Waits.
    pub deadlines: Deadlines,
    /// TLS.
    pub tls: TlsOffer,
    /// AUTH.
    pub auth: AuthOffer,
    /// The mechanisms offered, in this order.
    pub mechanisms: Vec<Mechanism>,
    /// Whether MAIL needs AUTH first (530 5.7.0).
    pub auth_required: bool,
    /// What becomes of content with a bare CR or LF.
    pub bare_newline: BareNewline,
    /// What becomes of a client that does not wait where it must.
    pub haste: Haste,
    /// Whether the client may say for whom it speaks.
    pub introduction: Introduction,
}

impl Settings {
    /// The defaults of a service: an MX offers no AUTH, submission requires it and takes it over TLS. TLS itself is
    /// off until there is a certificate. Between servers a bare line end is refused, from our own users it is repaired.
    pub fn new(hostname: impl Into<String>, service: Service) -> Self {
        let submission = service == Service::Submission;
        Self {
            hostname: hostname.into(),
            banner: "Posthouse".into(),
            service,
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            tls: TlsOffer::None,
            auth: if submission { AuthOffer::OverTls } else { AuthOffer::Never },
            mechanisms: Mechanism::ALL.to_vec(),
            auth_required: submission,
            bare_newline: if submission { BareNewline::Normalise } else { BareNewline::Refuse },
            haste: Haste::Obeyed,
            introduction: Introduction::Refused,
        }
    }
}
