//! What is typed and what it prints: shapes that scripts rely on, and sentences when something cannot be done.

use serde_json::json;

use crate::{
    server::{Node, configuration, failed, run, succeeded},
    smtp::Smtp,
};

#[test]
fn commands_of_later_versions_do_not_appear() {
    let node = Node::new("");
    let help = succeeded(&["--help"], &run(node.folder.path(), &["--help"], ""));
    for command in ["serve", "check", "domain", "dkim", "user", "alias", "catch-all", "queue", "send"] {
        assert!(help.contains(&format!("  {command}")), "{command} is missing in:\n{help}");
    }
    assert!(help.starts_with("An SMTP server and delivery engine\n"), "{help}");
    for later in ["campaign", "contact", "suppression", "demo", "trace", "backup", "reference"] {
        assert!(!help.contains(later), "{later} does not work yet, in:\n{help}");
    }
}

/// The directory's verbs, with whoever answers them.
fn edit_directory(node: &Node) {
    assert_eq!(node.json(&["domain", "list"]), json!([]));
    node.ok(&["domain", "add", "Test.Example"]);
    node.ok(&["domain", "add", "relay.example", "--relay"]);
    assert_eq!(
        node.json(&["domain", "list"]),
        json!([{"domain": "relay.example", "kind": "relay"}, {"domain": "test.example", "kind": "local"}])
    );
    node.add_user("ann@test.example", "one two three");
    assert_eq!(node.json(&["user", "list"]), json!([{"address": "ann@test.example"}]));
    node.ok(&["alias", "add", "info@test.example", "ann@test.example", "bob@far.example"]);
    assert_eq!(
        node.json(&["alias", "list"]),
        json!([{"address": "info@test.example", "targets": ["ann@test.example", "bob@far.example"]}])
    );
    node.ok(&["catch-all", "add", "test.example", "ann@test.example"]);
    assert_eq!(node.json(&["catch-all", "list"]), json!([{"domain": "test.example", "target": "ann@test.example"}]));
    let password = ["user", "password", "ann@test.example", "--password-stdin"];
    succeeded(&password, &node.run_with_input(&password, "four five six\n"));
    node.ok(&["catch-all", "remove", "test.example"]);
    node.ok(&["alias", "remove", "info@test.example"]);
    for missing in [
        &["alias", "remove", "info@test.example"][..],
        &["catch-all", "remove", "test.example"],
        &["user", "remove", "nobody@test.example"],
        &["domain", "remove", "nowhere.example"],
    ] {
        let said = node.fails(missing);
        assert!(said.contains("there is no") || said.contains("has no catch-all"), "{missing:?}: {said}");
    }
    node.ok(&["user", "remove", "ann@test.example"]);
    node.ok(&["domain", "remove", "relay.example"]);
    node.ok(&["domain", "remove", "test.example"]);
    assert_eq!(node.json(&["user", "list"]), json!([]));
    assert_eq!(node.json(&["domain", "list"]), json!([]));
}

/// The selectors of a domain's keys in that state.
fn selectors(node: &Node, state: &str) -> Vec<String> {
    let list = node.json(&["dkim", "list", "keys.example"]);
    let keys = list.as_array().expect("a list").iter().filter(|key| key["state"] == state);
    keys.map(|key| key["selector"].as_str().expect("a name").to_owned()).collect()
}

/// The road of a domain's keys, with whoever answers.
fn rotate_keys(node: &Node) {
    let said = node.fails(&["dkim", "create", "keys.example"]);
    assert!(said.contains("posthouse domain add keys.example"), "{said}");
    node.ok(&["domain", "add", "keys.example"]);
    let first = selectors(node, "active");
    assert_eq!(first.len(), 2);
    assert!(node.fails(&["dkim", "create", "keys.example"]).contains("dkim rotate"));
    // The records of both, as a zone and for programs.
    let zone = node.ok(&["domain", "dns", "keys.example"]);
    for key in &first {
        let name = format!("{key}._domainkey.keys.example. 3600 IN TXT \"v=DKIM1; k=");
        assert!(zone.contains(&name), "{name} is not in\n{zone}");
    }
    let records = node.json(&["domain", "dns", "keys.example"]).to_string();
    assert!(records.contains("\"type\":\"MX\""), "{records}");
    // First step: new keys wait. Second: they sign, once somebody has seen them published or says so.
    node.ok(&["dkim", "rotate", "keys.example"]);
    let second = selectors(node, "waiting");
    assert_eq!((second.len(), selectors(node, "active")), (2, first.clone()));
    node.ok(&["dkim", "rotate", "keys.example", "--unchecked"]);
    assert_eq!((selectors(node, "active"), selectors(node, "retired")), (second, first.clone()));
    for key in &first {
        node.ok(&["dkim", "remove", "keys.example", key]);
        assert!(node.fails(&["dkim", "remove", "keys.example", key]).contains("has no key"));
    }
    node.ok(&["domain", "remove", "keys.example"]);
}

#[test]
fn keys_without_a_server() {
    rotate_keys(&Node::new(&configuration("")));
}

