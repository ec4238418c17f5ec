//! Bounds on time, octets and patience.

use super::check;

#[test]
fn e1_an_idle_client_is_told_what_was_waited_for() {
    check(
        r"
        ~ greeted
        @ +299s
        C: NOOP
        S* 250
        @ +299s
        @ +1s
        S: 421 4.4.2 mx.example waited 5 minutes for a command; closing
        X
        ",
    );
    check(
        r"
        S* 220
        @ +5m
        S: 421 4.4.2 mx.example waited 5 minutes for a command; closing
        X
        ",
    );
    check(
        r"
        settings: slow=1m
        ~ greeted
        ~ data
        C: x
        @ +60s
        S: 421 4.4.2 mx.example waited for a message that comes slower than 256 octets a second; closing
        X
        M: none
        ",
    );
    check(
        r"
        ~ greeted
        ~ data
        C* 1000 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n
        @ +3m
        S: 421 4.4.2 mx.example waited 3 minutes for more of the message; closing
        X
        M: none
        ",
    );
    check(
        r"
        settings: submission implicit
        ~ greeted
        C: AUTH LOGIN
        S* 334
        @ +5m
        S: 421 4.4.2 mx.example waited 5 minutes for the response to AUTH; closing
        X
        ",
    );
}

#[test]
fn e1_single_octets_do_not_prolong_the_wait() {
    let drip = "C< x\n@ +30s\n".repeat(9);
    check(&format!(
        r"
        ~ greeted
        {drip}C< x
        @ +30s
        S: 421 4.4.2 mx.example waited 5 minutes for a command; closing
        X
        "
    ));
    let drip = "C< x\n@ +30s\n".repeat(20);
    check(&format!(
        r"
        ~ greeted
        ~ data
        {drip}S: 421 4.4.2 …
        X
        M: none
        "
    ));
    // A person at a terminal has time to think.
    let drip = "C: a line a minute\n@ +1m\n".repeat(9);
    check(&format!(
        r#"
        ~ greeted
        ~ data
        {drip}C: .
        S* 250
        M: "{}"
        "#,
        r"a line a minute\r\n".repeat(9)
    ));
}

#[test]
fn e1_a_chunk_that_does_not_come_is_not_waited_for() {
    check(
        r"
        settings: slow=1m
        ~ greeted
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: BDAT 1000 LAST
        C< x
        S* 250
        S* 250
        @ +1m
        S: 421 4.4.2 mx.example waited for a message that comes slower…
        X
        M: none
        ",
    );
    check(
        r"
        settings: slow=1m
        ~ greeted
        C: BDAT 1000 LAST
        C< x
        S* 503
        @ +1m
        S: 421 4.4.2 …
        X
        ",
    );
}

/// Each chunk is answered and begins another wait; the message as a whole has to come at the least rate.
#[test]
fn e1_tiny_chunks_do_not_prolong_the_message() {
    let drip = "C: BDAT 1\nC< x\nS* 250\n@ +4m\n".repeat(2);
    check(&format!(
        r"
        ~ greeted
        ~ recipient
        {drip}C: BDAT 1
        C< x
        S* 250
        @ +2m
        S: 421 4.4.2 mx.example waited for a message that comes slower than 256 octets a second; closing
        X
        M: none
        "
    ));
    // In the middle of a chunk, too.
    check(&format!(
        r"
        ~ greeted
        ~ recipient
        {drip}C: BDAT 2
        C< x
        @ +2m
        S: 421 4.4.2 mx.example waited for a message that comes slower…
        X
        M: none
        "
    ));
    // One that comes fast enough takes as long as it takes, and the next one begins anew.
    let octets = "y".repeat(80_000);
    let chunk = format!("C: BDAT 80000\nC< {octets}\nS* 250\n@ +4m\n").repeat(4);
    check(&format!(
        r#"
        ~ greeted
        ~ recipient
        {chunk}C: BDAT 0 LAST
        S* 250
        ~ recipient
        C: BDAT 1
        C< x
        S* 250
        @ +4m
        C: BDAT 0 LAST
        S* 250
        M: "{}\r\n"
        M: "x\r\n"
        "#,
        octets.repeat(4)
    ));
}

