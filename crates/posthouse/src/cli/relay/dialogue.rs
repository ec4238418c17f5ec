//! A dialogue of single commands and their replies, for saying what no client of ours would say. Each line is shown as it
//! is said.

use std::{io, net::SocketAddr, time::Duration};

use mail::{Domain, Reply, Side};
use net::{Clock, Connector as _, Stream, TcpConnector};
use smtp::client::reply::ReplyReader;

use crate::cli::terminal::say;

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(30);
/// How long the server may take for a reply: tarpits are patient.
const REPLY: Duration = Duration::from_secs(120);
/// Octets of a line that are shown.
pub(super) const LINE_MAX: usize = 2000;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error(transparent)]
    Connect(#[from] net::ConnectError),
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("no reply within {} s", REPLY.as_secs())]
    Silent,
    #[error(transparent)]
    Malformed(#[from] smtp::client::reply::Malformed),
    #[error("it does not want to talk: {0}")]
    Unwilling(Reply),
}

/// One line that was said.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) side: Side,
    /// Escaped.
    pub(super) text: String,
}

/// An open session.
pub(super) struct Dialogue {
    stream: Stream,
    reader: ReplyReader,
    unread: Vec<u8>,
    clock: Clock,
    lines: Vec<Line>,
    shown: bool,
    host_name: Option<Domain>,
    lost: bool,
}

impl Dialogue {
    /// Connects, reads the banner and says EHLO, or HELO to who knows no better.
    pub(super) async fn open(to: SocketAddr, ehlo: &str, clock: Clock, shown: bool) -> Result<Self, Lost> {
        let stream = TcpConnector::new().connect(to, None, clock.instant() + CONNECT).await?;
        let (reader, unread, lines) = (ReplyReader::default(), Vec::new(), Vec::new());
        let mut dialogue = Self { stream, reader, unread, clock, lines, shown, host_name: None, lost: false };
        dialogue.note(&format!("connected to {to}"));
        let banner = dialogue.reply().await?;
        if !banner.is_positive() {
            return Err(Lost::Unwilling(banner));
        }
        let mut hello = dialogue.ask(&format!("EHLO {ehlo}")).await?;
        if !hello.is_positive() {
            hello = dialogue.ask(&format!("HELO {ehlo}")).await?;
        }
        if !hello.is_positive() {
            return Err(Lost::Unwilling(hello));
        }
        dialogue.host_name = first_name(&hello).or_else(|| first_name(&banner));
        Ok(dialogue)
    }

    /// What the server calls itself.
    pub(super) fn host_name(&self) -> Option<Domain> {
        self.host_name.clone()
    }

    /// Whether nothing more can be said.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// What was said so far.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Says a command and hears its reply. After a 421 nothing more can be said.
    pub(super) async fn ask(&mut self, command: &str) -> Result<Reply, Lost> {
        self.spoken(Side::Client, command);
        if let Err(error) = self.stream.write_whole(format!("{command}\r\n").as_bytes()).await {
            self.lost = true;
            return Err(Lost::Broken(error));
        }
        self.reply().await
    }

    /// Says goodbye.
    pub(super) async fn close(mut self) {
        if !self.lost {
            let _gone = self.ask("QUIT").await.is_err();
        }
    }

    /// A remark of ours between the lines.
    pub(super) fn note(&mut self, text: &str) {
        self.spoken(Side::Note, text);
    }

    async fn reply(&mut self) -> Result<Reply, Lost> {
        let heard = self.hear().await;
        match &heard {
            Ok(reply) => {
                let lines: Vec<String> = self.reader.lines().map(|line| line.into_owned()).collect();
                for line in lines {
                    self.spoken(Side::Server, &line);
                }
                self.lost |= reply.code == 421;
            }
            Err(lost) => {
                self.lost = true;
                self.note(&lost.to_string());
            }
        }
        heard
    }

    async fn hear(&mut self) -> Result<Reply, Lost> {
        const READ_SIZE: usize = 4096;
        let deadline = self.clock.instant() + REPLY;
        loop {
            let mut input = self.unread.as_slice();
            let complete = self.reader.read(&mut input)?.is_some();
            self.unread = input.to_vec();
            if complete {
                return Ok(self.reader.reply());
            }
            let readable = self.clock.timeout_at(deadline, self.stream.readable()).await;
            readable.map_err(|_| Lost::Silent)?.map_err(Lost::Broken)?;
            let mut buffer = vec![0; READ_SIZE];
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(Lost::Closed),
                Ok(read) => self.unread.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Lost::Broken(error)),
            }
        }
    }

    fn spoken(&mut self, side: Side, text: &str) {
        let text = mail::for_log(text, LINE_MAX);
        if self.shown {
            let mark = match side {
                Side::Client => "C:",
                Side::Server => "S:",
                Side::Note => "--",
            };
            say(&format!("{mark} {text}"));
        }
        self.lines.push(Line { side, text });
    }
}

/// The name that a banner or a greeting begins with (RFC 5321 §4.2, §4.1.1.1).
fn first_name(reply: &Reply) -> Option<Domain> {
    let first = reply.lines.first()?.split_whitespace().next()?;
    first.parse::<Domain>().ok().filter(|name| name.name().is_some_and(|name| name.contains('.')))
}
