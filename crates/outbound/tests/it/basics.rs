//! Mail that goes where it should.

use std::{sync::Arc, time::Duration};

use outbound::{Credentials, Pattern, Relay, RelayTls, Route, Target};
use zeroize::Zeroizing;

use crate::{
    remote::{Remote, say},
    world::{OFFERS, World},
};

fn route(recipients: &str, to: Target) -> Route {
    let recipients = recipients.split_whitespace().map(|pattern| pattern.parse::<Pattern>().unwrap()).collect();
    Route { recipients, senders: Vec::new(), users: Vec::new(), to }
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_to_the_mx_at_once() {
    let (world, remote) = World::with_remote();
    world.send(&["b@b.example"]).await;
    assert_eq!(world.wait_for("message.delivered", 1).await, ["b@b.example: delivered 250 2.0.0 taken"]);
    let [received] = &remote.received()[..] else { panic!("one message") };
    assert_eq!((received.from.as_str(), &received.to[..]), ("<alice@a.example>", &["<b@b.example>".to_owned()][..]));
    assert_eq!(received.content, "Subject: hello\r\n\r\n.dot\r\nbody\r\n");
    assert_eq!(remote.commands()[0], "EHLO mx.ours.example");
    assert!(world.queue().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_can_do_nothing_gets_it_too() {
    let mut world = World::new();
    let remote = world.remote("b.example", "192.0.2.25", &[]);
    world.start();
    world.send(&["b@b.example", "c@b.example"]).await;
    world.wait_for("message.delivered", 2).await;
    assert_eq!(remote.received()[0].content, "Subject: hello\r\n\r\n.dot\r\nbody\r\n");
    assert_eq!(remote.count("DATA"), 1);
}

#[tokio::test(start_paused = true)]
async fn recipients_of_one_destination_share_a_transaction() {
    let (world, remote) = World::with_remote();
    let other = world.remote("c.example", "192.0.2.26", OFFERS);
    world.send(&["a@b.example", "x@c.example", "b@b.example", "c@b.example"]).await;
    world.wait_for("message.delivered", 4).await;
    assert_eq!(remote.received()[0].to, ["<a@b.example>", "<b@b.example>", "<c@b.example>"]);
    assert_eq!((remote.received().len(), remote.count("MAIL")), (1, 1));
    assert_eq!(other.received()[0].to, ["<x@c.example>"]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_has_a_hundred_recipients_or_as_many_as_the_server_takes() {
    let mut world = World::new();
    let hundred = world.remote("b.example", "192.0.2.25", OFFERS);
    let ten = world.remote("c.example", "192.0.2.26", &["PIPELINING", "LIMITS RCPTMAX=10"]);
    world.start();
    let recipients: Vec<String> = (0..250).map(|n| format!("r{n}@b.example")).collect();
    world.send(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let recipients: Vec<String> = (0..25).map(|n| format!("r{n}@c.example")).collect();
    world.send(&recipients.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.wait_for("message.delivered", 275).await;
    let sizes = |remote: &Remote| {
        let mut sizes: Vec<usize> = remote.received().iter().map(|received| received.to.len()).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!((sizes(&hundred), sizes(&ten)), (vec![50, 100, 100], vec![5, 10, 10]));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_the_next_message_and_closed_when_none_comes() {
    let (world, remote) = World::with_remote();
    for count in 1..=5 {
        world.send(&["b@b.example"]).await;
        world.wait_for("message.delivered", count).await;
        world.clock.sleep(Duration::from_secs(8)).await;
    }
    assert_eq!((remote.connections(), remote.count("EHLO"), remote.count("MAIL")), (1, 1, 5));
    world.clock.sleep(Duration::from_secs(11)).await;
    assert_eq!(remote.count("QUIT"), 1);
    assert_eq!(world.engine.as_ref().unwrap().status().connections, 0);
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 6).await;
    assert_eq!(remote.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_carries_so_many_messages() {
    let mut world = World::new();
    world.settings.limits.messages = 3;
    world.settings.limits.connections = 1;
    let remote = world.remote("b.example", "192.0.2.25", OFFERS);
    for _ in 0..7 {
        world.send(&["b@b.example"]).await;
    }
    world.start();
    world.wait_for("message.delivered", 7).await;
    let connections: Vec<usize> = remote.received().iter().map(|received| received.connection).collect();
    assert_eq!(connections, [1, 1, 1, 2, 2, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_gets_more_connections_within_the_bound() {
    let mut world = World::new();
    world.settings.limits.connections = 8;
    let remote = world.remote("b.example", "192.0.2.25", OFFERS);
    for _ in 0..200 {
        world.send(&["b@b.example"]).await;
    }
    world.start();
    world.wait_for("message.delivered", 200).await;
    assert!((2..=8).contains(&remote.most_open()), "{}", remote.most_open());
    assert_eq!(remote.received().len(), 200);
    assert!(world.paced.settles() < 150, "outcomes are settled in batches: {}", world.paced.settles());
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_the_server_closed_costs_no_attempt() {
    let (world, remote) = World::with_remote();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    // It says 421 to the next MAIL, as servers do that count messages.
    remote.on("MAIL", 1, crate::remote::Action::SayAndClose("421 4.7.0 enough for one connection".into()));
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 2).await;
    assert_eq!(remote.connections(), 2);
    // It hangs up on the next one without a word.
    remote.on("MAIL", 1, crate::remote::Action::Close);
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 3).await;
    // It is cut between two messages.
    world.internet.cut("192.0.2.25".parse().unwrap());
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 4).await;
    assert_eq!(world.attempts(world.clock.now()).await.len(), 4, "nothing was deferred");
}

#[tokio::test(start_paused = true)]
async fn a_route_relays_with_auth() {
    let mut world = World::new();
    let remote = world.host("relay.example", "192.0.2.30", &["PIPELINING", "AUTH PLAIN"], None);
    remote.on("AUTH", 1, say("235 2.7.0 welcome"));
    let credentials = Credentials { username: "me".into(), password: Zeroizing::new("secret".into()) };
    world.settings.routes = vec![route(
        "*",
        Target::Relay(Arc::new(Relay {
            host: "relay.example".into(),
            port: 25,
            tls: RelayTls::Off,
            credentials: Some(credentials),
        })),
    )];
    world.start();
    world.send(&["b@b.example", "c@c.example"]).await;
    world.wait_for("message.delivered", 2).await;
    assert_eq!(remote.received()[0].to, ["<b@b.example>", "<c@c.example>"], "one destination");
    assert!(remote.commands().contains(&"AUTH PLAIN AG1lAHNlY3JldA==".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_of_ours_bounce_nothing() {
    let mut world = World::new();
    let remote = world.host("relay.example", "192.0.2.30", &["PIPELINING", "AUTH PLAIN"], None);
    remote.on("AUTH", 99, say("535 5.7.8 wrong password"));
    let credentials = Credentials { username: "me".into(), password: Zeroizing::new("s3cret".into()) };
    let relay = Relay { host: "relay.example".into(), port: 25, tls: RelayTls::Off, credentials: Some(credentials) };
    world.settings.routes = vec![route("*", Target::Relay(Arc::new(relay)))];
    world.start();
    world.send(&["b@b.example"]).await;
    assert_eq!(world.wait_for("message.deferred", 1).await, ["b@b.example: deferred auth 535 5.7.8 wrong password"]);
    let delivery = world.queue().await[0].delivery;
    let view = world.spool.get(delivery, world.clock.now()).await.unwrap().unwrap();
    let transcript = format!("{:?}", view.transcript.unwrap());
    assert!(transcript.contains("<redacted>") && !transcript.contains("AG1lAHMzY3JldA"), "{transcript}");
}

#[tokio::test(start_paused = true)]
async fn mail_for_our_domains_goes_into_the_mailbox() {
    let mut world = World::new();
    world.start();
    world.send(&["Bob@ours.example", "\"../../x\"@ours.example"]).await;
    world.wait_for("message.delivered", 2).await;
    let large = format!("Subject: large\r\n\r\n{}", "0123456789abcdef0123456789abcdef\r\n".repeat(50_000));
    world.send_from("", &["carol@ours.example"], &large).await;
    world.wait_for("message.delivered", 3).await;
    let root = world.directory.path().join("maildir/ours.example");
    let letter = |mailbox: &str| {
        let mut files = std::fs::read_dir(root.join(mailbox).join("new")).unwrap();
        std::fs::read_to_string(files.next().unwrap().unwrap().path()).unwrap()
    };
    assert_eq!(
        letter("bob"),
        "Return-Path: <alice@a.example>\nDelivered-To: Bob@ours.example\nSubject: hello\n\n.dot\nbody\n"
    );
    assert!(letter("%2e.%2f..%2fx").contains("body"));
    let large = format!("Return-Path: <>\nDelivered-To: carol@ours.example\n{}", large.replace("\r\n", "\n"));
    assert!(letter("carol") == large, "a large letter comes in pieces");
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_cannot_be_written_defers() {
    let mut world = World::new();
    let root = world.directory.path().join("maildir");
    std::fs::write(&root, "a file in the way").unwrap();
    world.start();
    world.send(&["bob@ours.example"]).await;
    let deferred = world.wait_for("message.deferred", 1).await;
    assert_eq!(deferred, ["bob@ours.example: deferred local 451 4.3.0 the mailbox cannot be written to now"]);
    std::fs::remove_file(&root).unwrap();
    world.wait_for("message.delivered", 1).await;
}

#[tokio::test(start_paused = true)]
async fn routes_capture_hold_and_reject() {
    let mut world = World::new();
    world.settings.routes =
        vec![route("hold.example", Target::Hold), route("reject.example", Target::Reject), route("*", Target::Capture)];
    world.start();
    world.send(&["a@hold.example", "b@reject.example", "c@c.example", "d@ours.example"]).await;
    assert_eq!(world.wait_for("message.held", 1).await, ["a@hold.example: held"]);
    assert_eq!(world.wait_for("message.delivered", 2).await.len(), 2);
    world.clock.sleep(Duration::from_secs(1)).await;
    let bounced = world.wait_for("message.bounced", 1).await;
    assert_eq!(bounced, ["b@reject.example: bounced route 550 5.7.1 this server does not send mail to this address"]);
    let captured = world.spool.captured(None, 10).await.unwrap();
    assert!(captured.iter().any(|view| view.recipients.len() == 2), "{captured:?}");
    let mut waiting: Vec<String> = world.queue().await.iter().map(|view| view.recipient.to_string()).collect();
    waiting.sort();
    assert_eq!(waiting, ["a@hold.example", "alice@a.example"], "the second is the notification");
}

#[tokio::test(start_paused = true)]
async fn a_large_message_streams_from_its_file() {
    let (world, remote) = World::with_remote();
    let content = format!("Subject: large\r\n\r\n{}", "..0123456789abcdef0123456789abcdef\r\n".repeat(100_000));
    world.send_from("alice@a.example", &["b@b.example"], &content).await;
    world.wait_for("message.delivered", 1).await;
    assert!(remote.received()[0].content == content);
    let mut plain = World::new();
    let remote = plain.remote("b.example", "192.0.2.25", &[]);
    plain.start();
    plain.send_from("alice@a.example", &["b@b.example"], &content).await;
    plain.wait_for("message.delivered", 1).await;
    assert!(remote.received()[0].content == content, "the same with dots");
}

#[tokio::test(start_paused = true)]
async fn new_settings_hold_from_now_on() {
    let (world, remote) = World::with_remote();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    let mut settings = world.settings.clone();
    settings.routes = vec![route("*", Target::Capture)];
    world.engine.as_ref().unwrap().reload(settings);
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 2).await;
    assert_eq!(remote.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_is_in_flight_finishes_and_the_rest_is_kept() {
    let mut world = World::new();
    world.settings.limits.connections = 1;
    let remote = world.remote("b.example", "192.0.2.25", OFFERS);
    world.internet.set_latency("192.0.2.25".parse().unwrap(), Duration::from_secs(1));
    for _ in 0..50 {
        world.send(&["b@b.example"]).await;
    }
    world.start();
    while remote.received().is_empty() {
        world.clock.sleep(Duration::from_millis(10)).await;
    }
    world.stop().await;
    let (sent, kept) = (remote.received().len(), world.queue().await.len());
    assert_eq!(sent + kept, 50, "nothing lost, nothing twice");
    world.start();
    world.wait_for("message.delivered", 50).await;
    assert_eq!(remote.received().len(), 50);
}
