//! What is found out about strangers: EHLO, the sender's domain, lists (R8).

use std::{net::IpAddr, time::Duration};

use inbound::{Examination, List, Measure, Thresholds};
use tokio::time::resume;

use super::{FAR, STRANGER, Scene};
use crate::dialogue::Client;

async fn scene(adjust: impl FnOnce(&mut Examination)) -> Scene {
    let scene = Scene::new(|_, settings| {
        settings.gate.examination = Examination::default();
        adjust(&mut settings.gate.examination);
    })
    .await;
    let zone = &scene.world.zone;
    zone.add_addresses("implicit.example", &["192.0.2.9".parse().unwrap()]);
    zone.add_addresses("six.example", &["2001:db8::9".parse().unwrap()]);
    zone.add_empty("empty.example");
    zone.add_txt("published.example", "v=spf1 -all");
    zone.add_mx("null.example", 0, ".");
    zone.set_failing("failing.example", true);
    zone.add_mx("slow.example", 10, "mx.far.example");
    zone.set_delay("slow.example", Duration::from_secs(60));
    scene
}

fn list(zone: &str, weight: i32, answers: &[&str]) -> List {
    let answers = answers.iter().map(|answer| answer.parse().unwrap()).collect();
    List { zone: zone.into(), weight, answers }
}

impl Scene {
    async fn said(&self, from: &str, helo: &str, sender: &str) -> (Client, String) {
        let mut client = self.connect(from).await;
        client.run(&format!("S: 220\nC: EHLO {helo}\nS: 250\nC: MAIL FROM:<{sender}>")).await;
        let reply = client.reply().await;
        (client, reply)
    }

    async fn mail(&self, from: &str, helo: &str, sender: &str) -> String {
        self.said(from, helo, sender).await.1
    }

    async fn rcpt(&self, from: &str, recipient: &str) -> String {
        let (mut client, _) = self.said(from, "client.example", "x@far.example").await;
        client.run(&format!("C: RCPT TO:<{recipient}>")).await;
        client.reply().await
    }
}

/// Who has had its messages does not keep our resolver busy either.
#[tokio::test]
async fn nothing_is_asked_about_a_message_too_many() {
    let scene = Scene::new(|_, settings| {
        settings.gate.examination = Examination::default();
        settings.gate.limits.messages = policy::rate::Rate::per_minute(1);
    })
    .await;
    scene.world.zone.set_delay("slow.example", Duration::from_secs(60));
    assert!(scene.mail(STRANGER, "client.example", "x@far.example").await.starts_with("250 "));
    let began = scene.world.clock.instant();
    let reply = scene.mail(STRANGER, "client.example", "x@slow.example").await;
    assert!(reply.starts_with("450 4.7.1 This server has seen too many messages"), "{reply}");
    assert!(scene.world.clock.instant() - began < Duration::from_secs(1));
}

#[tokio::test]
async fn a_senders_domain_that_takes_no_mail() {
    let scene = scene(|_| ()).await;
    for (sender, expect) in [
        ("x@far.example", "250 "),
        ("x@implicit.example", "250 "),
        ("x@six.example", "250 "),
        ("x@published.example", "250 "),
        ("", "250 "),
        ("x@[203.0.113.7]", "250 "),
        // Ours, whatever the DNS says.
        ("anna@ours.example", "250 "),
        ("x@empty.example", "550 5.1.8 The sender's domain empty.example does not exist or has neither MX nor address"),
        ("x@nowhere.example", "550 5.1.8 "),
        ("x@null.example", "550 5.7.27 The sender's domain null.example says that it takes no mail (null MX)"),
        ("x@failing.example", "450 4.1.8 The name servers of the sender's domain failing.example do not answer"),
        ("x@slow.example", "450 4.1.8 "),
    ] {
        let reply = scene.mail(STRANGER, "client.example", sender).await;
        assert!(reply.starts_with(expect), "{sender}: {reply}");
    }
    // At home nobody asks.
    assert!(scene.mail("127.0.0.1", "client.example", "x@nowhere.example").await.starts_with("250 "));
}

#[tokio::test]
async fn names_in_ehlo() {
    let scene = scene(|rules| rules.unqualified_name = Measure::Defer).await;
    for (helo, expect) in [
        ("client.example", "250 "),
        ("[203.0.113.7]", "250 "),
        ("MX.Ours.Example", "550 5.7.1 EHLO MX.Ours.Example is a name of this server: say your own"),
        ("ours.example", "550 5.7.1 "),
        ("localhost", "450 4.7.1 EHLO localhost is no whole host name"),
        ("203.0.113.7", "450 4.7.1 "),
    ] {
        let reply = scene.mail(STRANGER, helo, "x@far.example").await;
        assert!(reply.starts_with(expect), "{helo}: {reply}");
    }
}

