//! Letters of our users: typed by hand, sent by programs, over every kind of TLS.

use inbound::Tls;
use smtp::sasl::{Mechanism, Secret, encode};

use crate::{
    dialogue::Client,
    world::{PASSWORD, World},
};

/// The session that a person types by telnet.
#[tokio::test]
async fn a_letter_typed_by_hand_is_repaired() {
    let world = World::new().await;
    let (_, address) = world.serve(world.submission());
    let mut client = Client::connect(address).await;
    let (user, password) = (encode(b"anna@ours.example"), encode(PASSWORD.as_bytes()));
    client
        .run(&format!(
            "S: 220 mx.ours.example ESMTP
C: ehlo host
S: 250
C: auth login
S: 334 VXNlcm5hbWU6
C: {user}
S: 334 UGFzc3dvcmQ6
C: {password}
S: 235 2.7.0
C: mail from: anna@ours.example
S: 250 2.1.0
C: rcpt to: c@d.example
S: 250 2.1.5
C: data
S: 354
C: Hello there
C: ..a dot
C: .
S: 250 2.0.0 Ok: queued as msg_
C: quit
S: 221 2.0.0
S: closed"
        ))
        .await;
    let kept = world.only().await;
    assert_eq!((kept.from.as_str(), &kept.recipients[..]), ("<anna@ours.example>", &["c@d.example".to_owned()][..]));
    let (header, body) = kept.letter().split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "Hello there\r\n.a dot\r\n");
    let names: Vec<&str> = header.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(names, ["From", "Date", "Message-ID"]);
    assert!(header.starts_with("From: anna@ours.example\r\n"));
    assert!(header.ends_with(&format!("Message-ID: <{}@mx.ours.example>", kept.id)), "{header}");
    let trace = mail::header::Header::parse(kept.content.as_bytes(), 10).fields[0].unfolded();
    assert!(trace.contains(" with ESMTPA ") && trace.contains(" for <c@d.example>;"), "{trace}");
}

/// Where a user writes is in the queue and nowhere in the letter; an operator can have it otherwise.
#[tokio::test]
async fn a_letter_does_not_say_where_its_writer_is() {
    const LETTER: &str = "C: MAIL FROM:<anna@ours.example>
S: 250
C: RCPT TO:<c@d.example>
S: 250
C: DATA
S: 354
C: From: anna@ours.example
C: X-Originating-IP: [192.0.2.9]
C: User-Agent: Mailer/1
C:
C: text
C: .
S: 250";
    let world = World::new().await;
    login(&world).await.run(LETTER).await;
    let kept = world.only().await;
    let trace = mail::header::Header::parse(kept.content.as_bytes(), 10).fields[0].unfolded();
    assert!(trace.starts_with("by mx.ours.example (Posthouse) with ESMTPA id msg_"), "{trace}");
    assert!(!kept.content.contains("127.0.0.1") && !kept.content.contains("X-Originating-IP"), "{}", kept.content);
    assert!(kept.content.contains("User-Agent: Mailer/1"));
    let accepted = mail::Event::decode(&world.spool.outbox(0, 10).await.unwrap()[0].event).unwrap();
    let mail::EventKind::Accepted { envelope, .. } = accepted.kind else { panic!("it is the first event") };
    let origin = envelope.origin;
    assert!(origin.peer.is_some_and(|peer| peer.ip().is_loopback()), "its history knows");
    assert_eq!(origin.helo.as_deref(), Some("client.example"));

    let world = World::new().await;
    let mut settings = world.submission();
    settings.privacy.client = inbound::ClientIn::Received;
    settings.privacy.removed_fields = ["User-Agent".to_owned()].into();
    let mut client = world.client(settings).await;
    let token = encode(format!("\0anna@ours.example\0{PASSWORD}").as_bytes());
    client.run(&format!("C: AUTH PLAIN {token}\nS: 235")).await;
    client.run(LETTER).await;
    let content = world.only().await.content;
    assert!(content.starts_with("Received: from client.example ([127.0.0.1])"), "{content}");
    assert!(content.contains("X-Originating-IP") && !content.contains("User-Agent"), "{content}");
}

#[tokio::test]
async fn the_missing_empty_line_is_added_and_bcc_removed() {
    let world = World::new().await;
    let mut client = login(&world).await;
    client
        .run(
            "C: MAIL FROM:<anna@ours.example>
S: 250
C: RCPT TO:<c@d.example>
S: 250
C: DATA
S: 354
C: Bcc: secret@d.example
C: Return-Path: <x@y>
C: Subject: hi
C: Dear all
C: Bcc: this is text
C: .
S: 250",
        )
        .await;
    let kept = world.only().await;
    let letter = kept.letter();
    assert!(letter.starts_with("Subject: hi\r\nFrom: anna@ours.example\r\nDate: "), "{letter}");
    assert!(letter.ends_with("\r\n\r\nDear all\r\nBcc: this is text\r\n"), "{letter}");
    assert!(!letter.contains("secret") && !letter.contains("Return-Path"), "{letter}");
}

