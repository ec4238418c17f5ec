//! Filters that judge mail before it is kept: what they are shown, what is done as they say, and that one that hangs, lies
//! or dies costs neither mail nor a session (G7).

mod failing;
mod fake;

use std::sync::Arc;

use inbound::{Directions, FilterKind, FilterSettings, Filters, OnFound, OnLarger, Shown};
use net::{Connector as _, Dialer, Endpoint, LocalListener, sim::Internet};
use smtp::sasl::encode;
use spool::{Submission, Submit as _};
use tokio::sync::Barrier;

use self::fake::{Fake, Manner, Tongue, http};
use crate::{
    dialogue::Client,
    world::{Kept, PASSWORD, World},
};

/// A letter with a field that only we may write.
const LETTER: &str = "From: a@far.example\r\nSubject: Hi\r\nX-Spam: No\r\nX-Note: 1\r\n\r\nHello\r\n";

impl World {
    /// These filters, on this network, from now on.
    pub(crate) fn filter(&self, internet: &Internet, settings: impl Into<Vec<FilterSettings>>) {
        let dialer = Dialer::new(Arc::new(internet.clone()), Arc::new(self.zone.clone()), self.clock.clone());
        self.inbound.set_filters(Filters::new(settings.into(), dialer, self.clock.clone(), "mx.ours.example"));
    }

    /// Sends a letter as a stranger and returns the reply to it.
    async fn bring(&self, letter: &str) -> String {
        let mut client = self.client(self.mx()).await;
        send(&mut client, letter).await
    }
}

async fn send(client: &mut Client, letter: &str) -> String {
    client.run("C: MAIL FROM:<a@far.example>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250").await;
    client.run("C: RCPT TO:<sales@ours.example>\nS: 250\nC: DATA\nS: 354").await;
    client.say(format!("{letter}.\r\n")).await;
    client.reply().await
}

async fn user(world: &World) -> Client {
    let mut client = world.client(world.submission()).await;
    let credentials = encode(format!("\0anna@ours.example\0{PASSWORD}").as_bytes());
    client.run(&format!("C: AUTH PLAIN {credentials}\nS: 235")).await;
    client
}

async fn send_as_user(client: &mut Client, letter: &str) -> String {
    client.run("C: MAIL FROM:<anna@ours.example>\nS: 250\nC: RCPT TO:<b@far.example>\nS: 250\nC: DATA\nS: 354").await;
    client.say(format!("{letter}.\r\n")).await;
    client.reply().await
}

/// A fake Rspamd that answers like this.
fn rspamd(internet: &Internet, answer: &str) -> Fake {
    Fake::start(internet, Tongue::Rspamd, Manner::Answer(http(answer)))
}

/// A hook that answers like this.
pub(crate) fn hook(internet: &Internet, answer: &str) -> Fake {
    Fake::start(internet, Tongue::Hook, Manner::Answer(http(answer)))
}

fn clamd(internet: &Internet, answer: &str) -> Fake {
    Fake::start(internet, Tongue::ClamAv, Manner::Answer(format!("{answer}\0").into()))
}

fn has_line(text: &str, line: &str) -> bool {
    text.split("\r\n").any(|one| one.eq_ignore_ascii_case(line))
}

