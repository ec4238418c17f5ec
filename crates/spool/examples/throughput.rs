//! How fast the queue is: `cargo run --release -p spool --example throughput [MESSAGES] [BACKLOG] [DIRECTORY]`.
//!
//! First 100 producers commit messages of 4 KiB while others lease and settle them. Then a backlog of a million: how fast
//! it grows, what it takes in memory, how long a restart and a page of a list take.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that measures, run by hand")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use mail::{Body, DeliveryId, Envelope, MessageId, Origin, Outcome, Reply, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use spool::{
    Filter, NewDelivery, NewMessage, Page, Settlement, Spool, State, Update, Verdict,
    sqlite::{Engine, Options},
};

const PRODUCERS: u64 = 100;
const SETTLERS: u64 = 4;

static NEXT: AtomicU64 = AtomicU64::new(1);

#[expect(clippy::disallowed_methods, reason = "a program that measures")]
fn instant() -> Instant {
    Instant::now()
}

fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Realtime);
    Timestamp::from_micros(time.tv_sec * 1_000_000 + time.tv_nsec / 1000)
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn random() -> [u8; 10] {
    let n = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let [a, b, c, d, e, f, g, h] = n.to_be_bytes();
    [a, b, c, d, e, f, g, h, 7, 7]
}

fn message(domain: &str) -> NewMessage {
    let time = now();
    NewMessage {
        id: MessageId::new(time, random()),
        envelope: Envelope {
            reverse_path: "sender@from.example".parse().unwrap(),
            body: Body::EightBitMime,
            origin: Origin { peer: Some("127.0.0.1:40000".parse().unwrap()), ..Origin::local() },
        },
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(time, random()),
            recipient: format!("user{}@{domain}", NEXT.load(Ordering::Relaxed)).parse().unwrap(),
            original: None,
            held: false,
        }],
        prefix: Bytes::from_static(
            b"Received: from client.example ([127.0.0.1]) by mx.example with ESMTP id x; now\r\n",
        ),
        idempotency: None,
        not_before: None,
        expires: time + Duration::from_secs(432_000),
    }
}

async fn commit(spool: &Engine, content: &[u8], domain: &str) {
    let mut draft = spool.begin().unwrap();
    draft.write(content).await.unwrap();
    spool.commit(draft, message(domain), now()).await.unwrap();
}

async fn produce(spool: Arc<Engine>, count: u64, size: usize, domains: u64) {
    let content = vec![b'x'; size];
    let mut producers = tokio::task::JoinSet::new();
    for producer in 0..PRODUCERS {
        let (spool, content) = (Arc::clone(&spool), content.clone());
        producers.spawn(async move {
            for n in 0..count / PRODUCERS {
                let domain = format!("d{}.example", (n * PRODUCERS + producer) % domains);
                commit(&spool, &content, &domain).await;
            }
        });
    }
    producers.join_all().await;
}

async fn deliver(spool: Arc<Engine>, done: Arc<AtomicU64>, count: u64) {
    while done.load(Ordering::Relaxed) < count {
        let items = spool.lease(64, &[], now()).await.unwrap();
        if items.is_empty() {
            let _ready = tokio::time::timeout(Duration::from_millis(20), spool.ready()).await.is_ok();
            continue;
        }
        let mut settlements = Vec::new();
        for item in items {
            for leased in item.deliveries {
                settlements.push(Settlement {
                    lease: leased.lease,
                    message: item.message.id,
                    recipient: leased.delivery.recipient.clone(),
                    verdict: Verdict::Done(Outcome::Delivered {
                        host: "127.0.0.1".into(),
                        reply: Reply::with(250, (2, 0, 0), "Ok"),
                    }),
                    source: Some("127.0.0.1".into()),
                    transcript: None,
                });
            }
        }
        let settled = settlements.len() as u64;
        assert!(spool.settle(settlements, now()).await.iter().all(Result::is_ok));
        done.fetch_add(settled, Ordering::Relaxed);
    }
}

/// Copies the outbox to nowhere.
async fn consume(spool: Arc<Engine>, done: Arc<AtomicU64>, count: u64) {
    let mut after = 0;
    while done.load(Ordering::Relaxed) < count {
        spool.outbox_ready(after, Duration::from_millis(50)).await;
        let entries = spool.outbox(after, 5_000).await.unwrap();
        if let Some(last) = entries.last() {
            after = last.sequence;
            spool.trim_outbox(after).await.unwrap();
        }
    }
}

