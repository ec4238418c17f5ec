//! Authentication-Results: RFC 8601, and D7 of the list of attacks.

use policy::authres::{Entry, Method, Outcome, PropertyKind, Results, UnreadableField, claims_to_be, read};
use proptest::prelude::*;

const OURS: &str = "mx.example.net";

#[test]
fn the_field_is_written_with_its_folds() {
    use PropertyKind::{Header, Policy, Smtp};
    let entries = vec![
        Entry::new(Method::Iprev, Outcome::Pass).comment("client.example").property(Policy, "iprev", "192.0.2.1"),
        Entry::new(Method::Auth, Outcome::Pass).property(Smtp, "auth", "a@example.net"),
        Entry::new(Method::Spf, Outcome::SoftFail)
            .reason("192.0.2.1 is not \"permitted\"")
            .property(Smtp, "mailfrom", "bounce+b=c.example@list.example")
            .property(Smtp, "helo", "client.example"),
        Entry::new(Method::Dkim, Outcome::Pass)
            .comment("2048-bit key")
            .property(Header, "d", "example.org")
            .property(Header, "i", "@example.org")
            .property(Header, "s", "s1")
            .property(Header, "a", "rsa-sha256")
            .property(Header, "b", "AbC/+123"),
        Entry::new(Method::Dkim, Outcome::TempError).reason("no key").property(Header, "d", "other.example"),
        Entry::new(Method::Dmarc, Outcome::Fail).comment("p=reject").property(Header, "from", "example.com"),
        Entry::new(Method::Arc, Outcome::None),
    ];
    let field = Results { id: OURS.into(), entries }.to_field();
    let expect = "Authentication-Results: mx.example.net;\r\n\
        \tiprev=pass (client.example) policy.iprev=192.0.2.1;\r\n\
        \tauth=pass smtp.auth=a@example.net;\r\n\
        \tspf=softfail reason=\"192.0.2.1 is not \\\"permitted\\\"\"\r\n\
        \tsmtp.mailfrom=bounce+b=c.example@list.example smtp.helo=client.example;\r\n\
        \tdkim=pass (2048-bit key) header.d=example.org header.i=@example.org\r\n\
        \theader.s=s1 header.a=rsa-sha256 header.b=\"AbC/+123\";\r\n\
        \tdkim=temperror reason=\"no key\" header.d=other.example;\r\n\
        \tdmarc=fail (p=reject) header.from=example.com;\r\n\
        \tarc=none\r\n";
    assert_eq!(field, expect);
    let none = Results { id: OURS.into(), entries: vec![] };
    assert_eq!(none.to_field(), "Authentication-Results: mx.example.net; none\r\n");
}

#[test]
fn the_field_is_bounded() {
    let long = "(\\\"\u{fc}".repeat(1 << 10);
    let entry = Entry::new(Method::Spf, Outcome::Fail).reason(long.as_str()).comment(long.as_str()).property(
        PropertyKind::Smtp,
        "mailfrom",
        long.as_str(),
    );
    let field = Results { id: long, entries: vec![entry; 1000] }.to_field();
    assert!(field.len() < 100_000, "{}", field.len());
    assert!(field.split("\r\n").all(|line| line.len() <= 998));
}

/// Method, result, reason and properties of each, in one line.
fn told(value: &str) -> Result<String, UnreadableField> {
    let reading = read(value.as_bytes())?;
    let mut text = format!("{} {}", reading.id, reading.version);
    for entry in reading.entries {
        text += &format!(" | {} {}", entry.method, entry.outcome);
        if let Some(reason) = entry.reason {
            text += &format!(" ({reason})");
        }
        for (kind, name, value) in entry.properties {
            text += &format!(" {kind}.{name}={value}");
        }
    }
    Ok(text)
}

#[test]
fn the_examples_of_rfc_8601_appendix_b_are_read() {
    let check = |value: &str, expect: &str| assert_eq!(told(value).as_deref(), Ok(expect), "{value}");
    check("example.org 1; none", "example.org 1");
    check(
        " example.com;\r\n          spf=pass smtp.mailfrom=example.net\r\n",
        "example.com 1 | spf pass smtp.mailfrom=example.net",
    );
    check(
        "example.com;\r\n  auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n  spf=pass smtp.mailfrom=example.net",
        "example.com 1 | auth pass smtp.auth=sender@example.net | spf pass smtp.mailfrom=example.net",
    );
    check(
        "example.com;\r\n  dkim=pass reason=\"good signature\"\r\n    header.i=@mail-router.example.net;\r\n  \
         dkim=fail reason=\"bad signature\"\r\n    header.i=@newyork.example.com",
        "example.com 1 | dkim pass (good signature) header.i=@mail-router.example.net \
         | dkim fail (bad signature) header.i=@newyork.example.com",
    );
    // B.7: comments and folds everywhere.
    check(
        "foo.example.net (foobar) 1 (baz);\r\n  dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n    \
         policy (A dot can go here) . (like that) expired\r\n    (this surprised me) = (as I wasn't expecting it) 1362471462",
        "foo.example.net 1 | dkim fail policy.expired=1362471462",
    );
}

