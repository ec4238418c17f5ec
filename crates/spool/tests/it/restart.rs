//! What a restart finds, in every state a message can be in.

use mail::Event;
use spool::{Filter, Spool, State, Update, Verdict};

use crate::support::{
    at, commit, count, deferred, delivered, event_names, find, lease, lease_all, message, open, options, read, send,
    settle, settlement,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_state_survives() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    for address in ["done@x.example", "later@x.example", "held@x.example", "parked@x.example", "active@x.example"] {
        send(spool.as_ref(), at(0), &[address]).await;
    }
    let leased = lease_all(spool.as_ref(), at(0)).await;
    settle(spool.as_ref(), &leased[0], Verdict::Done(delivered()), at(1)).await;
    settle(spool.as_ref(), &leased[1], Verdict::Retry(deferred(), at(60)), at(1)).await;
    settle(spool.as_ref(), &leased[2], Verdict::Held, at(1)).await;
    spool.park(vec![leased[3].1.lease], at(30)).await.unwrap();
    let fresh = send(spool.as_ref(), at(1), &["fresh@x.example", "also@y.example"]).await;
    let mut later = message(at(1), &["scheduled@x.example"]);
    later.not_before = Some(at(500));
    commit(spool.as_ref(), b"x", later, at(1)).await.unwrap();
    let large = message(at(1), &["large@x.example"]);
    let large_id = large.id;
    commit(spool.as_ref(), &[b'y'; 300_000], large, at(1)).await.unwrap();
    let (before, node) = (event_names(spool.as_ref()).await, spool.node());
    // No close: as after a crash.
    drop(spool);

    let spool = open(directory.path(), at(10));
    assert_eq!(spool.node(), node);
    assert_eq!(event_names(spool.as_ref()).await, before);
    let mut left: Vec<_> = find(spool.as_ref(), &Filter::default(), at(10))
        .await
        .iter()
        .map(|view| (view.recipient.to_string(), view.state, view.attempts))
        .collect();
    left.sort();
    let expect = [
        ("active@x.example", State::Queued, 0),
        ("also@y.example", State::Queued, 0),
        ("fresh@x.example", State::Queued, 0),
        ("held@x.example", State::Held, 0),
        ("large@x.example", State::Queued, 0),
        ("later@x.example", State::Deferred, 1),
        ("parked@x.example", State::Queued, 0),
        ("scheduled@x.example", State::Scheduled, 0),
    ];
    assert_eq!(left, expect.map(|(address, state, attempts)| (address.to_owned(), state, attempts)));
    assert_eq!(count(spool.as_ref(), State::Queued).await, 5);
    let old = spool.settle(vec![settlement(&leased[4].0, &leased[4].1, Verdict::Done(delivered()))], at(11)).await;
    assert!(old[0].is_err(), "a lease of the process before is void");
    let mut names: Vec<_> =
        lease_all(spool.as_ref(), at(11)).await.iter().map(|one| one.1.delivery.recipient.to_string()).collect();
    names.sort();
    assert_eq!(names, ["active@x.example", "also@y.example", "fresh@x.example", "large@x.example"]);
    assert_eq!(lease_all(spool.as_ref(), at(60)).await.len(), 2);
    assert_eq!(read(spool.as_ref(), fresh).await.len(), 20);
    assert_eq!(read(spool.as_ref(), large_id).await, vec![b'y'; 300_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_are_never_used_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..4 {
        let spool = open(directory.path(), at(round));
        send(spool.as_ref(), at(round), &["a@x.example"]).await;
        for one in lease_all(spool.as_ref(), at(round)).await {
            settle(spool.as_ref(), &one, Verdict::Done(delivered()), at(round)).await;
        }
        let entries = spool.outbox(0, 100).await.unwrap();
        assert!(entries[0].sequence > last);
        last = entries.last().unwrap().sequence;
        spool.trim_outbox(last).await.unwrap();
        if round % 2 == 0 {
            spool.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_that_were_retries_are_void_and_due() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    send(spool.as_ref(), at(0), &["a@x.example", "b@y.example"]).await;
    for one in lease_all(spool.as_ref(), at(0)).await {
        settle(spool.as_ref(), &one, Verdict::Retry(deferred(), at(5)), at(1)).await;
    }
    let leased = lease_all(spool.as_ref(), at(5)).await;
    assert_eq!(leased.len(), 2);
    let cancel = Filter { to: Some("b@y.example".into()), ..Filter::default() };
    assert_eq!(spool.update(&cancel, &Update::Cancel, at(6)).await.unwrap(), 1);
    drop(spool);
    let spool = open(directory.path(), at(6));
    let again = lease_all(spool.as_ref(), at(6)).await;
    assert_eq!(again.len(), 1, "what was to be cancelled is not tried again");
    assert!(again[0].1.lease.fence > leased[0].1.lease.fence);
    assert_eq!(event_names(spool.as_ref()).await.last(), Some(&"message.cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fresh_for_long_gets_its_row_and_the_mark_moves() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    for _ in 0..10 {
        send(spool.as_ref(), at(0), &["a@x.example", "b@x.example"]).await;
    }
    let leased = lease(spool.as_ref(), 5, at(0)).await;
    for second in 1..12 {
        send(spool.as_ref(), at(second), &["c@x.example"]).await;
    }
    // Those of the first seconds have rows by now: the ones leased go on, the others are due.
    settle(spool.as_ref(), &leased[0], Verdict::Done(delivered()), at(12)).await;
    settle(spool.as_ref(), &leased[1], Verdict::Retry(deferred(), at(50)), at(12)).await;
    assert!(spool.next_due().await.unwrap().is_some());
    assert_eq!(lease_all(spool.as_ref(), at(12)).await.len(), 20 + 11 - 5);
    spool.close().await;
    drop(spool);
    let connection = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(number("SELECT count(*) FROM delivery") >= 18);
    assert!(number("SELECT value FROM meta WHERE key = 'low_water'") > 18, "the mark has moved past them");
    assert_eq!(number("SELECT count(*) FROM message WHERE whole IS NOT NULL AND seq < 20"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_window_overflows_to_the_due_index() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    let addresses: Vec<String> = (0..1000).map(|n| format!("u{n}@big.example")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for _ in 0..12 {
        send(spool.as_ref(), at(0), &addresses).await;
    }
    assert_eq!(count(spool.as_ref(), State::Queued).await, 12_000);
    assert_eq!(spool.next_due().await.unwrap(), Some(at(0)));
    let leased = lease_all(spool.as_ref(), at(1)).await;
    assert_eq!(leased.len(), 12_000);
    let mut ids: Vec<_> = leased.iter().map(|one| one.1.delivery.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 12_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_of_an_earlier_process_are_swept() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    let large = message(at(0), &["a@x.example"]);
    let id = large.id;
    commit(spool.as_ref(), &[b'x'; 180_000], large, at(0)).await.unwrap();
    spool.close().await;
    drop(spool);
    let content = directory.path().join("content");
    std::fs::write(content.join("msg_00000000000000000000000000000000.1.77"), b"nobody's").unwrap();
    std::fs::write(content.join("README"), b"not ours").unwrap();
    std::fs::write(directory.path().join("incoming/9"), b"unfinished").unwrap();
    let spool = open(directory.path(), at(1));
    spool.sweep(at(1)).await.unwrap();
    spool.close().await;
    let mut names: Vec<_> =
        std::fs::read_dir(&content).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0] == "README" && names[1].starts_with(&id.to_string()));
    assert_eq!(std::fs::read_dir(directory.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivered_large_message_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    for size in [131_073, 200_000] {
        commit(spool.as_ref(), &vec![b'x'; size], message(at(0), &["a@x.example"]), at(0)).await.unwrap();
    }
    assert_eq!(std::fs::read_dir(directory.path().join("content")).unwrap().count(), 2);
    for one in lease_all(spool.as_ref(), at(0)).await {
        settle(spool.as_ref(), &one, Verdict::Done(delivered()), at(1)).await;
    }
    spool.close().await;
    assert_eq!(std::fs::read_dir(directory.path().join("content")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_mail_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let spool =
        spool::sqlite::Engine::open(spool::sqlite::Options { captured_max: 3, ..options(directory.path()) }, at(0))
            .unwrap();
    for n in 0..10 {
        let size = if n % 2 == 0 { 10 } else { 180_000 };
        commit(spool.as_ref(), &vec![b'x'; size], message(at(n), &["a@x.example"]), at(n)).await.unwrap();
        for one in lease_all(spool.as_ref(), at(n)).await {
            settle(spool.as_ref(), &one, Verdict::Captured(delivered()), at(n)).await;
        }
    }
    spool.sweep(at(20)).await.unwrap();
    let kept: Vec<_> = spool.captured(None, 10).await.unwrap().iter().map(|view| view.at).collect();
    assert_eq!(kept, [at(9), at(8), at(7)]);
    spool.close().await;
    assert_eq!(std::fs::read_dir(directory.path().join("content")).unwrap().count(), 2);
    let connection = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    let contents: i64 = connection.query_row("SELECT count(*) FROM content", [], |row| row.get(0)).unwrap();
    assert_eq!(contents, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_end_by_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    send(spool.as_ref(), at(0), &["a@x.example"]).await;
    let leased = lease_all(spool.as_ref(), at(0)).await;
    spool.sweep(at(3600)).await.unwrap();
    spool.sweep(at(7199)).await.unwrap();
    assert!(lease_all(spool.as_ref(), at(7199)).await.is_empty());
    spool.sweep(at(7201)).await.unwrap();
    assert_eq!(lease_all(spool.as_ref(), at(7201)).await.len(), 1);
    let late = spool.settle(vec![settlement(&leased[0].0, &leased[0].1, Verdict::Done(delivered()))], at(7202)).await;
    assert!(late[0].is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_a_clock_that_jumps_a_year_ends_no_lease_and_loses_nothing() {
    const YEAR: i64 = 365 * 86_400;
    for jump in [YEAR, -YEAR] {
        let directory = tempfile::tempdir().unwrap();
        let spool = open(directory.path(), at(0));
        for n in 0..10 {
            send(spool.as_ref(), at(0), &[&format!("a{n}@x.example")]).await;
        }
        let leased = lease(spool.as_ref(), 5, at(0)).await;
        settle(spool.as_ref(), &leased[0], Verdict::Retry(deferred(), at(600)), at(1)).await;
        spool.sweep(at(20)).await.unwrap();
        let then = |seconds: i64| at(jump + seconds);
        spool.sweep(then(30)).await.unwrap();
        send(spool.as_ref(), then(31), &["late@x.example"]).await;
        for one in &leased[1..] {
            settle(spool.as_ref(), one, Verdict::Done(delivered()), then(32)).await;
        }
        // What a step back leaves waiting for a year is tried at the word of whoever noticed the step.
        spool.update(&Filter::default(), &Update::Retry, then(33)).await.unwrap();
        assert_eq!(lease_all(spool.as_ref(), then(33)).await.len(), 7, "{jump}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_look_into_the_directory() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("deep/spool");
    let _spool = open(&inner, at(0));
    assert_eq!(std::fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_in_the_outbox_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    for n in 0..100 {
        send(spool.as_ref(), at(0), &[&format!("a{n}@x.example")]).await;
    }
    let mut after = 0;
    let mut seen = 0;
    loop {
        let entries = spool.outbox(after, 7).await.unwrap();
        let Some(last) = entries.last() else {
            break;
        };
        after = last.sequence;
        seen += entries.len();
        assert!(entries.iter().all(|entry| Event::decode(&entry.event).is_ok()));
    }
    assert_eq!(seen, 100);
}
