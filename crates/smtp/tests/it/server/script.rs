//! The notation of conversations.
//!
//! ```text
//! settings: submission starttls         words of `adjust`, first line, may be left out
//! refuse: RCPT <b@x.example> 550 5.1.1 No such user      what the driver refuses
//! # a remark
//! S: 220 mx.example ESMTP Posthouse     the server says this line; `…` at the end: and anything behind it
//! S* 250                                the server says a reply with this code, whatever its lines
//! C: EHLO client.example                the client says this line
//! C< a\r\n\x00                          the client says these octets, no line end added
//! C* 1000 abc                           the client says these octets so many times
//! T                                     the server wants the handshake; it is done
//! E                                     the client will say no more
//! X                                     the server closes
//! @ +5m                                 time passes (pure session only)
//! !                                     the server is told to stop (pure session only)
//! M: <a@x.example> SevenBit -> <b@x.example> "octets"    this message has been accepted
//! M: "octets"                           the same, with the envelope of `~ recipient`
//! M: none                               none has, since the last `M:`
//! ~ greeted                             a scene: the lines of one of `SCENES`
//! ```

use std::{sync::Arc, time::Duration};

use mail::Reply;
use smtp::{
    data::receive::BareNewline,
    server::{AuthOffer, Introduction, Service, Settings, TlsOffer},
};

use super::desk::{self, Message};
use crate::notation::{duration, unescape};

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The client says octets: all that it says without listening.
    Client(Vec<u8>),
    Line(String),
    Reply(String),
    StartTls,
    Eof,
    Closed,
    Wait(Duration),
    Shutdown,
    Message(Message),
    NoMessage,
}

#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) settings: Arc<Settings>,
    pub(super) rules: Vec<(String, Reply)>,
    pub(super) steps: Vec<Step>,
    /// Runs over a socket make sense.
    pub(super) wire: bool,
    /// What is said depends on the absence of TLS.
    pub(super) clear_text: bool,
}

/// What many conversations begin with.
const SCENES: [(&str, &[&str]); 3] = [
    ("greeted", &["S* 220", "C: EHLO x.example", "S* 250"]),
    ("recipient", &["C: MAIL FROM:<a@x.example>", "C: RCPT TO:<b@x.example>", "S* 250", "S* 250"]),
    ("data", &["C: MAIL FROM:<a@x.example>", "C: RCPT TO:<b@x.example>", "C: DATA", "S* 250", "S* 250", "S* 354"]),
];

/// The envelope of those scenes.
const ENVELOPE: &str = "<a@x.example> SevenBit -> <b@x.example>";

impl Script {
    pub(super) fn parse(text: &str) -> Self {
        let mut settings = Settings::new("mx.example", Service::Mx);
        let mut script = Self {
            settings: Arc::new(settings.clone()),
            rules: Vec::new(),
            steps: Vec::new(),
            wire: true,
            clear_text: false,
        };
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            match kind {
                "settings:" => script.adjust(&mut settings, rest),
                "refuse:" => script.rules.push(rule(rest)),
                "~" => script.scene(rest),
                _ => script.step(kind, rest),
            }
        }
        script.settings = Arc::new(settings);
        script
    }

    fn adjust(&mut self, settings: &mut Settings, words: &str) {
        for word in words.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "submission" => {
                    *settings = Settings { tls: settings.tls, ..Settings::new("mx.example", Service::Submission) }
                }
                "starttls" => settings.tls = TlsOffer::StartTls,
                "implicit" => settings.tls = TlsOffer::Established,
                "plaintext_auth" => settings.auth = AuthOffer::Always,
                "auth_over_tls" => settings.auth = AuthOffer::OverTls,
                "normalise" => settings.bare_newline = BareNewline::Normalise,
                "size" => settings.limits.message_size = value.parse().unwrap(),
                "recipients" => settings.limits.recipients = value.parse().unwrap(),
                "errors" => settings.limits.errors = value.parse().unwrap(),
                "junk" => settings.limits.junk = value.parse().unwrap(),
                "slow" => settings.deadlines.data_rate_after = duration(value),
                "xclient" => settings.introduction = Introduction::Taken,
                "clear_text" => self.clear_text = true,
                "pure" => self.wire = false,
                other => panic!("no such setting: {other}"),
            }
        }
    }

    fn scene(&mut self, name: &str) {
        let (_, lines) = SCENES.into_iter().find(|(scene, _)| *scene == name).unwrap();
        for line in lines {
            let (kind, rest) = line.split_once(' ').unwrap();
            self.step(kind, rest);
        }
    }

    fn step(&mut self, kind: &str, rest: &str) {
        let step = match kind {
            "S:" => Step::Line(rest.to_owned()),
            "S*" => Step::Reply(rest.to_owned()),
            "C:" => return self.client(format!("{rest}\r\n").into_bytes()),
            "C<" => return self.client(unescape(rest)),
            "C*" => {
                let (times, octets) = rest.split_once(' ').unwrap();
                return self.client(unescape(octets).repeat(times.parse().unwrap()));
            }
            "T" => Step::StartTls,
            "E" => Step::Eof,
            "X" => Step::Closed,
            "@" => Step::Wait(duration(rest.strip_prefix('+').unwrap())),
            "!" => Step::Shutdown,
            "M:" if rest == "none" => Step::NoMessage,
            "M:" => Step::Message(message(rest)),
            other => panic!("no such step: {other}"),
        };
        self.wire &= !matches!(step, Step::Wait(_) | Step::Shutdown);
        self.steps.push(step);
    }

    /// What the client says without listening is one piece.
    fn client(&mut self, octets: Vec<u8>) {
        match self.steps.last_mut() {
            Some(Step::Client(before)) => before.extend(octets),
            _ => self.steps.push(Step::Client(octets)),
        }
    }
}

/// `RCPT <a@b.example> 550 5.1.1 text`: what stands before the first number, and the reply.
fn rule(text: &str) -> (String, Reply) {
    let starts_code = |at: &usize| text[at + 1..].starts_with(|first: char| first.is_ascii_digit());
    let at = text.match_indices(' ').map(|(at, _)| at).find(starts_code).expect("a reply");
    (text[..at].to_owned(), desk::reply(&text[at + 1..]))
}

fn message(text: &str) -> Message {
    let (envelope, content) = text.strip_suffix('"').unwrap().rsplit_once('"').unwrap();
    let envelope = if envelope.is_empty() { ENVELOPE } else { envelope.trim() };
    Message { envelope: envelope.to_owned(), content: unescape(content) }
}
