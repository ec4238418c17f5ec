//! What a command line says (RFC 5321 §4.1, and the extensions' own pages).
//!
//! Lenient where people type: case, spaces and tabs, a missing pair of brackets, a source route. Strict where it
//! matters: octets outside printable ASCII, unknown and doubled parameters, addresses. Nothing here knows the state of
//! the conversation: whether a command is allowed now is decided by [`crate::server`].

use std::str;

use mail::{AddressError, Body, ForwardPath, ReversePath};

use crate::sasl::Mechanism;

mod parameter;
mod path;
mod verb;
pub mod xtext;

pub use parameter::{ParameterError, ParameterFault};
pub use verb::{Foreign, Verb};

/// Digits of a SIZE (RFC 1870 §5) or of a chunk size that are read at all: a larger number is no number of octets.
const SIZE_DIGITS_MAX: usize = 20;
/// Octets of a host name or address literal in EHLO (RFC 5321 §4.5.3.1.2).
const HELLO_MAX: usize = 255;

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// EHLO and the client's name.
    Ehlo(&'a str),
    /// HELO and the client's name.
    Helo(&'a str),
    /// MAIL FROM.
    Mail {
        /// Where failures go.
        reverse_path: ReversePath,
        /// The parameters.
        parameters: MailParameters,
    },
    /// RCPT TO.
    Rcpt {
        /// Where the message goes.
        forward_path: ForwardPath,
        /// The parameters.
        parameters: RcptParameters,
    },
    /// DATA.
    Data,
    /// BDAT.
    Bdat(Chunk),
    /// RSET.
    Rset,
    /// NOOP, with anything behind it.
    Noop,
    /// VRFY and a name.
    Vrfy(&'a str),
    /// EXPN and a name.
    Expn(&'a str),
    /// HELP, perhaps on something.
    Help(Option<&'a str>),
    /// QUIT.
    Quit,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth {
        /// The mechanism, or its unknown name.
        mechanism: Result<Mechanism, &'a str>,
        /// The initial response in base64; `=` stands for an empty one (RFC 4954 §4).
        initial: Option<&'a str>,
    },
}

impl Command<'_> {
    /// The verb.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Ehlo(_) => Verb::Ehlo,
            Self::Helo(_) => Verb::Helo,
            Self::Mail { .. } => Verb::Mail,
            Self::Rcpt { .. } => Verb::Rcpt,
            Self::Data => Verb::Data,
            Self::Bdat(_) => Verb::Bdat,
            Self::Rset => Verb::Rset,
            Self::Noop => Verb::Noop,
            Self::Vrfy(_) => Verb::Vrfy,
            Self::Expn(_) => Verb::Expn,
            Self::Help(_) => Verb::Help,
            Self::Quit => Verb::Quit,
            Self::StartTls => Verb::StartTls,
            Self::Auth { .. } => Verb::Auth,
        }
    }
}

/// The parameters of MAIL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// SIZE: octets that the client thinks the message has (RFC 1870 §6). Larger than fits is `u64::MAX`.
    pub size: Option<u64>,
    /// BODY: what octets the content has (RFC 6152).
    pub body: Body,
    /// AUTH: who submitted it first, decoded; empty for `<>` (RFC 4954 §5). A claim: trust it from trusted peers only.
    pub auth: Option<String>,
}

/// The parameters of RCPT. No extension that is offered has one yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {}

/// The argument of BDAT (RFC 3030 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Octets that follow the command line.
    pub size: u64,
    /// Whether the message ends with them.
    pub place: ChunkPlace,
}

/// Where in the message a chunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkPlace {
    /// More follow.
    Inner,
    /// `LAST`.
    Last,
}

/// Why a line is no command. [`crate::server`] words the replies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nothing but spaces.
    #[error("an empty line")]
    Empty,
    /// A control character, NUL or a CR without LF.
    #[error("a control character")]
    Control,
    /// An octet above 127.
    #[error("an octet that is not ASCII")]
    NotAscii,
    /// No verb that anybody knows.
    #[error("an unknown command: {0}")]
    Unknown(String),
    /// A verb of SMTP that is not offered here.
    #[error("a command that is not offered: {0}")]
    NotImplemented(&'static str),
    /// Another protocol.
    #[error("another protocol: {0:?}")]
    Foreign(Foreign),
    /// The arguments are not those of the verb.
    #[error("wrong arguments of {0}")]
    Usage(Verb),
    /// MAIL with something that is no address.
    #[error("bad sender: {0}")]
    ReversePath(AddressError),
    /// RCPT with something that is no address.
    #[error("bad recipient: {0}")]
    ForwardPath(AddressError),
    /// A parameter of MAIL or RCPT.
    #[error("bad parameter of {0}: {1}")]
    Parameter(Verb, ParameterError),
}

/// Parses a line without its CRLF.
pub fn parse(line: &[u8]) -> Result<Command<'_>, CommandError> {
    if let Some(foreign) = Foreign::of(line) {
        return Err(CommandError::Foreign(foreign));
    }
    let text = printable(line)?;
    let (name, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let rest = rest.trim_matches([' ', '\t']);
    match Verb::of(name) {
        Some(verb) => arguments(verb, rest),
        None if name.is_empty() => Err(CommandError::Empty),
        None => match verb::not_implemented(name) {
            Some(known) => Err(CommandError::NotImplemented(known)),
            None => Err(CommandError::Unknown(name.to_owned())),
        },
    }
}

