//! Connections that only read, each on a thread of its own. One answers the mail path, one the operators, so that a
//! long list never holds up a delivery.

use std::{path::PathBuf, sync::Arc};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    schema::{self, Role},
    shared::Shared,
};
use crate::SpoolError;

/// Questions that wait; then callers wait.
const QUESTIONS_MAX: usize = 256;

type Question = Box<dyn FnOnce(Result<&Connection, SpoolError>) + Send>;

/// The way to a reading thread.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    questions: mpsc::Sender<Question>,
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct ReaderThread {
    questions: mpsc::Receiver<Question>,
    shared: Arc<Shared>,
    path: PathBuf,
    vfs: Option<String>,
}

impl Reader {
    pub(super) fn new(shared: &Arc<Shared>, path: PathBuf, vfs: Option<String>) -> (Self, ReaderThread) {
        let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
        (Self { questions: sender }, ReaderThread { questions, shared: Arc::clone(shared), path, vfs })
    }

    /// Has a question answered in one read transaction.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |connection| {
            let answer = connection.and_then(|connection| answered(connection, question));
            // A caller that dropped its future needs no answer.
            let _gone = reply.send(answer);
        });
        self.questions.send(question).await.map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }
}

fn answered<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, SpoolError> {
    let answer = connection.execute_batch("BEGIN").and_then(|()| question(connection));
    let ended = if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("COMMIT") };
    let answer = answer.and_then(|answer| ended.map(|()| answer));
    answer.map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            SpoolError::Damaged(format!("the queue's database: {error}; `posthouse queue recover` checks and mends it"))
        }
        _ => SpoolError::Io { what: "reading the queue".into(), why: error.to_string() },
    })
}

impl ReaderThread {
    /// Answers until the last [`Reader`] is dropped.
    pub(super) fn run(mut self) {
        let mut connection: Option<(u64, Connection)> = None;
        while let Some(question) = self.questions.blocking_recv() {
            let generation = self.shared.generation();
            if connection.as_ref().is_none_or(|(known, _)| *known != generation) {
                connection = None;
                match schema::connect(&self.path, self.vfs.as_deref(), Role::Reader) {
                    Ok(opened) => connection = Some((generation, opened)),
                    Err(error) => {
                        let what = format!("opening the queue {}", self.path.display());
                        question(Err(SpoolError::Io { what, why: error.to_string() }));
                        continue;
                    }
                }
            }
            if let Some((_, connection)) = &connection {
                question(Ok(connection));
            }
        }
    }
}
