//! Both halves of AUTH: no panic, no success without the password, steps bounded.
//!
//! Input: an octet that chooses the mechanism, then messages, ended by line feeds.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use smtp::sasl::{Mechanism, client, decode, encode, scram::Verifier, server};

/// Neither half of any exchange takes more messages.
const MESSAGES_MAX: usize = 3;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, messages)) = input.split_first() else { return };
    let mechanism = Mechanism::ALL[usize::from(choice) % Mechanism::ALL.len()];
    let messages: Vec<&[u8]> = messages.split(|octet| *octet == b'\n').collect();
    serve(mechanism, &messages);
    connect(mechanism, &messages);
    for message in messages {
        if let Some(octets) = decode(message) {
            assert_eq!(decode(encode(&octets).as_bytes()).as_ref(), Some(&octets));
        }
    }
});

fn serve(mechanism: Mechanism, responses: &[&[u8]]) {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    let verifier = VERIFIER.get_or_init(|| Verifier::derive("nobody guesses this", b"salt", 4096));
    let (mut exchange, _) = server::Exchange::begin(mechanism);
    for (count, response) in responses.iter().enumerate() {
        assert!(count < MESSAGES_MAX, "an exchange without end");
        exchange = match exchange.respond(response) {
            server::Step::Challenge(next, _) => next,
            server::Step::ScramStart(start) => start.verifier(verifier, "nonce").0,
            server::Step::ScramRight { .. } => unreachable!("nobody guessed it"),
            _ => return,
        };
    }
}

fn connect(mechanism: Mechanism, challenges: &[&[u8]]) {
    let (mut exchange, _) = client::Exchange::begin(mechanism, "user", "pencil", "nonce");
    for (count, challenge) in challenges.iter().enumerate() {
        assert!(count < MESSAGES_MAX, "an exchange without end");
        if is_costly(challenge) {
            return;
        }
        exchange = match exchange.challenge(challenge) {
            Ok((next, _)) => next,
            Err(_) => return,
        };
    }
    if mechanism == Mechanism::ScramSha256 {
        assert!(exchange.succeed().is_err(), "a server without the verifier was believed");
    }
}

/// A server may keep us busy for as long as the bound of iterations allows; the fuzzer need not wait for it.
fn is_costly(challenge: &[u8]) -> bool {
    let text = String::from_utf8_lossy(challenge);
    let digits = text.rsplit(',').find_map(|attribute| attribute.strip_prefix("i="));
    digits.is_some_and(|digits| digits.trim_start_matches('0').len() > 4)
}