#[test]
fn keys_while_the_server_runs() {
    let node = Node::new(&configuration(""));
    let server = node.serve();
    rotate_keys(&node);
    assert!(server.stop());
}

#[test]
fn the_directory_without_a_server() {
    edit_directory(&Node::new(&configuration("")));
}

#[test]
fn commands_at_the_same_time_all_succeed() {
    const COMMANDS: usize = 12;
    let node = Node::new(&configuration(""));
    std::thread::scope(|scope| {
        for number in 0..COMMANDS {
            let node = &node;
            scope.spawn(move || node.ok(&["domain", "add", &format!("d{number}.example")]));
        }
    });
    assert_eq!(node.json(&["domain", "list"]).as_array().map(Vec::len), Some(COMMANDS));
}

#[test]
fn the_directory_while_the_server_runs() {
    let node = Node::new(&configuration(""));
    let server = node.serve();
    edit_directory(&node);
    // What was changed holds at once.
    node.ok(&["domain", "add", "test.example"]);
    node.add_user("bob@test.example", "seven eight");
    let mut session = Smtp::connect(server.address("mx"));
    session.say("MAIL FROM:<a@far.example>", "250");
    session.say("RCPT TO:<bob@test.example>", "250");
    session.say("RCPT TO:<ann@test.example>", "550");
}

#[test]
fn names_are_checked_before_anything_happens() {
    let node = Node::new(&configuration(""));
    for wrong in [
        &["domain", "add", "not a domain"][..],
        &["user", "add", "ann", "--password-stdin"],
        &["alias", "add", "info@test.example"],
        &["queue", "list", "--state", "sleeping"],
        &["queue", "show", "1234"],
    ] {
        let said = node.fails(wrong);
        assert!(said.len() > 20, "{wrong:?} says little: {said}");
    }
    assert!(node.fails(&["queue", "list", "--state", "sleeping"]).contains("queued, active, deferred"));
    assert!(node.fails(&["queue", "show", "1234"]).contains("expected msg_ or rcp_"));
    let empty = ["user", "add", "ann@test.example", "--password-stdin"];
    assert!(failed(&empty, &node.run_with_input(&empty, "\n")).contains("the password is empty"));
    let unknown = node.fails(&["user", "add", "ann@nowhere.example", "--password-stdin"]);
    assert!(unknown.contains("password") || unknown.contains("domain"), "{unknown}");
}

#[test]
fn a_forgotten_configuration_edits_nothing() {
    let node = Node::new("");
    let arguments = ["domain", "add", "test.example"];
    let said = failed(&arguments, &run(node.folder.path(), &arguments, ""));
    assert!(said.contains("no sandbox in ./posthouse-data") && said.contains("--config"), "{said}");
    assert!(!node.folder.path().join("posthouse-data").exists());
}

#[test]
fn the_queue_needs_its_server() {
    let node = Node::new(&configuration(""));
    let said = node.fails(&["queue", "summary"]);
    assert!(said.contains("no server is running") && said.contains("posthouse serve --config"), "{said}");
}

#[test]
fn everything_is_not_changed_by_mistake() {
    let node = Node::new(&configuration(""));
    let said = node.fails(&["queue", "cancel"]);
    assert!(said.contains("say which") && said.contains("--all"), "{said}");
    assert!(node.fails(&["queue", "reroute", "--domain", "x.example"]).contains("name one route"));
    let said = node.fails(&["queue", "reroute", "--domain", "x.example", "--route", "pigeon"]);
    assert!(said.contains("is no route"), "{said}");
}

#[test]
fn json_for_programs_everywhere() {
    let node = Node::new(&configuration("[[route]]\nto = \"hold\"\n"));
    assert_eq!(node.json(&["check", "config"]), json!({"good": true, "problems": [], "warnings": []}));
    assert_eq!(node.json(&["domain", "add", "test.example"]), json!({"changed": 1}));
    node.add_user("ann@test.example", "one two three");
    let server = node.serve();
    let address = server.address("mx").to_string();
    let arguments =
        ["send", "--json", "--server", &address, "--from", "a@far.example", "--to", "ann@test.example", "--body", "x"];
    let said = node.ok(&arguments);
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(
        lines
            .iter()
            .any(|line| line["side"] == "server" && line["text"].as_str().is_some_and(|text| text.starts_with("220")))
    );
    assert!(lines.iter().any(|line| line["recipient"] == "<ann@test.example>" && line["result"] == "accepted"));
    node.configure("[[listener]]\nservice = \"smpt\"\naddress = \"127.0.0.1:0\"\n");
    let output = node.run(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&said["problems"][0]["line"], &said["problems"][0]["column"]), (&json!(2), &json!(11)));
}

#[test]
fn a_refused_letter_is_a_failure() {
    let node = Node::new(&configuration(""));
    let server = node.serve();
    let address = server.address("mx").to_string();
    let arguments = ["send", "--server", &address, "--from", "a@far.example", "--to", "b@else.example", "--body", "x"];
    let output = node.run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("-- <b@else.example> refused: at rcpt: 550 5.7.1"), "{said}");
}
