//! The content of one message on its way from the session to the draft. Pure: pieces in, pieces out.
//!
//! ```text
//!            header section complete            end
//!  Header ──────────────────────────► Body ───────────► Ok
//!    │                                  │
//!    └── too large · NUL · too many     └── a line
//!        hops · not the sender's            too long
//!                 │                             │
//!                 └──────────► Refused ◄────────┘  (swallows the rest; the reply waits for the end)
//! ```
//!
//! A refusal cannot be said before the client has sent everything, so the rest is thrown away until then.

use mail::{Reply, header::Header};

use crate::{
    admission::rights::Rights,
    lengths::{self, LineMeter, Lines},
    loops,
    sign::Hand,
    stamp::{
        fix_ups::{self, Repairs},
        section::{FIELDS_MAX, Progress, Section},
    },
    vouch::Witness,
};

/// What holds for one message.
#[derive(Debug)]
pub(crate) struct Rules {
    /// What a letter gets that lacks it; nothing when it goes on as it came.
    pub(crate) repairs: Option<Repairs>,
    /// As whom the sender may write; nothing when as anybody.
    pub(crate) rights: Option<Rights>,
    /// Who listens to find out who vouches for it; nobody when that is not asked.
    pub(crate) witness: Option<Box<Witness>>,
    /// Who signs it; nobody when it is not from one of ours.
    pub(crate) hand: Option<Box<Hand>>,
    /// Our name: who else signs with it in the header is a forger.
    pub(crate) hostname: String,
}

/// A message that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    /// What is still to append to the draft.
    pub(crate) rest: Vec<u8>,
    /// Who has listened.
    pub(crate) witness: Option<Box<Witness>>,
    /// Who signs.
    pub(crate) hand: Option<Box<Hand>>,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Intake {
    rules: Rules,
    lines: LineMeter,
    state: State,
}

#[derive(Debug)]
enum State {
    Header(Section),
    Body,
    Refused(Reply),
}

