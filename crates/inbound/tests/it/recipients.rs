//! Who may write to whom.

use std::net::IpAddr;

use inbound::{Network, Recipients};

use crate::world::World;

const MAIL: &str = "C: MAIL FROM:<out@far.example>\nS: 250 2.1.0";

#[tokio::test]
async fn our_recipients_are_taken_and_others_are_not() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    client
        .run(&format!(
            "{MAIL}
C: RCPT TO:<anna@ours.example>
S: 250 2.1.5
C: RCPT TO:<ANNA@Ours.Example>
S: 250 2.1.5
C: RCPT TO:<anna+tag@ours.example>
S: 250 2.1.5
C: RCPT TO:<nobody@ours.example>
S: 550 5.1.1
C: RCPT TO:<anyone@catch.example>
S: 250 2.1.5
C: RCPT TO:<anyone@relay.example>
S: 250 2.1.5
C: RCPT TO:<x@far.example>
S: 550 5.7.1 far.example is not a domain of this server
C: DATA
S: 354
C: Subject: hi
C:
C: text
C: .
S: 250 2.0.0 Ok: queued as msg_"
        ))
        .await;
    let kept = world.only().await;
    assert_eq!(kept.recipients, ["anna@ours.example", "anyone@relay.example", "carl@catch.example"]);
    assert_eq!(kept.letter(), "Subject: hi\r\n\r\ntext\r\n");
    let field = mail::header::Header::parse(kept.content.as_bytes(), 10).fields[0].unfolded();
    assert!(field.starts_with("from client.example ([127.0.0.1]) by mx.ours.example (Posthouse) with ESMTP id msg_"));
    assert!(!field.contains(" for "), "{field}");
}

#[tokio::test]
async fn an_alias_reaches_each_of_its_mailboxes_once() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    client
        .run(&format!(
            "{MAIL}
C: RCPT TO:<Sales@ours.example>
S: 250
C: RCPT TO:<bob@ours.example>
S: 250
C: DATA
S: 354
C: .
S: 250"
        ))
        .await;
    assert_eq!(world.only().await.recipients, ["anna@ours.example", "bob@ours.example", "out@far.example"]);
    let page = spool::Page { limit: 10, cursor: None };
    let (views, _) = world.spool.find(&spool::Filter::default(), &page, world.clock.now()).await.unwrap();
    let originals: Vec<_> = views.iter().map(|view| view.original.as_ref().map(ToString::to_string)).collect();
    assert_eq!(originals, vec![Some("Sales@ours.example".to_owned()); 3]);
}

#[tokio::test]
async fn no_syntax_makes_it_a_relay() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    client.run(MAIL).await;
    for path in [
        "<x@far.example>",
        "x@far.example",
        "<@ours.example:x@far.example>",
        "<@ours.example,@mx.ours.example:x@far.example>",
        "<x%far.example@ours.example>",
        "<x%far.example@catch.example>",
        "<x%far.example@relay.example>",
        "<far.example!x@ours.example>",
        "<far.example!x@relay.example>",
        "<\"x@far.example\"@relay.example>",
        "<x@far.example@ours.example>",
        "<\"x@far.example\">",
        "<x@[192.0.2.1]>",
        "<x@ours.example.far.example>",
        "<>",
    ] {
        client.say(format!("RCPT TO:{path}\r\n")).await;
        let reply = client.reply().await;
        assert!(reply.starts_with('5'), "{path}: {reply}");
    }
    assert_eq!(world.kept().await, []);
}

/// R6: every way that `posthouse check open-relay` tries at others, held against each kind of domain of ours.
#[tokio::test]
async fn every_known_way_to_relay_is_closed() {
    let world = World::new().await;
    for domain in ["ours.example", "catch.example", "relay.example", "mx.ours.example"] {
        let names = policy::relay::Names {
            sender: "out@far.example".parse().unwrap(),
            elsewhere: "you@far.example".parse().unwrap(),
            host: "mx.ours.example".parse().unwrap(),
            domain: domain.parse().unwrap(),
            address: IpAddr::from([127, 0, 0, 1]),
        };
        for ways in policy::relay::ways(&names).chunks(5) {
            let mut client = world.client(world.mx()).await;
            for way in ways {
                client.say(format!("MAIL FROM:{}\r\nRCPT TO:{}\r\nRSET\r\n", way.sender, way.recipient)).await;
                let _sender = client.reply().await;
                let reply = client.reply().await;
                assert!(reply.starts_with('5'), "{}: {reply}", way.name);
                assert!(client.reply().await.starts_with("250"));
            }
        }
    }
    assert_eq!(world.kept().await, []);
}

