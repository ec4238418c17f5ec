//! The server's half of AUTH: no panic, no success without the password, steps bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::sasl::{
    Mechanism,
    scram::Verifier,
    server::{Exchange, Step},
};

fuzz_target!(|input: (u8, Vec<Vec<u8>>)| {
    let (choice, responses) = input;
    let mechanism = Mechanism::ALL[usize::from(choice) % Mechanism::ALL.len()];
    let verifier = Verifier { salt: vec![1; 16], iterations: 4096, stored_key: [0; 32], server_key: [0; 32] };
    let (mut exchange, _) = Exchange::begin(mechanism);
    for (count, response) in responses.iter().enumerate() {
        assert!(count < 3, "an exchange without end");
        exchange = match exchange.respond(response) {
            Step::Challenge(next, _) => next,
            Step::ScramStart(start) => start.verifier(&verifier, "nonce").0,
            Step::ScramRight { .. } => unreachable!("nobody knows a password for this key"),
            _ => return,
        };
    }
});
