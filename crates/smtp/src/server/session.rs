//! The session: its parts, what goes in and what comes out. Lines are taken in [`super::lines`], commands obeyed in
//! [`super::commands`], content taken in [`super::message`].

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mail::{Body, Protocol, Reply, TlsSummary};

use super::{
    ask::{Answer, Ask, Output, Proof},
    lines::Overlong,
    phase::{Phase, Question, Told},
    settings::{AuthOffer, Deadlines, Settings, TlsOffer},
    wait::{Expiry, Wait},
    words,
};
use crate::line::Held;

/// One connection of a client. Idle, it owns no buffer.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) peer: SocketAddr,
    pub(super) phase: Phase,
    asked: Option<Question>,
    pub(super) hello: Option<Hello>,
    pub(super) user: Option<Box<str>>,
    pub(super) tls: Option<Box<TlsSummary>>,
    /// Input that can't be processed yet: half a line, or what came while a question was open.
    held: Held,
    /// A line that is too long and has not ended.
    pub(super) overlong: Option<Overlong>,
    /// Replies that wait to be written.
    pub(super) replies: Vec<u8>,
    outputs: VecDeque<Output>,
    wait: Wait,
    /// Since the last accepted message.
    errors: u32,
    junk: u32,
    tally: Tally,
    /// How long a command may take as long as the client has not begun a message.
    patience: Option<Duration>,
    /// The driver's last word, to be said as soon as it is the server's turn.
    dismissal: Option<Box<Reply>>,
    pub(super) signals: Signals,
}

/// What a session has counted since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines taken as commands.
    pub commands: u32,
    /// Errors: see [`super::Limits::errors`].
    pub errors: u32,
    /// Commands that lead nowhere: see [`super::Limits::junk`].
    pub junk: u32,
}

/// What the client called itself, and how.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) name: Box<str>,
    pub(super) dialect: Dialect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// HELO.
    Smtp,
    /// EHLO.
    Esmtp,
}

/// What has happened beside the conversation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signals {
    /// The client spoke before the banner.
    early: bool,
    /// The client will send nothing more.
    eof: bool,
    /// The server is stopping.
    shutdown: bool,
    /// More input stands behind the command that is obeyed.
    pub(super) hasty: bool,
    /// A message was begun.
    pub(super) proven: bool,
}

impl Session {
    /// A connection from `peer`. The first output is `Ask::Connect`.
    pub fn new(settings: Arc<Settings>, peer: SocketAddr, now: Instant) -> Self {
        Self {
            settings,
            peer,
            phase: Phase::Connect,
            asked: Some(Question::Connect),
            hello: None,
            user: None,
            tls: None,
            held: Held::default(),
            overlong: None,
            replies: Vec::new(),
            outputs: VecDeque::from([Output::Ask(Ask::Connect { peer })]),
            wait: Wait::new(now),
            errors: 0,
            junk: 0,
            tally: Tally::default(),
            patience: None,
            dismissal: None,
            signals: Signals::default(),
        }
    }

