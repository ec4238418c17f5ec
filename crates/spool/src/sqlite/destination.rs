//! The numbers of domains and their earliest due times: what makes leasing fair and counting cheap. Changed in memory
//! while a transaction runs, written once per domain at its end.

use std::sync::Arc;

use rusqlite::params;

use super::{
    batch::Batch,
    committer::{Committer, Failure},
    row::{Base, Tally},
};

/// What one transaction changes for one domain.
#[derive(Debug, Default)]
pub(super) struct Change {
    rows: Tally,
}

impl Committer {
    /// Counts rows of a domain; also says that its earliest due time may have changed.
    pub(super) fn count(&mut self, domain: &Arc<str>, state: Base, n: i64, batch: &mut Batch) {
        batch.destinations.entry(Arc::clone(domain)).or_default().rows.add(state, n);
        self.rows.add(state, n);
        batch.rows.add(state, n);
        batch.counted = true;
    }

    /// Says that the earliest due time of a domain may have changed.
    pub(super) fn touch(&self, domain: &Arc<str>, batch: &mut Batch) {
        batch.destinations.entry(Arc::clone(domain)).or_default();
    }

    pub(super) fn flush_destinations(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        if batch.destinations.is_empty() {
            return Ok(());
        }
        for (domain, change) in std::mem::take(&mut batch.destinations) {
            self.write_destination(&domain, &change.rows)?;
        }
        self.write_counters(&std::mem::take(&mut batch.rows))?;
        let sql = "SELECT min(head) FROM destination WHERE head IS NOT NULL";
        let head: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        batch.due_head = Some(head.unwrap_or(i64::MAX));
        Ok(())
    }

    fn write_destination(&mut self, domain: &str, rows: &Tally) -> Result<(), Failure> {
        let sql = "INSERT INTO destination (domain, queued, deferred, scheduled, held, total, head)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6,
                (SELECT min(due) FROM delivery WHERE domain = ?1 AND owner IS NULL AND due IS NOT NULL))
             ON CONFLICT (domain) DO UPDATE SET queued = queued + excluded.queued,
                deferred = deferred + excluded.deferred, scheduled = scheduled + excluded.scheduled,
                held = held + excluded.held, total = total + excluded.total, head = excluded.head
             RETURNING total";
        let [queued, deferred, scheduled, held] = Base::ALL.map(|state| rows.get(state));
        let total: i64 = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![domain, queued, deferred, scheduled, held, rows.total()], |row| row.get(0))?;
        debug_assert!(total >= 0, "a domain never has less than nothing");
        if total <= 0 {
            self.connection.prepare_cached("DELETE FROM destination WHERE domain = ?1")?.execute([domain])?;
        }
        Ok(())
    }

    fn write_counters(&mut self, rows: &Tally) -> Result<(), Failure> {
        for state in Base::ALL {
            let n = rows.get(state);
            if n != 0 {
                let sql = "INSERT INTO counter (state, n) VALUES (?1, ?2)
                     ON CONFLICT (state) DO UPDATE SET n = n + excluded.n";
                self.connection.prepare_cached(sql)?.execute(params![state as i64, n])?;
            }
        }
        Ok(())
    }
}
