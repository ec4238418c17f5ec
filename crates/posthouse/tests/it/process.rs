//! As whom the server runs, what it may, and what others can read: the real process, asked through `/proc`.
//!
//! What needs root runs where root runs the tests.

use std::{
    fs,
    net::TcpListener,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt as _, PermissionsExt as _, chown},
            net::UnixDatagram,
        },
    },
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    server::{BINARY, DEADLINE, Node, Server, configuration},
    smtp::Smtp,
};

/// An account that every system has, and that owns nothing here.
const NOBODY: u32 = 65_534;

fn are_we_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// A line of `/proc/PID/status`, its words.
fn status(server: &Server, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("the kernel says it");
    line.split_whitespace().map(str::to_owned).collect()
}

/// A node for a user who is nobody, in a folder that he can enter.
fn nobodys(extra: &str) -> Node {
    let keys = format!("user = \"{NOBODY}\"\ngroup = \"{NOBODY}\"\n");
    let node = Node::new(&format!("{keys}{}", configuration(extra)));
    set_mode(node.folder.path(), 0o755);
    node
}

#[test]
fn root_binds_and_becomes_nobody() {
    if !are_we_root() {
        return;
    }
    let node = nobodys("");
    // Port 24 needs a privilege, and no service that a test could meet has it.
    let config = fs::read_to_string(node.config()).expect("a file");
    node.configure(&config.replacen("127.0.0.1:0", "127.7.7.7:24", 1));
    let server = node.serve();
    server.wait_for("root is given up");
    let id = NOBODY.to_string();
    assert_eq!(status(&server, "Uid"), [id.as_str(); 4]);
    assert_eq!(status(&server, "Gid"), [id.as_str(); 4]);
    assert!(status(&server, "Groups").is_empty());
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(&server, set), ["0000000000000000"], "{set}");
    }
    assert_eq!(status(&server, "NoNewPrivs"), ["1"]);
    for task in fs::read_dir(format!("/proc/{}/task", server.id())).expect("it runs") {
        let text = fs::read_to_string(task.expect("a thread").path().join("status")).expect("it runs");
        assert!(
            text.contains(&format!("Uid:\t{id}\t{id}\t{id}\t{id}\n")) && text.contains("CapPrm:\t0000000000000000"),
            "{text}"
        );
    }
    Smtp::connect(server.address("mx"));
    let data = node.data();
    assert_eq!(mode(&data), 0o700);
    for entry in ["", "secret.key", "posthouse.db", "spool", "spool/queue.db", "control.sock"] {
        assert_eq!(fs::metadata(data.join(entry)).expect(entry).uid(), NOBODY, "{entry}");
    }
    // A command of root works as the owner of the files, with and without the server.
    node.ok(&["domain", "add", "one.example"]);
    assert!(server.stop());
    node.ok(&["domain", "add", "two.example"]);
    for entry in fs::read_dir(&data).expect("a folder") {
        let entry = entry.expect("an entry");
        assert_eq!(entry.metadata().expect("it is there").uid(), NOBODY, "{}", entry.path().display());
    }
    assert!(node.serve().stop(), "and the server starts again on what the command left");
}

#[test]
fn a_command_before_the_first_start_leaves_the_directory_to_the_account() {
    if !are_we_root() {
        return;
    }
    for made_by_root in [false, true] {
        let node = nobodys("");
        if made_by_root {
            fs::create_dir(node.data()).expect("a folder");
        }
        node.ok(&["domain", "add", "one.example"]);
        for entry in ["", "secret.key", "posthouse.db"] {
            assert_eq!(fs::metadata(node.data().join(entry)).expect(entry).uid(), NOBODY, "{entry}");
        }
        assert!(node.serve().stop());
    }
}

#[test]
fn what_another_user_has_made_is_complained_about() {
    if !are_we_root() {
        return;
    }
    let node = nobodys("");
    assert!(node.serve().stop());
    chown(node.data().join("posthouse.db"), Some(0), Some(0)).expect("we are root");
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(1));
    assert!(log.contains("posthouse.db") && log.contains(&format!("chown -R {NOBODY}:")), "{log}");
}

#[test]
fn a_key_that_the_account_cannot_read_stops_the_start() {
    if !are_we_root() {
        return;
    }
    let made = Node::new(&configuration(""));
    assert!(made.serve().stop());
    let node = nobodys("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    for name in ["cert.pem", "key.pem"] {
        fs::copy(made.data().join("tls").join(name), node.folder.path().join(name)).expect("a file");
    }
    let key = node.folder.path().join("key.pem");
    set_mode(&node.folder.path().join("cert.pem"), 0o644);
    set_mode(&key, 0o600);
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(1));
    assert!(log.contains("cannot read") && log.contains("key.pem") && log.contains("chmod 640"), "{log}");
    chown(&key, Some(0), Some(NOBODY)).expect("we are root");
    set_mode(&key, 0o640);
    let server = node.serve();
    assert!(server.stop());
}

