//! What every engine must do. Each test is a function of a factory of empty spools; a second engine gets its own line
//! in `engines!`.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use mail::{EventKind, Outcome, Stage, Timestamp, Transcript};
use spool::{Committed, Filter, Page, SettleError, Spool, SpoolError, State, Update, Verdict};

use crate::support::{
    at, commit, count, deferred, delivered, delivery_id, event_names, events, find, flat, lease, lease_all, message,
    message_id, read, refusal, send, settle, settlement,
};

/// Makes an empty spool. What comes beside it keeps its place on the disk alive.
pub(crate) trait Factory: Sync {
    fn make(&self, now: Timestamp) -> (Arc<dyn Spool>, Box<dyn std::any::Any + Send>);
}

struct Sqlite;

impl Factory for Sqlite {
    fn make(&self, now: Timestamp) -> (Arc<dyn Spool>, Box<dyn std::any::Any + Send>) {
        let directory = tempfile::tempdir().unwrap();
        (crate::support::open(directory.path(), now), Box::new(directory))
    }
}

type Test = for<'a> fn(&'a dyn Spool) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

fn run(factory: &dyn Factory, test: Test) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (spool, _place) = factory.make(at(0));
        test(spool.as_ref()).await;
        spool.close().await;
    });
}

macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::run(&super::Sqlite, |spool| Box::pin(super::$name(spool))); })*
        }
    };
}

conformance!(
    a_message_goes_through,
    content_of_every_size_comes_back,
    a_prefix_comes_first,
    a_dropped_draft_leaves_nothing,
    fresh_mail_keeps_its_order,
    recipients_of_one_message_are_leased_together,
    domains_can_be_left_alone,
    an_item_is_leased_once,
    a_retry_comes_back_when_it_is_due,
    what_is_parked_comes_back_untried,
    an_old_fence_is_refused_alone,
    due_mail_is_fair_by_domain,
    a_dead_domain_does_not_hide_others,
    some_recipients_done_some_not,
    expiry_and_bounce_leave_the_queue,
    a_route_may_hold,
    scheduled_mail_waits,
    held_at_birth,
    a_known_key_is_the_same_message,
    a_delivery_may_be_called_as_its_message,
    taken_ids_are_refused,
    captured_mail_is_kept_and_swept,
    operators_verbs,
    verbs_on_what_is_being_attempted,
    lists_by_every_filter,
    pages_join_without_gap_or_double,
    counts_agree_with_lists,
    bad_queries_are_refused_in_words,
    events_are_numbered_and_trimmed,
    a_transcript_is_kept_for_failures,
    a_reroute_is_remembered,
    leases_given_back_by_a_dropped_future,
    ready_wakes,
    nothing_is_taken_after_close,
);

async fn a_message_goes_through(spool: &dyn Spool) {
    let id = send(spool, at(0), &["a@b.example"]).await;
    assert_eq!(count(spool, State::Queued).await, 1);
    let leased = lease(spool, 10, at(1)).await;
    assert_eq!(leased.len(), 1);
    assert_eq!((leased[0].0.id, leased[0].1.delivery.attempts), (id, 0));
    assert_eq!(leased[0].0.size, 20);
    assert_eq!((count(spool, State::Queued).await, count(spool, State::Active).await), (0, 1));
    assert_eq!(read(spool, id).await, &b"Subject: x\r\n\r\nbody\r\n"[..]);
    settle(spool, &leased[0], Verdict::Done(delivered()), at(2)).await;
    assert_eq!(count(spool, State::Active).await, 0);
    assert!(matches!(spool.content(id).await, Err(SpoolError::NotFound)));
    assert!(find(spool, &Filter::default(), at(3)).await.is_empty());
    assert_eq!(event_names(spool).await, ["message.accepted", "message.delivered"]);
}

async fn content_of_every_size_comes_back(spool: &dyn Spool) {
    for size in [0, 1, 4_000, 65_535, 65_536, 65_537, 131_072, 131_073, 196_608, 196_609, 1_000_000] {
        let content: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let new = message(at(0), &["a@b.example"]);
        let id = new.id;
        commit(spool, &content, new, at(0)).await.unwrap();
        let mut stream = spool.content(id).await.unwrap();
        assert_eq!(stream.size(), content.len() as u64);
        let mut whole = Vec::new();
        while let Some(chunk) = stream.read().await.unwrap() {
            assert!(!chunk.is_empty());
            whole.extend_from_slice(&chunk);
        }
        assert_eq!(whole, content, "{size}");
        assert!(stream.read().await.unwrap().is_none(), "the end stays the end");
        let refused = spool.content(id).await.unwrap().to_bytes(content.len() as u64 - u64::from(size > 0)).await;
        assert_eq!(refused.is_err(), size > 0);
    }
}