impl Intake {
    /// Before the first piece.
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, lines: LineMeter::default(), state: State::Header(Section::default()) }
    }

    /// The next piece of the content. Returns what to append to the draft.
    pub(crate) fn take(&mut self, piece: Vec<u8>) -> Vec<u8> {
        if matches!(self.state, State::Refused(_)) {
            return Vec::new();
        }
        if self.lines.take(&piece) == Lines::TooLong {
            return self.refuse(lengths::too_long());
        }
        match &mut self.state {
            State::Header(section) => {
                let progress = section.take(piece);
                self.advance(progress)
            }
            State::Body => {
                if let Some(witness) = &mut self.rules.witness {
                    witness.body(&piece);
                }
                if let Some(hand) = &mut self.rules.hand {
                    hand.body(&piece);
                }
                piece
            }
            State::Refused(_) => Vec::new(),
        }
    }

    /// Who listens, if anybody does.
    pub(crate) fn witness(&mut self) -> Option<&mut Witness> {
        self.rules.witness.as_deref_mut()
    }

    /// The content is complete. The reply refuses the message.
    pub(crate) fn finish(mut self) -> Result<Taken, Reply> {
        let rest = match &mut self.state {
            State::Header(section) => {
                let progress = section.finish();
                self.advance(progress)
            }
            State::Body | State::Refused(_) => Vec::new(),
        };
        match self.state {
            State::Refused(reply) => Err(reply),
            State::Header(_) | State::Body => Ok(Taken { rest, witness: self.rules.witness, hand: self.rules.hand }),
        }
    }

    /// Whether nothing more will come out: the draft can go.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(_))
    }

    fn advance(&mut self, progress: Progress) -> Vec<u8> {
        match progress {
            Progress::Open => Vec::new(),
            Progress::Refused(reply) => self.refuse(reply),
            Progress::Complete { gathered, .. } => match self.header(gathered) {
                Ok(octets) => {
                    self.state = State::Body;
                    octets
                }
                Err(reply) => self.refuse(reply),
            },
        }
    }

    /// Judges the header section and makes of it what goes on, with what followed it.
    fn header(&mut self, gathered: Vec<u8>) -> Result<Vec<u8>, Reply> {
        let header = Header::parse(&gathered, FIELDS_MAX);
        if let Some(reply) = loops::refusal(header.all("Received").count()) {
            return Err(reply);
        }
        if let Some(rights) = &self.rules.rights {
            rights.check_header(&header)?;
        }
        if let Some(witness) = &mut self.rules.witness {
            witness.header(&gathered, &header);
        }
        let hostname = &self.rules.hostname;
        let changed = match &self.rules.repairs {
            Some(repairs) => Some(fix_ups::repair(&gathered, &header, repairs, hostname)),
            None => fix_ups::strip(&gathered, &header, hostname),
        };
        let kept = changed.unwrap_or(gathered);
        if let Some(hand) = &mut self.rules.hand {
            hand.begin(&kept);
        }
        Ok(kept)
    }

    fn refuse(&mut self, reply: Reply) -> Vec<u8> {
        self.state = State::Refused(reply);
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use mail::{MessageId, Timestamp, header::Ending};
    use proptest::prelude::*;
    use store::Directory;

    use super::*;

    fn world() -> Rules {
        Rules { repairs: None, rights: None, witness: None, hand: None, hostname: "mx.example.net".into() }
    }

    fn user(directory: &Directory) -> Rules {
        let user: mail::Mailbox = "anna@ours.example".parse().unwrap();
        let repairs = Repairs {
            author: Some(user.clone()),
            id: MessageId::from_bytes([0; 16]),
            now: Timestamp::from_secs(0),
            removed: None,
        };
        let rights = Some(Rights::new(user, directory.clone()));
        Rules { repairs: Some(repairs), rights, witness: None, hand: None, hostname: "mx.example.net".into() }
    }

    fn run(rules: Rules, content: &[u8], size: usize) -> Result<Vec<u8>, String> {
        let mut intake = Intake::new(rules);
        let mut out = Vec::new();
        for piece in content.chunks(size) {
            out.extend(intake.take(piece.to_vec()));
        }
        out.extend(intake.finish().map_err(|reply| reply.to_string())?.rest);
        Ok(out)
    }

    fn check_refused(rules: impl Fn() -> Rules, content: &[u8], expect: &str) {
        for size in [1, 100, content.len()] {
            let refusal = run(rules(), content, size).unwrap_err();
            assert!(refusal.starts_with(expect), "{refusal}");
        }
    }

    #[test]
    fn what_is_refused() {
        let hops = |count: usize| [b"Received: x\r\n".repeat(count), b"\r\nhi\r\n".to_vec()].concat();
        assert!(run(world(), &hops(50), 4096).is_ok());
        check_refused(world, &hops(51), "554 5.4.6 ");
        let directory = crate::testing::directory();
        let anna = || user(&directory);
        check_refused(anna, &hops(51), "554 5.4.6 ");
        check_refused(anna, b"From: bob@ours.example\r\n\r\nhi\r\n", "550 5.7.1 ");
        check_refused(anna, b"From: bob@ours.example", "550 5.7.1 ");
        assert!(run(world(), b"From: bob@ours.example\r\n\r\nhi\r\n", 4096).is_ok());
        let megabyte = [b"A: b\r\n\r\n".to_vec(), vec![b'x'; 1_000_000]].concat();
        assert!(run(world(), &megabyte, 4096).unwrap_err().starts_with("554 5.6.0 "));
    }

    #[test]
    fn the_body_is_not_looked_at() {
        let directory = crate::testing::directory();
        let content =
            b"From: anna@ours.example\r\nDate: x\r\nMessage-ID: y\r\n\r\nFrom: bob@ours.example\r\nBcc: z\r\n\0\r\n";
        for size in [1, 7, 4096] {
            assert_eq!(run(user(&directory), content, size).unwrap(), content);
        }
    }

    proptest! {
        #[test]
        fn mail_from_the_world_goes_on_octet_for_octet(content in "([AB]:| |\r\n|x|\t|:|Received:|Bcc:){0,60}", size in 1_usize..30) {
            let header = Header::parse(content.as_bytes(), FIELDS_MAX);
            let (fields, body) = content.split_at(header.end);
            // But for the empty line, which parts a body that has none from the fields above it.
            let line = if header.ending == Ending::NoField { "\r\n" } else { "" };
            let expect = format!("{fields}{line}{body}");
            prop_assert_eq!(run(world(), content.as_bytes(), size).unwrap(), expect.as_bytes());
        }
    }

    #[test]
    fn pieces_do_not_matter() {
        let directory = crate::testing::directory();
        let content = "(From: anna@ours.example|A:| |\r\n|x|\t|:|Bcc: q){0,40}";
        proptest!(|(content in content, size in 1_usize..30)| {
            let whole = run(user(&directory), content.as_bytes(), content.len().max(1));
            prop_assert_eq!(run(user(&directory), content.as_bytes(), size), whole);
        });
    }
}
