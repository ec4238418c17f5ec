//! Gathering the header section while the content streams by.
//!
//! | header section | what happens |
//! | --- | --- |
//! | up to 256 KiB and 10,000 fields | gathered whole, then given on |
//! | more octets | refused: 552 5.3.4 |
//! | more fields | refused: 554 5.6.0 |
//! | a NUL in it | refused: 550 5.6.0 (programs disagree about where such a field ends) |
//! | a line that is no field | the body begins there, without an empty line |
//! | nothing else | the message is a header without a body |
//!
//! A NUL in the body is the body's business and passes.

use mail::{Reply, header};

/// Octets of a header section.
pub(crate) const OCTETS_MAX: usize = 256 * 1024;
/// Fields of a header section.
pub(crate) const FIELDS_MAX: usize = 10_000;

/// The beginning of a message, up to the end of its header section.
#[derive(Debug, Default)]
pub(crate) struct Section {
    gathered: Vec<u8>,
    /// Where the line begins that is looked at.
    line: usize,
    /// How far this line was searched for its end, so that single octets cost no more than whole lines.
    searched: usize,
    fields: usize,
}

/// How far it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More must come.
    Open,
    /// Everything up to here, the end of the header section included: the section ends at `end`, the body follows.
    Complete {
        /// All octets so far.
        gathered: Vec<u8>,
        /// Where the body (or the empty line before it) begins in them.
        end: usize,
    },
    /// It is not taken.
    Refused(Reply),
}

impl Section {
    /// The next piece of the content.
    pub(crate) fn take(&mut self, piece: Vec<u8>) -> Progress {
        if self.gathered.is_empty() {
            self.gathered = piece;
        } else {
            self.gathered.extend_from_slice(&piece);
        }
        match self.find_end() {
            Some(end) if end <= OCTETS_MAX && self.fields <= FIELDS_MAX => self.complete(end),
            None if self.gathered.len() <= OCTETS_MAX && self.fields <= FIELDS_MAX => Progress::Open,
            _ if self.fields > FIELDS_MAX => Progress::Refused(too_many_fields()),
            _ => Progress::Refused(too_large()),
        }
    }

    /// The content is over and the section was still open: the message is a header without a body.
    pub(crate) fn finish(&mut self) -> Progress {
        // A last line without its line end, as BDAT can bring it.
        let last = self.gathered.get(self.line..).unwrap_or_default();
        let end = match self.kind(last) {
            Line::End => self.line,
            Line::Field if self.fields == FIELDS_MAX => return Progress::Refused(too_many_fields()),
            Line::Field | Line::Fold => self.gathered.len(),
        };
        self.complete(end)
    }

    fn complete(&mut self, end: usize) -> Progress {
        let header = self.gathered.get(..end).unwrap_or_default();
        if memchr::memchr(0, header).is_some() {
            return Progress::Refused(nul());
        }
        Progress::Complete { gathered: std::mem::take(&mut self.gathered), end }
    }

    /// Goes on line by line from where it stopped.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let unsearched = self.gathered.get(self.searched..).unwrap_or_default();
            let Some(newline) = memchr::memchr(b'\n', unsearched) else {
                self.searched = self.gathered.len();
                return None;
            };
            let next = self.searched + newline + 1;
            match self.kind(self.gathered.get(self.line..next).unwrap_or_default()) {
                Line::End => return Some(self.line),
                Line::Field => self.fields += 1,
                Line::Fold => {}
            }
            (self.line, self.searched) = (next, next);
            if self.fields > FIELDS_MAX || self.line > OCTETS_MAX {
                return None;
            }
        }
    }

    fn kind(&self, line: &[u8]) -> Line {
        match line {
            [b' ' | b'\t', ..] if self.line > 0 => Line::Fold,
            line if header::is_field_start(line) => Line::Field,
            _ => Line::End,
        }
    }
}

enum Line {
    Field,
    Fold,
    /// The empty line, or one that is no field.
    End,
}

