//! Workers: one for each connection. It takes jobs from its lane until there are none, waits a while with the connection
//! kept, and leaves. Nobody hands it anything and it waits for nobody but its server.

use std::{pin::pin, sync::Arc, time::Duration};

use mail::{FailureClass, FailureKind, ForwardPath, Outcome, Refusal, Reply, ReversePath, Stage};
use net::tasks::Tasks;
use smtp::client::{Cause, RecipientResult, Report, Transaction};
use spool::LeasedDelivery;
use tokio::sync::Notify;

use crate::{
    classify,
    conclude::Attempt,
    converse::{Feed, Reached},
    dial::{Connection, Unreachable, dial},
    engine::Shared,
    forward,
    hand::Hand,
    local,
    route::Destination,
    schedule::{Blame, Job, LaneId, Take},
};

/// Jobs concluded in a row before others get a turn.
const CONCLUDED_AT_ONCE: usize = 64;
/// How old a lease may be when its attempt begins. The spool's leases last two hours; no conversation takes the other one.
const LEASE_AGE_MAX: Duration = Duration::from_secs(3600);

/// Runs one worker to its end.
pub(crate) async fn run(shared: Arc<Shared>, lane: LaneId, destination: Destination, tasks: Tasks) {
    let name = shared.next_worker();
    let mut worker = Worker {
        name,
        waker: Arc::new(Notify::new()),
        served: 0,
        phase: Phase::Opening,
        hand: Hand::default(),
        lane,
        shared: Arc::clone(&shared),
        tasks: tasks.clone(),
    };
    match destination {
        Destination::Maildir => worker.serve_mailboxes().await,
        Destination::Mx { .. } | Destination::Relay(_) => worker.serve_remote(&destination).await,
    }
    drop(worker);
    shared.start_workers(&tasks);
}

struct Worker {
    shared: Arc<Shared>,
    tasks: Tasks,
    lane: LaneId,
    name: u64,
    waker: Arc<Notify>,
    /// Messages carried.
    served: u32,
    phase: Phase,
    hand: Hand,
}

/// What the schedule knows of a worker's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    /// The schedule has been told of its end.
    Over,
}

impl Drop for Worker {
    /// However a worker ends, by a panic too, the schedule hears of it, and what it had in hand is not lost.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let settlements = self.hand.put_off(self.shared.parts.clock.now());
            self.shared.settler.push(Some(self.lane), settlements);
        }
        match self.phase {
            Phase::Opening => self.shared.schedule().abandoned(self.lane),
            Phase::Open => {
                self.shared.schedule().leave(self.lane, self.name);
                let idle = self.shared.schedule().closed(self.lane, self.shared.now());
                if let Some(idle) = idle {
                    idle.notify_one();
                }
            }
            Phase::Over => {}
        }
        self.shared.worker_ended();
    }
}

/// What became of a connection in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Yes,
    No,
}

impl Worker {
    async fn serve_mailboxes(&mut self) {
        self.opened();
        loop {
            match self.take() {
                Take::Job(job) => {
                    self.hand.hold(&job);
                    local::deliver(&self.shared, &self.tasks, self.lane, job).await;
                    self.carried().await;
                }
                Take::Wait => {
                    if self.wait(std::future::pending()).await {
                        break;
                    }
                }
                Take::Close => break,
            }
        }
    }

    async fn serve_remote(&mut self, destination: &Destination) {
        let shared = Arc::clone(&self.shared);
        let dialed = tokio::select! {
            dialed = dial(&shared, destination) => dialed,
            () = self.tasks.cancelled() => return,
        };
        match dialed {
            Ok(connection) => {
                self.opened();
                self.serve(connection).await;
            }
            Err(unreachable) => self.fail(*unreachable).await,
        }
    }

    /// Nothing came of the connection: what waits shares the fate.
    async fn fail(&mut self, unreachable: Unreachable) {
        let Unreachable { refusal, blame, transcript } = unreachable;
        let jobs = self.shared.schedule().failed(self.lane, blame, &refusal, self.shared.now());
        self.phase = Phase::Over;
        tracing::debug!(host = %mail::for_log(&refusal.host, 200), reply = %mail::for_log(&refusal.reply.to_string(), 200), jobs = jobs.len(), "a destination failed");
        let began = self.shared.parts.clock.now();
        let mut attempt = Attempt { lane: Some(self.lane), began, source: None, transcript };
        for (index, job) in jobs.into_iter().enumerate() {
            let outcomes =
                job.deliveries.into_iter().map(|leased| (leased, outcome_of(blame, refusal.clone()))).collect();
            self.shared.conclude(&job.message, outcomes, &attempt);
            // One conversation, one transcript: the others have the reply.
            attempt.transcript = None;
            if index % CONCLUDED_AT_ONCE == CONCLUDED_AT_ONCE - 1 {
                self.shared.settler.rest().await;
                tokio::task::yield_now().await;
            }
        }
    }

