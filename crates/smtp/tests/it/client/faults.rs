//! G6: what happens when the server says no, nonsense or nothing, at each stage.

use super::{check, pure::Stage, script::Script};

#[test]
fn g6_no_at_each_stage() {
    for code in ["451 4.3.0 no", "554 5.3.0 no"] {
        let goodbye =
            if code.starts_with('5') { "C: HELO client.example\nS: 554 5.3.0 no\nC: QUIT" } else { "C: QUIT" };
        check(&format!("S: {code}\nC: QUIT\n= failed at banner, refused: {code}\nX"));
        check(&format!(
            "S: 220 hi\nC: EHLO client.example\nS: {code}\n{goodbye}\n= failed at ehlo, refused: {code}\nX"
        ));
        check(&format!(
            "~ HELP
             mail <a@x.example> <b@x.example> \"\"
             C: MAIL FROM:<a@x.example>
             S: {code}
             = <b@x.example> refused at mail {code}
             = done, reusable"
        ));
        check(&format!(
            "~ HELP
             mail <a@x.example> <b@x.example> \"\"
             C: MAIL FROM:<a@x.example>
             S: 250 ok
             C: RCPT TO:<b@x.example>
             S: {code}
             C: RSET
             S: 250 ok
             = <b@x.example> refused at rcpt {code}
             = done, reusable"
        ));
        check(&format!(
            "~ HELP
             mail <a@x.example> <b@x.example> \"\"
             C: MAIL FROM:<a@x.example>
             S: 250 ok
             C: RCPT TO:<b@x.example>
             S: 250 ok
             C: DATA
             S: {code}
             C: RSET
             S: 250 ok
             = <b@x.example> refused at data {code}
             = done, reusable"
        ));
    }
}

#[test]
fn g6_the_server_drops_at_each_stage() {
    let envelope = "C: MAIL FROM:<a@x.example>\nC: RCPT TO:<b@x.example>\nC: RCPT TO:<c@x.example>\nC: DATA";
    let cases = [
        ("E", "mail", "mail"),
        ("S: 250 ok\nE", "rcpt", "rcpt"),
        ("S: 250 ok\nS: 250 ok\nE", "rcpt", "rcpt"),
        ("S: 250 ok\nS: 250 ok\nS: 250 ok\nE", "data", "data"),
        ("S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: Hi\nC: .\nE", "content", "content"),
    ];
    for (said, b, c) in cases {
        check(&format!(
            "~ PIPELINING
             mail <a@x.example> <b@x.example> <c@x.example> \"Hi\\r\\n\"
             {envelope}
             {said}
             = <b@x.example> lost at {b}, closed: the server closed the connection
             = <c@x.example> lost at {c}, closed: the server closed the connection
             = done, not reusable
             X"
        ));
    }
}

#[test]
fn g6_a_drop_after_the_dot_costs_only_those_who_were_taken() {
    check(
        "~ PIPELINING CHUNKING
         mail <a@x.example> <b@x.example> <c@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: RCPT TO:<c@x.example>
         C: BDAT 4 LAST
         C: Hi
         S: 250 ok
         S: 550 5.1.1 nobody
         S: 250 ok
         S< 250-2.0.0 que
         E
         = <b@x.example> refused at rcpt 550 5.1.1 nobody
         = <c@x.example> lost at content, closed: the server closed the connection in the middle of a reply
         = done, not reusable
         X",
    );
}

#[test]
fn g6_250_and_421() {
    check(
        "~ PIPELINING
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: Hi
         C: .
         S: 250 queued
         = <b@x.example> accepted 250 queued
         = done, …
         S: 421 4.3.2 good night
         X",
    );
    // In one segment the report knows.
    let script = "~ PIPELINING
         mail <a@x.example> <b@x.example> \"\"
         S: 250 ok
         S: 250 ok
         S: 354 go";
    let mut stage = Stage::after(&Script::parse(script));
    stage.input(b"250 queued\r\n421 4.3.2 good night\r\n");
    assert_eq!(stage.told, ["<b@x.example> accepted 250 queued", "done, not reusable"]);
    assert!(stage.closed);
}

#[test]
fn g6_421_at_each_stage() {
    let envelope = "~ PIPELINING
         mail <a@x.example> <b@x.example> <c@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: RCPT TO:<c@x.example>
         C: DATA";
    let goodbye = "421 4.3.2 good night";
    for (before, b, c) in [
        ("", "refused at mail 421…", "refused at mail 421…"),
        ("S: 250 ok", "refused at rcpt 421…", "refused at rcpt 421…"),
        ("S: 250 ok\nS: 550 no", "refused at rcpt 550 no", "refused at rcpt 421…"),
        ("S: 250 ok\nS: 250 ok\nS: 550 no", "refused at data 421…", "refused at rcpt 550 no"),
        (
            "S: 250 ok\nS: 250 ok\nS: 550 no\nS: 354 go\nC: Hi\nC: .",
            "refused at content 421…",
            "refused at rcpt 550 no",
        ),
    ] {
        check(&format!(
            "{envelope}
             {before}
             S: {goodbye}
             = <b@x.example> {b}
             = <c@x.example> {c}
             = done, not reusable
             X"
        ));
    }
}