fn too_large() -> Reply {
    Reply::with(552, (5, 3, 4), format!("The header of the message is larger than {OCTETS_MAX} octets"))
}

fn too_many_fields() -> Reply {
    Reply::with(554, (5, 6, 0), format!("The header of the message has more than {FIELDS_MAX} fields"))
}

fn nul() -> Reply {
    Reply::with(550, (5, 6, 0), "The header of the message has a NUL octet, which RFC 5322 does not allow")
}

#[cfg(test)]
mod tests {
    use mail::header::Header;
    use proptest::prelude::*;

    use super::*;

    fn gather(content: &[u8], size: usize) -> Result<(Vec<u8>, usize), u16> {
        let mut section = Section::default();
        for piece in content.chunks(size) {
            match section.take(piece.to_vec()) {
                Progress::Open => {}
                Progress::Complete { gathered, end } => return Ok((gathered, end)),
                Progress::Refused(reply) => return Err(reply.code),
            }
        }
        match section.finish() {
            Progress::Complete { gathered, end } => Ok((gathered, end)),
            Progress::Refused(reply) => Err(reply.code),
            Progress::Open => unreachable!("finished"),
        }
    }

    fn check(content: &str, expect: &str) {
        for size in [1, 2, 3, content.len().max(1)] {
            let (gathered, end) = gather(content.as_bytes(), size).unwrap();
            assert_eq!(std::str::from_utf8(&gathered[..end]).unwrap(), expect, "pieces of {size}");
            assert!(content.as_bytes().starts_with(&gathered));
        }
    }

    #[test]
    fn where_the_body_begins() {
        check("A: b\r\n c\r\nD: e\r\n\r\nF: g\r\n", "A: b\r\n c\r\nD: e\r\n");
        check("A: b\r\nHello\r\n", "A: b\r\n");
        check("Hello there\r\n", "");
        check("\r\nHello\r\n", "");
        check(" A: b\r\n", "");
        check("A: b\r\n", "A: b\r\n");
        check("A: b", "A: b");
        check("A: b\r\nHello", "A: b\r\n");
        check("", "");
    }

    #[test]
    fn bounds() {
        let many = |count: usize| [b"A: b\r\n".repeat(count), b"\r\nbody\r\n".to_vec()].concat();
        assert!(gather(&many(10_000), 4096).is_ok());
        assert_eq!(gather(&many(10_001), 4096), Err(554));
        assert_eq!(gather(&many(100_000), 1_000_000), Err(554));
        // The last one without a line end, as BDAT can bring it: it would be kept and not looked at.
        let last = |count: usize| [b"A: b\r\n".repeat(count), b"C: d".to_vec()].concat();
        assert!(gather(&last(9_999), 4096).is_ok());
        assert_eq!(gather(&last(10_000), 4096), Err(554));
        let large = |octets: usize| [b"A:".to_vec(), vec![b'x'; octets - 4], b"\r\n\r\nbody\r\n".to_vec()].concat();
        assert!(gather(&large(OCTETS_MAX), 4096).is_ok());
        assert_eq!(gather(&large(OCTETS_MAX + 1), 4096), Err(552));
        assert_eq!(gather(&large(OCTETS_MAX + 1), 1_000_000), Err(552));
        assert_eq!(gather(&vec![b'x'; 1_000_000], 4096), Err(552));
        assert_eq!(gather(b"From: a\0b@c\r\n\r\n", 4096), Err(550));
        assert!(gather(b"From: a\r\n\r\nx\0y\r\n", 4096).is_ok());
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_parser(content in "([AB]:| |\r\n|\n|x|\t|:){0,40}", size in 1_usize..9) {
            let (gathered, end) = gather(content.as_bytes(), size).unwrap();
            prop_assert_eq!(end, Header::parse(content.as_bytes(), 100).end);
            prop_assert!(content.as_bytes().starts_with(&gathered));
        }
    }
}
