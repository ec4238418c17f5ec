//! The tables, and how a database is opened: made, taken as it is, refused when newer.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use crate::SpoolError;

/// `PH` and `SP`: tells our files from other people's.
const APPLICATION_ID: i64 = 0x5048_5350;
/// The format written now.
const FORMAT: i64 = 1;
/// Octets of a page. A letter of 4 KiB with its row fits on one; larger pages copy more per change.
pub(super) const PAGE_SIZE: u32 = 8192;
/// KiB of pages that the committer keeps at hand.
const WRITER_CACHE_KIB: u32 = 32 * 1024;
/// KiB of pages that each reader keeps at hand.
const READER_CACHE_KIB: u32 = 4 * 1024;
/// Milliseconds to wait for a lock that another connection of ours holds: a checkpoint about to start the log anew.
const BUSY_TIMEOUT_MS: u32 = 10_000;
/// Prepared statements kept per connection: more than there are.
const STATEMENTS: usize = 128;

/// Under this key `meta` names the damaged file beside it that a database is still to be filled from.
pub(super) const UNFINISHED: &str = "unfinished";

/// Every table and index of format 1.
pub(super) const TABLES: &str = include_str!("schema.sql");

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
    Checkpointer,
}

/// What was found where the database should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: it is to be made.
    Nothing,
    /// A queue of a format that we know.
    Queue,
}

/// Why a database cannot be used.
#[derive(Debug)]
pub(super) enum OpenError {
    /// Not ours, or broken: to be set aside.
    Damaged(String),
    /// Everything else.
    Spool(SpoolError),
}

impl OpenError {
    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let what = || format!("opening the queue {}", path.display());
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Spool(SpoolError::DiskFull { what: what() }),
            Some(
                ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport,
            ) => Self::Spool(SpoolError::Io { what: what(), why: error.to_string() }),
            // Not a database, malformed, tables or values other than ours.
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// Opens a connection with our settings. The writer's creates the file when it is not there.
pub(super) fn connect(path: &Path, vfs: Option<&str>, role: Role) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, role == Role::Writer);
    let connection = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
        None => Connection::open_with_flags(path, flags)?,
    };
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let cache = if role == Role::Writer { WRITER_CACHE_KIB } else { READER_CACHE_KIB };
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_SIZE};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA cache_size = -{cache};
         PRAGMA temp_store = MEMORY;
         PRAGMA busy_timeout = {BUSY_TIMEOUT_MS};"
    ))?;
    if role == Role::Reader {
        connection.execute_batch("PRAGMA query_only = ON")?;
    }
    Ok(connection)
}

/// Looks at what a connection was opened on.
pub(super) fn examine(connection: &Connection, path: &Path) -> Result<Found, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(path, &error);
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    let (application, format) = (number("application_id")?, number("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    match (application, format, tables) {
        (0, 0, 0) => Ok(Found::Nothing),
        (APPLICATION_ID, FORMAT, _) => {
            let (ours, theirs) = (expected().map_err(failed)?, definitions(connection).map_err(failed)?);
            if ours == theirs { Ok(Found::Queue) } else { Err(OpenError::Damaged("its tables are not ours".into())) }
        }
        (APPLICATION_ID, found, _) if found > FORMAT => {
            Err(OpenError::Spool(SpoolError::Newer { path: path.display().to_string(), found, known: FORMAT }))
        }
        (APPLICATION_ID, found, _) => Err(OpenError::Damaged(format!("format {found} never existed"))),
        _ => Err(OpenError::Damaged("it is a database of another program".into())),
    }
}

/// The definitions of a sound database.
fn expected() -> rusqlite::Result<Vec<String>> {
    let model = Connection::open_in_memory()?;
    model.execute_batch(TABLES)?;
    definitions(&model)
}

fn definitions(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name")?;
    let definitions = statement.query_map([], |row| row.get(0))?;
    definitions.collect()
}

/// Makes the tables of an empty database, and names the node. With a name in `from` the database says that it is
/// unfinished until what can be read of that file beside it is taken over.
pub(super) fn create(connection: &Connection, node: [u8; 16], from: Option<&str>) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         {TABLES}
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {FORMAT};"
    ))?;
    set_meta(connection, "node", format!("{:032x}", u128::from_be_bytes(node)))?;
    if let Some(from) = from {
        set_meta(connection, UNFINISHED, from)?;
    }
    connection.execute_batch("COMMIT")
}

/// Reads one value of `meta`.
pub(super) fn meta<T: rusqlite::types::FromSql>(connection: &Connection, key: &str) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

/// Writes one value of `meta`.
pub(super) fn set_meta(connection: &Connection, key: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute(rusqlite::params![key, value]).map(|_| ())
}
