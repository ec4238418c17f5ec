//! One transaction: from MAIL to the reply to the last octet (RFC 5321 §3.3), in lockstep or pipelined (RFC 2920), with
//! DATA or BDAT (RFC 3030). It says things to the [`Wire`], takes replies in order, and keeps one fate per recipient.
//!
//! ```text
//!  Mail ─► Recipients ─► Begin ─┬─ DATA ─► Invited ─ 354 ─► Content ─► Ended ─► Over
//!              │           │    └─ BDAT ──────────────────────▲  │       ▲
//!              │           │          Invited ─ 354, nobody taken ─ "." ─┘
//!              ▼           ▼             ▼ 4xx, 5xx              ▼ 4xx, 5xx to a chunk
//!            Leave ◄───────┴─────────────┴───────────────────────┘
//!              └─ RSET ─► Resetting ─ 2xx ─► Over
//! ```
//!
//! Pipelined, Mail to Invited (or, for a small message by BDAT, to Ended) is one write, and the replies come behind.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use mail::{Body, ForwardPath, ReversePath, Side, Stage};

use super::{
    extensions::Extensions,
    reply::ReplyReader,
    report::{Cause, RecipientResult, Report},
    settings::{Deadlines, Settings, Use},
    wire::Wire,
};
use crate::data::send::{Encoder, Position, Transparency, chunk_header};

/// Replies that may be owed at once: both sides' buffers hold as many, so neither waits for the other to read
/// (RFC 2920 §3.1).
const WINDOW: usize = 100;
/// Octets of content up to which MAIL, RCPT and the whole message leave in one write, when BDAT can be used.
const WHOLE_MAX: u64 = 128 * 1024;
/// Octets of a chunk from which it is sent.
const CHUNK: usize = 256 * 1024;
/// Chunks whose replies may be owed at once.
const CHUNKS_OUT: usize = 4;
/// Octets that may wait for the driver before more content is asked for.
const WAITING_MAX: usize = 256 * 1024;

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Where failures go.
    pub reverse_path: ReversePath,
    /// Where the message goes. More than [`Extensions::recipients_max`] will be refused by the server: split before.
    pub recipients: Vec<ForwardPath>,
    /// Octets of the content as they will be fed.
    pub size: u64,
    /// What octets the content has.
    pub body: Body,
}

/// How the extensions of this server are used.
#[derive(Clone, Copy, Debug)]
struct Plan {
    pipelining: bool,
    chunking: bool,
    size: bool,
    eight_bit_mime: bool,
}

/// What will be known of a recipient in the end.
#[derive(Debug)]
enum Fate {
    /// RCPT has not been answered.
    Open,
    /// RCPT was answered with 2xx.
    Taken,
    Settled(RecipientResult),
}

/// Whose reply comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Mail,
    /// Of the recipient with this number.
    Recipient(usize),
    Data,
    Chunk(Position),
    Dot,
    /// Of an empty message to nobody (RFC 2920 §3.1).
    LoneDot,
    Reset,
}

impl Expected {
    fn stage(self) -> Stage {
        match self {
            Self::Mail => Stage::Mail,
            Self::Recipient(_) => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::Chunk(_) | Self::Dot | Self::LoneDot => Stage::Content,
            Self::Reset => Stage::Close,
        }
    }
}

/// In the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Mail,
    Recipients,
    Begin,
    Invited,
    Content,
    Ended,
    Leave,
    Resetting,
    Over,
}

/// What the session does after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    /// The transaction is over, the connection clean.
    Over,
    /// All recipients are settled; the connection must not be used any more.
    HangUp,
}

#[derive(Debug)]
pub(super) struct Running {
    order: Transaction,
    plan: Plan,
    step: Step,
    fates: Vec<Fate>,
    expected: VecDeque<Expected>,
    /// Recipients whose RCPT has been said.
    said: usize,
    /// Recipients that are `Taken`.
    taken: usize,
    /// Whether the server may hold an open transaction that RSET must end.
    open: bool,
    encoder: Encoder,
    /// The chunk that is being filled.
    chunk: Vec<u8>,
    /// Octets of content fed.
    fed: u64,
    /// `NeedContent` has been said and not been answered.
    asked: bool,
    chunking_refused: bool,
}

