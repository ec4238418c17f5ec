//! The canonical body while it streams in (RFC 6376 §3.4.3, §3.4.4).
//!
//! The pieces may be cut anywhere. What can't be written yet is kept as counts, not as octets:
//!
//! ```text
//!            CR at the end of a piece        CRLF                        blank (relaxed)
//! octets ──► held back: is it a CRLF? ──►    one more line end waits ──► waits for a visible octet ──► out
//!                                            for a line that is not empty
//! ```
//! At the end the line ends that wait are the empty lines to be ignored.

use super::Canon;

/// Octets collected before they are hashed.
const PIECE: usize = 4096;
/// Line ends written at once when many empty lines turn out to be in the middle.
const LINE_ENDS: [u8; 128] = line_ends();

const fn line_ends() -> [u8; 128] {
    let mut octets = [b'\r'; 128];
    let mut at = 1;
    while at < octets.len() {
        #[expect(clippy::indexing_slicing, reason = "a constant, checked by the compiler")]
        {
            octets[at] = b'\n';
        }
        at += 2;
    }
    octets
}

/// Canonicalises one body.
#[derive(Debug)]
pub(crate) struct BodyCanon {
    canon: Canon,
    /// Line ends that are not written yet: the lines behind them may all be empty.
    line_ends: u64,
    /// A CR ended the last piece.
    cr: bool,
    /// Blanks were read and not written (relaxed).
    blank: bool,
    /// Anything has been written.
    written: bool,
    /// Octets on their way out (relaxed).
    piece: Vec<u8>,
}

impl BodyCanon {
    /// Ready for the first piece.
    pub(crate) fn new(canon: Canon) -> Self {
        let piece = Vec::with_capacity(if canon == Canon::Relaxed { 2 * PIECE } else { 0 });
        Self { canon, line_ends: 0, cr: false, blank: false, written: false, piece }
    }

    /// By which rules.
    pub(crate) fn canon(&self) -> Canon {
        self.canon
    }

    /// Takes a piece of the body, writes what is sure.
    pub(crate) fn update(&mut self, octets: &[u8], mut out: impl FnMut(&[u8])) {
        match self.canon {
            Canon::Simple => self.simple(octets, &mut out),
            Canon::Relaxed => self.relaxed(octets, &mut out),
        }
    }

    /// The body has ended: writes the rest.
    pub(crate) fn finish(mut self, mut out: impl FnMut(&[u8])) {
        match self.canon {
            Canon::Simple => {
                if self.cr {
                    self.write_line_ends(&mut out);
                    out(b"\r");
                }
                // RFC 6376 §3.4.3: one CRLF ends the body, even one without any line.
                out(b"\r\n");
            }
            Canon::Relaxed => {
                if self.cr {
                    self.visible(b'\r', &mut out);
                }
                out(&self.piece);
                // RFC 6376 §3.4.4: a body of nothing stays nothing.
                if self.written {
                    out(b"\r\n");
                }
            }
        }
    }

    fn write_line_ends(&mut self, out: &mut impl FnMut(&[u8])) {
        while self.line_ends > 0 {
            let count = self.line_ends.min(LINE_ENDS.len() as u64 / 2);
            out(LINE_ENDS.get(..2 * count as usize).unwrap_or_default());
            self.line_ends -= count;
        }
    }

    fn simple(&mut self, mut octets: &[u8], out: &mut impl FnMut(&[u8])) {
        let Some(first) = octets.first() else { return };
        if std::mem::take(&mut self.cr) {
            if *first == b'\n' {
                self.line_ends += 1;
                octets = octets.get(1..).unwrap_or_default();
            } else {
                self.write_line_ends(out);
                out(b"\r");
            }
        }
        if let Some(rest) = octets.strip_suffix(b"\r") {
            (self.cr, octets) = (true, rest);
        }
        let mut line_ends = 0;
        while let Some(rest) = octets.strip_suffix(b"\r\n") {
            (line_ends, octets) = (line_ends + 1, rest);
        }
        if !octets.is_empty() {
            self.write_line_ends(out);
            out(octets);
        }
        self.line_ends += line_ends;
    }

    fn relaxed(&mut self, mut octets: &[u8], out: &mut impl FnMut(&[u8])) {
        while !octets.is_empty() {
            let window = octets.get(..PIECE).unwrap_or(octets);
            let length = memchr::memchr(b'\n', window).map_or(window.len(), |newline| newline + 1);
            let (line, rest) = octets.split_at(length);
            octets = rest;
            if !self.whole_line(line, out) {
                self.octet_by_octet(line, out);
            }
            if self.piece.len() >= PIECE {
                out(&self.piece);
                self.piece.clear();
            }
        }
    }

    /// A line that is canonical as it stands is taken whole. Nearly all are.
    fn whole_line(&mut self, line: &[u8], out: &mut impl FnMut(&[u8])) -> bool {
        let Some(content) = line.strip_suffix(b"\r\n") else { return false };
        if self.cr || self.blank || !is_canonical(content) {
            return false;
        }
        if !content.is_empty() {
            self.pass_line_ends(out);
            self.written = true;
            self.piece.extend_from_slice(content);
        }
        self.line_ends += 1;
        true
    }

    fn octet_by_octet(&mut self, octets: &[u8], out: &mut impl FnMut(&[u8])) {
        for octet in octets {
            let after_cr = std::mem::take(&mut self.cr);
            match octet {
                b'\n' if after_cr => {
                    // RFC 6376 §3.4.4: blanks at the end of a line are ignored.
                    self.blank = false;
                    self.line_ends += 1;
                    continue;
                }
                _ if after_cr => self.visible(b'\r', out),
                _ => {}
            }
            match octet {
                b'\r' => self.cr = true,
                b' ' | b'\t' => self.blank = true,
                octet => self.visible(*octet, out),
            }
        }
    }

    /// Line ends that wait go out: a line that is not empty follows.
    fn pass_line_ends(&mut self, out: &mut impl FnMut(&[u8])) {
        if self.line_ends > LINE_ENDS.len() as u64 / 2 {
            out(&self.piece);
            self.piece.clear();
            self.write_line_ends(out);
        }
        for _ in 0..std::mem::take(&mut self.line_ends) {
            self.piece.extend_from_slice(b"\r\n");
        }
    }

    /// An octet that is no blank and no line end.
    fn visible(&mut self, octet: u8, out: &mut impl FnMut(&[u8])) {
        self.pass_line_ends(out);
        if std::mem::take(&mut self.blank) {
            self.piece.push(b' ');
        }
        self.written = true;
        self.piece.push(octet);
    }
}

/// Whether a line has no tab, no two blanks in a row and none at its end. Without branches, so that the compiler does
/// many octets at once.
fn is_canonical(content: &[u8]) -> bool {
    let tab = content.iter().fold(false, |found, octet| found | (*octet == b'\t'));
    let pairs = content.iter().zip(content.get(1..).unwrap_or_default());
    let two = pairs.fold(false, |found, (octet, next)| found | ((*octet == b' ') & (*next == b' ')));
    !tab && !two && content.last() != Some(&b' ')
}
