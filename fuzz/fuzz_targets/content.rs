//! Content taken off the wire and put on again ends in the same place, whatever the split; nothing bare gets through.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::data::receive::{BareNewline, Decoder, End, Framing};

fuzz_target!(|input: (u8, &[u8])| {
    let (at, bytes) = input;
    let policy = if at & 1 == 0 { BareNewline::Refuse } else { BareNewline::Normalise };
    let whole = decode(&[bytes], policy);
    let (head, tail) = bytes.split_at(bytes.len().min(usize::from(at)));
    assert_eq!(whole, decode(&[head, tail], policy), "a split changes the content");
    let (content, faulty) = whole;
    if !faulty {
        let bare = |window: &[u8]| (window[0] == b'\r') != (window[1] == b'\n');
        assert!(!content.windows(2).any(bare) && content.first() != Some(&b'\n'), "a bare CR or LF got through");
    }
});

fn decode(pieces: &[&[u8]], policy: BareNewline) -> (Vec<u8>, bool) {
    let mut decoder = Decoder::new(Framing::Dots, policy);
    let mut content = Vec::new();
    for piece in pieces {
        if decoder.decode(piece, &mut content).end == End::Reached {
            break;
        }
    }
    (content, decoder.fault().is_some())
}
