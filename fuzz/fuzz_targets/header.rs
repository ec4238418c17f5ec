//! Fields tile the header section from its beginning; address lists are read in bounded time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::header::{Header, mailboxes};

fuzz_target!(|message: &[u8]| {
    let header = Header::parse(message, 1000);
    let mut at = 0;
    for field in &header.fields {
        assert_eq!(field.range.start, at, "a gap between fields");
        at = field.range.end;
        let _read = mailboxes(&field.unfolded(), 100);
    }
    assert!(at <= header.end && header.end <= message.len());
});
