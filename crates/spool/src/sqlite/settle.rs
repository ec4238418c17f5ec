//! What became of leased deliveries: prepared in the caller's task, written by the committer.

use std::sync::Arc;

use mail::{Event, EventKind, MessageId, Outcome, Timestamp};
use rusqlite::{OptionalExtension as _, params};

use super::{
    batch::Batch,
    command::{Attempt, Fate, Settle, SettleItem},
    committer::{Committer, Failure, column, micros, number},
    fresh::{RowLease, Taken},
    row::{Base, Wish, decode, encode},
    shared::Shared,
};
use crate::{Lease, Message, SettleError, Settlement, Verdict};

/// The settlement with its events, which need no database: the holder of a lease is alone.
pub(super) fn prepare(shared: &Shared, settlement: Settlement, now: Timestamp) -> SettleItem {
    let attempts = shared.window().attempts(settlement.lease).unwrap_or(0);
    let Settlement { lease, message, recipient, verdict, source, transcript } = settlement;
    let event = |kind: EventKind| Event { at: now, message, kind }.encode();
    let attempted = |outcome: Outcome, next_due: Option<Timestamp>| {
        let transcript = if matches!(outcome, Outcome::Delivered { .. }) { None } else { transcript.clone() };
        event(EventKind::Attempted {
            delivery: lease.delivery,
            recipient: recipient.clone(),
            attempt: attempts + 1,
            outcome,
            next_due,
            source: source.clone(),
            transcript,
        })
    };
    let captured = matches!(verdict, Verdict::Captured(_));
    let (fate, events) = match verdict {
        Verdict::Done(outcome) | Verdict::Captured(outcome) => (Fate::Gone, vec![attempted(outcome, None)]),
        Verdict::Expired(outcome) => {
            let expired = EventKind::Expired { delivery: lease.delivery, recipient: recipient.clone() };
            (Fate::Gone, vec![attempted(outcome, None), event(expired)])
        }
        Verdict::Retry(outcome, due) => {
            let attempt = Attempt {
                at: now,
                outcome: encode(&outcome),
                source: source.clone(),
                transcript: transcript.as_ref().map(encode),
            };
            let fate = Fate::Waits { state: Base::Deferred, due: Some(due), attempt: Some(Arc::new(attempt)) };
            (fate, vec![attempted(outcome, Some(due))])
        }
        Verdict::Held => {
            let held = EventKind::Held { delivery: lease.delivery, recipient: recipient.clone() };
            (Fate::Waits { state: Base::Held, due: None, attempt: None }, vec![event(held)])
        }
    };
    SettleItem { lease, message, recipient, fate, captured, events }
}

impl Committer {
    pub(super) fn settle(
        &mut self,
        settle: &Settle,
        batch: &mut Batch,
    ) -> Result<Vec<Result<(), SettleError>>, Failure> {
        let mut results = Vec::with_capacity(settle.items.len());
        for item in &settle.items {
            let Some(taken) = self.shared.window().take(item.lease) else {
                results.push(Err(SettleError::LeaseLost(item.lease.delivery)));
                continue;
            };
            batch.taken.push((item.lease.delivery, taken.clone()));
            batch.events.extend(item.events.iter().cloned());
            if item.captured {
                self.capture(&taken, item, settle.now)?;
            }
            match taken {
                Taken::Whole { seq, index, .. } => {
                    batch.wholes.entry(seq).or_default().insert(index, item.fate.clone());
                }
                Taken::Row(row) => self.settle_row(&row, item, settle.now, batch)?,
            }
            results.push(Ok(()));
        }
        Ok(results)
    }

    fn settle_row(
        &mut self,
        row: &RowLease,
        item: &SettleItem,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        let Fate::Waits { state, due, attempt } = &item.fate else {
            return self.delete_row(row.seq, row.message, (&row.domain, row.state, row.attempts), batch);
        };
        let attempts = row.attempts + u32::from(attempt.is_some());
        if let Some(attempt) = attempt {
            self.write_attempt(row.seq, attempt)?;
        }
        let event = |kind: EventKind| Event { at: now, message: item.message, kind }.encode();
        let (delivery, recipient) = (item.lease.delivery, item.recipient.clone());
        match row.wish {
            Some(Wish::Cancel) => {
                batch.events.push(event(EventKind::Cancelled { delivery, recipient }));
                self.delete_row(row.seq, row.message, (&row.domain, row.state, attempts), batch)
            }
            Some(Wish::Hold) if *state != Base::Held => {
                batch.events.push(event(EventKind::Held { delivery, recipient }));
                self.release_row(row, (Base::Held, None, attempts), batch)
            }
            _ => self.release_row(row, (*state, *due, attempts), batch),
        }
    }

    /// Gives a lease back untried. A lost one is no concern of anybody.
    pub(super) fn park(&mut self, lease: Lease, due: Timestamp, batch: &mut Batch) -> Result<(), Failure> {
        let Some(taken) = self.shared.window().take(lease) else {
            return Ok(());
        };
        batch.taken.push((lease.delivery, taken.clone()));
        match taken {
            Taken::Whole { seq, index, .. } => {
                let fate = Fate::Waits { state: Base::Queued, due: Some(due), attempt: None };
                batch.wholes.entry(seq).or_default().insert(index, fate);
                Ok(())
            }
            Taken::Row(row) => self.park_row(&row, due, batch),
        }
    }

