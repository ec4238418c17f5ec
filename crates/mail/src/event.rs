//! Facts that leave the engines. Consumers keep a durable cursor and are idempotent by (node, sequence).

use serde::{Deserialize, Serialize};

use crate::{DeliveryId, Envelope, Mailbox, MessageId, Outcome, Timestamp, Transcript};

/// The version of the stored form.
const VERSION: u8 = 1;

/// One fact about one message or one of its recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// The message.
    pub message: MessageId,
    /// What happened.
    pub kind: EventKind,
}

/// What happened. Names are those of the API: `message.accepted` and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It is on the disk and the 250 may be said.
    Accepted {
        /// Its envelope.
        envelope: Envelope,
        /// Its recipients with the address each was given as.
        recipients: Vec<(DeliveryId, Mailbox)>,
        /// Octets of content.
        size: u64,
    },
    /// An attempt ended.
    Attempted {
        /// The recipient.
        delivery: DeliveryId,
        /// Its address.
        recipient: Mailbox,
        /// Which attempt this was, from 1.
        attempt: u32,
        /// What became of it.
        outcome: Outcome,
        /// The next try, when deferred.
        next_due: Option<Timestamp>,
        /// The local address used, when a connection was made.
        source: Option<String>,
        /// The conversation, kept for attempts that failed.
        transcript: Option<Transcript>,
    },
    /// The deadline passed after an attempt.
    Expired {
        /// The recipient.
        delivery: DeliveryId,
        /// Its address.
        recipient: Mailbox,
    },
    /// An operator or a route stopped it for now.
    Held {
        /// The recipient.
        delivery: DeliveryId,
        /// Its address.
        recipient: Mailbox,
    },
    /// An operator let it go on.
    Released {
        /// The recipient.
        delivery: DeliveryId,
        /// Its address.
        recipient: Mailbox,
    },
    /// An operator gave it up.
    Cancelled {
        /// The recipient.
        delivery: DeliveryId,
        /// Its address.
        recipient: Mailbox,
    },
    /// It is tried now and not when it would have been due: an operator said so, or the clock was set back.
    Retried {
        /// The recipient.
        delivery: DeliveryId,
        /// Its address.
        recipient: Mailbox,
    },
    /// An operator sent it another way.
    Rerouted {
        /// The recipient.
        delivery: DeliveryId,
        /// Its address.
        recipient: Mailbox,
        /// The way, in the words of the configuration.
        route: String,
    },
}

/// Why stored bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Written by a newer version, or damaged.
    #[error("event format {0} is not known to this version (it knows {VERSION})")]
    Version(u8),
    /// No bytes at all.
    #[error("an event without content")]
    Empty,
    /// Not what the version says.
    #[error("an event that cannot be read: {0}")]
    Damaged(#[from] serde_json::Error),
}

