//! The embedded engine: SQLite, one writing thread, a window of fresh messages in memory.
//!
//! ```text
//! tasks ──► Engine ──┬── commit ──(large)──► files ──┐
//!                    ├── commit, settle, park, … ────┴─► committer ─► queue.db ◄── checkpointer
//!                    ├── lease ─► window (memory) ◄──────────┘           ▲
//!                    └── content, find, outbox ─► readers ───────────────┘
//! ```
//!
//! Five threads: the committer, the one for content files, two that read, one for checkpoints.

mod batch;
mod checkpoint;
mod command;
mod commit;
mod committer;
mod delivery;
mod destination;
mod files;
mod find;
mod fresh;
mod lease;
mod meters;
mod open;
mod outbox;
mod reader;
mod row;
mod salvage;
mod schema;
mod settle;
mod shared;
mod sweep;
mod update;

use std::{
    collections::{HashMap, HashSet},
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use mail::{DeliveryId, MessageId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::{mpsc, oneshot};

use checkpoint::{Checkpointer, Looked};
use command::{Command, LeaseDue, Settle, UpdateStep};
use committer::{Committer, number};
use files::Files;
use find::{Checked, Walk};
use fresh::Numbers;
use lease::{LEASE, Leased};
use reader::Reader;
use row::{Base, Tally};
use shared::Shared;

use crate::{
    CaptureView, CommitError, Committed, Content, Draft, Filter, Item, Lease, Lock, NewMessage, OutboxEntry, Page,
    SettleError, Settlement, Spool, SpoolError, State, Update, View,
    content::{Place, io_error},
    disk::{Disk, ReadFile, RealDisk},
    reserve::Reserve,
};

/// Commands that wait for the committer; then callers wait.
const COMMANDS_MAX: usize = 4096;
/// Of so many calls to lease while fresh mail waits, one also takes what is due.
const DUE_TURN: u64 = 4;

/// What the engine needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory with everything in it: `data_dir/spool`. Made when it is not there.
    pub dir: PathBuf,
    /// Octets of disk that are kept free: below, [`Spool::begin`] fails.
    pub disk_reserve: u64,
    /// Random bytes: the name of the node, used when a database is made.
    pub node: [u8; 16],
    /// Captured messages kept; older ones go with the next sweep.
    pub captured_max: u64,
    /// The file layer: [`RealDisk`], but for tests.
    pub disk: Arc<dyn Disk>,
    /// The SQLite VFS; `None` is the system's.
    pub vfs: Option<String>,
    /// A clock that never goes back, to measure syncs with; without one they are not measured.
    pub instant: Option<fn() -> Instant>,
}

impl Options {
    /// The usual ones: 1 GB of reserve, 10,000 captured messages, the machine's file system.
    pub fn new(dir: impl Into<PathBuf>, node: [u8; 16]) -> Self {
        Self {
            dir: dir.into(),
            disk_reserve: 1_000_000_000,
            node,
            captured_max: 10_000,
            disk: Arc::new(RealDisk),
            vfs: None,
            instant: None,
        }
    }
}

/// The SQLite engine. Dropping it without [`Spool::close`] is safe: what was acknowledged is on the disk.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    files: Files,
    /// For the mail path.
    mail: Reader,
    /// For operators.
    lists: Reader,
    looked: Looked,
    captured_max: u64,
    turns: AtomicU64,
    // Dropped in this order: the ways above, which ends the threads; then the threads are waited for; then the lock goes.
    _threads: Threads,
    _lock: Lock,
}

/// Threads that are waited for when this is dropped.
#[derive(Debug, Default)]
struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    fn start(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), SpoolError> {
        let started = std::thread::Builder::new().name(format!("spool-{name}")).spawn(work);
        let thread = started
            .map_err(|error| SpoolError::Io { what: format!("starting the thread {name}"), why: error.to_string() })?;
        self.0.push(thread);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the queue had panicked");
            }
        }
    }
}

