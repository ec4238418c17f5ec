//! G2, G3: power cuts and failing calls, on a disk that forgets what was not synced.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex},
};

use mail::{DeliveryId, MessageId};
use spool::{
    Filter, Spool, SpoolError, State, Verdict,
    sqlite::{Engine, Options},
};

use crate::support::{
    at, commit, deferred, delivered,
    disk::{Dice, FaultyDisk, FileCall},
    find, flat, lease_all, message, options, read, rounds, send, settle, settlement,
    vfs::{Call, Fault, World},
};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EMFILE: i32 = 24;

fn faulty(dir: &Path, vfs: &str, disk: &FaultyDisk) -> Options {
    Options { vfs: Some(vfs.into()), disk: Arc::new(disk.clone()), ..options(dir) }
}

/// What clients were told.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Begun: whether the 250 was said, the octets, the deliveries.
    commits: HashMap<MessageId, (bool, usize, Vec<DeliveryId>)>,
    /// Deliveries whose end was begun, and whether it was acknowledged.
    done: HashMap<DeliveryId, bool>,
}

/// One client: commits, leases and settles until the power is gone.
async fn client(spool: Arc<Engine>, told: Arc<Mutex<Told>>, world: Arc<World>, mut dice: Dice) {
    while !world.is_dead() {
        let size = [100, 5_000, 140_000, 150_000][usize::try_from(dice.below(4)).unwrap()];
        let recipients = [&["a@x.example"][..], &["a@x.example", "b@y.example", "c@x.example"]];
        let new = message(at(0), recipients[usize::try_from(dice.below(2)).unwrap()]);
        let id = new.id;
        let deliveries = new.deliveries.iter().map(|new| new.id).collect();
        told.lock().unwrap().commits.insert(id, (false, size, deliveries));
        if commit(spool.as_ref(), &vec![b'z'; size], new, at(0)).await.is_ok() {
            told.lock().unwrap().commits.get_mut(&id).unwrap().0 = true;
        }
        if dice.below(2) == 0 {
            continue;
        }
        let Ok(items) = spool.lease(4, &[], at(1)).await else {
            continue;
        };
        let mut settlements = Vec::new();
        for (message, leased) in flat(items) {
            let verdict = match dice.below(3) {
                0 => Verdict::Retry(deferred(), at(1)),
                _ => Verdict::Done(delivered()),
            };
            let ends = matches!(verdict, Verdict::Done(_));
            if ends {
                told.lock().unwrap().done.insert(leased.delivery.id, false);
            }
            settlements.push(((leased.delivery.id, ends), settlement(&message, &leased, verdict)));
        }
        let (ids, settlements): (Vec<_>, Vec<_>) = settlements.into_iter().unzip();
        let results = spool.settle(settlements, at(1)).await;
        for ((id, ends), result) in ids.into_iter().zip(results) {
            if result.is_ok() && ends {
                told.lock().unwrap().done.insert(id, true);
            }
        }
    }
}

