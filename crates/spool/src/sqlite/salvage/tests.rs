use std::{collections::BTreeMap, fs, path::PathBuf};

use rusqlite::params;

use super::*;
use crate::sqlite::schema::{self, Role};

/// Messages of the database that the tests damage.
const MESSAGES: i64 = 300;
/// Octets of every ninth content: it goes on on other pages.
const LONG: usize = 60_000;

/// A database with 300 messages, whose rows are on the pages of tables, on other pages, and partly in the log.
struct Sample {
    directory: tempfile::TempDir,
    /// The file and its log, as a process that was killed leaves them.
    file: Vec<u8>,
    log: Vec<u8>,
}

impl Sample {
    fn new(log: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        let connection = schema::connect(&path, None, Role::Writer).unwrap();
        schema::create(&connection, [7; 16], None).unwrap();
        for n in 0..MESSAGES {
            if log && n == MESSAGES / 2 {
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            }
            add(&connection, n);
        }
        // Free pages, with what was on them.
        connection.execute("DELETE FROM content WHERE seq % 9 = 1", []).unwrap();
        connection.execute("DELETE FROM delivery WHERE seq % 9 = 1", []).unwrap();
        connection.execute("DELETE FROM message WHERE seq % 9 = 1", []).unwrap();
        if !log {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
        let read = |suffix: &str| fs::read(directory.path().join(format!("queue.db{suffix}"))).unwrap();
        Self { file: read(""), log: read("-wal"), directory }
    }

    /// Writes a damaged form of it and takes over what can be read of that. The messages by number: whether their content
    /// is as it was.
    fn salvage(&self, file: &[u8], log: &[u8]) -> (Connection, BTreeMap<i64, bool>) {
        let path = self.path();
        fs::write(&path, file).unwrap();
        fs::write(path.with_file_name("damaged.db-wal"), log).unwrap();
        let to = Connection::open_in_memory().unwrap();
        schema::create(&to, [8; 16], None).unwrap();
        run(&Pages::open(&path).unwrap(), &to).unwrap();
        let mut found = BTreeMap::new();
        {
            let sql = "SELECT message.seq, content.data FROM message JOIN content ON content.seq = message.content
                       JOIN delivery ON delivery.message = message.seq";
            let mut statement = to.prepare(sql).unwrap();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let seq = row.get(0).unwrap();
                found.insert(seq, row.get::<_, Vec<u8>>(1).unwrap() == content(seq));
            }
        }
        (to, found)
    }

    /// The first pages, and some of the rest, with their numbers from 0.
    fn pages(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.file.chunks(PAGE).enumerate().filter(|(number, _)| *number < 40 || number % 7 == 0)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("damaged.db")
    }
}

fn content(n: i64) -> Vec<u8> {
    format!("letter {n}\r\n").into_bytes().repeat(if n % 9 == 0 { LONG / 10 } else { 100 })
}

fn add(connection: &Connection, n: i64) {
    connection
        .execute("INSERT INTO content (seq, refs, file, data) VALUES (?1, 1, NULL, ?2)", params![n, content(n)])
        .unwrap();
    connection
        .execute(
            "INSERT INTO message (seq, id, received, expires, size, content, recipients, envelope)
             VALUES (?1, ?2, ?1, 500000000000000, 4000, ?1, 1, x'0102')",
            params![n, id(n)],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO delivery (seq, message, id, state, due, received, attempts, domain, recipient, sender,
             sender_domain) VALUES (?1, ?1, ?2, 1, -?1, ?1, 3, 'x.example', ?3, 'a@y.example', 'y.example')",
            params![n, id(n), format!("u{n}@x.example")],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO idempotency (key, message, expires) VALUES (?1, ?2, 9)",
            params![format!("key {n}"), id(n)],
        )
        .unwrap();
}

fn id(n: i64) -> Vec<u8> {
    i128::from(n).to_be_bytes().to_vec()
}

fn expected() -> BTreeMap<i64, bool> {
    (0..MESSAGES).filter(|n| n % 9 != 1).map(|n| (n, true)).collect()
}

#[test]
fn the_columns_are_those_of_the_schema() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(schema::TABLES).unwrap();
    let mut tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (table, columns) in TABLES {
        let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
        let names: Vec<String> = statement.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(columns.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names, "{table}");
        tables.retain(|name| name != table);
    }
    assert_eq!(tables, ["destination", "counter"]);
}

#[test]
fn a_sound_database_is_taken_over_whole() {
    for log in [false, true] {
        let sample = Sample::new(log);
        assert_eq!(sample.log.is_empty(), !log);
        let (to, found) = sample.salvage(&sample.file, &sample.log);
        assert_eq!(found, expected());
        let number = |sql: &str| to.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(number("SELECT count(*) FROM idempotency"), MESSAGES);
        assert_eq!(number("SELECT count(*) FROM message"), number("SELECT n FROM counter WHERE state = 1"));
        assert_eq!(number("SELECT head FROM destination"), 1 - MESSAGES);
        assert_eq!(number("SELECT count(*) FROM set_aside"), 0);
        assert_eq!(schema::meta::<String>(&to, "node").unwrap().unwrap(), "07".repeat(16));
    }
}