#[tokio::test]
async fn rspamd_is_shown_the_message_as_it_is_kept_and_told_the_rest() {
    let (world, internet) = (World::new().await, Internet::new());
    let fake = rspamd(
        &internet,
        r#"{"action": "no action", "score": 1, "required_score": 15, "symbols": {"R": {"score": 1}}}"#,
    );
    world.filter(&internet, [fake.settings("spam")]);
    let reply = world.bring(LETTER).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let kept = world.only().await;
    let asked = fake.only();
    let (head, message) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /checkv2 HTTP/1.1\r\n"), "{head}");
    for line in [
        format!("queue-id: {}", kept.id),
        "from: <a@far.example>".into(),
        "rcpt: <anna@ours.example>".into(),
        "rcpt: <sales@ours.example>".into(),
        "ip: 127.0.0.1".into(),
        "helo: client.example".into(),
        "mta-name: mx.ours.example".into(),
    ] {
        assert!(has_line(head, &line), "{line} is not in\n{head}");
    }
    assert!(!head.contains("user:"), "{head}");
    // The message with our trace fields; the fields of Rspamd came between them and the letter.
    let fields = "X-Spam-Score: 1.00 / 15.00\r\nX-Spam-Symbols: R(1.00)\r\n";
    let letter = LETTER.replace("X-Spam: No\r\n", "");
    assert!(message.ends_with(LETTER), "{message}");
    let trace = message.strip_suffix(LETTER).unwrap();
    assert!(trace.contains("Received: from client.example"), "{trace}");
    assert_eq!(kept.content, format!("{trace}{fields}{letter}"));
}

