//! Command lines: no panic, and no address with anything in it that could end a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::command::{self, Command};

fuzz_target!(|line: &[u8]| {
    match command::parse(line) {
        Ok(Command::Mail { reverse_path, .. }) => clean(&reverse_path.to_string()),
        Ok(Command::Rcpt { forward_path, .. }) => clean(&forward_path.to_string()),
        _ => {}
    }
});

fn clean(path: &str) {
    assert!(path.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{path:?}");
}
