//! As whom mail goes on that an address of ours passes on.

use mail::Timestamp;
use policy::srs::{SECRET, Srs};

use crate::world::{OFFERS, World};

fn srs() -> Srs {
    Srs::new(&[7; SECRET])
}

#[tokio::test(start_paused = true)]
async fn forwarded_mail_goes_on_under_our_address_and_other_mail_under_its_own() {
    let mut world = World::new();
    world.settings.forwarding = Some(srs());
    let remote = world.remote("b.example", "192.0.2.25", OFFERS);
    world.start();
    let now = world.clock.now();
    // One message for one destination: directly, and through two addresses of ours.
    world.forward("alice@a.example", &[("x@b.example", None), ("y@b.example", Some("list@ours.example"))]).await;
    world.wait_for("message.delivered", 2).await;
    let mut received: Vec<_> = remote.received().iter().map(|mail| (mail.to.clone(), mail.from.clone())).collect();
    received.sort();
    let [(direct, from), (forwarded, through)] = &received[..] else { panic!("two transactions: {received:?}") };
    assert_eq!((&direct[..], from.as_str()), (&["<x@b.example>".to_owned()][..], "<alice@a.example>"));
    assert_eq!(forwarded[..], ["<y@b.example>".to_owned()]);
    check_leads_back(through, "alice@a.example", now);
}

#[tokio::test(start_paused = true)]
async fn a_second_forwarder_adds_no_third_name() {
    let mut world = World::new();
    world.settings.forwarding = Some(srs());
    let remote = world.remote("b.example", "192.0.2.25", OFFERS);
    world.start();
    let now = world.clock.now();
    let sender = "SRS0=HHH=TT=far.example=ann@fwd.example";
    world.forward(sender, &[("y@b.example", Some("list@ours.example"))]).await;
    world.wait_for("message.delivered", 1).await;
    check_leads_back(&remote.received()[0].from, sender, now);
}

fn check_leads_back(path: &str, sender: &str, now: Timestamp) {
    let path: mail::Mailbox = path.trim_matches(['<', '>']).parse().unwrap();
    assert_eq!(path.domain.to_string(), "ours.example");
    assert_eq!(srs().original(&path.local, now).unwrap().unwrap().to_string(), sender);
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_address_of_ours_gets_none() {
    let mut world = World::new();
    world.settings.forwarding = Some(srs());
    let remote = world.remote("b.example", "192.0.2.25", OFFERS);
    world.start();
    let through = Some("list@ours.example");
    world.forward("ann@ours.example", &[("a@b.example", through)]).await;
    world.forward("", &[("b@b.example", through)]).await;
    world.forward("alice@a.example", &[("c@b.example", None)]).await;
    world.wait_for("message.delivered", 3).await;
    let mut from: Vec<_> = remote.received().iter().map(|mail| mail.from.clone()).collect();
    from.sort();
    assert_eq!(from, ["<>", "<alice@a.example>", "<ann@ours.example>"]);
}

/// What fails at the next hop is told to the sender, who is in the queue as it was.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_to_the_sender_itself() {
    let mut world = World::new();
    world.settings.forwarding = Some(srs());
    world.remote("b.example", "192.0.2.25", OFFERS).on("RCPT", 1, crate::remote::say("550 5.1.1 no"));
    world.start();
    world.forward("alice@a.example", &[("y@b.example", Some("list@ours.example"))]).await;
    world.wait_for("message.bounced", 1).await;
    let [(submission, _)] = &world.notifications()[..] else { panic!("one notification") };
    assert_eq!(submission.recipients[0].to_string(), "alice@a.example");
}

#[tokio::test(start_paused = true)]
async fn switched_off_nothing_changes() {
    let (world, remote) = World::with_remote();
    world.forward("alice@a.example", &[("y@b.example", Some("list@ours.example"))]).await;
    world.wait_for("message.delivered", 1).await;
    assert_eq!(remote.received()[0].from, "<alice@a.example>");
}
