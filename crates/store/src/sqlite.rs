//! The embedded engine: one SQLite file in WAL mode, every commit synced.
//!
//! One connection writes; a few read beside it and never wait for it. What the file holds is in `migrations/`. Password
//! verifiers are in it, so it is its owner's alone (mode 0600).

mod admin;
mod append;
mod find;
mod gate;
mod load;
mod open;
mod signing;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use mail::Mailbox;
use sqlx::{Row, SqlitePool};

use crate::{DatabaseError, Directory, OpenError, Resolution, Verifiers};

/// The store. Cheap to clone; clones are one store.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
    /// The current directory. Held for a pointer's copy only.
    directory: RwLock<Directory>,
    /// One change of the directory at a time, from its checks to its place in memory.
    changes: tokio::sync::Mutex<()>,
}

impl Store {
    /// Opens the store of `url` (`sqlite:FILE`, relative to `data_dir`), makes it when it is not there, and brings its
    /// schema up to date.
    pub async fn open(url: &str, data_dir: &Path) -> Result<Self, OpenError> {
        let path = open::path_of(url, data_dir)?;
        let (writer, readers) = open::connect(&path).await?;
        let store = Self {
            shared: Arc::new(Shared {
                path,
                writer,
                readers,
                directory: RwLock::default(),
                changes: tokio::sync::Mutex::new(()),
            }),
        };
        store.reload().await?;
        Ok(store)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Closes the connections; what was answered is on the disk.
    pub async fn close(&self) {
        self.shared.readers.close().await;
        self.shared.writer.close().await;
    }

    /// The directory as it is now. Later changes make a new one.
    pub fn directory(&self) -> Directory {
        self.shared.directory.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the directory again when another program has changed it.
    pub async fn reload(&self) -> Result<(), DatabaseError> {
        let _one_at_a_time = self.shared.changes.lock().await;
        self.load_directory().await
    }

    /// Where the mail of an address goes. Answered from memory.
    pub fn resolve(&self, address: &Mailbox) -> Resolution {
        self.directory().resolve(address)
    }

    /// What proves a user's password. Answered from memory.
    pub fn credentials(&self, user: &Mailbox) -> Option<Verifiers> {
        self.directory().user(user).map(|user| user.verifiers.clone())
    }

    /// A text kept under a name, for small facts of the installation.
    pub async fn meta_get(&self, key: &str) -> Result<Option<String>, DatabaseError> {
        let row =
            sqlx::query("SELECT value FROM meta WHERE key = ?").bind(key).fetch_optional(&self.shared.readers).await;
        let row = row.map_err(|error| self.failed(&error))?;
        row.map(|row| row.try_get(0)).transpose().map_err(|error| self.failed(&error))
    }

    /// Keeps a text under a name.
    pub async fn meta_set(&self, key: &str, value: &str) -> Result<(), DatabaseError> {
        sqlx::query(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(key)
        .bind(value)
        .execute(&self.shared.writer)
        .await
        .map_err(|error| self.failed(&error))?;
        Ok(())
    }

    fn failed(&self, error: &sqlx::Error) -> DatabaseError {
        open::classify(&self.shared.path, error)
    }
}