async fn throughput(directory: &Path, count: u64, size: usize) {
    let spool = Engine::open(Options { disk_reserve: 0, ..Options::new(directory, [1; 16]) }, now()).unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let (began, used) = (instant(), cpu());
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..SETTLERS {
        others.spawn(deliver(Arc::clone(&spool), Arc::clone(&done), count));
    }
    others.spawn(consume(Arc::clone(&spool), Arc::clone(&done), count));
    produce(Arc::clone(&spool), count, size, 20).await;
    others.join_all().await;
    report(&format!("{size} octets: commit, lease, settle"), count, began.elapsed(), cpu() - used);
    spool.close().await;
}

fn report(what: &str, count: u64, wall: Duration, used: Duration) {
    let count = count as f64;
    println!(
        "{what}: {:.0}/s, {:.3} CPU s per 1,000 ({count} in {:.2} s)",
        count / wall.as_secs_f64(),
        used.as_secs_f64() / count * 1000.0,
        wall.as_secs_f64()
    );
}

async fn backlog(directory: &Path, count: u64) {
    let options = Options { disk_reserve: 0, ..Options::new(directory, [1; 16]) };
    let spool = Engine::open(options.clone(), now()).unwrap();
    let (began, used) = (instant(), cpu());
    produce(Arc::clone(&spool), count, 1024, 5_000).await;
    report("backlog: commit", count, began.elapsed(), cpu() - used);
    println!("backlog: {} MiB resident", resident_mib());
    let began = instant();
    drop(spool);
    println!("backlog: gone in {:.3} s", began.elapsed().as_secs_f64());
    let began = instant();
    let spool = Engine::open(options, now()).unwrap();
    println!("backlog: open again in {:.3} s, {} MiB resident", began.elapsed().as_secs_f64(), resident_mib());
    let began = instant();
    let leased = spool.lease(100, &[], now()).await.unwrap();
    println!("backlog: first {} leased in {:.4} s", leased.len(), began.elapsed().as_secs_f64());
    pages(&spool).await;
    let began = instant();
    let one = Filter { domain: Some("d7.example".into()), ..Filter::default() };
    let held = spool.update(&one, &Update::Hold, now()).await.unwrap();
    println!("backlog: {held} held in {:.3} s", began.elapsed().as_secs_f64());
    println!("backlog: {:?}", spool.count().await.unwrap());
    spool.close().await;
}

async fn pages(spool: &Engine) {
    let default = Filter::default;
    let filters = [
        ("all", default()),
        ("domain", Filter { domain: Some("d7.example".into()), ..default() }),
        ("state queued", Filter { state: Some(State::Queued), ..default() }),
        ("state held", Filter { state: Some(State::Held), ..default() }),
        ("from", Filter { from: Some("sender@from.example".into()), ..default() }),
        ("from, none", Filter { from: Some("@nobody.example".into()), ..default() }),
        ("to, none", Filter { to: Some("nobody@d7.example".into()), ..default() }),
        ("older", Filter { older: Some(now() - Duration::from_secs(5)), ..default() }),
        ("older, none", Filter { older: Some(now() - Duration::from_secs(86_400)), ..default() }),
    ];
    for (name, filter) in filters {
        let page = Page { limit: 50, cursor: None };
        let began = instant();
        let (views, cursor) = spool.find(&filter, &page, now()).await.unwrap();
        let first = began.elapsed();
        let began = instant();
        if cursor.is_some() {
            spool.find(&filter, &Page { limit: 50, cursor }, now()).await.unwrap();
        }
        println!(
            "page of 50, {name}: {:.2} ms ({} rows), the next {:.2} ms",
            first.as_secs_f64() * 1000.0,
            views.len(),
            began.elapsed().as_secs_f64() * 1000.0
        );
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (messages, waiting) = (number(200_000), number(1_000_000));
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for (size, count) in [(4 * 1024, messages), (100 * 1024, messages / 20)] {
            let directory = tempfile::tempdir_in(&parent).unwrap();
            throughput(directory.path(), count, size).await;
        }
        let directory = tempfile::tempdir_in(&parent).unwrap();
        if waiting > 0 {
            backlog(directory.path(), waiting).await;
        }
    });
}