impl Running {
    /// Begins: what can be said at once is said.
    pub(super) fn start(
        order: Transaction,
        settings: &Settings,
        extensions: &Extensions,
        wire: &mut Wire,
        now: Instant,
    ) -> Self {
        let plan = Plan {
            pipelining: extensions.pipelining && settings.pipelining == Use::WhenOffered,
            chunking: extensions.chunking && settings.chunking == Use::WhenOffered,
            size: extensions.size.is_some(),
            eight_bit_mime: extensions.eight_bit_mime,
        };
        let transparency = if plan.chunking { Transparency::Counted } else { Transparency::Dots };
        let mut running = Self {
            fates: order.recipients.iter().map(|_| Fate::Open).collect(),
            order,
            plan,
            step: Step::Mail,
            expected: VecDeque::new(),
            said: 0,
            taken: 0,
            open: false,
            encoder: Encoder::new(transparency),
            chunk: Vec::new(),
            fed: 0,
            asked: false,
            chunking_refused: false,
        };
        running.advance(wire, now);
        running
    }

    /// Where the transaction stands: the reply that is due, or what is being said.
    pub(super) fn stage(&self) -> Stage {
        let saying = match self.step {
            Step::Mail => Stage::Mail,
            Step::Recipients => Stage::Rcpt,
            Step::Begin | Step::Invited => Stage::Data,
            Step::Content | Step::Ended => Stage::Content,
            Step::Leave | Step::Resetting | Step::Over => Stage::Close,
        };
        self.expected.front().map_or(saying, |expected| expected.stage())
    }

    /// How long the server may take for what is due.
    pub(super) fn patience(&self, deadlines: &Deadlines) -> Duration {
        match (self.expected.front(), self.step) {
            (Some(Expected::Dot | Expected::LoneDot | Expected::Chunk(Position::Last)), _) => deadlines.dot,
            (_, Step::Content) => deadlines.data_block,
            _ => deadlines.command,
        }
    }

    // Saying.

    fn advance(&mut self, wire: &mut Wire, now: Instant) {
        loop {
            let before = self.step;
            match self.step {
                Step::Mail => self.say_mail(wire, now),
                Step::Recipients => self.say_recipients(wire, now),
                Step::Begin => self.begin(wire, now),
                Step::Leave => self.leave(wire, now),
                Step::Invited | Step::Content | Step::Ended | Step::Resetting | Step::Over => {}
            }
            if self.step == before {
                break;
            }
        }
    }

    fn say_mail(&mut self, wire: &mut Wire, now: Instant) {
        let Transaction { reverse_path, size, body, .. } = &self.order;
        // RFC 1870 §6, RFC 6152 §3. Deviation: content of eight bits goes to a server without 8BITMIME as it is, for no
        // server that is still alive clears the eighth bit.
        let eight_bit = if self.plan.eight_bit_mime && *body == Body::EightBitMime { " BODY=8BITMIME" } else { "" };
        if self.plan.size {
            wire.command(Stage::Mail, format_args!("MAIL FROM:{reverse_path} SIZE={size}{eight_bit}"), now);
        } else {
            wire.command(Stage::Mail, format_args!("MAIL FROM:{reverse_path}{eight_bit}"), now);
        }
        self.expected.push_back(Expected::Mail);
        self.open = true;
        self.step = Step::Recipients;
    }

    fn say_recipients(&mut self, wire: &mut Wire, now: Instant) {
        let mut room = match (self.plan.pipelining, self.expected.len()) {
            (true, owed) => WINDOW - owed.min(WINDOW),
            (false, 0) => 1,
            (false, _) => 0,
        };
        // Half a window at a time, so that not each reply brings forth a write.
        if self.plan.pipelining && room < WINDOW / 2 {
            return;
        }
        while room > 0
            && let Some(recipient) = self.order.recipients.get(self.said)
        {
            wire.command(Stage::Rcpt, format_args!("RCPT TO:{recipient}"), now);
            self.expected.push_back(Expected::Recipient(self.said));
            self.said += 1;
            room -= 1;
        }
        if self.said == self.order.recipients.len() {
            self.step = Step::Begin;
        }
    }

    fn begin(&mut self, wire: &mut Wire, now: Instant) {
        let answered = self.expected.is_empty();
        if answered && self.taken == 0 {
            self.step = Step::Leave;
        } else if !self.plan.chunking && (answered || self.plan.pipelining) {
            wire.command(Stage::Data, format_args!("DATA"), now);
            self.expected.push_back(Expected::Data);
            self.step = Step::Invited;
        } else if self.plan.chunking && (answered || self.is_whole()) {
            self.step = Step::Content;
        }
    }

    /// Whether the message leaves in one write with its envelope.
    fn is_whole(&self) -> bool {
        self.plan.pipelining && self.order.size <= WHOLE_MAX
    }

