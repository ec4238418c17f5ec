//! One message from MAIL to its commit, on our side of the session's questions.
//!
//! ```text
//! MAIL ─► draft ─ RCPT ─► + recipients ─ DATA ─► intake ─ content ─► draft ─ dot ─► commit
//!    ╰─────────────── RSET, error, too large, lost connection: dropped, the draft rolls back
//! ```

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mail::{Body, Envelope, MessageId, Origin, Reply, ReversePath, Timestamp};
use spool::{CommitError, Committed, Draft, DraftReader, NewMessage, Spool, SpoolError};

use crate::{
    ClientIn, FixUps, Privacy,
    admission::rights::Rights,
    expand::Expansion,
    filters::Screen,
    intake::{Intake, Rules, Taken},
    sign::{Hand, Signers},
    stamp::{
        fix_ups::Repairs,
        received::{self, Reception},
    },
    vouch::{Conclusion, Voucher, Witness},
};

/// How long a second submission under the same key is known to be the first one.
const IDEMPOTENCY: Duration = Duration::from_secs(24 * 3600);

/// A message that is being received.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) reverse_path: ReversePath,
    pub(crate) body: Body,
    pub(crate) recipients: Expansion,
    /// As whom the sender may write; nothing when as anybody.
    rights: Option<Rights>,
    /// Finds out who vouches for a stranger's message; nothing for everybody else.
    voucher: Option<Box<Voucher>>,
    /// Begun at MAIL, so that a full disk is told before the content is sent; gone when the content is refused.
    draft: Option<Draft>,
    content: Option<Incoming>,
    /// Why the gate marks the message; nothing when it does not.
    pub(crate) suspicion: Option<String>,
}

#[derive(Debug)]
struct Incoming {
    id: MessageId,
    intake: Intake,
    /// Why the spool does not take it.
    failed: Option<SpoolError>,
}

/// What becomes of every message of a service alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Treatment<'a> {
    /// Our name.
    pub(crate) hostname: &'a str,
    /// Whether letters are repaired.
    pub(crate) fix_ups: FixUps,
    /// What the world learns of our users' clients; nothing for mail that has no client.
    pub(crate) privacy: Option<&'a Privacy>,
    /// How long it is tried.
    pub(crate) expire: Duration,
    /// Who judges it before it is kept.
    pub(crate) screen: Option<&'a Screen>,
    /// Who has the keys to sign it; nobody for a stranger's.
    pub(crate) signers: Option<&'a Arc<dyn Signers>>,
}

impl Treatment<'_> {
    /// Where the client of a message is named: nowhere, when it is one of our users' and they are not told of.
    fn client_in(&self, origin: &Origin) -> ClientIn {
        let hidden = self.privacy.filter(|_| origin.user.is_some());
        hidden.map_or(ClientIn::Received, |privacy| privacy.client)
    }
}

/// A message that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Its id: the first one's, when its key was known.
    pub(crate) id: MessageId,
    /// What the spool did.
    pub(crate) committed: Committed,
    /// Octets of content, without the trace fields.
    pub(crate) size: u64,
    /// Mailboxes it goes to.
    pub(crate) deliveries: usize,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was judged.
    Refused(Reply),
    /// The spool failed.
    Spool(CommitError),
}

impl Failure {
    /// The error of the spool that the log does not have yet.
    pub(crate) fn untold(&self) -> Option<&CommitError> {
        match self {
            Self::Refused(_) => None,
            Self::Spool(CommitError::Spool(error)) if error.is_told() => None,
            Self::Spool(error) => Some(error),
        }
    }

    /// What the client hears: never the words of an error of ours.
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::Refused(reply) => reply.clone(),
            Self::Spool(CommitError::Spool(error)) => spool_reply(error),
            Self::Spool(CommitError::DuplicateId(_)) => try_later(),
        }
    }
}

impl Transaction {
    /// MAIL was accepted.
    pub(crate) fn new(reverse_path: ReversePath, body: Body, rights: Option<Rights>, draft: Draft) -> Self {
        Self {
            reverse_path,
            body,
            recipients: Expansion::default(),
            rights,
            voucher: None,
            draft: Some(draft),
            content: None,
            suspicion: None,
        }
    }

    /// The message is a stranger's: it is found out who vouches for it, once.
    pub(crate) fn verify(&mut self, voucher: impl FnOnce(&ReversePath) -> Voucher) {
        if self.voucher.is_none() {
            self.voucher = Some(Box::new(voucher(&self.reverse_path)));
        }
    }

    /// Content is about to come.
    pub(crate) fn begin(&mut self, treatment: Treatment<'_>, id: MessageId, now: Timestamp) {
        let author = || self.reverse_path.mailbox().or(self.rights.as_ref().map(Rights::user)).cloned();
        let removed = || treatment.privacy.map(|privacy| Arc::clone(&privacy.removed_fields));
        let repairs =
            (treatment.fix_ups == FixUps::On).then(|| Repairs { author: author(), id, now, removed: removed() });
        let witness = self.voucher.as_ref().map(|_| Box::new(Witness::new(now)));
        let hand = treatment.signers.map(|signers| Box::new(Hand::new(Arc::clone(signers), now)));
        let hostname = treatment.hostname.to_owned();
        let intake = Intake::new(Rules { repairs, rights: self.rights.take(), witness, hand, hostname });
        self.content = Some(Incoming { id, intake, failed: None });
    }

