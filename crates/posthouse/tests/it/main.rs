//! The real binary, as people and programs meet it: configuration, command line, signals, crashes.

mod command_line;
mod configuration;
mod crash;
mod faults;
mod http;
mod mail_path;
mod server;
mod signals;
mod smtp;
