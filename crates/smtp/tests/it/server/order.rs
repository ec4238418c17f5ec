//! Commands where they are not expected (RFC 5321 §4.1.4).

use super::check;

#[test]
fn a7_rset_everywhere() {
    check(
        r"
        S* 220
        C: RSET
        S: 250 2.0.0 Ok
        C: MAIL FROM:<a@x.example>
        S: 503 5.5.1 Say who…
        C: EHLO x.example
        S* 250
        C: RSET
        S* 250
        C: MAIL FROM:<a@x.example>
        S* 250
        C: RSET
        S* 250
        C: RCPT TO:<b@x.example>
        S* 503
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: RSET
        C: DATA
        S* 250
        S* 250
        S* 250
        S* 503
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: BDAT 3
        C< abcRSET\r\nBDAT 3 LAST\r\nabc
        S* 250
        S* 250
        S* 250
        S* 250
        S* 503
        M: none
        ",
    );
}

#[test]
fn a7_mail_twice_and_rcpt_first() {
    check(
        r#"
        ~ greeted
        C: RCPT TO:<b@x.example>
        S: 503 5.5.1 Name the sender…
        C: MAIL FROM:<a@x.example>
        S* 250
        C: MAIL FROM:<c@x.example>
        S: 503 5.5.1 A message is begun already: go on with RCPT TO:<address>, or type RSET to drop it
        C: RCPT TO:<b@x.example>
        C: DATA
        S* 250
        S* 354
        C: .
        S* 250
        M: ""
        "#,
    );
}

#[test]
fn a7_data_without_a_good_recipient() {
    check(
        r#"
        ~ greeted
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<unknown@x.example>
        C: RCPT TO:<later@x.example>
        C: DATA
        S* 250
        S: 550 5.1.1 No such user here
        S: 450 4.2.0 Come back later
        S: 554 5.5.1 No valid recipients: every RCPT TO was refused
        C: RCPT TO:<b@x.example>
        C: DATA
        S* 250
        S* 354
        C: .
        S* 250
        M: ""
        "#,
    );
}

#[test]
fn a7_a_refused_sender_begins_nothing() {
    check(
        r"
        refuse: MAIL <evil@x.example> 550 5.7.1 Not from you
        ~ greeted
        C: MAIL FROM:<evil@x.example>
        C: RCPT TO:<b@x.example>
        C: DATA
        S: 550 5.7.1 Not from you
        S: 503 5.5.1 Name the sender…
        S: 503 5.5.1 Name the sender…
        M: none
        ",
    );
}

#[test]
fn a7_ehlo_and_helo_reset() {
    check(
        r"
        ~ greeted
        C: MAIL FROM:<a@x.example>
        S* 250
        C: RCPT TO:<b@x.example>
        S* 250
        C: EHLO y.example
        S* 250
        C: DATA
        S: 503 5.5.1 Name the sender…
        C: MAIL FROM:<a@x.example>
        S* 250
        C: HELO y.example
        S: 250 mx.example
        C: RCPT TO:<b@x.example>
        S* 503
        C: EHLO
        S* 501
        C: MAIL FROM:<a@x.example>
        S* 250
        ",
    );
}

#[test]
fn a7_a_message_that_cannot_be_kept_ends_its_transaction() {
    check(
        r"
        refuse: COMMIT 451 4.3.0 Not on the disk
        ~ greeted
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: DATA
        S* 250
        S* 250
        S* 354
        C: .
        S: 451 4.3.0 Not on the disk
        C: DATA
        S: 503 5.5.1 Name the sender…
        M: none
        ",
    );
    check(
        r"
        refuse: BEGIN 452 4.3.1 No room
        ~ greeted
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: DATA
        S* 250
        S* 250
        S: 452 4.3.1 No room
        C: RCPT TO:<c@x.example>
        S* 250
        M: none
        ",
    );
}

#[test]
fn a_refused_connection_hears_why() {
    for reply in ["554 5.7.1 Not from your network", "421 4.7.0 Too many connections"] {
        check(&format!(
            r"
        refuse: CONNECT {reply}
        S: {reply}
        X
        "
        ));
    }
}

#[test]
fn a_refusal_with_421_closes() {
    check(
        r"
        refuse: RCPT <b@x.example> 421 4.3.2 Enough
        ~ greeted
        C: MAIL FROM:<a@x.example>
        S* 250
        C: RCPT TO:<b@x.example>
        S: 421 4.3.2 Enough
        X
        ",
    );
}

#[test]
fn a8_a_client_that_speaks_before_the_banner_is_refused_and_nothing_is_kept() {
    use std::sync::Arc;

    use smtp::server::{Answer, Ask, Output, Service, Settings};

    use super::desk::{session, some_instant};

    let now = some_instant();
    let mut session = session(&Arc::new(Settings::new("mx.example", Service::Mx)), now);
    assert!(!session.wants_input());
    for _ in 0..1000 {
        session.handle_input(&[b'x'; 1000], now);
    }
    assert!(matches!(session.poll_output(), Some(Output::Ask(Ask::Connect { .. }))));
    session.answer(Answer::Go, now);
    assert_eq!(session.poll_output(), Some(Output::Write));
    assert_eq!(session.take_write(), b"554 5.5.0 You spoke before the greeting: wait for the 220\r\n");
    assert_eq!(session.poll_output(), Some(Output::Close));
    assert_eq!(session.poll_output(), None);
}

#[test]
fn a8_commands_sent_without_waiting_are_obeyed_in_order() {
    check(
        r#"
        S* 220
        C: EHLO x.example
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: DATA
        C: early
        C: .
        C: QUIT
        S* 250
        S* 250
        S* 250
        S* 354
        S: 250 2.0.0 Ok: queued as msg_1
        S* 221
        X
        M: "early\r\n"
        "#,
    );
}

#[test]
fn what_was_said_before_the_end_of_input_is_obeyed() {
    check(
        r#"
        ~ greeted
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: BDAT 2 LAST
        C< ab
        E
        S* 250
        S* 250
        S: 250 2.0.0 Ok: queued as msg_1
        X
        M: "ab\r\n"
        "#,
    );
}

#[test]
fn a_message_cut_off_is_dropped() {
    for cut in [r"C: x\r\n.", "C< ", r"C< x\r\n.\r"] {
        check(&format!(
            r"
        ~ greeted
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: DATA
        S* 250
        S* 250
        S* 354
        {cut}
        E
        X
        M: none
        "
        ));
    }
}
