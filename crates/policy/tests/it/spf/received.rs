//! The `Received-SPF` field (RFC 7208 §9.1), whatever strangers put into it.

use policy::spf::{Check, Subject, received_spf};

use super::zone::{Zone, play, subject};

/// Lines of printable ASCII within the limit, each but the first beginning with a blank; one comment; pairs of a key and
/// an atom or a quoted string.
pub(super) fn is_well_formed(value: &str) -> bool {
    let lines: Vec<&str> = value.split("\r\n").collect();
    let are_lines = lines.iter().enumerate().all(|(at, line)| {
        line.bytes().all(|octet| matches!(octet, b' '..=b'~')) && line.len() < 990 && (at == 0 || line.starts_with(' '))
    });
    let Some((_, rest)) = value.split_once(" (") else { return false };
    let Some((comment, pairs)) = rest.split_once(")\r\n") else { return false };
    are_lines && !comment.contains(['(', ')', '\\']) && are_pairs(pairs)
}

fn are_pairs(text: &str) -> bool {
    let text = text.replace("\r\n", "");
    let mut rest = text.as_str();
    loop {
        let Some((key, value)) = rest.trim_start().split_once('=') else { return false };
        if key.is_empty() || !key.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-') {
            return false;
        }
        let Some(after) = after_value(value) else { return false };
        match after.strip_prefix(';') {
            Some(more) => rest = more,
            None => return after.is_empty(),
        }
    }
}

fn after_value(text: &str) -> Option<&str> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '"', '(', ')', '<', '>', '@', ',', ':', '[', ']', '\\']).unwrap_or(text.len());
        return (end > 0).then(|| &text[end..]);
    };
    let mut escaped = false;
    for (at, character) in inner.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(&inner[at + 1..]),
            _ => {}
        }
    }
    None
}

fn field(zone: &str, subject: &Subject<'_>) -> String {
    let (_, verdict) = play(&Zone::new(zone), Check::new(subject));
    received_spf(subject, &verdict)
}

#[test]
fn each_outcome_in_its_words() {
    let check = |zone: &str, expect: &str| {
        assert_eq!(field(zone, &subject("192.0.2.1")), expect.replace('\n', "\r\n"));
    };
    check(
        "example.net TXT v=spf1 ip4:192.0.2.0/24 -all",
        "pass (mx.receiver.example: domain of a@example.net allows 192.0.2.1)\n \
         identity=mailfrom; client-ip=192.0.2.1; envelope-from=\"a@example.net\";\n \
         helo=mail.example.net; receiver=mx.receiver.example;\n \
         mechanism=\"ip4:192.0.2.0/24\"",
    );
    check(
        "example.net TXT v=spf1 a:x.example",
        "neutral (mx.receiver.example: domain of a@example.net says nothing about 192.0.2.1)\n \
         identity=mailfrom; client-ip=192.0.2.1; envelope-from=\"a@example.net\";\n \
         helo=mail.example.net; receiver=mx.receiver.example; mechanism=default",
    );
    check(
        "example.net TXT v=spf1 moo",
        "permerror (mx.receiver.example: in the record of example.net: the term \"moo\": there is no such mechanism)\n \
         identity=mailfrom; client-ip=192.0.2.1; envelope-from=\"a@example.net\";\n \
         helo=mail.example.net; receiver=mx.receiver.example;\n \
         problem=\"in the record of example.net: the term \\\"moo\\\": there is no such mechanism\"",
    );
}

#[test]
fn an_ipv6_address_and_the_null_path_are_quoted() {
    let null = Subject { mail_from: "", ..subject("2001:db8::1") };
    let field = field("mail.example.net TXT v=spf1 -all", &null);
    assert!(
        field.starts_with("fail (mx.receiver.example: domain of mail.example.net does not allow 2001:db8::1)"),
        "{field}"
    );
    assert!(field.contains("identity=helo; client-ip=\"2001:db8::1\"; envelope-from=\"\";"), "{field}");
    assert!(is_well_formed(&field), "{field}");
}

#[test]
fn a_check_of_the_helo_name_says_so() {
    let subject = subject("192.0.2.1");
    let (_, verdict) = play(
        &Zone::new("mail.example.net TXT v=spf1 a:mail.example.net ~all\n mail.example.net A 192.0.2.1"),
        Check::helo(&subject),
    );
    let field = received_spf(&subject, &verdict);
    assert!(field.starts_with("pass (mx.receiver.example: domain of mail.example.net allows 192.0.2.1)"), "{field}");
    assert!(field.contains("identity=helo;") && field.contains("envelope-from=\"a@example.net\""), "{field}");
}

#[test]
fn nothing_from_outside_leaves_its_place() {
    let long = "x".repeat(5_000);
    let hostile = [
        "a\r\nSubject: hi",
        "\" ; identity=x",
        "a\\",
        "a\\\"b",
        ")(",
        "\u{1b}[31m\u{202e}",
        "a;b=c",
        "\0",
        "\u{fc}@\u{fc}",
        "<a@b>",
        "(",
        &long,
    ];
    for text in hostile {
        let mail_from = format!("{text}@example.net");
        for subject in [
            Subject { helo: text, ..subject("192.0.2.1") },
            Subject { mail_from: &mail_from, ..subject("192.0.2.1") },
            Subject { mail_from: text, ..subject("192.0.2.1") },
            Subject { mail_from: "", helo: text, ..subject("192.0.2.1") },
        ] {
            for zone in [
                "example.net TXT v=spf1 -all",
                "example.net TXT v=spf1 \u{1b}\r(\"\\",
                "example.net TXT v=spf1 exists:a)\"(\\%{h}",
            ] {
                let field = field(zone, &subject);
                assert!(is_well_formed(&field), "{field}");
            }
        }
    }
}

#[test]
fn the_test_of_form_can_fail() {
    assert!(is_well_formed("pass (a)\r\n a=b; c=\"d;\\\"\""));
    for bad in [
        "pass (a) a=b",
        "pass (a)\r\n a=b\r\nX: y",
        "pass (a(b)\r\n a=b",
        "pass (a)\r\n a=\"b",
        "pass (a)\r\n a=b c",
        "pass (a)\r\n a=",
    ] {
        assert!(!is_well_formed(bad), "{bad}");
    }
}
