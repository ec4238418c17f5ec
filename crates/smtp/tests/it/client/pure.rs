//! Running a conversation on the session itself, on a clock that jumps.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use smtp::client::{Output, Session, TlsWish};

use super::script::{NONCE, Order, Script, Step, told};
use crate::{
    notation::{Split, matches},
    tls::summary,
};

/// Octets of one piece up to which it is split everywhere; a longer one is split at a few places.
const SPLIT_EVERYWHERE_MAX: usize = 2000;

/// Runs it whole, split in two everywhere, and octet by octet: always the same is said (A2).
pub(super) fn check(script: &Script) {
    run(script, Split::Whole);
    let pieces = script.steps.iter().filter_map(|step| match step {
        Step::Server(octets) => Some(octets.len()),
        _ => None,
    });
    for (piece, octets) in pieces.enumerate() {
        let stride = if octets <= SPLIT_EVERYWHERE_MAX && !script.costly { 1 } else { octets.div_ceil(7) };
        for at in (1..octets).step_by(stride) {
            run(script, Split::Two { piece, at });
        }
        if octets > SPLIT_EVERYWHERE_MAX {
            return;
        }
    }
    run(script, Split::Octets);
}

fn run(script: &Script, split: Split) {
    let mut stage = Stage::new(script);
    let mut piece = 0;
    for (at, step) in script.steps.iter().enumerate() {
        let context = || format!("step {at} {step:?}, {split:?}");
        match step {
            Step::Server(octets) => {
                assert_eq!(stage.said(), "", "unheard before {}", context());
                stage.hear(octets, split, piece);
                piece += 1;
            }
            Step::Client(octets) => {
                let expected = String::from_utf8_lossy(octets);
                let said = stage.said();
                assert!(said.starts_with(&*expected), "{said:?} at {}", context());
                stage.said.drain(..octets.len());
            }
            Step::StartTls => {
                assert!(std::mem::take(&mut stage.tls_due), "no handshake at {}", context());
                stage.session.handle_tls(summary(), stage.now);
            }
            Step::TlsFails(reason) => {
                assert!(std::mem::take(&mut stage.tls_due), "no handshake at {}", context());
                stage.session.handle_tls_failed(reason, stage.now);
            }
            Step::Eof => stage.session.handle_eof(stage.now),
            Step::Closed => assert!(stage.closed, "open at {}", context()),
            Step::Wait(time) => stage.wait(*time),
            Step::Start(order) => {
                assert!(stage.ready && stage.session.is_ready(), "not ready at {}", context());
                stage.start(order);
            }
            Step::Quit => stage.session.quit(stage.now),
            Step::Told(expected) => {
                let told = stage.told.pop_front();
                assert!(told.as_deref().is_some_and(|told| matches(expected, told)), "{told:?} at {}", context());
            }
        }
        stage.poll();
    }
    assert_eq!(stage.said(), "", "unheard at the end, {split:?}");
    assert_eq!(stage.told, [""; 0], "untold at the end, {split:?}");
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
pub(super) fn some_instant() -> Instant {
    Instant::now()
}

/// A session with its driver, and no wire in between.
pub(super) struct Stage {
    pub(super) session: Session,
    pub(super) now: Instant,
    /// Octets that nobody has looked at.
    pub(super) said: Vec<u8>,
    pub(super) writes: usize,
    pub(super) told: VecDeque<String>,
    pub(super) outputs: Vec<Output>,
    pub(super) ready: bool,
    pub(super) closed: bool,
    pub(super) tls_due: bool,
    pieces: VecDeque<Vec<u8>>,
}

impl Stage {
    pub(super) fn new(script: &Script) -> Self {
        let now = some_instant();
        let mut stage = Self {
            session: Session::new(script.settings.clone(), NONCE.into(), now),
            now,
            said: Vec::new(),
            writes: 0,
            told: VecDeque::new(),
            outputs: Vec::new(),
            ready: false,
            closed: false,
            tls_due: false,
            pieces: VecDeque::new(),
        };
        if script.settings.tls == TlsWish::Established {
            stage.session.handle_tls(summary(), now);
        }
        stage.poll();
        stage
    }

    /// A session that has lived through a conversation.
    pub(super) fn after(script: &Script) -> Self {
        let mut stage = Self::new(script);
        for step in &script.steps {
            match step {
                Step::Server(octets) => stage.input(octets),
                Step::StartTls => {
                    stage.tls_due = false;
                    stage.session.handle_tls(summary(), stage.now);
                }
                Step::Start(order) => stage.start(order),
                Step::Quit => stage.session.quit(stage.now),
                Step::Wait(time) => stage.wait(*time),
                _ => {}
            }
            stage.poll();
        }
        stage
    }

    fn said(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.said)
    }

    fn hear(&mut self, octets: &[u8], split: Split, piece: usize) {
        for part in split.parts(octets, piece) {
            self.input(part);
        }
    }

    pub(super) fn input(&mut self, octets: &[u8]) {
        self.session.handle_input(octets, self.now);
        self.poll();
    }

    pub(super) fn start(&mut self, order: &Order) {
        self.pieces = order.pieces.iter().cloned().collect();
        self.session.start(order.transaction.clone(), self.now);
        self.poll();
    }

    /// The dull driver.
    pub(super) fn poll(&mut self) {
        while let Some(output) = self.session.poll_output() {
            assert!(!self.closed, "{output:?} after the end");
            self.told.extend(told(&output));
            match &output {
                Output::Write => {
                    self.said.extend(self.session.take_write());
                    self.writes += 1;
                }
                Output::StartTls => self.tls_due = true,
                Output::Ready => self.ready = true,
                Output::NeedContent => match self.pieces.pop_front() {
                    Some(piece) => self.session.content(&piece, self.now),
                    None => self.session.content_end(self.now),
                },
                Output::Close => self.closed = true,
                Output::Done(_) | Output::Failed(_) => {}
            }
            self.outputs.push(output);
        }
    }

    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= until) {
            self.now = due;
            self.session.handle_timeout(due);
            self.poll();
        }
        self.now = until;
    }
}
