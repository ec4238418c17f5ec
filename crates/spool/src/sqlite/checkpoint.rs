//! Moving what the log holds into the database file, beside the committer; and letting the answer about free space grow
//! old, which needs the same kind of thread.
//!
//! A passive checkpoint never stands in the committer's way. It cannot start the log anew while mail flows: past its
//! bound the committer does that itself, between two transactions, with little left to move.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use rusqlite::Connection;

use super::{
    schema::{self, Role},
    shared::Shared,
};

/// Octets written between two passive checkpoints.
const PASSIVE_EVERY: usize = 16 * 1024 * 1024;
/// Octets of log past which it is started anew.
const LOG_MAX: u64 = 64 * 1024 * 1024;
/// How long an answer about free space is good.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How thorough a checkpoint is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    Passive,
    Restart,
    Truncate,
}

#[derive(Debug)]
enum Ask {
    Checkpoint,
    /// The file system was asked for its free space.
    Looked,
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Checkpoints {
    asks: SyncSender<Ask>,
    restart_wanted: Arc<AtomicBool>,
    written: usize,
}

/// Says that the answer about free space is to be forgotten in a while.
#[derive(Clone, Debug)]
pub(super) struct Looked(SyncSender<Ask>);

impl Looked {
    pub(super) fn say(&self) {
        // With a full channel the thread is awake, and forgets the answer with the next thing it does.
        let _busy = self.0.try_send(Ask::Looked);
    }
}

impl Checkpoints {
    /// Notes octets written; asks for a checkpoint now and then.
    pub(super) fn written(&mut self, octets: usize) {
        self.written += octets;
        if self.written >= PASSIVE_EVERY && self.asks.try_send(Ask::Checkpoint).is_ok() {
            self.written = 0;
        }
    }

    /// Whether the log has passed its bound since the last call.
    pub(super) fn take_restart_wanted(&self) -> bool {
        self.restart_wanted.swap(false, Ordering::AcqRel)
    }
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Checkpointer {
    asks: Receiver<Ask>,
    restart_wanted: Arc<AtomicBool>,
    shared: Arc<Shared>,
    path: PathBuf,
    vfs: Option<String>,
}

impl Checkpointer {
    pub(super) fn new(shared: &Arc<Shared>, path: PathBuf, vfs: Option<String>) -> (Self, Checkpoints, Looked) {
        let (sender, asks) = sync_channel(16);
        let restart_wanted = Arc::new(AtomicBool::new(false));
        let looked = Looked(sender.clone());
        let checkpoints = Checkpoints { asks: sender, restart_wanted: Arc::clone(&restart_wanted), written: 0 };
        (Self { asks, restart_wanted, shared: Arc::clone(shared), path, vfs }, checkpoints, looked)
    }

    /// Works until both ways to it are dropped.
    pub(super) fn run(self) {
        let (mut connection, mut looked) = (None, false);
        loop {
            let ask = if looked {
                self.asks.recv_timeout(LOOK_EVERY)
            } else {
                self.asks.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match ask {
                Ok(Ask::Looked) => looked = true,
                Ok(Ask::Checkpoint) => {
                    self.checkpoint(&mut connection);
                    looked = self.shared.reserve.forget();
                }
                Err(RecvTimeoutError::Timeout) => looked = self.shared.reserve.forget(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn checkpoint(&self, connection: &mut Option<(u64, Connection)>) {
        if self.shared.poison().is_some() {
            return;
        }
        let generation = self.shared.generation();
        let done = match connection.take().filter(|(known, _)| *known == generation) {
            Some((_, connection)) => Ok(connection),
            None => schema::connect(&self.path, self.vfs.as_deref(), Role::Checkpointer),
        }
        .and_then(|opened| {
            let log = run(&opened, Mode::Passive)?;
            Ok((opened, log))
        });
        match done {
            Ok((opened, log)) => {
                *connection = Some((generation, opened));
                metrics::gauge!("posthouse_spool_log_bytes").set(log as f64);
                if log > LOG_MAX {
                    self.restart_wanted.store(true, Ordering::Release);
                }
            }
            Err(error) => self.failed(error),
        }
    }

    fn failed(&self, error: rusqlite::Error) {
        match super::committer::Failure::from(error) {
            super::committer::Failure::Broken(why) => {
                self.shared.set_poison(&format!("writing {} failed: {why}", self.path.display()));
            }
            other => tracing::debug!(?other, "a checkpoint was put off"),
        }
    }
}

/// Runs a checkpoint. Returns the octets that the log has.
pub(super) fn run(connection: &Connection, mode: Mode) -> rusqlite::Result<u64> {
    let sql = match mode {
        Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Mode::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Mode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let frames: i64 = connection.query_row(sql, [], |row| row.get(1))?;
    Ok(u64::try_from(frames).unwrap_or(0) * u64::from(schema::PAGE_SIZE))
}