#[tokio::test]
async fn filters_see_what_was_verified_and_who_the_client_is() {
    const CLIENT: &str = "203.0.113.7";
    let (world, internet) = (World::new().await, Internet::new());
    let (spam, own) = (rspamd(&internet, r#"{"action": "no action"}"#), hook(&internet, r#"{"action": "quarantine"}"#));
    world.filter(&internet, [spam.settings("spam"), own.settings("own")]);
    world.zone.add_ptr("7.113.0.203.in-addr.arpa", "out.far.example");
    world.zone.add_addresses("out.far.example", &[CLIENT.parse().unwrap()]);
    let mut settings = world.mx();
    settings.gate.pregreet_wait = std::time::Duration::ZERO;
    settings.verification = Some(Arc::default());
    let address = "192.0.2.25:25".parse().unwrap();
    world.inbound.serve(internet.listen(address).unwrap(), &inbound::Service::new(settings));
    let deadline = world.clock.instant() + crate::world::PATIENCE;
    let stream = internet.connect(address, Some(CLIENT.parse().unwrap()), deadline).await.unwrap();
    let mut client = Client::over(stream);
    client.run("S: 220\nC: EHLO out.far.example\nS: 250").await;
    assert!(send(&mut client, LETTER).await.starts_with("250"));
    let asked = spam.only();
    let (head, message) = asked.split_once("\r\n\r\n").unwrap();
    assert!(has_line(head, "hostname: out.far.example") && has_line(head, &format!("ip: {CLIENT}")), "{head}");
    let question = question(&own);
    assert_eq!(question["session"]["name"], "out.far.example");
    assert_eq!(content(&question), message);
    assert!(message.starts_with("Authentication-Results: mx.ours.example;"), "{message}");
    // The mark for the folder Junk comes first, the rest as it was shown.
    let kept = world.only().await.content;
    assert!(kept.starts_with("X-Posthouse-Quarantine: own\r\nAuthentication-Results:"), "{kept}");
}

#[tokio::test]
async fn outgoing_mail_goes_with_its_user_and_gets_no_scores() {
    let (world, internet) = (World::new().await, Internet::new());
    let fake = rspamd(&internet, r#"{"action": "no action", "dkim-signature": "v=1;\r\n\tb=x"}"#);
    world.filter(&internet, [fake.settings("spam")]);
    let reply = send_as_user(&mut user(&world).await, "From: anna@ours.example\r\n\r\nHello\r\n").await;
    assert!(reply.starts_with("250"), "{reply}");
    assert!(has_line(&fake.only(), "user: anna@ours.example"), "{}", fake.only());
    let kept = world.only().await;
    assert!(kept.content.contains("\r\nDKIM-Signature: v=1;\r\n\tb=x\r\nFrom: anna"), "{}", kept.content);
    assert!(!kept.content.contains("X-Spam"), "{}", kept.content);
}

#[tokio::test]
async fn a_filter_sees_its_direction_only() {
    for (directions, expect) in [(Directions::In, (1, 0)), (Directions::Out, (0, 1)), (Directions::Both, (1, 1))] {
        let (world, internet) = (World::new().await, Internet::new());
        let fake = clamd(&internet, "stream: OK");
        world.filter(&internet, [FilterSettings { directions, ..fake.settings("virus") }]);
        assert!(world.bring(LETTER).await.starts_with("250"));
        let incoming = fake.asked().len();
        assert!(send_as_user(&mut user(&world).await, "From: anna@ours.example\r\n\r\nx\r\n").await.starts_with("250"));
        assert_eq!((incoming, fake.asked().len() - incoming), expect, "{directions:?}");
    }
}

#[tokio::test]
async fn what_rspamd_decides_is_done() {
    for (answer, expect) in [
        (r#"{"action": "reject", "messages": {"smtp_message": "No\r\n250 spam"}}"#, "550 5.7.1 No 250 spam"),
        (r#"{"action": "soft reject", "messages": {"smtp_message": "Greylisted"}}"#, "451 4.7.1 Greylisted"),
        (r#"{"action": "greylist"}"#, "250"),
        (r#"{"action": "add header"}"#, "250"),
    ] {
        let (world, internet) = (World::new().await, Internet::new());
        world.filter(&internet, [rspamd(&internet, answer).settings("spam")]);
        let reply = world.bring(LETTER).await;
        assert!(reply.starts_with(expect), "{answer}: {reply}");
        let kept = world.kept().await;
        assert_eq!(kept.len(), usize::from(expect == "250"));
        let marked = kept.iter().any(|kept| kept.content.contains("X-Spam: Yes\r\n"));
        assert_eq!(marked, answer.contains("add header"), "{answer}");
    }
}

#[tokio::test]
async fn a_subject_is_replaced_and_fields_are_removed() {
    let (world, internet) = (World::new().await, Internet::new());
    let answer =
        r#"{"action": "rewrite subject", "subject": "[spam] Hi", "milter": {"remove_headers": {"x-note": 0}}}"#;
    world.filter(&internet, [rspamd(&internet, answer).settings("spam")]);
    assert!(world.bring(LETTER).await.starts_with("250"));
    let kept = world.only().await;
    let header = mail::header::Header::parse(kept.content.as_bytes(), 100);
    let subjects: Vec<_> = header.all("Subject").map(mail::header::Field::unfolded).collect();
    assert_eq!(subjects, ["[spam] Hi"]);
    assert!(header.first("X-Note").is_none() && kept.content.ends_with("From: a@far.example\r\n\r\nHello\r\n"));
}

#[tokio::test]
async fn clamav_sees_everything_and_names_what_it_found() {
    let (world, internet) = (World::new().await, Internet::new());
    let clean = clamd(&internet, "stream: OK");
    world.filter(&internet, [clean.settings("virus")]);
    assert!(world.bring(LETTER).await.starts_with("250"));
    assert_eq!(clean.only(), world.only().await.content);
    let found = clamd(&internet, "stream: Posthouse.Test FOUND");
    world.filter(&internet, [found.settings("virus")]);
    let reply = world.bring(LETTER).await;
    assert_eq!(reply, "550 5.7.1 The message contains malware: Posthouse.Test");
    assert_eq!(world.kept().await.len(), 1);
}

#[tokio::test]
async fn malware_can_be_kept_for_an_operator_or_marked_for_junk() {
    for (on_found, state) in [(OnFound::Hold, spool::State::Held), (OnFound::Quarantine, spool::State::Queued)] {
        let (world, internet) = (World::new().await, Internet::new());
        let fake = clamd(&internet, "stream: X FOUND");
        let kind = FilterKind::ClamAv { endpoint: Endpoint::Address(fake.address), on_found };
        world.filter(&internet, [FilterSettings::new("virus", kind)]);
        assert!(world.bring(LETTER).await.starts_with("250"));
        let (views, _) = world.spool.find(&Default::default(), &first_page(), world.clock.now()).await.unwrap();
        assert!(views.iter().all(|view| view.state == state), "{views:?}");
        let marked = world.only().await.content.starts_with("X-Posthouse-Quarantine: virus X\r\n");
        assert_eq!(marked, on_found == OnFound::Quarantine);
    }
}

fn first_page() -> spool::Page {
    spool::Page { limit: 10, cursor: None }
}

#[tokio::test]
async fn quarantine_of_outgoing_mail_is_holding_it() {
    let (world, internet) = (World::new().await, Internet::new());
    world.filter(&internet, [hook(&internet, r#"{"action": "quarantine"}"#).settings("own")]);
    assert!(send_as_user(&mut user(&world).await, "From: anna@ours.example\r\n\r\nx\r\n").await.starts_with("250"));
    let (views, _) = world.spool.find(&Default::default(), &first_page(), world.clock.now()).await.unwrap();
    assert!(views.iter().all(|view| view.state == spool::State::Held), "{views:?}");
    assert!(!world.only().await.content.contains("Quarantine"));
}

#[tokio::test]
async fn clamd_is_reached_through_a_socket_of_the_file_system() {
    let world = World::new().await;
    let path = world.directory.path().join("clamd.ctl");
    let listener = LocalListener::bind(&path).unwrap();
    let clamd = world.tasks.spawn("clamd", async move {
        let (stream, _) = listener.accept().await.unwrap();
        fake::clamd(stream, b"stream: OK\0").await
    });
    let kind = FilterKind::ClamAv { endpoint: Endpoint::Local(path), on_found: OnFound::Reject };
    world.filter(&Internet::new(), [FilterSettings::new("virus", kind)]);
    assert!(world.bring(LETTER).await.starts_with("250"));
    assert_eq!(String::from_utf8(clamd.await.unwrap()).unwrap(), world.only().await.content);
}

#[tokio::test]
async fn a_filter_is_found_by_its_name() {
    let (world, internet) = (World::new().await, Internet::new());
    let fake = clamd(&internet, "stream: OK");
    let endpoint = Endpoint::Name("clamd.example".into(), fake.address.port());
    let kind = FilterKind::ClamAv { endpoint, on_found: OnFound::Reject };
    world.filter(&internet, [FilterSettings::new("virus", kind)]);
    assert!(world.bring(LETTER).await.starts_with("451 4.7.1"));
    world.zone.add_addresses("clamd.example", &["192.0.2.50".parse().unwrap()]);
    assert!(world.bring(LETTER).await.starts_with("250"));
}

#[tokio::test]
async fn a_hook_is_asked_in_json() {
    let (world, internet) = (World::new().await, Internet::new());
    let answer =
        r#"{"action": "accept", "add_headers": [{"name": "X-Seen", "value": "да"}], "remove_headers": ["x-note"]}"#;
    let fake = hook(&internet, answer);
    world.filter(&internet, [fake.settings("own")]);
    assert!(world.bring(LETTER).await.starts_with("250"));
    let kept = world.only().await;
    let question = question(&fake);
    assert_eq!(question["version"], 1);
    assert_eq!(question["id"], kept.id.to_string());
    assert_eq!(question["direction"], "in");
    assert_eq!(question["envelope"]["from"], "a@far.example");
    assert_eq!(question["envelope"]["recipients"], serde_json::json!(["anna@ours.example", "sales@ours.example"]));
    assert_eq!(question["session"]["address"], "127.0.0.1");
    assert_eq!(question["session"]["helo"], "client.example");
    assert_eq!(question["session"]["protocol"], "ESMTP");
    assert_eq!(question["session"]["user"], serde_json::Value::Null);
    let names: Vec<_> = question["headers"].as_array().unwrap().iter().map(|field| &field["name"]).collect();
    assert!(names.windows(2).any(|pair| pair == ["Received", "From"]), "{names:?}");
    let content = content(&question);
    assert!(
        content.ends_with(LETTER) && content.starts_with(kept.content.split_once("X-Seen").unwrap().0),
        "{content}"
    );
    assert!(kept.content.contains("X-Seen: =?utf-8?B?0LTQsA==?=\r\nFrom:") && !kept.content.contains("X-Note"));
}

/// The question with the head taken off.
fn question(fake: &Fake) -> serde_json::Value {
    let asked = fake.only();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /filter HTTP/1.1\r\n") && has_line(head, "host: hook.example"), "{head}");
    serde_json::from_str(body).unwrap()
}

fn content(question: &serde_json::Value) -> String {
    use base64::Engine as _;
    let content = question["content"].as_str().unwrap();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(content).unwrap()).unwrap()
}

#[tokio::test]
async fn a_hook_may_be_shown_the_header_alone() {
    let (world, internet) = (World::new().await, Internet::new());
    let fake = hook(&internet, r#"{"action": "reject", "code": 554, "enhanced": "5.6.0", "text": "Not this"}"#);
    let mut settings = fake.settings("own");
    if let FilterKind::Hook(hook) = &mut settings.kind {
        hook.shown = Shown::Header;
    }
    world.filter(&internet, [settings]);
    assert_eq!(world.bring(LETTER).await, "554 5.6.0 Not this");
    let question = question(&fake);
    assert!(question.get("content").is_none() && question["size"].as_u64() > Some(LETTER.len() as u64));
    assert!(world.kept().await.is_empty());
}

/// A letter that lies in a file while it is received: it is streamed to filters, and copied when a field goes.
#[tokio::test]
async fn large_messages_are_streamed_and_rewritten() {
    let (world, internet) = (World::new().await, Internet::new());
    let body: String = (0..20_000).map(|number| format!("line {number} of a large letter\r\n")).collect();
    let letter = format!("X-Note: 1\r\nFrom: a@far.example\r\nX-Note: 2\r\n\r\n{body}");
    let virus = clamd(&internet, "stream: OK");
    let own = hook(&internet, r#"{"action": "accept", "remove_headers": ["X-Note"]}"#);
    let spam = rspamd(&internet, r#"{"action": "no action"}"#);
    world.filter(&internet, [virus.settings("virus"), own.settings("own"), spam.settings("spam")]);
    assert!(world.bring(&letter).await.starts_with("250"));
    let kept = world.only().await;
    assert!(
        kept.content.ends_with(&format!("\r\nFrom: a@far.example\r\n\r\n{body}")) && !kept.content.contains("X-Note")
    );
    let seen = virus.only();
    assert!(seen.ends_with(&letter) && seen.starts_with("Received: "));
    assert_eq!(content(&question(&own)), seen);
    assert_eq!(spam.only().split_once("\r\n\r\n").unwrap().1, seen);
}

#[tokio::test]
async fn filters_speak_in_order_and_the_first_refusal_counts() {
    let (world, internet) = (World::new().await, Internet::new());
    let first = hook(&internet, r#"{"action": "accept", "add_headers": [{"name": "X-First", "value": "1"}]}"#);
    let second = hook(&internet, r#"{"action": "reject", "text": "Second"}"#);
    let third = hook(&internet, r#"{"action": "reject", "text": "Third"}"#);
    world.filter(&internet, [first.settings("1"), second.settings("2"), third.settings("3")]);
    assert_eq!(world.bring(LETTER).await, "550 5.7.1 Second");
    assert_eq!((first.asked().len(), second.asked().len(), third.asked().len()), (1, 1, 0));
    assert!(world.kept().await.is_empty());
    let other = hook(&internet, r#"{"action": "accept", "add_headers": [{"name": "X-Other", "value": "2"}]}"#);
    world.filter(&internet, [first.settings("1"), other.settings("2")]);
    assert!(world.bring(LETTER).await.starts_with("250"));
    // Neither was shown what the other adds.
    assert!(!content(&question(&other)).contains("X-First"));
    assert!(world.only().await.content.contains("X-First: 1\r\nX-Other: 2\r\nFrom:"));
}

#[tokio::test]
async fn larger_messages_get_the_answer_that_is_set() {
    for (on_larger, expect) in
        [(OnLarger::Accept, "250"), (OnLarger::Tempfail, "451 4.7.1"), (OnLarger::Reject, "552 5.3.4")]
    {
        let (world, internet) = (World::new().await, Internet::new());
        let fake = clamd(&internet, "stream: X FOUND");
        let here = FilterSettings { size_limit: 100, on_larger, ..fake.settings("virus") };
        world.filter(&internet, [here]);
        let reply = world.bring(LETTER).await;
        assert!(reply.starts_with(expect), "{reply}");
        assert!(fake.asked().is_empty());
        // The filter's own bound is lower than the one that we know.
        let there = clamd(&internet, "INSTREAM size limit exceeded. ERROR");
        world.filter(&internet, [FilterSettings { on_larger, ..there.settings("virus") }]);
        let reply = world.bring(LETTER).await;
        assert!(reply.starts_with(expect), "{reply}");
    }
}

#[tokio::test]
async fn so_many_conversations_at_a_time() {
    const SESSIONS: usize = 8;
    const ROOM: usize = 2;
    let (world, internet) = (World::new().await, Internet::new());
    let answer = b"stream: OK\0".to_vec();
    let fake = Fake::start(&internet, Tongue::ClamAv, Manner::Together(Arc::new(Barrier::new(ROOM)), answer));
    world.filter(&internet, [FilterSettings { concurrency: ROOM, ..fake.settings("virus") }]);
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(world.client(world.mx()).await);
    }
    let sending = clients
        .into_iter()
        .map(|mut client| world.tasks.spawn("client", async move { send(&mut client, LETTER).await }));
    for reply in sending.collect::<Vec<_>>() {
        assert!(reply.await.unwrap().starts_with("250"));
    }
    assert_eq!((fake.asked().len(), fake.most()), (SESSIONS, ROOM));
}

#[tokio::test]
async fn mail_that_a_user_makes_inside_is_judged_and_the_servers_own_is_not() {
    let (world, internet) = (World::new().await, Internet::new());
    let fake = hook(&internet, r#"{"action": "reject", "text": "No"}"#);
    world.filter(&internet, [fake.settings("own")]);
    let submission = |user: Option<&str>| {
        let user = user.map(|user| user.parse::<mail::Mailbox>().unwrap());
        let reverse_path = user.clone().map_or(mail::ReversePath::Null, mail::ReversePath::Mailbox);
        let origin = mail::Origin { user, ..mail::Origin::local() };
        Submission {
            envelope: mail::Envelope { reverse_path, body: mail::Body::SevenBit, origin },
            recipients: vec!["anna@ours.example".parse().unwrap()],
            content: b"From: anna@ours.example\r\n\r\nHello\r\n".to_vec().into(),
            idempotency: None,
        }
    };
    let refused = world.inbound.submit(submission(Some("anna@ours.example")), world.clock.now()).await.unwrap_err();
    assert!(refused.to_string().contains("No"), "{refused}");
    world.inbound.submit(submission(None), world.clock.now()).await.unwrap();
    assert_eq!(fake.asked().len(), 1);
    let Kept { from, .. } = world.only().await;
    assert_eq!(from, "<>");
}

#[tokio::test]
async fn a_reload_changes_the_filters_of_open_sessions() {
    let (world, internet) = (World::new().await, Internet::new());
    let mut client = world.client(world.mx()).await;
    assert!(send(&mut client, LETTER).await.starts_with("250"));
    world.filter(&internet, [hook(&internet, r#"{"action": "reject"}"#).settings("own")]);
    assert!(send(&mut client, LETTER).await.starts_with("550 5.7.1"));
    world.filter(&internet, []);
    assert!(send(&mut client, LETTER).await.starts_with("250"));
}
