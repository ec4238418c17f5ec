//! Rows of `delivery`: written when a delivery did not end at once, and the numbers that go with them.

use std::sync::Arc;

use mail::{DeliveryId, Mailbox, Timestamp};
use rusqlite::params;

use super::{
    batch::Batch,
    command::Attempt,
    committer::{Committer, Failure, column, micros},
    fresh::RowLease,
    row::Base,
};
use crate::Message;

/// The message of rows being written.
#[derive(Debug)]
pub(super) struct Owner<'a> {
    pub(super) seq: u64,
    pub(super) received: Timestamp,
    /// For filters: the reverse-path in lower case, empty for the null path.
    sender: String,
    sender_domain: String,
    message: &'a Message,
}

impl<'a> Owner<'a> {
    pub(super) fn of(seq: u64, message: &'a Message) -> Self {
        let sender = message.envelope.reverse_path.mailbox();
        Self {
            seq,
            received: message.received,
            sender: sender.map(Mailbox::folded).unwrap_or_default(),
            sender_domain: sender.map(|mailbox| mailbox.domain.to_string()).unwrap_or_default(),
            message,
        }
    }
}

/// A delivery that gets its row.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub(super) seq: u64,
    pub(super) id: DeliveryId,
    pub(super) recipient: &'a Mailbox,
    pub(super) original: Option<&'a Mailbox>,
    pub(super) domain: &'a Arc<str>,
    pub(super) state: Base,
    pub(super) due: Option<Timestamp>,
    pub(super) attempt: Option<&'a Attempt>,
    /// Fence and end of a lease that goes on.
    pub(super) lease: Option<(u64, Timestamp)>,
}

impl Committer {
    pub(super) fn insert_row(&mut self, owner: &Owner<'_>, row: &NewRow<'_>, batch: &mut Batch) -> Result<(), Failure> {
        debug_assert!(row.seq >= owner.seq, "a delivery's number follows its message's");
        let leased = row.lease.map(|_| self.epoch);
        let sql = "INSERT INTO delivery
             (seq, message, id, state, due, received, attempts, owner, lease_until, fence, domain, recipient, original,
              sender, sender_domain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
        self.connection.prepare_cached(sql)?.execute(params![
            column(row.seq),
            column(owner.seq),
            row.id.to_bytes(),
            row.state as i64,
            row.due.map(micros),
            micros(owner.message.received),
            i64::from(row.attempt.is_some()),
            leased,
            row.lease.map(|(_, until)| micros(until)),
            row.lease.map(|(fence, _)| column(fence)),
            row.domain.as_ref(),
            row.recipient.to_string(),
            row.original.map(ToString::to_string),
            owner.sender,
            owner.sender_domain,
        ])?;
        if let Some(attempt) = row.attempt {
            self.write_attempt(row.seq, attempt)?;
        }
        self.count(row.domain, row.state, 1, batch);
        if let Some((fence, until)) = row.lease {
            let lease = RowLease {
                seq: row.seq,
                message: owner.seq,
                fence,
                until,
                domain: Arc::clone(row.domain),
                state: row.state,
                attempts: 0,
                wish: None,
            };
            batch.leased.push((row.id, lease));
        }
        Ok(())
    }

    /// Keeps how the last attempt ended.
    pub(super) fn write_attempt(&mut self, seq: u64, attempt: &Attempt) -> Result<(), Failure> {
        let sql = "INSERT OR REPLACE INTO attempt (seq, at, outcome, source, transcript) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.connection.prepare_cached(sql)?.execute(params![
            column(seq),
            micros(attempt.at),
            attempt.outcome,
            attempt.source,
            attempt.transcript,
        ])?;
        Ok(())
    }

    /// Deletes a row; its message goes with the last one.
    pub(super) fn delete_row(
        &mut self,
        seq: u64,
        message: u64,
        (domain, state, attempts): (&Arc<str>, Base, u32),
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        self.connection.prepare_cached("DELETE FROM delivery WHERE seq = ?1")?.execute([column(seq)])?;
        if attempts > 0 {
            self.connection.prepare_cached("DELETE FROM attempt WHERE seq = ?1")?.execute([column(seq)])?;
        }
        self.count(domain, state, -1, batch);
        batch.shrunk.insert(message);
        Ok(())
    }

    /// Ends a lease: the row waits with this state and due time.
    pub(super) fn release_row(
        &mut self,
        lease: &RowLease,
        (state, due, attempts): (Base, Option<Timestamp>, u32),
        batch: &mut Batch,
    ) -> Result<(), Failure> {
        let sql = "UPDATE delivery SET state = ?2, due = ?3, attempts = ?4, wish = NULL, owner = NULL,
             lease_until = NULL, fence = NULL WHERE seq = ?1";
        self.connection.prepare_cached(sql)?.execute(params![
            column(lease.seq),
            state as i64,
            due.map(micros),
            attempts
        ])?;
        self.count(&lease.domain, lease.state, -1, batch);
        self.count(&lease.domain, state, 1, batch);
        Ok(())
    }
}
