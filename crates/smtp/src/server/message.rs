//! The message itself: DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030) from the first octet to the 250.

use std::time::Instant;

use mail::Reply;

use super::{
    ask::{Answer, Ask, Output},
    content::{Content, DRAIN_MAX, Progress, Taken, Verdict},
    phase::{Octets, Phase, Question, Transaction, Way},
    session::Session,
    words,
};
use crate::{
    command::{Chunk, ChunkPlace},
    data::receive::Framing,
};

impl Session {
    pub(super) fn transaction(&self) -> Option<&Transaction> {
        match &self.phase {
            Phase::Mail(transaction)
            | Phase::Data(transaction, _)
            | Phase::Chunk(transaction, ..)
            | Phase::Chunks(transaction, _) => Some(transaction),
            _ => None,
        }
    }

    /// If the driver holds an open draft, it is void.
    pub(super) fn drop_draft(&mut self) {
        if let Phase::Data(_, content) | Phase::Chunk(_, content, _) | Phase::Chunks(_, content) = &self.phase
            && content.is_good()
        {
            self.output(Output::Discard);
        }
    }

    pub(super) fn begin_answered(&mut self, way: Way, answer: Answer) {
        let Phase::Mail(transaction) = self.phase else {
            return;
        };
        match (answer, way) {
            (Answer::Go, Way::Data) => {
                self.phase = Phase::Data(transaction, Content::new(Framing::Dots, self.settings.bare_newline));
                self.say(words::GO_AHEAD);
            }
            (Answer::Go, Way::Bdat(chunk)) => {
                let content = Content::new(Framing::Chunks, self.settings.bare_newline);
                self.begin_chunks();
                self.begin_chunk(transaction, content, chunk);
            }
            // The transaction stays: the client may try again or RSET (RFC 5321 §4.1.4).
            (other, Way::Data) => self.refuse(other),
            (other, Way::Bdat(chunk)) => {
                self.skip_octets_of(chunk);
                self.refuse(other);
            }
        }
    }

    pub(super) fn take_data(&mut self, input: &[u8], now: Instant) -> usize {
        let limit = self.settings.limits.message_size;
        let Phase::Data(_, content) = &mut self.phase else {
            return 0;
        };
        let taken = content.take(input, limit);
        let (used, progress) = (taken.used, taken.progress);
        self.count_content(used);
        self.pass(taken);
        match progress {
            Progress::More => {}
            Progress::End => {
                self.restart_wait(now);
                self.end_message();
            }
            Progress::Flood => self.end_flood(),
        }
        used
    }

    /// Gives content to the driver, or tells it that the draft is void.
    fn pass(&mut self, taken: Taken) {
        if taken.spoiled {
            self.output(Output::Discard);
        } else if !taken.content.is_empty() {
            self.output(Output::Content(taken.content));
        }
    }

    /// The content is complete: asks for its commit, or says why it is refused.
    fn end_message(&mut self) {
        let (Phase::Data(_, content) | Phase::Chunk(_, content, _)) = &self.phase else {
            return;
        };
        match content.verdict() {
            Verdict::Good => {
                let size = content.octets();
                self.ask(Question::Commit, Ask::Commit { size });
            }
            bad => {
                self.phase = Phase::Ready;
                self.refuse_message(bad);
            }
        }
    }

    fn refuse_message(&mut self, verdict: Verdict) {
        if let Some(reply) = self.words_for(verdict) {
            self.fail_reply(&reply);
        }
    }

    /// More came behind an unacceptable message than is thrown away: says so, and closes.
    fn end_flood(&mut self) {
        let (Phase::Data(_, content) | Phase::Chunk(_, content, _)) = &self.phase else {
            return;
        };
        if let Some(reply) = self.words_for(content.verdict()) {
            self.fail_reply(&words::and_closing(&reply));
        }
        self.close();
    }

    fn words_for(&self, verdict: Verdict) -> Option<Reply> {
        match verdict {
            Verdict::Good => None,
            Verdict::TooLarge => Some(words::too_large(self.settings.limits.message_size)),
            Verdict::Bare(fault) => Some(words::bare_newline(fault)),
        }
    }

