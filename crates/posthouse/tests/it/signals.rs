//! SIGTERM finishes what is in flight; SIGHUP takes the new certificate and configuration, or keeps the old one.

use net::{Clock, Connector as _, TcpConnector, tls};

use crate::{
    server::{DEADLINE, Node, configuration},
    smtp::{Smtp, id_of},
};

fn node() -> Node {
    let node = Node::new(&configuration("[[route]]\nto = \"hold\"\n"));
    node.ok(&["domain", "add", "test.example"]);
    node.add_user("ann@test.example", "open sesame");
    node
}

#[test]
fn a_transaction_in_flight_is_finished_before_the_end() {
    let node = node();
    let server = node.serve();
    let mut session = Smtp::connect(server.address("mx"));
    let mut idle = Smtp::connect(server.address("mx"));
    session.say("MAIL FROM:<a@far.example>", "250");
    session.say("RCPT TO:<ann@test.example>", "250");
    session.say("DATA", "354");
    session.send("Subject: half\r\n\r\nand ").expect("it is connected");
    server.signal("TERM");
    idle.expect("421");
    session.send("half\r\n.\r\n").expect("it is connected");
    let id = id_of(&session.expect("250"));
    assert!(session.reply().is_ok_and(|reply| reply.starts_with("421")), "then it says goodbye");
    let (code, log) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    let _server = node.serve();
    assert_eq!(node.json(&["queue", "show", &id])["id"], id.as_str());
}

#[test]
fn a_new_configuration_is_taken_at_once() {
    let node = node();
    let server = node.serve();
    let before = std::fs::read_to_string(node.config()).expect("a file");
    node.configure(&before.replace("mx.test.example", "new.test.example"));
    server.signal("HUP");
    server.wait_for("configuration reloaded");
    let mut session = Smtp::open(server.address("mx")).expect("it listens");
    let greeting = session.expect("220");
    assert!(greeting.contains("new.test.example"), "{greeting}");
}

#[test]
fn a_bad_configuration_is_reported_and_the_old_one_stays() {
    let node = node();
    let server = node.serve();
    let mut open = Smtp::connect(server.address("mx"));
    node.configure("[[listener]]\nservice = \"smpt\"\n");
    server.signal("HUP");
    let line = server.wait_for("the old configuration stays");
    assert!(line.contains("smpt") && line.contains("posthouse.toml:2:11"), "{line}");
    open.say("NOOP", "250");
    let mut session = Smtp::open(server.address("mx")).expect("it listens");
    assert!(session.expect("220").contains("mx.test.example"));
}

#[test]
fn the_port_of_a_listener_changes_with_a_restart_only() {
    let node = node();
    let server = node.serve();
    let before = std::fs::read_to_string(node.config()).expect("a file");
    node.configure(&before.replacen("127.0.0.1:0", "127.0.0.2:0", 1));
    server.signal("HUP");
    let line = server.wait_for("restart");
    assert!(line.contains("listener"), "{line}");
    Smtp::connect(server.address("mx"));
}

#[test]
fn who_the_server_is_changes_with_a_restart_only() {
    let node = node();
    let server = node.serve();
    let before = std::fs::read_to_string(node.config()).expect("a file");
    node.configure(&format!("user = \"root\"\n{before}"));
    server.signal("HUP");
    let line = server.wait_for("restart");
    assert!(line.contains("user and group"), "{line}");
}

/// A node's own certificate: certificate and key, made by a first start.
fn certificate() -> (Node, [std::path::PathBuf; 2]) {
    let node = node();
    assert!(node.serve().stop());
    let files = ["cert.pem", "key.pem"].map(|name| node.data().join("tls").join(name));
    (node, files)
}

/// Whether the server proves to be the owner of that certificate.
fn proves(address: std::net::SocketAddr, certificate: &std::path::Path) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let clock = Clock::system();
        let client = tls::Client::verified(Some(certificate), clock.clone()).expect("a certificate");
        let stream = TcpConnector::new().connect(address, None, clock.instant() + DEADLINE).await.expect("it listens");
        stream.start_tls_client(&client, "mx.test.example").await.is_ok()
    })
}

#[test]
fn a_new_certificate_is_served_and_a_bad_one_is_not_taken() {
    let (_first, first) = certificate();
    let (_second, second) = certificate();
    let node = Node::new(&configuration("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n"));
    let put = |files: &[std::path::PathBuf; 2]| {
        for (file, name) in files.iter().zip(["cert.pem", "key.pem"]) {
            std::fs::copy(file, node.folder.path().join(name)).expect("a file");
        }
    };
    put(&first);
    let server = node.serve();
    let address = server.address("submission");
    assert!(proves(address, &first[0]) && !proves(address, &second[0]));
    put(&second);
    server.signal("HUP");
    server.wait_for_new("configuration reloaded");
    assert!(proves(address, &second[0]) && !proves(address, &first[0]));
    // The certificate of one with the key of another.
    put(&[first[0].clone(), second[1].clone()]);
    server.signal("HUP");
    let line = server.wait_for_new("the old configuration stays");
    assert!(line.contains("does not belong to the certificate"), "{line}");
    assert!(proves(address, &second[0]));
}

#[test]
fn a_second_server_is_refused() {
    let node = node();
    let server = node.serve();
    let (code, log) = node.spawn().wait();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("another posthouse uses it"), "{log}");
    assert!(log.contains(&server.id().to_string()), "it names the process: {log}");
    Smtp::connect(server.address("mx"));
}
