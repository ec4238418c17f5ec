//! Every reply in every state: what is said, what the driver is told, where the conversation stands. The picture in the
//! module's documentation is this table's.

use std::{fmt::Write as _, time::Duration};

use super::{
    pure::Stage,
    script::{Script, Step},
};
use crate::tls::summary;

const GREET: &str = "220 hi\r\n";
const EHLO: &str = "250-hi\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n";
const LOCKSTEP: [&str; 4] = [GREET, "250 hi\r\n", "250 ok\r\n", "250 ok\r\n"];
const PIPELINED: [&str; 2] = [GREET, "250-hi\r\n250 PIPELINING\r\n"];
const CHUNKED: [&str; 2] = [GREET, "250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n"];

/// The state, its settings, the server's words that lead there.
const STATES: [(&str, &str, &[&str]); 16] = [
    ("Banner", "", &[]),
    ("Ehlo", "", &[GREET]),
    ("Helo", "", &[GREET, "500 what\r\n"]),
    ("StartTls", "", &[GREET, EHLO]),
    ("StartTls, required", "tls=required", &[GREET, EHLO]),
    ("Handshake", "", &[GREET, EHLO, "220 go\r\n"]),
    ("Auth", "user=anna:secret clear_text_auth tls=off", &[GREET, EHLO]),
    ("Ready", "nothing", &[GREET, "250 hi\r\n"]),
    ("Transaction: Mail", "", LOCKSTEP.split_at(2).0),
    ("Transaction: Rcpt", "", LOCKSTEP.split_at(3).0),
    ("Transaction: Data", "", &LOCKSTEP),
    ("Transaction: Dot", "", &[GREET, "250 hi\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"]),
    ("Transaction: Reset", "", &[GREET, "250 hi\r\n", "250 ok\r\n", "550 no\r\n"]),
    ("Transaction: Mail, pipelined", "", &PIPELINED),
    ("Transaction: Mail, with a chunk", "", &CHUNKED),
    ("Quit", "quit", &[GREET, "250 hi\r\n"]),
];

const EVENTS: [(&str, &str); 9] = [
    ("220", "220 x\r\n"),
    ("250", "250 x\r\n"),
    ("334", "334 \r\n"),
    ("354", "354 x\r\n"),
    ("421", "421 x\r\n"),
    ("450", "450 x\r\n"),
    ("502", "502 x\r\n"),
    ("550", "550 x\r\n"),
    ("nonsense", "x\r\n"),
];

#[test]
fn every_reply_in_every_state() {
    let mut table = String::new();
    for (name, settings, words) in STATES {
        writeln!(table, "{name}").unwrap();
        for (event, octets) in EVENTS {
            let mut stage = lead(settings, words);
            stage.input(octets.as_bytes());
            write_row(&mut table, event, &stage);
        }
        let mut stage = lead(settings, words);
        stage.wait(Duration::from_secs(3600));
        write_row(&mut table, "an hour", &stage);
        let mut stage = lead(settings, words);
        stage.session.handle_eof(stage.now);
        stage.poll();
        write_row(&mut table, "the end", &stage);
        let mut stage = lead(settings, words);
        stage.session.handle_tls(summary(), stage.now);
        stage.poll();
        write_row(&mut table, "TLS", &stage);
        let mut stage = lead(settings, words);
        stage.session.quit(stage.now);
        stage.poll();
        write_row(&mut table, "quit", &stage);
    }
    insta::assert_snapshot!(table);
}

fn lead(settings: &str, words: &[&str]) -> Stage {
    let flags: Vec<_> = settings.split(' ').filter(|word| !matches!(*word, "quit" | "nothing")).collect();
    let order = Script::parse("mail <a@x.example> <b@x.example> \"Hi\\r\\n\"");
    let Step::Start(order) = &order.steps[0] else { panic!() };
    let mut stage = Stage::new(&Script::parse(&format!("settings: {}", flags.join(" "))));
    for octets in words {
        stage.input(octets.as_bytes());
        if std::mem::take(&mut stage.ready) {
            match settings {
                "quit" => stage.session.quit(stage.now),
                "nothing" => {}
                _ => stage.start(order),
            }
            stage.poll();
        }
    }
    stage.said.clear();
    stage.told.clear();
    stage
}

fn write_row(table: &mut String, event: &str, stage: &Stage) {
    let said = String::from_utf8_lossy(&stage.said).replace("\r\n", " / ");
    let said = said.trim_end_matches([' ', '/']);
    let after = match (stage.closed, stage.tls_due, stage.session.is_ready()) {
        (true, ..) => "closed".to_owned(),
        (_, true, _) => "handshake".to_owned(),
        (.., true) => "ready".to_owned(),
        _ => stage.session.stage().to_string(),
    };
    let told = stage.told.iter().map(String::as_str).collect::<Vec<_>>().join("; ");
    let row = format!("  {event:<9} {after:<10} {said:<40} {told}");
    writeln!(table, "{}", row.trim_end()).unwrap();
}