impl Engine {
    /// Opens or makes the queue in `options.dir`; blocks while it reads. One server per directory; a queue of a newer version is refused and
    /// left as it is; one that is damaged is set aside, see [`Spool::alerts`].
    pub fn open(options: Options, now: Timestamp) -> Result<Arc<Self>, SpoolError> {
        meters::describe();
        let lock = Lock::take(&options.dir)?;
        keep_private(&options.dir)?;
        let place = Place::new(Arc::clone(&options.disk), &options.dir);
        clear(&place)?;
        let shared = Shared::new(place, Reserve::new(options.dir.clone(), options.disk_reserve));
        let opened = open::open(&options, &shared)?;
        shared.window().aged(now);
        let path = opened.path.clone();
        let mut threads = Threads::default();
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (files, jobs) = Files::channel();
        let (checkpointer, checkpoints, looked) = Checkpointer::new(&shared, path.clone(), options.vfs.clone());
        threads.start("checkpoint", move || checkpointer.run())?;
        let (mail, thread) = Reader::new(&shared, path.clone(), options.vfs.clone());
        threads.start("read", move || thread.run())?;
        let (lists, thread) = Reader::new(&shared, path, options.vfs.clone());
        threads.start("list", move || thread.run())?;
        let (file_shared, back) = (Arc::clone(&shared), commands.downgrade());
        threads.start("files", move || files::run(&file_shared, jobs, &back))?;
        let captured_max = options.captured_max;
        let (back, engine) = (commands.downgrade(), Arc::clone(&shared));
        let mut committer = Committer::new(engine, options, opened, files.clone(), checkpoints, back, now);
        committer.begin();
        threads.start("commit", move || committer.run(receiver))?;
        Ok(Arc::new(Self {
            shared,
            commands,
            files,
            mail,
            lists,
            looked,
            captured_max,
            turns: AtomicU64::new(0),
            _threads: threads,
            _lock: lock,
        }))
    }

    /// Has the committer do something and waits for its answer.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, SpoolError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)
    }

    async fn lease_due(&self, limit: usize, skip: &[String], now: Timestamp) -> Result<Leased, SpoolError> {
        let skip = skip.iter().cloned().collect();
        self.ask(|reply| Command::Lease(LeaseDue { limit, skip, now, reply: Some(reply) })).await?
    }
}

/// Other people's mail is nobody's business: only the server's own user may look into the directory.
fn keep_private(directory: &Path) -> Result<(), SpoolError> {
    std::fs::set_permissions(directory, Permissions::from_mode(0o700))
        .map_err(|error| io_error("keeping others out of", directory, &error))
}

/// Makes the directories, and removes what a process before left unfinished.
fn clear(place: &Place) -> Result<(), SpoolError> {
    for directory in [&place.incoming, &place.content] {
        place.disk.make_directory(directory).map_err(|error| io_error("making the directory", directory, &error))?;
        // The name of the directory itself has to be durable before anything in it counts as such.
        for above in directory.ancestors().skip(1).take(2).filter(|path| !path.as_os_str().is_empty()) {
            place.disk.sync_directory(above).map_err(|error| io_error("syncing", above, &error))?;
        }
    }
    let names = place.disk.list(&place.incoming);
    for name in names.map_err(|error| io_error("listing", &place.incoming, &error))? {
        let path = place.incoming.join(name);
        place.disk.remove(&path).map_err(|error| io_error("removing the unfinished", &path, &error))?;
    }
    Ok(())
}

#[async_trait]
impl Spool for Engine {
    fn begin(&self) -> Result<Draft, SpoolError> {
        self.shared.check()?;
        self.shared.reserve.check(|| self.looked.say())?;
        Ok(Draft::new(self.shared.place.clone(), Arc::clone(&self.shared.reserve)))
    }

    async fn commit(&self, draft: Draft, message: NewMessage, now: Timestamp) -> Result<Committed, CommitError> {
        self.shared.check()?;
        let mut prepared = commit::prepare(&self.shared, draft, message, now)?;
        let (reply, answer) = oneshot::channel();
        prepared.commit.reply = Some(reply);
        if prepared.large.is_some() {
            self.files.commit(prepared).await?;
        } else {
            self.commands.send(Command::Commit(prepared.commit)).await.map_err(|_| SpoolError::Closed)?;
        }
        answer.await.map_err(|_| CommitError::Spool(SpoolError::Closed))?
    }