    /// Bytes from the client, split anyhow. What can't be processed yet is kept, so a driver that does not mind
    /// [`Session::wants_input`] fills the memory.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        match self.phase {
            Phase::Connect => self.signals.early |= !bytes.is_empty(),
            // Clear text behind STARTTLS is dropped, never run inside TLS (RFC 3207 §4, CVE-2011-0411).
            Phase::Handshake(_) | Phase::Closed(_) => {}
            _ => {
                self.wait.heard(now);
                if self.held.is_empty() && self.asked.is_none() {
                    let used = self.run(bytes, now);
                    self.held.push(bytes.get(used..).unwrap_or_default());
                } else {
                    self.held.push(bytes);
                    self.resume(now);
                }
                self.settle();
            }
        }
    }

    /// Whether the driver should read. False while a question is open, outputs wait to be polled, or a handshake or
    /// the end is due.
    pub fn wants_input(&self) -> bool {
        let listening = !matches!(self.phase, Phase::Connect | Phase::Handshake(_) | Phase::Closed(_));
        listening && self.asked.is_none() && self.outputs.is_empty() && self.replies.is_empty()
    }

    /// The client will send nothing more. What it sent before is still obeyed.
    pub fn handle_eof(&mut self, _now: Instant) {
        self.signals.eof = true;
        self.settle();
    }

    /// Time has passed. Does nothing before `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some((expiry, _)) = self.expiry().filter(|(_, at)| *at <= now) else {
            return;
        };
        self.asked = None;
        // In the middle of a handshake there is no way to say anything.
        if expiry != Expiry::Banner {
            self.say_reply(&words::expired(expiry, &self.settings, &self.deadlines()));
        }
        self.close();
    }

    /// The handshake is done: what was learnt in clear text is forgotten (RFC 3207 §4.2). Before `Ask::Connect` is
    /// answered it tells of implicit TLS.
    pub fn handle_tls(&mut self, tls: TlsSummary, now: Instant) {
        match self.phase {
            Phase::Connect => self.tls = Some(Box::new(tls)),
            Phase::Handshake(_) => {
                self.tls = Some(Box::new(tls));
                self.hello = None;
                self.user = None;
                self.phase = Phase::Greet;
                self.wait.restart(now);
                self.settle();
            }
            _ => {}
        }
    }

    /// The server is stopping: 421 4.3.2 as soon as no transaction is open.
    pub fn handle_shutdown(&mut self, _now: Instant) {
        self.signals.shutdown = true;
        self.settle();
    }

    /// The driver has had enough of this client: says this reply, a 421 for instance, as soon as no question is open and
    /// no content comes, and closes.
    pub fn dismiss(&mut self, reply: Reply) {
        self.dismissal = Some(Box::new(reply));
        self.settle();
    }

    /// Shortens the wait for a command while the client has not begun a message; nothing leaves it as the settings say.
    pub fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
    }

    /// Whether the client has begun a message that was not refused at MAIL.
    pub fn is_proven(&self) -> bool {
        self.signals.proven
    }

    /// What was counted since the connection began.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// When to call `handle_timeout`. Nothing while the driver has a question to answer; that wait is its own.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.expiry().map(|(_, at)| at)
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        self.outputs = VecDeque::new();
        if self.asked.is_some() {
            return None;
        }
        if !self.replies.is_empty() {
            return Some(Output::Write);
        }
        match &mut self.phase {
            Phase::Handshake(told @ Told::No) => {
                *told = Told::Yes;
                Some(Output::StartTls)
            }
            Phase::Closed(told @ Told::No) => {
                *told = Told::Yes;
                Some(Output::Close)
            }
            _ => None,
        }
    }

    /// The replies that are ready, after `Output::Write`.
    pub fn take_write(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.replies)
    }

    /// The driver's word on the open question. Without one it is ignored.
    pub fn answer(&mut self, answer: Answer, now: Instant) {
        let Some(question) = self.asked.take() else {
            return;
        };
        self.wait.restart(now);
        match question {
            Question::Connect => self.connected(answer),
            Question::Mail(body) => self.mail_answered(body, answer),
            Question::Rcpt => self.rcpt_answered(answer),
            Question::Begin(way) => self.begin_answered(way, answer),
            Question::Commit => self.commit_answered(answer),
            Question::Password | Question::ScramDone(Proof::Right) => self.authentication_answered(answer),
            Question::ScramDone(Proof::Wrong) => self.refuse(answer),
            Question::ScramStart(start) => self.scram_answered(*start, answer),
            Question::Introduce => self.introduced(answer),
            Question::Verify => self.verify_answered(answer),
        }
        self.resume(now);
        self.settle();
    }

    /// What the client called itself: printable ASCII without spaces, otherwise hostile.
    pub fn helo(&self) -> Option<&str> {
        self.hello.as_ref().map(|hello| &*hello.name)
    }

    /// The protocol word of the Received field.
    pub fn protocol(&self) -> Protocol {
        match &self.hello {
            Some(Hello { dialect: Dialect::Esmtp, .. }) => {
                Protocol::Esmtp { tls: self.is_encrypted(), auth: self.user.is_some() }
            }
            _ => Protocol::Smtp,
        }
    }

    /// What the handshake agreed on.
    pub fn tls(&self) -> Option<&TlsSummary> {
        self.tls.as_deref()
    }

    /// The authenticated user, as `Answer::Authenticated` named it.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Recipients accepted in the open transaction. Still there while `Ask::Commit` is open.
    pub fn recipients(&self) -> usize {
        self.transaction().map_or(0, |transaction| transaction.recipients)
    }

    /// The body type declared in the open transaction.
    pub fn body(&self) -> Body {
        self.transaction().map_or(Body::SevenBit, |transaction| transaction.body)
    }

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The settings of the service.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.tls.is_some() || self.settings.tls == TlsOffer::Established
    }

    /// Whether AUTH would be obeyed now.
    pub(super) fn may_authenticate(&self) -> bool {
        let allowed = match self.settings.auth {
            AuthOffer::Never => false,
            AuthOffer::OverTls => self.is_encrypted(),
            AuthOffer::Always => true,
        };
        allowed && !self.settings.mechanisms.is_empty()
    }

    /// Processes as much of `input` as can be and says how much that was.
    fn run(&mut self, input: &[u8], now: Instant) -> usize {
        let mut used = 0;
        while self.asked.is_none() && !self.is_stopping() {
            let rest = input.get(used..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let step = match self.phase {
                Phase::Data(..) => self.take_data(rest, now),
                Phase::Chunk(..) => self.take_chunk(rest, now),
                Phase::Skip(_) => self.skip_chunk(rest, now),
                Phase::Connect | Phase::Handshake(_) | Phase::Closed(_) => rest.len(),
                Phase::Greet | Phase::Ready | Phase::Mail(_) | Phase::Chunks(..) | Phase::Auth(_) => {
                    self.take_line(rest, now)
                }
            };
            if step == 0 {
                break;
            }
            used += step;
        }
        used
    }

    /// Processes what is held.
    fn resume(&mut self, now: Instant) {
        let lent = self.held.take();
        let used = self.run(lent.rest(), now);
        self.held.put_back(lent, used);
    }

    /// Whether the next thing to say is 421.
    fn is_stopping(&self) -> bool {
        let stopping = self.signals.shutdown && matches!(self.phase, Phase::Greet | Phase::Ready);
        stopping || (self.dismissal.is_some() && self.is_between_commands())
    }

    /// All that could be processed is: draws the consequences of what happened beside the conversation.
    fn settle(&mut self) {
        if self.asked.is_some() || matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        if self.is_stopping() {
            let reply = self.dismissal.take().map_or_else(|| words::stopping(&self.settings), |reply| *reply);
            self.say_reply(&reply);
            self.close();
        } else if self.signals.eof {
            self.close();
        }
    }

    fn expiry(&self) -> Option<(Expiry, Instant)> {
        let waiting = self.asked.is_none() || matches!(self.phase, Phase::Connect);
        waiting.then(|| self.wait.expiry(&self.phase, &self.deadlines())).flatten()
    }

    /// The deadlines, with what is left of our patience.
    fn deadlines(&self) -> Deadlines {
        let mut deadlines = self.settings.deadlines;
        if let Some(patience) = self.patience.filter(|_| !self.signals.proven) {
            deadlines.command = deadlines.command.min(patience);
        }
        deadlines
    }

    /// Whether a reply would not be taken for one about content.
    fn is_between_commands(&self) -> bool {
        matches!(self.phase, Phase::Greet | Phase::Ready | Phase::Mail(_) | Phase::Chunks(..) | Phase::Auth(_))
    }

    fn connected(&mut self, answer: Answer) {
        self.phase = Phase::Greet;
        match answer {
            Answer::Go if self.signals.early => {
                self.say(words::EARLY);
                self.close();
            }
            // `settle` says 421 in its place.
            Answer::Go if self.signals.shutdown => {}
            Answer::Go => self.say_reply(&words::banner(&self.settings)),
            other => {
                self.say_reply(&refusal(other));
                self.close();
            }
        }
    }

    /// Asks the driver. Nothing is processed until it answers.
    pub(super) fn ask(&mut self, question: Question, ask: Ask) {
        self.asked = Some(question);
        self.outputs.push_back(Output::Ask(ask));
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Another wait begins.
    pub(super) fn restart_wait(&mut self, now: Instant) {
        self.wait.restart(now);
    }

    pub(super) fn count_command(&mut self) {
        self.tally.commands = self.tally.commands.saturating_add(1);
    }

    pub(super) fn count_content(&mut self, octets: usize) {
        self.wait.count(octets);
    }

    /// A message begins that comes in chunks.
    pub(super) fn begin_chunks(&mut self) {
        self.wait.begin_chunks();
    }

    /// Octets counted since the wait began.
    pub(super) fn counted(&self) -> u64 {
        self.wait.octets()
    }

    /// Says one of the lines of [`words`].
    pub(super) fn say(&mut self, line: &str) {
        self.replies.extend_from_slice(line.as_bytes());
        self.replies.extend_from_slice(b"\r\n");
    }

    pub(super) fn say_reply(&mut self, reply: &Reply) {
        reply.write_wire(&mut self.replies);
    }

    /// Says that something is wrong, and counts it.
    pub(super) fn fail(&mut self, line: &str) {
        if self.may_err() {
            self.say(line);
        }
    }

    pub(super) fn fail_reply(&mut self, reply: &Reply) {
        if self.may_err() {
            self.say_reply(reply);
        }
    }

    /// The driver refused: its 5xx count as errors, its 4xx as leading nowhere, its 421 closes (RFC 5321 §3.8).
    pub(super) fn refuse(&mut self, answer: Answer) {
        let reply = refusal(answer);
        let may = if reply.is_permanent() { self.may_err() } else { self.may_idle() };
        if !may {
            return;
        }
        self.say_reply(&reply);
        if reply.code == 421 {
            self.close();
        }
    }

    /// Counts an error. False when it was one too many: then 421 has been said.
    fn may_err(&mut self) -> bool {
        self.tally.errors = self.tally.errors.saturating_add(1);
        let may = self.errors < self.settings.limits.errors;
        if may {
            self.errors += 1;
        } else {
            self.say_reply(&words::too_many_errors(&self.settings));
            self.close();
        }
        may
    }

    /// Counts a command that leads nowhere. False when it was one too many: then 421 has been said.
    pub(super) fn may_idle(&mut self) -> bool {
        self.tally.junk = self.tally.junk.saturating_add(1);
        let may = self.junk < self.settings.limits.junk;
        if may {
            self.junk += 1;
        } else {
            self.say_reply(&words::too_much_junk(&self.settings));
            self.close();
        }
        may
    }

    /// A message was accepted: what went before is forgiven.
    pub(super) fn forgive(&mut self) {
        self.errors = 0;
        self.junk = 0;
    }

    /// Ends the conversation. Replies that wait are still written.
    pub(super) fn close(&mut self) {
        self.drop_draft();
        self.held.clear();
        self.phase = Phase::Closed(Told::No);
    }
}

/// The reply of a refusal. An answer that does not fit its question is our mistake.
pub(super) fn refusal(answer: Answer) -> Reply {
    match answer {
        Answer::Refuse(reply) if reply.is_transient() || reply.is_permanent() => reply,
        _ => words::internal_error(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Service;

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
    fn some_instant() -> Instant {
        Instant::now()
    }

    /// E1: ten thousand idle connections must fit into 100 MiB with all that the driver needs.
    #[test]
    fn an_idle_session_is_small() {
        let now = some_instant();
        let settings = Arc::new(Settings::new("mx.example", Service::Mx));
        let mut session = Session::new(settings, ([192, 0, 2, 1], 1).into(), now);
        while session.poll_output().is_some() {}
        session.answer(Answer::Go, now);
        session.handle_input(b"EHLO client.example\r\nNOO", now);
        session.handle_input(b"P\r\n", now);
        while session.poll_output().is_some() {
            session.take_write();
        }
        assert!(size_of::<Session>() <= 512, "{} octets", size_of::<Session>());
        assert_eq!((session.outputs.capacity(), session.replies.capacity()), (0, 0));
        assert!(session.held.is_empty());
    }
}
