//! What an operator does to mail that waits.

use serde_json::{Value, json};

use crate::{
    server::{Node, Server, configuration, eventually},
    smtp::Smtp,
};

/// A node that holds all mail, with letters to two recipients each.
fn holding(letters: usize) -> (Node, Server, Vec<String>) {
    let node = Node::new(&configuration("[[route]]\nto = \"hold\"\n"));
    node.ok(&["domain", "add", "test.example"]);
    node.add_user("ann@test.example", "one two three");
    node.add_user("bob@test.example", "one two three");
    let server = node.serve();
    let mut session = Smtp::connect(server.address("mx"));
    let mut send = || session.mail("a@far.example", &["ann@test.example", "bob@test.example"], "Subject: x\r\n\r\nx");
    let ids: Vec<String> = (0..letters).map(|_| send()).collect();
    eventually("all held", || (list(&node, &["--state", "held"]).len() == letters * 2).then_some(()));
    (node, server, ids)
}

fn list(node: &Node, which: &[&str]) -> Vec<Value> {
    let arguments = [&["queue", "list"], which].concat();
    node.json(&arguments).as_array().expect("a list").clone()
}

fn changed(node: &Node, arguments: &[&str]) -> u64 {
    node.json(&[&["queue"], arguments].concat())["changed"].as_u64().expect("a number")
}

#[test]
fn ids_of_messages_and_of_recipients_can_be_mixed() {
    let (node, _server, ids) = holding(2);
    let [first, second] = ids.as_slice() else { panic!("two letters") };
    let rows = list(&node, &[second]);
    let recipient = rows[0]["recipient"]["id"].as_str().expect("an id");
    assert_eq!(list(&node, &[first, recipient]).len(), 3);
    assert_eq!(list(&node, &[second, recipient]).len(), 2, "nothing is listed twice");
    assert_eq!(changed(&node, &["cancel", first, recipient]), 3);
    assert_eq!(list(&node, &["--state", "held"]).len(), 1);
}

#[test]
fn another_route_is_for_now() {
    // Nobody listens there: the first attempt fails, and the next one is minutes away.
    let node = Node::new(&configuration("[[route]]\nto = \"relay\"\nhost = \"127.0.0.1:1\"\ntls = \"off\"\n"));
    node.ok(&["domain", "add", "test.example"]);
    node.add_user("ann@test.example", "one two three");
    let server = node.serve();
    let mut session = Smtp::connect(server.address("mx"));
    let id = session.mail("a@far.example", &["ann@test.example"], "Subject: x\r\n\r\nx");
    let state_of = || node.json(&["queue", "show", &id])["recipients"][0]["state"].clone();
    eventually("deferred", || (state_of() == "deferred").then_some(()));
    assert_eq!(changed(&node, &["reroute", &id, "--to", "capture"]), 1);
    eventually("delivered", || (state_of() == "delivered").then_some(()));
}

#[test]
fn nothing_to_do_says_why() {
    let (node, _server, ids) = holding(1);
    let id = ids[0].as_str();
    assert!(node.ok(&["queue", "hold", id]).contains("held already"));
    assert!(node.ok(&["queue", "retry", id]).contains("queue release"));
    assert!(node.ok(&["queue", "release", "--to", "nobody@test.example"]).contains("nothing that is held matches"));
    assert!(node.fails(&["queue", "reroute", id, "--to", "pigeon"]).contains("`pigeon` is no route"));
    assert!(node.fails(&["queue", "list", "--limit", "0"]).contains("--limit"));
}

#[test]
fn the_envelope_says_who_handed_it_in() {
    let (node, _server, ids) = holding(1);
    let shown = node.json(&["queue", "show", &ids[0]]);
    let origin = &shown["history"][0]["origin"];
    assert_eq!(
        (&origin["helo"], &origin["service"], &origin["user"]),
        (&json!("client.example"), &json!("mx"), &Value::Null)
    );
    let page = node.ok(&["queue", "show", &ids[0]]);
    assert!(page.contains("client    127.0.0.1:") && page.contains("calls itself client.example"), "{page}");
    assert!(page.lines().all(|line| line == line.trim_end()), "{page:?}");
}

#[test]
fn the_log_says_what_an_operator_did() {
    let (node, server, ids) = holding(1);
    node.ok(&["queue", "cancel", &ids[0], "--to", "ann@test.example"]);
    let line = server.wait_for("an operator changed the queue");
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["how"], &line["changed"]), (&json!("cancel"), &json!(1)));
    assert_eq!(line["which"], format!("{}, to ann@test.example", ids[0]));
}