#[test]
fn a_configuration_that_a_reload_cannot_read_is_warned_of() {
    if !are_we_root() {
        return;
    }
    let node = nobodys("");
    set_mode(&node.config(), 0o600);
    let server = node.serve();
    server.wait_for("a reload (SIGHUP) will not take a new one");
    assert!(server.stop());
}

#[test]
fn root_stays_root_with_a_word_and_is_warned_without() {
    if !are_we_root() || fs::read_to_string("/etc/passwd").is_ok_and(|passwd| passwd.contains("\nposthouse:")) {
        return;
    }
    let node = Node::new(&configuration(""));
    let server = node.serve();
    server.wait_for("running as root");
    // CAP_DAC_OVERRIDE alone.
    assert_eq!(status(&server, "CapEff"), ["0000000000000002"]);
    assert!(server.stop());
    let node = Node::new(&format!("user = \"root\"\n{}", configuration("")));
    let server = node.serve();
    assert_eq!(status(&server, "Uid"), ["0"; 4]);
    server.signal("TERM");
    let (code, log) = server.wait();
    assert!(code == Some(0) && !log.contains("running as root"), "{log}");
}

#[test]
fn an_account_that_is_not_there() {
    let node = Node::new(&format!("user = \"nobody-of-that-name\"\n{}", configuration("")));
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(1));
    assert!(log.contains("no user `nobody-of-that-name`"), "{log}");
}

#[test]
fn it_leaves_no_core_dump_and_no_file_for_others() {
    let node = Node::new(&configuration(""));
    fs::create_dir(node.data()).expect("a folder");
    set_mode(&node.data(), 0o755);
    let server = node.serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).expect("it runs");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    server.wait_for("(mode 755); close it: chmod 700");
    for entry in fs::read_dir(node.data()).expect("a folder") {
        let entry = entry.expect("an entry").path();
        assert_eq!(mode(&entry) & 0o077, 0, "{}", entry.display());
    }
}

#[test]
fn secrets_that_others_can_read_are_named() {
    let node = Node::new(&configuration(
        "[[route]]\nto = \"relay\"\nhost = \"127.0.0.1:2\"\nusername = \"me\"\npassword_file = \"relay.password\"\n",
    ));
    let password = node.folder.path().join("relay.password");
    fs::write(&password, "open sesame\n").expect("a file");
    set_mode(&password, 0o644);
    let checked = node.ok(&["check", "config"]);
    assert!(checked.contains("relay.password, the password file, is open to everybody"), "{checked}");
    assert_eq!(node.json(&["check", "config"])["warnings"].as_array().map(Vec::len), Some(1));
    let server = node.serve();
    server.wait_for("chmod 600");
    assert!(server.stop());
    set_mode(&password, 0o600);
    assert!(!node.ok(&["check", "config"]).contains("warning"));
    set_mode(&node.data().join("secret.key"), 0o644);
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(1));
    assert!(log.contains("secret.key") && log.contains("chmod 600"), "{log}");
    assert!(!log.contains("open sesame"));
}

/// Starts a server as systemd does: with sockets from descriptor 3 on, announced in the environment.
fn activated(node: &Node, listener: TcpListener, environment: &[(&str, &str)]) -> Server {
    // The shell moves the socket from standard input to its place; its process becomes the server.
    let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "sh", BINARY, "serve", "--config"])
        .arg(node.config())
        .envs(environment.iter().copied())
        .stdin(Stdio::from(OwnedFd::from(listener)));
    Server::start(&mut command, node.folder.path())
}

#[test]
fn sockets_are_taken_from_systemd_and_it_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    // Who connects before there is a server waits for it.
    let early = std::net::TcpStream::connect(address).expect("the kernel takes it");
    let node = Node::new(&configuration("").replacen("127.0.0.1:0", &address.to_string(), 1));
    let notify = node.folder.path().join("notify");
    let supervisor = UnixDatagram::bind(&notify).expect("a socket");
    supervisor.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let told = || {
        let mut text = [0; 200];
        let length = supervisor.recv(&mut text).expect("it tells");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let path = notify.to_str().expect("a plain path");
    let server = activated(&node, listener, &[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "300000")]);
    assert!(told().starts_with("READY=1\nMAINPID="));
    assert_eq!(server.address("mx"), address);
    Smtp::over(early).expect("it is a connection").expect("220");
    Smtp::connect(address);
    assert_eq!((told(), told()), ("WATCHDOG=1\n".into(), "WATCHDOG=1\n".into()));
    server.signal("HUP");
    let mut said = Vec::new();
    while !said.iter().any(|text: &String| text.starts_with("READY=1")) {
        said.push(told());
    }
    assert!(said.iter().any(|text| text.starts_with("RELOADING=1\nMONOTONIC_USEC=")), "{said:?}");
    server.signal("TERM");
    while !told().starts_with("STOPPING=1") {}
}

#[test]
fn a_socket_that_no_listener_has_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let node = Node::new(&configuration(""));
    let (code, log) = activated(&node, listener, &[]).wait();
    assert_eq!(code, Some(1));
    assert!(log.contains(&address.to_string()) && log.contains("no [[listener]] has that address"), "{log}");
}