#[test]
fn what_is_no_field_is_not_read() {
    for value in [
        "",
        ";",
        "; none",
        "x spf=pass",
        "x; spf",
        "x; spf=",
        "x; spf=pass smtp",
        "x; spf=pass smtp.",
        "x; spf=pass smtp.a",
        "x (",
        "\"x",
        "x; spf=pass reason=\"",
        "x; none; spf=pass",
        "x; spf=pass; none",
        "x 99999999999; none",
        "x; =pass",
        "x; spf=pass smtp.a=b; (((",
    ] {
        assert_eq!(read(value.as_bytes()), Err(UnreadableField), "{value}");
    }
    assert_eq!(read(format!("x{}", ";a=b".repeat(101)).as_bytes()), Err(UnreadableField));
    assert_eq!(read(format!("x;a=b{}", " c.d=e".repeat(101)).as_bytes()), Err(UnreadableField));
    assert_eq!(read(" ".repeat(70_000).as_bytes()), Err(UnreadableField));
    assert_eq!(told("x; none;").as_deref(), Ok("x 1"));
}

#[test]
fn fields_in_our_name_are_ours_to_remove() {
    for value in [
        "mx.example.net; spf=pass smtp.mailfrom=x",
        " mx.example.net;\r\n\tspf=pass\r\n",
        "MX.Example.NET; none",
        "mx.example.net",
        "mx.example.net.; none",
        "mx.example.net 1; none",
        "mx.example.net/1; none",
        "mx.example.net\t(v)\t2;",
        "\"mx.example.net\"; none",
        "\"mx\\.example\\.net\"; none",
        "\"mx.\"example.net; none",
        "mx.\"example\".net; none",
        "(hello) mx.example.net; none",
        "((nested) \\) ;) mx.example.net; none",
        "(\r\n )\r\n mx.example.net (x)\r\n ; none",
        "\r\n\tmx.example.net; none",
        "mx.exam\r\n ple.net; none",
        "mx(x).example(y).net; none",
        "mx . example . net; none",
        "other.example (mx.example.net); none",
        "other.example mx.example.net; none",
        "(;) mx.example.net; none",
        "(mx.example.net; none) other.example; none",
        "\"; \" mx.example.net; none",
        "\u{ff4d}\u{ff58}.example.net; none",
        "mx\u{3002}example\u{ff0e}net; none",
        "m\u{ad}x.example.net; none",
        "=?utf-8?q?mx=2Eexample=2Enet?=; none",
        // Nobody can tell whose these are.
        "",
        " \r\n",
        "; spf=pass",
        "\"\"; spf=pass",
        "(mx.example.net",
        "\"mx.example.net",
        "other.example (; none",
        "mx.example.net\0; none",
        "other.example\0; none",
        "mx.example.net\r; none",
        "\u{a0}mx.example.net; none",
        "\u{200e}\u{202e}mx.example.net; none",
        "a b c d e f g h i j k l m n o p q r s t; none",
    ] {
        assert!(claims_to_be(value.as_bytes(), OURS), "{value:?}");
        assert!(claims_to_be(value.as_bytes(), "MX.example.net."), "{value:?}");
    }
    assert!(claims_to_be(b"\xffmx.example.net; none", OURS));
    // In A-labels or not, on either side.
    for ours in ["mx.b\u{fc}cher.example", "mx.xn--bcher-kva.example"] {
        for value in ["mx.b\u{fc}cher.example; none", "mx.B\u{dc}cher.example 1;", "MX.XN--bcher-kva.example; none"] {
            assert!(claims_to_be(value.as_bytes(), ours), "{value:?} {ours:?}");
        }
    }
    let hidden = format!("m{}x.example.net; none", "\u{ad}".repeat(5000));
    assert!(claims_to_be(hidden.as_bytes(), OURS));
    // Converting all these names would take seconds.
    let name = "\u{4e00}".repeat(600);
    assert!(claims_to_be(format!("x ({}); none", format!("{name}/").repeat(140)).as_bytes(), OURS));
    assert!(claims_to_be(format!("x {}; none", "\u{4e00}".repeat(100)).as_bytes(), OURS));
    assert!(claims_to_be("x \u{fc} \u{fc}; none".as_bytes(), OURS));
}

