//! What is wrong in a file is said all at once, in its place, with what would be right.

use crate::server::{Node, failed, run};

fn complaints(text: &str) -> String {
    let node = Node::new(text);
    let output = run(node.folder.path(), &["check", "config", "--config", "posthouse.toml"], "");
    assert_eq!(output.status.code(), Some(2), "a wrong configuration has its own exit code");
    failed(&["check", "config"], &output)
}

#[test]
fn every_mistake_at_once() {
    insta::assert_snapshot!(complaints(
        r#"hostnmae = "mx.example.net"
hostname = "mx example"
data_dir = 5

[[listener]]
service = "smpt"
address = ["0.0.0.0:25", "127.0.0.1"]
tls = "start"
proxy_networks = ["10.0.0.0/33"]

[[listener]]
service = "lmtp"
address = "127.0.0.1:25"
trusted_networks = ["10.1.0.0/8"]

[[listener]]
address = "[::]:25"
message_size = "5 MB"

[[listener]]
service = "http"
address = "127.0.0.1:8025"
tls = "implicit"

[limits]
message_size = "50 MiB"
recipients_per_message = 5
command_deadline = "0s"
disk_reserve = true

[[route]]
to = "relay"
accounts = ["yandex"]
username = "me"

[[route]]
to = "lmtp"
host = "unix:/run/dovecot/lmtp"

[[route]]
to = "mx"
host = "127.0.0.1:2526"
recipients = ["a b", "*.example.net"]

[delivery]
retry = ["1m", "x"]
expire = "5 days"

[store]
url = "postgres://localhost/posthouse"

[logs]
format = "xml"
"#
    ));
}

#[test]
fn broken_syntax() {
    insta::assert_snapshot!(complaints("hostname = mx.example.net\n[[listener]\nservice = \"mx\"\n"));
}

#[test]
fn a_table_written_wrongly() {
    insta::assert_snapshot!(complaints("limits = 5\n[listener]\nservice = \"mx\"\n"));
}

#[test]
fn nobody_could_connect() {
    insta::assert_snapshot!(complaints("hostname = \"mx.example.net\"\n"));
}

#[test]
fn certificate_and_key() {
    let node = Node::new("");
    let check = |tls: &str| {
        node.configure(&format!("[[listener]]\nservice = \"mx\"\naddress = \"127.0.0.1:2525\"\n[tls]\n{tls}"));
        let output = run(node.folder.path(), &["check", "--config", "posthouse.toml"], "");
        failed(&["check"], &output)
    };
    std::fs::write(node.folder.path().join("empty.pem"), "").expect("a file");
    let complaint = check("certificate = \"nowhere.pem\"\nkey = \"empty.pem\"\n");
    assert!(complaint.contains("posthouse.toml:5:15: cannot read nowhere.pem"), "{complaint}");
    assert!(complaint.contains("5 | certificate = \"nowhere.pem\""), "{complaint}");
    let complaint = check("certificate = \"empty.pem\"\nkey = \"empty.pem\"\n");
    assert!(complaint.contains("empty.pem holds no certificate: expected PEM text"), "{complaint}");
    let complaint = check("certificate = \"empty.pem\"\n");
    assert!(complaint.contains("a certificate without its key"), "{complaint}");
    let complaint = check("authorities = \"empty.pem\"\n");
    assert!(complaint.contains("posthouse.toml:5:15: "), "{complaint}");
}

#[test]
fn files_that_cannot_be_read() {
    let node = Node::new("");
    let folder = node.folder.path();
    let complaint = |file: &str| failed(&["check"], &run(folder, &["check", "config", "--config", file], ""));
    assert!(
        complaint("nowhere.toml").contains("cannot read the configuration file nowhere.toml: there is no such file")
    );
    assert!(complaint(".").contains("it is a directory"));
    std::fs::write(folder.join("latin.toml"), b"hostname = \"a\"\n# \xff\n").expect("a file");
    assert!(complaint("latin.toml").contains("line 2 is not UTF-8 text"));
}

#[test]
fn a_good_file() {
    let node = Node::new(include_str!("../../../../docs/reference/sample.toml"));
    let said = node.ok(&["check", "config"]);
    assert!(said.contains(": good. "), "{said}");
}

#[test]
fn a_password_file_is_read_at_the_start() {
    let node = Node::new("");
    let route = "[[listener]]\nservice = \"mx\"\naddress = \"127.0.0.1:2525\"\n[[route]]\nto = \"relay\"\n\
                 host = \"127.0.0.1:2526\"\nusername = \"me\"\npassword_file = \"secret\"\n";
    node.configure(route);
    let complaint = node.fails(&["check"]);
    assert!(complaint.contains("cannot read the password file") && complaint.contains("secret"), "{complaint}");
    std::fs::write(node.folder.path().join("secret"), "\n").expect("a file");
    let complaint = node.fails(&["check"]);
    assert!(complaint.contains("the first line of the password file") && complaint.contains("is empty"), "{complaint}");
    std::fs::write(node.folder.path().join("secret"), "open sesame\n").expect("a file");
    node.ok(&["check"]);
}
