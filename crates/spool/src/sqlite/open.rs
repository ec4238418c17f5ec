//! Opening: what a start reads, what it repairs, what it sets aside.
//!
//! Read are the numbers, the messages at or above the low-water mark that are whole, and nothing else: never the whole
//! queue, never content. Leases of earlier processes are void.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use mail::{MessageId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Options,
    checkpoint::{self, Mode},
    committer::{Sequences, column, number},
    fresh::{ContentRef, Slot, SlotState, Whole, Window},
    row::{Base, StoredDelivery, Tally, decode},
    salvage,
    schema::{self, Found, OpenError, Role},
    shared::Shared,
};
use crate::{Delivery, Message, SpoolError, content::io_error};

/// Bits of a fence below those of the epoch: leases of one process.
pub(super) const FENCE_BITS: u32 = 40;

/// What the committer starts with.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) epoch: i64,
    pub(super) sequences: Sequences,
    pub(super) rows: Tally,
    /// Fences given out while opening.
    pub(super) leases: u64,
}

/// Opens or makes the queue. One that is damaged, or not ours, is set aside with all that belongs to it; what can be
/// read of it is taken over.
pub(super) fn open(options: &Options, shared: &Shared) -> Result<Opened, SpoolError> {
    let path = database(options);
    let opened = connect(options, &path).and_then(|connection| load(options, shared, &path, connection));
    match opened {
        Ok(opened) => Ok(opened),
        Err(OpenError::Spool(error)) => Err(error),
        Err(OpenError::Damaged(why)) => begin_anew(options, shared, &path, &why),
    }
}

/// Opens the queue again after it was stopped, and checks every page of it.
pub(super) fn reopen(options: &Options, shared: &Shared, connection: &mut Connection) -> Result<Opened, SpoolError> {
    let path = database(options);
    let placeholder = Connection::open_in_memory()
        .map_err(|error| SpoolError::Io { what: "making room for the queue".into(), why: error.to_string() })?;
    drop(std::mem::replace(connection, placeholder));
    shared.next_generation();
    *shared.window() = Window::default();
    let opened = checked(options, shared, &path);
    // Whoever reads opens again: the file may be another one now.
    shared.next_generation();
    opened
}

fn checked(options: &Options, shared: &Shared, path: &Path) -> Result<Opened, SpoolError> {
    let opened = connect(options, path).and_then(|connection| {
        check(path, &connection)?;
        // Pages of the log whose sync failed may exist in memory only. Moving them to the database file writes and
        // syncs them again; then the log begins anew.
        checkpoint::run(&connection, Mode::Truncate).map_err(|error| OpenError::from_sqlite(path, &error))?;
        load(options, shared, path, connection)
    });
    match opened {
        Ok(opened) => Ok(opened),
        Err(OpenError::Spool(error)) => Err(error),
        Err(OpenError::Damaged(why)) => begin_anew(options, shared, path, &why),
    }
}

fn database(options: &Options) -> PathBuf {
    options.dir.join("queue.db")
}

fn connect(options: &Options, path: &Path) -> Result<Connection, OpenError> {
    schema::connect(path, options.vfs.as_deref(), Role::Writer).map_err(|error| OpenError::from_sqlite(path, &error))
}

fn check(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| OpenError::from_sqlite(path, &error))?;
    if verdict == "ok" { Ok(()) } else { Err(OpenError::Damaged(verdict)) }
}

/// Sets the file aside, makes a new one, and takes over what can be read.
fn begin_anew(options: &Options, shared: &Shared, path: &Path, why: &str) -> Result<Opened, SpoolError> {
    let aside = set_aside(path)?;
    let failed = |error: OpenError| not_made(path, error);
    let mut connection = connect(options, path).map_err(failed)?;
    schema::examine(&connection, path).map_err(failed)?;
    let name = aside.file_name().map(|name| name.to_string_lossy());
    schema::create(&connection, options.node, name.as_deref())
        .map_err(|error| failed(OpenError::from_sqlite(path, &error)))?;
    let report = take_over(shared, path, &aside, &mut connection).map_err(failed)?;
    shared.alert(format!(
        "{} could not be read ({why}); it was set aside as {} and a new queue was begun; {report}",
        path.display(),
        aside.display()
    ));
    load(options, shared, path, connection).map_err(failed)
}

/// What is wrong with a database of our own making is no reason to set that aside, too.
fn not_made(path: &Path, error: OpenError) -> SpoolError {
    match error {
        OpenError::Spool(error) => error,
        OpenError::Damaged(why) => SpoolError::Io { what: format!("making the queue {}", path.display()), why },
    }
}

/// Fills an unfinished database, all or nothing: whatever breaks it off, the next start begins again.
fn take_over(
    shared: &Shared,
    path: &Path,
    aside: &Path,
    connection: &mut Connection,
) -> Result<salvage::Report, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(path, &error);
    let what = "reading the damaged queue";
    let pages = salvage::Pages::open(aside).map_err(|error| OpenError::Spool(io_error(what, aside, &error)))?;
    let transaction = connection.transaction().map_err(failed)?;
    let report = salvage::run(&pages, &transaction).map_err(failed)?;
    set_files_aside(shared, aside, &transaction).map_err(OpenError::Spool)?;
    transaction.execute("DELETE FROM meta WHERE key = ?1", [schema::UNFINISHED]).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(report)
}

