//! Operators' verbs over sets: in steps, each a transaction of its own with other work in between.
//!
//! A delivery that is being attempted is left to its attempt. Hold and cancel are noted on its row and done when the
//! attempt ends without success: what was delivered meanwhile is never called cancelled.

use std::sync::Arc;

use mail::{DeliveryId, Event, EventKind, MessageId, Timestamp};
use rusqlite::params;

use super::{
    batch::Batch,
    command::{Stepped, UpdateStep},
    committer::{Committer, Failure, column, micros, number},
    find::{self, Key, Walk},
    row::{Base, Wish},
};
use crate::{SpoolError, Update};

/// Rows changed in one transaction: what commits may have to wait for.
const STEP: usize = 1_000;

/// A row to change.
struct Target {
    seq: u64,
    message: u64,
    message_id: MessageId,
    id: DeliveryId,
    recipient: String,
    domain: Arc<str>,
    state: Base,
    attempts: u32,
    leased: bool,
    wish: Option<Wish>,
}

impl Committer {
    pub(super) fn update_step(
        &mut self,
        step: &UpdateStep,
        batch: &mut Batch,
    ) -> Result<Result<Stepped, SpoolError>, Failure> {
        let mut walk = step.walk.clone();
        let below = *walk.below.get_or_insert(self.sequences.message);
        if !walk.window_done {
            walk.window_done = self.split_matching(&walk, below, batch);
            self.flush_wholes(batch)?;
            if !walk.window_done {
                return Ok(Ok(Stepped { changed: 0, next: Some(walk) }));
            }
        }
        let keys: Vec<Key> = find::keys(&self.connection, &walk, STEP)?;
        let mut changed = 0;
        for (_, seq) in &keys {
            if let Some(target) = self.target(*seq)?
                && self.change(&target, &step.update, step.now, batch)?
            {
                changed += 1;
            }
        }
        let next = keys.last().filter(|_| keys.len() == STEP).map(|last| Walk { after: Some(*last), ..walk });
        Ok(Ok(Stepped { changed, next }))
    }

    /// Has fresh messages split in which something matches; true when there are no more.
    fn split_matching(&mut self, walk: &Walk, below: u64, batch: &mut Batch) -> bool {
        let window = self.shared.window();
        let mut count = 0;
        for whole in window.newest_before(below) {
            if !batch.is_leaving(whole.seq) && whole.slots.iter().any(|slot| walk.filter.matches(whole, slot)) {
                batch.wholes.entry(whole.seq).or_default();
                count += whole.slots.len();
            }
            if count >= STEP {
                return false;
            }
        }
        true
    }

    fn target(&mut self, seq: i64) -> Result<Option<Target>, Failure> {
        let sql =
            "SELECT d.message, m.id, d.id, d.recipient, d.domain, d.state, d.attempts, d.owner IS NOT NULL, d.wish
             FROM delivery d JOIN message m ON m.seq = d.message WHERE d.seq = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([seq])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let Some(state) = Base::from_column(row.get(5)?) else {
            return Ok(None);
        };
        Ok(Some(Target {
            seq: number(seq),
            message: number(row.get(0)?),
            message_id: MessageId::from_bytes(row.get(1)?),
            id: DeliveryId::from_bytes(row.get(2)?),
            recipient: row.get(3)?,
            domain: Arc::from(row.get::<_, String>(4)?),
            state,
            attempts: row.get(6)?,
            leased: row.get(7)?,
            wish: Wish::from_column(row.get(8)?),
        }))
    }

    /// Does the verb to one row; false when it has no meaning there.
    fn change(&mut self, row: &Target, update: &Update, now: Timestamp, batch: &mut Batch) -> Result<bool, Failure> {
        match update {
            Update::Hold if row.leased => match row.wish {
                None => self.set_wish(row, Some(Wish::Hold), batch),
                Some(Wish::Hold | Wish::Cancel) => Ok(false),
            },
            Update::Cancel if row.leased => match row.wish {
                None | Some(Wish::Hold) => self.set_wish(row, Some(Wish::Cancel), batch),
                Some(Wish::Cancel) => Ok(false),
            },
            Update::Release if row.leased => match row.wish {
                Some(Wish::Hold) => self.set_wish(row, None, batch),
                None | Some(Wish::Cancel) => Ok(false),
            },
            Update::Hold if row.state != Base::Held => {
                self.say(row, now, batch, |delivery, recipient| EventKind::Held { delivery, recipient });
                self.move_row(row, Base::Held, None, batch)
            }
            Update::Release if row.state == Base::Held => {
                self.say(row, now, batch, |delivery, recipient| EventKind::Released { delivery, recipient });
                self.move_row(row, waiting(row), Some(now), batch)
            }
            Update::Retry if !row.leased && row.state != Base::Held => {
                self.say(row, now, batch, |delivery, recipient| EventKind::Retried { delivery, recipient });
                self.move_row(row, waiting(row), Some(now), batch)
            }
            Update::Cancel => {
                self.say(row, now, batch, |delivery, recipient| EventKind::Cancelled { delivery, recipient });
                self.delete_row(row.seq, row.message, (&row.domain, row.state, row.attempts), batch)?;
                Ok(true)
            }
            Update::Reroute(route) => {
                let sql = "UPDATE delivery SET route = ?2 WHERE seq = ?1";
                self.connection.prepare_cached(sql)?.execute(params![column(row.seq), route])?;
                let route = route.clone();
                self.say(row, now, batch, |delivery, recipient| EventKind::Rerouted { delivery, recipient, route });
                Ok(true)
            }
            Update::Hold | Update::Release | Update::Retry => Ok(false),
        }
    }

    fn set_wish(&mut self, row: &Target, wish: Option<Wish>, batch: &mut Batch) -> Result<bool, Failure> {
        let sql = "UPDATE delivery SET wish = ?2 WHERE seq = ?1";
        self.connection.prepare_cached(sql)?.execute(params![column(row.seq), wish.map(|wish| wish as i64)])?;
        batch.wishes.push((row.id, wish));
        Ok(true)
    }

    fn move_row(
        &mut self,
        row: &Target,
        state: Base,
        due: Option<Timestamp>,
        batch: &mut Batch,
    ) -> Result<bool, Failure> {
        let sql = "UPDATE delivery SET state = ?2, due = ?3 WHERE seq = ?1";
        let params = params![column(row.seq), state as i64, due.map(micros)];
        self.connection.prepare_cached(sql)?.execute(params)?;
        self.count(&row.domain, row.state, -1, batch);
        self.count(&row.domain, state, 1, batch);
        Ok(true)
    }

    fn say(
        &self,
        row: &Target,
        at: Timestamp,
        batch: &mut Batch,
        kind: impl FnOnce(DeliveryId, mail::Mailbox) -> EventKind,
    ) {
        // A recipient that cannot be read has no event; the row itself is changed all the same.
        if let Ok(recipient) = row.recipient.parse() {
            batch.events.push(Event { at, message: row.message_id, kind: kind(row.id, recipient) }.encode());
        }
    }
}

/// The state of a row that waits for its next attempt.
fn waiting(row: &Target) -> Base {
    if row.attempts > 0 { Base::Deferred } else { Base::Queued }
}