/// A server that gives up while content comes, as with a message that is too large: its word is the result.
#[test]
fn g6_a_word_in_the_middle_of_the_content() {
    for (said, result) in [
        ("552 5.3.4 too large", "refused at content 552 5.3.4 too large"),
        ("421 4.3.2 good night", "refused at content 421 4.3.2 good night"),
        ("250 thank you", "lost at content, protocol: the server answered before it was asked"),
    ] {
        let script = Script::parse("~ PIPELINING\nmail <a@x.example> <b@x.example> \"\"");
        let mut stage = Stage::after(&script);
        let now = stage.now;
        stage.session.handle_input(b"250 ok\r\n250 ok\r\n354 go\r\n", now);
        assert_eq!(stage.session.poll_output(), Some(smtp::client::Output::NeedContent));
        stage.session.content(b"half of it", now);
        stage.session.handle_input(said.as_bytes(), now);
        stage.session.handle_input(b"\r\n", now);
        stage.poll();
        assert_eq!(stage.told, [format!("<b@x.example> {result}"), "done, not reusable".to_owned()]);
        assert!(stage.closed);
    }
}

#[test]
fn g6_a_banner_of_ten_megabytes() {
    check(
        "S* 10000000 x
         = failed at banner, protocol: a reply of more than 262144 octets
         X",
    );
    check(
        "S* 1000000 220-x\\r\\n
         = failed at banner, protocol: a reply of more than 100 lines
         X",
    );
}

#[test]
fn nonsense_is_a_loss() {
    for said in ["354 go", "hello", "999 x"] {
        check(&format!(
            "~ HELP
             mail <a@x.example> <b@x.example> \"\"
             C: MAIL FROM:<a@x.example>
             S: {said}
             = <b@x.example> lost at mail, protocol: …
             = done, not reusable
             X"
        ));
    }
    check(
        "~ HELP
         mail <a@x.example> <b@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         S: 250 ok
         C: RCPT TO:<b@x.example>
         S: 250 ok
         C: DATA
         S: 250 ok
         = <b@x.example> lost at data, protocol: the server answered 250 where it may not
         = done, not reusable
         X",
    );
}

/// A reply too many must not be taken for the answer to the next command. It is seen when it comes before that command
/// has left.
#[test]
fn a_reply_that_nobody_asked_for() {
    let mut stage = Stage::after(&Script::parse("~ HELP\nmail <a@x.example> <b@x.example> \"\""));
    stage.input(b"250 ok\r\n250 ok\r\n");
    let lost = "<b@x.example> lost at rcpt, protocol: the server answered before it was asked";
    assert_eq!(stage.told, [lost, "done, not reusable"]);
    assert!(stage.closed);

    let mut stage = Stage::new(&Script::parse(""));
    stage.input(b"220 hi\r\n250 hello\r\n");
    assert_eq!(stage.told, ["failed at ehlo, protocol: the server answered before it was asked"]);
    assert!(stage.closed);
}

#[test]
fn silence_at_each_stage() {
    let lost = |stage, seconds| {
        format!(
            "= <b@x.example> lost at {stage}, deadline: the server did not answer within {seconds} s
             = done, not reusable
             X"
        )
    };
    let envelope = "~ PIPELINING
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: DATA";
    check(&format!("{envelope}\n@ +300s\n{}", lost("mail", 300)));
    check(&format!("{envelope}\n@ +299s\nS: 250 ok\n@ +299s\nS: 250 ok\n@ +300s\n{}", lost("data", 300)));
    check(&format!(
        "{envelope}\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: Hi\nC: .\n@ +599s\nS< 250-\n@ +1s\n{}",
        lost("content", 600)
    ));
}

#[test]
fn a_driver_that_cannot_go_on_closes() {
    let script = Script::parse("~ PIPELINING\nmail <a@x.example> <b@x.example> \"\"");
    let mut stage = Stage::after(&script);
    stage.said.clear();
    let now = stage.now;
    stage.session.handle_input(b"250 ok\r\n250 ok\r\n354 go\r\n", now);
    assert_eq!(stage.session.poll_output(), Some(smtp::client::Output::NeedContent));
    stage.session.content_failed("the content cannot be read", now);
    stage.poll();
    let lost = "<b@x.example> lost at content, content: the content cannot be read";
    assert_eq!(stage.told, [lost, "done, not reusable"]);
    assert!(stage.closed && stage.said.is_empty());
}

#[test]
fn a_transaction_on_a_closed_connection_is_lost_at_once() {
    let script = Script::parse("~ PIPELINING\nmail <a@x.example> <b@x.example> \"\"");
    let order = script.steps.iter().find_map(|step| match step {
        super::script::Step::Start(order) => Some(order.clone()),
        _ => None,
    });
    let mut stage = Stage::after(&Script::parse("~ PIPELINING"));
    stage.session.handle_eof(stage.now);
    stage.poll();
    assert!(stage.closed);
    stage.session.start(order.unwrap().transaction, stage.now);
    let done = stage.session.poll_output().unwrap();
    let told = super::script::told(&done);
    assert_eq!(
        told,
        ["<b@x.example> lost at mail, closed: the connection was not ready for a transaction", "done, not reusable"]
    );
}
