//! What the server says. Each refusal tells what was expected and, where a person can do something, what to type.
//!
//! Codes are those of RFC 5321 §4.2.2–4.2.3 and of the extensions, enhanced codes those of RFC 3463 and its registry
//! (RFC 5248). A text without placeholders is a constant with its codes, ready for the wire; the others are built as
//! a [`Reply`], which makes hostile text harmless.

use mail::{AddressError, Reply};

use super::{
    settings::{Deadlines, Settings},
    wait::{Expiry, spell},
};
use crate::{
    command::{CommandError, Foreign, ParameterError, ParameterFault, Verb},
    data::receive::Fault,
};

pub(super) const OK: &str = "250 2.0.0 Ok";
pub(super) const OK_MAIL: &str = "250 2.1.0 Ok";
pub(super) const OK_RCPT: &str = "250 2.1.5 Ok";
// RFC 2034 §4 exempts nothing but the banner, EHLO and 3xx from enhanced codes.
pub(super) const GO_AHEAD: &str = "354 Send the message; end it with a dot on a line of its own";
pub(super) const BYE: &str = "221 2.0.0 Bye";
pub(super) const START_TLS: &str = "220 2.0.0 Ready to start TLS";
pub(super) const AUTHENTICATED: &str = "235 2.7.0 Authentication succeeded";

pub(super) const BARE_LF: &str = "500 5.5.2 The line ended with a bare LF, expected CR LF: with netcat, use nc -C";
pub(super) const NEED_HELLO: &str = "503 5.5.1 Say who you are first: type EHLO your.host.name";
pub(super) const NEED_MAIL: &str = "503 5.5.1 Name the sender first: type MAIL FROM:<you@your.domain>";
pub(super) const NEED_RCPT: &str = "503 5.5.1 Name a recipient first: type RCPT TO:<somebody@their.domain>";
pub(super) const NO_RECIPIENTS: &str = "554 5.5.1 No valid recipients: every RCPT TO was refused";
pub(super) const NESTED: &str =
    "503 5.5.1 A message is begun already: go on with RCPT TO:<address>, or type RSET to drop it";
pub(super) const IN_CHUNKS: &str = "503 5.5.1 The message is coming by BDAT: go on with BDAT, or send RSET to drop it";
pub(super) const NO_EXPN: &str = "502 5.5.1 EXPN is not offered here: nobody is told who is on a list";
pub(super) const NO_TLS: &str = "502 5.5.1 STARTTLS is not offered here: go on without it";
pub(super) const TLS_IS_ON: &str = "503 5.5.1 TLS is on already: go on with EHLO your.host.name";
pub(super) const NO_AUTH: &str = "502 5.5.1 AUTH is not offered here: go on with MAIL FROM:<you@your.domain>";
// RFC 4954 §6.
pub(super) const AUTH_NEEDS_TLS: &str =
    "538 5.7.11 No passwords in clear text: send STARTTLS first, then EHLO, then AUTH";
pub(super) const AUTH_TWICE: &str = "503 5.5.1 You are authenticated already: go on with MAIL FROM:<you@your.domain>";
pub(super) const AUTH_IN_MAIL: &str = "503 5.5.1 AUTH comes before MAIL: type RSET, then AUTH";
pub(super) const AUTH_REQUIRED: &str = "530 5.7.0 Authentication required: type AUTH LOGIN; HELP AUTH explains it";
pub(super) const AUTH_REQUIRED_TLS: &str =
    "530 5.7.0 Authentication required: send STARTTLS first, then EHLO, then AUTH";
pub(super) const AUTH_CANCELLED: &str = "501 5.7.0 Authentication cancelled";
pub(super) const AUTH_NOT_BASE64: &str =
    "501 5.5.2 Expected base64, as printf %s word | base64 makes it; type AUTH again to begin anew";
pub(super) const AUTH_MALFORMED: &str = "501 5.5.2 Not a response of this mechanism; type AUTH again to begin anew";
pub(super) const AUTH_IMPERSONATION: &str = "535 5.7.8 You can authenticate as yourself only";
pub(super) const EARLY: &str = "554 5.5.0 You spoke before the greeting: wait for the 220";
pub(super) const HASTY: &str = "554 5.5.0 You went on without waiting for the reply to EHLO, HELO or DATA; closing";
pub(super) const INTRODUCTION_MALFORMED: &str =
    "501 5.5.4 XCLIENT needs ADDR=address and takes PORT, NAME, PROTO and HELO: type XCLIENT ADDR=192.0.2.1 PORT=25";
