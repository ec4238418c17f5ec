//! Explanations (RFC 7208 §6.2): a stranger's words, that end in a reply of ours.

use policy::spf::{Check, EXPLANATION_OCTETS_MAX, Outcome, Subject};

use super::zone::{Entry, Zone, expect, play, subject};

fn explanation(text: &[u8], mail_from: &str) -> Option<String> {
    let mut zone = Zone::new("example.net TXT v=spf1 exp=why.%{d} -all");
    zone.add("why.example.net", Entry::Txt(text.to_vec()));
    let (_, verdict) = play(&zone, Check::new(&Subject { mail_from, ..subject("192.0.2.1") }));
    assert_eq!(verdict.outcome, Outcome::Fail);
    verdict.explanation
}

#[test]
fn every_letter_may_be_in_it() {
    let text = b"%{s} %{c} %{r} %{t} %{h} %{v} %{p} %{L}";
    assert_eq!(
        explanation(text, "a@example.net").as_deref(),
        Some("a@example.net 192.0.2.1 mx.receiver.example 1795521600 mail.example.net in-addr unknown a"),
    );
}

#[test]
fn quotes_are_no_part_of_a_local_part() {
    assert_eq!(explanation(b"%{l}", r#""strong\"bad x"@example.net"#).as_deref(), Some("strong\"bad x"));
    assert_eq!(explanation(b"%{s}", r#""a@b"@example.net"#).as_deref(), Some("a@b@example.net"));
}

#[test]
fn nothing_that_could_end_a_line_comes_through() {
    assert_eq!(explanation(b"no\r\n250 2.0.0 Ok", "a@example.net"), None);
    assert_eq!(explanation(b"\x1b[31mred", "a@example.net"), None);
    assert_eq!(explanation("n\u{f6}".as_bytes(), "a@example.net"), None);
    assert_eq!(explanation(b"", "a@example.net"), None);
    let line = explanation(b"hello %{l}!", "a\r\nRCPT TO:<b>\0\u{202e}@example.net").unwrap();
    assert_eq!(line, "hello a??RCPT TO:<b>??!");
}

#[test]
fn it_is_bounded() {
    let line = explanation("%{s}".repeat(10_000).as_bytes(), "a@example.net").unwrap();
    assert_eq!(line.len(), EXPLANATION_OCTETS_MAX);
    let line = explanation(&vec![b'x'; 64 * 1024], "a@example.net").unwrap();
    assert_eq!(line.len(), EXPLANATION_OCTETS_MAX);
}

#[test]
fn only_a_fail_has_one_and_only_of_the_record_that_decided() {
    let zone = |qualifier: &str| {
        format!(
            "example.net TXT v=spf1 include:other.example {qualifier}all exp=mine.example
            other.example TXT v=spf1 -all exp=theirs.example
            mine.example TXT mine\n theirs.example TXT theirs"
        )
    };
    assert_eq!(expect(&zone("-"), "192.0.2.1", Outcome::Fail).explanation.as_deref(), Some("mine"));
    assert_eq!(expect(&zone("~"), "192.0.2.1", Outcome::SoftFail).explanation, None);
    let zone = "example.net TXT v=spf1 redirect=other.example exp=mine.example
        other.example TXT v=spf1 -all exp=theirs.example
        mine.example TXT mine\n theirs.example TXT theirs of %{d} for %{o}";
    assert_eq!(
        expect(zone, "192.0.2.1", Outcome::Fail).explanation.as_deref(),
        Some("theirs of other.example for example.net"),
    );
}

#[test]
fn the_client_s_name_is_found_for_it_even_if_it_fails() {
    let zone = "example.net TXT v=spf1 exists:%{p}.x.example -all exp=%{p}.why.example
        1.2.0.192.in-addr.arpa PTR a.client.example\n 1.2.0.192.in-addr.arpa PTR b.client.example
        a.client.example TIMEOUT\n b.client.example A 192.0.2.1
        b.client.example.why.example TXT hello %{p}";
    assert_eq!(expect(zone, "192.0.2.1", Outcome::Fail).explanation.as_deref(), Some("hello b.client.example"));
}
