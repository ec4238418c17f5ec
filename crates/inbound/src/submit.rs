//! The way in for mail that is made inside: notifications of failure, the web, the command line. The same admission,
//! sender rights, repairs and bounds as over SMTP.

use async_trait::async_trait;
use bytes::Bytes;
use mail::{Mailbox, MessageId, Reply, Timestamp};
use spool::{Committed, Submission, Submit, SubmitError, Submitted};
use store::Directory;

use crate::{
    FixUps, Inbound, Recipients,
    admission::{Standing, recipient, rights::Rights},
    filters::Direction,
    settings::SubmitSettings,
    transaction::{Failure, Transaction, Treatment},
};

/// Octets of content that go through the intake at a time.
const PIECE: usize = 64 * 1024;

#[async_trait]
impl Submit for Inbound {
    async fn submit(&self, submission: Submission, now: Timestamp) -> Result<Submitted, SubmitError> {
        let office = &*self.office;
        let Submission { envelope, recipients, content, idempotency } = submission;
        check_bounds(&office.submit, &recipients, &content)?;
        let user = envelope.origin.user.as_ref();
        let directory = office.store.directory();
        let rights = user.map(|user| Rights::new(user.clone(), directory.clone()));
        if let Some(rights) = &rights {
            rights.check_envelope(&envelope.reverse_path).map_err(SubmitError::Refused)?;
        }
        let draft = office.spool.begin().map_err(|error| SubmitError::Spool(error.into()))?;
        let mut transaction = Transaction::new(envelope.reverse_path, envelope.body, rights, draft);
        // Without a user it is this server itself that writes.
        let standing = if user.is_some() { Standing::User } else { Standing::Trusted };
        let refused = add_recipients(&directory, &mut transaction, standing, recipients)?;
        // What this server writes itself passes: a notification that a filter refused would be lost.
        let screen = envelope.origin.user.as_ref().and_then(|_| office.filters.screen(Direction::Out));
        let treatment = Treatment {
            hostname: &office.submit.hostname,
            fix_ups: FixUps::On,
            privacy: None,
            expire: office.submit.expire,
            screen: screen.as_ref(),
            signers: office.signers.as_ref(),
        };
        transaction.begin(treatment, MessageId::new(now, office.chance.bytes()), now);
        for piece in content.chunks(PIECE) {
            transaction.take(piece.to_vec()).await;
        }
        let spool = office.spool.as_ref();
        let committed = transaction.commit(spool, treatment, envelope.origin, idempotency, &office.chance, now).await;
        let accepted = committed.map_err(|failure| match failure {
            Failure::Refused(reply) => SubmitError::Refused(reply),
            Failure::Spool(error) => SubmitError::Spool(error),
        })?;
        let already = accepted.committed != Committed::New;
        tracing::info!(
            id = %accepted.id, recipients = accepted.deliveries, refused = refused.len(), size = accepted.size, already,
            "message submitted"
        );
        Ok(Submitted { id: accepted.id, already, refused })
    }
}

fn check_bounds(settings: &SubmitSettings, recipients: &[Mailbox], content: &Bytes) -> Result<(), SubmitError> {
    let refuse = |code, enhanced, text: String| Err(SubmitError::Refused(Reply::with(code, enhanced, text)));
    if recipients.is_empty() {
        return refuse(554, (5, 5, 1), "The message has no recipient".into());
    }
    if recipients.len() > settings.recipients {
        let most = settings.recipients;
        return refuse(452, (4, 5, 3), format!("The message has more than {most} recipients; send it in parts"));
    }
    if content.len() as u64 > settings.message_size {
        let most = settings.message_size;
        return refuse(552, (5, 3, 4), format!("The message is larger than {most} octets"));
    }
    Ok(())
}

/// Adds those who can be written to and returns the others; an error when nobody is left.
fn add_recipients(
    directory: &Directory,
    transaction: &mut Transaction,
    standing: Standing,
    recipients: Vec<Mailbox>,
) -> Result<Vec<(Mailbox, Reply)>, SubmitError> {
    let mut refused = Vec::new();
    for given in recipients {
        let admitted = recipient::admit(Recipients::Known, standing, &given, directory.resolve(&given))
            .and_then(|mailboxes| transaction.recipients.add(&given, mailboxes));
        if let Err(reply) = admitted {
            refused.push((given, reply));
        }
    }
    match refused.first() {
        Some((_, reply)) if transaction.recipients.given() == 0 => Err(SubmitError::Refused(reply.clone())),
        _ => Ok(refused),
    }
}
