//! Making a message durable: what is prepared in the caller's task, and what the committer writes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mail::{Event, EventKind, Timestamp};
use rusqlite::{OptionalExtension as _, params};

use super::{
    batch::Batch,
    command::{Body, Commit},
    committer::{Committer, Failure, column, micros},
    delivery::{NewRow, Owner},
    fresh::{ContentRef, Slot, SlotState, Whole},
    row::{Base, StoredDelivery, encode},
    shared::Shared,
};
use crate::{
    CommitError, Committed, Delivery, Draft, Message, NewMessage, SpoolError,
    content::{INLINE_MAX, IncomingFile},
};

/// A commit whose content, when it is large, has yet to become a file of `content/`.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) commit: Box<Commit>,
    pub(super) large: Option<Large>,
}

/// Content for a file: what has one already, and what comes after that.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) file: Option<IncomingFile>,
    pub(super) rest: Vec<u8>,
}

/// Does all that needs no database.
pub(super) fn prepare(
    shared: &Shared,
    draft: Draft,
    message: NewMessage,
    now: Timestamp,
) -> Result<Prepared, SpoolError> {
    if message.deliveries.is_empty() {
        return Err(SpoolError::Io { what: format!("keeping {}", message.id), why: "it has no recipients".into() });
    }
    let size = draft.size() + message.prefix.len() as u64;
    let (place, memory, file) = draft.finish()?;
    let large = file.is_some() || memory.len() > INLINE_MAX;
    let (body, large) = if large {
        let (name, epoch) = place.name(message.id);
        (Body::File { name, epoch, prefix: message.prefix }, Some(Large { file, rest: memory }))
    } else {
        (Body::Inline(joined(&message.prefix, memory)), None)
    };
    let kept = match &body {
        Body::Inline(bytes) if shared.window().keeps_content(size) => Some(bytes.clone()),
        _ => None,
    };
    let recipients = message.deliveries.iter();
    let recipients = recipients.map(|new| (new.id, new.original.as_ref().unwrap_or(&new.recipient).clone())).collect();
    let kind = EventKind::Accepted { envelope: message.envelope.clone(), recipients, size };
    let stored: Vec<StoredDelivery> = message
        .deliveries
        .iter()
        .map(|new| StoredDelivery { id: new.id, recipient: new.recipient.clone(), original: new.original.clone() })
        .collect();
    let domains = {
        let names: Vec<String> = message.deliveries.iter().map(|new| new.recipient.domain.to_string()).collect();
        let window = shared.window();
        names.iter().map(|name| window.intern(name)).collect()
    };
    let commit = Commit {
        envelope: encode(&message.envelope),
        whole: encode(&stored),
        event: Event { at: now, message: message.id, kind }.encode(),
        domains,
        body,
        idempotency: message.idempotency.map(|(key, keep)| (key, now + keep)),
        not_before: message.not_before.filter(|time| *time > now),
        now,
        message: Arc::new(Message {
            id: message.id,
            envelope: message.envelope,
            size,
            received: now,
            expires: message.expires,
            content: kept,
        }),
        deliveries: message.deliveries,
        reply: None,
    };
    Ok(Prepared { commit: Box::new(commit), large })
}

fn joined(prefix: &Bytes, memory: Vec<u8>) -> Bytes {
    if prefix.is_empty() {
        return Bytes::from(memory);
    }
    let mut all = BytesMut::with_capacity(prefix.len() + memory.len());
    all.extend_from_slice(prefix);
    all.extend_from_slice(&memory);
    all.freeze()
}

impl Committer {
    pub(super) fn commit(
        &mut self,
        commit: &Commit,
        batch: &mut Batch,
    ) -> Result<Result<Committed, CommitError>, Failure> {
        if let Body::File { epoch, .. } = commit.body
            && epoch != self.epoch
        {
            // The queue was recovered since the file got its name: the sweep may already have taken it for an orphan.
            let why = "the queue was recovered meanwhile".into();
            return Ok(Err(SpoolError::Io { what: "keeping a message's file".into(), why }.into()));
        }
        if let Some(first) = self.known_key(commit)? {
            batch.files.extend(commit.body.file().map(str::to_owned));
            return Ok(Ok(Committed::Already(first)));
        }
        if let Some(taken) = self.taken_id(commit, batch)? {
            batch.files.extend(commit.body.file().map(str::to_owned));
            return Ok(Err(CommitError::DuplicateId(taken)));
        }
        let seq = self.take_sequences(commit.deliveries.len() as u64)?;
        let fresh = self.fits_window(commit, batch);
        let fence = self.next_fence();
        self.write_content(seq, &commit.body)?;
        self.write_message(seq, fence, commit, fresh)?;
        if let Some((key, expires)) = &commit.idempotency {
            let sql = "INSERT OR REPLACE INTO idempotency (key, message, expires) VALUES (?1, ?2, ?3)";
            let params = params![key, commit.message.id.to_bytes(), micros(*expires)];
            self.connection.prepare_cached(sql)?.execute(params)?;
        }
        if fresh {
            batch.fresh.push(whole(seq, fence, commit));
        } else {
            self.write_rows(seq, commit, batch)?;
        }
        batch.events.push(commit.event.clone());
        batch.committed += 1;
        Ok(Ok(Committed::New))
    }

