//! The receiving half: content out of the bytes after 354 or BDAT.
//!
//! Only CRLF ends a line and only CRLF `.` CRLF ends the content (RFC 5321 §2.3.8, §4.1.1.4). A CR or LF that stands
//! alone is where servers have disagreed about the end ("smuggling"), so it never ends anything here and never gets
//! through: [`BareNewline`] says what becomes of the message. Long lines, NULs and 8-bit octets pass as they are: what
//! they mean is not a question of framing.
//!
//! ```text
//!            other              CR               LF
//!   ┌─► Start ─────► Inside ─────────► Cr ─────────────────┐
//!   │     │ "."        ▲                │ other: a bare CR │
//!   │     ▼   other    │◄───────────────┘                  │
//!   │    Dot ──────────┤                                   │
//!   │     │ CR         │ other: a bare CR, the dot is gone │
//!   │     ▼            │                                   │
//!   │    DotCr ────────┘                                   │
//!   │     │ LF ──► end of the content                      │
//!   └──────────────────────────────────────────────────────┘
//! ```
//!
//! A bare LF begins a line when it is normalised, but never one that a dot could end. A client that sends bare LF has
//! doubled the dots behind it (Python's smtplib) or not (curl): of two dots there one is taken off, a single one stays.
//!
//! ```text
//!   bare LF ──► Bare ──── other than "." ──► as if Inside
//!                 │ "."
//!                 ▼
//!              BareDot ── "." ──► Inside, with one dot
//!                 └────── other ► as if Inside, with that dot
//! ```

/// What becomes of content with a CR or LF that stands alone (RFC 5321 §2.3.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareNewline {
    /// The whole message is refused with 550 5.6.0.
    #[default]
    Refuse,
    /// A bare LF becomes CRLF, a bare CR a space. Neither lets the dot behind it end anything.
    Normalise,
}

/// How the end of the content is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By a dot on a line of its own: DATA.
    Dots,
    /// By counting: BDAT. Dots are dots.
    Chunks,
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A CR without LF.
    BareCr,
    /// An LF without CR.
    BareLf,
}

/// Where in a line the decoder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At its beginning: nothing came yet, or CRLF.
    Start,
    /// Behind a dot that began the line and has been taken off.
    Dot,
    /// Behind that dot and a CR.
    DotCr,
    /// Behind a bare LF.
    Bare,
    /// Behind a dot there, which has not been passed on.
    BareDot,
    /// Behind anything else.
    Inside,
    /// Behind a CR that has not been passed on.
    Cr,
}

/// How far [`Decoder::decode`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Octets of the input that were used: all of them unless the end is among them.
    pub used: usize,
    /// Whether the content ended. Always `More` for chunks.
    pub end: End,
}

/// Whether the content goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end has not come.
    More,
    /// CRLF `.` CRLF has been taken off.
    Reached,
}

/// Takes the transport's marks off the content of one message, whatever way it is split.
#[derive(Clone, Debug)]
pub struct Decoder {
    framing: Framing,
    policy: BareNewline,
    place: Place,
    fault: Option<Fault>,
    output: Sink,
}

/// Whether content is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    On,
    Off,
}

impl Decoder {
    /// For one message.
    pub fn new(framing: Framing, policy: BareNewline) -> Self {
        Self { framing, policy, place: Place::Start, fault: None, output: Sink::On }
    }

    /// Why the message must be refused, as soon as that is known. From then on nothing is passed on.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Passes nothing on any more: only the end is looked for.
    pub fn mute(&mut self) {
        self.output = Sink::Off;
    }

    /// Appends what `input` holds of the content to `content`.
    pub fn decode(&mut self, input: &[u8], content: &mut Vec<u8>) -> Decoded {
        let mut used = 0;
        while let Some((rest, first)) = input.get(used..).and_then(|rest| Some((rest, *rest.first()?))) {
            used += match (self.place, first) {
                (Place::Start, b'.') if self.framing == Framing::Dots => self.step(Place::Dot),
                (Place::Dot, b'\r') => self.step(Place::DotCr),
                (Place::DotCr, b'\n') => {
                    self.place = Place::Start;
                    return Decoded { used: used + 1, end: End::Reached };
                }
                (Place::Cr, b'\n') => {
                    self.pass(b"\r\n", content);
                    self.step(Place::Start)
                }
                (Place::Bare, b'.') if self.framing == Framing::Dots => self.step(Place::BareDot),
                (Place::BareDot, _) => {
                    self.pass(b".", content);
                    self.place = Place::Inside;
                    usize::from(first == b'.')
                }
                (Place::DotCr | Place::Cr, _) => {
                    self.bare(Fault::BareCr, content);
                    self.place = Place::Inside;
                    0
                }
                // RFC 5321 §4.5.2: a dot with anything behind it has just been taken off.
                (Place::Start | Place::Dot | Place::Bare | Place::Inside, _) => self.run(rest, content),
            };
        }
        Decoded { used, end: End::More }
    }

