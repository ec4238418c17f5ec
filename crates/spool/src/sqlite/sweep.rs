//! What retention no longer wants, and what nobody refers to.

use std::{sync::Arc, time::Duration};

use mail::Timestamp;
use rusqlite::{Connection, params};

use super::{
    batch::Batch,
    committer::{Committer, Failure, column, micros, number},
    files::Files,
    fresh::ContentRef,
    reader::Reader,
    shared::Shared,
};
use crate::{SpoolError, content::Place};

/// Idempotency keys forgotten in one transaction.
const KEYS_STEP: i64 = 5_000;
/// Captured messages forgotten in one transaction.
const CAPTURED_STEP: i64 = 500;
/// More than this between two sweeps is taken for a step of the clock.
const CLOCK_STEP: Duration = Duration::from_secs(60 * 60);
/// Names of files looked up together.
const NAMES_STEP: usize = 500;

impl Committer {
    /// One bounded step; true when there is more.
    pub(super) fn sweep_step(&mut self, now: Timestamp, captured_max: u64, batch: &mut Batch) -> Result<bool, Failure> {
        self.end_leases(now, batch)?;
        let sql = "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE expires <= ?1 LIMIT ?2)";
        let keys = self.connection.prepare_cached(sql)?.execute(params![micros(now), KEYS_STEP])?;
        let captured = self.forget_captured(captured_max, batch)?;
        Ok(i64::try_from(keys).unwrap_or(0) == KEYS_STEP || captured == CAPTURED_STEP)
    }

    /// Ends leases whose time is over. A wall clock that was set forward ends none: their attempts go on.
    fn end_leases(&mut self, now: Timestamp, batch: &mut Batch) -> Result<(), Failure> {
        let before = self.swept.replace(now);
        let passed = before.map_or(Duration::ZERO, |before| now.since(before));
        if passed > CLOCK_STEP {
            self.shared.window().extend_leases(passed);
        }
        let overdue = self.shared.window().overdue(now);
        for lease in overdue {
            tracing::warn!(delivery = %lease.delivery, "a lease ended without a settlement; the delivery is tried again");
            self.park(lease, now, batch)?;
        }
        Ok(())
    }

    fn forget_captured(&mut self, keep: u64, batch: &mut Batch) -> Result<i64, Failure> {
        let count: i64 =
            self.connection.prepare_cached("SELECT count(*) FROM captured")?.query_row([], |row| row.get(0))?;
        let excess = count.saturating_sub(column(keep)).clamp(0, CAPTURED_STEP);
        if excess == 0 {
            return Ok(0);
        }
        let oldest: Vec<(i64, ContentRef)> = {
            let sql = "SELECT seq, content, prefix IS NOT NULL FROM captured ORDER BY seq LIMIT ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([excess], |row| {
                Ok((row.get(0)?, ContentRef { seq: number(row.get(1)?), in_file: row.get(2)? }))
            })?;
            rows.collect::<Result<_, _>>()?
        };
        for (seq, content) in oldest {
            self.connection.prepare_cached("DELETE FROM captured WHERE seq = ?1")?.execute([seq])?;
            self.release_content(content, batch)?;
        }
        Ok(excess)
    }
}

/// Has files removed that no row refers to. Only those of earlier epochs can be such: what fails within this one is
/// removed at once.
pub(super) async fn orphans(shared: &Arc<Shared>, files: &Files, reader: &Reader) -> Result<(), SpoolError> {
    let epoch = shared.place.epoch();
    if !shared.take_orphans_wanted() {
        return Ok(());
    }
    let place = shared.place.clone();
    let names = tokio::task::spawn_blocking(move || place.disk.list(&place.content));
    let names = names.await.map_err(|_| SpoolError::Closed)?;
    let names = names.map_err(|error| crate::content::io_error("listing", &shared.place.content, &error))?;
    let old: Vec<String> =
        names.into_iter().filter(|name| Place::epoch_of(name).is_some_and(|named| named < epoch)).collect();
    for names in old.chunks(NAMES_STEP) {
        let names = names.to_vec();
        let orphans = reader.ask(move |connection| unreferred(connection, names)).await?;
        if !orphans.is_empty() {
            tracing::info!(count = orphans.len(), "removing content files that no message refers to");
            files.remove(orphans);
        }
    }
    Ok(())
}

/// Those of the names that no row of `content` has.
pub(super) fn unreferred(connection: &Connection, names: Vec<String>) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM content WHERE file = ?1 AND file IS NOT NULL)")?;
    let mut orphans = Vec::new();
    for name in names {
        if !statement.query_row([&name], |row| row.get::<_, bool>(0))? {
            orphans.push(name);
        }
    }
    Ok(orphans)
}