async fn a_prefix_comes_first(spool: &dyn Spool) {
    for size in [10, 180_000, 300_000] {
        let mut new = message(at(0), &["a@b.example"]);
        new.prefix = Bytes::from_static(b"Received: here\r\n");
        let id = new.id;
        commit(spool, &vec![b'x'; size], new, at(0)).await.unwrap();
        let whole = read(spool, id).await;
        assert!(whole.starts_with(b"Received: here\r\nxxx"));
        assert_eq!(whole.len(), size + 16);
        assert_eq!(spool.content(id).await.unwrap().size(), size as u64 + 16);
    }
}

async fn a_dropped_draft_leaves_nothing(spool: &dyn Spool) {
    let mut small = spool.begin().unwrap();
    small.write(b"abc").await.unwrap();
    drop(small);
    let mut large = spool.begin().unwrap();
    large.write(&vec![0; 500_000]).await.unwrap();
    assert_eq!(large.size(), 500_000);
    drop(large);
    assert!(lease(spool, 10, at(1)).await.is_empty());
    assert!(events(spool).await.is_empty());
}

async fn fresh_mail_keeps_its_order(spool: &dyn Spool) {
    let mut sent = Vec::new();
    for n in 0..50 {
        sent.push(send(spool, at(n / 10), &[&format!("a@{}.example", n % 7)]).await);
    }
    let mut got = Vec::new();
    while let [one, ..] = lease(spool, 1, at(5)).await.as_slice() {
        got.push(one.0.id);
    }
    assert_eq!(got, sent);
}

async fn recipients_of_one_message_are_leased_together(spool: &dyn Spool) {
    let id = send(spool, at(0), &["a@one.example", "b@two.example", "c@one.example"]).await;
    let items = spool.lease(10, &[], at(0)).await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].message.id, items[0].deliveries.len()), (id, 3));
}

async fn domains_can_be_left_alone(spool: &dyn Spool) {
    let full = send(spool, at(0), &["a@full.example"]).await;
    let free = send(spool, at(1), &["a@free.example"]).await;
    let skip = ["full.example".to_owned()];
    let leased = flat(spool.lease(10, &skip, at(2)).await.unwrap());
    assert_eq!(leased.iter().map(|one| one.0.id).collect::<Vec<_>>(), [free]);
    settle(spool, &leased[0], Verdict::Retry(deferred(), at(10)), at(3)).await;
    let leased = lease(spool, 10, at(4)).await;
    assert_eq!(leased.iter().map(|one| one.0.id).collect::<Vec<_>>(), [full]);
    settle(spool, &leased[0], Verdict::Retry(deferred(), at(10)), at(5)).await;
    let leased = flat(spool.lease(10, &skip, at(20)).await.unwrap());
    assert_eq!(leased.iter().map(|one| one.0.id).collect::<Vec<_>>(), [free]);
}

async fn an_item_is_leased_once(spool: &dyn Spool) {
    for n in 0..20 {
        send(spool, at(n), &["a@b.example", "c@d.example"]).await;
    }
    let (a, b, c) = tokio::join!(lease_all(spool, at(30)), lease_all(spool, at(30)), lease_all(spool, at(30)));
    let mut ids: Vec<_> = a.iter().chain(&b).chain(&c).map(|one| one.1.delivery.id).collect();
    assert_eq!(ids.len(), 40);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}

async fn a_retry_comes_back_when_it_is_due(spool: &dyn Spool) {
    let id = send(spool, at(0), &["a@b.example"]).await;
    let leased = lease(spool, 10, at(0)).await;
    settle(spool, &leased[0], Verdict::Retry(deferred(), at(60)), at(1)).await;
    assert_eq!(spool.next_due().await.unwrap(), Some(at(60)));
    assert!(lease(spool, 10, at(59)).await.is_empty());
    let again = lease(spool, 10, at(60)).await;
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].0.id, again[0].1.delivery.attempts), (id, 1));
    assert_eq!(again[0].0.envelope, leased[0].0.envelope);
    assert_eq!(again[0].0.expires, leased[0].0.expires);
    assert!(again[0].1.lease.fence > leased[0].1.lease.fence);
    assert_eq!(spool.next_due().await.unwrap(), None);
    assert_eq!(read(spool, id).await.len(), 20);
    settle(spool, &again[0], Verdict::Done(delivered()), at(61)).await;
    assert!(find(spool, &Filter::default(), at(62)).await.is_empty());
    assert_eq!(event_names(spool).await, ["message.accepted", "message.deferred", "message.delivered"]);
    let all = events(spool).await;
    assert!(matches!(all[2].kind, EventKind::Attempted { attempt: 2, .. }));
    assert!(matches!(all[1].kind, EventKind::Attempted { attempt: 1, next_due: Some(due), .. } if due == at(60)));
}

