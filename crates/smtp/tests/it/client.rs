//! The sending end. Conversations are written as the RFCs write them ([`script`]) and run on the pure session, the
//! server's words whole, split in two at every place, octet by octet ([`pure`]), and over TCP and TLS against a server
//! that reads from the script ([`wire`]). Tests that answer an attack bear its number.

mod content;
mod envelope;
mod faults;
mod greeting;
mod hostile;
mod pairing;
mod pure;
mod script;
mod table;
mod transcript;
mod wire;

use script::Script;

/// Runs a conversation in every way it can be run.
fn check(text: &str) {
    let script = Script::parse(text);
    pure::check(&script);
    wire::check(&script);
}
