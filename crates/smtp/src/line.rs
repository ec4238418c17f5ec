//! Where a line ends: CRLF, and nothing else (RFC 5321 §2.3.8). What the line says is [`crate::command`]'s business.
//!
//! An LF without its CR does end the search, for a person who types into `nc` must be told; the line is not used.
//! A CR without LF is a control character in the middle of a line.

use std::fmt;

/// What stands at the beginning of some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A line.
    Line {
        /// Its text, without CRLF.
        text: &'a [u8],
        /// Its octets, with CRLF.
        used: usize,
    },
    /// A line that ends with a bare LF.
    BareLf {
        /// Its octets, with LF.
        used: usize,
    },
    /// The first `max` octets hold no line end.
    TooLong,
    /// The end has not come yet.
    Partial,
}

/// Finds the first line of `input`, of at most `max` octets with its end. However the input is split, the same is
/// found once enough of it is there.
pub fn find(input: &[u8], max: usize) -> Found<'_> {
    let window = input.get(..max).unwrap_or(input);
    match memchr::memchr(b'\n', window) {
        Some(end) => {
            let line = window.get(..end).unwrap_or_default();
            match line.strip_suffix(b"\r") {
                Some(text) => Found::Line { text, used: end + 1 },
                None => Found::BareLf { used: end + 1 },
            }
        }
        None if window.len() >= max => Found::TooLong,
        None => Found::Partial,
    }
}

/// Octets that arrived and could not be used yet. Gives its memory back when it is empty.
#[derive(Default)]
pub(crate) struct Held {
    octets: Vec<u8>,
    start: usize,
}

impl fmt::Debug for Held {
    /// Not the octets: they may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets held", self.rest().len())
    }
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.octets.len()
    }

    pub(crate) fn push(&mut self, octets: &[u8]) {
        // What was used goes now: a client that never ends on a whole line would make this grow for ever.
        self.octets.drain(..self.start);
        self.start = 0;
        self.octets.extend_from_slice(octets);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Lends the octets out, so that their owner can be called while they are read. Come back with [`Held::put_back`].
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    pub(crate) fn rest(&self) -> &[u8] {
        self.octets.get(self.start..).unwrap_or_default()
    }

    /// What was lent out comes back with `used` octets fewer.
    pub(crate) fn put_back(&mut self, mut lent: Self, used: usize) {
        lent.start += used;
        *self = if lent.is_empty() { Self::default() } else { lent };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(find(b"QUIT\r\nx", 10), Found::Line { text: b"QUIT", used: 6 });
        assert_eq!(find(b"\r\n", 10), Found::Line { text: b"", used: 2 });
        assert_eq!(find(b"QUIT\n", 10), Found::BareLf { used: 5 });
        assert_eq!(find(b"a\rb\r\n", 10), Found::Line { text: b"a\rb", used: 5 });
        assert_eq!(find(b"QUIT\r", 10), Found::Partial);
        assert_eq!(find(b"", 10), Found::Partial);
        assert_eq!(find(b"12345678\r\n", 10), Found::Line { text: b"12345678", used: 10 });
        assert_eq!(find(b"123456789\r\n", 10), Found::TooLong);
        assert_eq!(find(b"123456789\r", 10), Found::TooLong);
    }

    #[test]
    fn held_octets_come_back_without_what_was_used() {
        let mut held = Held::default();
        held.push(b"abc");
        let lent = held.take();
        assert!(held.is_empty());
        held.put_back(lent, 1);
        held.push(b"d");
        assert_eq!(held.rest(), b"bcd");
        let lent = held.take();
        held.put_back(lent, 3);
        assert!(held.is_empty() && held.octets.capacity() == 0);
    }
}
