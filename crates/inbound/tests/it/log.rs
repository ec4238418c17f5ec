//! What the log says: one event, one line, nothing from outside unescaped (D6).

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use smtp::sasl::encode;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::world::World;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("inbound")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push_str(&format!("{field}={value} "));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

#[tokio::test]
async fn hostile_text_stays_on_its_line() {
    let world = World::new().await;
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut client = world.client(world.submission()).await;
    let name = "a\r\n2026 forged\u{1b}[31m\u{202e}\u{85}";
    let credentials = encode(format!("\0{name}\0secret-password").as_bytes());
    client.run(&format!("C: AUTH PLAIN {credentials}\nS: 5")).await;
    client.run("C: EHLO )(\\x\nS: 250").await;
    client.say(format!("AUTH PLAIN {}\r\n", encode(b"\0anna@ours.example\0wrong-password"))).await;
    assert!(client.reply().await.starts_with("535"));
    let lines = log.0.lock().unwrap().clone();
    assert!(lines.iter().any(|line| line.contains("authentication failed") && line.contains("anna@ours.example")));
    for line in &lines {
        assert!(!line.chars().any(|character| character.is_control() || character == '\u{202e}'), "{line:?}");
        assert!(!line.contains("password"), "{line}");
    }
}

#[tokio::test]
async fn an_accepted_message_is_one_line_with_its_id() {
    let world = World::new().await;
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut client = world.client(world.mx()).await;
    client
        .run("C: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<y@far.example>\nS: 550\nC: RCPT TO:<sales@ours.example>\nS: 250\nC: DATA\nS: 354\nC: .\nS: 250")
        .await;
    let id = world.only().await.id.to_string();
    let lines = log.0.lock().unwrap().clone();
    let about: Vec<&String> = lines.iter().filter(|line| line.contains(&id)).collect();
    assert_eq!(about.len(), 1, "{lines:?}");
    for part in ["message accepted", "from=<x@far.example>", "recipients=3", "service=mx", "peer=127.0.0.1:"] {
        assert!(about[0].contains(part), "{part} in {about:?}");
    }
    let refused: Vec<&String> = lines.iter().filter(|line| line.contains("refused")).collect();
    assert_eq!(refused.len(), 1, "{lines:?}");
    assert!(refused[0].contains("stage=rcpt") && refused[0].contains("<y@far.example>"), "{refused:?}");
}