async fn what_is_parked_comes_back_untried(spool: &dyn Spool) {
    send(spool, at(0), &["a@b.example", "c@d.example"]).await;
    let leased = lease(spool, 10, at(0)).await;
    spool.park(leased.iter().map(|one| one.1.lease).collect(), at(5)).await.unwrap();
    assert!(lease(spool, 10, at(4)).await.is_empty());
    let again = lease(spool, 10, at(5)).await;
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|one| one.1.delivery.attempts == 0));
    spool.park(leased.iter().map(|one| one.1.lease).collect(), at(5)).await.unwrap();
    assert!(lease(spool, 10, at(6)).await.is_empty(), "an old lease gives nothing back");
    assert_eq!(event_names(spool).await, ["message.accepted"]);
}

async fn an_old_fence_is_refused_alone(spool: &dyn Spool) {
    send(spool, at(0), &["a@b.example"]).await;
    send(spool, at(0), &["a@c.example"]).await;
    let leased = lease(spool, 10, at(0)).await;
    spool.park(vec![leased[0].1.lease], at(1)).await.unwrap();
    let newer = lease(spool, 10, at(2)).await;
    let done =
        |one: &(Arc<spool::Message>, spool::LeasedDelivery)| settlement(&one.0, &one.1, Verdict::Done(delivered()));
    let results = spool.settle(vec![done(&leased[0]), done(&leased[1]), done(&leased[1])], at(3)).await;
    assert!(matches!(results[0], Err(SettleError::LeaseLost(id)) if id == leased[0].1.delivery.id), "{results:?}");
    assert!(results[1].is_ok());
    assert!(matches!(results[2], Err(SettleError::LeaseLost(_))));
    settle(spool, &newer[0], Verdict::Done(delivered()), at(4)).await;
    assert!(find(spool, &Filter::default(), at(5)).await.is_empty());
}

/// Commits and defers one message per address, so that all are due at 100.
async fn make_due(spool: &dyn Spool, addresses: &[String]) {
    for address in addresses {
        send(spool, at(0), &[address]).await;
    }
    for one in lease_all(spool, at(0)).await {
        settle(spool, &one, Verdict::Retry(deferred(), at(100)), at(1)).await;
    }
}

async fn due_mail_is_fair_by_domain(spool: &dyn Spool) {
    let mut addresses: Vec<String> = (0..60).map(|n| format!("u{n}@big.example")).collect();
    addresses.extend((0..2).map(|n| format!("u{n}@small.example")));
    addresses.push("u@tiny.example".into());
    make_due(spool, &addresses).await;
    let leased = lease(spool, 12, at(100)).await;
    let of = |domain: &str| leased.iter().filter(|one| one.1.delivery.recipient.domain.to_string() == domain).count();
    assert_eq!((of("big.example"), of("small.example"), of("tiny.example")), (4, 2, 1));
}

async fn a_dead_domain_does_not_hide_others(spool: &dyn Spool) {
    let mut addresses: Vec<String> = (0..200).map(|n| format!("u{n}@dead.example")).collect();
    addresses.push("u@alive.example".into());
    make_due(spool, &addresses).await;
    let skip = ["dead.example".to_owned()];
    let leased = flat(spool.lease(10, &skip, at(100)).await.unwrap());
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].1.delivery.recipient.to_string(), "u@alive.example");
}

async fn some_recipients_done_some_not(spool: &dyn Spool) {
    let id = send(spool, at(0), &["a@x.example", "b@x.example", "c@y.example", "d@z.example"]).await;
    let leased = lease(spool, 3, at(0)).await;
    assert_eq!(leased.len(), 3);
    let results = spool
        .settle(
            vec![
                settlement(&leased[0].0, &leased[0].1, Verdict::Done(delivered())),
                settlement(&leased[1].0, &leased[1].1, Verdict::Retry(deferred(), at(60))),
            ],
            at(1),
        )
        .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let states: Vec<_> = find(spool, &Filter::default(), at(2)).await.iter().map(|view| view.state).collect();
    assert_eq!(states, [State::Queued, State::Active, State::Deferred]);
    settle(spool, &leased[2], Verdict::Done(delivered()), at(2)).await;
    let last = lease(spool, 10, at(2)).await;
    assert_eq!(last[0].1.delivery.recipient.to_string(), "d@z.example");
    settle(spool, &last[0], Verdict::Done(delivered()), at(3)).await;
    assert_eq!(read(spool, id).await.len(), 20);
    let last = lease(spool, 10, at(60)).await;
    settle(spool, &last[0], Verdict::Done(delivered()), at(61)).await;
    assert!(matches!(spool.content(id).await, Err(SpoolError::NotFound)));
}

