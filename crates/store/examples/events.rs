//! How fast events are taken: `cargo run --profile release -p store --example events -- 1000000 [BATCH]`.
//!
//! Each message is accepted and delivered, as the outbox of a busy server tells it: two events a message. Prints the rate,
//! the CPU of this process for each event, the size on the disk, and how long the questions of an operator take.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(clippy::disallowed_methods, reason = "a measurement needs a clock, and this crate has none")]

use std::time::{Duration, Instant};

use mail::{
    Body, DeliveryId, EnhancedCode, Envelope, Event, EventKind, Mailbox, MessageId, Origin, Outcome, Protocol, Reply,
    ReversePath, Timestamp,
};
use store::{Filter, Page, State, Store};

type Outcomes<T> = Result<T, Box<dyn std::error::Error>>;

/// 24 November 2026.
const START: i64 = 1_795_508_169;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcomes<()> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let batch: u64 = arguments.next().map_or(Ok(1000), |text| text.parse())?;
    let directory = std::env::temp_dir().join(format!("posthouse-events-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    let store = Store::open("sqlite:posthouse.db", &directory).await?;

    let mut taken = 0;
    let (mut wall, mut cpu) = (Duration::ZERO, Duration::ZERO);
    while taken < count {
        let entries: Vec<_> = (taken..taken + batch).map(|number| (number + 1, event(number).encode())).collect();
        let (began, used) = (Instant::now(), cpu_time()?);
        store.append_encoded("node", &entries).await?;
        wall += began.elapsed();
        cpu += cpu_time()? - used;
        taken += batch;
    }
    let number = u32::try_from(taken)?;
    println!("{taken} events in batches of {batch}: {:.0}/s", f64::from(number) / wall.as_secs_f64());
    println!("CPU {:.1} µs each", cpu.as_secs_f64() * 1e6 / f64::from(number));
    println!("{} MiB on the disk", std::fs::metadata(store.path())?.len() >> 20);

    let recipient = Some(recipient(1000).to_string());
    ask(&store, "newest", Filter::default()).await?;
    ask(&store, "delivered", Filter { states: vec![State::Delivered], ..Filter::default() }).await?;
    ask(&store, "bounced", Filter { states: vec![State::Bounced], ..Filter::default() }).await?;
    ask(&store, "to", Filter { to: recipient, ..Filter::default() }).await?;
    ask(&store, "domain", Filter { domain: Some("d7.example".into()), ..Filter::default() }).await?;
    ask(&store, "from", Filter { from: Some("sender3@example.net".into()), ..Filter::default() }).await?;
    let older = Some(Timestamp::from_secs(START + 60));
    ask(&store, "older", Filter { older, ..Filter::default() }).await?;
    let began = Instant::now();
    let history = store.history(message(10)).await?;
    println!("history of one: {} events in {:?}", history.len(), began.elapsed());
    let began = Instant::now();
    let forgotten = store.forget_before(Timestamp::from_micros(START * 1_000_000 + 10_000_000)).await?;
    println!("forgot {forgotten} messages in {:?}", began.elapsed());
    store.close().await;
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

async fn ask(store: &Store, name: &str, filter: Filter) -> Outcomes<()> {
    let began = Instant::now();
    let (rows, _) = store.find(&filter, &Page { limit: 100, cursor: None }).await?;
    println!("{name}: {} rows in {:?}", rows.len(), began.elapsed());
    Ok(())
}

/// A thousand messages a second.
fn at(number: u64) -> Timestamp {
    Timestamp::from_secs(START) + Duration::from_millis(number)
}

fn random(number: u64, salt: u64) -> [u8; 10] {
    let [a, b, c, d, e, f, g, h] = (number ^ salt << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    [a, b, c, d, e, f, g, h, 0, 0]
}

fn message(number: u64) -> MessageId {
    MessageId::new(at(number), random(number, 1))
}

fn recipient(number: u64) -> Mailbox {
    let person = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
    format!("person{person}@d{}.example", person % 100).parse().expect("a mailbox")
}

/// Even numbers accept, odd ones deliver the message before.
fn event(number: u64) -> Event {
    let (about, delivery) = (message(number / 2), DeliveryId::new(at(number / 2), random(number / 2, 2)));
    let recipient = recipient(number / 2);
    let kind = if number.is_multiple_of(2) {
        let sender: Mailbox = format!("sender{}@example.net", number / 2 % 10).parse().expect("a mailbox");
        let origin = Origin {
            service: "submission".into(),
            peer: Some(([192, 0, 2, 1], 50_000).into()),
            helo: Some("client.example.net".into()),
            user: Some(sender.clone()),
            protocol: Protocol::Esmtp { tls: true, auth: true },
            tls: None,
        };
        let envelope = Envelope { reverse_path: ReversePath::Mailbox(sender), body: Body::SevenBit, origin };
        EventKind::Accepted { envelope, recipients: vec![(delivery, recipient)], size: 4096 }
    } else {
        let reply = Reply::new(250, EnhancedCode::new(2, 0, 0), "Ok: queued as 4cF9X52Dk1z9rwZ");
        let outcome = Outcome::Delivered { host: "mx.d1.example [192.0.2.25]".into(), reply };
        let (source, transcript) = (Some("192.0.2.1".into()), None);
        EventKind::Attempted { delivery, recipient, attempt: 1, outcome, next_due: None, source, transcript }
    };
    Event { at: at(number / 2), message: about, kind }
}

/// CPU of this process so far.
fn cpu_time() -> Outcomes<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += text.split(' ').next().ok_or("no time")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}