    /// The message that committed under this key, while the key is kept.
    fn known_key(&mut self, commit: &Commit) -> Result<Option<mail::MessageId>, Failure> {
        let Some((key, _)) = &commit.idempotency else {
            return Ok(None);
        };
        let sql = "SELECT message FROM idempotency WHERE key = ?1 AND expires > ?2";
        let known: Option<[u8; 16]> = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![key, micros(commit.now)], |row| row.get(0))
            .optional()?;
        Ok(known.map(mail::MessageId::from_bytes))
    }

    /// The first id of this message that is in the queue already.
    fn taken_id(&mut self, commit: &Commit, batch: &mut Batch) -> Result<Option<String>, Failure> {
        let id = commit.message.id;
        {
            let window = self.shared.window();
            if window.knows_message(id) || !batch.messages.insert(id) {
                return Ok(Some(id.to_string()));
            }
            for new in &commit.deliveries {
                if window.knows_delivery(new.id) || !batch.deliveries.insert(new.id) {
                    return Ok(Some(new.id.to_string()));
                }
            }
        }
        if self.rows.total() == 0 {
            return Ok(None);
        }
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE id = ?1 AND whole IS NULL)";
        if self.connection.prepare_cached(sql)?.query_row([id.to_bytes()], |row| row.get(0))? {
            return Ok(Some(id.to_string()));
        }
        for new in &commit.deliveries {
            let sql = "SELECT EXISTS (SELECT 1 FROM delivery WHERE id = ?1)";
            if self.connection.prepare_cached(sql)?.query_row([new.id.to_bytes()], |row| row.get(0))? {
                return Ok(Some(new.id.to_string()));
            }
        }
        Ok(None)
    }

    /// Whether the message goes to the window; room for it is then reserved.
    fn fits_window(&self, commit: &Commit, batch: &mut Batch) -> bool {
        if commit.not_before.is_some() || commit.deliveries.iter().any(|new| new.held) {
            return false;
        }
        let fits = self.shared.window().reserve(&commit.domains);
        if fits {
            batch.reserved.extend(commit.domains.iter().cloned());
        }
        fits
    }

    fn write_content(&mut self, seq: u64, body: &Body) -> Result<(), Failure> {
        let sql = "INSERT INTO content (seq, refs, file, data) VALUES (?1, 1, ?2, ?3)";
        let (file, data) = match body {
            Body::Inline(bytes) => (None, Some(bytes.as_ref())),
            Body::File { name, .. } => (Some(name), None),
        };
        self.connection.prepare_cached(sql)?.execute(params![column(seq), file, data])?;
        Ok(())
    }

    fn write_message(&mut self, seq: u64, fence: u64, commit: &Commit, fresh: bool) -> Result<(), Failure> {
        let prefix = match &commit.body {
            Body::Inline(_) => None,
            Body::File { prefix, .. } => Some(prefix.as_ref()),
        };
        let sql = "INSERT INTO message
             (seq, id, received, expires, size, content, recipients, owner, lease_until, fence, prefix, envelope, whole)
             VALUES (?1, ?2, ?3, ?4, ?5, ?1, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let message = &commit.message;
        self.connection.prepare_cached(sql)?.execute(params![
            column(seq),
            message.id.to_bytes(),
            micros(message.received),
            micros(message.expires),
            column(message.size),
            column(commit.deliveries.len() as u64),
            fresh.then_some(self.epoch),
            fresh.then(|| micros(commit.now + super::lease::LEASE)),
            fresh.then(|| column(fence)),
            prefix,
            commit.envelope,
            fresh.then_some(&commit.whole),
        ])?;
        Ok(())
    }

    /// The rows of a message that is held, scheduled, or finds the window full.
    fn write_rows(&mut self, seq: u64, commit: &Commit, batch: &mut Batch) -> Result<(), Failure> {
        let owner = Owner::of(seq, &commit.message);
        for (offset, (new, domain)) in (0..).zip(commit.deliveries.iter().zip(&commit.domains)) {
            let (state, due) = match commit.not_before {
                _ if new.held => (Base::Held, None),
                Some(time) => (Base::Scheduled, Some(time)),
                None => (Base::Queued, Some(commit.now)),
            };
            let row = NewRow {
                seq: seq + offset,
                id: new.id,
                recipient: &new.recipient,
                original: new.original.as_ref(),
                domain,
                state,
                due,
                attempt: None,
                lease: None,
            };
            self.insert_row(&owner, &row, batch)?;
        }
        Ok(())
    }
}

/// The message as the window has it.
fn whole(seq: u64, fence: u64, commit: &Commit) -> Whole {
    let slot = |(new, domain): (&crate::NewDelivery, &Arc<str>)| Slot {
        delivery: Arc::new(Delivery {
            id: new.id,
            recipient: new.recipient.clone(),
            original: new.original.clone(),
            attempts: 0,
            forced_route: None,
        }),
        domain: Arc::clone(domain),
        state: SlotState::Waiting,
    };
    Whole {
        seq,
        message: Arc::clone(&commit.message),
        fence,
        content: ContentRef { seq, in_file: commit.body.file().is_some() },
        slots: commit.deliveries.iter().zip(&commit.domains).map(slot).collect(),
    }
}
