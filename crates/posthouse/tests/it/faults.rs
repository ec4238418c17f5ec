//! What is wrong with the machine is a sentence: what, where, what to do. Nothing is lost.

use std::{net::TcpListener, process::Command};

use crate::{
    http,
    server::{Node, Server, configuration, eventually, run},
    smtp::Smtp,
};

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let node = Node::new(&configuration("").replacen("127.0.0.1:0", &address, 1));
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(1));
    assert!(log.contains(&format!("cannot listen on {address}: the port is in use")), "{log}");
    assert!(log.contains("ss -ltnp"), "it says how to find out who has it: {log}");
}

#[test]
fn the_sandbox_says_how_to_change_its_ports() {
    // Whoever has the port, this test or another program: it is taken.
    let _taken = TcpListener::bind("127.0.0.1:2525");
    let node = Node::new("");
    let (code, log) = Server::spawn(node.folder.path(), &["serve"]).wait();
    assert_eq!(code, Some(1));
    assert!(log.contains("127.0.0.1:2525") && log.contains("--config"), "{log}");
}

#[test]
fn a_data_dir_that_cannot_be_made() {
    let node = Node::new(&configuration("").replace("data_dir = \"data\"", "data_dir = \"file/data\""));
    std::fs::write(node.folder.path().join("file"), "").expect("a file");
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(1));
    assert!(log.contains("file/data"), "{log}");
}

#[test]
fn a_command_that_has_the_directory_for_a_moment_is_waited_for() {
    let node = Node::new(&configuration(""));
    let lock = spool::Lock::take(&node.data()).expect("nobody has it");
    let server = node.spawn();
    server.wait_for("waiting for data_dir");
    drop(lock);
    server.wait_for("ready");
}

#[test]
fn a_server_that_has_the_directory_is_not() {
    let node = Node::new(&configuration(""));
    let first = node.serve();
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(1));
    assert!(log.contains(&format!("held by process {}", first.id())) && !log.contains("waiting"), "{log}");
}

#[test]
fn a_lost_store_is_not_begun_anew_in_silence() {
    let node = Node::new(&configuration(""));
    node.ok(&["domain", "add", "test.example"]);
    assert!(node.serve().stop());
    let store = node.data().join("posthouse.db");
    for lost in ["missing", "empty"] {
        std::fs::remove_file(&store).expect("it was there");
        if lost == "empty" {
            std::fs::write(&store, "").expect("a file");
        }
        let (code, log) = node.spawn().wait();
        assert_eq!(code, Some(1));
        assert!(log.contains(&format!("posthouse.db is {lost}")) && log.contains("restore it"), "{log}");
        // What the sentence says helps.
        node.ok(&["domain", "add", "test.example"]);
        assert!(node.serve().stop());
    }
}

#[test]
fn a_lost_queue_is_not_begun_anew_in_silence() {
    let node = Node::new(&configuration("[[route]]\nto = \"hold\"\n"));
    node.ok(&["domain", "add", "test.example"]);
    node.add_user("ann@test.example", "one two three");
    let server = node.serve();
    let letter = format!("Subject: large\r\n\r\n{}", "text\r\n".repeat(100_000));
    Smtp::connect(server.address("mx")).mail("a@far.example", &["ann@test.example"], &letter);
    server.kill();
    let spool = node.data().join("spool");
    let names = |folder: &str| {
        let entries = std::fs::read_dir(spool.join(folder)).expect("a folder").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| (entry.file_name(), entry.metadata().map(|it| it.len()).ok())).collect();
        names.sort();
        names
    };
    std::fs::write(spool.join("queue.db"), "").expect("it is emptied");
    let before = (names(""), names("content"));
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(1));
    assert!(log.contains("queue.db is empty") && log.contains("move"), "{log}");
    assert_eq!((names(""), names("content")), before, "nothing was touched");
    // What the sentence says helps.
    std::fs::rename(&spool, node.data().join("spool-of-yesterday")).expect("it is moved");
    let server = node.serve();
    Smtp::connect(server.address("mx")).mail("a@far.example", &["ann@test.example"], "Subject: x\r\n\r\nx");
}

#[test]
fn a_key_that_is_none() {
    let node = Node::new(&configuration("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n"));
    std::fs::write(node.folder.path().join("cert.pem"), "not PEM").expect("a file");
    std::fs::write(node.folder.path().join("key.pem"), "not PEM").expect("a file");
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(2));
    assert!(log.contains("holds no certificate"), "{log}");
}