pub(super) const INTRODUCTION_IN_MAIL: &str = "503 5.5.1 XCLIENT comes before MAIL and AUTH: type RSET first";
pub(super) const SKIPPED_TOO_MUCH: &str = "421 4.7.0 Too many octets after a refusal; closing";
pub(super) const AUTH_PARAMETER: &str = "555 5.5.4 The parameter AUTH is not offered here: leave it out";

/// 220 (RFC 5321 §4.2): without an enhanced code.
pub(super) fn banner(settings: &Settings) -> Reply {
    Reply::new(220, None, format!("{} ESMTP {}", settings.hostname, settings.banner))
}

/// The 250 that promises: the message is durable.
pub(super) fn queued(id: &str) -> Reply {
    Reply::with(250, (2, 0, 0), format!("Ok: queued as {id}"))
}

pub(super) fn chunk_received(size: u64) -> Reply {
    Reply::with(250, (2, 0, 0), format!("Ok: {size} octets received"))
}

/// What is wrong with a line.
pub(super) fn complaint(error: &CommandError) -> Reply {
    match error {
        CommandError::Empty => syntax("Expected a command: type HELP for the list"),
        CommandError::Control => syntax("A command is printable ASCII; the line had a control character"),
        CommandError::NotAscii => syntax("A command is printable ASCII; the line had other octets"),
        // Somebody who skipped DATA, or whose DATA was refused.
        CommandError::Unknown(name) if name == "." || name.ends_with(':') => Reply::with(
            500,
            (5, 5, 1),
            "Not a command; a letter comes after MAIL, RCPT and DATA: type HELP for the list",
        ),
        CommandError::Unknown(name) => {
            let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
            Reply::with(500, (5, 5, 1), format!("Unknown command {shown}: type HELP for the list"))
        }
        CommandError::NotImplemented(name) => {
            Reply::with(502, (5, 5, 1), format!("{name} is not offered here: type HELP for the list"))
        }
        CommandError::Foreign(Foreign::Http) => {
            Reply::with(554, (5, 5, 1), "This is an SMTP server, it does not speak HTTP; closing")
        }
        CommandError::Foreign(Foreign::Tls) => Reply::with(
            554,
            (5, 5, 1),
            "TLS does not begin at once here: use STARTTLS, or the port for implicit TLS (465); closing",
        ),
        CommandError::Usage(verb) => usage(*verb),
        CommandError::ReversePath(error) => address((5, 1, 7), "sender", *error, Verb::Mail),
        CommandError::ForwardPath(error) => address((5, 1, 3), "recipient", *error, Verb::Rcpt),
        CommandError::Parameter(verb, error) => parameter(*verb, error),
    }
}

/// Octets of an unknown command that are repeated.
const NAME_SHOWN_MAX: usize = 40;

fn syntax(text: &str) -> Reply {
    Reply::with(500, (5, 5, 2), text)
}

fn usage(verb: Verb) -> Reply {
    let wrong = match verb {
        Verb::Ehlo | Verb::Helo => "needs the name of your host, one word",
        Verb::Mail => "needs FROM: and one address without a name, with both < and > or neither",
        Verb::Rcpt => "needs TO: and one address without a name, with both < and > or neither",
        Verb::Bdat => "needs a number of octets",
        Verb::Vrfy => "needs an address",
        Verb::Expn => "needs the name of a list",
        Verb::Auth => "needs a mechanism, and at most one response",
        Verb::Data | Verb::Rset | Verb::Noop | Verb::Help | Verb::Quit | Verb::StartTls => "stands alone on its line",
    };
    Reply::with(501, (5, 5, 4), format!("{verb} {wrong}: type {}", verb.usage()))
}

fn address(enhanced: (u8, u16, u16), whose: &str, error: AddressError, verb: Verb) -> Reply {
    Reply::with(501, enhanced, format!("Bad {whose} address, {error}: type {}", verb.usage()))
}

