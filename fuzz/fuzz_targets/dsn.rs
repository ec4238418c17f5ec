//! Notifications quote what remote servers said and the header of the message: whatever that is, they are ASCII lines,
//! and the parts are as many as were written.
//!
//! Input: what the server said, a NUL, the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{
    FailureClass, FailureKind, Mailbox, Refusal, Reply, Stage, Timestamp,
    dsn::{Failure, Notification, build},
};

const BOUNDARY: &str = "=_boundary";

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |octet| *octet == 0);
    let said = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let original = parts.next().unwrap_or_default();
    // A boundary is random: nobody can know it before.
    if input.windows(BOUNDARY.len()).any(|window| window == BOUNDARY.as_bytes()) {
        return;
    }
    let mailbox = |text: &str| text.parse::<Mailbox>().expect("an address");
    let refusal = Refusal {
        stage: Stage::Rcpt,
        host: said.clone(),
        reply: Reply { code: 550, enhanced: None, lines: said.split('\n').map(str::to_owned).collect() },
        from_peer: true,
        class: FailureClass::UnknownUser,
        kind: FailureKind::Hard,
    };
    let (from, to, recipient) = (mailbox("mailer-daemon@x.example"), mailbox("a@x.example"), mailbox("b@x.example"));
    let failure = Failure { recipient: &recipient, original: None, refusal: &refusal, attempts: 1, expired: false };
    let written = build(&Notification {
        reporting_mta: "mx.example",
        from: &from,
        to: &to,
        message_id: "id@mx.example",
        boundary: BOUNDARY,
        date: Timestamp::from_secs(1_700_000_000),
        arrival: Timestamp::from_secs(1_700_000_000),
        original_id: "msg_1",
        failures: &[failure],
        original,
    });
    let text = std::str::from_utf8(&written).expect("ASCII");
    assert!(text.ends_with("\r\n") && text.is_ascii());
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "a bare CR or LF");
    assert!(text.split("\r\n").all(|line| line.len() <= 998), "a line that is too long");
    let delimiters = text.split("\r\n").filter(|line| line.starts_with("--=_boundary")).count();
    assert_eq!(delimiters, 4, "three parts and the end");
});
