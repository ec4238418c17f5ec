use proptest::prelude::*;

use super::*;
use crate::{FailureKind, Reply, Stage};

fn mailbox(text: &str) -> Mailbox {
    text.parse().unwrap()
}

fn refusal(stage: Stage, host: &str, reply: Reply, from_peer: bool, class: FailureClass) -> Refusal {
    Refusal { stage, host: host.into(), reply, from_peer, class, kind: FailureKind::Hard }
}

fn unknown_user() -> Refusal {
    let reply = Reply::with(
        550,
        (5, 1, 1),
        "<bob@b.example>: Recipient address rejected: User unknown in local recipient table",
    );
    refusal(Stage::Rcpt, "mx.b.example [192.0.2.25]", reply, true, FailureClass::UnknownUser)
}

fn write(failures: &[Failure<'_>], original: &[u8]) -> String {
    let bytes = build(&Notification {
        reporting_mta: "mx.ours.example",
        from: &mailbox("mailer-daemon@mx.ours.example"),
        to: &mailbox("alice@ours.example"),
        message_id: "1@mx.ours.example",
        boundary: "=_report_1",
        date: Timestamp::from_secs(1_795_508_169),
        arrival: Timestamp::from_secs(1_795_500_000),
        original_id: "msg_0000000003e87fffbfffffffffffffff",
        failures,
        original,
    });
    String::from_utf8(bytes).unwrap()
}

const ORIGINAL: &[u8] =
    b"From: Alice <alice@ours.example>\r\nTo: bob@b.example\r\nSubject: Hello\r\n\r\nBody stays here.\r\n";

#[test]
fn one_unknown_user() {
    let (recipient, refusal) = (mailbox("bob@b.example"), unknown_user());
    let failure = Failure { recipient: &recipient, original: None, refusal: &refusal, attempts: 1, expired: false };
    insta::assert_snapshot!(write(&[failure], ORIGINAL));
}

/// Found by fuzzing.
#[test]
fn a_host_without_end_makes_no_line_without_end() {
    let (recipient, mut refusal) = (mailbox("bob@b.example"), unknown_user());
    refusal.host = "x".repeat(5000);
    let failure = Failure { recipient: &recipient, original: None, refusal: &refusal, attempts: 1, expired: false };
    assert!(write(&[failure], ORIGINAL).lines().all(|line| line.len() <= crate::header::LINE_MAX));
}

#[test]
fn two_that_expired_one_of_them_through_an_alias() {
    let (first, second, alias) = (mailbox("bob@b.example"), mailbox("carol@c.example"), mailbox("team@ours.example"));
    let silent = refusal(
        Stage::Connect,
        "mx.b.example [192.0.2.25]",
        Reply::with(451, (4, 4, 1), "192.0.2.25:25 refused the connection"),
        false,
        FailureClass::Network,
    );
    let busy = refusal(
        Stage::Content,
        "mx.c.example [192.0.2.26]",
        Reply::new(450, None, "later"),
        true,
        FailureClass::Unknown,
    );
    let failures = [
        Failure { recipient: &first, original: None, refusal: &silent, attempts: 21, expired: true },
        Failure { recipient: &second, original: Some(&alias), refusal: &busy, attempts: 1, expired: true },
    ];
    insta::assert_snapshot!(write(&failures, ORIGINAL));
}

#[test]
fn a_header_that_is_not_plain_is_encoded() {
    let (recipient, refusal) = (mailbox("bob@b.example"), unknown_user());
    let failure = Failure { recipient: &recipient, original: None, refusal: &refusal, attempts: 1, expired: false };
    let original =
        "Subject: Привет = \u{0}\r\n--=_report_1--: x\r\nX-Long: ".to_owned() + &"y".repeat(2000) + "\r\n\r\nbody";
    let text = write(&[failure], original.as_bytes());
    let part = text.rsplit("Content-Type: ").next().unwrap();
    assert!(part.starts_with("text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"), "{part}");
    assert!(part.contains("Subject: =D0=9F=D1=80") && part.contains("=3D =00\r\n"), "{part}");
    assert!(part.contains("\r\n=2D-=3D_report_1--: x\r\n"), "{part}");
    assert!(part.lines().all(|line| line.len() <= 76) && !part.contains("body"));
}

#[test]
fn the_original_is_cut_at_whole_lines() {
    let header = "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(1000);
    let part = String::from_utf8_lossy(original_header(header.as_bytes())).into_owned();
    assert!(part.len() <= HEADER_MAX && part.len() > HEADER_MAX - 100 && part.ends_with("a\r\n"));
    for (message, expect) in [("", ""), ("hello\r\n", ""), ("A: b\r\nhello\r\n", "A: b\r\n"), ("A: b", "")] {
        assert_eq!(original_header(message.as_bytes()), expect.as_bytes(), "{message:?}");
    }
}

/// The parts of a notification as a reader that knows the boundary finds them, each as header and body.
fn parts(text: &str) -> Vec<(String, String)> {
    let inner = text.split_once("\r\n\r\n").unwrap().1;
    assert!(inner.ends_with("\r\n--=_report_1--\r\n"));
    let inner = inner.strip_suffix("\r\n--=_report_1--\r\n").unwrap();
    let parts = format!("\r\n{inner}");
    parts
        .split("\r\n--=_report_1")
        .skip(1)
        .map(|part| part.strip_prefix("\r\n").expect("a boundary is alone on its line"))
        .map(|part| {
            part.split_once("\r\n\r\n")
                .map_or((part.into(), String::new()), |(header, body)| (header.into(), body.into()))
        })
        .collect()
}

const FIELDS: &[&str] = &[
    "Reporting-MTA",
    "X-Posthouse-Queue-ID",
    "Arrival-Date",
    "Original-Recipient",
    "Final-Recipient",
    "Action",
    "Status",
    "Remote-MTA",
    "Diagnostic-Code",
];

proptest! {
    #[test]
    fn hostile_replies_and_headers_break_nothing(
        lines in prop::collection::vec("(\\PC|\r|\n|--=_report_1(--)?|Action: delivered\r\n|\r\n\r\n|\u{0}|\t){0,40}", 1..5),
        host in "(mx\\.b\\.example|\r\n|: |--=_report_1|\\PC){0,5}",
        original in prop::collection::vec(prop_oneof![
            Just(b"--=_report_1\r\n".to_vec()), Just(b"--=_report_1--\r\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"A: b\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..30)], 0..10),
        from_peer: bool, expired: bool,
    ) {
        let recipient = mailbox("\"a: \\\"b\"@b.example");
        let reply = Reply { code: 550, enhanced: None, lines };
        let refusal = refusal(Stage::Content, &host, reply, from_peer, FailureClass::Unknown);
        let failure = Failure { recipient: &recipient, original: Some(&recipient), refusal: &refusal, attempts: 2, expired };
        let text = write(&[failure.clone(), failure], &original.concat());
        prop_assert!(text.is_ascii() && !text.replace("\r\n", "").contains(['\r', '\n', '\0']));
        prop_assert!(text.lines().all(|line| line.len() <= crate::header::LINE_MAX));
        let parts = parts(&text);
        let kinds: Vec<&str> = parts.iter().map(|(header, _)| header.split([';', '\r']).next().unwrap()).collect();
        prop_assert_eq!(
            kinds,
            ["Content-Type: text/plain", "Content-Type: message/delivery-status", "Content-Type: text/rfc822-headers"]
        );
        let groups: Vec<&str> = parts[1].1.trim_end().split("\r\n\r\n").collect();
        prop_assert_eq!(groups.len(), 3);
        for group in groups {
            let bytes = format!("{group}\r\n");
            let header = Header::parse(bytes.as_bytes(), 100);
            prop_assert_eq!(header.end, bytes.len());
            let names: Vec<String> = header.fields.iter().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect();
            prop_assert!(names.iter().all(|name| FIELDS.contains(&name.as_str())), "{:?}", names);
            prop_assert!(names.iter().filter(|name| *name == "Action").count() <= 1);
        }
    }
}
