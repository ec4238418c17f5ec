//! F1 of the list of attacks: two From, `From :`, a folded From, NUL in From, and all that looks like an author.

use mail::header::Header;
use policy::dmarc::{Author, AuthorError, Remedy};
use proptest::prelude::*;

const FIELDS: usize = 50;

fn of(header: &str) -> Result<String, AuthorError> {
    let header = Header::parse(header.as_bytes(), FIELDS);
    Author::from_header(&header).map(|author| author.domain.to_string())
}

fn check(from: &str, expect: Result<&str, AuthorError>) {
    let got = of(&format!("Subject: x\r\nFrom: {from}\r\nTo: y@victim.example\r\n\r\nFrom: body@victim.example\r\n"));
    assert_eq!(got.as_deref().map_err(|error| *error), expect, "{from:?}");
}

#[test]
fn honest_authors() {
    for from in [
        "a@b.example",
        "<a@b.example>",
        "A <a@B.Example>",
        "\"A, B\" <a@b.example>",
        "John Q. Public [staff] <a@b.example>",
        "Foo, Inc. <a@b.example>",
        "Sale: now <a@b.example>",
        "\"a@victim.example\" <a@b.example>",
        "\"<a@victim.example>\" <a@b.example>",
        "\"a@victim.example\\\" <\" <a@b.example>",
        "=?utf-8?q?a=40victim.example?= <a@b.example>",
        "a@b.example (the c@victim.example of (all) \\) men)",
        "(c@victim.example) a@b.example",
        "\"a@victim.example\"@b.example",
        "\"a b\"@b.example",
        "a @ b . (no) example",
        "a@b.example.",
        "A <a@b.example>, C <c@b.example>",
        "Team: a@b.example, <c@b.example>;",
        "John @ Work <a@b.example>",
        "a@b.example <a@b.example>",
        "A\r\n <a@b.example>",
        "\r\n A <a@\r\n\tb.example>",
        "\tA <a@b.example>",
        "J\u{fc}rgen <a@b.example>",
    ] {
        check(from, Ok("b.example"));
    }
    check("a@localhost", Ok("localhost"));
    check("a@mx_1.b.example", Ok("mx_1.b.example"));
    // RFC 9989 §5.3.1: U-labels become A-labels.
    check("a@b\u{fc}cher.example", Ok("xn--bcher-kva.example"));
    check("a@B\u{dc}CHER\u{3002}example", Ok("xn--bcher-kva.example"));
    check("a@\u{ff42}.example", Ok("b.example"));
    // An octet of an old character set in the display name.
    let header = Header::parse(b"From: J\xfcrgen <a@b.example>\r\n", FIELDS);
    assert_eq!(Author::from_header(&header).unwrap().domain.as_str(), "b.example");
}

#[test]
fn two_from_fields_are_refused() {
    let two = [
        "From: a@b.example\r\nFrom: c@victim.example\r\n",
        "From: a@b.example\r\nFrom: a@b.example\r\n",
        "From: a@b.example\r\nX: y\r\nfRoM: c@victim.example\r\n",
        "From: a@b.example\r\nFrom : c@victim.example\r\n",
        "From\t:a@b.example\r\nfrom \t :\r\n c@victim.example\r\n",
        "From:\r\nFrom: c@victim.example\r\n",
    ];
    for header in two {
        assert_eq!(of(header), Err(AuthorError::Repeated), "{header:?}");
        assert_eq!(of(&format!("{header}\r\nbody")), Err(AuthorError::Repeated), "{header:?}");
    }
    assert_eq!(AuthorError::Repeated.remedy(), Remedy::Refuse);
    // A field alone is an author with the blank, too, and folded.
    assert_eq!(of("From : a@b.example\r\n").as_deref(), Ok("b.example"));
    assert_eq!(of("From \t:\r\n\ta@b.example\r\n").as_deref(), Ok("b.example"));
}

#[test]
fn a_second_from_cannot_hide_behind_many_fields() {
    let many = "X: y\r\n".repeat(FIELDS - 1);
    assert_eq!(of(&format!("From: a@b.example\r\n{many}")).as_deref(), Ok("b.example"));
    assert_eq!(of(&format!("From: a@b.example\r\n{many}From: c@victim.example\r\n")), Err(AuthorError::Overlong));
    assert_eq!(of(&format!("{many}X: y\r\nFrom: c@victim.example\r\n")), Err(AuthorError::Overlong));
    assert_eq!(AuthorError::Overlong.remedy(), Remedy::Refuse);
}

