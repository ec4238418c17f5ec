//! One notification: whom it is about, and what is submitted. Writing the text is `mail::dsn`'s.

use std::sync::Arc;

use bytes::Bytes;
use mail::{
    Body, DeliveryId, Domain, Envelope, LocalPart, Mailbox, Origin, Refusal, ReversePath, Timestamp,
    dsn::{self, Failure, Notification},
};
use spool::{LeasedDelivery, Message, Settlement, Submission};

use crate::schedule::LaneId;

/// Recipients of one message that failed for good in one attempt.
#[derive(Debug)]
pub(crate) struct Bounce {
    pub(crate) message: Arc<Message>,
    pub(crate) lane: Option<LaneId>,
    pub(crate) given_up: Vec<GivenUp>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct GivenUp {
    /// What is settled once the sender is told.
    pub(crate) settlement: Settlement,
    original: Option<Mailbox>,
    refusal: Refusal,
    attempts: u32,
    expired: bool,
}

impl GivenUp {
    pub(crate) fn new(settlement: Settlement, leased: &LeasedDelivery, refusal: Refusal, expired: bool) -> Self {
        let delivery = &leased.delivery;
        let attempts = delivery.attempts.saturating_add(1);
        Self { settlement, original: delivery.original.clone(), refusal, attempts, expired }
    }
}

impl Bounce {
    /// The submission, or nothing when the message has no sender to tell. `random` makes boundary and Message-ID.
    pub(crate) fn submission(
        &self,
        hostname: &str,
        header: &[u8],
        random: [u8; 16],
        now: Timestamp,
    ) -> Option<Submission> {
        let to = self.message.envelope.reverse_path.mailbox()?;
        let random = u128::from_be_bytes(random);
        let failures: Vec<Failure<'_>> = self.given_up.iter().map(GivenUp::failure).collect();
        let content = dsn::build(&Notification {
            reporting_mta: hostname,
            from: &mailer_daemon(hostname),
            to,
            message_id: &format!("{random:032x}@{hostname}"),
            boundary: &format!("=_{random:032x}"),
            date: now,
            arrival: self.message.received,
            original_id: &self.message.id.to_string(),
            failures: &failures,
            original: header,
        });
        Some(Submission {
            envelope: Envelope { reverse_path: ReversePath::Null, body: Body::SevenBit, origin: Origin::local() },
            recipients: vec![to.clone()],
            content: Bytes::from(content),
            idempotency: Some(self.key()),
        })
    }

    /// The same for the same deliveries failing together: after a crash between the notification and its settling, the
    /// attempt is repeated and the notification is not.
    fn key(&self) -> String {
        let ids =
            self.given_up.iter().map(|one| u128::from_be_bytes(DeliveryId::to_bytes(one.settlement.lease.delivery)));
        let all = ids.fold(0, |all, id| all ^ id);
        format!("dsn:{}:{}:{all:032x}", self.message.id, self.given_up.len())
    }
}

impl GivenUp {
    fn failure(&self) -> Failure<'_> {
        Failure {
            recipient: &self.settlement.recipient,
            original: self.original.as_ref(),
            refusal: &self.refusal,
            attempts: self.attempts,
            expired: self.expired,
        }
    }
}

/// `mailer-daemon@` our host.
fn mailer_daemon(hostname: &str) -> Mailbox {
    let local: LocalPart = "mailer-daemon".parse().expect("a local part");
    let domain: Domain = hostname.parse().unwrap_or_else(|_| "localhost".parse().expect("a domain"));
    Mailbox::new(local, domain).unwrap_or_else(|_| "mailer-daemon@localhost".parse().expect("a mailbox"))
}

#[cfg(test)]
mod tests {
    use mail::{FailureClass, FailureKind, MessageId, Outcome, Reply, Stage};
    use spool::{Delivery, Lease, Verdict};

    use super::*;

    fn bounce(sender: &str, deliveries: &[u8]) -> Bounce {
        let reverse_path = sender.parse().unwrap();
        let time = Timestamp::from_secs(0);
        let message = Message {
            id: MessageId::from_bytes([9; 16]),
            envelope: Envelope { reverse_path, body: Body::SevenBit, origin: Origin::local() },
            size: 1,
            received: time,
            expires: time,
            content: None,
        };
        let refusal = Refusal {
            stage: Stage::Rcpt,
            host: "mx".into(),
            reply: Reply::with(550, (5, 1, 1), "no"),
            from_peer: true,
            class: FailureClass::UnknownUser,
            kind: FailureKind::Hard,
        };
        let given_up = |number: &u8| {
            let id = DeliveryId::from_bytes([*number; 16]);
            let recipient: Mailbox = format!("r{number}@b.example").parse().unwrap();
            let lease = Lease { delivery: id, fence: 1 };
            let delivery =
                Delivery { id, recipient: recipient.clone(), original: None, attempts: 0, forced_route: None };
            let verdict = Verdict::Done(Outcome::Bounced(refusal.clone()));
            let settlement =
                Settlement { lease, message: message.id, recipient, verdict, source: None, transcript: None };
            GivenUp::new(settlement, &LeasedDelivery { lease, delivery: Arc::new(delivery) }, refusal.clone(), false)
        };
        let given_up = deliveries.iter().map(given_up).collect();
        Bounce { message: Arc::new(message), lane: None, given_up }
    }

    fn submit(sender: &str, deliveries: &[u8]) -> Option<Submission> {
        bounce(sender, deliveries).submission(
            "mx.ours.example",
            b"Subject: x\r\n\r\n",
            [7; 16],
            Timestamp::from_secs(1),
        )
    }

    #[test]
    fn a_notification_goes_to_the_sender_with_the_null_reverse_path() {
        let submission = submit("alice@a.example", &[1, 2]).unwrap();
        assert_eq!(submission.envelope.reverse_path, ReversePath::Null);
        assert_eq!(submission.recipients, ["alice@a.example".parse().unwrap()]);
        let text = String::from_utf8(submission.content.to_vec()).unwrap();
        assert!(text.starts_with("From: Mail delivery <mailer-daemon@mx.ours.example>\r\nTo: <alice@a.example>\r\n"));
        assert!(text.contains("rfc822; r1@b.example") && text.contains("rfc822; r2@b.example"));
        assert!(submit("", &[1]).is_none(), "nobody is told about a notification");
    }

    #[test]
    fn the_key_is_the_same_for_the_same_deliveries_only() {
        let key = |deliveries: &[u8]| submit("a@b", deliveries).unwrap().idempotency.unwrap();
        assert_eq!(key(&[1, 2]), key(&[2, 1]));
        assert_ne!(key(&[1, 2]), key(&[1, 3]));
        assert_ne!(key(&[1]), key(&[1, 2]));
    }
}
