//! Opening the file: its place, its connections, its schema.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection as _, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{DatabaseError, OpenError};

/// The steps of the schema, in order; forward only.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a lock of another program is waited for.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// How long a task waits for a connection.
const ACQUIRE_WAIT: Duration = Duration::from_secs(60);
/// Connections that read.
const READERS: u32 = 4;
/// Pages of the write-ahead log before it is copied back: 16 MiB.
const CHECKPOINT_PAGES: &str = "4000";
/// KiB of pages that the writer keeps (negative: KiB, in SQLite's way).
const WRITER_CACHE: &str = "-16384";
/// The same for each reader.
const READER_CACHE: &str = "-4096";
/// Prepared statements kept per connection.
const STATEMENTS: usize = 64;

/// The file that a url names.
pub(super) fn path_of(url: &str, data_dir: &Path) -> Result<PathBuf, OpenError> {
    // A url of another kind may hold a password: only its scheme is shown.
    let shown = || url.split_once(':').map_or(url, |(scheme, _)| scheme).chars().take(20).chain("…".chars()).collect();
    let file = url.strip_prefix("sqlite:").ok_or_else(|| OpenError::Unsupported { url: shown() })?;
    let file = file.strip_prefix("//").unwrap_or(file);
    if file.is_empty() || file.contains(['?', '\0']) || file == ":memory:" {
        return Err(OpenError::Unsupported { url: url.chars().filter(|character| !character.is_control()).collect() });
    }
    Ok(data_dir.join(file))
}

/// The writing and the reading connections, the schema being up to date.
pub(super) async fn connect(path: &Path) -> Result<(SqlitePool, SqlitePool), OpenError> {
    make_private(path).map_err(|error| OpenError::Unreadable { path: path.into(), why: error.to_string() })?;
    let failed = |error: sqlx::Error| OpenError::Database(classify(path, &error));
    refuse_foreign(path).await?;
    let writing = options(path).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let writing = writing.pragma("wal_autocheckpoint", CHECKPOINT_PAGES).pragma("cache_size", WRITER_CACHE);
    let writer = pool(1).connect_with(writing).await.map_err(failed)?;
    migrate(path, &writer).await?;
    let reading = options(path).pragma("query_only", "on").pragma("cache_size", READER_CACHE);
    let readers = pool(READERS).connect_with(reading).await.map_err(failed)?;
    Ok((writer, readers))
}

/// Refuses a database with tables of somebody else, before anything in it is changed.
async fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| OpenError::Database(classify(path, &error));
    let mut connection = options(path).connect().await.map_err(failed)?;
    let sql = "SELECT count(*) > 0 AND count(*) FILTER (WHERE name = '_sqlx_migrations') = 0 FROM sqlite_schema";
    let is_foreign: bool = sqlx::query_scalar(sql).fetch_one(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    if is_foreign { Err(OpenError::Foreign { path: path.into() }) } else { Ok(()) }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY_WAIT)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging()
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// SQLite would make the file readable for all; its companions get the mode of the file.
fn make_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

async fn migrate(path: &Path, writer: &SqlitePool) -> Result<(), OpenError> {
    let known = MIGRATIONS.iter().map(|step| step.version).max().unwrap_or(0);
    MIGRATIONS.run(writer).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) if found > known => {
            OpenError::NewerSchema { path: path.into(), found, known }
        }
        MigrateError::VersionMissing(step) | MigrateError::VersionMismatch(step) | MigrateError::Dirty(step) => {
            OpenError::ForeignSchema { path: path.into(), step }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            OpenError::Database(classify(path, &error))
        }
        other => OpenError::Database(DatabaseError::Other { path: path.into(), why: other.to_string() }),
    })
}

/// A failure of the library in our words. SQLite's primary result codes are the low byte of the extended ones.
pub(super) fn classify(path: &Path, error: &sqlx::Error) -> DatabaseError {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<u32>().ok());
    let (path, why) = (path.to_owned(), error.to_string());
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => DatabaseError::Busy { path },
        Some(13) => DatabaseError::Full { path },
        Some(11 | 26) => DatabaseError::Damaged { path, why },
        _ => DatabaseError::Other { path, why },
    }
}