/// Whether the line that begins like this is one of AUTH, which may be longer than others (RFC 4954 §4).
pub fn is_auth(start: &[u8]) -> bool {
    let start = start.trim_ascii_start();
    let (name, rest) = start.split_at_checked(4).unwrap_or_default();
    name.eq_ignore_ascii_case(b"AUTH") && matches!(rest.first(), None | Some(b' ' | b'\t'))
}

/// The line without the spaces around it, if it is printable ASCII and tabs.
fn printable(line: &[u8]) -> Result<&str, CommandError> {
    if line.iter().any(|octet| octet.is_ascii_control() && *octet != b'\t') {
        return Err(CommandError::Control);
    }
    match str::from_utf8(line) {
        Ok(text) if text.is_ascii() => Ok(text.trim_matches([' ', '\t'])),
        _ => Err(CommandError::NotAscii),
    }
}

fn arguments(verb: Verb, rest: &str) -> Result<Command<'_>, CommandError> {
    let usage = CommandError::Usage(verb);
    let bare = |command| if rest.is_empty() { Ok(command) } else { Err(CommandError::Usage(verb)) };
    let word = || if rest.is_empty() { Err(CommandError::Usage(verb)) } else { Ok(rest) };
    match verb {
        Verb::Ehlo => hello(rest).map(Command::Ehlo).ok_or(usage),
        Verb::Helo => hello(rest).map(Command::Helo).ok_or(usage),
        Verb::Mail => mail_from(rest),
        Verb::Rcpt => rcpt_to(rest),
        Verb::Data => bare(Command::Data),
        Verb::Bdat => chunk(rest).map(Command::Bdat).ok_or(usage),
        Verb::Rset => bare(Command::Rset),
        Verb::Noop => Ok(Command::Noop),
        Verb::Vrfy => word().map(Command::Vrfy),
        Verb::Expn => word().map(Command::Expn),
        Verb::Help => Ok(Command::Help(Some(rest).filter(|topic| !topic.is_empty()))),
        Verb::Quit => bare(Command::Quit),
        Verb::StartTls => bare(Command::StartTls),
        Verb::Auth => auth(rest).ok_or(usage),
    }
}

/// One word. Real clients put names with underscores and worse there, so it need not be a domain.
fn hello(rest: &str) -> Option<&str> {
    (!rest.is_empty() && rest.len() <= HELLO_MAX && !rest.contains([' ', '\t'])).then_some(rest)
}

/// `FROM` and a colon with spaces anywhere, then a path, then parameters.
fn mail_from(rest: &str) -> Result<Command<'_>, CommandError> {
    let usage = || CommandError::Usage(Verb::Mail);
    let path = after_keyword(rest, "FROM").and_then(path::split).ok_or_else(usage)?;
    let reverse_path = path.address.parse().map_err(CommandError::ReversePath)?;
    if reverse_path == ReversePath::Null && path.brackets == path::Brackets::Missing {
        return Err(usage());
    }
    let parameters =
        parameter::read(path.rest, parameter::MAIL).map_err(|error| CommandError::Parameter(Verb::Mail, error))?;
    Ok(Command::Mail { reverse_path, parameters })
}

fn rcpt_to(rest: &str) -> Result<Command<'_>, CommandError> {
    let path = after_keyword(rest, "TO").and_then(path::split).ok_or(CommandError::Usage(Verb::Rcpt))?;
    if path.address.is_empty() && path.brackets == path::Brackets::Missing {
        return Err(CommandError::Usage(Verb::Rcpt));
    }
    let forward_path = path.address.parse().map_err(CommandError::ForwardPath)?;
    let parameters =
        parameter::read(path.rest, parameter::RCPT).map_err(|error| CommandError::Parameter(Verb::Rcpt, error))?;
    Ok(Command::Rcpt { forward_path, parameters })
}

fn after_keyword<'a>(rest: &'a str, keyword: &str) -> Option<&'a str> {
    let (name, rest) = rest.split_once(':')?;
    name.trim_end_matches([' ', '\t']).eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches([' ', '\t']))
}

/// `size`, or `size LAST`.
fn chunk(rest: &str) -> Option<Chunk> {
    let mut words = rest.split_ascii_whitespace();
    let size = words.next().filter(|digits| digits.len() < SIZE_DIGITS_MAX).and_then(number)?;
    let place = match words.next() {
        None => ChunkPlace::Inner,
        Some(word) if word.eq_ignore_ascii_case("LAST") => ChunkPlace::Last,
        Some(_) => return None,
    };
    words.next().is_none().then_some(Chunk { size, place })
}

fn auth(rest: &str) -> Option<Command<'_>> {
    let mut words = rest.split_ascii_whitespace();
    let name = words.next()?;
    let initial = words.next();
    words.next().is_none().then(|| Command::Auth { mechanism: name.parse().map_err(|_| name), initial })
}

/// A number of octets of at most 20 digits; one that does not fit is the largest.
fn number(digits: &str) -> Option<u64> {
    let fits = (1..=SIZE_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
    fits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
