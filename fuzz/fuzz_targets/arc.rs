//! ARC over hostile chains and key records: no panic, at most one question for each set and one more, the same verdict
//! whatever the cuts of the body.
//!
//! Input: an octet that says how large pieces are, a key record, a NUL, the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::Timestamp;
use policy::{
    arc::{Outcome, SETS_MAX, Verdict, Verify},
    dkim::{BodyHasher, Fields},
    dns::Answer,
};

const NOW: Timestamp = Timestamp::from_secs(1_795_521_600);

fuzz_target!(|input: &[u8]| {
    let Some((&piece, rest)) = input.split_first() else { return };
    let mut parts = rest.splitn(2, |octet| *octet == 0);
    let record = parts.next().unwrap_or_default();
    let message = parts.next().unwrap_or_default();
    let whole = verify(message, record, message.len().max(1));
    assert_eq!(whole.sealers.is_empty(), whole.outcome != Outcome::Pass);
    assert_eq!(whole.reason.is_some(), whole.outcome == Outcome::Fail);
    assert_eq!(verify(message, record, usize::from(piece) + 1), whole);
});

fn verify(message: &[u8], record: &[u8], piece: usize) -> Verdict {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").map_or(message.len(), |at| at + 4);
    let (header, body) = message.split_at(end);
    let mut bodies = BodyHasher::default();
    let mut verify = Verify::new(&Fields::parse(header), NOW, &mut bodies);
    let mut asked = 0;
    loop {
        let questions = verify.questions();
        if questions.is_empty() {
            break;
        }
        asked += questions.len();
        assert!(asked <= SETS_MAX + 1);
        for question in questions {
            assert!(question.name.as_str().contains("._domainkey."));
            verify.answer(&question, &Answer::Txt(vec![record.to_vec()]));
        }
    }
    body.chunks(piece).for_each(|piece| bodies.update(piece));
    verify.finish(&bodies.finish())
}