    /// Whether content has begun to come.
    pub(crate) fn is_receiving(&self) -> bool {
        self.content.is_some()
    }

    /// A piece of the content.
    pub(crate) async fn take(&mut self, piece: Vec<u8>) {
        let Some(incoming) = &mut self.content else { return };
        let octets = incoming.intake.take(piece);
        if incoming.intake.is_refused() {
            self.draft = None;
            self.voucher = None;
        }
        if let (Some(voucher), Some(witness)) = (&mut self.voucher, incoming.intake.witness()) {
            voucher.listen(witness);
        }
        if let Err(error) = append(&mut self.draft, &octets).await {
            incoming.failed = Some(error);
        }
    }

    /// The content is complete: makes the message durable.
    pub(crate) async fn commit(
        self,
        spool: &dyn Spool,
        treatment: Treatment<'_>,
        origin: Origin,
        idempotency: Option<String>,
        chance: &net::Chance,
        now: Timestamp,
    ) -> Result<Accepted, Failure> {
        let Self { reverse_path, body, recipients, voucher, mut draft, content, suspicion, .. } = self;
        let Some(Incoming { id, intake, failed }) = content else {
            return Err(Failure::Refused(try_later()));
        };
        let Taken { rest, witness, hand } = intake.finish().map_err(Failure::Refused)?;
        if let Some(error) = failed {
            return Err(Failure::Spool(error.into()));
        }
        append(&mut draft, &rest).await.map_err(|error| Failure::Spool(error.into()))?;
        let Some(draft) = draft else {
            return Err(Failure::Refused(try_later()));
        };
        let size = draft.size();
        let Conclusion { fields: verified, client_name } = match (voucher, witness) {
            (Some(voucher), Some(witness)) => Box::pin(voucher.conclude(*witness)).await.map_err(Failure::Refused)?,
            _ => Conclusion::default(),
        };
        let received = received::field(&Reception {
            origin: &origin,
            client: treatment.client_in(&origin),
            hostname: treatment.hostname,
            id,
            recipient: recipients.only(),
            now,
        });
        let prefix = trace(verified, suspicion.as_deref(), received);
        let deliveries = recipients.into_deliveries(chance, now);
        let count = deliveries.len();
        let message = NewMessage {
            id,
            envelope: Envelope { reverse_path, body, origin },
            deliveries,
            prefix: Bytes::from(prefix),
            idempotency: idempotency.map(|key| (key, IDEMPOTENCY)),
            not_before: None,
            expires: now + treatment.expire,
        };
        let (draft, mut message) = match treatment.screen {
            Some(screen) => Box::pin(screen.pass(spool, draft, message, client_name.as_deref())).await?,
            None => (draft, message),
        };
        if let Some(hand) = hand {
            // A filter may have made another message of it.
            let reader = treatment.screen.map(|_| draft.reader()).transpose();
            let reader = reader.map_err(|error| Failure::Spool(error.into()))?;
            let signed = Box::pin(sign(*hand, message.prefix, reader)).await;
            message.prefix = signed.map_err(|error| Failure::Spool(error.into()))?;
        }
        let committed = spool.commit(draft, message, now).await.map_err(Failure::Spool)?;
        let id = if let Committed::Already(first) = committed { first } else { id };
        Ok(Accepted { id, committed, size, deliveries: count })
    }
}

/// The fields that go before the content: what was found out above our own Received (RFC 7208 §9.1, RFC 8601 §5), a
/// quarantine first, where delivery looks.
fn trace(verified: Vec<u8>, suspicion: Option<&str>, received: Vec<u8>) -> Vec<u8> {
    let suspicion = suspicion.map(|why| format!("{}: {why}\r\n", mail::header::SUSPECT)).unwrap_or_default();
    if verified.is_empty() && suspicion.is_empty() {
        return received;
    }
    [verified, suspicion.into_bytes(), received].concat()
}

/// Those fields with the signatures before them; the message is read again from `changed`, if it has been.
async fn sign(mut hand: Hand, prefix: Bytes, changed: Option<DraftReader<'_>>) -> Result<Bytes, SpoolError> {
    if let Some(draft) = changed {
        hand.read(&prefix, draft).await?;
    }
    Ok([hand.finish().as_bytes(), &prefix].concat().into())
}

/// Appends to the draft while there is one. An error makes an end of it.
async fn append(draft: &mut Option<Draft>, octets: &[u8]) -> Result<(), SpoolError> {
    let Some(open) = draft.as_mut().filter(|_| !octets.is_empty()) else {
        return Ok(());
    };
    let written = open.write(octets).await;
    if written.is_err() {
        *draft = None;
    }
    written
}

/// The reply for a spool that does not work: what is wrong with it is nobody's business but the operator's.
fn spool_reply(error: &SpoolError) -> Reply {
    match error {
        SpoolError::DiskReserve { .. } | SpoolError::InodeReserve { .. } | SpoolError::DiskFull { .. } => {
            Reply::with(452, (4, 3, 1), "There is too little disk space to take a message; try again later")
        }
        _ => try_later(),
    }
}

/// The queue does not work, for a reason that the log tells.
pub(crate) fn try_later() -> Reply {
    Reply::with(451, (4, 3, 0), "The queue cannot take a message at the moment; try again later")
}