#[test]
fn e1_a_handshake_that_does_not_come_is_not_waited_for() {
    check(
        r"
        settings: starttls pure
        ~ greeted
        C: STARTTLS
        S* 220
        @ +29s
        @ +1s
        X
        ",
    );
}

#[test]
fn e2_a_line_without_end_gets_500_and_is_closed() {
    check(
        r"
        settings: pure
        S* 220
        C* 2000 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        S: 500 5.5.2 The line is too long: a command has at most 2048 octets with its CR LF
        X
        ",
    );
    // One that ends in time does not cost the session.
    let fits = "x".repeat(2046 - 5);
    check(&format!(
        r"
        ~ greeted
        C: NOOP {fits}
        S* 250
        C: NOOP {fits}x
        S: 500 5.5.2 The line is too long…
        C: NOOP
        S* 250
        "
    ));
}

/// A gigabyte, on the pure session: what is held stays small. The allocator is not asked; time would show.
#[test]
fn e2_a_gigabyte_is_not_kept() {
    use super::{pure::Stage, script::Script};

    let mut stage = Stage::new(&Script::parse("settings: pure"));
    stage.said.clear();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..1024 {
        stage.session.handle_input(&block, stage.now);
        stage.poll();
    }
    assert_eq!(stage.said.len(), 1);
    assert!(stage.said[0].starts_with("500 5.5.2 "));
    assert!(stage.closed);
}

#[test]
fn e3_recipients_past_the_limit() {
    check(
        r"
        settings: pure recipients=2 errors=1
        ~ greeted
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: RCPT TO:<c@x.example>
        C: RCPT TO:<d@x.example>
        C: RCPT TO:<e@x.example>
        C: RCPT TO:<f@x.example>
        C: RCPT TO:<g@x.example>
        S* 250
        S* 250
        S* 250
        S: 452 4.5.3 A message has at most 2 recipients: send it to the others in another transaction
        S* 452
        S* 452
        S: 421 4.7.0 mx.example has seen too many errors; closing
        X
        M: none
        ",
    );
    let hundred: String = (0..101).map(|number| format!("C: RCPT TO:<r{number}@x.example>\n")).collect();
    let replies = "S* 250\n".repeat(100);
    check(&format!(
        r#"
        settings: pure recipients=100
        ~ greeted
        C: MAIL FROM:<a@x.example>
        S* 250
        {hundred}{replies}S: 452 4.5.3 …
        C: DATA
        S* 354
        C: .
        S* 250
        M: <a@x.example> SevenBit -> {} ""
        "#,
        (0..100).map(|number| format!("<r{number}@x.example>")).collect::<Vec<_>>().join(", ")
    ));
}

#[test]
fn e3_a_million_commands_that_lead_nowhere() {
    for command in ["NOOP", "RSET", "VRFY a", "HELP", "EHLO x.example"] {
        use super::{pure::Stage, script::Script};

        let mut stage = Stage::new(&Script::parse("settings: pure"));
        stage.said.clear();
        let commands = format!("{command}\r\n").repeat(1000);
        for _ in 0..1000 {
            stage.session.handle_input(commands.as_bytes(), stage.now);
            stage.poll();
        }
        assert!(stage.closed);
        assert_eq!(
            stage.said.pop_back().as_deref(),
            Some("421 4.7.0 mx.example has seen too many commands without a message; closing")
        );
    }
}

