//! Taking over what can be read of a database that is damaged: every table is read from its beginning up to the first
//! page that cannot be read, then from its end down to it.

use std::{fmt, path::Path};

use rusqlite::{Connection, OpenFlags, params_from_iter, types::Value};

/// Tables with the column that orders them. `destination` and `counter` are counted again.
const TABLES: [(&str, &str); 8] = [
    ("meta", "key"),
    ("message", "seq"),
    ("delivery", "seq"),
    ("attempt", "seq"),
    ("content", "seq"),
    ("captured", "seq"),
    ("idempotency", "key"),
    ("outbox", "first"),
];

/// What was taken over.
#[derive(Debug, Default)]
pub(super) struct Report {
    messages: usize,
    deliveries: usize,
    /// Messages without content or recipients.
    incomplete: usize,
    /// Tables that could not be read to their end.
    cut: Vec<&'static str>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages and {} waiting deliveries were taken over", self.messages, self.deliveries)?;
        if self.incomplete > 0 {
            write!(f, ", {} messages had lost their content or recipients", self.incomplete)?;
        }
        if self.cut.is_empty() { Ok(()) } else { write!(f, ", not all could be read of: {}", self.cut.join(", ")) }
    }
}

/// Copies what can be read from the file into an empty database of ours.
pub(super) fn run(from: &Path, to: &mut Connection) -> rusqlite::Result<Report> {
    let mut report = Report::default();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(source) = Connection::open_with_flags(from, flags) else {
        return Ok(report);
    };
    let transaction = to.transaction()?;
    for (table, key) in TABLES {
        let columns = columns(&transaction, table)?;
        let (count, whole) = copy(&source, &transaction, table, key, &columns)?;
        match table {
            "message" => report.messages = count,
            "delivery" => report.deliveries = count,
            _ => {}
        }
        if !whole {
            report.cut.push(table);
        }
    }
    report.incomplete = mend(&transaction)?;
    report.messages = report.messages.saturating_sub(report.incomplete);
    transaction.commit()?;
    Ok(report)
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}

/// Copies one table. How many rows, and whether that was all.
fn copy(
    source: &Connection,
    target: &Connection,
    table: &str,
    key: &str,
    columns: &[String],
) -> rusqlite::Result<(usize, bool)> {
    let places = vec!["?"; columns.len()].join(", ");
    let names = columns.join(", ");
    // The new database has a name of its own, which gives way to the old one.
    let verb = if table == "meta" { "REPLACE" } else { "IGNORE" };
    let mut insert = target.prepare(&format!("INSERT OR {verb} INTO {table} ({names}) VALUES ({places})"))?;
    let mut count = 0;
    for direction in ["ASC", "DESC"] {
        let sql = format!("SELECT {names} FROM {table} ORDER BY {key} {direction}");
        let Ok(mut select) = source.prepare(&sql) else {
            return Ok((count, false));
        };
        let Ok(mut rows) = select.query([]) else {
            return Ok((count, false));
        };
        loop {
            match rows.next() {
                Ok(None) => return Ok((count, true)),
                Ok(Some(row)) => {
                    let values: Result<Vec<Value>, _> = (0..columns.len()).map(|at| row.get(at)).collect();
                    let Ok(values) = values else {
                        break;
                    };
                    match insert.execute(params_from_iter(values)) {
                        Ok(changed) => count += changed,
                        Err(error) if is_constraint(&error) => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(_) => break,
            }
        }
    }
    Ok((count, false))
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

/// Makes the copied rows agree with each other. Returns how many messages cannot be delivered any more.
fn mend(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute_batch(
        "DELETE FROM delivery WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.seq = delivery.message);
         DELETE FROM captured WHERE NOT EXISTS (SELECT 1 FROM content WHERE content.seq = captured.content);",
    )?;
    let incomplete = connection.execute(
        "DELETE FROM message WHERE NOT EXISTS (SELECT 1 FROM content WHERE content.seq = message.content)
         OR (whole IS NULL AND NOT EXISTS (SELECT 1 FROM delivery
             WHERE delivery.seq >= message.seq AND delivery.seq < message.seq + message.recipients))",
        [],
    )?;
    connection.execute_batch(
        "DELETE FROM delivery WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.seq = delivery.message);
         DELETE FROM attempt WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.seq = attempt.seq);
         CREATE TEMP TABLE referred AS SELECT content FROM message UNION ALL SELECT content FROM captured;
         CREATE INDEX temp.referred_content ON referred (content);
         UPDATE content SET refs = (SELECT count(*) FROM referred WHERE referred.content = content.seq);
         DROP TABLE referred;
         DELETE FROM content WHERE refs = 0;
         INSERT INTO destination SELECT domain, sum(state = 0), sum(state = 1), sum(state = 2), sum(state = 3), count(*),
             min(CASE WHEN owner IS NULL THEN due END) FROM delivery GROUP BY domain;
         INSERT INTO counter SELECT state, count(*) FROM delivery GROUP BY state;
         INSERT OR REPLACE INTO meta (key, value) VALUES ('low_water', 0);
         INSERT OR REPLACE INTO meta (key, value) SELECT 'message_reserved',
             max(coalesce((SELECT value FROM meta WHERE key = 'message_reserved'), 0),
                 coalesce((SELECT max(seq) FROM message), 0), coalesce((SELECT max(seq) FROM delivery), 0)) + 1000001;
         INSERT OR REPLACE INTO meta (key, value) SELECT 'outbox_reserved',
             max(coalesce((SELECT value FROM meta WHERE key = 'outbox_reserved'), 0),
                 coalesce((SELECT max(last) FROM outbox), 0)) + 1000001;",
    )?;
    Ok(incomplete)
}
