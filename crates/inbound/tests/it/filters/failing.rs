//! G7: a filter that is dead, hangs, lies or says too much. Either its stated answer is given, or the mail goes on as if
//! it were not there; nothing of what it said is done, and the session goes on.

use std::time::Duration;

use inbound::{FilterSettings, OnFailure};
use net::sim::Internet;

use super::{
    LETTER, World,
    fake::{Fake, Manner, Tongue, http},
    send,
};

/// Long enough for nobody: what has to run into it does so by never answering.
const SHORT: Duration = Duration::from_millis(150);

/// Every way to fail.
fn manners(tongue: Tongue) -> Vec<Manner> {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}").into_bytes();
    let good = r#"{"action": "reject"}"#;
    let mut manners = vec![
        Manner::Deaf,
        Manner::Dumb,
        Manner::Closes,
        Manner::ClosesInTheMiddle,
        Manner::Answer(Vec::new()),
        Manner::Answer(b"\0".to_vec()),
        Manner::Answer(b"\r\n\r\n\r\n".to_vec()),
        Manner::Answer(b"220 mail.example ESMTP\r\n".to_vec()),
        Manner::Babbles(b"\xff\xfe garbage \0\0\0 without end".to_vec()),
        Manner::Endless(Vec::new(), vec![b'x'; 10_000]),
        Manner::Drips(b"stream".to_vec()),
    ];
    if tongue == Tongue::ClamAv {
        manners.push(Manner::Answer(b"stream: \0".to_vec()));
        manners.push(Manner::Answer(b"UNKNOWN COMMAND\0".to_vec()));
        manners.push(Manner::Answer(b"stream: disk full ERROR\0".to_vec()));
        return manners;
    }
    manners.extend([
        Manner::Answer(head("Content-Length: 5000\r\n\r\n{\"action\": \"accept\"}")),
        Manner::Answer(head("Content-Length: -1\r\n\r\n{}")),
        Manner::Answer(head("Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}")),
        Manner::Answer(head(&format!("X: {}\r\n\r\n", "x".repeat(200_000)))),
        Manner::Answer(head(&"X: y\r\n".repeat(10_000))),
        Manner::Endless(head(""), b"X: y\r\n".to_vec()),
        Manner::Endless(head("\r\n{\"action\": \"accept\", \"text\": \""), vec![b'x'; 10_000]),
        Manner::Endless(head("Transfer-Encoding: chunked\r\n\r\n"), b"5\r\n     \r\n".to_vec()),
        Manner::Endless(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        Manner::Drips(head("Content-Length: 1000000\r\n\r\n")),
        Manner::Answer(head("Transfer-Encoding: chunked\r\n\r\nnonsense")),
        Manner::Answer(format!("HTTP/1.1 500 Oops\r\nContent-Length: 20\r\n\r\n{good}").into()),
        Manner::Answer(format!("HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 20\r\n\r\n{good}").into()),
        Manner::Answer(http("")),
        Manner::Answer(http("[]")),
        Manner::Answer(http(&"[".repeat(100_000))),
        Manner::Answer(http(r#"{"action": "explode"}"#)),
        Manner::Answer(http(&format!("{good} and more"))),
    ]);
    // Half an answer that is good, and half that is not: nothing of it is done.
    manners.push(Manner::Answer(match tongue {
        Tongue::Rspamd => http(
            r#"{"action": "no action", "milter": {"remove_headers": {"X-Note": 0}, "add_headers": {"X-A": "1", "X-B": "2\r\nX-C: 3"}}}"#,
        ),
        _ => http(
            r#"{"action": "accept", "remove_headers": ["X-Note"], "add_headers": [{"name": "X-A", "value": "1"}, {"name": "X B", "value": "2"}]}"#,
        ),
    }));
    manners
}

async fn check(tongue: Tongue) {
    let world = World::new().await;
    let letter = LETTER.replace("X-Spam: No\r\n", "");
    let mut client = world.client(world.mx()).await;
    for manner in manners(tongue) {
        let internet = Internet::new();
        let fake = Fake::start(&internet, tongue, manner.clone());
        let filter = |on_failure| FilterSettings { timeout: SHORT, on_failure, ..fake.settings("bad") };
        world.filter(&internet, [filter(OnFailure::Tempfail)]);
        let reply = send(&mut client, &letter).await;
        assert!(reply.starts_with("451 4.7.1 The message cannot be checked"), "{manner:?}: {reply}");
        let before = world.kept().await.len();
        world.filter(&internet, [filter(OnFailure::Accept)]);
        let reply = send(&mut client, &letter).await;
        assert!(reply.starts_with("250"), "{manner:?}: {reply}");
        let kept = world.kept().await;
        assert_eq!(kept.len(), before + 1, "{manner:?}");
        // As it came.
        assert!(kept.iter().all(|kept| kept.letter() == letter), "{manner:?}: {kept:?}");
    }
}

#[tokio::test]
async fn g7_a_failing_rspamd() {
    check(Tongue::Rspamd).await;
}

#[tokio::test]
async fn g7_a_failing_clamd() {
    check(Tongue::ClamAv).await;
}

#[tokio::test]
async fn g7_a_failing_hook() {
    check(Tongue::Hook).await;
}

/// A large message that the filter does not read fills every buffer on the way.
#[tokio::test]
async fn g7_a_filter_that_does_not_read_a_large_message() {
    let large = LETTER.replace("Hello", &"y\r\n".repeat(500_000));
    for tongue in [Tongue::Rspamd, Tongue::ClamAv, Tongue::Hook] {
        let (world, internet) = (World::new().await, Internet::new());
        let fake = Fake::start(&internet, tongue, Manner::Deaf);
        world.filter(&internet, [FilterSettings { timeout: SHORT, ..fake.settings("deaf") }]);
        let reply = world.bring(&large).await;
        assert!(reply.starts_with("451 4.7.1"), "{tongue:?}: {reply}");
        assert!(world.kept().await.is_empty());
    }
}

/// That all is well is believed of nobody who can't have read the message.
#[tokio::test]
async fn g7_an_answer_before_the_question() {
    let large = LETTER.replace("Hello", &"y\r\n".repeat(500_000));
    for (tongue, words) in [
        (Tongue::Rspamd, http(r#"{"action": "no action"}"#)),
        (Tongue::ClamAv, b"stream: OK\0".to_vec()),
        (Tongue::Hook, http(r#"{"action": "accept"}"#)),
    ] {
        let (world, internet) = (World::new().await, Internet::new());
        let fake = Fake::start(&internet, tongue, Manner::Babbles(words));
        world.filter(&internet, [fake.settings("hasty")]);
        let reply = world.bring(&large).await;
        assert!(reply.starts_with("451 4.7.1"), "{tongue:?}: {reply}");
    }
}

#[tokio::test]
async fn g7_nobody_there() {
    let (world, internet) = (World::new().await, Internet::new());
    let fake = Fake::start(&internet, Tongue::ClamAv, Manner::Deaf);
    let elsewhere = Internet::new();
    for on_failure in [OnFailure::Tempfail, OnFailure::Accept] {
        // On this network nobody has the address: it refuses.
        world.filter(&elsewhere, [FilterSettings { on_failure, ..fake.settings("gone") }]);
        let reply = world.bring(LETTER).await;
        assert!(reply.starts_with(if on_failure == OnFailure::Accept { "250" } else { "451 4.7.1" }), "{reply}");
    }
    elsewhere.set_reach(fake.address.ip(), net::sim::Reach::Silent);
    world.filter(&elsewhere, [FilterSettings { timeout: SHORT, ..fake.settings("silent") }]);
    assert!(world.bring(LETTER).await.starts_with("451 4.7.1"));
}

/// All places are taken by conversations that hang: who waits for one waits no longer than its deadline.
#[tokio::test]
async fn g7_a_filter_without_a_place_left() {
    const SESSIONS: usize = 4;
    let (world, internet) = (World::new().await, Internet::new());
    let fake = Fake::start(&internet, Tongue::ClamAv, Manner::Deaf);
    world.filter(&internet, [FilterSettings { timeout: SHORT, concurrency: 1, ..fake.settings("busy") }]);
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(world.client(world.mx()).await);
    }
    let sending = clients
        .into_iter()
        .map(|mut client| world.tasks.spawn("client", async move { send(&mut client, LETTER).await }));
    for reply in sending.collect::<Vec<_>>() {
        assert!(reply.await.unwrap().starts_with("451 4.7.1"));
    }
}

/// The filter that failed and need not speak takes nothing away from the others.
#[tokio::test]
async fn g7_the_others_still_count() {
    let (world, internet) = (World::new().await, Internet::new());
    let before = super::hook(&internet, r#"{"action": "accept", "add_headers": [{"name": "X-Before", "value": "1"}]}"#);
    let bad = Fake::start(&internet, Tongue::Hook, Manner::Closes);
    let after = super::hook(&internet, r#"{"action": "accept", "add_headers": [{"name": "X-After", "value": "1"}]}"#);
    let bad = FilterSettings { on_failure: OnFailure::Accept, ..bad.settings("bad") };
    world.filter(&internet, [before.settings("before"), bad, after.settings("after")]);
    assert!(world.bring(LETTER).await.starts_with("250"));
    assert!(world.only().await.content.contains("X-Before: 1\r\nX-After: 1\r\n"));
}
