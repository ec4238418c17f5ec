//! Where lines and messages end.

use super::check;

#[test]
fn a1_look_alikes_of_the_end_refuse_the_message_and_smuggle_none() {
    for look_alike in [r"\n.\n", r"\n.\r\n", r"\r.\r\n", r"\r\n.\n", r"\r.\r", r"\r\n.\r", r"\r\n.\r\r\n", r"\n\n.\r\n"]
    {
        let smuggled = r"MAIL FROM:<evil@x.example>\r\nRCPT TO:<c@x.example>\r\nDATA\r\nevil";
        let content = format!(r"C< a{look_alike}{smuggled}\r\n.\r\n");
        check(&format!(
            r"
        ~ greeted
        ~ data
        {content}
        S: 550 5.6.0 The message has …
        M: none
        C: QUIT
        S* 221
        X
        "
        ));
    }
    check(
        r"
        ~ greeted
        ~ data
        C< a\nb\r\n.\r\n
        S: 550 5.6.0 The message has an LF without CR: end each line with CR LF
        ~ data
        C< a\rb\r\n.\r\n
        S: 550 5.6.0 The message has a CR without LF: end each line with CR LF
        M: none
        ",
    );
}

#[test]
fn a1_normalised_nothing_bare_is_relayed() {
    for (look_alike, normalised) in [
        (r"\n.\n", r"\r\n.\r\n"),
        (r"\n.\r\n", r"\r\n.\r\n"),
        (r"\r.\r\n", r" .\r\n"),
        (r"\r\n.\n", r"\r\n\r\n"),
        (r"\r.\r", r" . "),
        (r"\r\n.\r\r\n", r"\r\n \r\n"),
    ] {
        check(&format!(
            r#"
        settings: normalise
        ~ greeted
        ~ data
        C< a{look_alike}MAIL FROM:<evil@x.example>\r\n.\r\n
        S: 250 2.0.0 Ok: queued as msg_1
        M: "a{normalised}MAIL FROM:<evil@x.example>\r\n"
        "#
        ));
    }
}

#[test]
fn a1_a_pipelined_second_message_is_the_second() {
    check(
        r#"
        ~ greeted
        ~ data
        C: one
        C: .
        C: MAIL FROM:<c@x.example>
        C: RCPT TO:<d@x.example>
        C: DATA
        S* 250
        S* 250
        S* 250
        S* 354
        C: two
        C: .
        S: 250 2.0.0 Ok: queued as msg_2
        M: "one\r\n"
        M: <c@x.example> SevenBit -> <d@x.example> "two\r\n"
        "#,
    );
}

#[test]
fn a1_a_command_line_with_a_bare_lf_is_refused() {
    check(
        r"
        ~ greeted
        C< NOOP\nRSET\r\nNOOP\rRSET\r\n
        S: 500 5.5.2 The line ended with a bare LF…
        S: 250 2.0.0 Ok
        S: 500 5.5.2 A command is printable ASCII; the line had a control character
        ",
    );
}

#[test]
fn a3_a_dot_at_once_is_an_empty_message() {
    check(
        r#"
        ~ greeted
        ~ data
        C: .
        S: 250 2.0.0 Ok: queued as msg_1
        M: ""
        "#,
    );
}

#[test]
fn a4_dots_are_taken_off() {
    check(
        r#"
        ~ greeted
        ~ data
        C: ..x
        C: .x
        C: ..
        C: ...
        C: x.
        C: .
        S* 250
        M: ".x\r\nx\r\n.\r\n..\r\nx.\r\n"
        "#,
    );
}

#[test]
fn bdat_counts_octets() {
    check(
        r#"
        ~ greeted
        ~ recipient
        C: BDAT 5
        C< .a\r\n.
        S: 250 2.0.0 Ok: 5 octets received
        C: BDAT 0
        S* 250
        C: BDAT 3 LAST
        C< \r\nb
        S: 250 2.0.0 Ok: queued as msg_1
        M: ".a\r\n.\r\nb\r\n"
        "#,
    );
}

#[test]
fn bdat_pipelined_whole() {
    check(
        r#"
        ~ greeted
        C: MAIL FROM:<a@x.example> BODY=8BITMIME
        C: RCPT TO:<b@x.example>
        C: BDAT 4
        C: ab
        C: BDAT 4 LAST
        C: cd
        C: QUIT
        S* 250
        S* 250
        S* 250
        S: 250 2.0.0 Ok: queued as msg_1
        S* 221
        X
        M: <a@x.example> EightBitMime -> <b@x.example> "ab\r\ncd\r\n"
        "#,
    );
}

