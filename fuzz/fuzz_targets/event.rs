//! Stored events: damaged bytes are an error, read ones are written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::Event;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(event) = Event::decode(bytes) {
        assert_eq!(Event::decode(&event.encode()).expect("what was written can be read"), event);
    }
});
