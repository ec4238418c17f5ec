//! The thread for content files: what waits is written, synced and renamed together, directories are synced once, then
//! the rows may commit. Small messages never wait here.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{
    command::{Body, Command},
    commit::{Large, Prepared},
    shared::Shared,
};
use crate::{
    SpoolError,
    content::{IncomingFile, io_error},
};

/// Jobs that wait; then callers wait.
const JOBS_MAX: usize = 1024;
/// Messages whose files are synced together.
const BATCH_MAX: usize = 64;

/// Something to do with files.
#[derive(Debug)]
pub(super) enum Job {
    Commit(Prepared),
    Remove(Vec<String>),
    /// Answered when all before it is done.
    Flush(oneshot::Sender<()>),
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub(super) struct Files(mpsc::Sender<Job>);

impl Files {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(JOBS_MAX);
        (Self(sender), receiver)
    }

    /// Has the file of a large message made, then the message committed.
    pub(super) async fn commit(&self, prepared: Prepared) -> Result<(), SpoolError> {
        self.0.send(Job::Commit(prepared)).await.map_err(|_| SpoolError::Closed)
    }

    /// Removes files that nothing refers to. When there is no room for the wish, the sweep of a later start does it.
    pub(super) fn remove(&self, names: Vec<String>) {
        if !names.is_empty() && self.0.try_send(Job::Remove(names)).is_err() {
            tracing::debug!("files of messages that are done stay until the next sweep");
        }
    }

    /// Waits until all that was asked before is done.
    pub(super) async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        if self.0.send(Job::Flush(reply)).await.is_ok() {
            // Without an answer the thread is gone, and with it everything to wait for.
            let _gone = done.await;
        }
    }
}

/// The thread: ends when the last [`Files`] is dropped.
pub(super) fn run(shared: &Arc<Shared>, mut jobs: mpsc::Receiver<Job>, committer: &mpsc::WeakSender<Command>) {
    let mut waiting = Vec::with_capacity(BATCH_MAX);
    while jobs.blocking_recv_many(&mut waiting, BATCH_MAX) > 0 {
        let (mut large, mut flushes) = (Vec::new(), Vec::new());
        for job in waiting.drain(..) {
            match job {
                Job::Commit(prepared) => large.push(prepared),
                Job::Remove(names) => remove(shared, &names),
                Job::Flush(reply) => flushes.push(reply),
            }
        }
        commit(shared, large, committer);
        for reply in flushes {
            let _gone = reply.send(());
        }
    }
}

fn commit(shared: &Shared, prepared: Vec<Prepared>, committer: &mpsc::WeakSender<Command>) {
    if prepared.is_empty() {
        return;
    }
    let mut written = Vec::with_capacity(prepared.len());
    for Prepared { commit, large } in prepared {
        match large.map(|large| write(shared, large)).transpose() {
            Ok(file) => written.push((commit, file)),
            Err(error) => Command::Commit(commit).fail(error),
        }
    }
    if written.len() > 1 {
        for file in written.iter_mut().filter_map(|(_, file)| file.as_mut()) {
            file.file.start_sync();
        }
    }
    let mut durable: Result<(), SpoolError> = Ok(());
    for (commit, file) in &mut written {
        if durable.is_ok()
            && let (Some(file), Body::File { name, .. }) = (file.as_mut(), &commit.body)
        {
            let renamed = sync(shared, file).and_then(|()| file.rename(&shared.place.content.join(name)));
            durable = renamed.map_err(|error| shared.reserve.judge(error));
        }
    }
    let durable = durable.and_then(|()| sync_directories(shared));
    for (commit, file) in written {
        let command = Command::Commit(commit);
        match (&durable, committer.upgrade()) {
            (Err(error), _) => {
                remove(shared, command.file().as_slice());
                command.fail(error.clone());
            }
            (Ok(()), None) => command.fail(SpoolError::Closed),
            (Ok(()), Some(committer)) => {
                drop(file);
                if let Err(mpsc::error::SendError(command)) = committer.blocking_send(command) {
                    command.fail(SpoolError::Closed);
                }
            }
        }
    }
}

/// Writes what is not in the file yet.
fn write(shared: &Shared, large: Large) -> Result<IncomingFile, SpoolError> {
    shared.check()?;
    let file = large.file.map_or_else(|| shared.place.create(), Ok);
    let written = file.and_then(|mut file| file.append(&large.rest).map(|()| file));
    written.map_err(|error| shared.reserve.judge(error))
}

fn sync(shared: &Shared, file: &mut IncomingFile) -> Result<(), SpoolError> {
    let synced = file.file.sync();
    synced.map_err(|error| poison(shared, io_error("syncing", &file.path, &error)))
}

fn sync_directories(shared: &Shared) -> Result<(), SpoolError> {
    for directory in [&shared.place.content, &shared.place.incoming] {
        let synced = shared.place.disk.sync_directory(directory);
        synced.map_err(|error| poison(shared, io_error("syncing", directory, &error)))?;
    }
    Ok(())
}

/// What a failed sync leaves on the disk is unknown: everything stops.
fn poison(shared: &Shared, error: SpoolError) -> SpoolError {
    let cause = error.to_string();
    shared.set_poison(&cause);
    SpoolError::Poisoned(cause)
}

fn remove(shared: &Shared, names: &[String]) {
    for name in names {
        let path = shared.place.content.join(name);
        if let Err(error) = shared.place.disk.remove(&path) {
            tracing::warn!(path = %path.display(), %error, "a content file stays until the next sweep");
        }
    }
}
