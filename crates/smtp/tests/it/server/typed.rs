//! A person at a terminal: what is typed works, and what is wrong is explained.

use super::check;

#[test]
fn the_classic_session() {
    check(
        r#"
        settings: submission plaintext_auth clear_text
        S: 220 mx.example ESMTP Posthouse
        C: EHLO host
        S: 250-mx.example greets [192.0.2.1]
        S: 250-PIPELINING
        S: 250-SIZE 50000000
        S: 250-8BITMIME
        S: 250-CHUNKING
        S: 250-ENHANCEDSTATUSCODES
        S: 250-LIMITS RCPTMAX=1000
        S: 250-X-RCPTLIMIT 1000
        S: 250-AUTH PLAIN LOGIN SCRAM-SHA-256
        S: 250-AUTH=PLAIN LOGIN
        S: 250 HELP
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YW5uYQ==
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0
        S: 235 2.7.0 Authentication succeeded
        C: MAIL FROM: a@b.example
        S: 250 2.1.0 Ok
        C: RCPT TO: c@d.example
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 Send the message; end it with a dot on a line of its own
        C: Hello, Boris.
        C: .
        S: 250 2.0.0 Ok: queued as msg_1
        M: <a@b.example> SevenBit -> <c@d.example> "Hello, Boris.\r\n"
        C: QUIT
        S: 221 2.0.0 Bye
        X
        "#,
    );
}

#[test]
fn mistakes_are_explained() {
    check(
        r#"
        S* 220
        C: EHLO
        S: 501 5.5.4 EHLO needs the name of your host, one word: type EHLO your.host.name
        C: MAIL FROM:<a@b.example>
        S: 503 5.5.1 Say who you are first: type EHLO your.host.name
        C: EHLO [1.2.3.4]
        S* 250
        C: RCPT TO:<c@d.example>
        S: 503 5.5.1 Name the sender first: type MAIL FROM:<you@your.domain>
        C: MAIL a@b.example
        S: 501 5.5.4 MAIL needs FROM: and one address without a name, with both < and > or neither: type MAIL FROM:<you@your.domain>
        C: MAIL FROM: Anna <a@b.example>
        S: 501 5.5.4 MAIL needs FROM: and one address without a name, with both < and > or neither: type MAIL FROM:<you@your.domain>
        C: MAIL FROM: anna
        S: 501 5.1.7 Bad sender address, expected user@domain, there is no @: type MAIL FROM:<you@your.domain>
        C: mail from : a@b.example
        S: 250 2.1.0 Ok
        C: DATA
        S: 503 5.5.1 Name a recipient first: type RCPT TO:<somebody@their.domain>
        C: FOO bar
        S: 500 5.5.1 Unknown command FOO: type HELP for the list
        C: Subject: I forgot DATA
        S: 500 5.5.1 Not a command; a letter comes after MAIL, RCPT and DATA: type HELP for the list
        C: .
        S: 500 5.5.1 Not a command; a letter comes after MAIL, RCPT and DATA: type HELP for the list
        C: RCPT TO: c@d.example, e@f.example
        S: 501 5.5.4 RCPT needs TO: and one address without a name, with both < and > or neither: type RCPT TO:<somebody@their.domain>
        C: TURN
        S: 502 5.5.1 TURN is not offered here: type HELP for the list
        C: EXPN staff
        S: 502 5.5.1 EXPN is not offered here: nobody is told who is on a list
        C: VRFY boris@d.example
        S: 252 2.5.0 Whether this mailbox exists is not told: send a message and see
        C:
        S: 500 5.5.2 Expected a command: type HELP for the list
        C< QUIT\n
        S: 500 5.5.2 The line ended with a bare LF, expected CR LF: with netcat, use nc -C
        C: quit
        S: 221 2.0.0 Bye
        X
        "#,
    );
}

#[test]
fn help_teaches() {
    check(
        r#"
        S* 220
        C: HELP
        S: 214-2.0.0 This is Posthouse at mx.example. It understands:
        S: 214-2.0.0   EHLO HELO STARTTLS AUTH MAIL RCPT DATA
        S: 214-2.0.0   BDAT RSET NOOP VRFY EXPN HELP QUIT
        S: 214-2.0.0 A message is sent like this, each line answered before the next:
        S: 214-2.0.0   EHLO laptop.example.com
        S: 214-2.0.0   MAIL FROM:<anna@example.com>
        S: 214-2.0.0   RCPT TO:<boris@example.net>
        S: 214-2.0.0   DATA
        S: 214-2.0.0   the letter, then a line with a single dot
        S: 214-2.0.0   QUIT
        S: 214 2.0.0 HELP and a command explains it: HELP MAIL
        C: help rcpt
        S: 214-2.0.0 Type: RCPT TO:<somebody@their.domain>
        S: 214-2.0.0 Names one recipient. Repeat it for each.
        S: 214-2.0.0 It comes after MAIL.
        S: 214 2.0.0 Example: RCPT TO:<boris@example.net>
        C: HELP RCPT TO
        S: 214-2.0.0 Type: RCPT TO:<somebody@their.domain>
        S* 214
        C: HELP ME
        S: 504 5.5.4 There is no help on that: type HELP for the list
        "#,
    );
}

/// Every command has its help, and every line of it fits.
#[test]
fn help_knows_every_command() {
    let mut text = "S* 220\n".to_owned();
    for verb in smtp::command::Verb::ALL {
        text += &format!("C: HELP {verb}\nS: 214-2.0.0 Type: {}\nS* 214\n", verb.usage());
    }
    check(&text);
}

#[test]
fn many_messages_in_one_session() {
    let mut text = "settings: junk=3 errors=3\nS* 220\nC: EHLO x.example\nS* 250\n".to_owned();
    for number in 1..=20 {
        text += &format!(
            "C: NOOP\nS* 250\nC: FOO\nS* 500\nC: MAIL FROM:<>\nC: RCPT TO:<postmaster>\nC: DATA\nS* 250\nS* 250\nS* 354\n\
             C: x\nC: .\nS: 250 2.0.0 Ok: queued as msg_{number}\nM: <> SevenBit -> <postmaster> \"x\\r\\n\"\n"
        );
    }
    check(&text);
}

#[test]
fn replies_to_pipelined_commands_leave_together() {
    use std::sync::Arc;

    use smtp::server::{Service, Settings};

    use super::desk::{Act, Desk, session, some_instant};

    let now = some_instant();
    let mut session = session(&Arc::new(Settings::new("mx.example", Service::Mx)), now);
    let mut desk = Desk::new(&[]);
    let mut writes = Vec::new();
    for input in [
        "",
        "EHLO x.example\r\n",
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n",
    ] {
        session.handle_input(input.as_bytes(), now);
        while let Some(act) = desk.poll(&mut session, now) {
            assert_eq!(act, Act::Write);
            writes.push(String::from_utf8(session.take_write()).unwrap());
        }
    }
    let codes: Vec<_> = writes.iter().map(|write| write.lines().map(|line| &line[..4]).collect::<Vec<_>>()).collect();
    assert_eq!(codes[0], ["220 "]);
    assert_eq!(codes[2], ["250 ", "250 ", "250 ", "354 "]);
    assert_eq!(writes.len(), 3);
}