#[test]
fn e3_a_guesser_of_names_is_cut_off() {
    let guess = "C: RCPT TO:<unknown@x.example>\n";
    check(&format!(
        r"
        settings: pure
        ~ greeted
        C: MAIL FROM:<a@x.example>
        S* 250
        {}{}S: 421 4.7.0 mx.example has seen too many errors; closing
        X
        ",
        guess.repeat(21),
        "S* 550\n".repeat(20)
    ));
    // A list with some dead addresses is not a guesser.
    check(&format!(
        r#"
        ~ greeted
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        {}S* 250
        S* 250
        {}C: DATA
        S* 354
        C: .
        S* 250
        M: ""
        "#,
        guess.repeat(50),
        "S* 550\n".repeat(50)
    ));
}

#[test]
fn e3_who_is_put_off_for_ever_is_cut_off() {
    check(
        r"
        settings: pure junk=3
        refuse: MAIL <full@x.example> 452 4.3.1 No room
        ~ greeted
        C: MAIL FROM:<full@x.example>
        S* 452
        C: MAIL FROM:<full@x.example>
        S* 452
        C: MAIL FROM:<full@x.example>
        S: 421 4.7.0 mx.example has seen too many commands without a message; closing
        X
        ",
    );
}

#[test]
fn errors_without_a_message_end_in_421() {
    check(
        r"
        settings: pure errors=2
        S* 220
        C: A
        S* 500
        C: B
        S* 500
        C: C
        C: QUIT
        S: 421 4.7.0 mx.example has seen too many errors; closing
        X
        ",
    );
}

#[test]
fn e4_growth_past_the_limit() {
    check(
        r#"
        settings: size=10
        ~ greeted
        ~ data
        C: 12345678
        C: .
        S* 250
        M: "12345678\r\n"
        ~ data
        C: 123456789
        C: .
        S: 552 5.3.4 The message is too large: at most 10 octets are taken
        C: NOOP
        S* 250
        M: none
        "#,
    );
    // SIZE was a lie.
    check(
        r"
        settings: size=10
        ~ greeted
        C: MAIL FROM:<a@x.example> SIZE=5
        C: RCPT TO:<b@x.example>
        C: DATA
        S* 250
        S* 250
        S* 354
        C* 1000 x\r\n
        C: .
        S* 552
        M: none
        ",
    );
}

#[test]
fn e4_the_drain_is_bounded() {
    use super::{pure::Stage, script::Script};

    for (begin, replies) in [("DATA\r\n", 5), ("BDAT 9999999999\r\n", 6)] {
        let mut stage = Stage::new(&Script::parse("settings: pure size=1000"));
        stage.input(b"HELO x.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n");
        stage.input(begin.as_bytes());
        let block = vec![b'x'; 1 << 16];
        let mut blocks = 0;
        while !stage.closed {
            stage.input(&block);
            blocks += 1;
            assert!(blocks < 100, "drains for ever");
        }
        assert_eq!(stage.said.len(), replies + 1 - usize::from(begin.starts_with("BDAT")), "{:?}", stage.said);
        assert!(stage.said.iter().any(|said| said.starts_with("552 5.3.4 ")), "{:?}", stage.said);
        assert!(stage.said.back().is_some_and(|said| said.ends_with("; closing")), "{:?}", stage.said);
        assert!(stage.desk.accepted.is_empty());
    }
}

#[test]
fn a_server_that_stops_finishes_the_transaction_first() {
    check(
        r"
        ~ greeted
        !
        S: 421 4.3.2 mx.example is stopping, try again soon; closing
        X
        ",
    );
    check(
        r#"
        ~ greeted
        ~ data
        !
        C: x
        C: .
        C: MAIL FROM:<c@x.example>
        S: 250 2.0.0 Ok: queued as msg_1
        S: 421 4.3.2 mx.example is stopping, try again soon; closing
        X
        M: "x\r\n"
        "#,
    );
    check(
        r"
        ~ greeted
        C: MAIL FROM:<a@x.example>
        S* 250
        !
        C: RSET
        S* 250
        S: 421 4.3.2 …
        X
        ",
    );
}
