//! Behaviour of the receiving engine over real connections: a store and a spool on disk, sessions over loopback TCP.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

mod authentication;
mod content;
mod dialogue;
mod faults;
mod filters;
mod gate;
mod log;
mod recipients;
mod shutdown;
mod signing;
mod slow;
mod submission;
mod submit;
mod vouch;
mod world;