#[test]
fn control_characters_are_refused() {
    for from in [
        "a@b.example\0",
        "a@b.example\0.victim.example",
        "\0 <a@b.example>",
        "a@b\u{b}.example",
        "a@b.example\rFrom: c@victim.example",
        "\"\u{1b}[2K\" <a@b.example>",
        "a@b.example\u{7f}",
    ] {
        check(from, Err(AuthorError::Character));
    }
    // A bare LF ends the line: what follows is another field to some and a fold to others.
    assert_eq!(of("From: a@b.example\n c@victim.example\r\n"), Err(AuthorError::Character));
    assert_eq!(AuthorError::Character.remedy(), Remedy::Refuse);
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    for from in [
        "\"a@b.example",
        "a@b.example (no end",
        "(((((((((",
        "<a@b.example",
        "a@b.example>",
        "A <a@b.example> <c@victim.example>",
        "A <a@b.example> c@victim.example",
        "A <a@b.example>@victim.example",
        "<<a@b.example>>",
        "<a@b.example>>",
        "A <a@b@victim.example>",
        "a@b@victim.example",
        "a@b.example c@victim.example",
        "c@victim.example a@b.example",
        "<@victim.example:a@b.example>",
        "<@x.example,@victim.example:a@b.example>",
        "<a@b.example, c@victim.example>",
        "a@b.exa mple",
        "a@b.exa(x)mple",
        "a@",
        "@b.example",
        "<@b.example>",
        "a@\"b.example\"",
        "a@b..example",
        "a@-b.example",
        "a@b,example@",
        "a@b.example\\",
        "a@b.example=",
        "a@b%2eexample",
        "a@192.0.2.1",
        "a@xn--\u{fc}.example",
        "a@[192.0.2.1",
        "<a@[192.0.2.1]victim.example>",
        "A <words>",
        // c@victim.example, a NUL, and the rest in a comment, to a program that decodes it.
        "=?utf-8?b?Y0B2aWN0aW0uZXhhbXBsZQ==?==?utf-8?q?=00?=@b.example",
        "Boss <=?utf-8?q?c=40victim.example?=@b.example>",
        "Boss <x.=?utf-8?q?c=40victim.example?=@b.example>",
        "\"=?utf-8?q?c=40victim.example?=\"@b.example",
    ] {
        check(from, Err(AuthorError::Malformed));
    }
    let long = format!("a@{}.example", "b".repeat(64));
    check(&long, Err(AuthorError::Malformed));
    let header = Header::parse(b"From: a@b\xfc.example\r\n", FIELDS);
    assert_eq!(Author::from_header(&header), Err(AuthorError::Malformed));
    assert_eq!(AuthorError::Malformed.remedy(), Remedy::Refuse);
}

#[test]
fn what_has_no_one_domain_is_a_permerror() {
    check("A <a@b.example>, C <c@victim.example>", Err(AuthorError::Several));
    check("a@b.example, c@sub.b.example", Err(AuthorError::Several));
    check("One: a@b.example; Two: c@victim.example;", Err(AuthorError::Several));
    // Shown to the reader in place of the address in brackets.
    check("c@victim.example <a@b.example>", Err(AuthorError::Several));
    check("support \"c\"@victim.example desk <a@b.example>", Err(AuthorError::Several));
    check("", Err(AuthorError::NoAddress));
    check(" \r\n ", Err(AuthorError::NoAddress));
    check("<>", Err(AuthorError::NoAddress));
    check("Undisclosed:;", Err(AuthorError::NoAddress));
    check("Team: (nobody), ;", Err(AuthorError::NoAddress));
    check("=?utf-8?q?c=40victim.example?=", Err(AuthorError::NoAddress));
    check("\"c@victim.example\"", Err(AuthorError::NoAddress));
    check("a@[192.0.2.1]", Err(AuthorError::Literal));
    check("A <a@[IPv6:2001:db8::1]>", Err(AuthorError::Literal));
    assert_eq!(of("Subject: x\r\n\r\nFrom: a@b.example\r\n"), Err(AuthorError::Missing));
    assert_eq!(of("hello\r\nFrom: a@b.example\r\n"), Err(AuthorError::Missing));
    assert_eq!(of("From\0: a@b.example\r\n"), Err(AuthorError::Missing));
    for error in [AuthorError::Several, AuthorError::NoAddress, AuthorError::Literal, AuthorError::Missing] {
        assert_eq!(error.remedy(), Remedy::Permerror);
    }
}

#[test]
fn hostile_sizes_are_linear() {
    // Quadratic work on these would take minutes.
    let much = 1 << 18;
    for piece in
        ["(", "((\\", "a,", "\"\",", "<", "a@b.example,", "a@b <a@b>,", "@", "[", "a@[", "a.", "\u{fc}", ":", "a@b "]
    {
        let from = piece.repeat(much / piece.len());
        let _either = Author::from_value(from.as_bytes());
        let _either = Author::from_value(format!("a@{from}").as_bytes());
    }
    // Converting a domain of 256 KiB to A-labels takes half a second, so none that is longer than any can be is begun with.
    let long = |hyphens| format!("a@b{}.example", "\u{ad}".repeat(hyphens));
    check(&long(500), Ok("b.example"));
    check(&long(600), Err(AuthorError::Malformed));
}

proptest! {
    #[test]
    fn no_value_is_too_much(value: Vec<u8>) {
        let _either = Author::from_value(&value);
    }

    #[test]
    fn no_mixture_is_too_much(value in "[a@b.<>\",;:()\\\\\\[\\] \t\r\n\u{fc}]{0,40}") {
        let _either = Author::from_value(value.as_bytes());
    }

    /// Whatever a program shows of it: where we see an author, every domain behind a bare `@` is the author's.
    #[test]
    fn no_other_domain_stands_in_the_open(before in "[a-z <>,;:@.]{0,20}", after in "[a-z <>,;:@.]{0,20}") {
        let value = format!("{before} <a@victim.example> {after}");
        if let Ok(author) = Author::from_value(value.as_bytes()) {
            prop_assert_eq!(author.domain.as_str(), "victim.example");
        }
    }
}
