//! Running a conversation on the session itself, on a clock that jumps.

use std::{collections::VecDeque, time::Instant};

use smtp::server::{Session, TlsOffer};

use super::{
    desk::{Act, Desk, session, some_instant},
    script::{Script, Step},
};
use crate::{
    notation::{Split, matches},
    tls::summary,
};

/// Octets of one piece up to which it is split everywhere; a longer one is split at a few places.
const SPLIT_EVERYWHERE_MAX: usize = 3000;

/// Runs it whole, split in two everywhere, and octet by octet: always the same is said (A2).
pub(super) fn check(script: &Script) {
    run(script, Split::Whole);
    let pieces = script.steps.iter().filter_map(|step| match step {
        Step::Client(octets) => Some(octets.len()),
        _ => None,
    });
    for (piece, octets) in pieces.enumerate() {
        let stride = if octets <= SPLIT_EVERYWHERE_MAX { 1 } else { octets / 7 };
        for at in (1..octets).step_by(stride) {
            run(script, Split::Two { piece, at });
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
            Step::Client(octets) => {
                assert_eq!(stage.said, [""; 0], "unheard before {}", context());
                stage.send(octets, split, piece);
                piece += 1;
            }
            Step::Line(expected) => {
                let said = stage.said.pop_front();
                assert!(said.as_deref().is_some_and(|said| matches(expected, said)), "{said:?} at {}", context());
            }
            Step::Reply(code) => stage.hear_reply(code, &context()),
            Step::StartTls => {
                assert!(std::mem::take(&mut stage.tls_due), "no handshake at {}", context());
                stage.session.handle_tls(summary(), stage.now);
            }
            Step::Eof => stage.session.handle_eof(stage.now),
            Step::Closed => assert!(stage.closed, "open at {}", context()),
            Step::Wait(time) => stage.wait(*time),
            Step::Shutdown => stage.session.handle_shutdown(stage.now),
            Step::Message(expected) => {
                assert_eq!(stage.desk.accepted.get(stage.seen), Some(expected), "{}", context());
                stage.seen += 1;
            }
            Step::NoMessage => assert_eq!(stage.desk.accepted.len(), stage.seen, "{}", context()),
        }
        stage.poll();
    }
    assert_eq!(stage.said, [""; 0], "unheard at the end, {split:?}");
    assert_eq!(stage.desk.accepted.len(), stage.seen, "messages nobody mentions, {split:?}");
}

/// A session with its driver, and no wire in between.
pub(super) struct Stage {
    pub(super) session: Session,
    pub(super) desk: Desk,
    pub(super) now: Instant,
    pub(super) said: VecDeque<String>,
    pub(super) closed: bool,
    pub(super) tls_due: bool,
    seen: usize,
}

impl Stage {
    pub(super) fn new(script: &Script) -> Self {
        let now = some_instant();
        let mut stage = Self {
            session: session(&script.settings, now),
            desk: Desk::new(&script.rules),
            now,
            said: VecDeque::new(),
            closed: false,
            tls_due: false,
            seen: 0,
        };
        if script.settings.tls == TlsOffer::Established {
            stage.session.handle_tls(summary(), now);
        }
        stage.poll();
        stage
    }

    fn send(&mut self, octets: &[u8], split: Split, piece: usize) {
        for part in split.parts(octets, piece) {
            self.input(part);
        }
    }

    pub(super) fn input(&mut self, octets: &[u8]) {
        assert!(self.closed || self.tls_due || self.session.wants_input());
        self.session.handle_input(octets, self.now);
        self.poll();
    }

    /// The dull driver.
    pub(super) fn poll(&mut self) {
        while let Some(act) = self.desk.poll(&mut self.session, self.now) {
            assert!(!self.closed, "{act:?} after the end");
            match act {
                Act::Write => {
                    let replies = String::from_utf8(self.session.take_write()).expect("replies are ASCII");
                    assert!(replies.ends_with("\r\n"));
                    self.said.extend(replies.split_terminator("\r\n").map(str::to_owned));
                }
                Act::StartTls => self.tls_due = true,
                Act::Close => self.closed = true,
            }
        }
    }

    fn wait(&mut self, time: std::time::Duration) {
        let until = self.now + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= until) {
            self.now = due;
            self.session.handle_timeout(due);
            self.poll();
        }
        self.now = until;
    }

    fn hear_reply(&mut self, code: &str, context: &str) {
        loop {
            let said = self.said.pop_front().unwrap_or_else(|| panic!("nothing said at {context}"));
            assert_eq!(said.get(..3), Some(code), "{said:?} at {context}");
            if said.get(3..4) == Some(" ") {
                return;
            }
        }
    }
}
