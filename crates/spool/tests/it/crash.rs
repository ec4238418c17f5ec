//! G1: a server killed with SIGKILL at any moment. The child is this test binary again, told by its environment to
//! serve; it prints the id of every message that it was told is durable.

use std::{
    collections::{HashMap, HashSet},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use spool::{Filter, Page, Spool, Verdict};

use crate::support::{at, commit, delivered, disk::Dice, flat, message, open, read, rounds, settlement};

const CHILD: &str = "POSTHOUSE_SPOOL_CHILD";
/// Octets of the messages that the child commits, in turn.
const SIZES: [usize; 4] = [200, 4_000, 140_000, 300_000];

/// Not a test: what the child does. In the parent it does nothing.
#[test]
#[expect(clippy::disallowed_methods, reason = "the child is told what to do by its environment")]
fn child() {
    let Ok(directory) = std::env::var(CHILD) else {
        return;
    };
    // Ends the line that the test runner has begun.
    println!();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let spool = open(Path::new(&directory), at(0));
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8 {
            let spool = Arc::clone(&spool);
            tasks.spawn(async move {
                for n in 0.. {
                    let size = SIZES[(n + task) % SIZES.len()];
                    let new = message(at(0), &["a@x.example", "b@y.example"]);
                    let (id, deliveries) = (new.id, new.deliveries.clone());
                    println!("begun {id} {size}");
                    commit(spool.as_ref(), &vec![b'z'; size], new, at(0)).await.unwrap();
                    println!("kept {id} {} {}", deliveries[0].id, deliveries[1].id);
                    if n % 3 == 0 {
                        deliver_some(spool.as_ref()).await;
                    }
                }
            });
        }
        tasks.join_all().await;
    });
}

async fn deliver_some(spool: &dyn Spool) {
    let leased = flat(spool.lease(3, &[], at(1)).await.unwrap());
    for (_, leased) in &leased {
        println!("trying {}", leased.lease.delivery);
    }
    let settlements =
        leased.iter().map(|(message, leased)| settlement(message, leased, Verdict::Done(delivered()))).collect();
    for (result, (_, leased)) in spool.settle(settlements, at(1)).await.into_iter().zip(&leased) {
        result.unwrap();
        println!("done {}", leased.lease.delivery);
    }
}

/// What a child said before it was killed.
#[derive(Debug, Default)]
struct Said {
    begun: HashMap<String, usize>,
    kept: HashMap<String, Vec<String>>,
    trying: HashSet<String>,
    done: HashSet<String>,
}

impl Said {
    fn line(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (verb, id) = (words.next(), words.next().map(str::to_owned));
        let Some(id) = id else {
            return;
        };
        match verb {
            Some("begun") => {
                self.begun.insert(id, words.next().unwrap().parse().unwrap());
            }
            Some("kept") => {
                self.kept.insert(id, words.map(str::to_owned).collect());
            }
            Some("trying") => {
                self.trying.insert(id);
            }
            Some("done") => {
                self.done.insert(id);
            }
            _ => {}
        }
    }
}

/// Runs a child and kills it after it has said so many lines.
fn run_and_kill(directory: &Path, lines: u64, said: &mut Said) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads", "1"])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut count = 0;
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).unwrap() > 0 {
        // A line that was cut by the end is no promise.
        if line.ends_with(b"\n") {
            said.line(String::from_utf8_lossy(&line).trim_end());
        }
        line.clear();
        count += 1;
        if count == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(count >= lines, "the child ended by itself after {count} lines");
}

#[test]
fn g1_killed_at_random_nothing_acknowledged_is_missing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut dice = Dice::new(u64::from(std::process::id()));
    for round in 0..rounds(3) {
        let directory = tempfile::tempdir().unwrap();
        let mut said = Said::default();
        for kill in 0..3 {
            run_and_kill(directory.path(), 50 + dice.below(1500), &mut said);
            runtime.block_on(check(directory.path(), &said, &format!("round {round}, kill {kill}")));
        }
    }
}

async fn check(directory: &Path, said: &Said, when: &str) {
    let spool = open(directory, at(2));
    assert_eq!(spool.alerts(), Vec::<String>::new(), "{when}");
    let mut there: HashMap<String, HashSet<String>> = HashMap::new();
    let mut cursor = None;
    loop {
        let (views, next) = spool.find(&Filter::default(), &Page { limit: 1000, cursor }, at(2)).await.unwrap();
        for view in views {
            let new = there.entry(view.message.to_string()).or_default().insert(view.delivery.to_string());
            assert!(new, "{when}: twice: {view:?}");
            assert!(!said.done.contains(&view.delivery.to_string()), "{when}: settled, but back: {view:?}");
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    for (id, deliveries) in &said.kept {
        for delivery in deliveries {
            let here = there.get(id).is_some_and(|there| there.contains(delivery));
            assert!(here || said.trying.contains(delivery), "{when}: {delivery} of {id} was acknowledged and is gone");
        }
    }
    for id in there.keys() {
        // What the child began is said before it is done; the line can't be lost, for the pipe outlives the child.
        let size = said.begun.get(id).unwrap_or_else(|| panic!("{when}: {id} was never sent"));
        let content = read(spool.as_ref(), id.parse().unwrap()).await;
        assert!(content.len() == *size && content.iter().all(|byte| *byte == b'z'), "{when}: {id}");
    }
    spool.close().await;
}