/// Goes on with taking over where a process was stopped at it, or had no room.
fn finish(shared: &Shared, path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    let unfinished = schema::meta::<String>(connection, schema::UNFINISHED);
    let Some(name) = unfinished.map_err(|error| OpenError::from_sqlite(path, &error))? else {
        return Ok(());
    };
    let aside = path.with_file_name(name);
    let report =
        take_over(shared, path, &aside, connection).map_err(|error| OpenError::Spool(not_made(path, error)))?;
    shared.alert(format!(
        "{} could not be read and was set aside as {}; taking over what can be read of it was broken off, and is finished \
         now; {report}",
        path.display(),
        aside.display()
    ));
    Ok(())
}

/// Moves content files that no row refers to any more beside the damaged database: they may be all that is left.
fn set_files_aside(shared: &Shared, aside: &Path, connection: &Connection) -> Result<(), SpoolError> {
    let place = &shared.place;
    let failed = |error: std::io::Error| io_error("setting aside files of", &place.content, &error);
    let names = place.disk.list(&place.content).map_err(failed)?;
    let orphans = super::sweep::unreferred(connection, names).map_err(|error| SpoolError::Io {
        what: format!("looking for files of {}", place.content.display()),
        why: error.to_string(),
    })?;
    let directory = PathBuf::from(format!("{}-content", aside.display()));
    if !orphans.is_empty() {
        place.disk.make_directory(&directory).map_err(failed)?;
    }
    for name in orphans {
        place.disk.rename(&place.content.join(&name), &directory.join(&name)).map_err(failed)?;
    }
    Ok(())
}

/// Where the `n`th damaged database is kept, counted from 1.
fn aside(path: &Path, n: u32) -> PathBuf {
    PathBuf::from(format!("{}.damaged-{n}", path.display()))
}

fn first_free(path: &Path) -> u32 {
    (1..).find(|n| !aside(path, *n).exists()).expect("there are more numbers than files")
}

/// The name of the database that was set aside last, if one was.
fn last_aside(path: &Path) -> Option<String> {
    let last = first_free(path).checked_sub(1).filter(|n| *n > 0)?;
    aside(path, last).file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Renames the database and its log.
fn set_aside(path: &Path) -> Result<PathBuf, SpoolError> {
    let name = |n: u32, suffix: &str| PathBuf::from(format!("{}{suffix}", aside(path, n).display()));
    let free = first_free(path);
    for suffix in ["", "-wal"] {
        let from = PathBuf::from(format!("{}{suffix}", path.display()));
        match std::fs::rename(&from, name(free, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_error("setting aside the damaged", &from, &error));
            }
            _ => {}
        }
    }
    let index = PathBuf::from(format!("{}-shm", path.display()));
    match std::fs::remove_file(&index) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error("removing", &index, &error)),
        _ => Ok(name(free, "")),
    }
}

/// Reads what a start needs, in one transaction that also voids old leases.
fn load(options: &Options, shared: &Shared, path: &Path, mut connection: Connection) -> Result<Opened, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(path, &error);
    if schema::examine(&connection, path)? == Found::Nothing {
        // A process that had set a damaged queue aside may have been stopped before the new one had tables.
        let aside = last_aside(path);
        schema::create(&connection, options.node, aside.as_deref()).map_err(failed)?;
    }
    finish(shared, path, &mut connection)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let (epoch, sequences, rows, wholes) = read(shared, &connection).map_err(failed)?;
    connection.execute_batch("COMMIT").map_err(failed)?;
    let node: String = schema::meta(&connection, "node").map_err(failed)?.unwrap_or_default();
    shared.set_node(node);
    shared.place.set_epoch(epoch);
    shared.set_rows(rows);
    let head = "SELECT min(head) FROM destination WHERE head IS NOT NULL";
    let head: Option<i64> = connection.query_row(head, [], |row| row.get(0)).map_err(failed)?;
    shared.set_due_head(head.unwrap_or(i64::MAX));
    let last = "SELECT last FROM outbox ORDER BY first DESC LIMIT 1";
    let last: Option<i64> = connection.query_row(last, [], |row| row.get(0)).optional().map_err(failed)?;
    shared.outbox_last.send_replace(number(last.unwrap_or(0)));
    let leases = wholes.len() as u64;
    let mut window = shared.window();
    for whole in wholes {
        let domains: Vec<Arc<str>> = whole.slots.iter().map(|slot| Arc::clone(&slot.domain)).collect();
        // The bounds were kept when these were committed; the few of a batch more do no harm.
        window.readmit(&domains);
        window.insert(whole);
    }
    window.mark_restart(sequences.message);
    drop(window);
    Ok(Opened { path: path.to_owned(), connection, epoch, sequences, rows, leases })
}

