//! Messages, engines and short words for the tests.

#[path = "support/disk.rs"]
pub(crate) mod disk;
#[path = "support/vfs.rs"]
pub(crate) mod vfs;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use mail::{
    Body, DeliveryId, EnhancedCode, Envelope, Event, FailureClass, FailureKind, MessageId, Origin, Outcome, Refusal,
    Reply, Stage, Timestamp,
};
use spool::{
    CommitError, Committed, Filter, Item, LeasedDelivery, Message, NewDelivery, NewMessage, Page, Settlement, Spool,
    State, Verdict, View,
    sqlite::{Engine, Options},
};

pub(crate) const START: i64 = 1_800_000_000;

/// Seconds after the tests' beginning of time.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(START + seconds)
}

pub(crate) fn options(dir: &Path) -> Options {
    Options { disk_reserve: 0, ..Options::new(dir, [7; 16]) }
}

pub(crate) fn open(dir: &Path, now: Timestamp) -> Arc<Engine> {
    Engine::open(options(dir), now).expect("the queue opens")
}

static NEXT: AtomicU64 = AtomicU64::new(1);

fn random() -> [u8; 10] {
    let [.., a, b, c, d, e] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    // The process number keeps ids of a child apart from ours. (The first and the third octet lose bits to the version.)
    let [.., x, y, z] = std::process::id().to_be_bytes();
    [0, x, 0, y, z, a, b, c, d, e]
}

pub(crate) fn message_id(now: Timestamp) -> MessageId {
    MessageId::new(now, random())
}

pub(crate) fn delivery_id(now: Timestamp) -> DeliveryId {
    DeliveryId::new(now, random())
}

/// A message from `sender@from.example` to these addresses.
pub(crate) fn message(now: Timestamp, recipients: &[&str]) -> NewMessage {
    NewMessage {
        id: message_id(now),
        envelope: Envelope {
            reverse_path: "Sender@from.example".parse().unwrap(),
            body: Body::SevenBit,
            origin: Origin::local(),
        },
        deliveries: recipients
            .iter()
            .map(|recipient| NewDelivery {
                id: delivery_id(now),
                recipient: recipient.parse().unwrap(),
                original: None,
                held: false,
            })
            .collect(),
        prefix: Bytes::new(),
        idempotency: None,
        not_before: None,
        expires: now + Duration::from_secs(5 * 86_400),
    }
}

pub(crate) async fn commit(
    spool: &dyn Spool,
    content: &[u8],
    message: NewMessage,
    now: Timestamp,
) -> Result<Committed, CommitError> {
    let mut draft = spool.begin()?;
    for chunk in content.chunks(10_000) {
        draft.write(chunk).await?;
    }
    spool.commit(draft, message, now).await
}

/// Commits a small message that must be new; its id.
pub(crate) async fn send(spool: &dyn Spool, now: Timestamp, recipients: &[&str]) -> MessageId {
    let new = message(now, recipients);
    let id = new.id;
    assert_eq!(commit(spool, b"Subject: x\r\n\r\nbody\r\n", new, now).await.unwrap(), Committed::New);
    id
}

pub(crate) async fn lease(spool: &dyn Spool, limit: usize, now: Timestamp) -> Vec<(Arc<Message>, LeasedDelivery)> {
    flat(spool.lease(limit, &[], now).await.unwrap())
}

/// Leases until nothing more comes.
pub(crate) async fn lease_all(spool: &dyn Spool, now: Timestamp) -> Vec<(Arc<Message>, LeasedDelivery)> {
    let mut all = Vec::new();
    loop {
        let some = lease(spool, 1000, now).await;
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

pub(crate) fn flat(items: Vec<Item>) -> Vec<(Arc<Message>, LeasedDelivery)> {
    let each = |item: Item| {
        let message = item.message;
        item.deliveries.into_iter().map(move |delivery| (Arc::clone(&message), delivery))
    };
    items.into_iter().flat_map(each).collect()
}

pub(crate) fn reply(code: u16) -> Reply {
    let class = u8::try_from(code / 100).unwrap();
    Reply::new(code, format!("{class}.0.0").parse::<EnhancedCode>().unwrap(), "as you say")
}

pub(crate) fn delivered() -> Outcome {
    Outcome::Delivered { host: "mx.example [192.0.2.1]".into(), reply: reply(250) }
}

pub(crate) fn refusal(code: u16) -> Refusal {
    Refusal {
        stage: Stage::Rcpt,
        host: "mx.example [192.0.2.1]".into(),
        reply: reply(code),
        from_peer: true,
        class: FailureClass::Greylisted,
        kind: FailureKind::Soft,
    }
}

pub(crate) fn deferred() -> Outcome {
    Outcome::Deferred(refusal(450))
}

pub(crate) fn settlement(message: &Message, leased: &LeasedDelivery, verdict: Verdict) -> Settlement {
    Settlement {
        lease: leased.lease,
        message: message.id,
        recipient: leased.delivery.recipient.clone(),
        verdict,
        source: Some("192.0.2.9".into()),
        transcript: None,
    }
}

/// Settles one delivery, which must succeed.
pub(crate) async fn settle(
    spool: &dyn Spool,
    (message, leased): &(Arc<Message>, LeasedDelivery),
    verdict: Verdict,
    now: Timestamp,
) {
    let results = spool.settle(vec![settlement(message, leased, verdict)], now).await;
    assert!(matches!(results.as_slice(), [Ok(())]), "{results:?}");
}

pub(crate) async fn find(spool: &dyn Spool, filter: &Filter, now: Timestamp) -> Vec<View> {
    spool.find(filter, &Page { limit: 1000, cursor: None }, now).await.unwrap().0
}

pub(crate) async fn count(spool: &dyn Spool, state: State) -> u64 {
    spool.count().await.unwrap().into_iter().filter(|(each, _)| *each == state).map(|(_, n)| n).sum()
}

pub(crate) async fn events(spool: &dyn Spool) -> Vec<Event> {
    let entries = spool.outbox(0, 10_000).await.unwrap();
    entries.iter().map(|entry| Event::decode(&entry.event).unwrap()).collect()
}

pub(crate) async fn event_names(spool: &dyn Spool) -> Vec<&'static str> {
    events(spool).await.iter().map(Event::name).collect()
}

pub(crate) async fn read(spool: &dyn Spool, id: MessageId) -> Bytes {
    spool.content(id).await.unwrap().to_bytes(u64::MAX).await.unwrap()
}

/// How often a long test goes round: few times by default.
#[expect(clippy::disallowed_methods, reason = "tests are told how long to run by their environment")]
pub(crate) fn rounds(default: u32) -> u32 {
    std::env::var("POSTHOUSE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
