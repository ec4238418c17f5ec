//! Rows of the list of attacks that are about the queue.

use std::{fs, io::Write as _, path::Path, process::Command, time::Duration};

use spool::{
    Filter, Lock, Spool, SpoolError, State, Verdict,
    sqlite::{Engine, Options},
};

use crate::support::{
    at, commit, count, deferred, delivered, event_names, find, lease_all, message, open, options, read, rounds, send,
    settle,
};

/// A queue with something of everything, closed. The number of deliveries in it.
async fn fill(directory: &Path) -> usize {
    let spool = open(directory, at(0));
    for n in 0..200 {
        let size = if n % 40 == 0 { 180_000 } else { 3_000 };
        commit(spool.as_ref(), &vec![b'x'; size], message(at(0), &[&format!("u{n}@{}.example", n % 5)]), at(0))
            .await
            .unwrap();
    }
    for (n, one) in spool_lease(spool.as_ref(), 100).await.iter().enumerate() {
        let verdict = if n % 2 == 0 { Verdict::Retry(deferred(), at(60)) } else { Verdict::Done(delivered()) };
        settle(spool.as_ref(), one, verdict, at(1)).await;
    }
    spool.close().await;
    150
}

async fn spool_lease(spool: &dyn Spool, limit: usize) -> Vec<(std::sync::Arc<spool::Message>, spool::LeasedDelivery)> {
    crate::support::lease(spool, limit, at(0)).await
}

