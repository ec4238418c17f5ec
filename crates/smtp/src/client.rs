//! The sending end of the conversation.
//!
//! A [`Session`] is one connection to a server. It speaks as far as it can without an answer, so that commands leave
//! together, and tells its driver what to do ([`Output`]). It does not decide where mail goes, whether a certificate is
//! good, or what a refusal means for the next try.
//!
//! ```text
//!               220          250               220                done
//!   ● ─► Banner ───► Ehlo ───┬──► StartTls ────────► Handshake ──────► Ehlo …
//!                     │ 5xx  │        │ 4xx, 5xx and opportunistic
//!                     ▼      │ no TLS ▼ wanted, or done
//!                    Helo ───┼───► Auth ⟲ 334
//!                        250 │      │ 235, and proven
//!                            ▼      ▼        start
//!                            └──► Ready ◄────────────► Transaction (see `transaction`)
//!                                   │ quit      Done      │ 421, nonsense, silence, the end
//!                                   ▼                     ▼
//!                                  Quit ──── 221 ───► Closed ◄── anything else, anywhere: Failed
//! ```
//!
//! RFC 5321 (§3, §4.1.4, §4.5.3.2), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING), RFC 3207 (STARTTLS), RFC 4954 (AUTH),
//! RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 9422 (LIMITS).
//!
//! What the driver does, for ever the same:
//!
//! ```text
//! loop {
//!     while let Some(output) = session.poll_output() { do it }
//!     read, or the time of poll_timeout, whichever is first → handle_input, handle_eof, handle_timeout
//! }
//! ```

use std::{collections::VecDeque, sync::Arc, time::Instant};

use mail::{Reply, Side, Stage, TlsSummary, Transcript};

mod extensions;
mod greeting;
mod record;
pub mod reply;
mod report;
mod settings;
mod transaction;
mod wire;

pub use extensions::Extensions;
pub use report::{Cause, Failure, Output, RecipientResult, Report};
pub use settings::{ClearTextAuth, Credentials, Deadlines, Settings, TlsWish, Use};
pub use transaction::Transaction;

use greeting::Authenticating;
use record::REDACTED;
use reply::ReplyReader;
use transaction::{Next, Running};
use wire::Wire;

/// Where the conversation is.
#[derive(Debug)]
enum State {
    /// The server has not greeted.
    Banner,
    Ehlo,
    Helo,
    StartTls,
    /// The driver has the connection.
    Handshake,
    Auth(Authenticating),
    /// Between transactions.
    Ready,
    Transaction(Box<Running>),
    Quit,
    Closed,
}

/// One connection to a server.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    nonce: String,
    state: State,
    reader: ReplyReader,
    wire: Wire,
    outputs: VecDeque<Output>,
    extensions: Extensions,
    tls: Option<TlsSummary>,
    /// Transactions begun.
    transactions: usize,
}

impl Session {
    /// A connection that has just been opened. `nonce` is fresh random text for SCRAM: printable ASCII without comma.
    /// With [`TlsWish::Established`] call [`Session::handle_tls`] next.
    pub fn new(settings: Arc<Settings>, nonce: String, now: Instant) -> Self {
        let wire = Wire::new(now, settings.deadlines.banner);
        Self {
            settings,
            nonce,
            state: State::Banner,
            reader: ReplyReader::default(),
            wire,
            outputs: VecDeque::new(),
            extensions: Extensions::default(),
            tls: None,
            transactions: 0,
        }
    }

    // What happens.

