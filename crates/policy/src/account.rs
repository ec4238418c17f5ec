//! What one client, or one network of clients, has used up: connections, messages, recipients, commands, and our
//! patience.
//!
//! An account outlives the connections of its client, so that a client that is sent away for its errors does not begin
//! anew with the next connection. An accepted message earns some patience back. Time comes in as `now`.

use std::time::{Duration, Instant};

use crate::rate::{Meter, Rate};

/// Errors and idle commands that an accepted message makes up for.
const FORGIVEN_PER_MESSAGE: u32 = 10;

/// What an account may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub open: u32,
    /// Connections begun.
    pub connections: Rate,
    /// MAIL commands.
    pub messages: Rate,
    /// RCPT commands.
    pub recipients: Rate,
    /// Commands of any kind.
    pub commands: Rate,
    /// Commands answered with 5xx.
    pub errors: Rate,
    /// Commands that lead nowhere.
    pub junk: Rate,
}

impl Limits {
    /// The limits of so many clients together.
    pub const fn times(self, factor: u32) -> Self {
        Self {
            open: self.open.saturating_mul(factor),
            connections: self.connections.times(factor),
            messages: self.messages.times(factor),
            recipients: self.recipients.times(factor),
            commands: self.commands.times(factor),
            errors: self.errors.times(factor),
            junk: self.junk.times(factor),
        }
    }
}

/// What was too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Connections at a time.
    Open,
    /// Connections in a short time.
    Connections,
    /// Messages.
    Messages,
    /// Recipients.
    Recipients,
    /// Commands.
    Commands,
    /// Errors.
    Errors,
    /// Commands that lead nowhere.
    Junk,
}

/// Too much of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Of what.
    pub what: What,
    /// After how long there is room again; nothing when that depends on the client.
    pub wait: Option<Duration>,
}

/// What a session has counted, in all or since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Commands.
    pub commands: u32,
    /// Of those, errors.
    pub errors: u32,
    /// Of those, commands that lead nowhere.
    pub junk: u32,
}

/// The account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    open: u32,
    connections: Meter,
    messages: Meter,
    recipients: Meter,
    commands: Meter,
    errors: Meter,
    junk: Meter,
}

impl Account {
    /// A connection begins. When it may not, nothing is counted.
    pub fn enter(&mut self, limits: &Limits, now: Instant) -> Result<(), Excess> {
        if let Some(wait) = self.errors.wait(limits.errors, now) {
            return Err(Excess { what: What::Errors, wait: Some(wait) });
        }
        if let Some(wait) = self.junk.wait(limits.junk, now) {
            return Err(Excess { what: What::Junk, wait: Some(wait) });
        }
        if self.open >= limits.open {
            return Err(Excess { what: What::Open, wait: None });
        }
        take(&mut self.connections, limits.connections, What::Connections, now)?;
        self.open += 1;
        Ok(())
    }

