//! Taking over what can be read of a database that is damaged. Its pages are read one by one without SQLite, and every
//! row of ours on them is taken over: a damaged page costs what stood on it and nothing else.

mod pages;
mod record;

use std::fmt;

use rusqlite::{Connection, params_from_iter, types::Value};

pub(super) use self::pages::Pages;
use self::{pages::PAGE, record::Row};

/// What a column of a row may be. A row belongs to the table all of whose columns it fits; no row fits two.
#[derive(Clone, Copy)]
enum Fits {
    /// The row's number, which is not stored again.
    Number,
    Integer,
    IntegerOrNull,
    Text,
    TextOrNull,
    Blob,
    BlobOrNull,
    /// The id of a message or a delivery.
    Id,
    /// A name that the table `meta` knows.
    MetaKey,
    Anything,
}

/// A table whose rows are taken over: its name and its columns.
type Table = (&'static str, &'static [(&'static str, Fits)]);

/// `destination` and `counter` are counted again.
const TABLES: [Table; 9] = [
    ("meta", &[("key", Fits::MetaKey), ("value", Fits::Anything)]),
    (
        "message",
        &[
            ("seq", Fits::Number),
            ("id", Fits::Id),
            ("received", Fits::Integer),
            ("expires", Fits::Integer),
            ("size", Fits::Integer),
            ("content", Fits::Integer),
            ("recipients", Fits::Integer),
            ("owner", Fits::IntegerOrNull),
            ("lease_until", Fits::IntegerOrNull),
            ("fence", Fits::IntegerOrNull),
            ("prefix", Fits::BlobOrNull),
            ("envelope", Fits::Blob),
            ("whole", Fits::BlobOrNull),
        ],
    ),
    (
        "delivery",
        &[
            ("seq", Fits::Number),
            ("message", Fits::Integer),
            ("id", Fits::Id),
            ("state", Fits::Integer),
            ("due", Fits::IntegerOrNull),
            ("received", Fits::Integer),
            ("attempts", Fits::Integer),
            ("owner", Fits::IntegerOrNull),
            ("lease_until", Fits::IntegerOrNull),
            ("fence", Fits::IntegerOrNull),
            ("wish", Fits::IntegerOrNull),
            ("domain", Fits::Text),
            ("recipient", Fits::Text),
            ("original", Fits::TextOrNull),
            ("sender", Fits::Text),
            ("sender_domain", Fits::Text),
            ("route", Fits::TextOrNull),
        ],
    ),
    (
        "attempt",
        &[
            ("seq", Fits::Number),
            ("at", Fits::Integer),
            ("outcome", Fits::Blob),
            ("source", Fits::TextOrNull),
            ("transcript", Fits::BlobOrNull),
        ],
    ),
    (
        "content",
        &[("seq", Fits::Number), ("refs", Fits::Integer), ("file", Fits::TextOrNull), ("data", Fits::BlobOrNull)],
    ),
    (
        "captured",
        &[
            ("seq", Fits::Number),
            ("id", Fits::Id),
            ("at", Fits::Integer),
            ("reverse_path", Fits::Text),
            ("recipients", Fits::Blob),
            ("size", Fits::Integer),
            ("content", Fits::Integer),
            ("prefix", Fits::BlobOrNull),
        ],
    ),
    ("idempotency", &[("key", Fits::Text), ("message", Fits::Id), ("expires", Fits::Integer)]),
    ("outbox", &[("first", Fits::Number), ("last", Fits::Integer), ("events", Fits::Blob)]),
    (
        "set_aside",
        &[
            ("seq", Fits::Number),
            ("why", Fits::Text),
            ("id", Fits::BlobOrNull),
            ("envelope", Fits::BlobOrNull),
            ("whole", Fits::BlobOrNull),
            ("content", Fits::IntegerOrNull),
        ],
    ),
];

/// What `meta` keeps; `low_water` is found anew.
const META_KEYS: [&str; 4] = ["node", "epoch", "message_reserved", "outbox_reserved"];
/// Octets of an id.
const ID: usize = 16;

/// What was taken over.
#[derive(Debug, Default)]
pub(super) struct Report {
    messages: i64,
    deliveries: i64,
    /// Messages without content or recipients: they are in `set_aside`.
    incomplete: usize,
    /// Deliveries without their message.
    stray: usize,
    /// Pages that the disk did not give.
    unread: u32,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages and {} waiting deliveries were taken over", self.messages, self.deliveries)?;
        if self.incomplete > 0 {
            write!(f, ", {} messages had lost their content or recipients", self.incomplete)?;
        }
        if self.stray > 0 {
            write!(f, ", {} deliveries had lost their message", self.stray)?;
        }
        if self.unread > 0 {
            write!(f, ", {} pages could not be read", self.unread)?;
        }
        Ok(())
    }
}

/// Copies what can be read from the file and its log into an empty database of ours, within a transaction of the caller.
pub(super) fn run(from: &Pages, to: &Connection) -> rusqlite::Result<Report> {
    let mut report = Report::default();
    copy(from, to, &mut report)?;
    mend(to, &mut report)?;
    Ok(report)
}

fn copy(pages: &Pages, target: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let free = pages.free();
    let mut page = [0; PAGE];
    // The first page tells of the tables only.
    for number in 2..=pages.last() {
        if free.contains(&number) {
            continue;
        }
        if !pages.read(number, &mut page) {
            report.unread += 1;
            continue;
        }
        for row in record::rows(&page, pages) {
            insert(row, target)?;
        }
    }
    Ok(())
}

/// Puts a row where it belongs; one that fits no table, or whose place is taken, is left out.
fn insert(row: Row, target: &Connection) -> rusqlite::Result<()> {
    let Some((table, columns)) = TABLES.iter().find(|(_, columns)| belongs(&row, columns)) else {
        return Ok(());
    };
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    // The new database has a name of its own, which gives way to the old one.
    let verb = if *table == "meta" { "REPLACE" } else { "IGNORE" };
    let places = vec!["?"; names.len()].join(", ");
    let sql = format!("INSERT OR {verb} INTO {table} ({}) VALUES ({places})", names.join(", "));
    let number = row.number;
    let values = row.values.into_iter().zip(*columns).map(|(value, (_, fits))| match fits {
        Fits::Number => number.map_or(Value::Null, Value::Integer),
        _ => value,
    });
    match target.prepare_cached(&sql)?.execute(params_from_iter(values)) {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => Ok(()),
        Err(error) => Err(error),
    }
}

fn belongs(row: &Row, columns: &[(&str, Fits)]) -> bool {
    let numbered = matches!(columns.first(), Some((_, Fits::Number)));
    row.number.is_some() == numbered
        && row.values.len() == columns.len()
        && row.values.iter().zip(columns).all(|(value, (_, fits))| fits.take(value))
}

impl Fits {
    fn take(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Anything, _)
            | (Self::Number | Self::IntegerOrNull | Self::TextOrNull | Self::BlobOrNull, Value::Null)
            | (Self::Integer | Self::IntegerOrNull, Value::Integer(_))
            | (Self::Text | Self::TextOrNull, Value::Text(_))
            | (Self::Blob | Self::BlobOrNull, Value::Blob(_)) => true,
            (Self::Id, Value::Blob(id)) => id.len() == ID,
            (Self::MetaKey, Value::Text(key)) => META_KEYS.contains(&key.as_str()),
            _ => false,
        }
    }
}