type Read = (i64, Sequences, Tally, Vec<Whole>);

fn read(shared: &Shared, connection: &Connection) -> rusqlite::Result<Read> {
    let meta = |key: &str| schema::meta::<i64>(connection, key).map(Option::unwrap_or_default);
    let epoch = meta("epoch")? + 1;
    schema::set_meta(connection, "epoch", epoch)?;
    let (message, outbox) = (number(meta("message_reserved")?).max(1), number(meta("outbox_reserved")?).max(1));
    let sequences = Sequences {
        message,
        message_reserved: message,
        outbox,
        outbox_reserved: outbox,
        low_water: number(meta("low_water")?),
    };
    void_leases(connection)?;
    let mut rows = Tally::default();
    for state in Base::ALL {
        let n = connection.query_row("SELECT sum(n) FROM counter WHERE state = ?1", [state as i64], |row| {
            row.get::<_, Option<i64>>(0)
        })?;
        rows.add(state, n.unwrap_or(0));
    }
    let wholes = read_wholes(shared, connection, epoch, sequences.low_water)?;
    Ok((epoch, sequences, rows, wholes))
}

/// Ends the leases of processes that are gone, and mends the due times of their domains. Those with a wish wait for the
/// committer to grant it.
fn void_leases(connection: &Connection) -> rusqlite::Result<()> {
    let domains: HashSet<String> = {
        let sql = "SELECT domain FROM delivery INDEXED BY delivery_owner WHERE owner IS NOT NULL";
        let mut statement = connection.prepare(sql)?;
        let domains = statement.query_map([], |row| row.get(0))?;
        domains.collect::<Result<_, _>>()?
    };
    if domains.is_empty() {
        return Ok(());
    }
    let voided = connection.execute(
        "UPDATE delivery SET owner = NULL, lease_until = NULL, fence = NULL WHERE owner IS NOT NULL AND wish IS NULL",
        [],
    )?;
    tracing::info!(count = voided, "deliveries that were being attempted when the server stopped are tried again");
    for domain in domains {
        connection
            .prepare_cached(
                "UPDATE destination SET head = (SELECT min(due) FROM delivery
                 WHERE domain = ?1 AND owner IS NULL AND due IS NOT NULL) WHERE domain = ?1",
            )?
            .execute([domain])?;
    }
    Ok(())
}

/// The messages that were fresh.
fn read_wholes(shared: &Shared, connection: &Connection, epoch: i64, low_water: u64) -> rusqlite::Result<Vec<Whole>> {
    let (mut wholes, mut damaged) = (Vec::new(), Vec::new());
    let mut fence = epoch.unsigned_abs() << FENCE_BITS;
    {
        let mut statement = connection.prepare(
            "SELECT seq, id, received, expires, size, content, prefix IS NOT NULL, envelope, whole
             FROM message WHERE seq >= ?1 AND whole IS NOT NULL ORDER BY seq",
        )?;
        let mut rows = statement.query([column(low_water)])?;
        while let Some(row) = rows.next()? {
            fence += 1;
            match read_whole(row, fence)? {
                Ok(whole) => wholes.push(whole),
                Err(why) => damaged.push((row.get::<_, i64>(0)?, why)),
            }
        }
    }
    for (seq, why) in damaged {
        connection.execute(
            "INSERT OR REPLACE INTO set_aside (seq, why, id, envelope, whole, content)
             SELECT seq, ?2, id, envelope, whole, content FROM message WHERE seq = ?1",
            params![seq, why],
        )?;
        connection.execute("DELETE FROM message WHERE seq = ?1", [seq])?;
        shared.alert(format!("a message in the queue is damaged and was set aside (number {seq}): {why}"));
    }
    Ok(wholes)
}

fn read_whole(row: &Row<'_>, fence: u64) -> rusqlite::Result<Result<Whole, String>> {
    let (envelope, whole): (Vec<u8>, Vec<u8>) = (row.get(7)?, row.get(8)?);
    let (envelope, stored): (_, Vec<StoredDelivery>) = match (decode(&envelope), decode(&whole)) {
        (Ok(envelope), Ok(stored)) => (envelope, stored),
        (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
    };
    let slot = |stored: StoredDelivery| Slot {
        domain: Arc::from(stored.recipient.domain.to_string()),
        delivery: Arc::new(Delivery {
            id: stored.id,
            recipient: stored.recipient,
            original: stored.original,
            attempts: 0,
            forced_route: None,
        }),
        state: SlotState::Waiting,
    };
    Ok(Ok(Whole {
        seq: number(row.get(0)?),
        message: Arc::new(Message {
            id: MessageId::from_bytes(row.get(1)?),
            envelope,
            size: number(row.get(4)?),
            received: Timestamp::from_micros(row.get(2)?),
            expires: Timestamp::from_micros(row.get(3)?),
            content: None,
        }),
        fence,
        content: ContentRef { seq: number(row.get(5)?), in_file: row.get(6)? },
        slots: stored.into_iter().map(slot).collect(),
    }))
}