async fn expiry_and_bounce_leave_the_queue(spool: &dyn Spool) {
    send(spool, at(0), &["a@b.example", "b@b.example"]).await;
    let leased = lease(spool, 10, at(0)).await;
    settle(spool, &leased[0], Verdict::Done(Outcome::Bounced(refusal(550))), at(1)).await;
    settle(spool, &leased[1], Verdict::Expired(deferred()), at(1)).await;
    assert!(find(spool, &Filter::default(), at(2)).await.is_empty());
    let names = event_names(spool).await;
    assert_eq!(names, ["message.accepted", "message.bounced", "message.deferred", "message.expired"]);
}

async fn a_route_may_hold(spool: &dyn Spool) {
    send(spool, at(0), &["a@b.example"]).await;
    let leased = lease(spool, 10, at(0)).await;
    settle(spool, &leased[0], Verdict::Held, at(1)).await;
    assert_eq!(count(spool, State::Held).await, 1);
    assert!(lease(spool, 10, at(100_000)).await.is_empty());
    assert_eq!(spool.update(&Filter::default(), &Update::Release, at(5)).await.unwrap(), 1);
    let again = lease(spool, 10, at(5)).await;
    assert_eq!(again[0].1.delivery.attempts, 0, "being held is no attempt");
    assert_eq!(event_names(spool).await, ["message.accepted", "message.held", "message.released"]);
}

async fn scheduled_mail_waits(spool: &dyn Spool) {
    let mut new = message(at(0), &["a@b.example"]);
    new.not_before = Some(at(1000));
    commit(spool, b"x", new, at(0)).await.unwrap();
    assert_eq!(count(spool, State::Scheduled).await, 1);
    assert!(lease(spool, 10, at(999)).await.is_empty());
    assert_eq!(spool.next_due().await.unwrap(), Some(at(1000)));
    assert_eq!(lease(spool, 10, at(1000)).await.len(), 1);
}

async fn held_at_birth(spool: &dyn Spool) {
    let mut new = message(at(0), &["a@b.example", "b@b.example"]);
    new.deliveries[0].held = true;
    commit(spool, b"x", new, at(0)).await.unwrap();
    assert_eq!((count(spool, State::Held).await, count(spool, State::Queued).await), (1, 1));
    let leased = lease_all(spool, at(0)).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].1.delivery.recipient.to_string(), "b@b.example");
}

async fn a_known_key_is_the_same_message(spool: &dyn Spool) {
    let keyed = |now: Timestamp| {
        let mut new = message(now, &["a@b.example"]);
        new.idempotency = Some(("campaign-1 contact-9".into(), Duration::from_secs(100)));
        new
    };
    let first = keyed(at(0));
    let id = first.id;
    assert_eq!(commit(spool, b"x", first, at(0)).await.unwrap(), Committed::New);
    assert_eq!(commit(spool, b"x", keyed(at(1)), at(1)).await.unwrap(), Committed::Already(id));
    assert_eq!(commit(spool, &[b'x'; 200_000], keyed(at(1)), at(1)).await.unwrap(), Committed::Already(id));
    for one in lease_all(spool, at(2)).await {
        settle(spool, &one, Verdict::Done(delivered()), at(2)).await;
    }
    assert_eq!(commit(spool, b"x", keyed(at(3)), at(3)).await.unwrap(), Committed::Already(id));
    spool.sweep(at(99)).await.unwrap();
    assert_eq!(commit(spool, b"x", keyed(at(99)), at(99)).await.unwrap(), Committed::Already(id));
    assert_eq!(commit(spool, b"x", keyed(at(101)), at(101)).await.unwrap(), Committed::New, "the key had its time");
    assert_eq!(event_names(spool).await, ["message.accepted", "message.delivered", "message.accepted"]);
}

/// The ids of messages and those of deliveries are two things.
async fn a_delivery_may_be_called_as_its_message(spool: &dyn Spool) {
    for size in [20, 180_000] {
        let mut new = message(at(0), &["a@b.example"]);
        new.deliveries[0].id = mail::DeliveryId::from_bytes(new.id.to_bytes());
        let id = new.id;
        assert_eq!(commit(spool, &vec![b'x'; size], new, at(0)).await.unwrap(), Committed::New, "{size} octets");
        assert_eq!(read(spool, id).await.len(), size);
    }
}

async fn taken_ids_are_refused(spool: &dyn Spool) {
    let new = message(at(0), &["a@b.example"]);
    let again = new.clone();
    commit(spool, &[b'x'; 180_000], new, at(0)).await.unwrap();
    let refused = commit(spool, &[b'y'; 180_000], again.clone(), at(0)).await;
    assert!(refused.unwrap_err().to_string().contains("already"));
    let mut other = again.clone();
    other.id = message_id(at(0));
    assert!(commit(spool, b"x", other.clone(), at(0)).await.is_err(), "the delivery's id is taken");
    let leased = lease(spool, 10, at(0)).await;
    settle(spool, &leased[0], Verdict::Retry(deferred(), at(5)), at(1)).await;
    assert!(commit(spool, b"x", again.clone(), at(1)).await.is_err());
    assert!(commit(spool, b"x", other, at(1)).await.is_err());
    let mut twice = message(at(0), &["a@b.example", "b@b.example"]);
    twice.deliveries[1].id = twice.deliveries[0].id;
    assert!(commit(spool, b"x", twice, at(1)).await.is_err());
    assert!(commit(spool, b"x", message(at(0), &[]), at(1)).await.is_err(), "nobody to send it to");
    assert_eq!(read(spool, again.id).await, vec![b'x'; 180_000], "the first one's content is untouched");
    send(spool, at(2), &["a@b.example"]).await;
}