/// Makes the copied rows agree with each other.
fn mend(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    report.stray = connection.execute(
        "DELETE FROM delivery WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.seq = delivery.message)",
        [],
    )?;
    report.incomplete = connection.execute(
        "INSERT OR REPLACE INTO set_aside (seq, why, id, envelope, whole, content)
         SELECT seq, 'its content or its recipients were lost', id, envelope, whole, content FROM message
         WHERE NOT EXISTS (SELECT 1 FROM content WHERE content.seq = message.content)
         OR (whole IS NULL AND NOT EXISTS (SELECT 1 FROM delivery
             WHERE delivery.seq >= message.seq AND delivery.seq < message.seq + message.recipients))",
        [],
    )?;
    connection.execute_batch(
        "DELETE FROM message WHERE seq IN (SELECT seq FROM set_aside);
         DELETE FROM delivery WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.seq = delivery.message);
         DELETE FROM captured WHERE NOT EXISTS (SELECT 1 FROM content WHERE content.seq = captured.content);
         DELETE FROM attempt WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.seq = attempt.seq);
         CREATE TEMP TABLE referred AS SELECT content FROM message UNION ALL SELECT content FROM captured
             UNION ALL SELECT content FROM set_aside WHERE content IS NOT NULL;
         CREATE INDEX temp.referred_content ON referred (content);
         UPDATE content SET refs = (SELECT count(*) FROM referred WHERE referred.content = content.seq);
         DROP TABLE referred;
         DELETE FROM content WHERE refs = 0;
         INSERT INTO destination SELECT domain, sum(state = 0), sum(state = 1), sum(state = 2), sum(state = 3), count(*),
             min(CASE WHEN owner IS NULL THEN due END) FROM delivery GROUP BY domain;
         INSERT INTO counter SELECT state, count(*) FROM delivery GROUP BY state;
         INSERT OR REPLACE INTO meta (key, value) VALUES ('low_water', 0);
         INSERT OR REPLACE INTO meta (key, value) SELECT 'message_reserved',
             min(4611686018427387904, max(coalesce((SELECT value FROM meta WHERE key = 'message_reserved'), 0),
                 coalesce((SELECT max(seq) FROM message), 0), coalesce((SELECT max(seq) FROM delivery), 0),
                 coalesce((SELECT max(seq) FROM content), 0), coalesce((SELECT max(seq) FROM captured), 0),
                 coalesce((SELECT max(seq) FROM set_aside), 0))) + 1000001;
         INSERT OR REPLACE INTO meta (key, value) SELECT 'outbox_reserved',
             min(4611686018427387904, max(coalesce((SELECT value FROM meta WHERE key = 'outbox_reserved'), 0),
                 coalesce((SELECT max(last) FROM outbox), 0))) + 1000001;",
    )?;
    report.messages = connection.query_row("SELECT count(*) FROM message", [], |row| row.get(0))?;
    report.deliveries = connection.query_row("SELECT count(*) FROM delivery", [], |row| row.get(0))?;
    Ok(())
}

#[cfg(test)]
mod tests;
