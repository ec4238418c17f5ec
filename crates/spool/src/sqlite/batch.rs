//! What one transaction gathers: changes to memory that become true with its COMMIT, and what is best written once at
//! its end.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use mail::{DeliveryId, MessageId, Timestamp};
use rusqlite::{OptionalExtension as _, params};

use super::{
    command::Fate,
    committer::{Committer, Failure, column, number},
    delivery::{NewRow, Owner},
    destination::Change,
    files::Files,
    fresh::{ContentRef, RowLease, Slot, SlotState, Taken, Whole, Window},
    row::{Base, Tally, Wish, pack_events},
};

/// How far the low-water mark on the disk may lag behind: what a restart reads in vain.
const LOW_WATER_LAG_MAX: u64 = 50_000;

/// The gathered changes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Messages committed here.
    pub(super) committed: u64,
    /// Encoded events, in order.
    pub(super) events: Vec<Vec<u8>>,
    /// Ids of messages committed here.
    pub(super) messages: HashSet<MessageId>,
    /// Ids of their deliveries.
    pub(super) deliveries: HashSet<DeliveryId>,
    /// Messages for the window.
    pub(super) fresh: Vec<Whole>,
    /// Room reserved in the window.
    pub(super) reserved: Vec<Arc<str>>,
    /// The latest time that a command brought.
    pub(super) now: Option<Timestamp>,
    /// Whole messages with a change: what becomes of their deliveries, by index.
    pub(super) wholes: BTreeMap<u64, HashMap<usize, Fate>>,
    /// Leases taken out of the window.
    pub(super) taken: Vec<(DeliveryId, Taken)>,
    /// Messages with rows of which one went away.
    pub(super) shrunk: BTreeSet<u64>,
    /// Changes to the numbers of domains.
    pub(super) destinations: HashMap<Arc<str>, Change>,
    /// The same, over all domains.
    pub(super) rows: Tally,
    /// Whether rows were counted at all.
    pub(super) counted: bool,
    /// Leases on rows, to note.
    pub(super) leased: Vec<(DeliveryId, RowLease)>,
    /// Wishes about leased rows, to note.
    pub(super) wishes: Vec<(DeliveryId, Option<Wish>)>,
    /// Content files to remove.
    pub(super) files: Vec<String>,
    /// The earliest due time, when it was asked.
    pub(super) due_head: Option<i64>,
    pub(super) outbox_last: Option<u64>,
    frozen: Vec<u64>,
    /// Whole messages that leave the window.
    left: HashSet<u64>,
}

impl Batch {
    /// Whether a message of the window has its rows already, in this transaction.
    pub(super) fn is_leaving(&self, seq: u64) -> bool {
        self.left.contains(&seq)
    }

    /// Takes back what the window was told: the transaction failed.
    pub(super) fn undo(self, window: &mut Window) {
        for (delivery, taken) in self.taken.into_iter().rev() {
            window.put_back(delivery, taken);
        }
        for seq in self.frozen {
            window.unfreeze(seq);
        }
        window.release(&self.reserved);
    }

    /// Tells the window: the transaction is durable. True when there is something new to lease.
    pub(super) fn apply(self, window: &mut Window, files: &Files) -> bool {
        for seq in self.left {
            window.remove(seq);
        }
        for (delivery, row) in self.leased {
            window.add_row(delivery, row);
        }
        for (delivery, wish) in self.wishes {
            window.wish(delivery, wish);
        }
        let wake = !self.fresh.is_empty();
        let next = self.fresh.last().map(|whole| whole.seq + whole.slots.len() as u64);
        for whole in self.fresh {
            window.insert(whole);
        }
        if let (Some(now), Some(next)) = (self.now, next) {
            window.mark(now, next);
        }
        files.remove(self.files);
        wake
    }
}

impl Committer {
    /// Writes what was gathered, last of all the outbox.
    pub(super) fn finish(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        if let Some(now) = batch.now {
            self.age(now, batch)?;
        }
        self.flush_wholes(batch)?;
        self.flush_shrunk(batch)?;
        self.flush_destinations(batch)?;
        self.flush_outbox(batch)?;
        self.move_low_water(batch.fresh.first().map(|whole| whole.seq), LOW_WATER_LAG_MAX)
    }

