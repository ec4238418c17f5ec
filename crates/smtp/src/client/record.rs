//! The conversation as it is kept. Most attempts succeed and nobody asks about them, so the lines go into one buffer
//! that is used again, and become a [`Transcript`] only when somebody wants it.

use std::{
    fmt::{self, Write as _},
    time::{Duration, Instant},
};

use mail::{Side, Stage, Transcript};

/// What stands in place of credentials.
pub(super) const REDACTED: &str = "<redacted>";
/// Octets of text that are kept; a transcript takes as many.
const TEXT_MAX: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Record {
    /// What times are relative to.
    start: Instant,
    text: String,
    lines: Vec<Entry>,
    dropped: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Duration,
    stage: Stage,
    side: Side,
    /// Where its text ends.
    end: usize,
}

impl Record {
    pub(super) fn new(now: Instant) -> Self {
        Self { start: now, text: String::new(), lines: Vec::new(), dropped: 0 }
    }

    /// Begins anew: times count from `now`.
    pub(super) fn restart(&mut self, now: Instant) {
        self.start = now;
        self.text.clear();
        self.lines.clear();
        self.dropped = 0;
    }

    pub(super) fn push(&mut self, stage: Stage, side: Side, text: fmt::Arguments<'_>, now: Instant) {
        let before = self.text.len();
        if before >= TEXT_MAX {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.text.write_fmt(text).expect("writing to a String does not fail");
        if self.text.len() > TEXT_MAX {
            self.text.truncate(before);
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let at = now.saturating_duration_since(self.start);
        self.lines.push(Entry { at, stage, side, end: self.text.len() });
    }

    pub(super) fn transcript(&self) -> Transcript {
        let mut transcript = Transcript::default();
        let mut start = 0;
        for line in &self.lines {
            let text = self.text.get(start..line.end).unwrap_or_default();
            transcript.push(line.at, line.stage, line.side, text);
            start = line.end;
        }
        transcript.dropped += self.dropped;
        transcript
    }
}
