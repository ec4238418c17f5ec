//! Taking lines from the input: how long they may be, and what becomes of those that are no lines.

use std::time::Instant;

use super::{phase::Phase, session::Session, words};
use crate::{
    command::{self, Foreign},
    line::{self, Found},
};

/// Octets of a line that is too long which are thrown away in the hope of its end. Behind them: 500 and closed.
const OVERLONG_MAX: usize = 64 * 1024;

/// What a line is, as far as its length matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A command.
    Command,
    /// AUTH, or a response of its exchange (RFC 4954 §4).
    Authentication,
}

/// A line that is too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlong {
    kind: Kind,
    /// Octets thrown away so far.
    skipped: usize,
}

impl Session {
    /// One line, or nothing when it is not complete.
    pub(super) fn take_line(&mut self, input: &[u8], now: Instant) -> usize {
        if let Some(overlong) = self.overlong {
            return self.skip_line(overlong, input, now);
        }
        // A TLS client waits for us: there may never be a line end.
        if Foreign::of(input) == Some(Foreign::Tls) && !matches!(self.phase, Phase::Auth(_)) {
            self.command(input);
            return input.len();
        }
        let kind = self.kind_of_line(input);
        match line::find(input, self.line_max(kind)) {
            Found::Line { text, used } => {
                self.restart_wait(now);
                self.count_command();
                self.signals.hasty = used < input.len();
                match self.phase {
                    Phase::Auth(_) => self.response(text),
                    _ => self.command(text),
                }
                used
            }
            Found::BareLf { used } => {
                self.restart_wait(now);
                self.leave_authentication();
                self.fail(words::BARE_LF);
                used
            }
            Found::TooLong => self.skip_line(Overlong { kind, skipped: 0 }, input, now),
            Found::Partial => 0,
        }
    }

    fn kind_of_line(&self, input: &[u8]) -> Kind {
        let start = input.get(..self.settings.limits.command_line).unwrap_or(input);
        let authentication = matches!(self.phase, Phase::Auth(_)) || command::is_auth(start);
        if authentication { Kind::Authentication } else { Kind::Command }
    }

    fn line_max(&self, kind: Kind) -> usize {
        match kind {
            Kind::Command => self.settings.limits.command_line,
            Kind::Authentication => self.settings.limits.auth_line,
        }
    }

    /// Throws away a line that is too long, up to its end.
    fn skip_line(&mut self, overlong: Overlong, input: &[u8], now: Instant) -> usize {
        let Overlong { kind, skipped } = overlong;
        let room = OVERLONG_MAX.saturating_sub(skipped);
        let window = input.get(..room).unwrap_or(input);
        match memchr::memchr(b'\n', window) {
            Some(end) => {
                self.overlong = None;
                self.restart_wait(now);
                self.complain_of_length(kind);
                end + 1
            }
            None if window.len() >= room => {
                self.overlong = None;
                self.complain_of_length(kind);
                self.close();
                input.len()
            }
            None => {
                self.overlong = Some(Overlong { kind, skipped: skipped + window.len() });
                window.len()
            }
        }
    }

    fn complain_of_length(&mut self, kind: Kind) {
        self.leave_authentication();
        let max = self.line_max(kind);
        self.fail_reply(&match kind {
            Kind::Command => words::line_too_long(max),
            Kind::Authentication => words::auth_line_too_long(max),
        });
    }
}