    /// Deletes whole messages all of whose deliveries are gone, and splits the others that changed.
    pub(super) fn flush_wholes(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        for (seq, fates) in std::mem::take(&mut batch.wholes) {
            if batch.is_leaving(seq) {
                // A verb had it split earlier in this transaction, and then a lease on it was settled: done again one
                // by one, the settlement finds the row.
                return Err(Failure::Operation("a message was split and settled in one transaction".into()));
            }
            let (message, fence, content, slots) = {
                let mut window = self.shared.window();
                window.freeze(seq);
                let Some(whole) = window.get(seq) else {
                    continue;
                };
                (Arc::clone(&whole.message), whole.fence, whole.content, whole.slots.clone())
            };
            batch.frozen.push(seq);
            batch.left.insert(seq);
            let gone = |(index, slot): (usize, &Slot)| {
                slot.state == SlotState::Settled && matches!(fates.get(&index), Some(Fate::Gone))
            };
            if slots.iter().enumerate().all(gone) {
                self.connection.prepare_cached("DELETE FROM message WHERE seq = ?1")?.execute([column(seq)])?;
                self.release_content(content, batch)?;
            } else {
                let split =
                    "UPDATE message SET whole = NULL, owner = NULL, lease_until = NULL, fence = NULL WHERE seq = ?1";
                self.connection.prepare_cached(split)?.execute([column(seq)])?;
                self.split(&Owner::of(seq, &message), fence, &slots, &fates, batch)?;
            }
        }
        Ok(())
    }

    /// Gives every delivery that goes on its row.
    fn split(
        &mut self,
        owner: &Owner<'_>,
        fence: u64,
        slots: &[Slot],
        fates: &HashMap<usize, Fate>,
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        for (index, slot) in slots.iter().enumerate() {
            let mut row = NewRow {
                seq: owner.seq + index as u64,
                id: slot.delivery.id,
                recipient: &slot.delivery.recipient,
                original: slot.delivery.original.as_ref(),
                domain: &slot.domain,
                state: Base::Queued,
                due: Some(owner.received),
                attempt: None,
                lease: None,
            };
            match (slot.state, fates.get(&index)) {
                (_, Some(Fate::Gone)) => continue,
                (_, Some(Fate::Waits { state, due, attempt })) => {
                    (row.state, row.due, row.attempt) = (*state, *due, attempt.as_deref());
                }
                (SlotState::Leased { until }, None) => row.lease = Some((fence, until)),
                (SlotState::Waiting | SlotState::Settled, None) => {}
            }
            self.insert_row(owner, &row, batch)?;
        }
        Ok(())
    }

    /// Deletes messages with rows once their last row is gone.
    fn flush_shrunk(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        for seq in std::mem::take(&mut batch.shrunk) {
            let left: bool = self
                .connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM delivery, message ON message.seq = ?1
                     WHERE delivery.seq >= ?1 AND delivery.seq < ?1 + message.recipients)",
                )?
                .query_row([column(seq)], |row| row.get(0))?;
            if !left {
                self.delete_message(seq, batch)?;
            }
        }
        Ok(())
    }

    /// Deletes a message and lets go of its content.
    fn delete_message(&mut self, seq: u64, batch: &mut Batch) -> Result<(), Failure> {
        let content = self
            .connection
            .prepare_cached("SELECT content, prefix IS NOT NULL FROM message WHERE seq = ?1")?
            .query_row([column(seq)], |row| Ok(ContentRef { seq: number(row.get(0)?), in_file: row.get(1)? }))
            .optional()?;
        self.connection.prepare_cached("DELETE FROM message WHERE seq = ?1")?.execute([column(seq)])?;
        content.map_or(Ok(()), |content| self.release_content(content, batch))
    }

    /// Counts a content down; the last one frees it, its file after the transaction.
    pub(super) fn release_content(&mut self, content: ContentRef, batch: &mut Batch) -> Result<(), Failure> {
        let seq = column(content.seq);
        let file: Option<String> = if content.in_file {
            let mut statement = self.connection.prepare_cached("SELECT file FROM content WHERE seq = ?1")?;
            statement.query_row([seq], |row| row.get(0)).optional()?.flatten()
        } else {
            None
        };
        let sql = "DELETE FROM content WHERE seq = ?1 AND refs = 1";
        if self.connection.prepare_cached(sql)?.execute([seq])? == 1 {
            batch.files.extend(file);
        } else {
            let sql = "UPDATE content SET refs = refs - 1 WHERE seq = ?1";
            self.connection.prepare_cached(sql)?.execute([seq])?;
        }
        Ok(())
    }

    fn flush_outbox(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        if batch.events.is_empty() {
            return Ok(());
        }
        let count = batch.events.len() as u64;
        let first = self.take_places(count)?;
        let last = first + count - 1;
        let sql = "INSERT INTO outbox (first, last, events) VALUES (?1, ?2, ?3)";
        let packed = pack_events(&batch.events);
        self.connection.prepare_cached(sql)?.execute(params![column(first), column(last), packed])?;
        batch.outbox_last = Some(last);
        Ok(())
    }
}
