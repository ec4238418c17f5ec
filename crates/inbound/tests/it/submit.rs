//! Mail made inside: the same door.

use bytes::Bytes;
use mail::{Body, Envelope, Mailbox, Origin};
use spool::{Submission, Submit as _, SubmitError, Submitted};

use crate::world::World;

fn submission(from: &str, user: Option<&str>, to: &[&str], content: &str) -> Submission {
    let address = |text: &str| text.parse::<Mailbox>().unwrap();
    Submission {
        envelope: Envelope {
            reverse_path: from.parse().unwrap(),
            body: Body::SevenBit,
            origin: Origin { user: user.map(address), ..Origin::local() },
        },
        recipients: to.iter().map(|to| address(to)).collect(),
        content: Bytes::from(content.to_owned()),
        idempotency: None,
    }
}

async fn submit(world: &World, submission: Submission) -> Result<Submitted, String> {
    world.inbound.submit(submission, world.clock.now()).await.map_err(|error| match error {
        SubmitError::Refused(reply) => reply.to_string(),
        SubmitError::Spool(error) => panic!("{error}"),
    })
}

#[tokio::test]
async fn a_notification_goes_anywhere_with_the_null_sender() {
    let world = World::new().await;
    let letter = "From: postmaster@ours.example\r\nDate: x\r\nMessage-ID: <y>\r\n\r\nsorry\r\n";
    let to = ["x@far.example", "sales@ours.example", "nobody@ours.example"];
    let submitted = submit(&world, submission("", None, &to, letter)).await.unwrap();
    assert!(!submitted.already);
    let refused: Vec<_> = submitted.refused.iter().map(|(to, reply)| (to.to_string(), reply.code)).collect();
    assert_eq!(refused, [("nobody@ours.example".to_owned(), 550)]);
    let kept = world.only().await;
    assert_eq!((kept.id, kept.from.as_str()), (submitted.id, "<>"));
    assert_eq!(kept.recipients, ["anna@ours.example", "bob@ours.example", "out@far.example", "x@far.example"]);
    assert_eq!(kept.letter(), letter);
    let trace = mail::header::Header::parse(kept.content.as_bytes(), 10).fields[0].unfolded();
    assert!(trace.starts_with("by mx.ours.example (Posthouse) id msg_"), "{trace}");
}

#[tokio::test]
async fn a_key_makes_a_second_submission_the_first() {
    let world = World::new().await;
    let again = || Submission { idempotency: Some("k".into()), ..submission("", None, &["x@far.example"], "hi\r\n") };
    let first = submit(&world, again()).await.unwrap();
    let second = submit(&world, again()).await.unwrap();
    assert_eq!((first.already, second.already), (false, true));
    assert_eq!(first.id, second.id);
    assert_eq!(world.only().await.id, first.id);
}

#[tokio::test]
async fn a_user_has_the_same_rights_here() {
    let world = World::new().await;
    let anna = Some("anna@ours.example");
    let to = &["x@far.example"];
    for (from, content, expect) in [
        ("bob@ours.example", "hi\r\n", "550 5.7.1"),
        ("anna@ours.example", "From: bob@ours.example\r\n\r\nhi\r\n", "550 5.7.1"),
    ] {
        assert!(submit(&world, submission(from, anna, to, content)).await.unwrap_err().starts_with(expect));
    }
    submit(&world, submission("anna@ours.example", anna, to, "Bcc: x@y\r\nhi\r\n")).await.unwrap();
    let kept = world.only().await;
    assert!(kept.letter().starts_with("From: anna@ours.example\r\nDate: "), "{}", kept.letter());
    assert!(kept.letter().ends_with("\r\n\r\nhi\r\n"), "{}", kept.letter());
}

#[tokio::test]
async fn bounds_and_recipients_that_nobody_has() {
    let world = World::new().await;
    let large = format!("A: b\r\n\r\n{}", "x\r\n".repeat(17_000_000));
    let many = vec!["x@far.example"; 1001];
    for (to, content, expect) in [
        (&["nobody@ours.example"][..], "hi\r\n", "550 5.1.1"),
        (&[], "hi\r\n", "554 5.5.1"),
        (&many, "hi\r\n", "452 4.5.3"),
        (&["x@far.example"], &large, "552 5.3.4"),
    ] {
        let refusal = submit(&world, submission("", None, to, content)).await.unwrap_err();
        assert!(refusal.starts_with(expect), "{refusal}");
    }
    assert_eq!(world.kept().await, []);
}