    async fn lease(&self, limit: usize, skip_domains: &[String], now: Timestamp) -> Result<Vec<Item>, SpoolError> {
        self.shared.check()?;
        let due = self.shared.due_head() <= now.as_micros();
        let turn = due && self.turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(DUE_TURN);
        let fresh_limit = if turn && limit > 1 { limit - limit / 4 - usize::from(limit < 4) } else { limit };
        let skip: HashSet<&str> = skip_domains.iter().map(String::as_str).collect();
        let (items, aged) = {
            let mut window = self.shared.window();
            (window.lease(fresh_limit, &skip, now + LEASE), window.aged(now).is_some())
        };
        if aged {
            // A full channel means that transactions run, which move what is old by themselves.
            let _busy = self.commands.try_send(Command::Age { now });
        }
        let count: usize = items.iter().map(|item| item.deliveries.len()).sum();
        if !due || (count > 0 && !turn) || count >= limit {
            if due {
                self.shared.ready.notify_one();
            }
            return Ok(items);
        }
        // Dropped while it waits, this call gives back what it holds.
        let fresh = Leased::new(items, now, self.commands.downgrade());
        let due = self.lease_due(limit - count, skip_domains, now).await?;
        let mut items = fresh.take();
        items.extend(due.take());
        Ok(items)
    }

