//! Taking lines from the input: how long they may be, and what becomes of those that are no lines.

use std::time::Instant;

use super::{phase::Phase, session::Session, words};
use crate::{
    command::{self, Foreign},
    line::{self, Found},
};

/// Octets of a line that is too long which are thrown away in the hope of its end. Behind them: 500 and closed.
const OVERLONG_MAX: usize = 64 * 1024;

impl Session {
    /// One line, or nothing when it is not complete.
    pub(super) fn take_line(&mut self, input: &[u8], now: Instant) -> usize {
        if let Some(skipped) = self.overlong {
            return self.skip_line(skipped, input, now);
        }
        // A TLS client waits for us: there may never be a line end.
        if Foreign::of(input) == Some(Foreign::Tls) && !matches!(self.phase, Phase::Auth(_)) {
            self.command(input);
            return input.len();
        }
        match line::find(input, self.line_max(input)) {
            Found::Line { text, used } => {
                self.restart_wait(now);
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
            Found::TooLong => self.skip_line(0, input, now),
            Found::Partial => 0,
        }
    }

    fn line_max(&self, input: &[u8]) -> usize {
        let limits = &self.settings.limits;
        let start = input.get(..limits.command_line).unwrap_or(input);
        let long = matches!(self.phase, Phase::Auth(_)) || command::is_auth(start);
        if long { limits.auth_line } else { limits.command_line }
    }

    /// Throws away a line that is too long, up to its end.
    fn skip_line(&mut self, skipped: usize, input: &[u8], now: Instant) -> usize {
        let room = OVERLONG_MAX.saturating_sub(skipped);
        let window = input.get(..room).unwrap_or(input);
        match memchr::memchr(b'\n', window) {
            Some(end) => {
                self.overlong = None;
                self.restart_wait(now);
                self.complain_of_length();
                end + 1
            }
            None if window.len() >= room => {
                self.overlong = None;
                self.complain_of_length();
                self.close();
                input.len()
            }
            None => {
                self.overlong = Some(skipped + window.len());
                window.len()
            }
        }
    }

    fn complain_of_length(&mut self) {
        match self.leave_authentication() {
            true => self.fail(words::AUTH_LINE_TOO_LONG),
            false => self.fail_reply(&words::line_too_long(self.settings.limits.command_line)),
        }
    }
}
