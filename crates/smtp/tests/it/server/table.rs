//! Every command in every state: what is said, and which state follows. The states are told apart from outside, by
//! what the session says to probes, so the table holds for any implementation.

use std::fmt::Write as _;

use super::{pure::Stage, script::Script};

const SETTINGS: &str = "settings: starttls plaintext_auth pure";

const STATES: [(&str, &str); 10] = [
    ("Greet", ""),
    ("Ready", "EHLO x.example\r\n"),
    ("Mail", "EHLO x.example\r\nMAIL FROM:<a@x.example>\r\n"),
    ("Mail, all refused", "EHLO x.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<unknown@x.example>\r\n"),
    ("Mail, recipients", "EHLO x.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n"),
    ("Data", "EHLO x.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"),
    ("Chunk", "EHLO x.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nBDAT 1000\r\n"),
    ("Chunks", "EHLO x.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nBDAT 1\r\nx"),
    ("Auth", "EHLO x.example\r\nAUTH LOGIN\r\n"),
    ("Handshake", "EHLO x.example\r\nSTARTTLS\r\n"),
];

const COMMANDS: [(&str, &str); 27] = [
    ("EHLO", "EHLO y.example\r\n"),
    ("EHLO alone", "EHLO\r\n"),
    ("HELO", "HELO y.example\r\n"),
    ("STARTTLS", "STARTTLS\r\n"),
    ("AUTH, to be asked", "AUTH LOGIN\r\n"),
    ("AUTH, right", "AUTH PLAIN AGFubmEAc2VjcmV0\r\n"),
    ("AUTH, wrong", "AUTH PLAIN AGFubmEAd3Jvbmc=\r\n"),
    ("*", "*\r\n"),
    ("MAIL", "MAIL FROM:<a@x.example>\r\n"),
    ("MAIL, no address", "MAIL FROM:<a>\r\n"),
    ("RCPT", "RCPT TO:<b@x.example>\r\n"),
    ("RCPT, refused", "RCPT TO:<unknown@x.example>\r\n"),
    ("DATA", "DATA\r\n"),
    ("dot", ".\r\n"),
    ("BDAT", "BDAT 4\r\nxx\r\n"),
    ("BDAT LAST", "BDAT 4 LAST\r\nxx\r\n"),
    ("BDAT, no number", "BDAT x\r\n"),
    ("RSET", "RSET\r\n"),
    ("NOOP", "NOOP\r\n"),
    ("VRFY", "VRFY b@x.example\r\n"),
    ("EXPN", "EXPN staff\r\n"),
    ("HELP", "HELP\r\n"),
    ("QUIT", "QUIT\r\n"),
    ("unknown", "FOO\r\n"),
    ("not offered", "TURN\r\n"),
    ("bare LF", "NOOP\n"),
    ("HTTP", "GET / HTTP/1.1\r\n"),
];

#[test]
fn every_command_in_every_state() {
    let mut table = String::new();
    for (state, prefix) in STATES {
        assert_eq!(name(prefix), state);
        writeln!(table, "{state}").unwrap();
        for (command, octets) in COMMANDS {
            let next = name(&format!("{prefix}{octets}"));
            writeln!(table, "  {command:<18} {:<8} {next}", codes(prefix, octets)).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// A session that has heard so much.
fn after(octets: &str) -> Stage {
    let mut stage = Stage::new(&Script::parse(SETTINGS));
    if !octets.is_empty() {
        stage.input(octets.as_bytes());
    }
    stage.said.clear();
    stage
}

/// The codes of the replies to `octets`.
fn codes(prefix: &str, octets: &str) -> String {
    let mut stage = after(prefix);
    stage.input(octets.as_bytes());
    let last_lines = stage.said.iter().filter(|line| line.get(3..4) == Some(" "));
    let codes: Vec<_> = last_lines.map(|line| &line[..3]).collect();
    if codes.is_empty() { "-".to_owned() } else { codes.join(" ") }
}

/// What the session says to this.
fn probe(octets: &str, probe: &str) -> Option<String> {
    let mut stage = after(octets);
    stage.input(probe.as_bytes());
    stage.said.pop_front()
}

/// The state after `octets`.
fn name(octets: &str) -> &'static str {
    let stage = after(octets);
    if stage.closed {
        return "Closed";
    }
    if stage.tls_due {
        return "Handshake";
    }
    let Some(said) = probe(octets, "RCPT TO:<b@x.example>\r\n") else {
        // Content. A dot ends DATA and nothing else.
        return if probe(octets, "\r\n.\r\n").is_some() { "Data" } else { "Chunk" };
    };
    match said.get(..22).unwrap_or(&said) {
        "503 5.5.1 Say who you " => "Greet",
        "503 5.5.1 Name the sen" => "Ready",
        "503 5.5.1 The message " => "Chunks",
        "501 5.5.2 Expected bas" => "Auth",
        "250 2.1.5 Ok" => match probe(octets, "DATA\r\n").as_deref().and_then(|said| said.get(..3)) {
            Some("354") => "Mail, recipients",
            Some("554") => "Mail, all refused",
            Some("503") => "Mail",
            other => panic!("DATA: {other:?}"),
        },
        other => panic!("RCPT: {other:?}"),
    }
}