fn parameter(verb: Verb, error: &ParameterError) -> Reply {
    let keyword: String = error.keyword.chars().take(NAME_SHOWN_MAX).collect();
    match error.fault {
        // RFC 5321 §4.1.1.11.
        ParameterFault::NotImplemented => Reply::with(
            555,
            (5, 5, 4),
            format!("The parameter {keyword} of {verb} is not offered here, or not with this value: leave it out"),
        ),
        ParameterFault::Twice => {
            Reply::with(501, (5, 5, 4), format!("The parameter {keyword} is there twice: give it once"))
        }
        ParameterFault::Expected(what) => Reply::with(501, (5, 5, 4), format!("The parameter {keyword} needs {what}")),
    }
}

pub(super) fn line_too_long(max: usize) -> Reply {
    Reply::with(500, (5, 5, 2), format!("The line is too long: a command has at most {max} octets with its CR LF"))
}

/// RFC 4954 §4, §6.
pub(super) fn auth_line_too_long(max: usize) -> Reply {
    Reply::with(500, (5, 5, 6), format!("The line is too long: one of AUTH has at most {max} octets with its CR LF"))
}

/// RFC 1870 §6.1, §6.3.
pub(super) fn too_large(max: u64) -> Reply {
    Reply::with(552, (5, 3, 4), format!("The message is too large: at most {max} octets are taken"))
}

pub(super) fn bare_newline(fault: Fault) -> Reply {
    let what = match fault {
        Fault::BareCr => "a CR without LF",
        Fault::BareLf => "an LF without CR",
    };
    Reply::with(550, (5, 6, 0), format!("The message has {what}: end each line with CR LF"))
}

/// The same reply of a server that has heard enough.
pub(super) fn and_closing(reply: &Reply) -> Reply {
    Reply::new(reply.code, reply.enhanced, format!("{}; closing", reply.text()))
}

/// RFC 5321 §4.5.3.1.10: 452, not the 552 of old.
pub(super) fn too_many_recipients(max: usize) -> Reply {
    Reply::with(
        452,
        (4, 5, 3),
        format!("A message has at most {max} recipients: send it to the others in another transaction"),
    )
}

pub(super) fn unknown_mechanism(name: &str, offered: &str) -> Reply {
    let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
    Reply::with(504, (5, 5, 4), format!("The mechanism {shown} is not offered here: type AUTH and one of {offered}"))
}

pub(super) fn too_many_errors(settings: &Settings) -> Reply {
    closing((4, 7, 0), settings, "has seen too many errors")
}

pub(super) fn too_much_junk(settings: &Settings) -> Reply {
    closing((4, 7, 0), settings, "has seen too many commands without a message")
}

pub(super) fn stopping(settings: &Settings) -> Reply {
    closing((4, 3, 2), settings, "is stopping, try again soon")
}

pub(super) fn expired(expiry: Expiry, settings: &Settings, deadlines: &Deadlines) -> Reply {
    let wait = match expiry {
        Expiry::Banner => format!("waited {} for the handshake", spell(deadlines.banner)),
        Expiry::Command => format!("waited {} for a command", spell(deadlines.command)),
        Expiry::Response => format!("waited {} for the response to AUTH", spell(deadlines.command)),
        Expiry::Block => format!("waited {} for more of the message", spell(deadlines.data_block)),
        Expiry::Rate => format!("waited for a message that comes slower than {} octets a second", deadlines.data_rate),
    };
    closing((4, 4, 2), settings, &wait)
}

/// 421: the domain, and that the connection ends (RFC 5321 §4.2.3).
fn closing(enhanced: (u8, u16, u16), settings: &Settings, why: &str) -> Reply {
    Reply::with(421, enhanced, format!("{} {why}; closing", settings.hostname))
}

/// A question of ours was answered wrongly: our fault, so a temporary one.
pub(super) fn internal_error() -> Reply {
    Reply::with(451, (4, 3, 0), "The server made a mistake: try again later")
}

/// The reply to VRFY of a server that does not tell who exists (RFC 5321 §3.5.3).
pub fn vrfy_unsure() -> Reply {
    Reply::with(252, (2, 5, 0), "Whether this mailbox exists is not told: send a message and see")
}
