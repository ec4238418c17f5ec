//! The command line: what can be typed ([`arguments`]), and what each command prints.
//!
//! Commands are short programs: they read the configuration, ask the running server or open the store themselves, and
//! print. Standard output is for answers, standard error for the log and for what went wrong.

mod arguments;
mod check;
mod directory;
mod queue;
mod relay;
mod send;
mod signing;
mod terminal;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser as _;
use net::Clock;

use crate::{
    config::{self, Config, ConfigError},
    sandbox, wire,
};
use arguments::{Arguments, CheckWhat, Command, ReferencePage};
pub(crate) use terminal::say;
use terminal::warn;

/// A command failed.
const FAILED: u8 = 1;
/// The configuration is wrong, as wrong arguments are.
const MISUSED: u8 = 2;

/// Runs the command that the process was called with.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too; clap knows which stream and which code.
            let _stream_gone = error.print().is_err();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(MISUSED));
        }
    };
    match carry_out(arguments) {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<ConfigError>() {
            Some(error) => {
                warn(&error.to_string());
                ExitCode::from(MISUSED)
            }
            None => {
                warn(&format!("posthouse: {error:#}"));
                ExitCode::from(FAILED)
            }
        },
    }
}

fn carry_out(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let place = Place { config: arguments.config, json: arguments.json, clock: Clock::system() };
    match arguments.command {
        Command::Serve => return wire::serve(place.config.as_deref(), place.json, place.clock),
        Command::Check { what: Some(CheckWhat::Dns { domain }) } => return check::dns(&place, domain),
        Command::Check { what: Some(CheckWhat::Config) | None } => return check::config(&place),
        Command::Check { what: Some(CheckWhat::OpenRelay(open_relay)) } => return relay::run(&place, &open_relay),
        Command::Domain { verb } => directory::domain(&place, verb)?,
        Command::Dkim { verb } => return signing::dkim(&place, verb),
        Command::User { verb } => directory::user(&place, verb)?,
        Command::Alias { verb } => directory::alias(&place, verb)?,
        Command::CatchAll { verb } => directory::catch_all(&place, verb)?,
        Command::Queue { verb } => queue::run(&place, verb)?,
        Command::Send(letter) => return send::run(&place, letter),
        Command::Reference { page: ReferencePage::Config } => say(&config::reference()),
        Command::Reference { page: ReferencePage::Sample } => say(&config::sample()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a command works.
struct Place {
    /// The file after `--config`.
    config: Option<PathBuf>,
    /// Print JSON.
    json: bool,
    clock: Clock,
}

impl Place {
    /// The configuration: the file's, or the sandbox's.
    fn config(&self) -> Result<Config, ConfigError> {
        match &self.config {
            Some(file) => config::load(file),
            None => Ok(sandbox::config()),
        }
    }
}
