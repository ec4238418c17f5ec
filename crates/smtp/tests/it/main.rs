//! The tests of both ends of the conversation.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

mod client;
mod notation;
mod server;
mod tls;