#[test]
fn a5_bdat_that_is_wrong() {
    // Fewer octets than follow: the rest is a command, and none that anybody knows.
    check(
        r#"
        ~ greeted
        ~ recipient
        C: BDAT 4 LAST
        C: ab
        C: X
        S: 250 2.0.0 Ok: queued as msg_1
        S* 500
        M: "ab\r\n"
        "#,
    );
    // Nothing but the last chunk, and that is empty.
    check(
        r#"
        ~ greeted
        ~ recipient
        C: BDAT 0 LAST
        S: 250 2.0.0 Ok: queued as msg_1
        M: ""
        "#,
    );
    for bad in ["x", "-1", "1 FIRST", "99999999999999999999", ""] {
        check(&format!(
            r"
        ~ greeted
        ~ recipient
        C: BDAT {bad}
        S: 501 5.5.4 BDAT needs a number of octets: type BDAT octets, or BDAT octets LAST
        C: DATA
        S: 503 5.5.1 Name the sender first…
        M: none
        "
        ));
    }
    // Larger than the limit: said at once, and the octets are not obeyed.
    check(
        r"
        settings: size=10
        ~ greeted
        ~ recipient
        C: BDAT 12
        S: 552 5.3.4 The message is too large: at most 10 octets are taken
        C: QUIT
        C: QUIT
        C: DATA
        S: 503 5.5.1 Name the sender first…
        ",
    );
    check(
        r"
        settings: size=10
        ~ greeted
        ~ recipient
        C: BDAT 6
        C: QUIT
        S* 250
        C: BDAT 6 LAST
        C: QUIT
        S: 552 5.3.4 The …
        C: BDAT 0 LAST
        S: 503 5.5.1 Name the sender first…
        M: none
        ",
    );
    // Without a transaction.
    check(
        r"
        ~ greeted
        C: BDAT 6 LAST
        C: QUIT
        C: NOOP
        S: 503 5.5.1 Name the sender first…
        S* 250
        M: none
        ",
    );
}

#[test]
fn a5_a_refused_chunk_is_swallowed_and_the_transaction_gone() {
    check(
        r"
        refuse: BEGIN 452 4.3.1 No room
        ~ greeted
        ~ recipient
        C: BDAT 6
        C: QUIT
        C: BDAT 6 LAST
        C: QUIT
        C: NOOP
        S: 452 4.3.1 No room
        S: 503 5.5.1 Name the sender first…
        S* 250
        M: none
        ",
    );
}

#[test]
fn a6_bdat_and_data_do_not_mix() {
    check(
        r#"
        ~ greeted
        ~ recipient
        C: BDAT 3
        C< abc
        S* 250
        C: DATA
        S: 503 5.5.1 The message is coming by BDAT: go on with BDAT, or send RSET to drop it
        C: RCPT TO:<c@x.example>
        S* 503
        C: MAIL FROM:<c@x.example>
        S* 503
        C: BDAT 0 LAST
        S: 250 2.0.0 Ok: queued as msg_1
        M: "abc\r\n"
        C: MAIL FROM:<a@x.example> BODY=BINARYMIME
        S: 555 5.5.4 The parameter BODY of MAIL is not offered here, or not with this value: leave it out
        "#,
    );
}

#[test]
fn a1_bare_newlines_in_chunks_refuse_the_message() {
    for (first, last) in [(r"a\nb", "c"), (r"a\r", "bc"), ("ab", r"c\r")] {
        let octets = |text: &str| crate::notation::unescape(text).len();
        let replies = if first.contains('\n') || first.contains(r"\n") {
            "S: 550 5.6.0 The …\nS* 503"
        } else {
            "S* 250\nS: 550 5.6.0 The …"
        };
        check(&format!(
            r"
        ~ greeted
        ~ recipient
        C: BDAT {}
        C< {first}
        C: BDAT {} LAST
        C< {last}
        {replies}
        C: NOOP
        S* 250
        M: none
        ",
            octets(first),
            octets(last)
        ));
    }
}

#[test]
fn b4_other_protocols_are_closed_at_the_first_line() {
    for request in
        ["GET / HTTP/1.1", "POST /x HTTP/1.1", "CONNECT x.example:25 HTTP/1.1", "PRI * HTTP/2.0", "Host: x.example"]
    {
        check(&format!(
            r"
        settings: pure
        S* 220
        C: {request}
        C: EHLO x.example
        C: MAIL FROM:<a@x.example>
        S: 554 5.5.1 This is an SMTP server, it does not speak HTTP; closing
        X
        "
        ));
    }
    check(
        r"
        settings: pure
        S* 220
        C< \x16\x03\x01\n\x00\x01\r\n
        S: 554 5.5.1 TLS does not begin at once here: use STARTTLS, or the port for implicit TLS (465); closing
        X
        ",
    );
}

#[test]
fn d10_long_lines_and_nuls_in_the_content_pass() {
    let long = "y".repeat(100_000);
    check(&format!(
        r#"
        ~ greeted
        ~ data
        C: {long}
        C< a\x00b\xff\r\n.\r\n
        S* 250
        M: "{long}\r\na\x00b\xff\r\n"
        "#
    ));
}

#[test]
fn d10_a_hundred_thousand_fields_pass() {
    let field = r"X: y\r\n";
    check(&format!(
        r#"
        ~ greeted
        ~ data
        C* 100000 {field}
        C: .
        S* 250
        M: "{}"
        "#,
        field.repeat(100_000)
    ));
}