#[test]
fn a_broken_page_costs_what_stood_on_it() {
    let sample = Sample::new(false);
    let whole = expected();
    for (number, page) in sample.pages() {
        let mut file = sample.file.clone();
        file[number * PAGE..(number + 1) * PAGE].fill(0xa5);
        let (_, found) = sample.salvage(&file, &[]);
        // A leaf of a table costs its rows; the first page and the inside of tables and indexes hold none.
        let most = match (number, page[0]) {
            (0, _) | (_, 2 | 5 | 10) => 0,
            (_, 13) => usize::from(page[4]),
            _ => 1,
        };
        let lost = whole.len() - found.len();
        assert!(lost <= most, "page {number} of type {} cost {lost} messages", page[0]);
    }
}

#[test]
fn one_flipped_bit_in_the_head_of_a_page_costs_nothing() {
    let sample = Sample::new(false);
    let whole = expected();
    for (number, page) in sample.pages().filter(|(_, page)| [0, 13].contains(&page[0])) {
        // A page that a long row goes on on begins with the number of the next: a bit of it may be one of that.
        let most = usize::from(page[0] == 0);
        for bit in [0, 3, 7] {
            let mut file = sample.file.clone();
            file[number * PAGE] ^= 1 << bit;
            let (_, found) = sample.salvage(&file, &[]);
            assert!(whole.len() - found.len() <= most, "bit {bit} of page {number}: {} left", found.len());
        }
    }
    let mut file = sample.file.clone();
    file[100] ^= 0xff;
    assert_eq!(sample.salvage(&file, &[]).1, whole);
}

#[test]
fn a_cut_file_keeps_what_comes_before_the_cut() {
    let sample = Sample::new(false);
    let all = sample.file.len() / PAGE;
    let (mut before, mut torn) = (0, 0);
    for pages in [1, 7, all / 3, all / 2, all] {
        let (to, found) = sample.salvage(&sample.file[..pages * PAGE - 1], &[]);
        assert!(found.len() >= before, "{pages} pages gave {} messages, fewer gave {before}", found.len());
        before = found.len();
        // A message whose content is past the cut is kept aside with its envelope.
        let sql = "SELECT count(*) FROM set_aside WHERE id IS NOT NULL AND envelope IS NOT NULL";
        torn += to.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    }
    assert!(before > expected().len() / 2 && torn > 0, "{before} of {}, {torn} aside", expected().len());
}

#[test]
fn a_damaged_log_counts_up_to_the_damage() {
    let sample = Sample::new(true);
    let mut log = sample.log.clone();
    let middle = log.len() / 2;
    log[middle] ^= 1;
    let (_, found) = sample.salvage(&sample.file, &log);
    assert!(
        found.len() > usize::try_from(MESSAGES / 2).unwrap() && found.len() < expected().len() + 20,
        "{}",
        found.len()
    );
    assert!(found.values().all(|same| *same));
    // Half of a transaction is none.
    let (_, found) = sample.salvage(&sample.file, &log[..middle]);
    assert!(found.values().all(|same| *same));
}

#[test]
fn octets_of_any_kind_are_no_rows() {
    let sample = Sample::new(false);
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(40 * PAGE)
    .collect();
    for first in [2, 5, 10, 13, 77] {
        let mut file = noise.clone();
        file.chunks_mut(PAGE).for_each(|page| page[0] = first);
        assert_eq!(sample.salvage(&file, &noise).1, BTreeMap::new());
    }
}

/// A long row that a damaged page names a thousand times is one row.
#[test]
fn a_row_that_is_named_often_is_read_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged.db");
    let mut leaf = [0; PAGE];
    leaf[..8].copy_from_slice(&[13, 0, 0, 0x03, 0xe8, 0, 0, 0]);
    leaf[8..2008].copy_from_slice(&[0x10, 0x00].repeat(1000));
    // Of 9000 octets, number 1, a header of two octets, an empty blob; it goes on on page 3, and that on itself.
    leaf[4096..4101].copy_from_slice(&[0x80 | 70, 40, 1, 2, 12]);
    let here = (PAGE - 12) * 32 / 255 - 23;
    leaf[4099 + here..4103 + here].copy_from_slice(&3_u32.to_be_bytes());
    let mut onwards = [0; PAGE];
    onwards[3] = 3;
    fs::write(&path, [[0; PAGE], leaf, onwards].concat()).unwrap();
    let pages = Pages::open(&path).unwrap();
    let rows: Vec<Row> = record::rows(&leaf, &pages).collect();
    assert_eq!(rows, [Row { number: Some(1), values: vec![Value::Blob(Vec::new())] }]);
}

#[test]
fn numbers_that_captured_mail_has_are_not_given_again() {
    let sample = Sample::new(false);
    let path = sample.directory.path().join("queue.db");
    let connection = schema::connect(&path, None, Role::Writer).unwrap();
    connection
        .execute_batch(
            "DELETE FROM meta; DELETE FROM message; DELETE FROM delivery; DELETE FROM content;
             INSERT INTO content (seq, refs, data) VALUES (5000000, 1, x'61');
             INSERT INTO captured (seq, id, at, reverse_path, recipients, size, content)
                 VALUES (5000000, zeroblob(16), 1, '', x'80', 1, 5000000);",
        )
        .unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let (to, _) = sample.salvage(&fs::read(&path).unwrap(), &[]);
    assert!(schema::meta::<i64>(&to, "message_reserved").unwrap().unwrap() > 5_000_000);
}
