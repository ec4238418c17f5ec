//! Notifications on their way to [`spool::Submit`]: first the notification is durable, then the failure is settled. A crash
//! between the two repeats the attempt, not the notification, for its key is known by then.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use net::tasks::Tasks;
use spool::{Message, SpoolError, SubmitError};
use tokio::sync::Notify;

use crate::{bounce::Bounce, engine::Shared};

/// Notifications that may wait.
const WAITING_MAX: usize = 10_000;
/// When a delivery is attempted again that found so many waiting.
pub(crate) const FULL_WAIT: Duration = Duration::from_secs(300);
/// The pause after a submission that failed for now.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// Octets of the content that are read for its header.
const HEADER_MAX: usize = 16 * 1024;

/// Notifications that wait.
#[derive(Debug, Default)]
pub(crate) struct Bouncer {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    bounces: VecDeque<Bounce>,
    is_finished: bool,
}

impl Bouncer {
    /// Adds one. It comes back when too many wait.
    pub(crate) fn push(&self, bounce: Bounce) -> Option<Bounce> {
        let mut queue = self.queue();
        if queue.bounces.len() >= WAITING_MAX {
            return Some(bounce);
        }
        queue.bounces.push_back(bounce);
        drop(queue);
        self.filled.notify_one();
        None
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.queue().bounces.len()
    }

    /// Says that nothing more will come: the tasks end when all is submitted.
    pub(crate) fn finish(&self) {
        self.queue().is_finished = true;
        self.filled.notify_waiters();
    }

    /// One of the tasks. What fails after shutdown is left to the next start.
    pub(crate) async fn run(shared: Arc<Shared>, tasks: Tasks) {
        let bouncer = &shared.bouncer;
        let mut cancelled = pin!(tasks.cancelled());
        loop {
            let mut filled = pin!(bouncer.filled.notified());
            filled.as_mut().enable();
            let (next, is_finished) = bouncer.next();
            match next {
                Some(bounce) => {
                    let failed = tell(&shared, bounce).await;
                    if let Some(failed) = failed.filter(|_| !tasks.is_shutdown()) {
                        tokio::select! {
                            () = shared.parts.clock.sleep(RETRY_PAUSE) => {}
                            () = &mut cancelled => {}
                        }
                        bouncer.queue().bounces.push_back(failed);
                    }
                }
                None if is_finished => return,
                None => filled.await,
            }
        }
    }

    fn next(&self) -> (Option<Bounce>, bool) {
        let mut queue = self.queue();
        (queue.bounces.pop_front(), queue.is_finished)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Submits the notification, then settles. It comes back when it must be tried again.
async fn tell(shared: &Shared, bounce: Bounce) -> Option<Bounce> {
    let now = shared.parts.clock.now();
    let header = match header_of(shared, &bounce.message).await {
        Ok(header) => header,
        Err(error) => {
            tracing::warn!(id = %bounce.message.id, %error, "a notification goes without the message's header");
            Bytes::new()
        }
    };
    let hostname = shared.settings().hostname.clone();
    let submission = bounce.submission(&hostname, &header, shared.parts.chance.bytes(), now);
    if let Some(submission) = submission {
        let to = submission.recipients.first().cloned();
        match shared.parts.submit.submit(submission, now).await {
            Ok(submitted) if submitted.refused.is_empty() => {
                metrics::counter!("posthouse_outbound_notifications_total").increment(1);
                tracing::info!(id = %bounce.message.id, notification = %submitted.id, to = to.map(tracing::field::display), "the sender is told");
            }
            Ok(submitted) => {
                let reply = submitted.refused.first().map(|(_, reply)| reply.to_string());
                tracing::warn!(id = %bounce.message.id, to = to.map(tracing::field::display), reply, "the sender cannot be told");
            }
            Err(SubmitError::Refused(reply)) if !reply.is_transient() => {
                tracing::warn!(id = %bounce.message.id, to = to.map(tracing::field::display), %reply, "the sender cannot be told");
            }
            Err(error) => {
                tracing::warn!(id = %bounce.message.id, %error, "a notification waits: it cannot be submitted now");
                return Some(bounce);
            }
        }
    }
    shared.settler.push(bounce.lane, bounce.given_up.into_iter().map(|one| one.settlement));
    None
}

/// The beginning of the content.
async fn header_of(shared: &Shared, message: &Message) -> Result<Bytes, SpoolError> {
    if let Some(content) = &message.content {
        return Ok(content.slice(..content.len().min(HEADER_MAX)));
    }
    let mut content = shared.parts.spool.content(message.id).await?;
    let mut header = BytesMut::new();
    while header.len() < HEADER_MAX {
        match content.read().await? {
            Some(chunk) => header.extend_from_slice(&chunk),
            None => break,
        }
    }
    header.truncate(HEADER_MAX);
    Ok(header.freeze())
}
