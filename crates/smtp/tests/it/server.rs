//! The receiving end. Conversations are written as the RFCs write them ([`script`]) and run on the pure session whole,
//! split in two at every place, octet by octet ([`pure`]), and over TCP and TLS ([`wire`]). Tests that answer an attack
//! bear its number.

mod bounds;
mod desk;
mod framing;
mod grammar;
mod introduction;
mod order;
mod patience;
mod pure;
mod script;
mod security;
mod splits;
mod table;
mod typed;
mod walk;
mod wire;

use script::Script;

/// Runs a conversation in every way it can be run.
fn check(text: &str) {
    let script = Script::parse(text);
    pure::check(&script);
    wire::check(&script);
}