    /// A connection ends.
    pub fn leave(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// MAIL.
    pub fn message(&mut self, limits: &Limits, now: Instant) -> Result<(), Excess> {
        take(&mut self.messages, limits.messages, What::Messages, now)
    }

    /// RCPT.
    pub fn recipient(&mut self, limits: &Limits, now: Instant) -> Result<(), Excess> {
        take(&mut self.recipients, limits.recipients, What::Recipients, now)
    }

    /// What a session counted. An error when it was the drop too much.
    pub fn count(&mut self, limits: &Limits, tally: Tally, now: Instant) -> Result<(), Excess> {
        self.errors.charge(limits.errors, tally.errors, now);
        self.junk.charge(limits.junk, tally.junk, now);
        self.commands.charge(limits.commands, tally.commands, now);
        let kinds = [
            (What::Errors, &self.errors, limits.errors, tally.errors),
            (What::Junk, &self.junk, limits.junk, tally.junk),
            (What::Commands, &self.commands, limits.commands, tally.commands),
        ];
        for (what, meter, rate, count) in kinds {
            if count > 0
                && let Some(wait) = meter.wait(rate, now)
            {
                return Err(Excess { what, wait: Some(wait) });
            }
        }
        Ok(())
    }

    /// Whether errors, idle commands or commands are used up.
    pub fn is_spent(&self, limits: &Limits, now: Instant) -> bool {
        let meters = [(&self.errors, limits.errors), (&self.junk, limits.junk), (&self.commands, limits.commands)];
        meters.into_iter().any(|(meter, rate)| meter.wait(rate, now).is_some())
    }

    /// A message was accepted.
    pub fn accepted(&mut self, limits: &Limits, now: Instant) {
        self.errors.forgive(limits.errors, FORGIVEN_PER_MESSAGE, now);
        self.junk.forgive(limits.junk, FORGIVEN_PER_MESSAGE, now);
    }

    /// Connections that are open.
    pub fn open(&self) -> u32 {
        self.open
    }
}

fn take(meter: &mut Meter, rate: Rate, what: What, now: Instant) -> Result<(), Excess> {
    meter.take(rate, 1, now).map_err(|wait| Excess { what, wait: Some(wait) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    const HOUR: Duration = Duration::from_secs(3600);

    fn limits() -> Limits {
        Limits {
            open: 2,
            connections: Rate::per_minute(5),
            messages: Rate::per_minute(3),
            recipients: Rate::per_minute(4),
            commands: Rate::per_minute(50),
            errors: Rate::per_hour(20),
            junk: Rate::per_hour(30),
        }
    }

    fn what(result: Result<(), Excess>) -> Option<What> {
        result.err().map(|excess| excess.what)
    }

    #[test]
    fn connections_at_a_time_and_in_a_time() {
        let (mut account, limits, now) = (Account::default(), limits(), start());
        assert_eq!(account.enter(&limits, now), Ok(()));
        assert_eq!(account.enter(&limits, now), Ok(()));
        assert_eq!(account.enter(&limits, now), Err(Excess { what: What::Open, wait: None }));
        for _ in 0..3 {
            account.leave();
            assert_eq!(account.enter(&limits, now), Ok(()));
        }
        account.leave();
        assert_eq!(what(account.enter(&limits, now)), Some(What::Connections));
        assert_eq!(account.open(), 1);
        assert_eq!(account.enter(&limits, now + Duration::from_secs(12)), Ok(()));
    }

    #[test]
    fn messages_and_recipients() {
        let (mut account, limits, now) = (Account::default(), limits(), start());
        assert!((0..3).all(|_| account.message(&limits, now).is_ok()));
        assert_eq!(what(account.message(&limits, now)), Some(What::Messages));
        assert!((0..4).all(|_| account.recipient(&limits, now).is_ok()));
        assert_eq!(what(account.recipient(&limits, now)), Some(What::Recipients));
    }

    #[test]
    fn errors_outlive_a_connection_and_mail_makes_up_for_them() {
        let (mut account, limits, now) = (Account::default(), limits(), start());
        account.enter(&limits, now).unwrap();
        assert_eq!(account.count(&limits, Tally { commands: 19, errors: 19, junk: 0 }, now), Ok(()));
        assert!(!account.is_spent(&limits, now));
        assert_eq!(what(account.count(&limits, Tally { commands: 1, errors: 1, junk: 0 }, now)), Some(What::Errors));
        assert!(account.is_spent(&limits, now) && !account.is_spent(&limits, now + HOUR));
        account.leave();
        assert_eq!(what(account.enter(&limits, now)), Some(What::Errors));
        assert_eq!(account.enter(&limits, now + HOUR), Ok(()));
        account.count(&limits, Tally { commands: 20, errors: 20, junk: 0 }, now + HOUR).unwrap_err();
        account.accepted(&limits, now + HOUR);
        assert_eq!(account.enter(&limits, now + HOUR), Ok(()));
    }

    #[test]
    fn junk_and_commands() {
        let (mut account, limits, now) = (Account::default(), limits(), start());
        assert_eq!(what(account.count(&limits, Tally { commands: 30, errors: 0, junk: 30 }, now)), Some(What::Junk));
        let (mut account, later) = (Account::default(), now + HOUR);
        assert_eq!(what(account.count(&limits, Tally { commands: 50, errors: 0, junk: 0 }, now)), Some(What::Commands));
        assert_eq!(account.count(&limits, Tally { commands: 1, errors: 0, junk: 0 }, later), Ok(()));
    }
}
