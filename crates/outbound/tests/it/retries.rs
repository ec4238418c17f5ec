//! Again and again, until it is given up; and the sender is told.

use std::{sync::Arc, time::Duration};

use mail::{Event, EventKind, Reply, ReversePath};
use net::sim::Reach;
use outbound::{Pattern, Relay, RelayTls, Route, Target};
use spool::State;

use crate::{
    remote::{Action, say},
    world::{EXPIRY, OFFERS, World, outcome_text},
};

#[tokio::test(start_paused = true)]
async fn a_dead_host_is_tried_by_the_schedule_until_the_deadline() {
    let mut world = World::new();
    world.zone.add_mx("b.example", 10, "mx.b.example");
    world.zone.add_addresses("mx.b.example", &["192.0.2.25".parse().unwrap()]);
    world.start();
    let start = world.clock.now();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.expired", 1).await;
    let attempts = world.attempts(start).await;
    let waits: Vec<u64> = attempts.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    for (wait, minutes) in waits.iter().zip([1, 5, 15, 30, 60, 120, 240, 480, 480, 480]) {
        assert!(wait.abs_diff(minutes * 60) <= minutes * 6 + 2, "{waits:?}");
    }
    let last = attempts.last().unwrap();
    assert!(last.0 >= EXPIRY.as_secs(), "the last attempt is made past the deadline: {attempts:?}");
    assert!(last.0 < EXPIRY.as_secs() + 3600, "and soon after it: {attempts:?}");
    let [(submission, text)] = &world.notifications()[..] else { panic!("one notification") };
    assert_eq!(submission.envelope.reverse_path, ReversePath::Null);
    assert_eq!(submission.recipients, ["alice@a.example".parse().unwrap()]);
    for part in [
        "Action: failed\r\nStatus: 5.4.7\r\nRemote-MTA: dns; mx.b.example\r\n",
        "Diagnostic-Code: x-posthouse; 451 4.4.1 192.0.2.25:25 refused the connection",
        "because its time was over",
        "Subject: hello",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("body"), "the header is quoted, the body is not");
}