    /// Leaves the connection clean, once all replies are in (RFC 2920 §3.1, RFC 3030 §2).
    fn leave(&mut self, wire: &mut Wire, now: Instant) {
        if !self.expected.is_empty() {
            return;
        }
        if self.open {
            wire.command(Stage::Close, format_args!("RSET"), now);
            self.expected.push_back(Expected::Reset);
            self.step = Step::Resetting;
        } else {
            self.step = Step::Over;
        }
    }

    // Content.

    /// Whether `NeedContent` is due. Saying so twice for one piece is prevented by `asked`.
    pub(super) fn asks_for_content(&mut self, waiting: usize) -> bool {
        let chunks = self.expected.iter().rev().take_while(|expected| matches!(expected, Expected::Chunk(_))).count();
        let chunks_max = if self.plan.pipelining { CHUNKS_OUT } else { 1 };
        let asks = self.step == Step::Content && !self.asked && waiting < WAITING_MAX && chunks < chunks_max;
        self.asked |= asks;
        asks
    }

    pub(super) fn content(&mut self, piece: &[u8], wire: &mut Wire, now: Instant) {
        self.asked = false;
        if self.step != Step::Content {
            return;
        }
        self.fed += piece.len() as u64;
        if !self.plan.chunking {
            self.encoder.push(piece, wire.content());
            return;
        }
        self.encoder.push(piece, &mut self.chunk);
        if self.chunk.len() >= CHUNK {
            self.say_chunk(Position::More, wire, now);
        }
    }

    pub(super) fn content_end(&mut self, wire: &mut Wire, now: Instant) {
        self.asked = false;
        if self.step != Step::Content {
            return;
        }
        self.step = Step::Ended;
        if self.plan.chunking {
            self.encoder.finish(&mut self.chunk);
            self.say_chunk(Position::Last, wire, now);
            wire.note(Stage::Content, format_args!("<{} octets of content>", self.fed), now);
        } else {
            self.encoder.finish(wire.content());
            wire.expect_reply();
            self.expected.push_back(Expected::Dot);
            wire.note(Stage::Content, format_args!("<{} octets of content>", self.fed), now);
            wire.record.push(Stage::Content, Side::Client, format_args!("."), now);
        }
    }

    fn say_chunk(&mut self, position: Position, wire: &mut Wire, now: Instant) {
        let header = chunk_header(self.chunk.len(), position);
        wire.record.push(Stage::Content, Side::Client, format_args!("{}", header.trim_end()), now);
        let out = wire.content();
        out.reserve(header.len() + self.chunk.len());
        out.extend_from_slice(header.as_bytes());
        out.append(&mut self.chunk);
        wire.expect_reply();
        self.expected.push_back(Expected::Chunk(position));
    }

    // Hearing.

    /// A reply that was owed.
    pub(super) fn handle_reply(&mut self, code: u16, reader: &ReplyReader, wire: &mut Wire, now: Instant) -> Next {
        let Some(expected) = self.expected.pop_front() else {
            return self.break_off(Cause::Protocol, "the server answered what it was not asked");
        };
        // RFC 5321 §3.8: 421 is an answer to anything, and the end.
        if code == 421 {
            self.refuse_open(expected.stage(), reader);
            return Next::HangUp;
        }
        let next = match (expected, code / 100) {
            (Expected::Data, 3) => self.invited(wire, now),
            (_, 3) | (Expected::Data, 2) => {
                let text = format!("the server answered {code} where it may not");
                self.break_off_at(expected.stage(), Cause::Protocol, &text)
            }
            (_, 2) => self.heard_yes(expected, reader),
            (_, _) => self.heard_no(expected, code, reader),
        };
        self.advance(wire, now);
        if self.step == Step::Over && next == Next::Continue { Next::Over } else { next }
    }

    fn heard_yes(&mut self, expected: Expected, reader: &ReplyReader) -> Next {
        match expected {
            Expected::Recipient(number) => {
                if let Some(fate @ Fate::Open) = self.fates.get_mut(number) {
                    *fate = Fate::Taken;
                    self.taken += 1;
                }
            }
            Expected::Dot | Expected::Chunk(Position::Last) => {
                if self.taken > 0 {
                    let reply = reader.reply();
                    self.settle_taken(&RecipientResult::Accepted { reply });
                }
                self.step = Step::Over;
            }
            Expected::LoneDot | Expected::Reset => self.step = Step::Over,
            Expected::Mail | Expected::Data | Expected::Chunk(Position::More) => {}
        }
        Next::Continue
    }

