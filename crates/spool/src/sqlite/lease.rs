//! Leasing what is due, and moving what is fresh for too long to where that is done.
//!
//! Fair by construction: domains take turns by their earliest due time, each gets an equal share of what was asked for,
//! and a domain that is left alone costs one row, however much waits for it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mail::{DeliveryId, MessageId, Timestamp};
use rusqlite::{OptionalExtension as _, params};
use tokio::sync::mpsc;

use super::{
    batch::Batch,
    command::{Command, LeaseDue},
    committer::{Committer, Failure, column, micros, number},
    fresh::RowLease,
    row::{Base, decode},
};
use crate::{Delivery, Item, Lease, LeasedDelivery, Message};

/// How long an attempt may hold a lease; longer than all deadlines of a conversation together.
pub(super) const LEASE: Duration = Duration::from_secs(2 * 60 * 60);
/// Fresh deliveries that get their rows in one transaction.
const AGE_STEP: usize = 1_000;
/// Domains looked at for one call, those left alone included.
const DOMAINS_MAX: usize = 10_000;

/// Leases on their way to the caller. Dropped on the way, they go back.
#[derive(Debug)]
pub(super) struct Leased {
    items: Vec<Item>,
    now: Timestamp,
    back: mpsc::WeakSender<Command>,
}

impl Leased {
    pub(super) fn new(items: Vec<Item>, now: Timestamp, back: mpsc::WeakSender<Command>) -> Self {
        Self { items, now, back }
    }

    pub(super) fn take(mut self) -> Vec<Item> {
        std::mem::take(&mut self.items)
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let leases: Vec<(Lease, Timestamp)> =
            self.items.iter().flat_map(|item| &item.deliveries).map(|leased| (leased.lease, self.now)).collect();
        if leases.is_empty() {
            return;
        }
        let sent = self.back.upgrade().is_some_and(|sender| sender.try_send(Command::Return(leases)).is_ok());
        if !sent {
            tracing::warn!("leases could not be given back; they end by themselves, at the latest with the process");
        }
    }
}

/// A row that was picked.
struct Picked {
    lease: RowLease,
    delivery: Arc<Delivery>,
}

impl Committer {
    pub(super) fn lease_due(&mut self, asked: &LeaseDue, batch: &mut Batch) -> Result<Leased, Failure> {
        let domains = self.due_domains(asked)?;
        let share = (asked.limit / domains.len().max(1)).max(1);
        let mut picked = Vec::new();
        for domain in domains {
            let room = asked.limit.saturating_sub(picked.len());
            if room == 0 {
                break;
            }
            self.pick(&domain, share.min(room), asked.now, &mut picked, batch)?;
            self.touch(&domain, batch);
        }
        let items = self.hand_out(picked, batch)?;
        Ok(Leased::new(items, asked.now, self.back.clone()))
    }

    /// The domains with something due, the longest waiting first, without those to be left alone.
    fn due_domains(&mut self, asked: &LeaseDue) -> Result<Vec<Arc<str>>, Failure> {
        let sql = "SELECT domain FROM destination WHERE head <= ?1 ORDER BY head LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![micros(asked.now), DOMAINS_MAX as i64])?;
        let mut domains = Vec::new();
        while let Some(row) = rows.next()? {
            let domain = row.get_ref(0)?.as_str().unwrap_or_default();
            if !asked.skip.contains(domain) {
                domains.push(Arc::from(domain));
            }
            if domains.len() >= asked.limit {
                break;
            }
        }
        Ok(domains)
    }

    fn pick(
        &mut self,
        domain: &Arc<str>,
        limit: usize,
        now: Timestamp,
        picked: &mut Vec<Picked>,
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        let mut damaged = Vec::new();
        let first = picked.len();
        {
            let sql = "SELECT seq, message, id, state, attempts, recipient, original, route
                 FROM delivery INDEXED BY delivery_due
                 WHERE domain = ?1 AND due <= ?2 AND owner IS NULL AND due IS NOT NULL ORDER BY due LIMIT ?3";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![domain.as_ref(), micros(now), limit as i64])?;
            while let Some(row) = rows.next()? {
                match read_picked(row, domain, now)? {
                    Ok(one) => picked.push(one),
                    Err(seq) => damaged.push(seq),
                }
            }
        }
        let fences: Vec<u64> = picked.iter().skip(first).map(|_| self.next_fence()).collect();
        for (one, fence) in picked.iter_mut().skip(first).zip(fences) {
            one.lease.fence = fence;
            let sql = "UPDATE delivery SET owner = ?2, lease_until = ?3, fence = ?4 WHERE seq = ?1";
            let lease = &one.lease;
            self.connection.prepare_cached(sql)?.execute(params![
                column(lease.seq),
                self.epoch,
                micros(lease.until),
                column(lease.fence)
            ])?;
        }
        for seq in damaged {
            self.hold_damaged(seq, "its row cannot be understood", batch)?;
        }
        Ok(())
    }

