//! Taking events, and what they amount to.

use std::time::Duration;

use mail::{
    Body, DeliveryId, Envelope, Event, EventKind, FailureClass, FailureKind, MessageId, Origin, Outcome, Protocol,
    Refusal, Reply, ReversePath, Stage, Timestamp,
};
use store::{Appended, DeliveryView, Filter, Page, State, Store};

use super::{Backend, mailbox};

/// The first message's time.
pub(super) const START: i64 = 1_795_508_169;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(START + seconds)
}

pub(super) fn message(number: u8) -> MessageId {
    MessageId::new(at(number.into()), [number; 10])
}

pub(super) fn delivery(of: u8, number: u8) -> DeliveryId {
    DeliveryId::new(at(of.into()), [of, number, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// A message from a sender (nothing: the null path) to some recipients, at second `number`.
pub(super) fn accepted(number: u8, from: &str, to: &[&str]) -> Event {
    let reverse_path: ReversePath = from.parse().unwrap();
    let origin = Origin { service: "submission".into(), ..Origin::local() };
    let recipients = (0..).zip(to).map(|(place, to)| (delivery(number, place), mailbox(to))).collect();
    let envelope = Envelope { reverse_path, body: Body::SevenBit, origin };
    let kind = EventKind::Accepted { envelope, recipients, size: 1000 + u64::from(number) };
    Event { at: at(number.into()), message: message(number), kind }
}

pub(super) fn refusal(code: u16) -> Refusal {
    Refusal {
        stage: Stage::Rcpt,
        host: "mx.example.net [192.0.2.1]".into(),
        reply: Reply::new(code, None, "no"),
        from_peer: true,
        class: FailureClass::Unknown,
        kind: FailureKind::Soft,
    }
}

pub(super) fn attempted(number: u8, place: u8, to: &str, attempt: u32, outcome: Outcome) -> Event {
    let kind = EventKind::Attempted {
        delivery: delivery(number, place),
        recipient: mailbox(to),
        attempt,
        outcome,
        next_due: None,
        source: None,
        transcript: None,
    };
    Event { at: at(i64::from(number) + 60 * i64::from(attempt)), message: message(number), kind }
}

pub(super) fn delivered() -> Outcome {
    Outcome::Delivered { host: "mx.example.net [192.0.2.1]".into(), reply: Reply::new(250, None, "ok") }
}

fn simple(number: u8, place: u8, to: &str, kind: fn(DeliveryId, mail::Mailbox) -> EventKind) -> Event {
    let kind = kind(delivery(number, place), mailbox(to));
    Event { at: at(i64::from(number) + 1000), message: message(number), kind }
}

pub(super) fn numbered(events: &[Event]) -> Vec<(u64, Event)> {
    (1..).zip(events.iter().cloned()).collect()
}

pub(super) async fn all(store: &Store, filter: &Filter) -> Vec<DeliveryView> {
    let (rows, more) = store.find(filter, &Page { limit: 1000, cursor: None }).await.unwrap();
    assert_eq!(more, None);
    rows
}

pub(super) async fn a_batch_is_taken_once(backend: &impl Backend) {
    let store = backend.open().await;
    let events = numbered(&[accepted(1, "a@b.example", &["x@y.example"]), accepted(2, "", &["x@y.example"])]);
    assert_eq!(store.cursor("node").await.unwrap(), 0);
    let taken = |taken, known| Appended { taken, known, damaged: vec![] };
    assert_eq!(store.append("node", &events[..1]).await.unwrap(), taken(1, 0));
    assert_eq!(store.append("node", &events).await.unwrap(), taken(1, 1));
    assert_eq!(store.append("node", &events).await.unwrap(), taken(0, 2));
    assert_eq!(store.append("node", &[]).await.unwrap(), taken(0, 0));
    assert_eq!(store.cursor("node").await.unwrap(), 2);
    store.close().await;
    let store = backend.open().await;
    assert_eq!(store.append("node", &events).await.unwrap(), taken(0, 2));
    // A gap is no reason to stop: the sequence is the spool's affair.
    let later = [(100, accepted(3, "a@b.example", &["x@y.example"]))];
    assert_eq!(store.append("node", &later).await.unwrap(), taken(1, 0));
    assert_eq!(store.cursor("node").await.unwrap(), 100);
    assert_eq!(all(&store, &Filter::default()).await.len(), 3);
    assert_eq!(store.history(message(1)).await.unwrap(), [events[0].1.clone()]);
}

pub(super) async fn nodes_do_not_mix(backend: &impl Backend) {
    let store = backend.open().await;
    store.append("one", &[(7, accepted(1, "a@b.example", &["x@y.example"]))]).await.unwrap();
    store.append("two", &[(7, accepted(2, "a@b.example", &["x@y.example"]))]).await.unwrap();
    store.append("two'; --", &[(7, accepted(3, "a@b.example", &["x@y.example"]))]).await.unwrap();
    assert_eq!(store.cursor("one").await.unwrap(), 7);
    assert_eq!(store.cursor("two").await.unwrap(), 7);
    assert_eq!(store.cursor("three").await.unwrap(), 0);
    assert_eq!(all(&store, &Filter::default()).await.len(), 3);
}

pub(super) async fn batches_of_every_size_are_whole(backend: &impl Backend) {
    let store = backend.open().await;
    let mut sequence = 0_u64;
    for size in [1_u32, 3, 4, 5, 31, 33, 255, 257, 300, 600] {
        let batch: Vec<_> = (0..size)
            .map(|number| {
                sequence += 1;
                let mut random = [0; 10];
                random[..8].copy_from_slice(&sequence.to_be_bytes());
                let mut event = accepted(1, "a@b.example", &[]);
                event.message = MessageId::new(at(1), random);
                if let EventKind::Accepted { recipients, .. } = &mut event.kind {
                    let to = mailbox(&format!("u{number}@y.example"));
                    recipients.push((DeliveryId::new(at(1), random), to));
                }
                (sequence, event)
            })
            .collect();
        assert_eq!(store.append("node", &batch).await.unwrap().taken, u64::from(size));
        let messages = batch.iter().take(1000).map(|(_, event)| event.message).collect();
        let found = all(&store, &Filter { messages, ..Filter::default() }).await;
        assert_eq!(found.len(), batch.len());
        assert!(found.iter().rev().zip(&batch).all(|(found, (_, event))| found.last == *event));
    }
    assert_eq!(store.cursor("node").await.unwrap(), sequence);
}

pub(super) async fn damaged_bytes_hold_nothing_up(backend: &impl Backend) {
    let store = backend.open().await;
    let good = accepted(1, "a@b.example", &["x@y.example"]);
    let entries = [
        (1, vec![]),
        (2, vec![99, b'{']),
        (3, good.encode()),
        (4, b"\x01{\"at\":".to_vec()),
        (5, good.encode()[..40].to_vec()),
    ];
    let appended = store.append_encoded("node", &entries).await.unwrap();
    assert_eq!(appended, Appended { taken: 1, known: 0, damaged: vec![1, 2, 4, 5] });
    assert_eq!(store.cursor("node").await.unwrap(), 5);
    assert_eq!(store.history(message(1)).await.unwrap(), [good]);
}

pub(super) async fn the_latest_state_is_known(backend: &impl Backend) {
    let store = backend.open().await;
    let to = ["a@y.example", "B@y.example", "c@y.example", "d@y.example", "e@y.example", "f@y.example", "g@y.example"];
    let held = |delivery, recipient| EventKind::Held { delivery, recipient };
    let released = |delivery, recipient| EventKind::Released { delivery, recipient };
    let events = [
        accepted(1, "sender@b.example", &to),
        attempted(1, 0, to[0], 1, delivered()),
        attempted(1, 1, to[1], 1, Outcome::Deferred(refusal(450))),
        attempted(1, 2, to[2], 1, Outcome::Bounced(refusal(550))),
        attempted(1, 3, to[3], 3, Outcome::Deferred(refusal(450))),
        simple(1, 3, to[3], |delivery, recipient| EventKind::Expired { delivery, recipient }),
        simple(1, 4, to[4], |delivery, recipient| EventKind::Cancelled { delivery, recipient }),
        simple(1, 5, to[5], held),
        simple(1, 6, to[6], held),
        simple(1, 6, to[6], released),
    ];
    let expected = [
        (State::Delivered, 1),
        (State::Deferred, 1),
        (State::Bounced, 1),
        (State::Expired, 3),
        (State::Cancelled, 0),
        (State::Held, 0),
        (State::Queued, 0),
    ];
    // In one batch, and one by one.
    store.append("together", &numbered(&events)).await.unwrap();
    let together = all(&store, &Filter::default()).await;
    for (sequence, event) in numbered(&events) {
        store.append("apart", &[(sequence, event)]).await.unwrap();
    }
    assert_eq!(all(&store, &Filter::default()).await, together);

    let newest_first: Vec<_> = together.iter().rev().map(|view| (view.state, view.attempts)).collect();
    assert_eq!(newest_first, expected);
    let view = &together[5];
    assert_eq!((view.message, view.delivery), (message(1), delivery(1, 1)));
    assert_eq!(
        (view.recipient.to_string(), view.reverse_path.to_string()),
        (to[1].into(), "<sender@b.example>".into())
    );
    assert_eq!((view.size, view.received, view.service.as_str()), (1001, at(1), "submission"));
    assert_eq!(view.last, events[2]);
    // Later events go on from there, and attempts are not forgotten.
    store.append("together", &[(20, simple(1, 1, to[1], held))]).await.unwrap();
    let (state, attempts) = (State::Held, 1);
    let view = &all(&store, &Filter::default()).await[5];
    assert_eq!((view.state, view.attempts), (state, attempts));
}

pub(super) async fn histories_are_in_order(backend: &impl Backend) {
    let store = backend.open().await;
    let to = "x@y.example";
    let mut events = vec![accepted(1, "a@b.example", &[to]), accepted(2, "a@b.example", &[to])];
    events.extend((1..=40).map(|attempt| attempted(1, 0, to, attempt, Outcome::Deferred(refusal(450)))));
    events.push(attempted(1, 0, to, 41, delivered()));
    store.append("node", &numbered(&events)).await.unwrap();
    events.remove(1);
    assert_eq!(store.history(message(1)).await.unwrap(), events);
    assert_eq!(store.history(message(9)).await.unwrap(), []);
    assert_eq!(Protocol::Local.to_string(), "LOCAL");
}

pub(super) async fn old_mail_is_forgotten(backend: &impl Backend) {
    let store = backend.open().await;
    let to = "x@y.example";
    let mut events: Vec<_> = (1..=4).map(|number| accepted(number, "a@b.example", &[to])).collect();
    // The second still waits; the fourth is too young.
    events.extend([1, 3, 4].map(|number| attempted(number, 0, to, 1, delivered())));
    store.append("node", &numbered(&events)).await.unwrap();
    assert_eq!(store.forget_before(at(4)).await.unwrap(), 2);
    assert_eq!(store.forget_before(at(4)).await.unwrap(), 0);
    let left: Vec<_> = all(&store, &Filter::default()).await.iter().map(|view| view.message).collect();
    assert_eq!(left, [message(4), message(2)]);
    assert_eq!(store.history(message(1)).await.unwrap(), []);
    assert_eq!(store.history(message(2)).await.unwrap().len(), 1);
    // The cursor stays: nothing comes back.
    assert_eq!(store.append("node", &numbered(&events)).await.unwrap().known, 7);
    assert_eq!(store.forget_before(at(0) + Duration::from_secs(3600)).await.unwrap(), 1);
}
