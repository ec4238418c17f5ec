//! A9: all commands at random, against a model that was written from the RFCs and shares nothing with the session.
//!
//! `POSTHOUSE_STEPS=1000000` walks further, `POSTHOUSE_SEED` elsewhere.

use std::collections::VecDeque;

use super::{pure::Stage, script::Script};
use crate::tls::summary;

const STEPS_DEFAULT: u64 = 50_000;
const SEED_DEFAULT: u64 = 2;
const SETTINGS: &str = "settings: pure starttls plaintext_auth size=100 recipients=3 errors=4294967295 junk=4294967295";

/// Chance that repeats itself (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Greet,
    Ready,
    Mail { good: u64, refused: u64 },
    Chunks { octets: u64 },
}

/// What the RFCs say happens.
#[derive(Debug)]
struct Model {
    at: At,
    tls: bool,
    user: bool,
    accepted: usize,
    /// Octets for the session, and the codes of the replies to them.
    octets: Vec<u8>,
    expected: VecDeque<u16>,
}

/// What must be done once the octets are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Handshake,
    BeginAnew,
}

impl Model {
    fn new() -> Self {
        let expected = VecDeque::from([220]);
        Self { at: At::Greet, tls: false, user: false, accepted: 0, octets: Vec::new(), expected }
    }

    fn say(&mut self, line: &str, code: u16) {
        self.octets.extend_from_slice(line.as_bytes());
        self.octets.extend_from_slice(b"\r\n");
        self.expected.push_back(code);
    }

    fn forget(&mut self) {
        if self.at != At::Greet {
            self.at = At::Ready;
        }
    }

    fn step(&mut self, chance: &mut Chance) -> Then {
        match chance.below(32) {
            0..=3 => self.mail(),
            4..=8 => self.recipient(chance),
            9..=11 => self.data(chance),
            12..=15 => self.bdat(chance),
            16..=17 => {
                self.say(if chance.one_in(3) { "HELO y" } else { "EHLO y" }, 250);
                self.at = At::Ready;
            }
            18 => {
                self.say("RSET", 250);
                self.forget();
            }
            19 => {
                self.say("BDAT x", 501);
                self.forget();
            }
            20 => return self.starttls(),
            21 => self.auth(chance),
            22 => return self.leave(chance),
            23 => self.say(
                "MAIL FROM:<a@x.example> SIZE=101",
                match self.at {
                    At::Ready => 552,
                    _ => 503,
                },
            ),
            _ => self.anywhere(chance),
        }
        Then::GoOn
    }

    /// What gets the same reply in every state.
    fn anywhere(&mut self, chance: &mut Chance) {
        let long = format!("NOOP {}", "x".repeat(3000));
        let all = [
            ("NOOP", 250),
            ("VRFY b@x.example", 252),
            ("EXPN staff", 502),
            ("TURN", 502),
            ("HELP", 214),
            ("HELP ME", 504),
            ("FOO", 500),
            ("", 500),
            ("EHLO", 501),
            ("MAIL FROM:<a>", 501),
            ("MAIL FROM:<a@x.example> FOO", 555),
            ("RCPT TO:<>", 501),
            ("RSET x", 501),
            ("NOOP\nRSET", 500),
            ("NO\0OP", 500),
            (&long, 500),
        ];
        let (line, code) = all[chance.below(all.len() as u64) as usize];
        self.say(line, code);
        if line.contains('\n') {
            // The second half is a command of its own.
            self.expected.push_back(250);
            self.forget();
        }
    }

    fn mail(&mut self) {
        let code = if self.at == At::Ready { 250 } else { 503 };
        self.say("MAIL FROM:<a@x.example>", code);
        if code == 250 {
            self.at = At::Mail { good: 0, refused: 0 };
        }
    }

    fn recipient(&mut self, chance: &mut Chance) {
        let (line, code) = match chance.below(5) {
            0 => ("RCPT TO:<unknown@x.example>", 550),
            1 => ("RCPT TO:<later@x.example>", 450),
            _ => ("RCPT TO:<b@x.example>", 250),
        };
        match &mut self.at {
            At::Mail { good: 3, .. } => self.say(line, 452),
            At::Mail { good, refused } => {
                *(if code == 250 { good } else { refused }) += 1;
                self.say(line, code);
            }
            _ => self.say(line, 503),
        }
    }

    fn content_refusal(&self) -> Option<u16> {
        match self.at {
            At::Mail { good: 0, refused: 0 } => Some(503),
            At::Mail { good: 0, .. } => Some(554),
            At::Mail { .. } => None,
            _ => Some(503),
        }
    }

    fn data(&mut self, chance: &mut Chance) {
        if let Some(code) = self.content_refusal() {
            return self.say("DATA", code);
        }
        self.say("DATA", 354);
        let (content, code) = match chance.below(6) {
            0 => ("one\ntwo\r\n.\r\n".to_owned(), 550),
            1 => ("one\r\ntwo\r.\r\n\r\n.\r\n".to_owned(), 550),
            2 => (format!("{}\r\n.\r\n", "x".repeat(99)), 552),
            3 => (".\r\n".to_owned(), 250),
            4 => (format!("..{}\r\n.\r\n", "x".repeat(97)), 250),
            _ => ("Subject: x\r\n\r\n..\r\nQUIT\r\n.\r\n".to_owned(), 250),
        };
        self.octets.extend_from_slice(content.as_bytes());
        self.end(code);
    }