    pub(super) fn commit_answered(&mut self, answer: Answer) {
        // The draft is the driver's now: there is nothing to discard.
        self.phase = Phase::Ready;
        match answer {
            Answer::Accepted { id } => {
                self.forgive();
                self.say_reply(&words::queued(&id));
            }
            other => self.refuse(other),
        }
    }

    pub(super) fn bdat(&mut self, chunk: Chunk) {
        let limit = self.settings.limits.message_size;
        match &self.phase {
            Phase::Mail(transaction) if transaction.recipients > 0 => {
                if chunk.size > limit {
                    return self.refuse_chunk(chunk, |session| session.refuse_message(Verdict::TooLarge));
                }
                self.ask(Question::Begin(Way::Bdat(chunk)), Ask::Begin);
            }
            Phase::Chunks(_, content) if content.is_too_large_with(chunk.size, limit) => {
                self.refuse_chunk(chunk, |session| session.refuse_message(Verdict::TooLarge));
            }
            Phase::Chunks(..) => {
                // An empty chunk leads nowhere.
                if chunk.size == 0 && chunk.place == ChunkPlace::Inner && !self.may_idle() {
                    return;
                }
                if let Phase::Chunks(transaction, content) = std::mem::replace(&mut self.phase, Phase::Ready) {
                    self.begin_chunk(transaction, content, chunk);
                }
            }
            _ => {
                let words = self.words_before_content();
                self.refuse_chunk(chunk, |session| session.fail(words));
            }
        }
    }

    fn begin_chunk(&mut self, transaction: Transaction, content: Content, chunk: Chunk) {
        self.phase = Phase::Chunk(transaction, content, Octets::from(chunk));
        if chunk.size == 0 {
            self.end_chunk();
        }
    }

    pub(super) fn take_chunk(&mut self, input: &[u8], now: Instant) -> usize {
        let limit = self.settings.limits.message_size;
        let Phase::Chunk(_, content, octets) = &mut self.phase else {
            return 0;
        };
        let part = usize::try_from(octets.left).ok().and_then(|left| input.get(..left)).unwrap_or(input);
        let taken = content.take(part, limit);
        let (used, progress) = (taken.used, taken.progress);
        octets.left -= used as u64;
        let complete = octets.left == 0;
        self.count_content(used);
        self.pass(taken);
        if complete {
            self.restart_wait(now);
            self.end_chunk();
        } else if progress == Progress::Flood {
            self.end_flood();
        }
        used
    }

    /// The octets of a chunk are all there.
    fn end_chunk(&mut self) {
        let Phase::Chunk(_, content, octets) = &mut self.phase else {
            return;
        };
        let Octets { size, place, .. } = *octets;
        if place == ChunkPlace::Last {
            let taken = content.finish();
            self.pass(taken);
            return self.end_message();
        }
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Chunk(transaction, content, _) if content.is_good() => {
                self.phase = Phase::Chunks(transaction, content);
                self.say_reply(&words::chunk_received(size));
            }
            // RFC 3030 §2: after a failure nothing but RSET is left, so the transaction is dropped at once.
            Phase::Chunk(_, content, _) => self.refuse_message(content.verdict()),
            _ => {}
        }
    }

    /// Drops the transaction, throws the octets away when they come, and says why now.
    fn refuse_chunk(&mut self, chunk: Chunk, say: impl FnOnce(&mut Self)) {
        self.skip_octets_of(chunk);
        say(self);
    }

    fn skip_octets_of(&mut self, chunk: Chunk) {
        self.reset();
        if chunk.size > 0 {
            self.phase = Phase::Skip(chunk.size);
        }
    }

    pub(super) fn skip_chunk(&mut self, input: &[u8], now: Instant) -> usize {
        let Phase::Skip(left) = &mut self.phase else {
            return 0;
        };
        let used = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
        *left -= used as u64;
        let complete = *left == 0;
        self.count_content(used);
        if complete {
            self.restart_wait(now);
            self.reset();
        } else if self.counted() >= DRAIN_MAX {
            self.say(words::SKIPPED_TOO_MUCH);
            self.close();
        }
        used
    }
}
