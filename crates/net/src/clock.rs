//! The time: of the system, or of a test that lets it jump.
//!
//! Two kinds are kept apart. *Instants* never go back and measure waiting; they are the runtime's, so that a test with
//! paused time (`tokio::test(start_paused = true)`) jumps over every wait. The *wall clock* is what people read; it may
//! be set to anything at any moment, and nothing may be lost by that.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mail::Timestamp;

/// A deadline passed before the thing waited for came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct DeadlinePassed;

/// A clock. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Simulated(Arc<Simulated>),
}

#[derive(Debug)]
struct Simulated {
    /// The wall clock at `origin`, in microseconds.
    wall: AtomicI64,
    origin: Instant,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A wall clock that says `start` now and goes on with the runtime's time, paused or not. Called in a runtime.
    pub fn simulated(start: Timestamp) -> Self {
        Self(Source::Simulated(Arc::new(Simulated { wall: AtomicI64::new(start.as_micros()), origin: instant() })))
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_time(),
            Source::Simulated(simulated) => {
                Timestamp::from_micros(simulated.wall.load(Ordering::Relaxed))
                    + instant().duration_since(simulated.origin)
            }
        }
    }

    /// Now, for measuring and for deadlines.
    pub fn instant(&self) -> Instant {
        instant()
    }

    /// Moves a simulated wall clock by so many seconds, forward or back; instants do not notice. Does nothing to the
    /// system's clock.
    pub fn step_wall(&self, seconds: i64) {
        if let Source::Simulated(simulated) = &self.0 {
            simulated.wall.fetch_add(seconds.saturating_mul(1_000_000), Ordering::Relaxed);
        }
    }

    /// Waits for a length of time.
    pub async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }

    /// Waits until an instant; one that has passed is no wait.
    pub async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline.into()).await;
    }

    /// Waits for a future, but not past `deadline`.
    pub async fn timeout_at<F: Future>(&self, deadline: Instant, future: F) -> Result<F::Output, DeadlinePassed> {
        tokio::time::timeout_at(deadline.into(), future).await.map_err(|_| DeadlinePassed)
    }

    /// Waits for a future, but not longer than `wait`.
    pub async fn timeout<F: Future>(&self, wait: Duration, future: F) -> Result<F::Output, DeadlinePassed> {
        tokio::time::timeout(wait, future).await.map_err(|_| DeadlinePassed)
    }

    /// A timer for a loop that moves its deadline often.
    pub fn timer(&self) -> Timer {
        Timer { sleep: None, deadline: None }
    }
}

/// A deadline that a loop moves again and again: one per connection. Moving it to a later time, the common case, is one
/// atomic operation and takes no lock; a timer that was never waited for costs nothing.
#[derive(Debug)]
pub struct Timer {
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    deadline: Option<Instant>,
}

impl Timer {
    /// Sets the deadline; `None` never fires.
    pub fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Waits for the deadline. Cancel-safe: a wait given up is begun again by the next call.
    pub async fn fired(&mut self) {
        let Some(deadline) = self.deadline else {
            return std::future::pending().await;
        };
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().await;
    }
}

/// The runtime's time, which a test can pause; without a paused runtime it is the system's.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the system for an instant")]
fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time of day")]
fn system_time() -> Timestamp {
    let now = SystemTime::now();
    let micros = |length: Duration| i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(match now.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => micros(before.duration()).saturating_neg(),
    })
}
