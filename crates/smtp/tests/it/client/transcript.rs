//! The conversation as it is kept.

use std::{fmt::Write as _, time::Duration};

use mail::Transcript;

use super::{pure::Stage, script::Script};

fn shown(transcript: &Transcript) -> String {
    let mut text = String::new();
    for line in &transcript.lines {
        writeln!(text, "{:>4} {:<8} {:?} {}", line.at.as_secs(), line.stage, line.side, line.text).unwrap();
    }
    text
}

#[test]
fn stages_times_and_no_secrets() {
    let mut stage = Stage::new(&Script::parse("settings: user=anna:secret"));
    for reply in ["220 mx.example ESMTP", "250-mx.example\r\n250 STARTTLS", "220 Go"] {
        stage.wait(Duration::from_secs(1));
        stage.input(format!("{reply}\r\n").as_bytes());
    }
    stage.session.handle_tls(crate::tls::summary(), stage.now);
    stage.poll();
    let hello = "250-mx.example\r\n250-PIPELINING\r\n250 AUTH LOGIN";
    for reply in [hello, "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 welcome"] {
        stage.input(format!("{reply}\r\n").as_bytes());
    }
    assert!(stage.ready);
    let mail = Script::parse("mail <a@x.example> <b@x.example> \"secret\\r\\n\"");
    let super::script::Step::Start(order) = &mail.steps[0] else { panic!() };
    stage.start(order);
    stage.wait(Duration::from_secs(2));
    stage.input(b"250 ok\r\n550-5.1.1 nobody\r\n550 5.1.1 here\r\n354 go\r\n");
    stage.input(b"250 ok\r\n");
    insta::assert_snapshot!(shown(&stage.session.transcript()));

    // The next transaction's begins with itself.
    stage.wait(Duration::from_secs(60));
    stage.start(order);
    stage.input(b"250 ok\r\n250 ok\r\n354 go\r\n");
    stage.wait(Duration::from_secs(3));
    stage.input(b"250 queued\r\n");
    insta::assert_snapshot!(shown(&stage.session.transcript()));
}

/// Some servers repeat what they complain about.
#[test]
fn a_server_that_repeats_credentials() {
    let script = Script::parse("settings: user=anna:secret clear_text_auth\n~ AUTH_PLAIN");
    let mut stage = Stage::new(&script);
    stage.input(b"220 hi\r\n");
    stage.input(b"250 AUTH PLAIN\r\n");
    assert!(stage.closed, "the first line of the reply is no extension");
    let mut stage = Stage::new(&script);
    stage.input(b"220 hi\r\n");
    stage.input(b"250-hi\r\n250 AUTH PLAIN\r\n");
    stage.input(b"500 unknown: AUTH PLAIN AGFubmEAc2VjcmV0, that is anna:secret\r\n");
    assert_eq!(stage.told, ["failed at auth, refused: 500 unknown: AUTH PLAIN <redacted>, that is anna:<redacted>"]);
    let text = shown(&stage.session.transcript());
    assert!(!text.contains("secret") && !text.contains("AGFub"), "{text}");
}

/// Found by fuzzing.
#[test]
fn a_server_that_throws_credentials_back() {
    let script = Script::parse("settings: user=anna:secret clear_text_auth\n~ AUTH_PLAIN");
    let mut stage = Stage::new(&script);
    stage.input(b"220 hi\r\n");
    stage.input(b"250-hi\r\n250 AUTH PLAIN\r\n");
    stage.input(b"AUTH PLAIN AGFubmEAc2VjcmV0? secret?\r\n");
    assert_eq!(stage.told, ["failed at auth, protocol: what the server answered to AUTH is no reply"]);
    let text = shown(&stage.session.transcript());
    assert!(!text.contains("secret") && !text.contains("AGFub"), "{text}");
}

#[test]
fn a_transcript_is_bounded() {
    let recipients: String = (0..2000).map(|number| format!("<r{number}@x.example> ")).collect();
    let script = format!("~ PIPELINING\nmail <a@x.example> {recipients}\"Hi\\r\\n\"");
    let mut stage = Stage::after(&Script::parse(&script));
    for _ in 0..30 {
        stage.input(&b"250 ok\r\n".repeat(50));
    }
    let transcript = stage.session.transcript();
    assert!(transcript.lines.iter().map(|line| line.text.len()).sum::<usize>() <= 16 * 1024);
    assert!(transcript.dropped > 100);
}