#[tokio::test(start_paused = true)]
async fn a_bounce_tells_the_sender_and_the_null_sender_is_never_told() {
    let (world, remote) = World::with_remote();
    let sender = world.remote("a.example", "192.0.2.40", OFFERS);
    world.send_notifications();
    remote.on("RCPT", usize::MAX, say("550 5.1.1 no such user"));
    world.send(&["b@b.example", "c@b.example"]).await;
    world.wait_for("message.bounced", 2).await;
    world.wait_for("message.delivered", 1).await;
    let [received] = &sender.received()[..] else { panic!("one notification for both") };
    assert_eq!((received.from.as_str(), &received.to[..]), ("<>", &["<alice@a.example>".to_owned()][..]));
    assert!(received.content.contains("rfc822; b@b.example") && received.content.contains("rfc822; c@b.example"));
    world.send_from("", &["d@b.example"], "Subject: a notification\r\n\r\n").await;
    world.wait_for("message.bounced", 3).await;
    world.clock.sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.notifications().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_cannot_be_submitted_leaves_the_failure_unsettled() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT", usize::MAX, say("550 5.1.1 no such user"));
    world.shut_door(Some(Reply::with(452, (4, 3, 1), "no room")));
    world.send(&["b@b.example"]).await;
    world.clock.sleep(Duration::from_secs(300)).await;
    assert_eq!(world.queue().await.len(), 1, "it is still there");
    assert!(world.wait_for("message.bounced", 0).await.is_empty());
    world.shut_door(None);
    world.wait_for("message.bounced", 1).await;
    assert_eq!((world.notifications().len(), remote.count("MAIL")), (1, 1), "told once, tried once");
    assert!(world.queue().await.iter().all(|view| view.reverse_path == ReversePath::Null));
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_cannot_be_told_does_not_keep_the_failure() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT", usize::MAX, say("550 5.1.1 no such user"));
    world.shut_door(Some(Reply::with(550, (5, 1, 1), "no such sender")));
    world.send(&["b@b.example"]).await;
    world.wait_for("message.bounced", 1).await;
    assert!(world.queue().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_notification_and_settling_does_not_double_it() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT", usize::MAX, say("550 5.1.1 no such user"));
    world.paced.refuse_settles(true);
    world.send(&["b@b.example", "c@b.example"]).await;
    while world.notifications().is_empty() {
        world.clock.sleep(Duration::from_millis(100)).await;
    }
    let world = world.restart().await;
    world.wait_for("message.bounced", 2).await;
    let accepted = world.wait_for("message.accepted", 2).await;
    assert_eq!(accepted.len(), 2, "the message and one notification: {accepted:?}");
    assert_eq!(remote.count("MAIL"), 2, "the attempt was repeated");
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_cannot_settle_is_asked_again() {
    let (world, remote) = World::with_remote();
    world.paced.refuse_settles(true);
    world.send(&["b@b.example"]).await;
    world.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(remote.received().len(), 1);
    world.paced.refuse_settles(false);
    world.wait_for("message.delivered", 1).await;
    assert_eq!(remote.received().len(), 1, "and nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn attempts_next_due_last_reply_and_transcript_survive_a_restart() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT", 2, say("451 4.7.1 greylisted, come back"));
    let start = world.clock.now();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.deferred", 2).await;
    let before = world.spool.get(world.queue().await[0].delivery, world.clock.now()).await.unwrap().unwrap();
    let world = world.restart().await;
    let after = world.spool.get(before.delivery, world.clock.now()).await.unwrap().unwrap();
    assert_eq!((after.state, after.attempts, after.next_due), (State::Deferred, 2, before.next_due));
    assert_eq!(after.last, before.last);
    let transcript = after.transcript.unwrap();
    assert!(transcript.lines.iter().any(|line| line.text == "RCPT TO:<b@b.example>"), "{transcript:?}");
    assert!(transcript.lines.iter().any(|line| line.text == "451 4.7.1 greylisted, come back"), "{transcript:?}");
    assert_eq!(after.source.as_deref(), Some("192.0.2.1"));
    world.wait_for("message.delivered", 1).await;
    let third = world.attempts(start).await[2].0;
    assert!(third.abs_diff(60 + 300) < 40, "the third attempt came when it was due: {third}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_domain_delays_nobody_else() {
    let mut world = World::new();
    world.settings.limits.window = 100;
    world.settings.limits.window_total = 1_000;
    world.zone.add_mx("dead.example", 10, "mx.dead.example");
    world.zone.add_addresses("mx.dead.example", &["192.0.2.66".parse().unwrap()]);
    world.internet.set_reach("192.0.2.66".parse().unwrap(), Reach::Silent);
    let remote = world.remote("b.example", "192.0.2.25", OFFERS);
    for _ in 0..30 {
        let recipients: Vec<String> = (0..100).map(|n| format!("r{n}@dead.example")).collect();
        world.send(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    world.start();
    for count in 1..=20 {
        let before = world.clock.instant();
        world.send(&["b@b.example"]).await;
        world.wait_for("message.delivered", count).await;
        let took = world.clock.instant() - before;
        assert!(took < Duration::from_secs(1), "message {count} took {took:?}");
        world.clock.sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(remote.received().len(), 20);
    assert_eq!(
        world.queue().await.iter().filter(|view| view.recipient.domain.name() == Some("dead.example")).count(),
        1000
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_host_is_not_hammered_and_its_mail_goes_when_it_lives_again() {
    let mut world = World::new();
    let remote = world.remote("b.example", "192.0.2.25", OFFERS);
    remote.on("BANNER", usize::MAX, Action::SayAndClose("421 4.3.2 down".into()));
    world.start();
    for _ in 0..50 {
        world.send(&["b@b.example"]).await;
        world.clock.sleep(Duration::from_secs(1)).await;
    }
    assert!(remote.connections() <= 8, "{} connections", remote.connections());
    remote.behave();
    world.wait_for("message.delivered", 50).await;
    assert_eq!(remote.received().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_dead_relay_keeps_all_mail_and_others_go_on() {
    let mut world = World::new();
    let relay = Relay { host: "192.0.2.99".into(), port: 25, tls: RelayTls::Off, credentials: None };
    world.settings.routes = vec![Route {
        recipients: vec![Pattern::Below("relayed.example".parse().unwrap())],
        senders: Vec::new(),
        users: Vec::new(),
        to: Target::Relay(Arc::new(relay)),
    }];
    let other = world.remote("b.example", "192.0.2.25", OFFERS);
    world.start();
    for number in 0..200 {
        world.send(&[&format!("r@d{number}.relayed.example")]).await;
        world.clock.sleep(Duration::from_millis(200)).await;
    }
    let before = world.clock.instant();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    assert!(world.clock.instant() - before < Duration::from_secs(1));
    let remote = world.host("relay.example", "192.0.2.99", OFFERS, None);
    world.wait_for("message.delivered", 201).await;
    assert_eq!((remote.received().len(), other.received().len()), (200, 1));
    assert!(remote.connections() <= 40, "{} connections", remote.connections());
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_a_year_ahead_expires_nothing() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT", usize::MAX, say("451 4.3.0 later"));
    world.send(&["b@b.example"]).await;
    world.wait_for("message.deferred", 1).await;
    world.clock.step_wall(365 * 86_400);
    world.wait_for("message.deferred", 4).await;
    assert!(world.wait_for("message.expired", 0).await.is_empty());
    remote.behave();
    world.wait_for("message.delivered", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_a_year_back_loses_no_retry() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT", 1, say("451 4.3.0 later"));
    world.send(&["b@b.example"]).await;
    world.wait_for("message.deferred", 1).await;
    world.clock.step_wall(-365 * 86_400);
    let before = world.clock.instant();
    world.wait_for("message.delivered", 1).await;
    assert!(world.clock.instant() - before < Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_retry_and_reroute() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT", 3, say("451 4.3.0 later"));
    world.send(&["b@b.example"]).await;
    world.wait_for("message.deferred", 3).await;
    let now = world.clock.now();
    let changed = world.spool.update(&spool::Filter::default(), &spool::Update::Retry, now).await.unwrap();
    assert_eq!(changed, 1);
    world.wait_for("message.delivered", 1).await;
    assert!(world.clock.now().since(now) < Duration::from_secs(2));
    let other = world.host("other.example", "192.0.2.77", OFFERS, None);
    remote.on("RCPT", usize::MAX, say("451 4.3.0 later"));
    world.send(&["c@b.example"]).await;
    world.wait_for("message.deferred", 4).await;
    let reroute = spool::Update::Reroute("relay:other.example:25".into());
    world.spool.update(&spool::Filter::default(), &reroute, world.clock.now()).await.unwrap();
    world.spool.update(&spool::Filter::default(), &spool::Update::Retry, world.clock.now()).await.unwrap();
    world.wait_for("message.delivered", 2).await;
    assert_eq!(other.received()[0].to, ["<c@b.example>"]);
}

#[tokio::test(start_paused = true)]
async fn every_event_says_which_attempt_and_what_comes_next() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT", 1, say("451 4.3.0 later"));
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    let events: Vec<Event> = world.events().await;
    let attempts: Vec<String> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Attempted { attempt, outcome, next_due, .. } => {
                Some(format!("{attempt} {} next {}", outcome_text(outcome), next_due.is_some()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(attempts, ["1 deferred rcpt 451 4.3.0 later next true", "2 delivered 250 2.0.0 taken next false"]);
}
