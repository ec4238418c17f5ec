//! The one writer: a thread that takes everything waiting, does it in one transaction, syncs once, then wakes those who
//! wait.
//!
//! ```text
//!          ┌────────────── commands ◄── commit, settle, lease, park, update …
//!          ▼
//!       BEGIN ─► each command ─► finish (rows, destinations, outbox) ─► COMMIT = sync ─► memory ─► answers
//!          │ one command is at fault          │ FULL, NOMEM                 │ IOERR, CORRUPT
//!          ▼                                  ▼                             ▼
//!       again, one by one                all get an error           all get an error, poison
//! ```

use std::{path::PathBuf, sync::Arc, time::Instant};

use mail::Timestamp;
use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::mpsc;

use super::{
    Options,
    batch::Batch,
    checkpoint::{self, Checkpoints},
    command::{Answer, Command},
    files::Files,
    open,
    row::{Base, Tally},
    schema,
    shared::Shared,
};
use crate::SpoolError;

/// Commands in one transaction.
const BATCH_MAX: usize = 2048;
/// Octets in one transaction, roughly; one command may have more.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Sequences taken from the disk at a time, so that none is used twice after a crash.
const SEQUENCES_RESERVED: u64 = 1_000_000;

/// Why a transaction failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The disk is full.
    Full,
    /// What is on the disk can no longer be relied on.
    Broken(String),
    /// No memory, a lock: the next try may work.
    Passing(String),
    /// One command is at fault.
    Operation(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
        let why = error.to_string();
        // A value that cannot be what we wrote.
        if matches!(
            error,
            rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
        ) {
            return Self::Broken(why);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            // The memory map of the log's index could not grow: the disk is full.
            Some(ErrorCode::SystemIoFailure) if extended == ffi::SQLITE_IOERR_SHMSIZE => Self::Full,
            Some(ErrorCode::SystemIoFailure) if extended == ffi::SQLITE_IOERR_NOMEM => Self::Passing(why),
            // A statement of ours does not fit the tables: they are no longer what was opened.
            Some(ErrorCode::Unknown) if extended == ffi::SQLITE_ERROR => Self::Broken(why),
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::ReadOnly,
            ) => Self::Broken(why),
            Some(
                ErrorCode::OutOfMemory
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OperationInterrupted,
            ) => Self::Passing(why),
            _ => Self::Operation(why),
        }
    }
}

/// Numbers that are never given out twice. Those on the disk are ahead of those in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequences {
    pub(super) message: u64,
    pub(super) message_reserved: u64,
    pub(super) outbox: u64,
    pub(super) outbox_reserved: u64,
    pub(super) low_water: u64,
}

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) options: Options,
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) files: Files,
    pub(super) checkpoints: Checkpoints,
    /// Which opening of the database this is: the owner of its leases.
    pub(super) epoch: i64,
    pub(super) sequences: Sequences,
    pub(super) rows: Tally,
    /// For leases that their taker does not live to see.
    pub(super) back: mpsc::WeakSender<Command>,
    leases: u64,
    /// The latest time that a command brought.
    now: Timestamp,
    /// When the last sweep was.
    pub(super) swept: Option<Timestamp>,
}