/// What smtplib makes of a Unix file: lines end with LF, dots are doubled, the end is CRLF dot CRLF.
#[tokio::test]
async fn a1_the_lines_of_a_unix_file_are_repaired_and_smuggle_nothing() {
    let world = World::new().await;
    let mut client = login(&world).await;
    client.run("C: MAIL FROM:<anna@ours.example>\nS: 250\nC: RCPT TO:<c@d.example>\nS: 250\nC: DATA\nS: 354").await;
    let smuggled = "MAIL FROM:<evil@x.example>\nRCPT TO:<c@d.example>\nDATA\nevil";
    client.say(format!("Subject: hi\nFrom: anna@ours.example\n\n..profile\n.\n{smuggled}\n\r\n.\r\n")).await;
    client.run("S: 250 2.0.0 Ok: queued as msg_\nC: NOOP\nS: 250").await;
    let kept = world.only().await;
    assert!(!kept.content.replace("\r\n", "").contains(['\r', '\n']), "{:?}", kept.content);
    let (header, body) = kept.letter().split_once("\r\n\r\n").unwrap();
    assert!(header.starts_with("Subject: hi\r\nFrom: anna@ours.example\r\nDate: "), "{header}");
    assert_eq!(body, format!(".profile\r\n.\r\n{}\r\n\r\n", smuggled.replace('\n', "\r\n")));
}

async fn login(world: &World) -> Client {
    let mut client = world.client(world.submission()).await;
    let credentials = encode(format!("\0anna@ours.example\0{PASSWORD}").as_bytes());
    client.run(&format!("C: AUTH PLAIN {credentials}\nS: 235")).await;
    client
}

#[tokio::test]
async fn every_mechanism_over_every_tls() {
    let world = World::new().await;
    let certificate = world.certificate();
    for tls in [Tls::StartTls(certificate.clone()), Tls::Implicit(certificate)] {
        for mechanism in Mechanism::ALL {
            let mut settings = world.submission();
            settings.session.auth = smtp::server::AuthOffer::OverTls;
            settings.tls = tls.clone();
            let start = matches!(tls, Tls::StartTls(_));
            let mut client = world.client(settings).await;
            if start {
                client.run("C: STARTTLS\nS: 220").await;
                client = client.start_tls(&world.clock).await;
                client.run("C: EHLO client.example\nS: 250").await;
            }
            authenticate(&mut client, mechanism).await;
            client
                .run("C: MAIL FROM:<anna@ours.example>\nS: 250\nC: RCPT TO:<c@d.example>\nS: 250\nC: DATA\nS: 354\nC: .\nS: 250")
                .await;
        }
    }
    let kept = world.kept().await;
    assert_eq!(kept.len(), 6);
    for message in kept {
        let trace = mail::header::Header::parse(message.content.as_bytes(), 10).fields[0].unfolded();
        assert!(trace.contains(" with ESMTPSA ") && trace.contains(" tls TLS_"), "{trace}");
        assert!(trace.contains("(TLSv1.3);"), "{trace}");
    }
}

async fn authenticate(client: &mut Client, mechanism: Mechanism) {
    let (user, password) = ("anna@ours.example", Secret::new(PASSWORD));
    match mechanism {
        Mechanism::Plain => {
            let credentials = encode(format!("\0{user}\0{PASSWORD}").as_bytes());
            client.run(&format!("C: AUTH PLAIN {credentials}\nS: 235")).await;
        }
        Mechanism::Login => {
            let (user, password) = (encode(user.as_bytes()), encode(password.expose().as_bytes()));
            client.run(&format!("C: AUTH LOGIN {user}\nS: 334 UGFzc3dvcmQ6\nC: {password}\nS: 235")).await;
        }
        Mechanism::ScramSha256 => scram(client, user, PASSWORD).await,
    }
}

/// The client's half by hand, so that nothing but the RFC agrees with the server.
async fn scram(client: &mut Client, user: &str, password: &str) {
    use smtp::sasl::scram;
    let first = format!("n={user},r=clientnonce");
    client.say(format!("AUTH SCRAM-SHA-256 {}\r\n", encode(format!("n,,{first}").as_bytes()))).await;
    let reply = client.reply().await;
    let challenge = smtp::sasl::decode(reply.strip_prefix("334 ").expect(&reply).as_bytes()).unwrap();
    let challenge = String::from_utf8(challenge.to_vec()).unwrap();
    let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
    let salt = smtp::sasl::decode(part("s=").as_bytes()).unwrap();
    let salted = scram::salted_password(password, &salt, part("i=").parse().unwrap());
    let without_proof = format!("c=biws,r={}", part("r="));
    let message = format!("{first},{challenge},{without_proof}");
    let proof = encode(&scram::client_proof(&salted, message.as_bytes()));
    client.say(format!("{}\r\n", encode(format!("{without_proof},p={proof}").as_bytes()))).await;
    let signature = encode(&scram::hmac(&scram::server_key(&salted), message.as_bytes()));
    let expect = encode(format!("v={signature}").as_bytes());
    client.run(&format!("S: 334 {expect}\nC:\nS: 235")).await;
}
