//! From a client to whoever is next: captured, relayed, bounced, waiting.

use serde_json::Value;

use crate::{
    http,
    server::{Node, configuration, eventually, succeeded},
    smtp::{Smtp, id_of},
};

const CAPTURE: &str = "[[route]]\nto = \"capture\"\n";

/// A node that takes mail for test.example and for Ann there.
fn node(extra: &str) -> Node {
    let node = Node::new(&configuration(extra));
    node.ok(&["domain", "add", "test.example"]);
    node.add_user("ann@test.example", "open sesame");
    node
}

/// The state of a message's only recipient, once it is `state`.
fn wait_for_state(node: &Node, id: &str, state: &str) -> Value {
    eventually(state, || {
        let shown = node.json(&["queue", "show", id]);
        (shown["recipients"][0]["state"] == state).then_some(shown)
    })
}

#[test]
fn a_letter_is_captured_and_shown() {
    let node = node(CAPTURE);
    let server = node.serve();
    let mut session = Smtp::connect(server.address("mx"));
    let letter = "From: <a@far.example>\r\nSubject: <script>alert(1)</script>\r\n\r\nIt works.";
    let id = session.mail("a@far.example", &["ann@test.example"], letter);
    let shown = wait_for_state(&node, &id, "delivered");
    assert_eq!(shown["reverse_path"], "a@far.example");
    assert_eq!(shown["recipients"][0]["address"], "ann@test.example");
    assert_eq!(shown["service"], "mx");
    let list = http::get(server.address("http"), "/");
    assert!(list.starts_with("HTTP/1.1 200"), "{list}");
    assert!(list.contains(&id) && list.contains("ann@test.example"), "{list}");
    assert!(!list.contains("<script>"), "{list}");
    let page = http::get(server.address("http"), &format!("/captured/{id}"));
    assert!(page.contains("It works.") && page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
    assert!(http::get(server.address("http"), "/healthz").contains("200 OK"));
    let metrics = http::get(server.address("http"), "/metrics");
    for name in ["inbound_messages_total", "spool_committed_total", "outbound_outcomes_total"] {
        assert!(metrics.contains(&format!("# HELP posthouse_{name} ")), "{metrics}");
    }
}

/// Two nodes: the first relays far.example to the second, which knows Bob there.
fn pair() -> (Node, Node, crate::server::Server, crate::server::Server) {
    let second = Node::new(&configuration(CAPTURE));
    second.ok(&["domain", "add", "far.example"]);
    second.add_user("bob@far.example", "unused here");
    let second_server = second.serve();
    let first = node(&format!(
        "[[route]]\nrecipients = [\"far.example\"]\nto = \"relay\"\nhost = \"{}\"\n{CAPTURE}",
        second_server.address("mx")
    ));
    let first_server = first.serve();
    (first, second, first_server, second_server)
}

/// An alias of one node leads to a mailbox of another; the notification finds its way back through both.
#[test]
fn an_alias_elsewhere_is_passed_on_under_our_name() {
    let (first, _second, first_server, second_server) = pair();
    first.ok(&["alias", "add", "bob@test.example", "bob@far.example"]);
    let mut session = Smtp::connect(first_server.address("mx"));
    let id = session.mail("carol@third.example", &["bob@test.example"], "From: <carol@third.example>\r\n\r\nhi");
    let shown = wait_for_state(&first, &id, "delivered");
    assert_eq!(shown["reverse_path"], "carol@third.example", "the queue knows the sender");
    let path = eventually("the letter at the second node", || {
        let list = http::get(second_server.address("http"), "/");
        let (_, rest) = list.split_once("SRS0=")?;
        rest.split_once("@test.example").map(|(middle, _)| format!("SRS0={middle}@test.example"))
    });
    assert!(path.ends_with("=third.example=carol@test.example"), "{path}");
    session.say("MAIL FROM:<>", "250");
    session.say(&format!("RCPT TO:<{}>", path.replace("carol", "mallory")), "550 5.7.1");
    session.say(&format!("RCPT TO:<{path}>"), "250");
}

/// Ann writes through submission with TLS and AUTH; returns the id and the conversation.
fn ann_writes(node: &Node, submission: std::net::SocketAddr, to: &str) -> (String, String) {
    let submission = submission.to_string();
    let arguments = [
        "send",
        "--server",
        &submission,
        "--tls",
        "implicit",
        "--auth-user",
        "ann@test.example",
        "--password-stdin",
        "--from",
        "ann@test.example",
        "--to",
        to,
        "--subject",
        "Hello",
        "--body",
        "It works.",
    ];
    let said = succeeded(&arguments, &node.run_with_input(&arguments, "open sesame\n"));
    let line = said.lines().find(|line| line.contains("msg_")).unwrap_or_else(|| panic!("no id in {said}"));
    (id_of(line), said.clone())
}

#[test]
fn a_letter_is_relayed_to_another_server() {
    let (first, _second, first_server, second_server) = pair();
    let (id, said) = ann_writes(&first, first_server.address("submission"), "bob@far.example");
    assert!(said.contains("MAIL FROM:<ann@test.example>") && said.contains("<redacted>"), "{said}");
    assert!(!said.contains("sesame"), "{said}");
    let shown = wait_for_state(&first, &id, "delivered");
    let reply = &shown["recipients"][0]["last_reply"];
    assert_eq!(reply["code"], 250);
    let there = id_of(reply["text"].as_str().expect("a text"));
    let page = http::get(second_server.address("http"), &format!("/captured/{there}"));
    assert!(page.contains("It works.") && page.contains("ESMTPSA") || page.contains("ESMTPS"), "{page}");
    assert!(page.contains("Message-ID"), "submission repairs a letter: {page}");
}

#[test]
fn a_bounce_comes_back() {
    let (first, _second, first_server, _second_server) = pair();
    let (id, _) = ann_writes(&first, first_server.address("submission"), "nobody@far.example");
    let shown = wait_for_state(&first, &id, "bounced");
    let recipient = &shown["recipients"][0];
    assert_eq!((&recipient["last_reply"]["stage"], &recipient["last_reply"]["code"]), (&"rcpt".into(), &550.into()));
    assert_eq!((&recipient["class"], &recipient["kind"]), (&"unknown_user".into(), &"hard".into()));
    let last = shown["history"].as_array().and_then(|history| history.last()).expect("a history");
    let transcript = last["transcript"].as_array().expect("the conversation of a failure is kept");
    assert!(
        transcript.iter().any(|line| line["text"].as_str().is_some_and(|text| text.contains("nobody@far.example")))
    );
    let page = first.ok(&["queue", "show", &id]);
    assert!(page.contains("bounced") && page.contains("C: RCPT TO:<nobody@far.example>"), "{page}");
    let report = eventually("the report", || {
        let list = http::get(first_server.address("http"), "/");
        list.contains("ann@test.example").then_some(list)
    });
    let start = report.find("/captured/msg_").expect("a link to the report") + "/captured/".len();
    let raw = http::get(first_server.address("http"), &format!("/captured/{}/raw", &report[start..start + 36]));
    assert!(raw.contains("message/delivery-status") && raw.contains("Final-Recipient"), "{raw}");
}

/// Whoever greps the log for an id finds the whole road of a message under one name: `id`, and `delivery` for a
/// recipient's.
#[test]
fn a_message_has_one_name_in_the_log() {
    let (first, _second, first_server, _second_server) = pair();
    let (relayed, _) = ann_writes(&first, first_server.address("submission"), "bob@far.example");
    wait_for_state(&first, &relayed, "delivered");
    let (bounced, _) = ann_writes(&first, first_server.address("submission"), "nobody@far.example");
    wait_for_state(&first, &bounced, "bounced");
    first_server.signal("TERM");
    let (_, log) = first_server.wait();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for line in &lines {
        for (name, value) in line.as_object().expect("an object") {
            let text = value.as_str().unwrap_or_default();
            // The report about a message is a message, too: in the line that ties the two, both have a name.
            let allowed: &[&str] = match text.get(..4) {
                Some("msg_") => &["id", "notification"],
                Some("rcp_") => &["delivery"],
                _ => continue,
            };
            assert!(allowed.contains(&name.as_str()), "{name} in {line}");
        }
    }
    for (id, said) in [(&relayed, "delivered"), (&bounced, "bounced")] {
        let about: Vec<_> =
            lines.iter().filter(|line| line["id"] == id.as_str()).map(|line| &line["message"]).collect();
        assert!(about.contains(&&"message accepted".into()) && about.contains(&&said.into()), "{about:?}");
    }
}

#[test]
fn what_waits_can_be_seen_and_moved() {
    let node = node(
        "[[route]]\nrecipients = [\"dead.example\"]\nto = \"relay\"\nhost = \"127.0.0.1:1\"\n[[route]]\nto = \"capture\"\n",
    );
    let server = node.serve();
    let (id, _) = ann_writes(&node, server.address("submission"), "x@dead.example");
    let shown = wait_for_state(&node, &id, "deferred");
    let recipient = &shown["recipients"][0];
    assert_eq!(recipient["attempts"], 1);
    assert!(recipient["next_due"].is_string(), "{recipient}");
    assert_eq!(recipient["last_reply"]["stage"], "connect");

    let listed = node.json(&["queue", "list", "--domain", "dead.example", "--state", "deferred"]);
    assert_eq!(listed[0]["id"], id.as_str());
    assert_eq!(listed[0]["recipient"]["address"], "x@dead.example");
    assert_eq!(node.json(&["queue", "list", "--domain", "other.example"]), serde_json::json!([]));
    assert_eq!(node.json(&["queue", "list", "--older", "1h"]), serde_json::json!([]));
    let summary = node.json(&["queue", "summary"]);
    assert_eq!(summary["stopped"], Value::Null);
    let deferred = summary["states"].as_array().expect("a list").iter().find(|row| row["state"] == "deferred");
    assert_eq!(deferred.expect("one is deferred")["count"], 1);

    assert_eq!(node.json(&["queue", "hold", "--to", "@dead.example"])["changed"], 1);
    wait_for_state(&node, &id, "held");
    assert_eq!(node.json(&["queue", "hold", "--from", "stranger@x.example"])["changed"], 0);
    assert_eq!(node.json(&["queue", "release", &id])["changed"], 1);
    let events = eventually("the release", || {
        let shown = node.json(&["queue", "show", &id]);
        let events: Vec<_> = shown["history"].as_array()?.iter().map(|event| event["event"].clone()).collect();
        events.contains(&"message.released".into()).then_some(events)
    });
    assert_eq!(events[..4], ["message.accepted", "message.deferred", "message.held", "message.released"]);
    assert_eq!(node.json(&["queue", "reroute", &id, "--to", "capture"])["changed"], 1);
    node.ok(&["queue", "retry", &id]);
    let shown = wait_for_state(&node, &id, "delivered");
    let history = shown["history"].as_array().expect("a history");
    let rerouted = history.iter().find(|event| event["event"] == "message.rerouted").expect("who sent it elsewhere");
    assert_eq!((&rerouted["address"], &rerouted["route"]), (&"x@dead.example".into(), &"capture".into()));
    assert!(history.iter().any(|event| event["event"] == "message.retried"), "{history:?}");
    assert!(node.ok(&["queue", "show", &id]).contains("x@dead.example  to capture"));
    let recipient = shown["recipients"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(node.json(&["queue", "show", &recipient])["id"], id.as_str());
    assert!(http::get(server.address("http"), "/").contains(&id));

    let (id, _) = ann_writes(&node, server.address("submission"), "y@dead.example");
    assert_eq!(node.json(&["queue", "cancel", &id])["changed"], 1);
    wait_for_state(&node, &id, "cancelled");
    // Lists of what is over come from the store, which gets the event a moment later.
    eventually("the list", || {
        let over = node.json(&["queue", "list", "--state", "cancelled"]);
        (over[0]["id"] == id.as_str()).then_some(())
    });
}

#[test]
fn history_survives_a_restart() {
    let node = node(CAPTURE);
    let server = node.serve();
    let id = Smtp::connect(server.address("mx")).mail("a@far.example", &["ann@test.example"], "Subject: x\r\n\r\ny");
    wait_for_state(&node, &id, "delivered");
    assert!(server.stop());
    let _server = node.serve();
    let shown = node.json(&["queue", "show", &id]);
    assert_eq!(shown["recipients"][0]["state"], "delivered");
    let events: Vec<_> = shown["history"].as_array().expect("a history").iter().map(|event| &event["event"]).collect();
    assert_eq!(events, ["message.accepted", "message.delivered"]);
}