    async fn ready(&self) {
        self.shared.ready.notified().await;
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, SpoolError> {
        let head = self.shared.due_head();
        Ok((head != i64::MAX).then(|| Timestamp::from_micros(head)))
    }

    async fn park(&self, leases: Vec<Lease>, due: Timestamp) -> Result<(), SpoolError> {
        if leases.is_empty() {
            return Ok(());
        }
        self.shared.check()?;
        self.ask(|reply| Command::Park { leases, due, reply: Some(reply) }).await?
    }

    async fn settle(&self, settlements: Vec<Settlement>, now: Timestamp) -> Vec<Result<(), SettleError>> {
        let count = settlements.len();
        if count == 0 {
            return Vec::new();
        }
        let refused = |error: SpoolError| vec![Err(SettleError::Spool(error)); count];
        if let Err(error) = self.shared.check() {
            return refused(error);
        }
        let items = settlements.into_iter().map(|settlement| settle::prepare(&self.shared, settlement, now)).collect();
        let answer = self.ask(|reply| Command::Settle(Settle { items, now, reply: Some(reply) })).await;
        answer.unwrap_or_else(refused)
    }

    async fn content(&self, message: MessageId) -> Result<Content, SpoolError> {
        let whole = {
            let window = self.shared.window();
            window.by_message(message).map(|whole| (whole.seq, whole.message.content.clone()))
        };
        if let Some((_, Some(bytes))) = whole {
            return Ok(Content::from_bytes(bytes));
        }
        let place = self.shared.place.clone();
        let stored = self.mail.ask(move |connection| {
            let stored = stored_content(connection, message, whole.map(|(seq, _)| seq))?;
            Ok(stored.map(|stored| stored.open(&place)))
        });
        stored.await?.ok_or(SpoolError::NotFound)?
    }

    async fn find(
        &self,
        filter: &Filter,
        page: &Page,
        _now: Timestamp,
    ) -> Result<(Vec<View>, Option<String>), SpoolError> {
        let filter = Checked::new(filter)?;
        let (limit, after) = find::page(page)?;
        let mut found: HashMap<find::Key, View> =
            find::fresh(&self.shared, &filter, after, limit + 1).into_iter().collect();
        let walk = Walk { filter, after, below: None, window_done: true };
        let rows = self.lists.ask(move |connection| find::rows(connection, &walk, limit + 1)).await?;
        // What left the window between the two looks is in both: its row is the newer truth.
        found.extend(rows);
        let mut found: Vec<(find::Key, View)> = found.into_iter().collect();
        found.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
        let more = found.len() > limit;
        found.truncate(limit);
        let cursor = found.last().filter(|_| more).map(|(key, _)| find::cursor(*key));
        Ok((found.into_iter().map(|(_, view)| view).collect(), cursor))
    }

    async fn count(&self) -> Result<Vec<(State, u64)>, SpoolError> {
        let (numbers, rows) = (self.shared.window().numbers(), self.shared.rows());
        Ok(shown(&numbers, &rows))
    }

    async fn count_by_domain(&self, limit: usize) -> Result<Vec<(String, State, u64)>, SpoolError> {
        let numbers = self.shared.window().numbers_by_domain();
        let rows = {
            let mut fresh: Vec<(i64, String)> =
                numbers.iter().map(|(domain, numbers)| (numbers.waiting + numbers.leased, domain.clone())).collect();
            fresh.sort_by(|a, b| b.cmp(a));
            fresh.truncate(limit);
            let domains = fresh.into_iter().map(|(_, domain)| domain).collect();
            self.lists.ask(move |connection| destinations(connection, domains, limit)).await?
        };
        let none = Numbers::default();
        let mut counts: Vec<(u64, String, State, u64)> = Vec::new();
        for (domain, rows) in rows {
            let shown = shown(numbers.get(&domain).unwrap_or(&none), &rows);
            let total = shown.iter().map(|(_, n)| n).sum();
            counts
                .extend(shown.into_iter().filter(|(_, n)| *n > 0).map(|(state, n)| (total, domain.clone(), state, n)));
        }
        counts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (&a.1, a.2).cmp(&(&b.1, b.2))));
        counts.truncate(limit);
        Ok(counts.into_iter().map(|(_, domain, state, n)| (domain, state, n)).collect())
    }

    async fn update(&self, filter: &Filter, update: &Update, now: Timestamp) -> Result<u64, SpoolError> {
        self.shared.check()?;
        let filter = Checked::new(filter)?;
        let mut next = Some(Walk { filter, after: None, below: None, window_done: false });
        let mut changed = 0;
        while let Some(walk) = next {
            let update = update.clone();
            let step =
                self.ask(|reply| Command::Update(UpdateStep { walk, update, now, reply: Some(reply) })).await??;
            changed += step.changed;
            next = step.next;
        }
        Ok(changed)
    }

    async fn captured(&self, before: Option<MessageId>, limit: usize) -> Result<Vec<CaptureView>, SpoolError> {
        self.lists.ask(move |connection| outbox::captured(connection, before, limit)).await
    }

    async fn outbox(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>, SpoolError> {
        self.mail.ask(move |connection| outbox::entries(connection, after, limit)).await
    }

    async fn outbox_ready(&self, after: u64, wait: Duration) {
        let mut last = self.shared.outbox_last.subscribe();
        // Either way the caller looks.
        let _in_time = tokio::time::timeout(wait, last.wait_for(|last| *last > after)).await.is_ok();
    }

    fn node(&self) -> String {
        self.shared.node()
    }

    async fn trim_outbox(&self, through: u64) -> Result<(), SpoolError> {
        self.ask(|reply| Command::TrimOutbox { through, reply: Some(reply) }).await?
    }

    fn poisoned(&self) -> Option<String> {
        self.shared.poison()
    }

    fn alerts(&self) -> Vec<String> {
        self.shared.alerts()
    }

    async fn recover(&self) -> Result<(), SpoolError> {
        self.ask(|reply| Command::Recover { reply: Some(reply) }).await?
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), SpoolError> {
        self.shared.check()?;
        let captured_max = self.captured_max;
        while self.ask(|reply| Command::Sweep { now, captured_max, reply: Some(reply) }).await??.more {}
        sweep::orphans(&self.shared, &self.files, &self.lists).await
    }

    async fn close(&self) {
        self.shared.close();
        // Large messages on their way come before the end.
        self.files.flush().await;
        // A second call finds the committer gone.
        let _closed = self.ask(|reply| Command::Close { reply: Some(reply) }).await;
        self.files.flush().await;
    }

    async fn get(&self, delivery: DeliveryId, _now: Timestamp) -> Result<Option<View>, SpoolError> {
        let filter = Checked::by_id(vec![delivery]);
        let fresh = find::fresh(&self.shared, &filter, None, 1);
        let walk = Walk { filter, after: None, below: None, window_done: true };
        let rows = self.mail.ask(move |connection| find::rows(connection, &walk, 1)).await?;
        Ok(rows.into_iter().chain(fresh).next().map(|(_, view)| view))
    }
}