#[test]
fn a_foreign_file_in_the_place_of_the_queue_is_set_aside() {
    let node = Node::new(&configuration(""));
    let spool = node.data().join("spool");
    std::fs::create_dir_all(&spool).expect("a folder");
    std::fs::write(spool.join("queue.db"), "this is a shopping list, not a database".repeat(100)).expect("a file");
    let server = node.serve();
    let line = server.wait_for("set aside");
    assert!(line.contains("queue.db"), "{line}");
    let kept = std::fs::read_dir(&spool).expect("a folder").flatten().any(|entry| {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        bytes.starts_with(b"this is a shopping list")
    });
    assert!(kept, "the file is kept for a look");
    assert!(http::get(server.address("http"), "/healthz").contains("200 OK"));
}

#[test]
fn a_full_disk_refuses_mail_and_says_so() {
    let text = configuration("").replace("disk_reserve = \"1 MB\"", "disk_reserve = \"1000000 TB\"");
    let node = Node::new(&text);
    let server = node.serve();
    let mut session = Smtp::connect(server.address("mx"));
    session.say("MAIL FROM:<a@far.example>", "452 4.3.1");
}

/// A small file system of its own, unmounted when dropped. Only root can have one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.0.path()).status();
        assert!(done.is_ok_and(|status| status.success()), "the small file system stays mounted");
    }
}

#[test]
fn a_shortage_is_told_once_when_it_begins_and_once_when_it_ends() {
    let Some(disk) = SmallDisk::new() else {
        println!("skipped: only root can mount a small file system");
        return;
    };
    let data = disk.0.path().join("data");
    let text = configuration("[[route]]\nto = \"capture\"\n")
        .replace("data_dir = \"data\"", &format!("data_dir = \"{}\"", data.display()));
    let node = Node::new(&text);
    node.ok(&["domain", "add", "test.example"]);
    node.add_user("ann@test.example", "open sesame");
    let server = node.serve();
    let ballast = disk.0.path().join("ballast");
    let room = std::fs::write(&ballast, vec![0; 20_000_000]).expect_err("16 MB are full");
    assert_eq!(room.kind(), std::io::ErrorKind::StorageFull);
    let mut session = Smtp::connect(server.address("mx"));
    // What was known of the disk is good for a moment.
    eventually("the refusal", || {
        session.send("RSET\r\nMAIL FROM:<a@far.example>\r\n").expect("it is connected");
        session.expect("250");
        session.reply().expect("a reply").starts_with("452 4.3.1").then_some(())
    });
    for _ in 0..10 {
        session.say("MAIL FROM:<a@far.example>", "452 4.3.1");
    }
    std::fs::remove_file(&ballast).expect("it is there");
    // The end is seen though nobody comes.
    server.wait_for("there is room again");
    session.mail("a@far.example", &["ann@test.example"], "Subject: x\r\n\r\ny");
    server.signal("TERM");
    let (_, log) = server.wait();
    let told = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((told("no new mail is taken"), told("room again"), told("refused")), (1, 1, 0), "{log}");
    assert!(log.contains("bytes free"), "{log}");
}

#[test]
fn hostile_text_stays_on_its_line_of_the_log() {
    let text = configuration("").replace("format = \"json\"", "format = \"text\"\nlevel = \"trace\"");
    let node = Node::new(&text);
    let server = node.spawn();
    let line = server.wait_for("service=mx");
    server.wait_for("ready");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("address=")).expect("an address");
    let mut session = Smtp::open(address.parse().expect("an address")).expect("it listens");
    session.expect("220");
    session.send("EHLO \x1b[2Jx\u{202e}y\r\nMAIL FROM:<\x07a@b\u{2028}>\r\nQUIT\r\n").expect("it is connected");
    while session.reply().is_ok() {}
    server.signal("TERM");
    let (_, log) = server.wait();
    for line in log.lines() {
        assert!(!line.contains(['\x1b', '\u{202e}', '\x07', '\u{2028}']), "{line:?}");
        assert!(line.starts_with("20"), "every line begins with its time: {line:?}");
    }
}

#[test]
fn an_unknown_option_is_explained() {
    let node = Node::new("");
    let output = run(node.folder.path(), &["serve", "--confg", "x"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--config"));
}
