//! One binary: command line, configuration, wiring.
//!
//! - [`cli`]: what people type and read;
//! - [`config`]: the file, checked, with every mistake at once;
//! - [`wire`]: the engines put together, signals, reload;
//! - [`control`] and [`admin`]: what a running server can be asked, and the answers;
//! - [`process`] and [`secret`]: as whom it runs and what it may; the secret that outlives it;
//! - [`signing`] and [`dns`]: the keys that sign our mail, and what our domains publish;
//! - [`sandbox`]: the server without a file;
//! - [`logs`]: one event, one line.
//!
//! Nothing here knows SMTP, SQL or the disk: it is the only crate that knows all the others.

mod admin;
mod cli;
mod config;
mod control;
mod dns;
mod logs;
mod process;
mod sandbox;
mod secret;
mod signing;
mod wire;

fn main() -> std::process::ExitCode {
    cli::run()
}