    async fn serve(&mut self, mut connection: Connection) {
        loop {
            match self.take() {
                Take::Job(job) => {
                    self.hand.hold(&job);
                    let kept = self.transact(&mut connection, job).await;
                    self.carried().await;
                    if kept == Kept::No {
                        break;
                    }
                }
                Take::Wait => {
                    let is_over = async { while !connection.conversation.is_over().await {} };
                    if self.wait(is_over).await {
                        break;
                    }
                }
                Take::Close => break,
            }
        }
        connection.conversation.quit().await;
    }

    /// The next job. One whose lease is old goes back: another might have got it by the time it is settled.
    fn take(&self) -> Take {
        loop {
            let take = self.shared.schedule().take(self.lane, self.name, self.served, || Arc::clone(&self.waker));
            match take {
                Take::Job(job) if self.shared.now().saturating_duration_since(job.leased) > LEASE_AGE_MAX => {
                    self.park(job);
                }
                other => return other,
            }
        }
    }

    fn park(&self, job: Job) {
        let now = self.shared.parts.clock.now();
        for LeasedDelivery { lease, .. } in job.deliveries {
            self.shared.settler.push_parked(Some(self.lane), lease, now);
        }
    }

    /// A job is behind us. Rests when settling does not keep up.
    async fn carried(&mut self) {
        self.hand.release();
        self.served += 1;
        self.shared.settler.rest().await;
    }

    fn opened(&mut self) {
        self.shared.schedule().opened(self.lane);
        self.phase = Phase::Open;
    }

    /// Waits for a job. True when the connection is to be closed instead.
    async fn wait(&self, is_over: impl Future<Output = ()>) -> bool {
        let (clock, idle) = (&self.shared.parts.clock, self.shared.settings().deadlines.idle);
        let mut cancelled = pin!(self.tasks.cancelled());
        let mut is_broken = false;
        tokio::select! {
            () = self.waker.notified() => return false,
            () = is_over => is_broken = true,
            () = clock.sleep(idle) => {}
            () = &mut cancelled => {}
        }
        // A job that came in this moment is taken, or passed to another when the connection is gone.
        let may_leave = self.shared.schedule().leave(self.lane, self.name);
        may_leave || is_broken
    }

    async fn transact(&mut self, connection: &mut Connection, mut job: Job) -> Kept {
        let extensions = connection.conversation.session().extensions();
        let (size_max, recipients_max) = (extensions.size.filter(|size| *size > 0), extensions.recipients_max);
        if let Some(limit) = size_max.filter(|limit| job.message.size > *limit) {
            self.refuse_size(connection, job, limit);
            return Kept::Yes;
        }
        let (reverse_path, others) = self.sender(&mut job);
        if !others.is_empty() {
            self.give_back(Job { message: Arc::clone(&job.message), deliveries: others, leased: job.leased });
        }
        if let Some(max) = recipients_max.filter(|max| *max < job.deliveries.len()) {
            let rest = job.deliveries.split_off(max);
            self.give_back(Job { message: Arc::clone(&job.message), deliveries: rest, leased: job.leased });
        }
        let began = self.shared.parts.clock.now();
        let content = match self.content(&job).await {
            Ok(content) => content,
            Err(error) => {
                tracing::error!(id = %job.message.id, %error, "the content of a message cannot be read");
                self.conclude_all(
                    connection,
                    job,
                    &classify::lost(Stage::Content, "", "the message cannot be read now"),
                );
                return Kept::Yes;
            }
        };
        let transaction = Transaction {
            reverse_path,
            recipients: job
                .deliveries
                .iter()
                .map(|leased| ForwardPath::Mailbox(leased.delivery.recipient.clone()))
                .collect(),
            size: job.message.size,
            body: job.message.envelope.body,
        };
        metrics::counter!("posthouse_outbound_transactions_total").increment(1);
        match connection.conversation.send(transaction, content).await {
            Reached::Done(report) => self.report(connection, job, report, began),
            Reached::Failed(failure) => {
                let (stage, text) = crate::converse::words(&failure);
                let refusal = classify::lost(stage, &connection.host, text);
                self.conclude_all(connection, job, &refusal);
                Kept::No
            }
            Reached::Ready | Reached::Closed => {
                self.conclude_all(
                    connection,
                    job,
                    &classify::lost(Stage::Mail, &connection.host, "the connection broke"),
                );
                Kept::No
            }
        }
    }

    /// As whom the job goes on. Deliveries that go on as somebody else are taken out of it.
    fn sender(&self, job: &mut Job) -> (ReversePath, Vec<LeasedDelivery>) {
        let (settings, envelope) = (self.shared.settings(), &job.message.envelope);
        let unchanged = || envelope.reverse_path.clone();
        let some_led_here = job.deliveries.iter().any(|leased| leased.delivery.original.is_some());
        let Some(srs) = settings.forwarding.as_ref().filter(|_| some_led_here) else {
            return (unchanged(), Vec::new());
        };
        let domains = &self.shared.parts.domains;
        let passed_on_by = |leased: &LeasedDelivery| {
            forward::passed_on_by(envelope, &leased.delivery, |domain| domains.is_ours(domain)).cloned()
        };
        let through = job.deliveries.first().and_then(passed_on_by);
        let (same, others) =
            std::mem::take(&mut job.deliveries).into_iter().partition(|leased| passed_on_by(leased) == through);
        job.deliveries = same;
        let now = self.shared.parts.clock.now();
        (through.map_or_else(unchanged, |through| forward::reverse_path(envelope, &through, srs, now)), others)
    }

