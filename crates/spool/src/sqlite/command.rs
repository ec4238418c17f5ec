//! What the committer is asked to do. A command stays as it is until its transaction is durable, so that a batch which
//! failed can be done again one by one.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use mail::{Mailbox, MessageId, Timestamp};
use tokio::sync::oneshot;

use super::{find::Walk, lease::Leased, row::Base};
use crate::{CommitError, Committed, Lease, Message, NewDelivery, SettleError, SpoolError, Update};

type Reply<T> = Option<oneshot::Sender<T>>;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Command {
    Commit(Box<Commit>),
    Settle(Settle),
    Lease(LeaseDue),
    /// Leases given back untried.
    Park {
        leases: Vec<Lease>,
        due: Timestamp,
        reply: Reply<Result<(), SpoolError>>,
    },
    /// Leases whose taker went away before he had them.
    Return(Vec<(Lease, Timestamp)>),
    Update(UpdateStep),
    TrimOutbox {
        through: u64,
        reply: Reply<Result<(), SpoolError>>,
    },
    /// What was wished about attempts of an earlier process.
    Voided {
        now: Timestamp,
    },
    /// Gives rows to fresh messages that are too old, at most so many at a time.
    Age {
        now: Timestamp,
    },
    Sweep {
        now: Timestamp,
        captured_max: u64,
        reply: Reply<Result<Swept, SpoolError>>,
    },
    Recover {
        reply: Reply<Result<(), SpoolError>>,
    },
    Close {
        reply: Reply<()>,
    },
}

/// A message to make durable. Its file, if it has one, is synced and has its name.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) message: Arc<Message>,
    pub(super) deliveries: Vec<NewDelivery>,
    pub(super) domains: Vec<Arc<str>>,
    pub(super) envelope: Vec<u8>,
    pub(super) whole: Vec<u8>,
    pub(super) event: Vec<u8>,
    pub(super) body: Body,
    pub(super) idempotency: Option<(String, Timestamp)>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) now: Timestamp,
    pub(super) reply: Reply<Result<Committed, CommitError>>,
}

/// Where the content is.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// All of it.
    Inline(Bytes),
    /// In a file of `content/` with this name, after these octets.
    File { name: String, epoch: i64, prefix: Bytes },
}

impl Body {
    /// The name of its file.
    pub(super) fn file(&self) -> Option<&str> {
        match self {
            Self::Inline(_) => None,
            Self::File { name, .. } => Some(name),
        }
    }
}

#[derive(Debug)]
pub(super) struct Settle {
    pub(super) items: Vec<SettleItem>,
    pub(super) now: Timestamp,
    pub(super) reply: Reply<Vec<Result<(), SettleError>>>,
}

/// One settlement, with all that can be prepared outside the committer.
#[derive(Debug)]
pub(super) struct SettleItem {
    pub(super) lease: Lease,
    pub(super) message: MessageId,
    pub(super) recipient: Mailbox,
    pub(super) fate: Fate,
    pub(super) captured: bool,
    pub(super) events: Vec<Vec<u8>>,
}

/// What becomes of a delivery.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Gone,
    Waits { state: Base, due: Option<Timestamp>, attempt: Option<Arc<Attempt>> },
}

/// The last attempt, as stored.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) at: Timestamp,
    pub(super) outcome: Vec<u8>,
    pub(super) source: Option<String>,
    pub(super) transcript: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct LeaseDue {
    pub(super) limit: usize,
    pub(super) skip: HashSet<String>,
    pub(super) now: Timestamp,
    pub(super) reply: Reply<Result<Leased, SpoolError>>,
}

/// One bounded step of a set-wise verb.
#[derive(Debug)]
pub(super) struct UpdateStep {
    pub(super) walk: Walk,
    pub(super) update: Update,
    pub(super) now: Timestamp,
    pub(super) reply: Reply<Result<Stepped, SpoolError>>,
}

/// What a step did, and where the next begins.
#[derive(Debug)]
pub(super) struct Stepped {
    pub(super) changed: u64,
    pub(super) next: Option<Walk>,
}

/// What one step of a sweep did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swept {
    pub(super) more: bool,
}

/// The answer to a command whose transaction is durable.
#[derive(Debug)]
pub(super) enum Answer {
    None,
    Committed(Result<Committed, CommitError>),
    Settled(Vec<Result<(), SettleError>>),
    Leased(Leased),
    Stepped(Result<Stepped, SpoolError>),
    Swept(Swept),
}

impl Command {
    /// Octets it writes, roughly.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Commit(commit) => match &commit.body {
                Body::Inline(bytes) => bytes.len() + commit.event.len() + commit.envelope.len(),
                Body::File { .. } => commit.event.len() + commit.envelope.len(),
            },
            Self::Settle(settle) => settle.items.iter().flat_map(|item| &item.events).map(Vec::len).sum(),
            _ => 0,
        }
    }

    /// The content file that was made for it.
    pub(super) fn file(&self) -> Option<String> {
        match self {
            Self::Commit(commit) => commit.body.file().map(str::to_owned),
            _ => None,
        }
    }

    /// The wall clock that it brought.
    pub(super) fn now(&self) -> Option<Timestamp> {
        match self {
            Self::Commit(commit) => Some(commit.now),
            Self::Settle(settle) => Some(settle.now),
            Self::Lease(lease) => Some(lease.now),
            Self::Update(step) => Some(step.now),
            Self::Voided { now } | Self::Age { now } | Self::Sweep { now, .. } => Some(*now),
            _ => None,
        }
    }

    /// Tells the caller that it is done. One that no longer listens has dropped his future.
    pub(super) fn answer(self, answer: Answer) {
        match (self, answer) {
            (Self::Commit(commit), Answer::Committed(result)) => send(commit.reply, result),
            (Self::Settle(settle), Answer::Settled(results)) => send(settle.reply, results),
            (Self::Lease(lease), Answer::Leased(leased)) => send(lease.reply, Ok(leased)),
            (Self::Update(step), Answer::Stepped(result)) => send(step.reply, result),
            (Self::Sweep { reply, .. }, Answer::Swept(swept)) => send(reply, Ok(swept)),
            (Self::Park { reply, .. } | Self::TrimOutbox { reply, .. } | Self::Recover { reply }, _) => {
                send(reply, Ok(()))
            }
            (Self::Close { reply }, _) => send(reply, ()),
            _ => {}
        }
    }

    /// Tells the caller that nothing was done.
    pub(super) fn fail(self, error: SpoolError) {
        match self {
            Self::Commit(commit) => send(commit.reply, Err(CommitError::Spool(error))),
            Self::Settle(settle) => {
                send(settle.reply, settle.items.iter().map(|_| Err(SettleError::Spool(error.clone()))).collect());
            }
            Self::Lease(lease) => send(lease.reply, Err(error)),
            Self::Update(step) => send(step.reply, Err(error)),
            Self::Sweep { reply, .. } => send(reply, Err(error)),
            Self::Park { reply, .. } | Self::TrimOutbox { reply, .. } | Self::Recover { reply } => {
                send(reply, Err(error))
            }
            Self::Close { reply } => send(reply, ()),
            Self::Return(_) | Self::Voided { .. } | Self::Age { .. } => {}
        }
    }
}

fn send<T>(reply: Reply<T>, value: T) {
    if let Some(reply) = reply {
        // A caller that dropped its future needs no answer; a `Leased` that is dropped gives its leases back.
        let _gone = reply.send(value);
    }
}
