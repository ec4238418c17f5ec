//! Reading replies (RFC 5321 §4.2), whatever the server sends: bounded in memory, lines and octets.
//!
//! Lenient where servers are known to be sloppy: a line may end with a bare LF, and the codes of a multi-line reply may
//! differ, in which case the last one counts, as it does for other senders. What is no reply at all is an error, and
//! there is no way on from it: nobody could say which command the next reply belongs to.

use std::borrow::Cow;

use mail::{EnhancedCode, Reply, for_log};

/// Octets of a line that are kept, its code included. RFC 5321 §4.5.3.1.5 promises 512; a longer line is cut.
const LINE_KEPT: usize = 2048;
/// Octets of a reply that are kept. Lines past it are kept empty.
const REPLY_KEPT: usize = 8192;
/// Octets of a reply, kept or not.
const REPLY_MAX: usize = 256 * 1024;
/// Lines of a reply.
const LINES_MAX: usize = 100;
/// Octets of what is no reply that are shown.
const SHOWN: usize = 100;

/// Why what came is not a reply. `Display` is safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A line does not begin with a code.
    #[error("expected a reply that begins with three digits, got \"{0}\"")]
    NoCode(String),
    /// There are too many lines.
    #[error("a reply of more than {LINES_MAX} lines")]
    Lines,
    /// There are too many octets.
    #[error("a reply of more than {REPLY_MAX} octets")]
    Octets,
}

/// Puts replies together from pieces that may be cut anywhere.
#[derive(Debug, Default)]
pub struct ReplyReader {
    /// The lines kept, one after the other, without line ends.
    kept: Vec<u8>,
    /// Where each line ends in `kept`.
    ends: Vec<usize>,
    /// A line whose end has not come.
    partial: Vec<u8>,
    /// Octets of this reply so far.
    octets: usize,
    /// The code of the last line.
    code: u16,
    /// The reply is complete: the next octet begins another.
    complete: bool,
}

impl ReplyReader {
    /// Takes octets off `input` up to the end of a reply; returns its code when it is complete. Its lines can be asked
    /// for until the next call.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<u16>, Malformed> {
        if self.complete {
            self.forget();
        }
        while let Some(end) = memchr::memchr(b'\n', input) {
            let (line, rest) = input.split_at(end);
            *input = rest.get(1..).unwrap_or_default();
            self.count(end + 1)?;
            if self.line(line)? {
                self.complete = true;
                return Ok(Some(self.code));
            }
        }
        self.count(input.len())?;
        self.hold(input);
        *input = &[];
        Ok(None)
    }

    /// Forgets what has come of an unfinished reply.
    pub fn forget(&mut self) {
        self.kept.clear();
        self.ends.clear();
        self.partial.clear();
        self.octets = 0;
        self.complete = false;
    }

    /// Whether a reply has begun and not ended.
    pub fn is_midway(&self) -> bool {
        !self.complete && self.octets > 0
    }

    fn count(&mut self, octets: usize) -> Result<(), Malformed> {
        self.octets += octets;
        if self.octets > REPLY_MAX { Err(Malformed::Octets) } else { Ok(()) }
    }

    fn hold(&mut self, octets: &[u8]) {
        let room = LINE_KEPT.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(octets.get(..room).unwrap_or(octets));
    }

    /// Takes a line up to its LF; whether it is the last of its reply.
    fn line(&mut self, line: &[u8]) -> Result<bool, Malformed> {
        if self.partial.is_empty() {
            return self.whole_line(line);
        }
        self.hold(line);
        let held = std::mem::take(&mut self.partial);
        let last = self.whole_line(&held);
        self.partial = held;
        self.partial.clear();
        last
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<bool, Malformed> {
        // Cut before the CR is looked for, so that a line that came in pieces is cut in the same place.
        let line = line.get(..LINE_KEPT).unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (code, last) = code_of(line).ok_or_else(|| Malformed::NoCode(shown(line)))?;
        if self.ends.len() == LINES_MAX {
            return Err(Malformed::Lines);
        }
        let room = REPLY_KEPT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(line.get(..room).unwrap_or(line));
        self.ends.push(self.kept.len());
        self.code = code;
        Ok(last)
    }

    /// The lines of the reply as they came, with codes. Hostile text.
    pub fn lines(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let line = self.kept.get(start..end).unwrap_or_default();
            start = end;
            String::from_utf8_lossy(line)
        })
    }

    /// The reply, for keeping. An enhanced code counts when its class is that of the code (RFC 2034 §4); it is taken
    /// off each line.
    pub fn reply(&self) -> Reply {
        let mut enhanced = None;
        let lines = self.lines().map(|line| {
            let text = line.get(4..).unwrap_or_default();
            match split_enhanced(text, self.code) {
                Some((code, rest)) => {
                    enhanced.get_or_insert(code);
                    rest.to_owned()
                }
                None => text.to_owned(),
            }
        });
        let lines = lines.collect();
        Reply { code: self.code, enhanced, lines }
    }
}

