//! Lines that are too long, found while the content streams by.
//!
//! | line, without its CRLF | what happens |
//! | --- | --- |
//! | up to 998 octets | as RFC 5322 §2.1.1 wants it |
//! | up to 65,536 octets | taken and passed on as it is: breaking it would break signatures, and real programs write such lines |
//! | longer | the message is refused: 554 5.6.0 |
//!
//! Deviation: RFC 5321 §4.5.3.1.6 lets a server stop at 1,000 octets. This is the looser reading of the same section,
//! which asks servers to take longer lines where they can.

use mail::Reply;

/// Octets of a line, without its CRLF, that are taken and passed on.
pub(crate) const LINE_TAKEN_MAX: usize = 65_536;

/// The reply to a message with a line beyond every measure.
pub(crate) fn too_long() -> Reply {
    Reply::with(
        554,
        (5, 6, 0),
        format!("The message has a line of more than {LINE_TAKEN_MAX} octets; break its lines at 998 or encode it"),
    )
}

/// Counts the octets of the line that is open.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineMeter {
    open: usize,
}

/// Whether lines are within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// So far.
    Fit,
    /// One was longer; the meter says so once.
    TooLong,
}

impl LineMeter {
    /// Looks at the next piece. It jumps from line to line as far as one line may reach, so it reads a fraction of the
    /// octets.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Lines {
        let mut rest = piece;
        loop {
            // The line may have so many more octets, and then its CRLF.
            let room = LINE_TAKEN_MAX + 2 - self.open.min(LINE_TAKEN_MAX + 2);
            let reach = rest.get(..room).unwrap_or(rest);
            match memchr::memrchr(b'\n', reach) {
                Some(newline) => {
                    self.open = 0;
                    rest = rest.get(newline + 1..).unwrap_or_default();
                }
                None if rest.len() > room => return Lines::TooLong,
                None => {
                    self.open += rest.len();
                    return Lines::Fit;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(content: &[u8], expect: Lines) {
        for size in [1, 7, 4096, 65_535, content.len().max(1)] {
            let mut meter = LineMeter::default();
            let got = content.chunks(size).map(|piece| meter.take(piece)).find(|lines| *lines == Lines::TooLong);
            assert_eq!(got.unwrap_or(Lines::Fit), expect, "{} octets in pieces of {size}", content.len());
        }
    }

    fn line(octets: usize) -> Vec<u8> {
        let mut line = vec![b'x'; octets];
        line.extend_from_slice(b"\r\n");
        line
    }

    #[test]
    fn the_bound_is_exact() {
        check(b"", Lines::Fit);
        check(&line(998), Lines::Fit);
        check(&line(LINE_TAKEN_MAX), Lines::Fit);
        check(&line(LINE_TAKEN_MAX + 1), Lines::TooLong);
        check(&vec![b'x'; 1_000_000], Lines::TooLong);
        check(&[line(LINE_TAKEN_MAX), line(3), line(LINE_TAKEN_MAX)].concat(), Lines::Fit);
        check(&[line(3), line(LINE_TAKEN_MAX + 1), line(3)].concat(), Lines::TooLong);
    }

    proptest! {
        #[test]
        fn it_agrees_with_counting(lengths in proptest::collection::vec(65_000_usize..66_000, 1..4), size in 1_usize..70_000) {
            let content: Vec<u8> = lengths.iter().flat_map(|octets| line(*octets)).collect();
            let mut meter = LineMeter::default();
            let found = content.chunks(size).any(|piece| meter.take(piece) == Lines::TooLong);
            prop_assert_eq!(found, lengths.iter().any(|octets| *octets > LINE_TAKEN_MAX));
        }
    }
}