/// Content as a row has it.
struct Stored {
    size: u64,
    prefix: Option<Vec<u8>>,
    file: Option<String>,
    data: Option<Vec<u8>>,
}

impl Stored {
    fn open(self, place: &Place) -> Result<Content, SpoolError> {
        match (self.file, self.data) {
            (Some(name), _) => {
                let file: Arc<dyn ReadFile> = place.open(&name)?;
                let prefix = self.prefix.unwrap_or_default();
                let there = file.size().map_err(|error| io_error("reading", &place.content.join(&name), &error))?;
                if there + prefix.len() as u64 != self.size {
                    let path = place.content.join(&name);
                    return Err(SpoolError::Damaged(format!(
                        "{} has {there} octets, {} were written",
                        path.display(),
                        self.size.saturating_sub(prefix.len() as u64)
                    )));
                }
                Ok(Content::from_file(prefix.into(), file, self.size))
            }
            (None, Some(data)) => Ok(Content::from_bytes(data.into())),
            (None, None) => Err(SpoolError::Damaged("a message's content has neither bytes nor a file".into())),
        }
    }
}

/// The content of a message: of the number given, else waiting, else captured.
fn stored_content(connection: &Connection, message: MessageId, seq: Option<u64>) -> rusqlite::Result<Option<Stored>> {
    let columns = "SELECT m.size, m.prefix, c.file, c.data FROM";
    let content = "JOIN content c ON c.seq = m.content WHERE";
    let fresh = format!("{columns} message m {content} m.id = ?1 AND m.seq = ?2");
    let waiting = format!("{columns} message m {content} m.id = ?1 AND m.whole IS NULL AND ?2 IS ?2");
    let captured = format!("{columns} captured m {content} m.id = ?1 AND ?2 IS ?2");
    for sql in [seq.map(|_| fresh), Some(waiting), Some(captured)].into_iter().flatten() {
        let params = params![message.to_bytes(), seq.map(committer::column)];
        let found = connection.prepare_cached(&sql)?.query_row(params, |row| {
            Ok(Stored { size: number(row.get(0)?), prefix: row.get(1)?, file: row.get(2)?, data: row.get(3)? })
        });
        if let Some(found) = found.optional()? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Numbers as people see them: what is leased is active, whatever state its row has.
fn shown(numbers: &Numbers, rows: &Tally) -> Vec<(State, u64)> {
    let positive = |n: i64| u64::try_from(n).unwrap_or(0);
    let waiting = |state: Base| {
        let fresh = if state == Base::Queued { numbers.waiting } else { 0 };
        (state.shown(), positive(rows.get(state) - numbers.rows_leased.get(state) + fresh))
    };
    let active = (State::Active, positive(numbers.leased + numbers.rows_leased.total()));
    let mut shown: Vec<(State, u64)> = Base::ALL.into_iter().map(waiting).chain([active]).collect();
    shown.sort();
    shown
}

/// The largest domains, and those named.
fn destinations(connection: &Connection, named: Vec<String>, limit: usize) -> rusqlite::Result<HashMap<String, Tally>> {
    let read = |row: &rusqlite::Row<'_>| {
        let mut tally = Tally::default();
        for (at, state) in (1..).zip(Base::ALL) {
            tally.add(state, row.get(at)?);
        }
        Ok((row.get(0)?, tally))
    };
    let columns = "SELECT domain, queued, deferred, scheduled, held FROM destination";
    let mut statement = connection.prepare_cached(&format!("{columns} ORDER BY total DESC LIMIT ?1"))?;
    let largest = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], read)?;
    let mut found: HashMap<String, Tally> = largest.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached(&format!("{columns} WHERE domain = ?1"))?;
    for domain in named {
        let row = statement.query_row([&domain], read).optional()?;
        let (domain, tally) = row.unwrap_or((domain, Tally::default()));
        found.insert(domain, tally);
    }
    Ok(found)
}
