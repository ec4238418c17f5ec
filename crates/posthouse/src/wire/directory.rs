//! The data directory before anything is opened in it: made, ours to write in, locked, and not half of one.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use net::Clock;
use spool::{Lock, SpoolError};

use crate::{config::Config, control, process::Account, secret};

/// The folder of the queue, in data_dir.
pub(super) const SPOOL_FOLDER: &str = "spool";
/// How often, and how many times, a lock is tried again that a command has for a moment.
const LOCK_POLL: Duration = Duration::from_millis(50);
const LOCK_POLLS: u32 = 200;

/// Makes data_dir, readable by its owner only, or says why it is no place to work in. A new one, and an empty one, is given
/// to `owner`: root makes it for the account that the server becomes.
pub(crate) fn make(data_dir: &Path, owner: Option<&Account>) -> anyhow::Result<()> {
    const OWNER_ONLY: u32 = 0o700;
    let shown = data_dir.display();
    let fresh = fs::read_dir(data_dir).map_or(true, |mut entries| entries.next().is_none());
    let made = fs::DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(data_dir);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            anyhow::anyhow!(
                "cannot make the directory {shown} (data_dir): there is a file in its place; name a directory"
            )
        }
        _ => anyhow::anyhow!("cannot make the directory {shown} (data_dir): {}", what_to_do(&error)),
    })?;
    if let Some(Account { uid, gid, .. }) = owner.filter(|_| fresh) {
        rustix::fs::chown(data_dir, Some(*uid), Some(*gid))
            .with_context(|| format!("cannot give the directory {shown} (data_dir) to its user"))?;
    }
    rustix::fs::access(data_dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).map_err(|error| {
        anyhow::anyhow!("cannot write in the directory {shown} (data_dir): {}", what_to_do(&error.into()))
    })
}

/// The error and its remedy.
fn what_to_do(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "permission denied; make it with `install -d -m 700 -o USER`, where USER is who runs posthouse (now uid {})",
            rustix::process::geteuid().as_raw()
        ),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only".into(),
        io::ErrorKind::StorageFull => {
            "the disk is full, or has no inodes left (`df -i`); free some, then try again".into()
        }
        _ => error.to_string(),
    }
}

/// Takes the lock of a server. A command that edits the store has it for a moment, and is waited for; a server that
/// answers is not.
pub(super) async fn lock(data_dir: &Path, clock: &Clock) -> Result<Lock, SpoolError> {
    for poll in 0..LOCK_POLLS {
        match Lock::take(data_dir) {
            Err(SpoolError::InUse(holder)) if !control::answers(data_dir) => {
                if poll == 0 {
                    tracing::info!(holder, "waiting for data_dir");
                }
                clock.sleep(LOCK_POLL).await;
            }
            other => return other,
        }
    }
    Lock::take(data_dir)
}

/// Refuses to begin with an empty store in a directory that has served: every domain and user would be unknown, and their
/// mail refused for good.
pub(super) fn refuse_lost_store(config: &Config) -> anyhow::Result<()> {
    let Some(store) = store_file(config).filter(|_| has_served(config)) else {
        return Ok(());
    };
    let Some(state) = lost(&store) else {
        return Ok(());
    };
    anyhow::bail!(
        "the store {} is {state}, and its data_dir is not new: every domain and user would be unknown, and their mail refused; \
         restore it from a backup, or begin a new one with `posthouse domain add`",
        store.display()
    )
}

/// Refuses to begin with an empty queue where one was: SQLite would throw away the log beside an empty file, and the
/// contents that no row refers to would be swept. Whoever wants that moves the folder away.
pub(super) fn refuse_lost_queue(config: &Config) -> anyhow::Result<()> {
    let folder = config.data_dir.join(SPOOL_FOLDER);
    let queue = folder.join("queue.db");
    let Some(state) = lost(&queue).filter(|_| has_served(config) && folder.exists()) else {
        return Ok(());
    };
    anyhow::bail!(
        "the queue {} is {state}, and its data_dir is not new: accepted mail may be lost; restore it from a backup, or move {} \
         away, keep it for a look, and begin with an empty queue",
        queue.display(),
        folder.display()
    )
}

/// How a file that must not be new is lost, if it is.
fn lost(path: &Path) -> Option<&'static str> {
    match fs::metadata(path) {
        Ok(file) => (file.len() == 0).then_some("empty"),
        Err(error) => (error.kind() == io::ErrorKind::NotFound).then_some("missing"),
    }
}

/// Whether a server has run here. The secret is made by the first start, after both databases.
fn has_served(config: &Config) -> bool {
    secret::path(&config.data_dir).exists()
}

/// The file of the store, as `store` finds it.
fn store_file(config: &Config) -> Option<PathBuf> {
    let file = config.store_url.strip_prefix("sqlite:")?;
    Some(config.data_dir.join(file.strip_prefix("//").unwrap_or(file)))
}
