//! How long the client may take (RFC 5321 §4.5.3.2.7).

use std::time::{Duration, Instant};

use super::{phase::Phase, settings::Deadlines};

/// What has been waited for since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// When the present wait began: for a command line, for content, for a handshake.
    began: Instant,
    /// When something last came.
    latest: Instant,
    /// Octets of content since it began.
    octets: u64,
    /// Of the message that comes in chunks: a chunk begins another wait, not another message.
    chunked: Pace,
}

/// How fast content has come.
#[derive(Clone, Copy, Debug)]
struct Pace {
    since: Instant,
    octets: u64,
}

/// A wait that can expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Of the handshake, or of our own answer to `Ask::Connect`.
    Banner,
    /// Of a command line.
    Command,
    /// Of a response in AUTH.
    Response,
    /// Of the next piece of content.
    Block,
    /// Of content that comes, but too slowly.
    Rate,
}

impl Wait {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, latest: now, octets: 0, chunked: Pace { since: now, octets: 0 } }
    }

    /// Another wait begins.
    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self { chunked: self.chunked, ..Self::new(now) };
    }

    /// With the present wait a message begins that comes in chunks.
    pub(super) fn begin_chunks(&mut self) {
        self.chunked = Pace { since: self.began, octets: 0 };
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.latest = now;
    }

    pub(super) fn count(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(octets as u64);
        self.chunked.octets = self.chunked.octets.saturating_add(octets as u64);
    }

    /// Octets of content since the wait began.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// The next expiry and its time, or nothing when the client is not waited for.
    pub(super) fn expiry(&self, phase: &Phase, deadlines: &Deadlines) -> Option<(Expiry, Instant)> {
        let command = (Expiry::Command, self.began + deadlines.command);
        let block = (Expiry::Block, self.latest + deadlines.data_block);
        let here = Pace { since: self.began, octets: self.octets };
        Some(match phase {
            Phase::Connect | Phase::Handshake(_) => (Expiry::Banner, self.began + deadlines.banner),
            Phase::Greet | Phase::Ready | Phase::Mail(_) => command,
            Phase::Auth(_) => (Expiry::Response, self.began + deadlines.command),
            Phase::Data(..) | Phase::Skip(_) => here.or(block, deadlines),
            Phase::Chunk(..) => self.chunked.or(block, deadlines),
            Phase::Chunks(..) => self.chunked.or(command, deadlines),
            Phase::Closed(_) => return None,
        })
    }
}

impl Pace {
    /// When content at this pace is too slow, or `other` when that comes first.
    fn or(self, other: (Expiry, Instant), deadlines: &Deadlines) -> (Expiry, Instant) {
        // With so many octets at the least rate, this much time may have passed.
        let Some(earned) = self.octets.checked_div(u64::from(deadlines.data_rate)) else {
            return other;
        };
        let rate = (Expiry::Rate, self.since + deadlines.data_rate_after.max(Duration::from_secs(earned)));
        if rate.1 < other.1 { rate } else { other }
    }
}

/// A duration in words: `5 minutes`, `90 seconds`.
pub(super) fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (number, unit) =
        if seconds >= 60 && seconds.is_multiple_of(60) { (seconds / 60, "minute") } else { (seconds, "second") };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_words() {
        for (seconds, words) in
            [(300, "5 minutes"), (60, "1 minute"), (90, "90 seconds"), (1, "1 second"), (0, "0 seconds")]
        {
            assert_eq!(spell(Duration::from_secs(seconds)), words);
        }
    }
}
