//! Content on the wire, both directions, against a model that reads line by line: it ends at the same octet, is the same,
//! whatever the split; nothing bare gets through; what we encode decodes to what it was.
//!
//! Input: an octet of choices, an octet that says how large pieces are, the content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::data::{
    receive::{BareNewline, Decoder, End, Framing},
    send::{Encoder, Transparency},
};

fuzz_target!(|input: &[u8]| {
    let Some((&[choice, piece], bytes)) = input.split_first_chunk() else { return };
    let policy = if choice & 1 == 0 { BareNewline::Refuse } else { BareNewline::Normalise };
    let framing = if choice & 2 == 0 { Framing::Dots } else { Framing::Chunks };
    let piece = usize::from(piece) + 1;
    let ended = if framing == Framing::Dots { [bytes, b"\r\n.\r\n"].concat() } else { bytes.to_vec() };

    let expected = model(&ended, framing, policy);
    for piece in [piece, ended.len().max(1)] {
        let got = decode(&ended, framing, policy, piece);
        assert_eq!((got.used, got.faulty), (expected.used, expected.faulty), "by {piece}");
        if !got.faulty {
            assert_eq!(got.content, expected.content, "by {piece}");
            assert!(is_lines(&got.content), "a bare CR or LF got through");
        }
    }
    send(bytes, piece);
});

#[derive(Debug)]
struct Read {
    content: Vec<u8>,
    used: usize,
    faulty: bool,
}

fn decode(bytes: &[u8], framing: Framing, policy: BareNewline, piece: usize) -> Read {
    let mut decoder = Decoder::new(framing, policy);
    let (mut content, mut used) = (Vec::new(), 0);
    for piece in bytes.chunks(piece) {
        let decoded = decoder.decode(piece, &mut content);
        used += decoded.used;
        if decoded.end == End::Reached {
            return Read { content, used, faulty: decoder.fault().is_some() };
        }
        assert_eq!(decoded.used, piece.len());
    }
    assert!(framing == Framing::Chunks, "the end was missed");
    decoder.finish(&mut content);
    Read { content, used, faulty: decoder.fault().is_some() }
}

/// RFC 5321 §4.5.2, word for word.
fn model(bytes: &[u8], framing: Framing, policy: BareNewline) -> Read {
    let mut read = Read { content: Vec::new(), used: 0, faulty: false };
    while read.used < bytes.len() {
        let rest = &bytes[read.used..];
        let (mut line, used) = match rest.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => (&rest[..end], end + 2),
            None => (rest, rest.len()),
        };
        read.used += used;
        if framing == Framing::Dots {
            if line == b"." {
                break;
            }
            line = line.strip_prefix(b".").unwrap_or(line);
        }
        for (at, octet) in line.iter().enumerate() {
            let bare = matches!(octet, b'\r' | b'\n');
            read.faulty |= bare && policy == BareNewline::Refuse;
            match octet {
                b'\r' => read.content.push(b' '),
                b'\n' => read.content.extend(b"\r\n"),
                // Who sends bare LF has doubled the dots behind them, or not: of two, one is taken off.
                b'.' if framing == Framing::Dots && line[..at].ends_with(b"\n") && line[at..].starts_with(b"..") => {}
                other => read.content.push(*other),
            }
        }
        // What a chunk leaves open is closed; behind a bare LF, which has become a line end, nothing is open.
        if rest.len() > used || rest.ends_with(b"\r\n") || !line.ends_with(b"\n") {
            read.content.extend(b"\r\n");
        }
    }
    read
}

fn send(bytes: &[u8], piece: usize) {
    let encode = |transparency, bytes: &[u8]| {
        let mut encoder = Encoder::new(transparency);
        let mut out = Vec::new();
        bytes.chunks(piece).for_each(|piece| encoder.push(piece, &mut out));
        encoder.finish(&mut out);
        out
    };
    let clean = encode(Transparency::Counted, bytes);
    assert!(is_lines(&clean), "something bare leaves");
    assert_eq!(encode(Transparency::Counted, &clean), clean, "what is clean is changed");
    let dotted = encode(Transparency::Dots, bytes);
    let read = decode(&dotted, Framing::Dots, BareNewline::Refuse, dotted.len());
    assert!(!read.faulty && read.used == dotted.len() && read.content == clean, "what is sent is not what arrives");
}

fn is_lines(content: &[u8]) -> bool {
    let mut before = b'\n';
    for &octet in content {
        if (octet == b'\n') != (before == b'\r') && (octet == b'\n' || before == b'\r') {
            return false;
        }
        before = octet;
    }
    before == b'\n'
}
