//! The conversation of one attempt, kept to answer "why". AUTH payloads never get in: the session that writes
//! the transcript puts `<redacted>` in their place.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Stage;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// We, as the client.
    Client,
    /// The server.
    Server,
    /// Neither: a remark such as "TLS 1.3 established".
    Note,
}

/// One line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Since the attempt began.
    pub at: Duration,
    /// The step.
    pub stage: Stage,
    /// Who.
    pub side: Side,
    /// What, without the line end. Hostile when the server said it: print through `for_log`.
    pub text: String,
}

/// Bytes of text that one transcript keeps.
const TEXT_MAX: usize = 16 * 1024;

/// A conversation in order, bounded at 16 KiB: what comes later is counted, not kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Transcript {
    /// The lines kept.
    pub lines: Vec<Line>,
    /// Lines that did not fit.
    pub dropped: u32,
    /// Bytes of text in `lines`, while it is being written.
    #[serde(skip)]
    bytes: usize,
}

impl PartialEq for Transcript {
    fn eq(&self, other: &Self) -> bool {
        self.lines == other.lines && self.dropped == other.dropped
    }
}

impl Eq for Transcript {}

impl Transcript {
    /// Appends a line.
    pub fn push(&mut self, at: Duration, stage: Stage, side: Side, text: impl Into<String>) {
        let text = text.into();
        if self.bytes + text.len() > TEXT_MAX {
            self.dropped += 1;
            return;
        }
        self.bytes += text.len();
        self.lines.push(Line { at, stage, side, text });
    }
}
