//! Jobs for mailboxes of our own. Files are written on threads for such work; content that is large passes in pieces.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use mail::{Outcome, Reply, Stage};
use net::tasks::Tasks;
use spool::{LeasedDelivery, Message, SpoolError};

use crate::{
    classify,
    conclude::Attempt,
    engine::Shared,
    maildir::{Folder, Letter, MaildirError, Writing},
    schedule::{Job, LaneId},
};

/// Octets of content that are held in memory for all mailboxes of a job.
const WHOLE_MAX: u64 = 1 << 20;

/// Why a letter could not be written.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Maildir(#[from] MaildirError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("the task that writes letters ended")]
    Task,
}

/// Delivers a job and concludes it.
pub(crate) async fn deliver(shared: &Shared, tasks: &Tasks, lane: LaneId, job: Job) {
    let began = shared.parts.clock.now();
    let whole = match &job.message.content {
        Some(content) => Some(content.clone()),
        None if job.message.size <= WHOLE_MAX => match read_whole(shared, &job.message).await {
            Ok(content) => Some(content),
            Err(error) => return conclude_all(shared, lane, job, &error.into()),
        },
        None => None,
    };
    let settings = shared.settings();
    let mut outcomes = Vec::with_capacity(job.deliveries.len());
    for leased in job.deliveries {
        let letter = letter(&job.message, &leased, &settings.hostname);
        let (root, nonce) = (settings.maildir_root.clone(), u64::from_be_bytes(shared.parts.chance.bytes()));
        let written = match &whole {
            Some(content) => write_whole(tasks, root, letter, nonce, content.clone()).await,
            None => write_pieces(shared, tasks, root, letter, nonce, &job.message).await,
        };
        let outcome = match written {
            Ok(()) => delivered(),
            Err(trouble) => refused(&trouble, &job.message),
        };
        outcomes.push((leased, outcome));
    }
    let attempt = Attempt { lane: Some(lane), began, source: None, transcript: None };
    shared.schedule().succeeded(lane);
    shared.conclude(&job.message, outcomes, &attempt);
}

fn delivered() -> Outcome {
    Outcome::Delivered { host: "maildir".into(), reply: Reply::with(250, (2, 1, 5), "in the mailbox") }
}

fn refused(trouble: &Trouble, message: &Message) -> Outcome {
    tracing::error!(id = %message.id, error = %trouble, "a mailbox cannot be written to");
    Outcome::Deferred(match trouble {
        Trouble::Maildir(error) => error.refusal(),
        Trouble::Spool(_) => classify::lost(Stage::Local, "", "the message cannot be read now"),
        Trouble::Task => classify::lost(Stage::Local, "", "the mailbox cannot be written to now"),
    })
}

fn conclude_all(shared: &Shared, lane: LaneId, job: Job, trouble: &Trouble) {
    let outcome = refused(trouble, &job.message);
    let attempt = Attempt { lane: Some(lane), began: shared.parts.clock.now(), source: None, transcript: None };
    let outcomes = job.deliveries.into_iter().map(|leased| (leased, outcome.clone())).collect();
    shared.conclude(&job.message, outcomes, &attempt);
}

fn letter(message: &Message, leased: &LeasedDelivery, hostname: &str) -> Letter {
    let delivery = &leased.delivery;
    Letter {
        mailbox: delivery.recipient.clone(),
        folder: Folder::Inbox,
        original: delivery.original.clone(),
        reverse_path: message.envelope.reverse_path.clone(),
        delivery: delivery.id,
        received: message.received,
        hostname: hostname.to_owned(),
    }
}

async fn read_whole(shared: &Shared, message: &Message) -> Result<Bytes, SpoolError> {
    shared.parts.spool.content(message.id).await?.to_bytes(WHOLE_MAX).await
}

async fn write_whole(
    tasks: &Tasks,
    root: PathBuf,
    mut letter: Letter,
    nonce: u64,
    content: Bytes,
) -> Result<(), Trouble> {
    letter.folder = Folder::of(&content);
    let work = move || {
        let mut writing = Writing::begin(&root, &letter, nonce)?;
        writing.write(&content)?;
        writing.finish()
    };
    Ok(tasks.run_blocking("outbound-maildir", work).await.map_err(|_| Trouble::Task)??)
}

async fn write_pieces(
    shared: &Shared,
    tasks: &Tasks,
    root: PathBuf,
    mut letter: Letter,
    nonce: u64,
    message: &Arc<Message>,
) -> Result<(), Trouble> {
    let mut content = shared.parts.spool.content(message.id).await?;
    let mut next = content.read().await?;
    letter.folder = Folder::of(next.as_deref().unwrap_or_default());
    let begin = move || Writing::begin(&root, &letter, nonce);
    let mut writing = tasks.run_blocking("outbound-maildir", begin).await.map_err(|_| Trouble::Task)??;
    while let Some(piece) = next {
        let write = move || writing.write(&piece).map(|()| writing);
        writing = tasks.run_blocking("outbound-maildir", write).await.map_err(|_| Trouble::Task)??;
        next = content.read().await?;
    }
    let finish = move || writing.finish();
    Ok(tasks.run_blocking("outbound-maildir", finish).await.map_err(|_| Trouble::Task)??)
}