#[test]
fn fields_of_others_stay() {
    for value in [
        "other.example; spf=pass smtp.helo=mx.example.net",
        "other.example;\r\n spf=pass (mx.example.net: ok) smtp.mailfrom=a@mx.example.net",
        "mx.example.net.other.example; none",
        "amx.example.net; none",
        "mx-example.net; none",
        "example.net; none",
        "mx2.example.net 1; none",
        "b\u{fc}cher.example; none",
        "other.example (J\u{fc}rgen's); none",
        "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=x.example; dkim=none",
    ] {
        assert!(!claims_to_be(value.as_bytes(), OURS), "{value:?}");
    }
}

#[test]
fn hostile_sizes_are_linear() {
    let much = 1 << 17;
    for piece in [
        "(", "()", "\"\"", "\"", "\\", "a ", "a.", "\u{fc}", "\u{fc} ", ";", "\r\n ", "\r\n a", "(\u{fc})", "mx.", "=",
        ".",
    ] {
        let value = piece.repeat(much / piece.len());
        let _either = claims_to_be(value.as_bytes(), OURS);
        let _either = claims_to_be(format!("x ({value}); none").as_bytes(), OURS);
        let _either = read(value.as_bytes());
        let _either = read(format!("x; spf=pass {value}").as_bytes());
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a\u{fc}@.;:()\"\\\\=/ \t\r\n\0]{0,12}", "[a-z]{1,5}@[a-z]{1,5}\\.example"]
}

/// As it comes back: what is not printable ASCII was replaced, what is too long was cut.
fn shown(text: &str, max: usize) -> String {
    text.chars().take(max).map(|character| if matches!(character, ' '..='~') { character } else { '?' }).collect()
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(
        texts in proptest::collection::vec((any_text(), any_text(), any_text(), any_text()), 0..6),
        id in "[a-z]{1,10}(\\.[a-z]{1,10}){0,3}",
    ) {
        let entries: Vec<Entry> = texts.iter().map(|(reason, comment, one, two)| {
            Entry::new(Method::Dkim, Outcome::PermError).reason(reason.as_str()).comment(comment.as_str())
                .property(PropertyKind::Header, "d", one.as_str()).property(PropertyKind::Smtp, "mailfrom", two.as_str())
        }).collect();
        let field = Results { id: id.clone(), entries }.to_field();
        // One field: every line but the last is followed by a fold, and nothing else ends a line.
        let lines: Vec<&str> = field.strip_suffix("\r\n").unwrap().split("\r\n").collect();
        prop_assert!(lines.iter().skip(1).all(|line| line.starts_with('\t')), "{}", field);
        prop_assert!(lines.iter().all(|line| line.bytes().all(|octet| matches!(octet, b'\t' | b' '..=b'~'))), "{}", field);
        let header = mail::header::Header::parse(field.as_bytes(), 10);
        prop_assert_eq!(header.fields.len(), 1);
        let reading = read(header.fields[0].value).unwrap();
        prop_assert_eq!((&reading.id, reading.entries.len()), (&id, texts.len()));
        for (entry, (reason, _, one, two)) in reading.entries.iter().zip(&texts) {
            prop_assert_eq!(entry.reason.clone(), Some(shown(reason, 200)));
            let expect = [("header", "d", one), ("smtp", "mailfrom", two)]
                .map(|(kind, name, text)| (kind.to_owned(), name.to_owned(), shown(text, 320)));
            prop_assert_eq!(entry.properties.as_slice(), &expect);
        }
        prop_assert!(claims_to_be(header.fields[0].value, &id));
    }

    #[test]
    fn whatever_is_read_as_ours_is_removed(value in "[ \\(\\)\"\\\\;mxMX.(\r\n )]{0,8}(mx|Mx|\"mx\"|\\(\\)mx|m\\\\x)[ \\(\\)\"\\\\;1(\r\n )]{0,8}") {
        if let Ok(reading) = read(value.as_bytes()) && reading.id.eq_ignore_ascii_case("mx") {
            prop_assert!(claims_to_be(value.as_bytes(), "mx"));
        }
    }

    #[test]
    fn no_value_is_too_much(value: Vec<u8>, id: String) {
        let _either = (claims_to_be(&value, &id), read(&value));
    }
}
