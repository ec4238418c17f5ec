//! Servers that fail in the middle (G6).

use std::time::Duration;

use crate::{
    remote::{Action, say},
    world::World,
};

async fn outcome_of(command: &str, action: Action) -> Vec<String> {
    let (world, remote) = World::with_remote();
    remote.on(command, 1, action);
    world.send(&["b@b.example"]).await;
    let start = world.clock.now();
    while world.attempts(start).await.is_empty() {
        world.clock.sleep(Duration::from_secs(1)).await;
    }
    world.attempts(start).await.into_iter().map(|(_, text)| text).collect()
}

#[tokio::test(start_paused = true)]
async fn five_hundreds_at_each_stage() {
    let check = async |command, expect: &str| {
        let got = outcome_of(command, say("550 5.7.1 no")).await;
        assert_eq!(got, [format!("b@b.example: {expect} 550 5.7.1 no")], "{command}");
    };
    check("BANNER", "deferred banner").await;
    check("MAIL", "bounced mail").await;
    check("RCPT", "bounced rcpt").await;
    check("BDAT", "bounced content").await;
}

#[tokio::test(start_paused = true)]
async fn four_hundreds_at_each_stage() {
    let check = async |command, expect: &str| {
        let got = outcome_of(command, say("451 4.3.0 later")).await;
        assert_eq!(got, [format!("b@b.example: deferred {expect} 451 4.3.0 later")], "{command}");
    };
    check("BANNER", "banner").await;
    check("MAIL", "mail").await;
    check("RCPT", "rcpt").await;
    check("BDAT", "content").await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_at_each_stage_defers() {
    for (command, stage) in
        [("BANNER", "banner"), ("EHLO", "ehlo"), ("MAIL", "mail"), ("RCPT", "rcpt"), ("BDAT", "content")]
    {
        let got = outcome_of(command, Action::Close).await;
        assert!(got[0].starts_with(&format!("b@b.example: deferred {stage} 451 4.4.2")), "{command}: {got:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_more_is_given_up() {
    for (command, stage, text) in
        [("BANNER", "banner", "300 s"), ("MAIL", "mail", "300 s"), ("BDAT", "content", "600 s")]
    {
        let got = outcome_of(command, Action::Silence).await;
        assert!(
            got[0].starts_with(&format!("b@b.example: deferred {stage} 451 4.4.2")) && got[0].contains(text),
            "{command}: {got:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_banner_of_ten_megabytes_is_not_read() {
    let got = outcome_of("BANNER", Action::Babble(10_000_000)).await;
    assert!(got[0].starts_with("b@b.example: deferred banner 451 4.4.2"), "{got:?}");
    assert!(got[0].len() < 1000);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_and_fifty_and_then_421_is_delivered() {
    let (world, remote) = World::with_remote();
    remote.on(".", 1, Action::SayAndClose("250 2.0.0 taken\r\n421 4.3.2 bye".into()));
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    world.send(&["c@b.example"]).await;
    world.wait_for("message.delivered", 2).await;
    assert_eq!((remote.connections(), remote.count("MAIL")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn each_recipient_has_its_own_outcome() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT TO:<unknown@", 1, say("550 5.1.1 no such user"));
    remote.on("RCPT TO:<grey@", 1, say("450 4.2.0 greylisted"));
    world.send(&["unknown@b.example", "grey@b.example", "good@b.example"]).await;
    assert_eq!(world.wait_for("message.bounced", 1).await, ["unknown@b.example: bounced rcpt 550 5.1.1 no such user"]);
    assert_eq!(world.wait_for("message.deferred", 1).await, ["grey@b.example: deferred rcpt 450 4.2.0 greylisted"]);
    world.wait_for("message.delivered", 2).await;
    let to: Vec<Vec<String>> = remote.received().iter().map(|received| received.to.clone()).collect();
    assert_eq!(to, [["<good@b.example>"], ["<grey@b.example>"]]);
}

#[tokio::test(start_paused = true)]
async fn too_many_recipients_go_in_the_next_transaction() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT TO:<c@", 1, say("452 4.5.3 too many recipients"));
    remote.on("RCPT TO:<d@", 1, say("552 too many recipients"));
    world.send(&["a@b.example", "b@b.example", "c@b.example", "d@b.example"]).await;
    world.wait_for("message.delivered", 4).await;
    let sizes: Vec<usize> = remote.received().iter().map(|received| received.to.len()).collect();
    assert_eq!(sizes, [2, 2]);
    assert!(world.wait_for("message.deferred", 0).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_offers_bdat_and_cannot_do_it_gets_data() {
    let (world, remote) = World::with_remote();
    remote.on("BDAT", usize::MAX, say("500 5.5.1 what?"));
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 1).await;
    assert_eq!(remote.received()[0].content, "Subject: hello\r\n\r\n.dot\r\nbody\r\n");
    world.send(&["b@b.example"]).await;
    world.wait_for("message.delivered", 2).await;
    assert_eq!(remote.count("BDAT"), 1, "it is remembered");
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_server_takes_bounces_unsent() {
    let mut world = World::new();
    let remote = world.remote("b.example", "192.0.2.25", &["SIZE 10", "PIPELINING"]);
    world.start();
    world.send_from("", &["b@b.example"], "Subject: too large\r\n\r\n").await;
    let bounced = world.wait_for("message.bounced", 1).await;
    assert_eq!(bounced, ["b@b.example: bounced mail 552 5.3.4 the message has 22 octets, the server takes at most 10"]);
    assert_eq!(remote.count("MAIL"), 0);
}

#[tokio::test(start_paused = true)]
async fn hostile_words_stay_words() {
    let (world, remote) = World::with_remote();
    remote.on("RCPT", 1, say("550-5.1.1 \u{1b}[2Jno\r\n550 5.1.1 --=_ \u{202e}Action: delivered"));
    world.send(&["b@b.example"]).await;
    world.wait_for("message.bounced", 1).await;
    let [(_, text)] = &world.notifications()[..] else { panic!("one notification") };
    assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text}");
    assert_eq!(text.matches("\r\nAction: ").count(), 1);
}

/// A bug in an attempt costs its message a while, not the two hours that a lease lasts.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_made_again_soon() {
    let (world, remote) = World::with_remote();
    world.paced.break_readers(true);
    let began = world.clock.instant();
    // Too large to be in memory: the worker asks for it.
    let content = format!("Subject: large\r\n\r\n{}", "text\r\n".repeat(40_000));
    world.send_from("alice@a.example", &["b@b.example", "c@b.example"], &content).await;
    let deferred = world.wait_for("message.deferred", 2).await;
    assert!(
        deferred[0].starts_with("b@b.example: deferred local 451 4.3.0 the attempt ended by a bug"),
        "{deferred:?}"
    );
    world.paced.break_readers(false);
    world.wait_for("message.delivered", 2).await;
    let took = world.clock.instant().duration_since(began);
    assert!(took < Duration::from_secs(1800), "{took:?}");
    assert_eq!(remote.received().len(), 1);
    assert!(world.queue().await.is_empty());
}
