//! What our users send is signed with the keys of its author's domain; nothing else is.

use std::sync::Arc;

use inbound::Signers;
use mail::Domain;
use policy::{
    dkim::{BodyHasher, Fields, Outcome, PrivateKey, Signer, SigningKey, Verify},
    dns::{Answer, Name},
};
use smtp::sasl::encode;

use crate::world::{PASSWORD, World};

/// An Ed25519 key for `ours.example`.
#[derive(Debug)]
struct Ours {
    signer: Arc<Signer>,
    record: String,
}

impl Ours {
    fn new() -> Arc<Self> {
        let key = PrivateKey::generate_ed25519().unwrap();
        let record = key.public_record().unwrap();
        let key = SigningKey { selector: Name::parse("e1").unwrap(), key: Arc::new(key) };
        let signer = Signer::new(Name::parse("ours.example").unwrap(), vec![key]).unwrap();
        Arc::new(Self { signer: Arc::new(signer), record })
    }

    /// What a receiver finds in the signatures of a message.
    fn verify(&self, world: &World, message: &str) -> Vec<Outcome> {
        let (header, body) = message.split_once("\r\n\r\n").unwrap();
        let (header, mut bodies) = (format!("{header}\r\n"), BodyHasher::default());
        let fields = Fields::parse(header.as_bytes());
        let mut verify = Verify::new(&fields, world.clock.now(), &mut bodies);
        for question in verify.questions().cloned().collect::<Vec<_>>() {
            verify.answer(&question, &Answer::Txt(vec![self.record.clone().into_bytes()]));
        }
        bodies.update(body.as_bytes());
        verify.finish(&bodies.finish()).verdicts.iter().map(|verdict| verdict.outcome()).collect()
    }
}

impl Signers for Ours {
    fn signer(&self, domain: &Domain) -> Option<Arc<Signer>> {
        (domain.to_string() == "ours.example").then(|| Arc::clone(&self.signer))
    }
}

async fn world() -> (World, Arc<Ours>) {
    let ours = Ours::new();
    let world = World::with(|parts| parts.signers = Some(Arc::clone(&ours) as _)).await;
    (world, ours)
}

/// Anna sends a letter of these lines.
async fn anna_sends(world: &World, letter: &str) {
    let mut client = world.client(world.submission()).await;
    let plain = encode(format!("\0anna@ours.example\0{PASSWORD}").as_bytes());
    client.run(&format!("C: AUTH PLAIN {plain}\nS: 235")).await;
    client.run("C: MAIL FROM:<anna@ours.example>\nS: 250\nC: RCPT TO:<x@far.example>\nS: 250\nC: DATA\nS: 354").await;
    client.say(format!("{}\r\n.\r\n", letter.replace('\n', "\r\n"))).await;
    assert!(client.reply().await.starts_with("250"));
}

#[tokio::test]
async fn what_a_user_sends_is_signed_as_it_is_kept() {
    let (world, ours) = world().await;
    // Without Date and Message-ID: the signature is over the letter with them.
    anna_sends(&world, "From: Anna <anna@ours.example>\nSubject: hello\n\nfirst line \n\n..a dot\n\n").await;
    let kept = world.only().await;
    assert!(kept.content.starts_with("DKIM-Signature: v=1;"), "{}", kept.content);
    assert!(kept.content.contains("\r\nMessage-ID: ") && kept.content.contains(".a dot"), "{}", kept.content);
    assert_eq!(ours.verify(&world, &kept.content), [Outcome::Pass]);
    assert_eq!(ours.verify(&world, &kept.content.replace("hello", "hullo")), [Outcome::Fail]);
}

#[tokio::test]
async fn a_letter_typed_without_a_header_is_signed_too() {
    let (world, ours) = world().await;
    anna_sends(&world, "just a line").await;
    assert_eq!(ours.verify(&world, &world.only().await.content), [Outcome::Pass]);
}

#[tokio::test]
async fn a_stranger_with_our_name_is_not_signed() {
    let (world, _) = world().await;
    let mut client = world.client(world.mx()).await;
    client.run("C: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<bob@ours.example>\nS: 250\nC: DATA\nS: 354").await;
    client.run("C: From: anna@ours.example\nC: \nC: hi\nC: .\nS: 250").await;
    assert!(!world.only().await.content.contains("DKIM-Signature"));
}

#[tokio::test]
async fn a_trusted_client_is_signed_for_the_author_only() {
    let (world, ours) = world().await;
    let mut settings = world.mx();
    settings.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let mut client = world.client(settings).await;
    for from in ["anna@ours.example", "somebody@far.example"] {
        client.run("C: MAIL FROM:<x@ours.example>\nS: 250\nC: RCPT TO:<x@far.example>\nS: 250\nC: DATA\nS: 354").await;
        client.run(&format!("C: From: {from}\nC: \nC: hi\nC: .\nS: 250")).await;
    }
    let kept = world.kept().await;
    assert_eq!(ours.verify(&world, &kept[0].content), [Outcome::Pass]);
    assert_eq!(ours.verify(&world, &kept[1].content), []);
}

/// A filter may rewrite what the signature covers: it is made afterwards, also for a letter that lies in a file.
#[tokio::test]
async fn what_a_filter_made_of_a_letter_is_what_is_signed() {
    let (world, ours) = world().await;
    let internet = net::sim::Internet::new();
    let answer = r#"{"action": "accept", "remove_headers": ["Subject"], "add_headers": [{"name": "Subject", "value": "other"}]}"#;
    world.filter(&internet, [crate::filters::hook(&internet, answer).settings("own")]);
    for body in ["hi\n".to_owned(), "a line of a large letter\n".repeat(20_000)] {
        anna_sends(&world, &format!("From: anna@ours.example\nSubject: hello\n\n{body}")).await;
    }
    for kept in world.kept().await {
        assert!(kept.content.contains("Subject: other\r\n") && !kept.content.contains("hello"));
        assert_eq!(ours.verify(&world, &kept.content), [Outcome::Pass]);
    }
}