    /// The last chunk is in: a CR that waits for its LF waits in vain, and the last line gets its CRLF, so that what
    /// is kept consists of lines (RFC 5321 §2.3.8).
    pub fn finish(&mut self, content: &mut Vec<u8>) {
        if self.place == Place::Cr {
            self.bare(Fault::BareCr, content);
            self.place = Place::Inside;
        }
        if self.place == Place::Inside {
            self.pass(b"\r\n", content);
            self.place = Place::Start;
        }
    }

    /// One octet moves the place and is not passed on.
    fn step(&mut self, place: Place) -> usize {
        self.place = place;
        1
    }

    /// Passes on all that needs no attention, in one piece, and stops behind what does.
    fn run(&mut self, rest: &[u8], content: &mut Vec<u8>) -> usize {
        let (plain, stop) = plain_run(rest, self.framing);
        self.pass(plain, content);
        match stop {
            Stop::Exhausted => self.place = Place::Inside,
            Stop::LineStart => self.place = Place::Start,
            Stop::Cr => {
                self.place = Place::Cr;
                return plain.len() + 1;
            }
            Stop::BareLf => {
                self.bare(Fault::BareLf, content);
                self.place = Place::Bare;
                return plain.len() + 1;
            }
        }
        plain.len()
    }

    fn pass(&self, octets: &[u8], content: &mut Vec<u8>) {
        if self.output == Sink::On {
            content.extend_from_slice(octets);
        }
    }

    fn bare(&mut self, fault: Fault, content: &mut Vec<u8>) {
        match (self.policy, fault) {
            (BareNewline::Refuse, _) => {
                self.fault.get_or_insert(fault);
                self.mute();
            }
            // Not CRLF: a field of the header could be made out of the middle of another one.
            (BareNewline::Normalise, Fault::BareCr) => self.pass(b" ", content),
            (BareNewline::Normalise, Fault::BareLf) => self.pass(b"\r\n", content),
        }
    }
}

/// Why a plain run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Nothing is left.
    Exhausted,
    /// A dot follows the CRLF that ends the run, or nothing does.
    LineStart,
    /// A CR follows that does not have its LF behind it yet.
    Cr,
    /// A bare LF follows.
    BareLf,
}

