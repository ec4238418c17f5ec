//! Finding the next hop.

use std::net::IpAddr;

use net::sim::Reach;

use crate::{
    remote::{Action, say},
    world::{OFFERS, World},
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_next_mx_is_tried_when_the_best_is_down() {
    let mut world = World::new();
    world.zone.add_mx("b.example", 10, "one.b.example");
    world.zone.add_mx("b.example", 20, "two.b.example");
    world.zone.add_mx("b.example", 30, "three.b.example");
    world.zone.add_addresses("one.b.example", &[ip("192.0.2.1")]);
    let two = world.host("two.b.example", "192.0.2.2", OFFERS, None);
    let three = world.host("three.b.example", "192.0.2.3", OFFERS, None);
    two.on("BANNER", 1, Action::SayAndClose("554 5.7.1 not you".into()));
    world.start();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    assert_eq!((two.received().len(), three.received().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_does_not_hold_up_the_next() {
    let mut world = World::new();
    world.zone.add_mx("b.example", 10, "mx.b.example");
    world.zone.add_addresses("mx.b.example", &[ip("2001:db8::25")]);
    let remote = world.host("mx.b.example", "192.0.2.25", OFFERS, None);
    world.internet.set_reach(ip("2001:db8::25"), Reach::Silent);
    world.start();
    let before = world.clock.instant();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    assert!(world.clock.instant() - before < std::time::Duration::from_secs(3));
    assert_eq!(remote.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_mx_the_address_of_the_domain_is_used() {
    let mut world = World::new();
    let remote = world.host("b.example", "192.0.2.25", OFFERS, None);
    world.start();
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    assert_eq!(remote.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_literal_is_connected_to() {
    let mut world = World::new();
    let remote = world.host("x.example", "192.0.2.25", OFFERS, None);
    world.start();
    world.send(&["b@[192.0.2.25]"]).await;
    world.wait_for("message.delivered", 1).await;
    assert_eq!(remote.received()[0].to, ["<b@[192.0.2.25]>"]);
}

#[tokio::test(start_paused = true)]
async fn domains_that_take_no_mail_bounce_at_once() {
    let mut world = World::new();
    world.zone.add_mx("null.example", 0, ".");
    world.zone.add_mx("loop.example", 10, "mx.ours.example");
    world.zone.add_mx("home.example", 10, "home.home.example");
    world.zone.add_addresses("home.home.example", &[ip("127.0.0.1")]);
    world.zone.add_mx("zero.example", 10, "zero.zero.example");
    world.zone.add_addresses("zero.zero.example", &[ip("0.0.0.0")]);
    world.zone.add_mx("self.example", 10, "self.self.example");
    world.zone.add_addresses("self.self.example", &[ip("203.0.113.1")]);
    world.zone.add_empty("empty.example");
    world.start();
    let recipients = [
        "a@null.example",
        "a@nowhere.example",
        "a@loop.example",
        "a@home.example",
        "a@zero.example",
        "a@self.example",
        "a@empty.example",
        "a@[127.0.0.1]",
        "a@[203.0.113.1]",
    ];
    world.send(&recipients).await;
    let mut bounced = world.wait_for("message.bounced", recipients.len()).await;
    bounced.sort();
    let codes: Vec<String> = bounced.iter().map(|line| line.split(' ').take(5).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        codes,
        [
            "a@[127.0.0.1]: bounced dns 550 5.4.4",
            "a@[203.0.113.1]: bounced route 554 5.4.6",
            "a@empty.example: bounced dns 550 5.4.4",
            "a@home.example: bounced dns 550 5.4.4",
            "a@loop.example: bounced route 554 5.4.6",
            "a@nowhere.example: bounced dns 550 5.1.2",
            "a@null.example: bounced dns 556 5.1.10",
            "a@self.example: bounced route 554 5.4.6",
            "a@zero.example: bounced dns 550 5.4.4",
        ]
    );
    assert_eq!(world.internet.connections("127.0.0.1:25".parse().unwrap()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_name_server_that_fails_defers_and_nothing_is_lost() {
    let (world, remote) = World::with_remote();
    world.zone.set_failing("b.example", true);
    world.send(&["b@b.example"]).await;
    let deferred = world.wait_for("message.deferred", 1).await;
    assert!(
        deferred[0]
            .starts_with("b@b.example: deferred dns 451 4.4.3 the mail hosts of b.example cannot be looked up now"),
        "{deferred:?}"
    );
    world.zone.set_failing("b.example", false);
    world.wait_for("message.delivered", 1).await;
    assert_eq!(remote.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_greets_nobody_defers_until_it_does() {
    let (world, remote) = World::with_remote();
    remote.on("BANNER", 1, Action::SayAndClose("554 5.7.1 no mail from your network".into()));
    world.send(&["b@b.example"]).await;
    let deferred = world.wait_for("message.deferred", 1).await;
    assert_eq!(deferred, ["b@b.example: deferred banner 554 5.7.1 no mail from your network"]);
    remote.on("EHLO", 1, say("421 4.3.2 busy"));
    world.wait_for("message.deferred", 2).await;
    world.wait_for("message.delivered", 1).await;
}