#[tokio::test]
async fn each_measure_can_be_chosen() {
    for (measure, expect) in [
        (Measure::Accept, "250 "),
        (Measure::Score, "250 "),
        (Measure::Defer, "450 4.1.8 "),
        (Measure::Refuse, "550 5.1.8 "),
    ] {
        let scene = scene(|rules| rules.sender_domain = measure).await;
        let reply = scene.mail(STRANGER, "client.example", "x@nowhere.example").await;
        assert!(reply.starts_with(expect), "{measure:?}: {reply}");
        // The next world opens its store on a thread.
        resume();
    }
}

#[tokio::test]
async fn lists_add_up_and_are_named() {
    let scene = scene(|rules| {
        rules.lists = vec![
            list("bl.example", 4, &[]),
            list("second.example", 3, &["127.0.0.2", "127.0.1.0/24"]),
            list("wl.example", -5, &[]),
            list("broken.example", 100, &[]),
            list("silent.example", 100, &[]),
        ];
        rules.thresholds = Thresholds { tag: Some(2), defer: Some(4), refuse: Some(7) };
    })
    .await;
    let zone = &scene.world.zone;
    let listed = |address: &str, zone_name: &str, answer: &str| {
        let name = policy::dnsbl::question(address.parse().unwrap(), zone_name);
        zone.add_addresses(&name, &[answer.parse::<IpAddr>().unwrap()]);
        name
    };
    // Answers that are errors are no listings, whoever asks.
    for from in [STRANGER, FAR, "203.0.113.20", "203.0.113.30", "2001:db8:7::1"] {
        listed(from, "broken.example", "127.255.255.254");
        let silent = listed(from, "silent.example", "127.0.0.2");
        zone.set_delay(&silent, Duration::from_secs(60));
    }
    listed(STRANGER, "bl.example", "127.0.0.2");
    listed(STRANGER, "second.example", "127.0.1.9");
    listed("203.0.113.20", "bl.example", "127.0.0.4");
    listed("203.0.113.20", "second.example", "127.0.0.3");
    listed("203.0.113.30", "bl.example", "127.0.0.2");
    listed("203.0.113.30", "second.example", "127.0.0.2");
    listed("203.0.113.30", "wl.example", "127.0.0.1");
    assert_eq!(
        scene.rcpt(STRANGER, "anna@ours.example").await,
        "550 5.7.1 Mail from 203.0.113.7 is not taken: listed by bl.example, listed by second.example"
    );
    // Somebody must hear that a list is wrong.
    assert!(scene.rcpt(STRANGER, "postmaster@ours.example").await.starts_with("250 "));
    assert_eq!(
        scene.rcpt("203.0.113.20", "anna@ours.example").await,
        "450 4.7.1 Mail from 203.0.113.20 is not taken: listed by bl.example; try again later"
    );
    assert!(scene.rcpt(FAR, "anna@ours.example").await.starts_with("250 "));
    assert!(scene.rcpt("203.0.113.30", "anna@ours.example").await.starts_with("250 "));
}

#[tokio::test]
async fn a_marked_message_says_why() {
    let scene = scene(|rules| {
        rules.lists = vec![list("bl.example", 4, &[])];
        rules.thresholds = Thresholds { tag: Some(5), defer: None, refuse: None };
    })
    .await;
    let name = policy::dnsbl::question(STRANGER.parse().unwrap(), "bl.example");
    scene.world.zone.add_addresses(&name, &["127.0.0.2".parse().unwrap()]);
    let (mut client, reply) = scene.said(STRANGER, "localhost", "x@far.example").await;
    assert!(reply.starts_with("250 "), "{reply}");
    client.run("C: RCPT TO:<anna@ours.example>\nS: 250\nC: DATA\nS: 354").await;
    resume();
    client.run("C: Subject: hi\nC:\nC: hi\nC: .\nS: 250").await;
    let content = scene.world.only().await.content;
    assert!(
        content.starts_with(
            "X-Posthouse-Suspect: gate score 6 (EHLO localhost 2,\r\n\tlisted by bl.example 4)\r\nReceived: "
        ),
        "{content}"
    );
}