    async fn content(&self, job: &Job) -> Result<Feed, spool::SpoolError> {
        match &job.message.content {
            Some(content) => Ok(Feed::Whole(Some(content.clone()))),
            None => self.shared.parts.spool.content(job.message.id).await.map(Feed::Pieces),
        }
    }

    /// RFC 1870 §6.1: what is known to be too large is not sent.
    fn refuse_size(&self, connection: &Connection, job: Job, limit: u64) {
        let size = job.message.size;
        let refusal = Refusal {
            stage: Stage::Mail,
            host: connection.host.clone(),
            reply: Reply::with(
                552,
                (5, 3, 4),
                format!("the message has {size} octets, the server takes at most {limit}"),
            ),
            from_peer: false,
            class: FailureClass::TooLarge,
            kind: FailureKind::Hard,
        };
        let attempt = self.attempt(connection, self.shared.parts.clock.now(), false);
        let outcomes = job.deliveries.into_iter().map(|leased| (leased, Outcome::Bounced(refusal.clone()))).collect();
        self.shared.conclude(&job.message, outcomes, &attempt);
    }

    fn conclude_all(&self, connection: &Connection, job: Job, refusal: &Refusal) {
        let attempt = self.attempt(connection, self.shared.parts.clock.now(), true);
        let outcomes = job.deliveries.into_iter().map(|leased| (leased, Outcome::Deferred(refusal.clone()))).collect();
        self.shared.conclude(&job.message, outcomes, &attempt);
    }

    fn attempt(&self, connection: &Connection, began: mail::Timestamp, with_transcript: bool) -> Attempt {
        Attempt {
            lane: Some(self.lane),
            began,
            source: connection.source.clone(),
            transcript: with_transcript.then(|| connection.conversation.transcript()),
        }
    }

    /// Sorts the results of a transaction: concluded, or back into the lane untried.
    fn report(&self, connection: &Connection, job: Job, report: Report, began: mail::Timestamp) -> Kept {
        let kept = if report.reusable { Kept::Yes } else { Kept::No };
        if report.chunking_refused {
            self.shared.forbid_chunking(&connection.host);
            self.give_back(job);
            return kept;
        }
        let results: Vec<RecipientResult> = report.recipients.into_iter().map(|(_, result)| result).collect();
        // A server may close a connection that it thinks has done enough; a fresh one tells more.
        if self.served > 0 && results.iter().all(is_stale) {
            self.give_back(job);
            return Kept::No;
        }
        let some_taken = results.iter().any(|result| matches!(result, RecipientResult::Accepted { .. }));
        let mut failed = false;
        let mut outcomes = Vec::with_capacity(results.len());
        let mut later = Vec::new();
        for (leased, result) in job.deliveries.into_iter().zip(results) {
            if some_taken && is_for_next_transaction(&result) {
                later.push(leased);
                continue;
            }
            let outcome = outcome(&connection.host, result);
            failed |= !matches!(outcome, Outcome::Delivered { .. });
            outcomes.push((leased, outcome));
        }
        if some_taken {
            self.shared.schedule().succeeded(self.lane);
        }
        let attempt = self.attempt(connection, began, failed);
        self.shared.conclude(&job.message, outcomes, &attempt);
        self.hand.keep_only(&later);
        if !later.is_empty() {
            self.give_back(Job { message: job.message, deliveries: later, leased: job.leased });
        }
        kept
    }

    fn give_back(&self, job: Job) {
        self.hand.pass_on(&job.deliveries);
        let refused = self.shared.schedule().give_back(self.lane, job);
        if let Some(job) = refused {
            self.park(job);
        }
    }
}

/// A connection that failed judges the mail only when the answer is final.
fn outcome_of(blame: Blame, refusal: Refusal) -> Outcome {
    match blame {
        Blame::Judged => Outcome::Bounced(refusal),
        Blame::Suspend => Outcome::Deferred(refusal),
    }
}

/// Whether a kept connection was gone, or closed by the server, before the message was judged.
fn is_stale(result: &RecipientResult) -> bool {
    match result {
        RecipientResult::Accepted { .. } => false,
        RecipientResult::Refused { stage, reply } => *stage == Stage::Mail && reply.code == 421,
        RecipientResult::Lost { stage, cause, .. } => *stage == Stage::Mail && *cause == Cause::Closed,
    }
}

fn is_for_next_transaction(result: &RecipientResult) -> bool {
    matches!(result, RecipientResult::Refused { stage: Stage::Rcpt, reply } if classify::is_too_many_recipients(reply))
}

fn outcome(host: &str, result: RecipientResult) -> Outcome {
    match result {
        RecipientResult::Accepted { reply } => Outcome::Delivered { host: host.to_owned(), reply },
        RecipientResult::Refused { stage, reply } => classify::refused(stage, host, reply),
        RecipientResult::Lost { stage, text, .. } => Outcome::Deferred(classify::lost(stage, host, text)),
    }
}
