//! SQLite's file: its place, its mode, its schema, and what is said when it is not ours or not sound.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use sqlx::{Connection, Row, SqliteConnection};
use store::{DatabaseError, Filter, OpenError, Page, State, Store};

use crate::conformance::{Backend, Sqlite, mailbox, verifiers};

/// Everything that a store of the first schema holds, as SQL.
const GOLDEN: &str = include_str!("../golden/0001.sql");

async fn raw(directory: &Path) -> SqliteConnection {
    let path = directory.join("posthouse.db");
    SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", path.display())).await.unwrap()
}

async fn run(directory: &Path, sql: &'static str) {
    let mut connection = raw(directory).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn complaint(directory: &Path) -> OpenError {
    Store::open("sqlite:posthouse.db", directory).await.unwrap_err()
}

#[tokio::test]
async fn the_file_is_private_and_where_it_should_be() {
    let backend = Sqlite::new();
    let store = backend.open().await;
    store.meta_set("a", "b").await.unwrap();
    let directory = backend.directory();
    assert_eq!(store.path(), directory.join("posthouse.db"));
    for name in ["posthouse.db", "posthouse.db-wal", "posthouse.db-shm"] {
        let mode = fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let absolute = format!("sqlite:{}", elsewhere.path().join("other.db").display());
    let other = Store::open(&absolute, directory).await.unwrap();
    assert_eq!(other.path(), elsewhere.path().join("other.db"));
}

#[tokio::test]
async fn other_urls_are_answered_with_what_is_possible() {
    let directory = tempfile::tempdir().unwrap();
    for url in ["postgres://user:secret@host/db", "posthouse.db", "", "sqlite:", "sqlite::memory:", "sqlite:a?mode=ro"]
    {
        let error = Store::open(url, directory.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::Unsupported { .. }), "{url}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("sqlite:posthouse.db") && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_store_of_the_first_schema_is_still_understood() {
    let backend = Sqlite::new();
    run(backend.directory(), GOLDEN).await;
    let store = backend.open().await;
    assert_eq!(store.user_list(), [mailbox("Ann@example.net"), mailbox("bob@example.net")]);
    assert_eq!(store.credentials(&mailbox("bob@example.net")), Some(verifiers(2)));
    assert_eq!(store.alias_list()[0].targets, [mailbox("Ann@example.net"), mailbox("out@elsewhere.example")]);
    assert_eq!(store.catch_all_list()[0].target, mailbox("bob@example.net"));
    assert_eq!(store.cursor("node").await.unwrap(), 2);
    let (found, _) = store.find(&Filter::default(), &Page { limit: 10, cursor: None }).await.unwrap();
    assert_eq!((found.len(), found[0].state), (1, State::Delivered));
    assert_eq!(store.history(found[0].message).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_store_of_the_first_schema_gets_todays() {
    let backend = Sqlite::new();
    backend.open().await.close().await;
    let schema = async |directory: &Path| {
        let mut connection = raw(directory).await;
        let query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '_sqlx%' ORDER BY name";
        let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>()
    };
    let golden = Sqlite::new();
    run(golden.directory(), GOLDEN).await;
    golden.open().await.close().await;
    assert_eq!(schema(backend.directory()).await, schema(golden.directory()).await);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let backend = Sqlite::new();
    backend.open().await.close().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'from the future', 1, X'00', 0)";
    run(backend.directory(), newer).await;
    let error = complaint(backend.directory()).await;
    assert!(matches!(error, OpenError::NewerSchema { found: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("newer posthouse"), "{error}");
    // It was not touched.
    run(backend.directory(), "DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    backend.open().await;
}

#[tokio::test]
async fn a_schema_that_is_not_ours_is_refused() {
    let backend = Sqlite::new();
    backend.open().await.close().await;
    run(backend.directory(), "UPDATE _sqlx_migrations SET checksum = X'00'").await;
    let error = complaint(backend.directory()).await;
    assert!(matches!(error, OpenError::ForeignSchema { step: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_database_of_another_program_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "CREATE TABLE domain (name TEXT); INSERT INTO domain VALUES ('theirs')").await;
    let before = fs::read(directory.path().join("posthouse.db")).unwrap();
    let error = complaint(directory.path()).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("posthouse.db is a database of another program") && text.contains("[store] url"), "{text}");
    assert_eq!(fs::read(directory.path().join("posthouse.db")).unwrap(), before);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_said_to_be_damaged() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("posthouse.db"), "this is a letter, not a database. ".repeat(100)).unwrap();
    let error = complaint(directory.path()).await;
    assert!(matches!(error, OpenError::Database(DatabaseError::Damaged { .. })), "{error:?}");
    assert!(error.to_string().contains("posthouse.db") && error.to_string().contains("backup"), "{error}");

    let missing = directory.path().join("not/there");
    let error = Store::open("sqlite:posthouse.db", &missing).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreadable { .. }), "{error:?}");
}