impl Event {
    /// The type's name in the API and in logs.
    pub fn name(&self) -> &'static str {
        match &self.kind {
            EventKind::Accepted { .. } => "message.accepted",
            EventKind::Attempted { outcome: Outcome::Delivered { .. }, .. } => "message.delivered",
            EventKind::Attempted { outcome: Outcome::Deferred(_), .. } => "message.deferred",
            EventKind::Attempted { outcome: Outcome::Bounced(_), .. } => "message.bounced",
            EventKind::Expired { .. } => "message.expired",
            EventKind::Held { .. } => "message.held",
            EventKind::Released { .. } => "message.released",
            EventKind::Cancelled { .. } => "message.cancelled",
            EventKind::Retried { .. } => "message.retried",
            EventKind::Rerouted { .. } => "message.rerouted",
        }
    }

    /// The recipient it is about; nothing when it is about the whole message.
    pub fn delivery(&self) -> Option<DeliveryId> {
        match &self.kind {
            EventKind::Accepted { .. } => None,
            EventKind::Attempted { delivery, .. }
            | EventKind::Expired { delivery, .. }
            | EventKind::Held { delivery, .. }
            | EventKind::Released { delivery, .. }
            | EventKind::Cancelled { delivery, .. }
            | EventKind::Retried { delivery, .. }
            | EventKind::Rerouted { delivery, .. } => Some(*delivery),
        }
    }

    /// The stored form: a version byte, then JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        serde_json::to_writer(&mut bytes, self).expect("plain data always has a JSON form");
        bytes
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        match bytes.split_first() {
            None => Err(EventError::Empty),
            Some((&VERSION, json)) => Ok(serde_json::from_slice(json)?),
            Some((&version, _)) => Err(EventError::Version(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EnhancedCode, FailureClass, FailureKind, Origin, Refusal, Reply, ReversePath, Side, Stage};

    fn delivery() -> DeliveryId {
        DeliveryId::from_bytes([2; 16])
    }

    fn recipient() -> Mailbox {
        "\"a b\"@example.net".parse().unwrap()
    }

    fn refusal() -> Refusal {
        Refusal {
            stage: Stage::Rcpt,
            host: "mx.example.net [192.0.2.1]".into(),
            reply: Reply::new(550, EnhancedCode::new(5, 1, 1), "no such user"),
            from_peer: true,
            class: FailureClass::UnknownUser,
            kind: FailureKind::Hard,
        }
    }

    fn transcript() -> Transcript {
        let mut transcript = Transcript::default();
        transcript.push(std::time::Duration::from_millis(1500), Stage::Rcpt, Side::Server, "550 5.1.1 no such user");
        transcript
    }

    fn attempted(outcome: Outcome) -> EventKind {
        EventKind::Attempted {
            delivery: delivery(),
            recipient: recipient(),
            attempt: 1,
            outcome,
            next_due: Some(Timestamp::from_secs(60)),
            source: Some("192.0.2.9".into()),
            transcript: Some(transcript()),
        }
    }

    /// One event of each kind.
    fn all() -> Vec<Event> {
        let envelope = crate::Envelope {
            reverse_path: ReversePath::Null,
            body: crate::Body::EightBitMime,
            origin: Origin { peer: Some("192.0.2.1:25".parse().unwrap()), ..Origin::local() },
        };
        let kinds = [
            EventKind::Accepted { envelope, recipients: vec![(delivery(), recipient())], size: 42 },
            attempted(Outcome::Delivered { host: "mx".into(), reply: Reply::new(250, None, "ok") }),
            attempted(Outcome::Deferred(refusal())),
            attempted(Outcome::Bounced(refusal())),
            EventKind::Expired { delivery: delivery(), recipient: recipient() },
            EventKind::Held { delivery: delivery(), recipient: recipient() },
            EventKind::Released { delivery: delivery(), recipient: recipient() },
            EventKind::Cancelled { delivery: delivery(), recipient: recipient() },
            EventKind::Retried { delivery: delivery(), recipient: recipient() },
            EventKind::Rerouted { delivery: delivery(), recipient: recipient(), route: "capture".into() },
        ];
        let message = MessageId::from_bytes([1; 16]);
        kinds.into_iter().map(|kind| Event { at: Timestamp::from_secs(1), message, kind }).collect()
    }

    /// What version 1 has written must be read for ever: the golden file is changed only by adding lines.
    #[test]
    fn the_stored_form_stays() {
        let golden = include_str!("event/version-1.jsonl");
        let events = all();
        assert_eq!(golden.lines().count(), events.len());
        for (line, event) in golden.lines().zip(&events) {
            let stored = [&[VERSION], line.as_bytes()].concat();
            assert_eq!(&Event::decode(&stored).unwrap(), event);
            assert_eq!(String::from_utf8(event.encode().split_off(1)).unwrap(), line);
        }
    }

    #[test]
    fn what_is_not_ours_is_an_error() {
        assert!(matches!(Event::decode(b""), Err(EventError::Empty)));
        assert!(matches!(Event::decode(b"\x02{}"), Err(EventError::Version(2))));
        assert!(matches!(Event::decode(b"\x01{"), Err(EventError::Damaged(_))));
    }
}
