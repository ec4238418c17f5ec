//! Events on their way to the store, and captured messages: what is read in order and forgotten from its beginning.

use mail::{MessageId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    committer::{Committer, Failure, column, number},
    row::{decode, unpack_events},
};
use crate::{CaptureView, OutboxEntry};

/// Entries of one answer.
const ENTRIES_MAX: usize = 10_000;
/// Captured messages of one answer.
const CAPTURED_MAX: usize = 1_000;

impl Committer {
    /// Forgets records whose last entry is among those that the store has.
    pub(super) fn trim_outbox(&mut self, through: u64) -> Result<(), Failure> {
        let sql = "DELETE FROM outbox WHERE first <= ?1 AND last <= ?1";
        self.connection.prepare_cached(sql)?.execute([column(through)])?;
        Ok(())
    }
}

/// Entries after a sequence.
pub(super) fn entries(connection: &Connection, after: u64, limit: usize) -> rusqlite::Result<Vec<OutboxEntry>> {
    let limit = limit.min(ENTRIES_MAX);
    let mut entries = Vec::new();
    // The record that `after` lies in may have more.
    let first: i64 = connection
        .prepare_cached("SELECT first FROM outbox WHERE first <= ?1 ORDER BY first DESC LIMIT 1")?
        .query_row([column(after)], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let mut statement =
        connection.prepare_cached("SELECT first, events FROM outbox WHERE first >= ?1 ORDER BY first")?;
    let mut rows = statement.query([first])?;
    while entries.len() < limit
        && let Some(row) = rows.next()?
    {
        let first = number(row.get(0)?);
        match unpack_events(row.get(1)?) {
            Ok(events) => {
                let numbered = (first..).zip(events).map(|(sequence, event)| OutboxEntry { sequence, event });
                entries.extend(numbered.filter(|entry| entry.sequence > after).take(limit - entries.len()));
            }
            Err(why) => tracing::error!(first, why, "events of the outbox are damaged and passed over"),
        }
    }
    Ok(entries)
}

/// Captured messages that came before one, newest first.
pub(super) fn captured(
    connection: &Connection,
    before: Option<MessageId>,
    limit: usize,
) -> rusqlite::Result<Vec<CaptureView>> {
    let before: i64 = match before {
        None => i64::MAX,
        Some(id) => connection
            .prepare_cached("SELECT seq FROM captured WHERE id = ?1")?
            .query_row([id.to_bytes()], |row| row.get(0))
            .optional()?
            // One that is not there was the oldest when it went: nothing comes before it.
            .unwrap_or(0),
    };
    let sql = "SELECT id, at, reverse_path, recipients, size FROM captured WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit.min(CAPTURED_MAX)).unwrap_or(0);
    let mut rows = statement.query(params![before, limit])?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        let path: String = row.get(2)?;
        let recipients: Vec<u8> = row.get(3)?;
        let (Ok(reverse_path), Ok(recipients)) = (path.parse(), decode(&recipients)) else {
            tracing::warn!("a captured message cannot be understood and is not listed");
            continue;
        };
        views.push(CaptureView {
            id: MessageId::from_bytes(row.get(0)?),
            at: Timestamp::from_micros(row.get(1)?),
            reverse_path,
            recipients,
            size: number(row.get(4)?),
        });
    }
    Ok(views)
}
