//! One connection as the gate sees it: who it is from, its place, and what was counted so far.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use mail::Reply;
use policy::account;
use smtp::server::Tally;

use super::{
    ledger::{Refusal, Visit},
    proxy::Client,
    words,
};
use crate::{Office, service::Current};

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Guest {
    client: Client,
    peer: SocketAddr,
    visit: Visit,
    /// What was put to the client's account.
    seen: Tally,
    /// Errors of the session before its latest message.
    forgiven: u32,
}

/// Why a guest may not go on, for the client and for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooMuch {
    /// What it hears.
    pub(crate) reply: Reply,
    /// The word in logs and metrics.
    pub(crate) reason: &'static str,
}

impl Guest {
    /// The guest at the other end of a connection that came from `peer`.
    pub(crate) fn new(client: Client, peer: SocketAddr, visit: Visit) -> Self {
        Self { client, peer: client.address_or(peer), visit, seen: Tally::default(), forgiven: 0 }
    }

    /// The same one, who does not answer for what the session has counted so far: that was somebody else.
    pub(crate) fn after(self, seen: Tally) -> Self {
        Self { seen, forgiven: seen.errors, ..self }
    }

    /// Its address; the proxy's when nobody knows better.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether anybody knows who it is.
    pub(crate) fn is_named(&self) -> bool {
        self.client != Client::Unnamed
    }

    /// Whether it is examined.
    pub(crate) fn is_stranger(&self) -> bool {
        self.visit.is_counted()
    }

    /// How long it has to wait for the banner; nothing when it need not.
    pub(crate) fn pregreet_wait(&self, office: &Office, service: &Current, now: Instant) -> Option<Duration> {
        let settings = &service.settings.gate;
        let asked = !settings.pregreet_wait.is_zero() && service.implicit_tls().is_none();
        (asked && !self.visit.has_manners(now)).then(|| office.gate.pregreet_wait(settings))
    }

    /// It has waited.
    pub(crate) fn remember_manners(&self, now: Instant) {
        self.visit.remember_manners(now);
    }

    /// MAIL.
    pub(crate) fn message(&self, service: &Current, now: Instant) -> Result<(), TooMuch> {
        self.visit.message(service.limits(), now).map_err(slow_down)
    }

    /// RCPT.
    pub(crate) fn recipient(&self, service: &Current, now: Instant) -> Result<(), TooMuch> {
        self.visit.recipient(service.limits(), now).map_err(slow_down)
    }

    /// A message of it was accepted, or it has shown whose it is: that makes up for some errors.
    pub(crate) fn redeem(&mut self, service: &Current, now: Instant) {
        self.forgiven = self.seen.errors;
        self.visit.accepted(service.limits(), now);
    }

    /// Puts to its account what the session has counted. When there were errors, says how many have come since
    /// the latest message. An error when it was the drop too much.
    pub(crate) fn count(&mut self, tally: Tally, service: &Current, now: Instant) -> Result<Option<u32>, TooMuch> {
        if !self.is_stranger() || tally == self.seen {
            return Ok(None);
        }
        let fresh = account::Tally {
            commands: tally.commands.saturating_sub(self.seen.commands),
            errors: tally.errors.saturating_sub(self.seen.errors),
            junk: tally.junk.saturating_sub(self.seen.junk),
        };
        self.seen = tally;
        self.visit.count(service.limits(), fresh, now).map_err(|(excess, whose)| {
            let refusal = Refusal::Excess(excess, whose);
            let reply = words::farewell(&service.settings.session.hostname, refusal);
            TooMuch { reply, reason: words::reason(refusal) }
        })?;
        Ok((fresh.errors > 0).then(|| tally.errors.saturating_sub(self.forgiven)))
    }
}

fn slow_down((excess, whose): (account::Excess, super::ledger::Whose)) -> TooMuch {
    TooMuch { reply: words::slow_down(excess, whose), reason: words::reason(Refusal::Excess(excess, whose)) }
}