/// The code of a line, and whether the line is the last (RFC 5321 §4.2: 2yz to 5yz, then a space, `-` or nothing).
fn code_of(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let last = match rest.first() {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(digits.first(), Some(b'2'..=b'5')) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    Some((code, last))
}

fn split_enhanced(text: &str, code: u16) -> Option<(EnhancedCode, &str)> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let enhanced: EnhancedCode = word.parse().ok()?;
    (u16::from(enhanced.class) == code / 100).then_some((enhanced, rest))
}

fn shown(line: &[u8]) -> String {
    for_log(&String::from_utf8_lossy(line), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(pieces: &[&[u8]]) -> Result<Vec<Reply>, Malformed> {
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while reader.read(&mut input)?.is_some() {
                replies.push(reader.reply());
            }
        }
        Ok(replies)
    }

    fn check(input: &str, expect: &[Reply]) {
        for cut in 0..=input.len() {
            let (left, right) = input.as_bytes().split_at(cut);
            assert_eq!(read_all(&[left, right]).as_deref(), Ok(expect), "{input:?} cut at {cut}");
        }
        let octets: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
        assert_eq!(read_all(&octets).as_deref(), Ok(expect), "{input:?} in single octets");
    }

    #[test]
    fn replies() {
        check("250 2.1.0 Ok\r\n", &[Reply::with(250, (2, 1, 0), "Ok")]);
        check("250\r\n", &[Reply::new(250, None, "")]);
        check("250 a\n550 5.1.1\r\n", &[Reply::new(250, None, "a"), Reply::with(550, (5, 1, 1), "")]);
        let long = Reply { code: 550, enhanced: Some(EnhancedCode::new(5, 7, 1)), lines: vec!["a".into(), "b".into()] };
        check("550-5.7.1 a\r\n550 5.7.1 b\r\n", &[long]);
        check("250 5.1.1 of the wrong class\r\n", &[Reply::new(250, None, "5.1.1 of the wrong class")]);
        let differing = Reply { code: 550, enhanced: None, lines: vec!["a".into(), "b".into()] };
        check("250-a\r\n550 b\r\n", &[differing]);
        check("25", &[]);
    }

    #[test]
    fn octets_that_are_no_text_do_no_harm() {
        assert_eq!(
            read_all(&[b"550 \xff\xfe\0\x1b[m\r\n"]),
            Ok(vec![Reply::new(550, None, "\u{fffd}\u{fffd}\0\x1b[m")])
        );
        assert_eq!(read_all(&[b"550\xffx\r\n"]), Err(Malformed::NoCode("550\u{fffd}x".into())));
    }

    #[test]
    fn what_is_no_reply() {
        for bad in ["\r\n", "25\r\n", "hello there\r\n", "2x0 a\r\n", "150 a\r\n", "650 a\r\n", "2500 a\r\n"] {
            assert_eq!(read_all(&[bad.as_bytes()]), Err(Malformed::NoCode(bad.trim_end().into())), "{bad:?}");
        }
    }

    #[test]
    fn everything_is_bounded() {
        let long = format!("220 {}\r\n", "x".repeat(100_000));
        let replies = read_all(&[long.as_bytes()]).unwrap();
        assert_eq!(replies[0].lines[0].len(), LINE_KEPT - 4);
        assert_eq!(replies, read_all(&long.as_bytes().chunks(7).collect::<Vec<_>>()).unwrap());
        // Found by fuzzing: a CR that becomes the last octet because the line is cut behind it.
        let long = format!("220 {}\rx\r\n", "x".repeat(LINE_KEPT - 5));
        let (left, right) = long.as_bytes().split_at(10);
        assert_eq!(read_all(&[long.as_bytes()]), read_all(&[left, right]));
        let lines = "220-x\r\n".repeat(LINES_MAX);
        assert_eq!(read_all(&[lines.as_bytes(), b"220 x\r\n"]), Err(Malformed::Lines));

        let mut reader = ReplyReader::default();
        let block = [b'x'; 10_000];
        let refused = (0..1000).find_map(|_| reader.read(&mut block.as_slice()).err());
        assert_eq!(refused, Some(Malformed::Octets));
        assert!(reader.partial.capacity() < 3 * LINE_KEPT && reader.kept.capacity() == 0);

        let mut reader = ReplyReader::default();
        let line = format!("250-{}\r\n", "x".repeat(2000));
        (0..99).for_each(|_| assert_eq!(reader.read(&mut line.as_bytes()), Ok(None)));
        assert!(reader.kept.len() <= REPLY_KEPT && reader.ends.len() == 99);
    }
}