    /// Bytes from the server, split anyhow.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.state {
                State::Closed => return,
                State::Handshake => return self.injected(now),
                _ => {}
            }
            match self.reader.read(&mut rest) {
                Ok(Some(code)) => self.handle_reply(code, rest, now),
                Ok(None) => return,
                // It may be what we said, thrown back at us: not to be shown.
                Err(_) if matches!(self.state, State::Auth(_)) => {
                    return self.lose(Cause::Protocol, "what the server answered to AUTH is no reply", now);
                }
                Err(error) => return self.lose(Cause::Protocol, &error.to_string(), now),
            }
        }
    }

    /// The server will send nothing more, or the connection broke.
    pub fn handle_eof(&mut self, now: Instant) {
        let text = if self.reader.is_midway() {
            "the server closed the connection in the middle of a reply"
        } else {
            "the server closed the connection"
        };
        self.lose(Cause::Closed, text, now);
    }

    /// Time has passed: call it when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.wire.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        let waited = match &self.state {
            State::Banner | State::Handshake => self.settings.deadlines.banner,
            State::Transaction(running) => running.patience(&self.settings.deadlines),
            State::Quit => self.settings.deadlines.quit,
            _ => self.settings.deadlines.command,
        };
        self.lose(Cause::Deadline, &format!("the server did not answer within {} s", waited.as_secs()), now);
    }

    /// The handshake is done. With [`TlsWish::Established`] it comes before the banner.
    pub fn handle_tls(&mut self, tls: TlsSummary, now: Instant) {
        if !matches!(self.state, State::Banner | State::Handshake) {
            return;
        }
        self.wire.note(Stage::Tls, format_args!("{} {} established", tls.version, tls.cipher), now);
        self.tls = Some(tls);
        if matches!(self.state, State::Handshake) {
            self.secured(now);
        }
    }

    /// The handshake failed; `text` says why.
    pub fn handle_tls_failed(&mut self, text: impl Into<String>, now: Instant) {
        if matches!(self.state, State::Banner | State::Handshake) {
            self.fail(Stage::Tls, Cause::Tls, None, text.into(), now);
        }
    }

    /// When to call `handle_timeout`. Nothing between transactions: how long a connection is kept is the driver's.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wire.deadline
    }

    // What to do.

    /// What to do next. Nothing: wait for input or time.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let State::Transaction(running) = &mut self.state
            && running.asks_for_content(self.wire.waiting())
        {
            return Some(Output::NeedContent);
        }
        if self.wire.waiting() > 0 {
            return Some(Output::Write);
        }
        self.outputs.pop_front()
    }

    /// The bytes to write, after [`Output::Write`].
    pub fn take_write(&mut self) -> Vec<u8> {
        self.wire.take()
    }

    /// Begins a transaction. If the server has gone meanwhile, all recipients are lost at once: `Done` comes always.
    pub fn start(&mut self, transaction: Transaction, now: Instant) {
        if self.transactions > 0 {
            self.wire.record.restart(now);
        }
        self.transactions += 1;
        let ready = matches!(self.state, State::Ready);
        if ready && !transaction.recipients.is_empty() {
            let running = Running::start(transaction, &self.settings, &self.extensions, &mut self.wire, now);
            self.state = State::Transaction(Box::new(running));
            self.wire.wait(self.settings.deadlines.command, now);
            return;
        }
        let lost = |recipient| {
            let text = "the connection was not ready for a transaction".to_owned();
            (recipient, RecipientResult::Lost { stage: Stage::Mail, cause: Cause::Closed, text })
        };
        let recipients = transaction.recipients.into_iter().map(lost).collect();
        let report = Report { recipients, reusable: ready, chunking_refused: false };
        self.outputs.push_back(Output::Done(report));
    }

    /// A piece of the content, of any size, after [`Output::NeedContent`].
    pub fn content(&mut self, piece: &[u8], now: Instant) {
        if let State::Transaction(running) = &mut self.state {
            running.content(piece, &mut self.wire, now);
            self.wire.deadline = Some(now + running.patience(&self.settings.deadlines));
        }
    }

    /// The content is complete.
    pub fn content_end(&mut self, now: Instant) {
        if let State::Transaction(running) = &mut self.state {
            running.content_end(&mut self.wire, now);
            self.wire.deadline = Some(now + running.patience(&self.settings.deadlines));
        }
    }

    /// The rest of the content can't be had. The connection is closed, so that the server does not take what it has
    /// for the whole.
    pub fn content_failed(&mut self, text: &str, now: Instant) {
        if matches!(self.state, State::Transaction(_)) {
            self.lose(Cause::Content, text, now);
        }
    }

    /// Ends the conversation politely. A transaction that is under way is broken off.
    pub fn quit(&mut self, now: Instant) {
        match self.state {
            State::Ready => self.say_quit(now),
            State::Quit | State::Closed => {}
            _ => self.lose(Cause::Closed, "we closed the connection", now),
        }
    }

    // What is known.

    /// What the server offers on the connection as it is now.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The settings of the destination.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What the handshake agreed on.
    pub fn tls(&self) -> Option<&TlsSummary> {
        self.tls.as_ref()
    }

    /// Whether a transaction can be started.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Where the conversation stands: the step whose answer is due.
    pub fn stage(&self) -> Stage {
        match &self.state {
            State::Banner => Stage::Banner,
            State::Ehlo | State::Helo => Stage::Ehlo,
            State::StartTls => Stage::StartTls,
            State::Handshake => Stage::Tls,
            State::Auth(_) => Stage::Auth,
            State::Transaction(running) => running.stage(),
            State::Ready | State::Quit | State::Closed => Stage::Close,
        }
    }

    /// The conversation so far: for the first transaction from the banner on, for a later one from its `start`. Times
    /// count from there.
    pub fn transcript(&self) -> Transcript {
        self.wire.record.transcript()
    }

    // Inside.

    fn is_secure(&self) -> bool {
        self.tls.is_some() || self.settings.tls == TlsWish::Established
    }

    /// A whole reply; `behind` is what came with it.
    fn handle_reply(&mut self, code: u16, behind: &[u8], now: Instant) {
        self.record_reply(code, now);
        let owed = self.wire.reply();
        if !owed {
            return self.handle_unasked(code, now);
        }
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Banner => self.banner(code, now),
            State::Ehlo => self.ehlo(code, now),
            State::Helo => self.helo(code, now),
            State::StartTls => self.starttls(code, behind, now),
            State::Auth(auth) => self.auth(auth, code, now),
            State::Transaction(mut running) => {
                let next = running.handle_reply(code, &self.reader, &mut self.wire, now);
                self.after_reply(running, next, now);
            }
            State::Quit | State::Ready | State::Handshake | State::Closed => self.close(),
        }
    }

    fn record_reply(&mut self, code: u16, now: Instant) {
        let stage = self.stage();
        if let (State::Auth(_), 334) = (&self.state, code) {
            self.wire.record.push(stage, Side::Server, format_args!("334 {REDACTED}"), now);
            return;
        }
        for line in self.reader.lines() {
            match &self.state {
                State::Auth(auth) => {
                    let line = self.without_secrets(&line, auth);
                    self.wire.record.push(stage, Side::Server, format_args!("{line}"), now);
                }
                _ => self.wire.record.push(stage, Side::Server, format_args!("{line}"), now),
            }
        }
    }

    fn after_reply(&mut self, running: Box<Running>, next: Next, now: Instant) {
        match next {
            Next::Continue => {
                self.wire.wait(running.patience(&self.settings.deadlines), now);
                self.state = State::Transaction(running);
            }
            Next::Over => {
                let reusable = self.extensions.transactions_max.is_none_or(|max| self.transactions < max);
                self.outputs.push_back(Output::Done(running.report(reusable)));
                self.state = State::Ready;
                self.wire.deadline = None;
                if !reusable {
                    self.say_quit(now);
                }
            }
            Next::HangUp => {
                self.outputs.push_back(Output::Done(running.report(false)));
                self.close();
            }
        }
    }

    /// A reply that no command is waiting for: 421 before the server closes, or nonsense.
    fn handle_unasked(&mut self, code: u16, now: Instant) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Transaction(mut running) => {
                running.handle_unasked(code, &self.reader);
                self.after_reply(running, Next::HangUp, now);
            }
            State::Ready | State::Quit | State::Closed => self.close(),
            state => {
                self.state = state;
                let stage = self.stage();
                let reply = (code == 421).then(|| self.reader.reply());
                let cause = if reply.is_some() { Cause::Refused } else { Cause::Protocol };
                self.fail(stage, cause, reply, "the server answered before it was asked".into(), now);
            }
        }
    }

    /// The conversation can't go on, and the server said nothing about it.
    fn lose(&mut self, cause: Cause, text: &str, now: Instant) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => {}
            State::Ready | State::Quit => self.close(),
            State::Transaction(mut running) => {
                self.wire.note(running.stage(), format_args!("{text}"), now);
                let next = running.break_off(cause, text);
                self.after_reply(running, next, now);
            }
            state => {
                self.state = state;
                self.fail(self.stage(), cause, None, text.to_owned(), now);
            }
        }
    }

    /// The connection is of no use. Whoever was refused in words says goodbye (RFC 5321 §3.1).
    fn fail(&mut self, stage: Stage, cause: Cause, reply: Option<Reply>, text: String, now: Instant) {
        let polite = reply.as_ref().is_some_and(|reply| reply.code != 421);
        if reply.is_none() {
            self.wire.note(stage, format_args!("{text}"), now);
        }
        self.wire.hang_up();
        if polite {
            self.wire.command(Stage::Close, format_args!("QUIT"), now);
        }
        self.outputs.push_back(Output::Failed(Failure { stage, cause, reply, text }));
        self.state = State::Closed;
        self.outputs.push_back(Output::Close);
    }

    fn say_quit(&mut self, now: Instant) {
        self.state = State::Quit;
        self.wire.command(Stage::Close, format_args!("QUIT"), now);
        self.wire.wait(self.settings.deadlines.quit, now);
    }

    /// The connection must not be used any more, not even for a transaction whose report is still to be polled.
    fn close(&mut self) {
        self.state = State::Closed;
        self.wire.hang_up();
        for output in &mut self.outputs {
            if let Output::Done(report) = output {
                report.reusable = false;
            }
        }
        self.outputs.retain(|output| !matches!(output, Output::Ready));
        self.outputs.push_back(Output::Close);
    }
}
