//! One message through the filters of its direction, and what they said applied to it.

use std::time::Instant;

use mail::{Reply, header::QUARANTINE};
use spool::{Draft, NewMessage, Spool, SpoolError};

use super::{
    Filter, Filters,
    changes::{Changes, Which},
    facts::Facts,
    letter::Letter,
    opinion::{Opinion, Trouble, Verdict, reply},
    rspamd,
    settings::{Direction, FilterKind, OnFailure, OnLarger, SCREENING_MAX},
};
use crate::transaction::Failure;

/// The filters for one message.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    filters: Filters,
    direction: Direction,
}

/// What all filters said of a message that is taken.
#[derive(Debug, Default)]
struct Judged {
    changes: Changes,
    /// Why it is for the folder Junk.
    quarantine: Option<String>,
    /// Whether it waits for an operator.
    held: bool,
}

impl Screen {
    pub(super) fn new(filters: Filters, direction: Direction) -> Self {
        Self { filters, direction }
    }

    /// Asks the filters about a message that is complete, and returns it as they want it kept. After an error nothing
    /// is left of it. `client_name` is the name of the client that leads back to its address.
    pub(crate) async fn pass(
        &self,
        spool: &dyn Spool,
        draft: Draft,
        mut message: NewMessage,
        client_name: Option<&str>,
    ) -> Result<(Draft, NewMessage), Failure> {
        let reader = draft.reader().map_err(|error| Failure::Spool(error.into()))?;
        let judged = self
            .judge(&Letter::new(&message.prefix, reader), &Facts::new(self.direction, &message, client_name))
            .await?;
        let prefix = std::mem::take(&mut message.prefix);
        let applied = judged.changes.apply(spool, prefix, draft).await;
        let (prefix, draft) = applied.map_err(|error| Failure::Spool(error.into()))?;
        message.prefix = match judged.quarantine {
            // The first field is where delivery looks.
            Some(reason) => [format!("{QUARANTINE}: {reason}\r\n").as_bytes(), &prefix].concat().into(),
            None => prefix,
        };
        if judged.held {
            message.deliveries.iter_mut().for_each(|delivery| delivery.held = true);
        }
        Ok((draft, message))
    }

    async fn judge(&self, letter: &Letter<'_>, facts: &Facts<'_>) -> Result<Judged, Failure> {
        let shared = &self.filters.shared;
        let until = shared.clock.instant() + SCREENING_MAX;
        let mut judged = Judged { changes: self.forged(), ..Judged::default() };
        for filter in shared.filters.iter().filter(|filter| filter.settings.directions.include(self.direction)) {
            let began = shared.clock.instant();
            let asked = filter.ask(shared, letter, facts, until).await;
            let opinion = self.settle(filter, facts, began, asked).map_err(|error| Failure::Spool(error.into()))?;
            match opinion.verdict {
                Verdict::Accept => {}
                Verdict::Refuse(reply) => return Err(Failure::Refused(reply)),
                Verdict::Hold => judged.held = true,
                // Beyond this server nobody would know what it means.
                Verdict::Quarantine if self.direction == Direction::Out => judged.held = true,
                Verdict::Quarantine => {
                    let reason = format!("{} {}", filter.settings.name, opinion.reason);
                    judged.quarantine.get_or_insert(reason.trim_end().to_owned());
                }
            }
            judged.changes.join(opinion.changes);
        }
        Ok(judged)
    }

    /// Fields that only our filters write: whoever else did has no say.
    fn forged(&self) -> Changes {
        let mut changes = Changes::default();
        let filters = &self.filters.shared.filters;
        let rspamd = filters.iter().any(|filter| matches!(filter.settings.kind, FilterKind::Rspamd(_)));
        if self.direction == Direction::In && rspamd {
            for name in rspamd::FORGEABLE {
                changes.remove(name, Which::All).expect("our own names are names");
            }
        }
        changes
    }

    /// The opinion that counts, counted and in the log; an error when it is our own draft that can't be read.
    fn settle(
        &self,
        filter: &Filter,
        facts: &Facts<'_>,
        began: Instant,
        asked: Result<Opinion, Trouble>,
    ) -> Result<Opinion, SpoolError> {
        let wait = self.filters.shared.clock.instant().saturating_duration_since(began);
        let (name, direction) = (filter.settings.name.as_str(), self.direction.word());
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        match asked {
            Ok(opinion) => {
                let (verdict, reason) = (opinion.verdict.word(), opinion.reason.as_str());
                filter.meters.judged(verdict, wait);
                tracing::info!(filter = name, id = %facts.id, direction, verdict, reason, millis, "filtered");
                Ok(opinion)
            }
            Err(Trouble::Ours(error)) => Err(error),
            Err(trouble @ (Trouble::Larger { .. } | Trouble::LargerThere)) => {
                let opinion = Opinion::new(larger(filter), trouble.to_string());
                let verdict = opinion.verdict.word();
                filter.meters.judged("too_large", wait);
                tracing::info!(filter = name, id = %facts.id, direction, verdict, reason = %trouble, millis, "not filtered");
                Ok(opinion)
            }
            Err(trouble) => {
                let opinion = Opinion::new(failed(filter), "");
                let verdict = opinion.verdict.word();
                filter.meters.judged("failed", wait);
                tracing::warn!(filter = name, id = %facts.id, direction, verdict, error = %trouble, millis, "a filter failed");
                Ok(opinion)
            }
        }
    }
}

fn failed(filter: &Filter) -> Verdict {
    match filter.settings.on_failure {
        OnFailure::Accept => Verdict::Accept,
        OnFailure::Tempfail => Verdict::Refuse(unchecked()),
    }
}

fn larger(filter: &Filter) -> Verdict {
    match filter.settings.on_larger {
        OnLarger::Accept => Verdict::Accept,
        OnLarger::Tempfail => Verdict::Refuse(unchecked()),
        OnLarger::Reject => {
            let text = "The message is larger than what is checked here; send a smaller one";
            Verdict::Refuse(reply(552, mail::EnhancedCode::new(5, 3, 4), Some(text)))
        }
    }
}

fn unchecked() -> Reply {
    Reply::with(451, (4, 7, 1), "The message cannot be checked at the moment; try again later")
}