async fn captured_mail_is_kept_and_swept(spool: &dyn Spool) {
    let mut ids = Vec::new();
    for size in [10, 180_000] {
        let new = message(at(0), &["a@b.example", "c@d.example", "e@f.example"]);
        ids.push(new.id);
        commit(spool, &vec![b'x'; size], new, at(0)).await.unwrap();
    }
    let leased = lease(spool, 10, at(0)).await;
    for (n, one) in leased.iter().enumerate() {
        let verdict = if n % 3 == 2 { Verdict::Done(delivered()) } else { Verdict::Captured(delivered()) };
        settle(spool, one, verdict, at(1)).await;
    }
    assert!(find(spool, &Filter::default(), at(2)).await.is_empty());
    let views = spool.captured(None, 10).await.unwrap();
    assert_eq!(views.iter().map(|view| view.id).collect::<Vec<_>>(), [ids[1], ids[0]], "newest first");
    assert_eq!(views[0].recipients.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a@b.example", "c@d.example"]);
    assert_eq!((views[0].size, views[0].at), (180_000, at(1)));
    assert_eq!(views[0].reverse_path.to_string(), "<Sender@from.example>");
    assert_eq!(spool.captured(Some(ids[1]), 10).await.unwrap().len(), 1);
    assert!(spool.captured(Some(ids[0]), 10).await.unwrap().is_empty());
    assert_eq!(read(spool, ids[0]).await.len(), 10);
    assert_eq!(read(spool, ids[1]).await.len(), 180_000);
    spool.sweep(at(3)).await.unwrap();
    assert_eq!(spool.captured(None, 10).await.unwrap().len(), 2);
}

async fn operators_verbs(spool: &dyn Spool) {
    for n in 0..10 {
        send(spool, at(n), &[&format!("u{n}@{}.example", if n < 4 { "one" } else { "two" })]).await;
    }
    let one = Filter { domain: Some("ONE.example".into()), ..Filter::default() };
    assert_eq!(spool.update(&one, &Update::Hold, at(10)).await.unwrap(), 4);
    assert_eq!(spool.update(&one, &Update::Hold, at(10)).await.unwrap(), 0, "held is held");
    assert_eq!(lease_all(spool, at(10)).await.len(), 6);
    assert_eq!(spool.update(&one, &Update::Retry, at(11)).await.unwrap(), 0, "retry does not release");
    let first = Filter { to: Some("u0@one.example".into()), ..Filter::default() };
    assert_eq!(spool.update(&first, &Update::Release, at(11)).await.unwrap(), 1);
    let leased = lease_all(spool, at(11)).await;
    assert_eq!(leased.len(), 1);
    settle(spool, &leased[0], Verdict::Retry(deferred(), at(5000)), at(12)).await;
    assert_eq!(spool.update(&first, &Update::Retry, at(13)).await.unwrap(), 1);
    assert_eq!(lease_all(spool, at(13)).await.len(), 1);
    let held = Filter { state: Some(State::Held), ..Filter::default() };
    assert_eq!(spool.update(&held, &Update::Cancel, at(14)).await.unwrap(), 3);
    assert_eq!(count(spool, State::Held).await, 0);
    let names = event_names(spool).await;
    let number = |name: &str| names.iter().filter(|each| **each == name).count();
    assert_eq!((number("message.held"), number("message.released"), number("message.cancelled")), (4, 1, 3));
}

async fn verbs_on_what_is_being_attempted(spool: &dyn Spool) {
    let addresses = ["hold@x.example", "cancel@x.example", "sent@x.example", "back@x.example", "park@x.example"];
    for address in addresses {
        send(spool, at(0), &[address]).await;
    }
    let leased = lease_all(spool, at(0)).await;
    let to = |address: &str| Filter { to: Some(address.into()), ..Filter::default() };
    assert_eq!(spool.update(&to("hold@x.example"), &Update::Hold, at(1)).await.unwrap(), 1);
    for address in ["cancel@x.example", "sent@x.example", "park@x.example"] {
        assert_eq!(spool.update(&to(address), &Update::Cancel, at(1)).await.unwrap(), 1);
    }
    assert_eq!(spool.update(&to("back@x.example"), &Update::Hold, at(1)).await.unwrap(), 1);
    assert_eq!(spool.update(&to("back@x.example"), &Update::Release, at(1)).await.unwrap(), 1);
    assert_eq!(count(spool, State::Active).await, 5, "attempts go on");
    for one in &leased[..2] {
        settle(spool, one, Verdict::Retry(deferred(), at(60)), at(2)).await;
    }
    settle(spool, &leased[2], Verdict::Done(delivered()), at(2)).await;
    settle(spool, &leased[3], Verdict::Retry(deferred(), at(60)), at(2)).await;
    spool.park(vec![leased[4].1.lease], at(3)).await.unwrap();
    let left = find(spool, &Filter::default(), at(3)).await;
    let mut left: Vec<_> = left.iter().map(|view| (view.recipient.to_string(), view.state)).collect();
    left.sort();
    assert_eq!(left, [("back@x.example".into(), State::Deferred), ("hold@x.example".into(), State::Held)]);
    let names = event_names(spool).await;
    let number = |name: &str| names.iter().filter(|each| **each == name).count();
    assert_eq!((number("message.cancelled"), number("message.held"), number("message.delivered")), (2, 1, 1));
}

async fn lists_by_every_filter(spool: &dyn Spool) {
    // Two of each: one that stays fresh, one that has been tried.
    for n in 0..2 {
        for address in ["Amy@one.example", "bob@two.example"] {
            let mut new = message(at(n * 10), &[address]);
            if address.starts_with("bob") {
                new.envelope.reverse_path = "<>".trim_matches(['<', '>']).parse().unwrap();
            }
            commit(spool, b"x", new, at(n * 10)).await.unwrap();
        }
        if n == 0 {
            for one in lease_all(spool, at(0)).await {
                settle(spool, &one, Verdict::Retry(deferred(), at(100)), at(1)).await;
            }
        }
    }
    let default = Filter::default;
    let all = find(spool, &default(), at(20)).await;
    assert_eq!(all.len(), 4);
    let cases = [
        (Filter { to: Some("amy@one.example".into()), ..default() }, 2),
        (Filter { to: Some("AMY@ONE.example".into()), ..default() }, 2),
        (Filter { to: Some("@two.example".into()), ..default() }, 2),
        (Filter { to: Some("nobody@one.example".into()), ..default() }, 0),
        (Filter { domain: Some("one.example".into()), ..default() }, 2),
        (Filter { domain: Some("one.example".into()), to: Some("@one.example".into()), ..default() }, 2),
        (Filter { from: Some("sender@from.example".into()), ..default() }, 2),
        (Filter { from: Some("@from.example".into()), ..default() }, 2),
        (Filter { from: Some("<>".into()), ..default() }, 2),
        (Filter { from: Some("<>".into()), domain: Some("one.example".into()), ..default() }, 0),
        (Filter { from: Some("@from.example".into()), state: Some(State::Queued), ..default() }, 1),
        (Filter { state: Some(State::Queued), ..default() }, 2),
        (Filter { state: Some(State::Deferred), ..default() }, 2),
        (Filter { state: Some(State::Held), ..default() }, 0),
        (Filter { state: Some(State::Active), ..default() }, 0),
        (Filter { state: Some(State::Delivered), ..default() }, 0),
        (Filter { state: Some(State::Deferred), domain: Some("two.example".into()), ..default() }, 1),
        (Filter { older: Some(at(10)), ..default() }, 2),
        (Filter { older: Some(at(11)), ..default() }, 4),
        (Filter { older: Some(at(0)), ..default() }, 0),
        (Filter { messages: vec![all[0].message, all[3].message], ..default() }, 2),
        (Filter { messages: vec![message_id(at(0))], ..default() }, 0),
        (Filter { deliveries: vec![all[1].delivery, all[2].delivery], ..default() }, 2),
        (Filter { messages: vec![all[3].message], deliveries: vec![all[2].delivery], ..default() }, 0),
        (Filter { messages: vec![all[3].message], deliveries: vec![all[3].delivery], ..default() }, 1),
    ];
    for (filter, expect) in cases {
        assert_eq!(find(spool, &filter, at(20)).await.len(), expect, "{filter:?}");
    }
    let leased = lease_all(spool, at(200)).await;
    assert_eq!(leased.len(), 4);
    let active = Filter { state: Some(State::Active), ..default() };
    assert_eq!(find(spool, &active, at(201)).await.len(), 4);
    let active = Filter { domain: Some("one.example".into()), ..active };
    assert_eq!(find(spool, &active, at(201)).await.len(), 2);
    let view = spool.get(all[3].delivery, at(202)).await.unwrap().unwrap();
    assert_eq!((view.state, view.attempts, view.next_due), (State::Active, 1, None));
    assert!(view.last.is_some_and(|(time, outcome)| time == at(1) && outcome == deferred()));
    assert_eq!(view.source.as_deref(), Some("192.0.2.9"));
    assert!(spool.get(delivery_id(at(0)), at(0)).await.unwrap().is_none());
}

async fn pages_join_without_gap_or_double(spool: &dyn Spool) {
    for n in 0..60 {
        let id = send(spool, at(n / 7), &[&format!("a@{}.example", n % 3)]).await;
        if n % 2 == 0 {
            let filter = Filter { messages: vec![id], ..Filter::default() };
            spool.update(&filter, &Update::Hold, at(10)).await.unwrap();
        }
    }
    let whole: Vec<_> = find(spool, &Filter::default(), at(100)).await.iter().map(|view| view.delivery).collect();
    assert_eq!(whole.len(), 60);
    let received: Vec<_> = find(spool, &Filter::default(), at(100)).await.iter().map(|view| view.received).collect();
    assert!(received.is_sorted_by(|a, b| a >= b), "newest first");
    for limit in [1, 7, 59, 60, 61] {
        let (mut pages, mut cursor) = (Vec::new(), None);
        loop {
            let page = Page { limit, cursor };
            let (views, next) = spool.find(&Filter::default(), &page, at(100)).await.unwrap();
            assert!(views.len() <= limit);
            pages.extend(views.iter().map(|view| view.delivery));
            if next.is_none() {
                break;
            }
            assert_eq!(views.len(), limit);
            cursor = next;
        }
        assert_eq!(pages, whole, "{limit}");
    }
}

async fn counts_agree_with_lists(spool: &dyn Spool) {
    for n in 0..30 {
        send(spool, at(0), &[&format!("a{n}@{}.example", n % 4), "x@many.example"]).await;
    }
    for (n, one) in lease(spool, 40, at(1)).await.iter().enumerate() {
        match n % 4 {
            0 => settle(spool, one, Verdict::Done(delivered()), at(2)).await,
            1 => settle(spool, one, Verdict::Retry(deferred(), at(50)), at(2)).await,
            2 => settle(spool, one, Verdict::Held, at(2)).await,
            _ => {}
        }
    }
    lease(spool, 7, at(60)).await;
    let counts = spool.count().await.unwrap();
    let mut total = 0;
    for (state, n) in &counts {
        let filter = Filter { state: Some(*state), ..Filter::default() };
        assert_eq!(find(spool, &filter, at(60)).await.len() as u64, *n, "{state:?}");
        total += n;
    }
    assert_eq!(total, 50);
    let by_domain = spool.count_by_domain(100).await.unwrap();
    for (domain, state, n) in &by_domain {
        let filter = Filter { state: Some(*state), domain: Some(domain.clone()), ..Filter::default() };
        assert_eq!(find(spool, &filter, at(60)).await.len() as u64, *n, "{domain} {state:?}");
    }
    assert_eq!(by_domain.iter().map(|(_, _, n)| n).sum::<u64>(), 50);
    assert_eq!(by_domain[0].0, "many.example", "the largest first");
    assert_eq!(spool.count_by_domain(2).await.unwrap().len(), 2);
}

async fn bad_queries_are_refused_in_words(spool: &dyn Spool) {
    let page = Page { limit: 10, cursor: None };
    for filter in [
        Filter { to: Some("nonsense".into()), ..Filter::default() },
        Filter { to: Some("@".into()), ..Filter::default() },
        Filter { from: Some("' OR 1=1 --".into()), ..Filter::default() },
        Filter { to: Some("@a.example".into()), domain: Some("b.example".into()), ..Filter::default() },
        Filter { messages: vec![message_id(at(0)); 1001], ..Filter::default() },
    ] {
        let error = spool.find(&filter, &page, at(0)).await.unwrap_err();
        assert!(matches!(error, SpoolError::BadQuery(_)), "{error}");
        assert!(matches!(spool.update(&filter, &Update::Cancel, at(0)).await, Err(SpoolError::BadQuery(_))));
    }
    let page = Page { limit: 10, cursor: Some("'; DROP TABLE message".into()) };
    assert!(matches!(spool.find(&Filter::default(), &page, at(0)).await, Err(SpoolError::BadQuery(_))));
    let hostile = Filter { domain: Some("x' OR '1'='1".into()), ..Filter::default() };
    send(spool, at(0), &["a@b.example"]).await;
    assert!(find(spool, &hostile, at(0)).await.is_empty());
}

async fn events_are_numbered_and_trimmed(spool: &dyn Spool) {
    for n in 0..20 {
        send(spool, at(n), &["a@b.example"]).await;
    }
    let entries = spool.outbox(0, 1000).await.unwrap();
    assert_eq!(entries.len(), 20);
    assert!(entries.is_sorted_by(|a, b| a.sequence < b.sequence));
    let middle = entries[9].sequence;
    assert_eq!(spool.outbox(middle, 1000).await.unwrap(), entries[10..]);
    assert_eq!(spool.outbox(middle, 3).await.unwrap(), entries[10..13]);
    spool.trim_outbox(middle).await.unwrap();
    assert_eq!(spool.outbox(middle, 1000).await.unwrap(), entries[10..]);
    let last = entries[19].sequence;
    spool.trim_outbox(last).await.unwrap();
    assert!(spool.outbox(0, 1000).await.unwrap().is_empty());
    spool.outbox_ready(last, Duration::from_millis(1)).await;
    let waiting = spool.outbox_ready(last, Duration::from_secs(60));
    let (_, ()) = tokio::join!(send(spool, at(30), &["a@b.example"]), waiting);
    let entries = spool.outbox(last, 1000).await.unwrap();
    assert!(entries.len() == 1 && entries[0].sequence > last);
    assert!(!spool.node().is_empty());
}

async fn a_transcript_is_kept_for_failures(spool: &dyn Spool) {
    send(spool, at(0), &["a@b.example"]).await;
    let leased = lease(spool, 1, at(0)).await;
    let mut transcript = Transcript::default();
    transcript.push(Duration::from_millis(3), Stage::Rcpt, mail::Side::Server, "450 4.2.0 greylisted");
    let mut settlement = settlement(&leased[0].0, &leased[0].1, Verdict::Retry(deferred(), at(60)));
    settlement.transcript = Some(transcript.clone());
    assert!(spool.settle(vec![settlement], at(1)).await[0].is_ok());
    let view = spool.get(leased[0].1.delivery.id, at(2)).await.unwrap().unwrap();
    assert_eq!(view.transcript.unwrap().lines, transcript.lines);
    assert!(find(spool, &Filter::default(), at(2)).await[0].transcript.is_none(), "not in long lists");
    let one = Filter { messages: vec![leased[0].0.id], ..Filter::default() };
    assert!(find(spool, &one, at(2)).await[0].transcript.is_some());
    let all = events(spool).await;
    assert!(
        matches!(&all[1].kind, EventKind::Attempted { transcript: Some(kept), .. } if kept.lines == transcript.lines)
    );
}

async fn a_reroute_is_remembered(spool: &dyn Spool) {
    send(spool, at(0), &["a@b.example"]).await;
    let route = Update::Reroute("relay:smart.example:25".into());
    assert_eq!(spool.update(&Filter::default(), &route, at(0)).await.unwrap(), 1);
    let leased = lease_all(spool, at(1)).await;
    assert_eq!(leased[0].1.delivery.forced_route.as_deref(), Some("relay:smart.example:25"));
}

async fn leases_given_back_by_a_dropped_future(spool: &dyn Spool) {
    make_due(spool, &(0..10).map(|n| format!("u{n}@x.example")).collect::<Vec<_>>()).await;
    send(spool, at(99), &["fresh@y.example"]).await;
    // A future that is polled once and dropped, at every stage that it may have come to.
    for _ in 0..20 {
        let mut lease = Box::pin(spool.lease(4, &[], at(100)));
        if let std::task::Poll::Ready(items) = futures_poll(lease.as_mut()).await {
            let leases = flat(items.unwrap()).iter().map(|one| one.1.lease).collect();
            spool.park(leases, at(100)).await.unwrap();
        }
        drop(lease);
    }
    let mut leased = Vec::new();
    for _ in 0..1000 {
        leased.extend(lease(spool, 100, at(100)).await);
        if leased.len() == 11 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(leased.len(), 11);
}

/// Polls a future once.
async fn futures_poll<F: Future>(mut future: Pin<&mut F>) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
}

async fn ready_wakes(spool: &dyn Spool) {
    let woken = |wait: Duration| async move { tokio::time::timeout(wait, spool.ready()).await.is_ok() };
    let (_, fresh) = tokio::join!(send(spool, at(0), &["a@b.example"]), woken(Duration::from_secs(60)));
    assert!(fresh);
    let leased = lease(spool, 1, at(0)).await;
    settle(spool, &leased[0], Verdict::Retry(deferred(), at(1000)), at(1)).await;
    assert!(woken(Duration::from_secs(60)).await, "an earlier due time");
    spool.update(&Filter::default(), &Update::Retry, at(2)).await.unwrap();
    assert!(woken(Duration::from_secs(60)).await, "an earlier due time");
}

async fn nothing_is_taken_after_close(spool: &dyn Spool) {
    let draft = spool.begin().unwrap();
    spool.close().await;
    assert!(matches!(spool.begin(), Err(SpoolError::Closed)));
    let late = spool.commit(draft, message(at(0), &["a@b.example"]), at(0)).await;
    assert!(late.is_err());
    assert!(spool.lease(1, &[], at(0)).await.is_err());
    spool.close().await;
}
