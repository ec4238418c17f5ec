//! Replies of a hostile server: bounded, the same whatever the split, and safe to be passed on.
//!
//! Input: an octet that says how large pieces are, what the server says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::Reply;
use smtp::client::{
    Extensions,
    reply::{Malformed, ReplyReader},
};

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else { return };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(piece) + 1), "a split changes what is said");
    for reply in &whole.0 {
        let octets: usize = reply.lines.iter().map(String::len).sum();
        // An octet that is no UTF-8 becomes three.
        assert!(reply.lines.len() <= 100 && octets <= 3 * 8192 && (200..600).contains(&reply.code));
        let _learnt = Extensions::parse(reply.lines.iter().map(String::as_str));
        let mut wire = Vec::new();
        reply.write_wire(&mut wire);
        assert!(wire.split(|octet| *octet == b'\n').all(|line| line.len() < 512));
    }
});

fn read(bytes: &[u8], piece: usize) -> (Vec<Reply>, Option<Malformed>) {
    let mut reader = ReplyReader::default();
    let mut replies = Vec::new();
    for mut piece in bytes.chunks(piece) {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(code)) => {
                    assert_eq!(reader.reply().code, code);
                    replies.push(reader.reply());
                }
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
        assert!(piece.is_empty());
    }
    (replies, None)
}
