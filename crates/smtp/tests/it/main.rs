//! The tests of both ends of the conversation.

mod client;
mod server;