    fn park_row(&mut self, row: &RowLease, due: Timestamp, batch: &mut Batch) -> Result<(), Failure> {
        match row.wish {
            None => {
                let state = if row.state == Base::Scheduled { Base::Queued } else { row.state };
                self.release_row(row, (state, Some(due), row.attempts), batch)
            }
            Some(wish) => {
                self.grant(wish, row.seq, due, batch)?;
                match wish {
                    Wish::Hold => self.release_row(row, (Base::Held, None, row.attempts), batch),
                    Wish::Cancel => {
                        self.delete_row(row.seq, row.message, (&row.domain, row.state, row.attempts), batch)
                    }
                }
            }
        }
    }

    /// Does what operators wished about attempts that ended with their process.
    pub(super) fn grant_voided(&mut self, now: Timestamp, batch: &mut Batch) -> Result<(), Failure> {
        let mut voided = Vec::new();
        {
            let sql = "SELECT seq, message, domain, state, attempts, wish FROM delivery INDEXED BY delivery_owner
                 WHERE owner IS NOT NULL AND wish IS NOT NULL";
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                voided.push(RowLease {
                    seq: number(row.get(0)?),
                    message: number(row.get(1)?),
                    fence: 0,
                    until: now,
                    domain: Arc::from(row.get::<_, String>(2)?),
                    state: Base::from_column(row.get(3)?).unwrap_or(Base::Queued),
                    attempts: row.get(4)?,
                    wish: Wish::from_column(row.get(5)?),
                });
            }
        }
        voided.iter().try_for_each(|row| self.park_row(row, now, batch))
    }

    /// The event of a wish that is granted.
    fn grant(&mut self, wish: Wish, seq: u64, at: Timestamp, batch: &mut Batch) -> Result<(), Failure> {
        let sql = "SELECT delivery.id, delivery.recipient, message.id FROM delivery
             JOIN message ON message.seq = delivery.message WHERE delivery.seq = ?1";
        let found: Option<([u8; 16], String, [u8; 16])> = self
            .connection
            .prepare_cached(sql)?
            .query_row([column(seq)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if let Some((delivery, recipient, message)) = found
            && let Ok(recipient) = recipient.parse()
        {
            let delivery = mail::DeliveryId::from_bytes(delivery);
            let kind = match wish {
                Wish::Hold => EventKind::Held { delivery, recipient },
                Wish::Cancel => EventKind::Cancelled { delivery, recipient },
            };
            batch.events.push(Event { at, message: MessageId::from_bytes(message), kind }.encode());
        }
        Ok(())
    }

    /// Notes a captured recipient; the first one of a message keeps its content.
    fn capture(&mut self, taken: &Taken, item: &SettleItem, now: Timestamp) -> Result<(), Failure> {
        let seq = match taken {
            Taken::Whole { seq, .. } => *seq,
            Taken::Row(row) => row.message,
        };
        let stored: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT recipients FROM captured WHERE seq = ?1")?
            .query_row([column(seq)], |row| row.get(0))
            .optional()?;
        if let Some(stored) = stored {
            let mut recipients: Vec<mail::Mailbox> = decode(&stored).unwrap_or_default();
            recipients.push(item.recipient.clone());
            let sql = "UPDATE captured SET recipients = ?2 WHERE seq = ?1";
            self.connection.prepare_cached(sql)?.execute(params![column(seq), encode(&recipients)])?;
            return Ok(());
        }
        let reverse_path = match taken {
            Taken::Whole { seq, .. } => self.shared.window().get(*seq).map(|whole| sender_of(&whole.message)),
            Taken::Row(row) => self.sender_of_row(row.message)?,
        };
        let sql = "INSERT INTO captured (seq, id, at, reverse_path, recipients, size, content, prefix)
             SELECT seq, id, ?2, ?3, ?4, size, content, prefix FROM message WHERE seq = ?1";
        self.connection.prepare_cached(sql)?.execute(params![
            column(seq),
            micros(now),
            reverse_path.unwrap_or_default(),
            encode(&[&item.recipient]),
        ])?;
        let sql = "UPDATE content SET refs = refs + 1 WHERE seq = (SELECT content FROM message WHERE seq = ?1)";
        self.connection.prepare_cached(sql)?.execute([column(seq)])?;
        Ok(())
    }

    fn sender_of_row(&mut self, message: u64) -> Result<Option<String>, Failure> {
        let envelope: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT envelope FROM message WHERE seq = ?1")?
            .query_row([column(message)], |row| row.get(0))
            .optional()?;
        let envelope: Option<mail::Envelope> = envelope.and_then(|bytes| decode(&bytes).ok());
        Ok(envelope.map(|envelope| path_text(&envelope.reverse_path)))
    }
}

fn sender_of(message: &Message) -> String {
    path_text(&message.envelope.reverse_path)
}

/// The path without its brackets, as `ReversePath` parses it.
pub(super) fn path_text(path: &mail::ReversePath) -> String {
    path.mailbox().map(ToString::to_string).unwrap_or_default()
}
