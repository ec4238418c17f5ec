//! The notation of conversations.
//!
//! ```text
//! settings: tls=required user=anna:secret     words of `adjust`, first line, may be left out
//! # a remark
//! S: 220 mx.example ESMTP                the server says this line
//! S< 250 a\r\n250                        the server says these octets, no line end added
//! S* 1000 abc                            the server says these octets so many times
//! C: EHLO client.example                 the client says this line
//! C< a\r\n                               the client says these octets, no line end added
//! T                                      the client does the handshake
//! T! reason                              it fails
//! E                                      the server closes
//! X                                      the client closes
//! @ +5m                                  time passes (pure session only)
//! mail <a@x.example> <b@x.example> <c@x.example> "octets"     sender, recipients and content of a transaction
//! mail8 …                                the same with content of eight bits
//! quit                                   the driver has had enough
//! = <b@x.example> accepted 250 2.0.0 Ok  a recipient's result; `…` at the end: and anything behind it
//! = done, reusable                       what the report says besides
//! = failed at banner, refused: 554 …     the connection is of no use
//! ~ PIPELINING CHUNKING                  a scene: banner, EHLO, and these extensions
//! ```

use std::{sync::Arc, time::Duration};

use mail::{Body, ForwardPath, ReversePath};
use smtp::client::{ClearTextAuth, Credentials, Output, RecipientResult, Report, Settings, TlsWish, Transaction, Use};
use smtp::sasl::{Mechanism, Secret};

use crate::notation::{duration, unescape};

/// The nonce of the example in RFC 7677 §3.
pub(super) const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";

/// A transaction and its content, cut in pieces as it will be fed.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) transaction: Transaction,
    pub(super) pieces: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The server says octets: all that it says without listening.
    Server(Vec<u8>),
    /// The client says octets: all that it says without listening.
    Client(Vec<u8>),
    StartTls,
    TlsFails(String),
    Eof,
    Closed,
    Wait(Duration),
    Start(Order),
    Quit,
    /// What the driver is told.
    Told(String),
}

#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) settings: Arc<Settings>,
    pub(super) steps: Vec<Step>,
    /// Runs over a socket make sense.
    pub(super) wire: bool,
    /// What is said depends on the absence of TLS.
    pub(super) clear_text: bool,
    /// A run costs so much that not every split is tried.
    pub(super) costly: bool,
    /// Octets of a piece of content.
    piece: usize,
}