/// Stops the spool when the committer's thread ends by a bug: nobody may go on waiting for it.
struct StopOnPanic(Arc<Shared>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_poison("the thread that writes the queue ended by a bug, see the log; start the server again");
        }
    }
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>,
        options: Options,
        opened: open::Opened,
        files: Files,
        checkpoints: Checkpoints,
        back: mpsc::WeakSender<Command>,
        now: Timestamp,
    ) -> Self {
        let open::Opened { path, connection, epoch, sequences, rows, leases } = opened;
        Self {
            shared,
            options,
            path,
            connection,
            files,
            checkpoints,
            epoch,
            sequences,
            rows,
            back,
            leases,
            now,
            swept: None,
        }
    }

    /// Does what operators wished about attempts that ended with an earlier process.
    pub(super) fn begin(&mut self) {
        self.run_batch(vec![Command::Voided { now: self.now }]);
    }

    /// Works until told to close, or until nobody is left to ask for anything.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let _guard = StopOnPanic(Arc::clone(&self.shared));
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        while commands.blocking_recv_many(&mut waiting, BATCH_MAX) > 0 {
            if let Some(close) = self.work(&mut waiting) {
                self.end();
                commands.close();
                close.answer(Answer::None);
                break;
            }
        }
        for command in waiting {
            command.fail(SpoolError::Closed);
        }
        while let Some(command) = commands.blocking_recv() {
            command.fail(SpoolError::Closed);
        }
    }

    /// Does what waits, in order. Returns the command to close, when it came to one.
    fn work(&mut self, waiting: &mut Vec<Command>) -> Option<Command> {
        let mut commands = waiting.drain(..);
        let (mut batch, mut weight) = (Vec::new(), 0);
        for command in commands.by_ref() {
            match command {
                Command::Close { .. } => {
                    self.run_batch(batch);
                    // What came after it is answered, too: the rest goes back to be refused.
                    let rest: Vec<Command> = commands.collect();
                    waiting.extend(rest);
                    return Some(command);
                }
                Command::Recover { reply } => {
                    self.run_batch(std::mem::take(&mut batch));
                    weight = 0;
                    let recovered = self.recover();
                    let command = Command::Recover { reply };
                    match recovered {
                        Ok(()) => command.answer(Answer::None),
                        Err(error) => command.fail(error),
                    }
                }
                command => {
                    weight += command.weight();
                    batch.push(command);
                    if weight > BATCH_BYTES_MAX {
                        self.run_batch(std::mem::take(&mut batch));
                        weight = 0;
                    }
                }
            }
        }
        self.run_batch(batch);
        None
    }

    /// One transaction; on the fault of one command, one for each.
    fn run_batch(&mut self, commands: Vec<Command>) {
        if commands.is_empty() {
            return;
        }
        if let Some(cause) = self.shared.poison() {
            for command in commands {
                command.fail(SpoolError::Poisoned(cause.clone()));
            }
            return;
        }
        metrics::histogram!("posthouse_spool_batch_commands").record(commands.len() as f64);
        match self.transaction(&commands) {
            Ok(answers) => {
                for (command, answer) in commands.into_iter().zip(answers) {
                    command.answer(answer);
                }
            }
            Err(Failure::Operation(_)) if commands.len() > 1 => {
                for command in commands {
                    self.run_batch(vec![command]);
                }
            }
            Err(failure) => {
                let error = self.refusal(failure);
                if self.shared.poison().is_none() {
                    // Nothing was written, that much is known: the files have no rows.
                    self.files.remove(commands.iter().filter_map(Command::file).collect());
                }
                for command in commands {
                    command.fail(error.clone());
                }
            }
        }
    }

    /// Does the commands and makes them durable, or leaves everything as it was.
    fn transaction(&mut self, commands: &[Command]) -> Result<Vec<Answer>, Failure> {
        let before = self.sequences;
        let rows = self.rows;
        let mut batch = Batch::default();
        let done = self.done(commands, &mut batch);
        if done.is_err() {
            self.sequences = Sequences { message: self.sequences.message, ..before };
            self.rows = rows;
            batch.undo(&mut self.shared.window());
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                return Err(Failure::Broken(format!("a transaction could not be rolled back: {error}")));
            }
            return done;
        }
        let weight = commands.iter().map(Command::weight).sum();
        self.settled(batch);
        self.checkpoints.written(weight);
        self.make_room();
        done
    }

    fn done(&mut self, commands: &[Command], batch: &mut Batch) -> Result<Vec<Answer>, Failure> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            batch.now = batch.now.max(command.now());
            self.now = batch.now.unwrap_or(self.now);
            answers.push(self.execute(command, batch)?);
        }
        self.finish(batch)?;
        let began = self.options.instant.map(|instant| (instant, instant()));
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        if let Some((instant, began)) = began {
            let took: Instant = instant();
            metrics::histogram!("posthouse_spool_sync_seconds").record(took.duration_since(began).as_secs_f64());
        }
        metrics::counter!("posthouse_spool_transactions_total").increment(1);
        Ok(answers)
    }

    fn execute(&mut self, command: &Command, batch: &mut Batch) -> Result<Answer, Failure> {
        match command {
            Command::Commit(commit) => self.commit(commit, batch).map(Answer::Committed),
            Command::Settle(settle) => self.settle(settle, batch).map(Answer::Settled),
            Command::Lease(lease) => self.lease_due(lease, batch).map(Answer::Leased),
            Command::Park { leases, due, .. } => {
                leases.iter().try_for_each(|lease| self.park(*lease, *due, batch))?;
                Ok(Answer::None)
            }
            Command::Return(leases) => {
                leases.iter().try_for_each(|(lease, due)| self.park(*lease, *due, batch))?;
                Ok(Answer::None)
            }
            Command::Update(step) => self.update_step(step, batch).map(Answer::Stepped),
            Command::TrimOutbox { through, .. } => self.trim_outbox(*through).map(|()| Answer::None),
            Command::Voided { now } => self.grant_voided(*now, batch).map(|()| Answer::None),
            // What is old is moved by every transaction.
            Command::Age { .. } => Ok(Answer::None),
            Command::Sweep { now, captured_max, .. } => {
                self.sweep_step(*now, *captured_max, batch).map(|more| Answer::Swept(super::command::Swept { more }))
            }
            Command::Recover { .. } | Command::Close { .. } => Ok(Answer::None),
        }
    }

    /// The fence of the next lease: above all of every process before.
    pub(super) fn next_fence(&mut self) -> u64 {
        self.leases += 1;
        (self.epoch.unsigned_abs() << open::FENCE_BITS) + self.leases
    }

    /// Takes `count` sequences; the first of them.
    pub(super) fn take_sequences(&mut self, count: u64) -> Result<u64, Failure> {
        let first = self.sequences.message;
        self.sequences.message += count;
        if self.sequences.message > self.sequences.message_reserved {
            self.sequences.message_reserved = self.sequences.message + SEQUENCES_RESERVED;
            schema::set_meta(&self.connection, "message_reserved", column(self.sequences.message_reserved))?;
        }
        Ok(first)
    }

    /// Takes `count` places of the outbox; the first of them.
    pub(super) fn take_places(&mut self, count: u64) -> Result<u64, Failure> {
        let first = self.sequences.outbox;
        self.sequences.outbox += count;
        if self.sequences.outbox > self.sequences.outbox_reserved {
            self.sequences.outbox_reserved = self.sequences.outbox + SEQUENCES_RESERVED;
            schema::set_meta(&self.connection, "outbox_reserved", column(self.sequences.outbox_reserved))?;
        }
        Ok(first)
    }

    /// Moves the durable low-water mark up to the oldest message that is whole, when it lags by more than `lag`.
    /// `fresh` is the first of those that this transaction adds.
    pub(super) fn move_low_water(&mut self, fresh: Option<u64>, lag: u64) -> Result<(), Failure> {
        let oldest = self.shared.window().oldest().or(fresh).unwrap_or(self.sequences.message);
        if oldest.saturating_sub(self.sequences.low_water) > lag {
            schema::set_meta(&self.connection, "low_water", column(oldest))?;
            self.sequences.low_water = oldest;
        }
        Ok(())
    }

    /// Brings memory up to what is now durable.
    fn settled(&mut self, batch: Batch) {
        metrics::counter!("posthouse_spool_committed_total").increment(batch.committed);
        if batch.committed > 0 {
            self.shared.reserve.written();
        }
        metrics::counter!("posthouse_spool_events_total").increment(batch.events.len() as u64);
        if batch.counted {
            self.shared.set_rows(self.rows);
            for state in Base::ALL {
                let name = state.name();
                metrics::gauge!("posthouse_spool_waiting_deliveries", "state" => name).set(self.rows.get(state) as f64);
            }
        }
        if let Some(head) = batch.due_head {
            self.shared.set_due_head(head);
        }
        if let Some(last) = batch.outbox_last {
            self.shared.outbox_last.send_replace(last);
        }
        let wake = batch.apply(&mut self.shared.window(), &self.files);
        if wake {
            self.shared.ready.notify_one();
        }
    }

    /// Starts the log anew when it has grown past its bound.
    fn make_room(&mut self) {
        if self.checkpoints.take_restart_wanted()
            && let Err(error) = checkpoint::run(&self.connection, checkpoint::Mode::Restart)
        {
            self.broken_checkpoint(error);
        }
    }

    fn broken_checkpoint(&self, error: rusqlite::Error) {
        match Failure::from(error) {
            Failure::Broken(why) => self.shared.set_poison(&format!("writing {} failed: {why}", self.path.display())),
            Failure::Full | Failure::Passing(_) | Failure::Operation(_) => {}
        }
    }

    /// The words for a failed transaction; stops the spool when the disk cannot be relied on.
    fn refusal(&self, failure: Failure) -> SpoolError {
        let what = || format!("writing the queue {}", self.path.display());
        match failure {
            Failure::Full => {
                // What the log holds is given back; then there may be room for the rest.
                if let Err(error) = checkpoint::run(&self.connection, checkpoint::Mode::Truncate) {
                    self.broken_checkpoint(error);
                }
                self.shared.reserve.full()
            }
            Failure::Broken(why) => {
                let cause = format!("{} failed: {why}", what());
                self.shared.set_poison(&cause);
                SpoolError::Poisoned(cause)
            }
            Failure::Passing(why) | Failure::Operation(why) => SpoolError::Io { what: what(), why },
        }
    }

    /// Opens the database again and checks all of it. What is in memory comes from the disk again, so that leases held
    /// by attempts under way are lost: at worst a duplicate, never a loss.
    fn recover(&mut self) -> Result<(), SpoolError> {
        if self.shared.poison().is_none() {
            return Ok(());
        }
        let opened = open::reopen(&self.options, &self.shared, &mut self.connection)?;
        self.connection = opened.connection;
        (self.epoch, self.sequences, self.rows) = (opened.epoch, opened.sequences, opened.rows);
        self.leases = opened.leases;
        self.shared.set_rows(self.rows);
        self.shared.reserve.forget();
        self.shared.lift_poison();
        self.begin();
        self.shared.ready.notify_one();
        tracing::info!(path = %self.path.display(), "the queue is sound and goes on");
        Ok(())
    }

    /// The last thing: the mark, and everything out of the log.
    fn end(&mut self) {
        if self.shared.poison().is_some() {
            return;
        }
        let marked = self.move_low_water(None, 0).and_then(|()| {
            checkpoint::run(&self.connection, checkpoint::Mode::Truncate).map(|_| ()).map_err(Failure::from)
        });
        if let Err(failure) = marked {
            tracing::warn!(?failure, "the queue was not tidied at its end; the next start does it");
        }
    }
}

/// A sequence as SQLite stores it.
pub(super) fn column(number: u64) -> i64 {
    i64::try_from(number).expect("sequences grow by one and never reach the sign bit")
}

/// A sequence as SQLite gave it.
pub(super) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

/// A time as SQLite stores it.
pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_micros()
}
