//! The sending half: content as it is kept becomes content as it travels. [`Encoder`] puts the dots of transparency on
//! (RFC 5321 §4.5.2) and sees to it that nothing bare leaves (§2.3.8); [`chunk_header`] frames BDAT (RFC 3030 §2).
//!
//! Content from the spool is clean already: it ends with CRLF and has no CR or LF alone. It is repaired all the same,
//! for a bare line end that is relayed lets a second message be smuggled past a server that reads it otherwise.

/// What is done about lines that begin with a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transparency {
    /// DATA: one more dot on each, and a line with a single dot at the end.
    Dots,
    /// BDAT: nothing, octets are counted.
    Counted,
}

/// Where the encoder stands in the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Middle,
    /// A CR was the last octet: it is not written until its neighbour is known.
    AfterCr,
}

/// Encodes one content, fed in pieces that may be cut anywhere.
#[derive(Debug)]
pub struct Encoder {
    transparency: Transparency,
    at: At,
}

impl Encoder {
    /// At the beginning of a content.
    pub fn new(transparency: Transparency) -> Self {
        Self { transparency, at: At::LineStart }
    }

    /// Appends the next piece to `out`. A bare LF becomes CRLF, a bare CR a space. Clean stretches are copied whole.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let rest = self.resume(piece, out);
        if rest.is_empty() {
            return;
        }
        let (mut copied, mut line) = (0, 0);
        if self.at == At::LineStart {
            self.dot(rest, out);
        }
        while let Some(hit) = memchr::memchr2(b'\r', b'\n', rest.get(line..).unwrap_or_default()) {
            let end = line + hit;
            let next = rest.get(end + 1);
            if rest.get(end) == Some(&b'\r') && next == Some(&b'\n') {
                line = end + 2;
            } else {
                out.extend_from_slice(rest.get(copied..end).unwrap_or_default());
                (copied, line) = (end + 1, end + 1);
                match (rest.get(end), next) {
                    (Some(b'\r'), None) => {
                        self.at = At::AfterCr;
                        return;
                    }
                    (Some(b'\r'), Some(_)) => {
                        out.push(b' ');
                        continue;
                    }
                    _ => out.extend_from_slice(b"\r\n"),
                }
            }
            if self.transparency == Transparency::Dots && rest.get(line) == Some(&b'.') {
                out.extend_from_slice(rest.get(copied..line).unwrap_or_default());
                out.push(b'.');
                copied = line;
            }
        }
        out.extend_from_slice(rest.get(copied..).unwrap_or_default());
        self.at = if rest.last() == Some(&b'\n') { At::LineStart } else { At::Middle };
    }

    /// Settles a CR that the piece before ended with; returns what is left of this one.
    fn resume<'a>(&mut self, piece: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        if self.at != At::AfterCr {
            return piece;
        }
        match piece.split_first() {
            None => piece,
            Some((b'\n', rest)) => {
                out.extend_from_slice(b"\r\n");
                self.at = At::LineStart;
                rest
            }
            Some(_) => {
                out.push(b' ');
                self.at = At::Middle;
                piece
            }
        }
    }

    fn dot(&self, line: &[u8], out: &mut Vec<u8>) {
        if self.transparency == Transparency::Dots && line.first() == Some(&b'.') {
            out.push(b'.');
        }
    }

    /// Ends the content: the last line gets its CRLF if it has none, and for DATA the line with the single dot follows.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.at != At::LineStart {
            out.extend_from_slice(b"\r\n");
            self.at = At::LineStart;
        }
        if self.transparency == Transparency::Dots {
            out.extend_from_slice(b".\r\n");
        }
    }
}

/// Whether more chunks follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// They do.
    More,
    /// They don't: the message is complete.
    Last,
}

/// The command before a chunk of `octets` octets, with its CRLF.
pub fn chunk_header(octets: usize, position: Position) -> String {
    match position {
        Position::More => format!("BDAT {octets}\r\n"),
        Position::Last => format!("BDAT {octets} LAST\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(transparency: Transparency, pieces: &[&[u8]]) -> Vec<u8> {
        let mut encoder = Encoder::new(transparency);
        let mut out = Vec::new();
        for piece in pieces {
            encoder.push(piece, &mut out);
        }
        encoder.finish(&mut out);
        out
    }

    fn check(content: &str, dotted: &str, counted: &str) {
        for cut in 0..=content.len() {
            let (left, right) = content.as_bytes().split_at(cut);
            assert_eq!(String::from_utf8_lossy(&encode(Transparency::Dots, &[left, right])), dotted);
            assert_eq!(String::from_utf8_lossy(&encode(Transparency::Counted, &[left, b"", right])), counted);
        }
    }

    #[test]
    fn dots_and_line_ends() {
        check("", ".\r\n", "");
        check("a\r\n", "a\r\n.\r\n", "a\r\n");
        check("a", "a\r\n.\r\n", "a\r\n");
        check(".", "..\r\n.\r\n", ".\r\n");
        check(".\r\n..\r\na.\r\n", "..\r\n...\r\na.\r\n.\r\n", ".\r\n..\r\na.\r\n");
        check("\r\n\r\n", "\r\n\r\n.\r\n", "\r\n\r\n");
    }

    #[test]
    fn nothing_bare_leaves() {
        check("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n");
        check("a\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n");
        check("a\r.\r\nb", "a .\r\nb\r\n.\r\n", "a .\r\nb\r\n");
        check("a\r\n.\rb", "a\r\n.. b\r\n.\r\n", "a\r\n. b\r\n");
        check("a\r\r\n", "a \r\n.\r\n", "a \r\n");
        check("a\r", "a\r\n.\r\n", "a\r\n");
    }

    /// One octet at a time, as slowly and plainly as it can be said.
    fn model(content: &[u8], transparency: Transparency) -> Vec<u8> {
        let mut lines = vec![Vec::new()];
        let mut octets = content.iter().copied().peekable();
        while let Some(octet) = octets.next() {
            let ends = match octet {
                b'\r' if octets.peek() == Some(&b'\n') => octets.next().is_some(),
                b'\r' if octets.peek().is_none() => true,
                b'\n' => true,
                _ => false,
            };
            if ends {
                lines.push(Vec::new());
            } else {
                lines.last_mut().unwrap().push(if octet == b'\r' { b' ' } else { octet });
            }
        }
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        let mut out = Vec::new();
        for line in lines {
            if transparency == Transparency::Dots && line.starts_with(b".") {
                out.push(b'.');
            }
            out.extend(line);
            out.extend(b"\r\n");
        }
        if transparency == Transparency::Dots {
            out.extend(b".\r\n");
        }
        out
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_is_what_the_model_says(pieces in prop::collection::vec("[.\r\na]{0,6}", 0..8)) {
            let whole = pieces.concat();
            let pieces: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
            for transparency in [Transparency::Dots, Transparency::Counted] {
                prop_assert_eq!(encode(transparency, &pieces), model(whole.as_bytes(), transparency));
            }
        }
    }
}
