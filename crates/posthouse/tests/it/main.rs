//! The real binary, as people and programs meet it: configuration, command line, signals, crashes.

#![expect(clippy::indexing_slicing, reason = "a test may panic, and JSON answers null for what is missing")]

mod command_line;
mod configuration;
mod crash;
mod faults;
mod http;
mod mail_path;
mod meters;
mod process;
mod queue_verbs;
mod relay;
mod server;
mod signals;
mod smtp;
