//! `posthouse check open-relay`, against our own server and against ones that are open.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::server::{Node, configuration, failed, run, succeeded};

/// What a server says to a recipient.
type Judge = fn(&str) -> &'static str;

/// A server that says what it is told to, and notes what it hears.
fn server(judge: Judge) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            serve(stream, judge, &notes);
        }
    });
    (address, heard)
}

fn serve(mut stream: TcpStream, judge: Judge, heard: &Mutex<Vec<String>>) {
    let reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes()).is_ok();
    say("220 mx.theirs.example ESMTP");
    for line in reader.lines() {
        let Ok(line) = line else { return };
        heard.lock().expect("nobody panics").push(line.clone());
        let reply = match line.split(' ').next() {
            Some("EHLO") => "250-mx.theirs.example\r\n250 PIPELINING",
            Some("RCPT") => judge(&line),
            Some("QUIT") => "221 Bye",
            _ => "250 Ok",
        };
        if !say(reply) || reply.starts_with("421") {
            return;
        }
    }
}

fn check(address: SocketAddr, json: &[&str]) -> std::process::Output {
    let server = address.to_string();
    let mut arguments = vec!["check", "open-relay", &server, "--to", "you@far.example", "--ehlo", "me.example"];
    arguments.extend(json);
    run(&std::env::temp_dir(), &arguments, "")
}

#[test]
fn our_own_server_is_closed_every_way() {
    let node = Node::new(&configuration(""));
    for domain in ["test.example", "mx.test.example"] {
        node.ok(&["domain", "add", domain]);
    }
    node.ok(&["domain", "add", "relay.example", "--relay"]);
    node.add_user("ann@test.example", "open sesame");
    node.ok(&["catch-all", "add", "mx.test.example", "ann@test.example"]);
    let server = node.serve();
    for domain in ["test.example", "mx.test.example", "relay.example"] {
        let output = check(server.address("mx"), &["--domain", domain, "--json"]);
        let said: serde_json::Value = serde_json::from_str(&succeeded(&[domain], &output)).expect("JSON");
        assert_eq!(said["open"], false);
        let ways = said["ways"].as_array().expect("a list");
        assert!(ways.len() >= 20);
        assert!(ways.iter().all(|way| way["finding"] == "closed"), "{said:#}");
    }
    assert_eq!(node.json(&["queue", "list"]), serde_json::json!([]));
}

#[test]
fn an_open_server_is_found_out_and_gets_no_mail() {
    let (address, heard) = server(|_| "250 Ok");
    let output = check(address, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("IS AN OPEN RELAY") && said.contains("open: plainly"), "{said}");
    assert!(said.contains("C: RCPT TO:<you@far.example>") && said.contains("S: 250 Ok"), "{said}");
    let heard = heard.lock().expect("nobody panics");
    let recipients = heard.iter().filter(|line| line.starts_with("RCPT")).count();
    let resets = heard.iter().filter(|line| *line == "RSET").count();
    assert_eq!(recipients, resets, "each is taken back");
    assert!(!heard.iter().any(|line| line.starts_with("DATA") || line.starts_with("BDAT")));
}

#[test]
fn one_way_is_enough() {
    let (address, _) = server(|line| if line.contains("!you@theirs.example") { "250 Ok" } else { "550 No" });
    let output = check(address, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let open: Vec<_> = said["ways"].as_array().expect("a list").iter().filter(|way| way["finding"] == "open").collect();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["recipient"], "<far.example!you@theirs.example>");
    assert_eq!(
        open[0]["conversation"][0],
        serde_json::json!({"side": "client", "text": "MAIL FROM:<posthouse-check@far.example>"})
    );
}

#[test]
fn who_takes_any_name_is_not_accused() {
    let (address, _) = server(|line| if line.ends_with("@theirs.example>") { "250 Ok" } else { "550 No" });
    let said = succeeded(&[], &check(address, &[]));
    assert!(said.contains("is no open relay") && said.contains("unclear, for it takes any name"), "{said}");
}

#[test]
fn who_says_come_later_is_not_cleared() {
    let (address, _) = server(|line| if line.contains('%') { "450 Later" } else { "550 No" });
    let output = check(address, &[]);
    assert_eq!(output.status.code(), Some(3));
    let (address, _) = server(|_| "421 Too many errors");
    assert_eq!(check(address, &[]).status.code(), Some(3));
}

#[test]
fn nobody_there_is_said() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let output = check(address, &[]);
    assert!(failed(&[], &output).contains("cannot talk to"));
}
