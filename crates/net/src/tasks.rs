//! Tasks: named, counted, supervised. The only place that spawns.
//!
//! A panic inside a task is caught, logged once with the task's name, and counted; the others go on. A *vital* task is
//! one without which the server would only seem to work: when it panics, shutdown begins. Shutdown is a request that
//! every task sees through [`Tasks::cancelled`]; [`Tasks::wait`] then waits for them with a deadline.

use std::{
    any::Any,
    collections::BTreeMap,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use tokio::sync::watch;

/// Bytes of a panic's message that are logged.
const PANIC_TEXT_MAX: usize = 1000;

/// A group of tasks. Cheap to clone; clones are one group.
#[derive(Clone, Debug)]
pub struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// True once shutdown has begun. Receivers wake in shards, so that no lock is shared by all sessions.
    shutdown: watch::Sender<bool>,
    /// Running tasks by name; an entry is dropped at zero.
    running: Mutex<BTreeMap<&'static str, usize>>,
    /// Sent when `running` becomes empty.
    idle: tokio::sync::Notify,
    panics: AtomicU64,
}

/// Why a task has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// It panicked, which has been logged.
    #[error("the task {0} panicked")]
    Panicked(&'static str),
    /// It was aborted, or the runtime is going down.
    #[error("the task {0} was aborted")]
    Aborted(&'static str),
}

/// A running task. Await it for its result; dropping it lets the task run on.
#[derive(Debug)]
pub struct Task<T> {
    name: &'static str,
    handle: tokio::task::JoinHandle<Option<T>>,
}

impl<T> Task<T> {
    /// Stops the task at its next await.
    pub fn abort(&self) {
        self.handle.abort();
    }

    /// Whether it has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let name = self.name;
        Pin::new(&mut self.handle).poll(cx).map(|joined| match joined {
            Ok(Some(output)) => Ok(output),
            Ok(None) => Err(TaskError::Panicked(name)),
            Err(_) => Err(TaskError::Aborted(name)),
        })
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// A group without tasks.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                shutdown: watch::Sender::new(false),
                running: Mutex::default(),
                idle: tokio::sync::Notify::new(),
                panics: AtomicU64::new(0),
            }),
        }
    }

    /// Starts a task. Two allocations, and one short lock to count it: cheap enough for one per connection.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &'static str,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.start(name, Importance::Ordinary, future)
    }

    /// Starts a task whose panic shuts the group down: without it the server would only seem to work.
    pub fn spawn_vital<T: Send + 'static>(
        &self,
        name: &'static str,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.start(name, Importance::Vital, future)
    }

    /// Runs a computation that would hold up the others (password hashing, file systems) on a thread for such work.
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TaskError> {
        let counted = Counted::new(&self.shared, name);
        let handle = tokio::task::spawn_blocking(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            result.map_err(|payload| counted.panicked(payload.as_ref(), Importance::Ordinary)).ok()
        });
        Task { name, handle }.await
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    fn start<T: Send + 'static>(
        &self,
        name: &'static str,
        importance: Importance,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        let counted = Counted::new(&self.shared, name);
        // Boxed: pinned inside the block it would be there twice, once as captured and once as pinned.
        let mut future = Box::pin(future);
        let handle = tokio::spawn(async move {
            let result = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(poll) => poll.map(Ok),
                Err(payload) => Poll::Ready(Err(payload)),
            });
            result.await.map_err(|payload| counted.panicked(payload.as_ref(), importance)).ok()
        });
        Task { name, handle }
    }

    /// Asks every task to finish.
    pub fn shutdown(&self) {
        self.shared.shutdown.send_replace(true);
    }

    /// Whether shutdown has begun.
    pub fn is_shutdown(&self) -> bool {
        *self.shared.shutdown.borrow()
    }

    /// Waits until shutdown begins. A loop should make this future once, pin it, and select on it again and again.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.shared.shutdown.subscribe();
        let shared = Arc::clone(&self.shared);
        async move {
            // The sender lives in `shared`, so the channel cannot close.
            let _closed = receiver.wait_for(|begun| *begun).await.is_err();
            drop(shared);
        }
    }

    /// Running tasks by name.
    pub fn running(&self) -> Vec<(&'static str, usize)> {
        self.shared.counts().iter().map(|(name, count)| (*name, *count)).collect()
    }

    /// Panics so far.
    pub fn panics(&self) -> u64 {
        self.shared.panics.load(Ordering::Relaxed)
    }

    /// Waits until no task runs. Past the deadline it returns those that still do.
    pub async fn wait(&self, deadline: Instant) -> Result<(), Vec<(&'static str, usize)>> {
        let emptied = async {
            loop {
                let notified = self.shared.idle.notified();
                if self.shared.counts().is_empty() {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout_at(deadline.into(), emptied).await.map_err(|_| self.running())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Importance {
    Ordinary,
    Vital,
}

impl Shared {
    fn counts(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One running task in the count; leaves it when dropped, however the task ends.
struct Counted {
    shared: Arc<Shared>,
    name: &'static str,
}

impl Counted {
    fn new(shared: &Arc<Shared>, name: &'static str) -> Self {
        *shared.counts().entry(name).or_insert(0) += 1;
        Self { shared: Arc::clone(shared), name }
    }

    fn panicked(&self, payload: &(dyn Any + Send), importance: Importance) {
        self.shared.panics.fetch_add(1, Ordering::Relaxed);
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let text = mail::for_log(text, PANIC_TEXT_MAX);
        tracing::error!(task = self.name, panic = %text, "a task panicked; the others go on");
        if importance == Importance::Vital {
            tracing::error!(task = self.name, "shutting down: the server cannot do without this task");
            self.shared.shutdown.send_replace(true);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.shared.counts();
        if let Some(count) = counts.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(self.name);
            }
        }
        if counts.is_empty() {
            self.shared.idle.notify_waiters();
        }
    }
}