/// The longest beginning of `rest`, which is not at a line's dot, that is content as it stands.
fn plain_run(rest: &[u8], framing: Framing) -> (&[u8], Stop) {
    let up_to = |end: usize| rest.get(..end).unwrap_or(rest);
    let mut paired = None;
    for at in memchr::memchr2_iter(b'\r', b'\n', rest) {
        if paired == Some(at) {
            continue;
        }
        if rest.get(at) == Some(&b'\n') {
            return (up_to(at), Stop::BareLf);
        }
        if rest.get(at + 1) != Some(&b'\n') {
            return (up_to(at), Stop::Cr);
        }
        paired = Some(at + 1);
        match rest.get(at + 2) {
            None => return (rest, Stop::LineStart),
            Some(b'.') if framing == Framing::Dots => return (up_to(at + 2), Stop::LineStart),
            Some(_) => {}
        }
    }
    (rest, Stop::Exhausted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is left of `input` when it is fed in pieces of `size` octets: content, fault, octets behind the end.
    fn feed(mut decoder: Decoder, input: &[u8], size: usize) -> (Vec<u8>, Option<Fault>, Option<usize>) {
        let mut content = Vec::new();
        let mut used = 0;
        for piece in input.chunks(size) {
            let decoded = decoder.decode(piece, &mut content);
            used += decoded.used;
            if decoded.end == End::Reached {
                return (content, decoder.fault(), Some(input.len() - used));
            }
            assert_eq!(decoded.used, piece.len());
        }
        (content, decoder.fault(), None)
    }

    fn dots(policy: BareNewline) -> Decoder {
        Decoder::new(Framing::Dots, policy)
    }

    fn check(input: &str, content: &str, left: Option<usize>) {
        for size in 1..=input.len() {
            let got = feed(dots(BareNewline::Refuse), input.as_bytes(), size);
            assert_eq!(got, (content.as_bytes().to_vec(), None, left), "{input:?} by {size}");
        }
    }

    #[test]
    fn a3_a_dot_at_once_is_an_empty_message() {
        check(".\r\n", "", Some(0));
        check(".\r\nQUIT\r\n", "", Some(6));
        check("\r\n.\r\n", "\r\n", Some(0));
    }

    #[test]
    fn a4_leading_dots_are_taken_off() {
        check("..x\r\n.\r\n", ".x\r\n", Some(0));
        check(".x\r\n.\r\n", "x\r\n", Some(0));
        check("..\r\n.\r\n", ".\r\n", Some(0));
        check("a\r\n..\r\n...b\r\n.\r\n", "a\r\n.\r\n..b\r\n", Some(0));
        check("a.b\r\n.\r\n", "a.b\r\n", Some(0));
        check("a\r\n.", "a\r\n", None);
    }

    #[test]
    fn a1_look_alikes_do_not_end_the_content() {
        for look_alike in
            ["\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r\r\n", ".\r\r\n", "\n\n.\r\n", "\r\n.\r"]
        {
            let second = "MAIL FROM:<b@x.example>\r\n";
            let input = format!("a{look_alike}{second}\r\n.\r\nQUIT\r\n");
            for size in 1..=input.len() {
                let (content, fault, left) = feed(dots(BareNewline::Refuse), input.as_bytes(), size);
                assert!(fault.is_some(), "{look_alike:?} by {size}");
                assert_eq!(left, Some(6), "{look_alike:?} by {size}");
                assert!(!String::from_utf8(content).unwrap().contains("MAIL"), "{look_alike:?}");
                let (content, fault, left) = feed(dots(BareNewline::Normalise), input.as_bytes(), size);
                assert_eq!((fault, left), (None, Some(6)), "{look_alike:?} by {size}");
                assert!(is_lines(&content), "{look_alike:?} {content:?}");
            }
        }
    }

    #[test]
    fn normalising_keeps_the_dot_behind_a_bare_newline() {
        let (content, _, left) = feed(dots(BareNewline::Normalise), b"a\n.\r\nb\r\r\nc\rd\r\n.\r\n", 100);
        assert_eq!((content.as_slice(), left), (&b"a\r\n.\r\nb \r\nc d\r\n"[..], Some(0)));
    }

    /// The wire of a client that sends the lines of a Unix file, and what is kept of it.
    fn check_unix(wire: &str, kept: &str) {
        for size in 1..=wire.len() {
            let got = feed(dots(BareNewline::Normalise), wire.as_bytes(), size);
            assert_eq!(got, (kept.as_bytes().to_vec(), None, Some(0)), "{wire:?} by {size}");
        }
    }

    #[test]
    fn dots_behind_a_bare_newline_were_doubled_or_not() {
        // As smtplib sends them.
        check_unix("a\n..b\n..\n...\n\r\n.\r\n", "a\r\n.b\r\n.\r\n..\r\n\r\n");
        // As curl does.
        check_unix("a\n.b\n.\nc\n\r\n.\r\n", "a\r\n.b\r\n.\r\nc\r\n\r\n");
        // A dot that is followed by the end, by a bare CR, by CRLF.
        check_unix("a\n.\r\n.\r\n", "a\r\n.\r\n");
        check_unix("a\n.\rb\r\n.\r\n", "a\r\n. b\r\n");
        check_unix("a\n..\r\n..b\r\n.\r\n", "a\r\n.\r\n.b\r\n");
    }

    #[test]
    fn a_chunk_of_bare_newlines_keeps_its_dots_and_its_end() {
        let mut decoder = Decoder::new(Framing::Chunks, BareNewline::Normalise);
        let mut content = Vec::new();
        for piece in [&b"a\n"[..], b"..b\n.", b"\n"] {
            assert_eq!(decoder.decode(piece, &mut content).end, End::More);
        }
        decoder.finish(&mut content);
        assert_eq!(content, b"a\r\n..b\r\n.\r\n");
    }

    #[test]
    fn chunks_keep_dots_and_end_in_a_line_end() {
        let mut decoder = Decoder::new(Framing::Chunks, BareNewline::Refuse);
        let mut content = Vec::new();
        for piece in [&b".a\r"[..], b"\n.\r\n", b"b"] {
            assert_eq!(decoder.decode(piece, &mut content).end, End::More);
        }
        decoder.finish(&mut content);
        assert_eq!(content, b".a\r\n.\r\nb\r\n");
        let _more = decoder.decode(b"c\r", &mut content);
        decoder.finish(&mut content);
        assert_eq!(decoder.fault(), Some(Fault::BareCr));
    }

    /// No CR without LF, no LF without CR.
    fn is_lines(content: &[u8]) -> bool {
        let text = String::from_utf8_lossy(content).replace("\r\n", "");
        !text.contains(['\r', '\n'])
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(input in "[a.\r\n]{0,40}", size in 1_usize..40) {
            for policy in [BareNewline::Refuse, BareNewline::Normalise] {
                let (content, fault, left) = feed(dots(policy), input.as_bytes(), size);
                let whole = feed(dots(policy), input.as_bytes(), 100);
                prop_assert_eq!((&content, fault, left), (&whole.0, whole.1, whole.2));
                prop_assert!(is_lines(&content) || fault.is_some() || left.is_none());
            }
        }

        /// Against the plainest reading of RFC 5321 §4.5.2: split at CRLF, stop at ".", drop one leading dot.
        #[test]
        fn clean_content_reads_as_the_rfc_says(lines in proptest::collection::vec("[a.]{0,4}", 0..6)) {
            let mut wire = String::new();
            let mut expect = String::new();
            for line in &lines {
                wire += &format!("{}{line}\r\n", if line.starts_with('.') { "." } else { "" });
                expect += &format!("{line}\r\n");
            }
            wire += ".\r\nQUIT";
            prop_assert_eq!(feed(dots(BareNewline::Refuse), wire.as_bytes(), 100), (expect.into_bytes(), None, Some(4)));
        }
    }
}
