//! MAIL and RCPT: what is said together, and whose refusal is whose.

use super::{check, pure::Stage, script::Script};

#[test]
fn one_at_a_time_without_pipelining() {
    check(
        "~ SIZE_1000 8BITMIME
         mail8 <a@x.example> <b@x.example> <c@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example> SIZE=4 BODY=8BITMIME
         S: 250 ok
         C: RCPT TO:<b@x.example>
         S: 250 ok
         C: RCPT TO:<c@x.example>
         S: 250 ok
         C: DATA
         S: 354 go
         C: Hi
         C: .
         S: 250 2.0.0 queued
         = <b@x.example> accepted 250 2.0.0 queued
         = <c@x.example> accepted 250 2.0.0 queued
         = done, reusable",
    );
}

#[test]
fn together_with_pipelining() {
    check(
        "~ PIPELINING
         mail <> <b@x.example> <postmaster> \"Hi\\r\\n\"
         C: MAIL FROM:<>
         C: RCPT TO:<b@x.example>
         C: RCPT TO:<postmaster>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: Hi
         C: .
         S: 250 queued
         = <b@x.example> accepted 250 queued
         = <postmaster> accepted 250 queued
         = done, reusable
         mail <a@x.example> <d@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<d@x.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: .
         S: 250 queued too
         = <d@x.example> accepted 250 queued too
         = done, reusable
         quit
         C: QUIT
         S: 221 bye
         X",
    );
}

#[test]
fn settings_can_turn_pipelining_off() {
    check(
        "settings: lockstep
         ~ PIPELINING
         mail <a@x.example> <b@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         S: 250 ok
         C: RCPT TO:<b@x.example>
         S: 550 5.1.1 unknown
         C: RSET
         S: 250 ok
         = <b@x.example> refused at rcpt 550 5.1.1 unknown
         = done, reusable",
    );
}

#[test]
fn mail_refused() {
    check(
        "~ HELP
         mail <a@x.example> <b@x.example> <c@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         S: 550 5.7.1 not you
         = <b@x.example> refused at mail 550 5.7.1 not you
         = <c@x.example> refused at mail 550 5.7.1 not you
         = done, reusable",
    );
    // Pipelined, the rest is refused as well, and none of that is anybody's result.
    check(
        "~ PIPELINING
         mail <a@x.example> <b@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: DATA
         S: 451 4.3.0 later
         S: 503 5.5.1 need MAIL
         S: 503 5.5.1 need RCPT
         = <b@x.example> refused at mail 451 4.3.0 later
         = done, reusable",
    );
    check(
        "~ PIPELINING
         mail <a@x.example> <b@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: DATA
         S: 451 4.3.0 later
         S: 250 odd
         S: 354 odder
         C: .
         S: 250 oddest
         = <b@x.example> refused at mail 451 4.3.0 later
         = done, reusable",
    );
}

#[test]
fn some_recipients_refused() {
    check(
        "~ PIPELINING
         mail <a@x.example> <b@x.example> <c@x.example> <d@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: RCPT TO:<c@x.example>
         C: RCPT TO:<d@x.example>
         C: DATA
         S: 250 ok
         S: 550-5.1.1 nobody
         S: 550 5.1.1 of that name
         S: 250 ok
         S: 452 4.5.3 too many
         S: 354 go
         C: Hi
         C: .
         S: 250 queued
         = <b@x.example> refused at rcpt 550 5.1.1 nobody of that name
         = <c@x.example> accepted 250 queued
         = <d@x.example> refused at rcpt 452 4.5.3 too many
         = done, reusable",
    );
}

#[test]
fn all_recipients_refused() {
    check(
        "~ PIPELINING
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: DATA
         S: 250 ok
         S: 550 5.1.1 nobody
         S: 554 5.5.1 no valid recipients
         C: RSET
         S: 250 ok
         = <b@x.example> refused at rcpt 550 5.1.1 nobody
         = done, reusable",
    );
    // RFC 2920 §3.1: asked for the message of nobody, the client sends an empty one.
    check(
        "~ PIPELINING
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: DATA
         S: 250 ok
         S: 550 5.1.1 nobody
         S: 354 go
         C: .
         S: 554 5.5.1 no valid recipients
         = <b@x.example> refused at rcpt 550 5.1.1 nobody
         = done, reusable",
    );
}

#[test]
fn data_refused() {
    check(
        "~ PIPELINING
         mail <a@x.example> <b@x.example> <c@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: RCPT TO:<c@x.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 552 5.2.2 full
         S: 451 4.3.0 later
         C: RSET
         S: 250 ok
         = <b@x.example> refused at data 451 4.3.0 later
         = <c@x.example> refused at rcpt 552 5.2.2 full
         = done, reusable",
    );
}

#[test]
fn a_connection_that_cannot_be_reset_is_not_reusable() {
    check(
        "~ HELP
         mail <a@x.example> <b@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         S: 250 ok
         C: RCPT TO:<b@x.example>
         S: 550 5.1.1 nobody
         C: RSET
         S: 502 what?
         = <b@x.example> refused at rcpt 550 5.1.1 nobody
         = done, not reusable
         X",
    );
}

#[test]
fn a_server_that_takes_few_transactions() {
    check(
        "~ PIPELINING LIMITS_MAILMAX=1
         mail <a@x.example> <b@x.example> \"\"
         C: MAIL FROM:<a@x.example>
         C: RCPT TO:<b@x.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: .
         S: 250 queued
         C: QUIT
         = <b@x.example> accepted 250 queued
         = done, not reusable
         S: 221 bye
         X",
    );
}

/// A thousand recipients leave in windows, so that neither side waits for the other to read.
#[test]
fn many_recipients_are_pipelined_in_windows() {
    let recipients: String = (0..1000).map(|number| format!("<r{number}@x.example> ")).collect();
    let script = format!("~ PIPELINING\nmail <a@x.example> {recipients}\"Hi\\r\\n\"");
    let mut stage = Stage::after(&Script::parse(&script));
    stage.said.drain(..b"EHLO client.example\r\n".len());
    let mut most = 0;
    let mut left = 1002;
    while left > 0 {
        let said = std::mem::take(&mut stage.said);
        let said = said.iter().filter(|octet| **octet == b'\n').count();
        most = most.max(said);
        let said = said.min(left);
        left -= said;
        let replies = if left == 0 {
            [&b"250 ok\r\n".repeat(said - 1)[..], b"354 go\r\n"].concat()
        } else {
            b"250 ok\r\n".repeat(said)
        };
        assert!(said > 0, "{left} to come");
        stage.input(&replies);
    }
    assert!((50..=101).contains(&most), "{most}");
    assert_eq!(stage.said, b"Hi\r\n.\r\n");
    stage.input(b"250 queued\r\n");
    assert_eq!(stage.told.iter().filter(|line| line.contains("accepted")).count(), 1000);
    assert!(stage.writes < 2 * 1002 / 50, "{} writes", stage.writes);
}