/// Whatever was done to the files, the queue opens, takes mail and delivers it.
async fn works(directory: &Path) -> (usize, Vec<String>) {
    let spool = open(directory, at(100));
    let left = find(spool.as_ref(), &Filter::default(), at(100)).await;
    for view in &left {
        let filter = Filter { deliveries: vec![view.delivery], ..Filter::default() };
        assert_eq!(find(spool.as_ref(), &filter, at(100)).await.len(), 1);
    }
    let id = send(spool.as_ref(), at(100), &["new@x.example"]).await;
    assert_eq!(read(spool.as_ref(), id).await.len(), 20);
    let leased = lease_all(spool.as_ref(), at(200)).await;
    for one in &leased {
        settle(spool.as_ref(), one, Verdict::Done(delivered()), at(200)).await;
    }
    let alerts = spool.alerts();
    spool.close().await;
    (leased.len() - 1, alerts)
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_foreign_file_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("queue.db"), b"this is a shopping list, not a queue\n".repeat(500)).unwrap();
    let (_, alerts) = works(directory.path()).await;
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].contains("queue.db") && alerts[0].contains("queue.db.damaged-1"), "{alerts:?}");
    let aside = fs::read(directory.path().join("queue.db.damaged-1")).unwrap();
    assert!(aside.starts_with(b"this is a shopping list"));
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_another_programs_database_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let other = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    other.execute_batch("CREATE TABLE bookmark (url TEXT); INSERT INTO bookmark VALUES ('x')").unwrap();
    drop(other);
    let (_, alerts) = works(directory.path()).await;
    assert!(alerts[0].contains("another program"), "{alerts:?}");
    assert!(directory.path().join("queue.db.damaged-1").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_newer_version_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path()).await;
    let path = directory.path().join("queue.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Engine::open(options(directory.path()), at(0)).unwrap_err();
    assert!(matches!(error, SpoolError::Newer { found: 99, known: 1, .. }));
    assert!(error.to_string().contains("queue.db has format 99, this version knows 1"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!directory.path().join("queue.db.damaged-1").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_an_empty_file_is_a_new_queue() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("queue.db"), b"").unwrap();
    assert_eq!(works(directory.path()).await, (0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_file_that_was_cut() {
    for (keep, least) in [(100, 0), (10_000, 0), (60_000, 0), (1_000_000, 20)] {
        let directory = tempfile::tempdir().unwrap();
        let all = fill(directory.path()).await;
        let path = directory.path().join("queue.db");
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap();
        // A cut may be seen at the start or when a page is missed; then an operator has it checked.
        let spool = open(directory.path(), at(50));
        stumble(&spool).await;
        spool.close().await;
        drop(spool);
        let (left, _) = works(directory.path()).await;
        assert!(left <= all && left >= least, "{left} of {all} after a cut at {keep}");
        assert!(path.with_file_name("queue.db.damaged-1").exists());
    }
}

/// Uses a queue that may be damaged until it notices, then has it recovered.
async fn stumble(spool: &Engine) {
    for _ in 0..20 {
        if spool.poisoned().is_some() {
            break;
        }
        // Whether this fails is what is found out.
        let _noticed = commit(spool, &[b'x'; 3000], message(at(50), &["a@x.example"]), at(50)).await;
        if let Ok(items) = spool.lease(100, &[], at(70)).await {
            let leases = items.iter().flat_map(|item| &item.deliveries).map(|leased| leased.lease).collect();
            let _noticed = spool.park(leases, at(70)).await;
        }
    }
    if spool.poisoned().is_some() {
        spool.recover().await.unwrap();
        assert_eq!(spool.poisoned(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_one_broken_page_costs_little() {
    let directory = tempfile::tempdir().unwrap();
    let all = fill(directory.path()).await;
    let path = directory.path().join("queue.db");
    // The page in the middle of the messages.
    let connection = rusqlite::Connection::open(&path).unwrap();
    let page: i64 = connection
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'message_id'", [], |row| row.get(0))
        .unwrap();
    drop(connection);
    let mut bytes = fs::read(&path).unwrap();
    let at_page = usize::try_from(page - 1).unwrap() * 8192;
    bytes[at_page..at_page + 8192].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let spool = open(directory.path(), at(50));
    let found = Filter { messages: vec![crate::support::message_id(at(0))], ..Filter::default() };
    let error = spool.find(&found, &spool::Page { limit: 1, cursor: None }, at(50)).await.unwrap_err();
    assert!(error.to_string().contains("recover"), "{error}");
    stumble(&spool).await;
    assert_eq!(spool.alerts().len(), 1, "{:?}", spool.alerts());
    let left = find(spool.as_ref(), &Filter::default(), at(51)).await;
    assert!(left.len() >= all, "an index holds nothing that the tables do not: {} of {all}", left.len());
    for view in &left {
        assert!(read(spool.as_ref(), view.message).await.len() >= 3_000);
    }
    spool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_one_flipped_byte_in_the_head_of_a_page_loses_nothing() {
    let pristine = tempfile::tempdir().unwrap();
    let all = fill(pristine.path()).await;
    let bytes = fs::read(pristine.path().join("queue.db")).unwrap();
    for page in [0, 1, 2, 4, 9, 17, 23] {
        let directory = copy_of(pristine.path());
        let mut bytes = bytes.clone();
        // The first page begins with the head of the file.
        bytes[if page == 0 { 100 } else { 8192 * page }] ^= 0xff;
        fs::write(directory.path().join("queue.db"), bytes).unwrap();
        let spool = open(directory.path(), at(50));
        stumble(&spool).await;
        spool.close().await;
        drop(spool);
        let (left, _) = works(directory.path()).await;
        assert!(left >= all, "page {page}: {left} of {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_takeover_that_was_stopped_at_once_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let all = fill(directory.path()).await;
    let path = directory.path().join("queue.db");
    fs::rename(&path, path.with_file_name("queue.db.damaged-1")).unwrap();
    // The new file is there, and has no tables yet.
    let new = rusqlite::Connection::open(&path).unwrap();
    new.pragma_update(None, "journal_mode", "WAL").unwrap();
    drop(new);
    let (left, alerts) = works(directory.path()).await;
    assert_eq!(left, all);
    assert!(alerts.iter().any(|alert| alert.contains("queue.db.damaged-1")), "{alerts:?}");
}

/// A queue as another one is, its contents included.
fn copy_of(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("content")).unwrap();
    fs::copy(directory.join("queue.db"), copy.path().join("queue.db")).unwrap();
    for entry in fs::read_dir(directory.join("content")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join("content").join(entry.file_name())).unwrap();
    }
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_flipped_bits_anywhere() {
    let pristine = tempfile::tempdir().unwrap();
    fill(pristine.path()).await;
    let bytes = fs::read(pristine.path().join("queue.db")).unwrap();
    let mut dice = crate::support::disk::Dice::new(4);
    for _ in 0..8 * rounds(1) {
        let directory = copy_of(pristine.path());
        let mut bytes = bytes.clone();
        for _ in 0..20 {
            let place = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
            bytes[place] ^= 1 << dice.below(8);
        }
        fs::write(directory.path().join("queue.db"), bytes).unwrap();
        match Engine::open(options(directory.path()), at(50)) {
            Ok(spool) => {
                stumble(&spool).await;
                spool.close().await;
            }
            // A bit of the version may have been hit.
            Err(error) => assert!(matches!(error, SpoolError::Newer { .. }), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_damaged_records_are_set_aside_and_the_rest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let all = fill(directory.path()).await;
    let connection = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    let whole = "UPDATE message SET whole = x'ff00' WHERE seq = (SELECT min(seq) FROM message WHERE whole IS NOT NULL)";
    assert_eq!(connection.execute(whole, []).unwrap(), 1);
    let envelope = "UPDATE message SET envelope = x'01' WHERE seq = (SELECT min(message) FROM delivery)";
    assert_eq!(connection.execute(envelope, []).unwrap(), 1);
    let recipient = "UPDATE delivery SET recipient = 'no address' WHERE seq = (SELECT max(seq) FROM delivery)";
    assert_eq!(connection.execute(recipient, []).unwrap(), 1);
    drop(connection);
    let (left, alerts) = works(directory.path()).await;
    assert_eq!(left, all - 3);
    assert_eq!(alerts.len(), 3, "{alerts:?}");
    let spool = open(directory.path(), at(300));
    assert_eq!(count(spool.as_ref(), State::Held).await, 2, "an operator can still see them");
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_content_file_that_is_gone_or_cut() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path(), at(0));
    let (gone, cut) = (message(at(0), &["a@x.example"]), message(at(0), &["b@x.example"]));
    let ids = [gone.id, cut.id];
    commit(spool.as_ref(), &[b'x'; 180_000], gone, at(0)).await.unwrap();
    commit(spool.as_ref(), &[b'x'; 180_000], cut, at(0)).await.unwrap();
    for entry in fs::read_dir(directory.path().join("content")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(&ids[0].to_string()) {
            fs::remove_file(path).unwrap();
        } else {
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(50_000).unwrap();
        }
    }
    assert!(spool.content(ids[0]).await.unwrap_err().to_string().contains("content/msg_"));
    let error = spool.content(ids[1]).await.unwrap_err().to_string();
    assert!(error.contains("has 50000 octets, 180000 were written"), "{error}");
    send(spool.as_ref(), at(1), &["c@x.example"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g9_a_second_server_on_the_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path(), at(0));
    let error = Engine::open(options(directory.path()), at(0)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SpoolError::InUse(_)));
    assert!(text.contains(&std::process::id().to_string()) && text.contains("stop that one first"), "{text}");
    send(first.as_ref(), at(0), &["a@x.example"]).await;
    first.close().await;
    drop(first);
    open(directory.path(), at(1));
}

#[test]
fn g9_the_lock_names_who_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let lock = Lock::take(&data).unwrap();
    assert!(Lock::take(&data).unwrap_err().to_string().contains(&format!("process {}", std::process::id())));
    drop(lock);
    Lock::take(&data).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn e12_below_the_reserve_mail_is_refused_and_all_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { disk_reserve: u64::MAX, ..options(directory.path()) };
    let spool = Engine::open(options, at(0)).unwrap();
    let error = spool.begin().unwrap_err();
    assert!(matches!(error, SpoolError::DiskReserve { reserve: u64::MAX, free } if free > 0), "{error}");
    assert_eq!(spool.poisoned(), None);
}

/// A small file system of its own, unmounted when dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(directory))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.0.path()).status();
        assert!(done.is_ok_and(|status| status.success()), "the small file system stays mounted");
    }
}

#[test]
fn e12_a_full_disk_answers_452_and_recovers_without_a_restart() {
    let Some(mounted) = Mounted::new("size=8m") else {
        println!("skipped: only root can mount a small file system");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = mounted.0.path().join("spool");
    runtime.block_on(async {
        let spool = open(&directory, at(0));
        let mut kept = Vec::new();
        let full = loop {
            let new = message(at(0), &["a@x.example"]);
            let id = new.id;
            let size = if kept.len() % 4 == 3 { 150_000 } else { 20_000 };
            match commit(spool.as_ref(), &vec![b'x'; size], new, at(0)).await {
                Ok(_) => kept.push((id, size)),
                Err(error) => break error,
            }
            assert!(kept.len() < 1000, "8 MB are never full");
        };
        assert!(full.to_string().contains("nearly full"), "{full}");
        assert_eq!(spool.poisoned(), None, "a full disk stops nothing");
        for (id, size) in &kept {
            assert_eq!(read(spool.as_ref(), *id).await.len(), *size);
        }
        // Somebody makes room.
        let ballast = directory.join("content");
        let removed = fs::read_dir(&ballast).unwrap().count();
        assert!(removed > 0);
        let leased = lease_all(spool.as_ref(), at(0)).await;
        assert_eq!(leased.len(), kept.len());
        Command::new("mount").args(["-o", "remount,size=16m"]).arg(mounted.0.path()).status().unwrap();
        for one in &leased {
            settle(spool.as_ref(), one, Verdict::Done(delivered()), at(1)).await;
        }
        let id = send(spool.as_ref(), at(2), &["b@x.example"]).await;
        assert_eq!(read(spool.as_ref(), id).await.len(), 20);
        let names = event_names(spool.as_ref()).await;
        assert_eq!(names.iter().filter(|name| **name == "message.accepted").count(), kept.len() + 1);
        spool.close().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn e12_the_reserve_is_looked_at_again() {
    // A disk of its own where that can be had: what others write at the same time would count, too.
    let (plain, mounted) = (tempfile::tempdir().unwrap(), Mounted::new("size=128m"));
    let directory = mounted.as_ref().map_or(plain.path(), |mounted| mounted.0.path());
    let free = {
        let stat = rustix::fs::statvfs(directory).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    // A reserve that a file of 64 MB makes the difference for.
    let options = Options { disk_reserve: free.saturating_sub(32_000_000), ..options(&directory.join("spool")) };
    let spool = Engine::open(options, at(0)).unwrap();
    assert!(spool.begin().is_ok());
    let ballast = directory.join("ballast");
    fs::File::create(&ballast).unwrap().write_all(&vec![1; 64_000_000]).unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(20), async {
        while spool.begin().is_ok() {
            tokio::task::yield_now().await;
        }
    });
    assert!(refused.await.is_ok(), "the answer about free space never grew old");
    fs::remove_file(&ballast).unwrap();
    let taken = tokio::time::timeout(Duration::from_secs(20), async {
        while spool.begin().is_err() {
            tokio::task::yield_now().await;
        }
    });
    assert!(taken.await.is_ok(), "it did not recover by itself");
    spool.close().await;
    // Before the disk goes.
    drop(spool);
}

#[tokio::test(flavor = "multi_thread")]
async fn e12_too_few_inodes_are_called_so() {
    let Some(mounted) = Mounted::new("size=8m,nr_inodes=110") else {
        println!("skipped: only root can mount a small file system");
        return;
    };
    let spool = open(&mounted.0.path().join("spool"), at(0));
    for n in 0..20 {
        fs::write(mounted.0.path().join(format!("file-{n}")), "").unwrap();
    }
    let error = spool.begin().unwrap_err();
    assert!(matches!(error, SpoolError::InodeReserve { free: 1..100, reserve: 100 }), "{error}");
    assert!(error.to_string().contains("inodes") && !error.to_string().contains("bytes"), "{error}");
    spool.close().await;
    // Before the disk goes.
    drop(spool);
}

#[test]
fn e12_a_queue_that_cannot_be_opened_for_lack_of_room_says_what_helps() {
    let Some(mounted) = Mounted::new("size=1m") else {
        println!("skipped: only root can mount a small file system");
        return;
    };
    let full = fs::write(mounted.0.path().join("ballast"), vec![0; 2_000_000]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let error = Engine::open(options(&mounted.0.path().join("spool")), at(0)).unwrap_err().to_string();
    assert!(error.contains("queue.db: the disk is full; free some space"), "{error}");
}