#[tokio::test]
async fn a_trusted_network_relays_without_a_password() {
    let world = World::new().await;
    for mut settings in [world.mx(), world.submission()] {
        settings.trusted_networks = Network::LOOPBACK.to_vec();
        assert!(settings.trusted_networks[0].contains(IpAddr::from([127, 0, 0, 1])));
        let mut client = world.client(settings).await;
        client
            .run(
                "C: MAIL FROM:<x@elsewhere.example>
S: 250
C: RCPT TO:<x@far.example>
S: 250
C: RCPT TO:<nobody@ours.example>
S: 550 5.1.1",
            )
            .await;
    }
    let mut client = world.client(world.submission()).await;
    client.run("C: MAIL FROM:<x@elsewhere.example>\nS: 530 5.7.0").await;
}

#[tokio::test]
async fn the_sandbox_takes_mail_for_everybody() {
    let world = World::new().await;
    let mut settings = world.mx();
    settings.recipients = Recipients::Anybody;
    let mut client = world.client(settings).await;
    client
        .run(
            "C: MAIL FROM:<>
S: 250
C: RCPT TO:<x@far.example>
S: 250
C: RCPT TO:<nobody@ours.example>
S: 250
C: RCPT TO:<x%y@far.example>
S: 250
C: DATA
S: 354
C: .
S: 250",
        )
        .await;
    assert_eq!(world.only().await.recipients, ["nobody@ours.example", "x%y@far.example", "x@far.example"]);
}

#[tokio::test]
async fn postmaster_needs_no_domain() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    client
        .run(
            "C: MAIL FROM:<>
S: 250
C: RCPT TO:<PostMaster>
S: 250
C: RCPT TO:<abuse@ours.example>
S: 250
C: DATA
S: 354
C: .
S: 250
C: VRFY anna
S: 252
C: QUIT
S: 221
S: closed",
        )
        .await;
    // The first domain by name is catch.example, whose catch-all is carl.
    assert_eq!(world.only().await.recipients, ["anna@ours.example", "carl@catch.example"]);
}

/// Item 6 of the gate: what was passed on under an address of ours comes back to it, and goes on to its sender.
#[tokio::test]
async fn a_notification_about_forwarded_mail_goes_back_to_its_sender() {
    let srs = policy::srs::Srs::new(&[7; policy::srs::SECRET]);
    let world = World::with(|parts| parts.srs = Some(srs.clone())).await;
    let made = |sender: &str, days: u64| {
        let then = world.clock.now() - std::time::Duration::from_secs(days * 86_400);
        srs.rewrite(&sender.parse().unwrap(), &"catch.example".parse().unwrap(), then).unwrap().to_string()
    };
    let (good, old) = (made("Ann@far.example", 3), made("ann@far.example", 30));
    let forged = good.replace("Ann", "bob");
    let mut client = world.client(world.mx()).await;
    client
        .run(&format!(
            "C: MAIL FROM:<spammer@far.example>
S: 250
C: RCPT TO:<{good}>
S: 550 5.7.1 This address takes notifications only
C: RSET
S: 250
C: MAIL FROM:<>
S: 250
C: RCPT TO:<{forged}>
S: 550 5.7.1
C: RCPT TO:<{old}>
S: 550 5.1.1
C: RCPT TO:<{}>
S: 250
C: DATA
S: 354
C: Subject: Undelivered
C:
C: text
C: .
S: 250",
            good.replace("SRS0", "srs0")
        ))
        .await;
    let kept = world.only().await;
    assert_eq!((kept.from.as_str(), kept.recipients), ("<>", vec!["Ann@far.example".to_owned()]));
}
