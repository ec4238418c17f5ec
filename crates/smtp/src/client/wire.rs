//! What we say, and how many replies are owed for it. A reply that comes before its command has left is no reply to it:
//! a server that says `250` once too often would otherwise have every later answer taken for another command's.

use std::{
    fmt,
    io::Write as _,
    time::{Duration, Instant},
};

use mail::{Side, Stage};

use super::record::{REDACTED, Record};

#[derive(Debug)]
pub(super) struct Wire {
    /// Bytes that the driver has not taken.
    out: Vec<u8>,
    /// Replies that the commands in `out` will bring.
    queued: usize,
    /// Replies to what the driver has taken.
    awaited: usize,
    pub(super) record: Record,
    pub(super) deadline: Option<Instant>,
}

impl Wire {
    /// A connection on which the server speaks first.
    pub(super) fn new(now: Instant, wait: Duration) -> Self {
        Self { out: Vec::new(), queued: 0, awaited: 1, record: Record::new(now), deadline: Some(now + wait) }
    }

    /// A command that is answered by one reply.
    pub(super) fn command(&mut self, stage: Stage, line: fmt::Arguments<'_>, now: Instant) {
        write!(self.out, "{line}\r\n").expect("writing to memory does not fail");
        self.queued += 1;
        self.record.push(stage, Side::Client, line, now);
    }

    /// A line of AUTH: `secret` is sent after `open` and not kept.
    pub(super) fn secret(&mut self, open: &str, secret: &str, now: Instant) {
        write!(self.out, "{open}{secret}\r\n").expect("writing to memory does not fail");
        self.queued += 1;
        self.record.push(Stage::Auth, Side::Client, format_args!("{open}{REDACTED}"), now);
    }

    /// Where content goes.
    pub(super) fn content(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// What was written to `content` is answered by one reply.
    pub(super) fn expect_reply(&mut self) {
        self.queued += 1;
    }

    pub(super) fn note(&mut self, stage: Stage, text: fmt::Arguments<'_>, now: Instant) {
        self.record.push(stage, Side::Note, text, now);
    }

    /// Octets that wait for the driver.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.awaited += self.queued;
        self.queued = 0;
        std::mem::take(&mut self.out)
    }

    /// A reply has come; whether one was owed.
    pub(super) fn reply(&mut self) -> bool {
        let owed = self.awaited > 0;
        self.awaited = self.awaited.saturating_sub(1);
        owed
    }

    /// Nothing more will be said, and what was not taken is void.
    pub(super) fn hang_up(&mut self) {
        self.out.clear();
        self.queued = 0;
        self.awaited = 0;
        self.deadline = None;
    }

    pub(super) fn wait(&mut self, wait: Duration, now: Instant) {
        self.deadline = Some(now + wait);
    }
}