    fn end(&mut self, code: u16) {
        self.expected.push_back(code);
        self.accepted += usize::from(code == 250);
        self.at = At::Ready;
    }

    fn bdat(&mut self, chance: &mut Chance) {
        let size = chance.below(60) * chance.below(3);
        let (word, last) = if chance.one_in(3) { (" LAST", true) } else { ("", false) };
        let bare = size > 0 && chance.one_in(8);
        let sent = match self.at {
            At::Chunks { octets } => octets,
            _ => 0,
        };
        let refusal = match self.at {
            At::Chunks { .. } => None,
            _ => self.content_refusal(),
        };
        let code = match refusal {
            Some(code) => code,
            None if sent + size > 100 => 552,
            None if bare => 550,
            None => 250,
        };
        self.octets.extend_from_slice(format!("BDAT {size}{word}\r\n").as_bytes());
        let filling = std::iter::repeat_n(b'x', size.saturating_sub(1) as usize);
        self.octets.extend(filling.chain((size > 0).then_some(if bare { b'\n' } else { b'.' })));
        if code == 250 && !last {
            self.expected.push_back(250);
            self.at = At::Chunks { octets: sent + size };
        } else if self.at == At::Greet {
            self.expected.push_back(code);
        } else {
            self.end(code);
        }
    }

    fn starttls(&mut self) -> Then {
        if self.tls || self.at == At::Greet {
            self.say("STARTTLS", 503);
            return Then::GoOn;
        }
        self.say("STARTTLS", 220);
        (self.tls, self.user, self.at) = (true, false, At::Greet);
        Then::Handshake
    }

    fn auth(&mut self, chance: &mut Chance) {
        let allowed = self.at == At::Ready && !self.user;
        let (line, code) = match chance.below(5) {
            0 => ("AUTH PLAIN AGFubmEAd3Jvbmc=", 535),
            1 => ("AUTH LOGIN", 334),
            2 => ("AUTH CRAM-MD5", 504),
            3 => ("AUTH PLAIN ?", 501),
            _ => ("AUTH PLAIN AGFubmEAc2VjcmV0", 235),
        };
        self.say(line, if allowed { code } else { 503 });
        self.user |= allowed && code == 235;
        if allowed && code == 334 {
            self.say("*", 501);
        }
    }

    fn leave(&mut self, chance: &mut Chance) -> Then {
        match chance.below(10) {
            0 => self.say("QUIT", 221),
            1 => self.say("GET / HTTP/1.1", 554),
            _ => {
                self.say("NOOP", 250);
                return Then::GoOn;
            }
        }
        Then::BeginAnew
    }
}

#[test]
fn a9_a_random_walk_agrees_with_the_model() {
    let mut chance = Chance(number("POSTHOUSE_SEED", SEED_DEFAULT));
    let script = Script::parse(SETTINGS);
    let (mut model, mut stage) = (Model::new(), Stage::new(&script));
    for step in 0..number("POSTHOUSE_STEPS", STEPS_DEFAULT) {
        let then = model.step(&mut chance);
        if then == Then::GoOn && !chance.one_in(4) {
            continue;
        }
        hear(&mut stage, &mut model, &mut chance, step);
        match then {
            Then::GoOn => assert!(!stage.closed),
            Then::Handshake => {
                assert!(std::mem::take(&mut stage.tls_due), "step {step}: no handshake");
                stage.session.handle_tls(summary(), stage.now);
            }
            Then::BeginAnew => {
                assert!(stage.closed, "step {step}: not closed");
                (model, stage) = (Model::new(), Stage::new(&script));
            }
        }
    }
}

/// Says what the model wants said, split anyhow, and compares the replies.
fn hear(stage: &mut Stage, model: &mut Model, chance: &mut Chance, step: u64) {
    let octets = std::mem::take(&mut model.octets);
    let mut rest = octets.as_slice();
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(1 + chance.below(rest.len() as u64) as usize);
        stage.input(part);
        rest = behind;
    }
    let last_lines = stage.said.drain(..).filter(|line| line.get(3..4) == Some(" "));
    let codes: Vec<u16> = last_lines.map(|line| line[..3].parse().unwrap()).collect();
    let said = String::from_utf8_lossy(&octets);
    assert_eq!(codes, Vec::from(std::mem::take(&mut model.expected)), "step {step}: {said:?}, then {model:?}");
    assert_eq!(stage.desk.accepted.len(), model.accepted, "step {step}: {said:?}");
    model.accepted = 0;
    stage.desk.accepted.clear();
}

#[expect(clippy::disallowed_methods, reason = "how far a test goes is for who runs it to say")]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}
