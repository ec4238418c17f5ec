//! The content of one message as it arrives: what is passed on, and whether it may be accepted in the end.

use crate::data::receive::{BareNewline, Decoder, End, Fault, Framing};

/// Octets that are read and thrown away after a message has been found unacceptable, so that the client gets its
/// reply at the end. Behind them the connection is closed. Counted from the next piece of input.
pub(super) const DRAIN_MAX: u64 = 4 * 1024 * 1024;

/// Content that is coming in.
#[derive(Debug)]
pub(super) struct Content {
    decoder: Decoder,
    /// Octets of content so far.
    octets: u64,
    /// Octets read since the message became unacceptable.
    drained: u64,
    verdict: Verdict,
}

/// Whether the message can be accepted. The first reason stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// So far, yes.
    Good,
    /// It is larger than the limit.
    TooLarge,
    /// It has a bare CR or LF.
    Bare(Fault),
}

/// What became of a piece of input.
#[derive(Debug)]
pub(super) struct Taken {
    /// Octets used.
    pub(super) used: usize,
    pub(super) progress: Progress,
    /// Content to pass on; empty once the message is unacceptable.
    pub(super) content: Vec<u8>,
    /// Whether the message became unacceptable just now.
    pub(super) spoiled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is needed.
    More,
    /// The dot.
    End,
    /// Too much came after the message was found unacceptable.
    Flood,
}

impl Content {
    pub(super) fn new(framing: Framing, policy: BareNewline) -> Self {
        Self { decoder: Decoder::new(framing, policy), octets: 0, drained: 0, verdict: Verdict::Good }
    }

    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the driver's draft is still worth something.
    pub(super) fn is_good(&self) -> bool {
        self.verdict == Verdict::Good
    }

    /// Takes what belongs to the message from the beginning of `input`.
    pub(super) fn take(&mut self, input: &[u8], limit: u64) -> Taken {
        if self.is_good() { self.keep(input, limit) } else { self.drain(input) }
    }

    /// The last chunk is in. What is returned is passed on. A line end that the client left out is not held against
    /// the size it had announced.
    pub(super) fn finish(&mut self) -> Taken {
        let mut content = Vec::new();
        self.decoder.finish(&mut content);
        self.judge(0, End::Reached, content, u64::MAX)
    }

    /// The message is too large, as is known before its octets are there.
    pub(super) fn is_too_large_with(&self, octets: u64, limit: u64) -> bool {
        self.octets.saturating_add(octets) > limit
    }

    fn keep(&mut self, input: &[u8], limit: u64) -> Taken {
        let mut content = Vec::with_capacity(input.len());
        let decoded = self.decoder.decode(input, &mut content);
        self.judge(decoded.used, decoded.end, content, limit)
    }

    fn judge(&mut self, used: usize, end: End, mut content: Vec<u8>, limit: u64) -> Taken {
        self.octets = self.octets.saturating_add(content.len() as u64);
        let was_good = self.is_good();
        if was_good {
            self.verdict = match self.decoder.fault() {
                _ if self.octets > limit => Verdict::TooLarge,
                Some(fault) => Verdict::Bare(fault),
                None => Verdict::Good,
            };
        }
        let spoiled = was_good && !self.is_good();
        if spoiled {
            self.decoder.mute();
            content = Vec::new();
        }
        let progress = if end == End::Reached { Progress::End } else { Progress::More };
        Taken { used, progress, content, spoiled }
    }

    fn drain(&mut self, input: &[u8]) -> Taken {
        let room = usize::try_from(DRAIN_MAX - self.drained).unwrap_or(usize::MAX);
        let window = input.get(..room).unwrap_or(input);
        let decoded = self.decoder.decode(window, &mut Vec::new());
        self.drained += decoded.used as u64;
        let progress = match decoded.end {
            End::Reached => Progress::End,
            End::More if self.drained >= DRAIN_MAX => Progress::Flood,
            End::More => Progress::More,
        };
        Taken { used: decoded.used, progress, content: Vec::new(), spoiled: false }
    }
}