    fn heard_no(&mut self, expected: Expected, code: u16, reader: &ReplyReader) -> Next {
        match expected {
            Expected::Mail => {
                self.refuse_open(Stage::Mail, reader);
                // What was pipelined behind it is answered yet; with a chunk among it RFC 3030 §2 wants RSET.
                self.open = self.plan.chunking && self.step >= Step::Content;
                if self.step < Step::Invited {
                    self.step = Step::Leave;
                }
            }
            Expected::Recipient(number) => {
                if let Some(fate @ Fate::Open) = self.fates.get_mut(number) {
                    *fate = Fate::Settled(RecipientResult::Refused { stage: Stage::Rcpt, reply: reader.reply() });
                }
            }
            Expected::Data => {
                self.refuse_taken(Stage::Data, reader);
                self.step = Step::Leave;
            }
            Expected::Chunk(_) if self.taken > 0 && (500..=504).contains(&code) => return self.no_chunks(reader),
            Expected::Chunk(_) => {
                self.refuse_taken(Stage::Content, reader);
                self.step = Step::Leave;
            }
            Expected::Dot => {
                self.refuse_taken(Stage::Content, reader);
                self.step = Step::Over;
            }
            Expected::LoneDot => self.step = Step::Over,
            Expected::Reset => return Next::HangUp,
        }
        Next::Continue
    }

    /// 354. Whoever was asked for nobody's message gets an empty one (RFC 2920 §3.1).
    fn invited(&mut self, wire: &mut Wire, now: Instant) -> Next {
        if self.taken > 0 {
            self.step = Step::Content;
        } else {
            wire.command(Stage::Content, format_args!("."), now);
            self.expected.push_back(Expected::LoneDot);
            self.step = Step::Ended;
        }
        Next::Continue
    }

    /// The server offered CHUNKING and does not know BDAT: it may take the content for commands, so nothing more is
    /// said to it, and what it says about the command is no word on the message.
    fn no_chunks(&mut self, reader: &ReplyReader) -> Next {
        self.chunking_refused = true;
        let reply = reader.reply();
        self.break_off_at(
            Stage::Data,
            Cause::Protocol,
            &format!("the server offers CHUNKING and refuses BDAT: {reply}"),
        )
    }

    /// A reply that nobody owed, as a server sends it that gives up: whatever is open shares its fate.
    pub(super) fn handle_unasked(&mut self, code: u16, reader: &ReplyReader) {
        let gives_up = self.step == Step::Content && matches!(code / 100, 4 | 5);
        if code == 421 || gives_up {
            self.refuse_open(self.stage(), reader);
        } else {
            self.break_off(Cause::Protocol, "the server answered before it was asked");
        }
    }

    // Fates.

    /// There will be no more replies.
    pub(super) fn break_off(&mut self, cause: Cause, text: &str) -> Next {
        self.break_off_at(self.stage(), cause, text)
    }

    fn break_off_at(&mut self, stage: Stage, cause: Cause, text: &str) -> Next {
        for fate in self.fates.iter_mut().filter(|fate| !matches!(fate, Fate::Settled(_))) {
            *fate = Fate::Settled(RecipientResult::Lost { stage, cause, text: text.to_owned() });
        }
        self.taken = 0;
        Next::HangUp
    }

    fn refuse_open(&mut self, stage: Stage, reader: &ReplyReader) {
        let result = RecipientResult::Refused { stage, reply: reader.reply() };
        for fate in self.fates.iter_mut().filter(|fate| !matches!(fate, Fate::Settled(_))) {
            *fate = Fate::Settled(result.clone());
        }
        self.taken = 0;
    }

    fn refuse_taken(&mut self, stage: Stage, reader: &ReplyReader) {
        if self.taken > 0 {
            self.settle_taken(&RecipientResult::Refused { stage, reply: reader.reply() });
        }
    }

    fn settle_taken(&mut self, result: &RecipientResult) {
        for fate in self.fates.iter_mut().filter(|fate| matches!(fate, Fate::Taken)) {
            *fate = Fate::Settled(result.clone());
        }
        self.taken = 0;
    }

    /// One result for each recipient. Call it when the transaction is over or broken off.
    pub(super) fn report(self, reusable: bool) -> Report {
        let results = self.fates.into_iter().map(|fate| match fate {
            Fate::Settled(result) => result,
            Fate::Open | Fate::Taken => RecipientResult::Lost {
                stage: Stage::Close,
                cause: Cause::Protocol,
                text: "the server left the recipient without an answer".to_owned(),
            },
        });
        let recipients = self.order.recipients.into_iter().zip(results).collect();
        Report { recipients, reusable, chunking_refused: self.chunking_refused }
    }
}