impl Script {
    pub(super) fn parse(text: &str) -> Self {
        let mut settings = Settings::new("client.example");
        let mut script = Self {
            settings: Arc::new(settings.clone()),
            steps: Vec::new(),
            wire: true,
            clear_text: false,
            costly: false,
            piece: usize::MAX,
        };
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            match kind {
                "settings:" => script.adjust(&mut settings, rest),
                "~" => script.scene(rest),
                _ => script.step(kind, rest),
            }
        }
        script.settings = Arc::new(settings);
        script
    }

    fn adjust(&mut self, settings: &mut Settings, words: &str) {
        for word in words.split_whitespace() {
            match word.split_once('=').unwrap_or((word, "")) {
                ("tls", "off") => settings.tls = TlsWish::Off,
                ("tls", "required") => settings.tls = TlsWish::Required,
                ("tls", "established") => settings.tls = TlsWish::Established,
                ("user", both) => {
                    let (username, password) = both.split_once(':').unwrap();
                    settings.auth = Some(Credentials { username: username.into(), password: Secret::new(password) });
                }
                ("only", mechanism) => settings.mechanisms = vec![mechanism.parse::<Mechanism>().unwrap()],
                ("clear_text_auth", "") => settings.clear_text_auth = ClearTextAuth::Permit,
                ("lockstep", "") => settings.pipelining = Use::Never,
                ("no_chunks", "") => settings.chunking = Use::Never,
                ("piece", octets) => self.piece = octets.parse().unwrap(),
                ("clear_text", "") => self.clear_text = true,
                ("costly", "") => self.costly = true,
                ("pure", "") => self.wire = false,
                other => panic!("no such setting: {other:?}"),
            }
        }
    }

    fn scene(&mut self, extensions: &str) {
        self.step("S:", "220 mx.example ESMTP");
        self.step("C:", "EHLO client.example");
        self.step("S:", "250-mx.example");
        for extension in extensions.split_whitespace() {
            self.step("S:", &format!("250-{}", extension.replace('_', " ")));
        }
        self.step("S:", "250 HELP");
    }

    fn step(&mut self, kind: &str, rest: &str) {
        let step = match kind {
            "S:" => return self.server(format!("{rest}\r\n").into_bytes()),
            "S<" => return self.server(unescape(rest)),
            "S*" => {
                let (times, octets) = rest.split_once(' ').unwrap();
                return self.server(unescape(octets).repeat(times.parse().unwrap()));
            }
            "C:" => return self.client(format!("{rest}\r\n").into_bytes()),
            "C<" => return self.client(unescape(rest)),
            "T" => Step::StartTls,
            "T!" => Step::TlsFails(rest.to_owned()),
            "E" => Step::Eof,
            "X" => Step::Closed,
            "@" => Step::Wait(duration(rest.strip_prefix('+').unwrap())),
            "mail" => Step::Start(self.order(rest, Body::SevenBit)),
            "mail8" => Step::Start(self.order(rest, Body::EightBitMime)),
            "quit" => Step::Quit,
            "=" => Step::Told(rest.to_owned()),
            other => panic!("no such step: {other}"),
        };
        self.wire &= !matches!(step, Step::Wait(_) | Step::TlsFails(_));
        self.steps.push(step);
    }

    fn server(&mut self, octets: Vec<u8>) {
        match self.steps.last_mut() {
            Some(Step::Server(before)) => before.extend(octets),
            _ => self.steps.push(Step::Server(octets)),
        }
    }

    fn client(&mut self, octets: Vec<u8>) {
        match self.steps.last_mut() {
            Some(Step::Client(before)) => before.extend(octets),
            _ => self.steps.push(Step::Client(octets)),
        }
    }

    fn order(&self, text: &str, body: Body) -> Order {
        let (envelope, content) = text.strip_suffix('"').unwrap().split_once('"').unwrap();
        let mut paths =
            envelope.split_whitespace().map(|path| path.strip_prefix('<').unwrap().strip_suffix('>').unwrap());
        let reverse_path: ReversePath = paths.next().unwrap().parse().unwrap();
        let content = unescape(content);
        let transaction = Transaction {
            reverse_path,
            recipients: paths.map(|path| path.parse::<ForwardPath>().unwrap()).collect(),
            size: content.len() as u64,
            body,
        };
        Order { transaction, pieces: content.chunks(self.piece).map(<[u8]>::to_vec).collect() }
    }
}

/// What an output tells the driver, a line for each fact. Nothing for those that want something done.
pub(super) fn told(output: &Output) -> Vec<String> {
    match output {
        Output::Done(report) => told_report(report),
        Output::Failed(failure) => {
            let why = failure.reply.as_ref().map_or_else(|| failure.text.clone(), ToString::to_string);
            vec![format!("failed at {}, {}: {why}", failure.stage, failure.cause)]
        }
        Output::Write | Output::StartTls | Output::Ready | Output::NeedContent | Output::Close => Vec::new(),
    }
}

fn told_report(report: &Report) -> Vec<String> {
    let mut lines: Vec<_> = report
        .recipients
        .iter()
        .map(|(path, result)| match result {
            RecipientResult::Accepted { reply } => format!("{path} accepted {reply}"),
            RecipientResult::Refused { stage, reply } => format!("{path} refused at {stage} {reply}"),
            RecipientResult::Lost { stage, cause, text } => format!("{path} lost at {stage}, {cause}: {text}"),
        })
        .collect();
    let after = if report.reusable { "reusable" } else { "not reusable" };
    let chunks = if report.chunking_refused { ", without chunks" } else { "" };
    lines.push(format!("done, {after}{chunks}"));
    lines
}