    /// Joins what was picked with its messages.
    fn hand_out(&mut self, picked: Vec<Picked>, batch: &mut Batch) -> Result<Vec<Item>, Failure> {
        let mut items: Vec<Item> = Vec::new();
        let mut places: HashMap<u64, Option<usize>> = HashMap::new();
        for one in picked {
            let message = one.lease.message;
            let place = match places.get(&message) {
                Some(place) => *place,
                None => {
                    let place = self.read_message(message)?.map(|message| {
                        items.push(Item { message: Arc::new(message), deliveries: Vec::new() });
                        items.len() - 1
                    });
                    *places.entry(message).or_insert(place)
                }
            };
            let Some(item) = place.and_then(|place| items.get_mut(place)) else {
                self.hold_damaged(one.lease.seq, "its message cannot be read", batch)?;
                continue;
            };
            let lease = Lease { delivery: one.delivery.id, fence: one.lease.fence };
            item.deliveries.push(LeasedDelivery { lease, delivery: one.delivery });
            batch.leased.push((lease.delivery, one.lease));
        }
        Ok(items)
    }

    fn read_message(&mut self, seq: u64) -> Result<Option<Message>, Failure> {
        let sql = "SELECT id, received, expires, size, envelope FROM message WHERE seq = ?1";
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row([column(seq)], |row| {
                let envelope: Vec<u8> = row.get(4)?;
                Ok(decode(&envelope).ok().map(|envelope| (row.get(0), row.get(1), row.get(2), row.get(3), envelope)))
            })
            .optional()?
            .flatten();
        let Some((id, received, expires, size, envelope)) = found else {
            return Ok(None);
        };
        Ok(Some(Message {
            id: MessageId::from_bytes(id?),
            envelope,
            size: number(size?),
            received: Timestamp::from_micros(received?),
            expires: Timestamp::from_micros(expires?),
            content: None,
        }))
    }

    /// Sets a delivery aside that cannot be attempted: it waits for an operator, the rest goes on.
    fn hold_damaged(&mut self, seq: u64, why: &str, batch: &mut Batch) -> Result<(), Failure> {
        let found: Option<(String, i64)> = self
            .connection
            .prepare_cached("SELECT domain, state FROM delivery WHERE seq = ?1")?
            .query_row([column(seq)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((domain, state)) = found else {
            return Ok(());
        };
        let sql = "UPDATE delivery SET state = ?2, due = NULL, owner = NULL, lease_until = NULL, fence = NULL
             WHERE seq = ?1";
        self.connection.prepare_cached(sql)?.execute(params![column(seq), Base::Held as i64])?;
        let domain = Arc::from(domain);
        self.count(&domain, Base::from_column(state).unwrap_or(Base::Queued), -1, batch);
        self.count(&domain, Base::Held, 1, batch);
        self.shared.alert(format!("a delivery in the queue is damaged and held (number {seq}): {why}"));
        Ok(())
    }

    /// Gives rows to what is fresh for too long.
    pub(super) fn age(&mut self, now: Timestamp, batch: &mut Batch) -> Result<(), Failure> {
        let old: Vec<(u64, usize)> = {
            let mut window = self.shared.window();
            let Some(below) = window.aged(now) else {
                return Ok(());
            };
            let old = window.oldest_from(0).take_while(|whole| whole.seq < below);
            old.map(|whole| (whole.seq, whole.slots.len())).take(AGE_STEP).collect()
        };
        let mut count = 0;
        for (seq, deliveries) in old {
            if batch.is_leaving(seq) {
                continue;
            }
            batch.wholes.entry(seq).or_default();
            count += deliveries;
            if count >= AGE_STEP {
                break;
            }
        }
        Ok(())
    }
}

/// A row of the due index; the number alone when it cannot be understood.
fn read_picked(row: &rusqlite::Row<'_>, domain: &Arc<str>, now: Timestamp) -> rusqlite::Result<Result<Picked, u64>> {
    let seq = number(row.get(0)?);
    let recipient: String = row.get(5)?;
    let original: Option<String> = row.get(6)?;
    let (Ok(recipient), Some(state)) = (recipient.parse(), Base::from_column(row.get(3)?)) else {
        return Ok(Err(seq));
    };
    let attempts: u32 = row.get(4)?;
    let delivery = Delivery {
        id: DeliveryId::from_bytes(row.get(2)?),
        recipient,
        original: original.and_then(|text| text.parse().ok()),
        attempts,
        forced_route: row.get(7)?,
    };
    let lease = RowLease {
        seq,
        message: number(row.get(1)?),
        fence: 0,
        until: now + LEASE,
        domain: Arc::clone(domain),
        state,
        attempts,
        wish: None,
    };
    Ok(Ok(Picked { lease, delivery: Arc::new(delivery) }))
}
