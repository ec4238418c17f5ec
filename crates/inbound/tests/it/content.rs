//! What becomes of the content: passed on octet for octet, or refused.

use std::collections::BTreeSet;

use crate::{dialogue::Client, world::World};

async fn transaction(client: &mut Client) {
    client.run("C: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250\nC: DATA\nS: 354").await;
}

/// Sends content by DATA and gives the reply.
async fn send(client: &mut Client, content: &[u8]) -> String {
    transaction(client).await;
    client.say([content, b".\r\n"].concat()).await;
    client.reply().await
}

#[tokio::test]
async fn mail_in_circles_is_stopped() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    let hops = |count: usize| [b"Received: from a by b\r\n".repeat(count), b"\r\nhi\r\n".to_vec()].concat();
    assert!(send(&mut client, &hops(50)).await.starts_with("250 "));
    assert!(send(&mut client, &hops(51)).await.starts_with("554 5.4.6"));
    assert_eq!(world.kept().await.len(), 1);
}

/// D10: a policy for each case.
#[tokio::test]
async fn odd_letters() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    let line = |octets: usize| [vec![b'x'; octets], b"\r\n".to_vec()].concat();
    let cases: [(Vec<u8>, &str); 7] = [
        ([b"A: b\r\n\r\n".to_vec(), line(998), line(999), line(65_536)].concat(), "250 "),
        ([b"A: b\r\n\r\n".to_vec(), line(65_537)].concat(), "554 5.6.0"),
        ([b"A: b\r\n\r\n".to_vec(), line(1_000_000), line(5)].concat(), "554 5.6.0"),
        (b"A: b\r\n".repeat(100_000), "55"),
        ([b"A:".to_vec(), line(300_000)].concat(), "55"),
        (b"From: a\0b@c\r\n\r\nhi\r\n".to_vec(), "550 5.6.0"),
        (b"A: b\r\n\r\nx\0y\r\n".to_vec(), "250 "),
    ];
    for (content, expect) in cases {
        let reply = send(&mut client, &content).await;
        assert!(reply.starts_with(expect), "{} octets: {reply}", content.len());
        if expect == "250 " {
            let kept = world.kept().await;
            assert_eq!(kept.last().unwrap().letter().as_bytes(), content);
        }
    }
}

/// D10: a body without the empty line before it gets one, so that none of it becomes a piece of our own Received.
#[tokio::test]
async fn a_body_is_parted_from_the_fields() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    for (content, expect) in [
        ("no header at all\r\n", "\r\nno header at all\r\n"),
        ("A: b\r\nno empty line\r\n", "A: b\r\n\r\nno empty line\r\n"),
        ("\tby mx.evil.example with ESMTPSA\r\n", "\r\n\tby mx.evil.example with ESMTPSA\r\n"),
    ] {
        assert!(send(&mut client, content.as_bytes()).await.starts_with("250 "));
        assert_eq!(world.kept().await.last().unwrap().letter(), expect);
    }
}

/// F4: Return-Path is ours to write, Bcc and Delivered-To are the sender's business.
#[tokio::test]
async fn a_return_path_from_outside_is_removed() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    let content = b"Return-Path: <forged@x>\r\nA: b\r\nBcc: c\r\nDelivered-To: d\r\n\r\nReturn-Path: text\r\n";
    assert!(send(&mut client, content).await.starts_with("250 "));
    assert_eq!(world.only().await.letter(), "A: b\r\nBcc: c\r\nDelivered-To: d\r\n\r\nReturn-Path: text\r\n");
}

#[tokio::test]
async fn a_large_message_by_bdat_arrives_whole() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    let line = [vec![b'x'; 70], b"\r\n".to_vec()].concat();
    let content = [b"A: b\r\n\r\n".to_vec(), line.repeat(5000)].concat();
    client.run("C: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250").await;
    let (first, second) = content.split_at(100_001);
    client.say(format!("BDAT {}\r\n", first.len())).await;
    client.say(first).await;
    assert!(client.reply().await.starts_with("250 "));
    client.say(format!("BDAT {} LAST\r\n", second.len())).await;
    client.say(second).await;
    assert!(client.reply().await.starts_with("250 2.0.0 Ok: queued as "));
    assert_eq!(world.only().await.letter().as_bytes(), content);
}

#[tokio::test]
async fn what_is_given_up_leaves_nothing() {
    let world = World::new().await;
    let (_, address) = world.serve(world.mx());
    let mut settings = world.mx();
    settings.session.limits.message_size = 10_000;
    let (_, small) = world.serve(settings);
    let greet = "S: 220\nC: EHLO x\nS: 250";
    let mut client = Client::connect(address).await;
    client.run(greet).await;
    transaction(&mut client).await;
    client.say("A: b\r\n\r\nhalf a let").await;
    client.hang_up().await;
    assert_eq!(client.reply().await, "closed");
    let mut client = Client::connect(small).await;
    client.run(greet).await;
    let reply = send(&mut client, &b"xxxxx\r\n".repeat(3000)).await;
    assert!(reply.starts_with("55"), "{reply}");
    let mut client = Client::connect(address).await;
    client.run(greet).await;
    let reply = send(&mut client, b"A: b\nc: d\r\n").await;
    assert!(reply.starts_with("550 5.6.0"), "{reply}");
    assert_eq!(world.kept().await, []);
    // And the next message is taken.
    assert!(send(&mut client, b"A: b\r\n\r\n").await.starts_with("250 "));
    assert_eq!(world.kept().await.len(), 1);
}

/// B4: a web browser is sent away at its first line.
#[tokio::test]
async fn http_is_cut_off() {
    let world = World::new().await;
    let (_, address) = world.serve(world.mx());
    for request in ["GET / HTTP/1.1", "POST /x HTTP/1.1", "CONNECT far.example:25 HTTP/1.1"] {
        let mut client = Client::connect(address).await;
        client.run("S: 220").await;
        client.say(format!("{request}\r\nHost: x\r\n\r\nMAIL FROM:<x@far.example>\r\n")).await;
        let first = client.reply().await;
        assert!(first == "closed" || first.starts_with("421") || first.starts_with("5"), "{first}");
        if first != "closed" {
            assert_eq!(client.reply().await, "closed");
        }
    }
}

#[tokio::test]
async fn several_messages_in_one_connection() {
    let world = World::new().await;
    let mut client = world.client(world.mx()).await;
    for number in 0..30 {
        assert!(send(&mut client, format!("N: {number}\r\n\r\n").as_bytes()).await.starts_with("250 "));
    }
    let letters: BTreeSet<String> = world.kept().await.iter().map(|kept| kept.letter().to_owned()).collect();
    let expect: BTreeSet<String> = (0..30).map(|number| format!("N: {number}\r\n\r\n")).collect();
    assert_eq!(letters, expect);
}