/// Every 250 is there once, with its content; without a 250 at most once; what was settled does not come back.
async fn check(spool: &Engine, told: &Told) {
    let mut seen: HashMap<MessageId, HashSet<DeliveryId>> = HashMap::new();
    let mut cursor = None;
    loop {
        let page = spool::Page { limit: 1000, cursor };
        let (views, next) = spool.find(&Filter::default(), &page, at(2)).await.unwrap();
        for view in views {
            assert!(seen.entry(view.message).or_default().insert(view.delivery), "twice: {view:?}");
            assert_ne!(told.done.get(&view.delivery), Some(&true), "settled, but back: {view:?}");
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    for id in seen.keys() {
        let (_, size, _) = told.commits.get(id).expect("nothing that nobody sent");
        let content = read(spool, *id).await;
        assert!(content.len() == *size && content.iter().all(|byte| *byte == b'z'), "{id}: {} octets", content.len());
    }
    for (id, (acknowledged, _, deliveries)) in &told.commits {
        let there = |delivery: &DeliveryId| seen.get(id).is_some_and(|seen| seen.contains(delivery));
        let lost = deliveries.iter().find(|delivery| !there(delivery) && !told.done.contains_key(delivery));
        assert!(!acknowledged || lost.is_none(), "a 250 was said for {id}, and {lost:?} is gone");
    }
    let mut accepted = HashMap::new();
    let mut after = 0;
    while let entries = spool.outbox(after, 10_000).await.unwrap()
        && let Some(last) = entries.last()
    {
        after = last.sequence;
        for event in entries.iter().map(|entry| mail::Event::decode(&entry.event).unwrap()) {
            *accepted.entry(event.message).or_insert(0) += u32::from(event.name() == "message.accepted");
        }
    }
    for (id, (acknowledged, ..)) in &told.commits {
        let n = accepted.get(id).copied().unwrap_or(0);
        assert!(n == 1 || (n == 0 && !acknowledged), "{id}: {n} events say that it was accepted");
    }
}

#[test]
fn g2_a_power_cut_loses_nothing_that_was_acknowledged() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for round in 0..u64::from(rounds(8)) {
        runtime.block_on(power_cut(round));
    }
}

async fn power_cut(round: u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut dice = Dice::new(round + 1);
    let told = Arc::new(Mutex::new(Told::default()));
    let (mut world, mut vfs) = World::new();
    let mut disk = FaultyDisk::new(&world);
    for cut in 0..3 {
        let spool = match Engine::open(faulty(directory.path(), &vfs, &disk), at(0)) {
            Ok(spool) => spool,
            Err(error) => panic!("round {round}, cut {cut}: {error}"),
        };
        let so_far = told.lock().unwrap().clone();
        check(&spool, &so_far).await;
        world.cut_after(50 + dice.below(1500));
        let client = |n: u64| {
            client(Arc::clone(&spool), Arc::clone(&told), Arc::clone(&world), Dice::new(round * 100 + cut * 10 + n))
        };
        tokio::join!(client(1), client(2), client(3), client(4), client(5), client(6));
        assert!(spool.poisoned().is_some() || spool.begin().is_ok());
        drop(spool);
        world.restore(&mut dice);
        let (next, name) = World::new();
        disk = disk.after_cut(&mut dice, &next);
        (world, vfs) = (next, name);
    }
    let spool = Engine::open(faulty(directory.path(), &vfs, &disk), at(0)).unwrap();
    assert_eq!(spool.alerts(), Vec::<String>::new(), "nothing is damaged by a power cut");
    let in_all = told.lock().unwrap().clone();
    check(&spool, &in_all).await;
    spool.sweep(at(3)).await.unwrap();
    spool.close().await;
    // Files without rows are gone, and no row is without its file.
    let connection = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    let files: i64 =
        connection.query_row("SELECT count(*) FROM content WHERE file IS NOT NULL", [], |row| row.get(0)).unwrap();
    assert_eq!(i64::try_from(disk.names().len()).unwrap(), files);
}

/// Commits, retries and deliveries, and what became of each.
async fn some_work(spool: &Engine, told: &mut HashMap<MessageId, bool>) {
    for n in 0..6 {
        let size = if n % 3 == 2 { 180_000 } else { 3_000 };
        let new = message(at(0), &["a@x.example"]);
        let id = new.id;
        told.insert(id, commit(spool, &vec![b'x'; size], new, at(0)).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_failing_write_or_sync_at_every_call() {
    for call in [Call::Write, Call::Sync] {
        for fault in [Fault::Error, Fault::Short, Fault::Full, Fault::LostSync] {
            let mut nth = 1;
            loop {
                if !failing(call, nth, fault).await || nth > 8 * u64::from(rounds(1)) {
                    break;
                }
                nth += 1;
            }
            assert!(nth > 3, "{call:?} {fault:?} was tried {nth} times");
        }
    }
}

/// One call fails; false when there were not so many.
async fn failing(call: Call, nth: u64, fault: Fault) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let (world, vfs) = World::new();
    let disk = FaultyDisk::new(&world);
    let spool = Engine::open(faulty(directory.path(), &vfs, &disk), at(0)).unwrap();
    send(spool.as_ref(), at(0), &["first@x.example"]).await;
    world.fail(call, nth, fault);
    let mut told = HashMap::new();
    some_work(&spool, &mut told).await;
    if !world.fired() {
        return false;
    }
    let refused = told.values().filter(|ok| !**ok).count();
    assert!(refused > 0, "{call:?} {nth} {fault:?}: the failure was told to nobody");
    if call == Call::Write && fault == Fault::Full {
        assert_eq!(spool.poisoned(), None, "a full disk stops nothing");
    } else {
        let why = spool.poisoned().expect("a failed write or sync stops the spool");
        assert!(matches!(spool.begin(), Err(SpoolError::Poisoned(_))));
        assert!(spool.lease(10, &[], at(0)).await.is_err());
        assert!(why.contains("queue.db"), "{why}");
        spool.recover().await.unwrap();
        assert_eq!(spool.poisoned(), None);
    }
    some_work(&spool, &mut told).await;
    // The power goes, and with it all that was not synced.
    world.cut();
    drop(spool);
    let mut dice = Dice::new(nth);
    world.restore(&mut dice);
    let (world, vfs) = World::new();
    let disk = disk.after_cut(&mut dice, &world);
    let spool = Engine::open(faulty(directory.path(), &vfs, &disk), at(0)).unwrap();
    let found: HashSet<_> =
        find(spool.as_ref(), &Filter::default(), at(1)).await.iter().map(|view| view.message).collect();
    for (id, ok) in &told {
        assert!(!ok || found.contains(id), "{call:?} {nth} {fault:?}: {id} was acknowledged and is lost");
        if found.contains(id) {
            read(spool.as_ref(), *id).await;
        }
    }
    for one in lease_all(spool.as_ref(), at(1)).await {
        settle(spool.as_ref(), &one, Verdict::Done(delivered()), at(1)).await;
    }
    assert_eq!(spool.alerts(), Vec::<String>::new());
    true
}

/// A damaged queue is set aside before what can be read of it is taken over. What breaks that off, a full disk here, costs
/// nothing: the next start does it again.
#[tokio::test(flavor = "multi_thread")]
async fn g4_taking_over_a_damaged_queue_goes_on_at_the_next_start() {
    // The tables of the new queue take fewer writes than that.
    for nth in [150, 300] {
        let directory = tempfile::tempdir().unwrap();
        let spool = Engine::open(options(directory.path()), at(0)).unwrap();
        for n in 0..200 {
            let content = vec![b'x'; 3000];
            commit(&*spool, &content, message(at(0), &[&format!("u{n}@x.example")]), at(0)).await.unwrap();
        }
        spool.close().await;
        drop(spool);
        let queue = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
        queue.pragma_update(None, "user_version", 0).unwrap();
        drop(queue);
        let (world, vfs) = World::new();
        world.fail(Call::Write, nth, Fault::Full);
        let full = Engine::open(faulty(directory.path(), &vfs, &FaultyDisk::new(&world)), at(1));
        assert!(matches!(full, Err(SpoolError::DiskFull { .. })), "{full:?}");
        let spool = Engine::open(options(directory.path()), at(1)).unwrap();
        assert_eq!(find(spool.as_ref(), &Filter::default(), at(1)).await.len(), 200);
        assert!(spool.alerts()[0].contains("queue.db.damaged-1"), "{:?}", spool.alerts());
        spool.close().await;
        drop(spool);
        let spool = Engine::open(options(directory.path()), at(2)).unwrap();
        assert_eq!(find(spool.as_ref(), &Filter::default(), at(2)).await.len(), 200);
        assert_eq!(spool.alerts(), Vec::<String>::new(), "it is done once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_content_file_that_fails() {
    let cases = [
        (FileCall::Create, EIO, false),
        (FileCall::Create, EMFILE, false),
        (FileCall::Create, ENOSPC, false),
        (FileCall::Append, EIO, false),
        (FileCall::Append, ENOSPC, false),
        (FileCall::Rename, EIO, false),
        (FileCall::Sync, EIO, true),
        (FileCall::SyncDirectory, EIO, true),
    ];
    for size in [180_000, 400_000] {
        for (call, errno, poisons) in cases {
            let directory = tempfile::tempdir().unwrap();
            let (world, vfs) = World::new();
            let disk = FaultyDisk::new(&world);
            let spool = Engine::open(faulty(directory.path(), &vfs, &disk), at(0)).unwrap();
            disk.fail(call, errno);
            let refused = commit(spool.as_ref(), &vec![b'x'; size], message(at(0), &["a@x.example"]), at(0)).await;
            let error = refused.expect_err("a failing file is no 250").to_string();
            assert_eq!(spool.poisoned().is_some(), poisons, "{call:?}: {error}");
            if poisons {
                spool.recover().await.unwrap();
            }
            let new = message(at(0), &["a@x.example"]);
            let id = new.id;
            commit(spool.as_ref(), &vec![b'y'; size], new, at(0)).await.unwrap();
            assert_eq!(read(spool.as_ref(), id).await.len(), size);
            assert_eq!(find(spool.as_ref(), &Filter::default(), at(1)).await.len(), 1);
            spool.close().await;
            assert_eq!(disk.names().len(), 1, "{call:?}: {:?}", disk.names());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_command_does_not_spoil_its_batch() {
    let directory = tempfile::tempdir().unwrap();
    let (world, vfs) = World::new();
    let disk = FaultyDisk::new(&world);
    let spool = Engine::open(faulty(directory.path(), &vfs, &disk), at(0)).unwrap();
    let taken = message(at(0), &["a@x.example"]);
    commit(spool.as_ref(), b"x", taken.clone(), at(0)).await.unwrap();
    let mut commits = tokio::task::JoinSet::new();
    for n in 0..50 {
        let new = if n == 25 { taken.clone() } else { message(at(0), &["a@x.example"]) };
        let spool = Arc::clone(&spool);
        commits.spawn(async move { commit(spool.as_ref(), b"x", new, at(0)).await.is_err() });
    }
    let refused = commits.join_all().await.into_iter().filter(|refused| *refused).count();
    assert_eq!(refused, 1);
    assert_eq!(find(spool.as_ref(), &Filter::default(), at(1)).await.len(), 50);
}

/// While its settlement waits for the disk a delivery has left the window half, and has no row yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_what_is_on_its_way_from_fresh_to_held() {
    let directory = tempfile::tempdir().unwrap();
    let (world, vfs) = World::new();
    let disk = FaultyDisk::new(&world);
    let spool = Engine::open(faulty(directory.path(), &vfs, &disk), at(0)).unwrap();
    send(spool.as_ref(), at(0), &["a@x.example"]).await;
    let leased = lease_all(spool.as_ref(), at(0)).await.remove(0);
    let (come, go) = world.stop_next_sync();
    let mut settling = tokio::task::JoinSet::new();
    let settled = Arc::clone(&spool);
    settling.spawn(async move { settle(settled.as_ref(), &leased, Verdict::Held, at(1)).await });
    tokio::task::spawn_blocking(move || come.recv().unwrap()).await.unwrap();
    let states = async || -> Vec<State> {
        find(spool.as_ref(), &Filter::default(), at(1)).await.iter().map(|view| view.state).collect()
    };
    let during = states().await;
    go.send(()).unwrap();
    settling.join_all().await;
    assert_eq!((during, states().await), (vec![State::Active], vec![State::Held]));
}
