//! Addresses, parameters and odd octets as a client meets them. The parser's own tests are beside it.

use super::check;

#[test]
fn d3_addresses() {
    let local = "a".repeat(64);
    let domain = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(64));
    check(&format!(
        r#"
        ~ greeted
        C: MAIL FROM:<a@{domain}>
        S: 501 5.1.7 Bad sender address, the domain is longer…
        C: MAIL FROM:<{local}a@x.example>
        S: 501 5.1.7 Bad sender address, the part before the @ is longer…
        C: MAIL FROM:<@one.example,@two.example:{local}@x.example>
        S* 250
        C: RCPT TO:<>
        S: 501 5.1.3 Bad recipient address, expected user@domain…
        C: RCPT TO:<postmaster>
        S* 250
        C: RCPT TO:<"a b"@x.example>
        S* 250
        C: RCPT TO:<a@[192.0.2.1]>
        S* 250
        C: RCPT TO:<a@[IPv6:2001:db8::1]>
        S* 250
        C: RCPT TO:<a@192.0.2.1>
        S* 501
        C: RCPT TO:<a@[x]>
        S* 501
        C: DATA
        S* 354
        C: .
        S* 250
        M: <{local}@x.example> SevenBit -> <postmaster>, <"a b"@x.example>, <a@[192.0.2.1]>, <a@[IPv6:2001:db8::1]> ""
        "#
    ));
}

#[test]
fn d4_parameters() {
    check(
        r"
        settings: size=1000
        ~ greeted
        C: MAIL FROM:<a@x.example> FOO=1
        S: 555 5.5.4 The parameter FOO of MAIL is not offered here, or not with this value: leave it out
        C: MAIL FROM:<a@x.example> SIZE=1 SIZE=2
        S: 501 5.5.4 The parameter SIZE is there twice: give it once
        C: MAIL FROM:<a@x.example> SIZE=x
        S: 501 5.5.4 The parameter SIZE needs a number of octets of at most 20 digits
        C: MAIL FROM:<a@x.example> SIZE=1001
        S: 552 5.3.4 The message is too large: at most 1000 octets are taken
        C: MAIL FROM:<a@x.example> SIZE=99999999999999999999
        S* 552
        C: MAIL FROM:<a@x.example> BODY=9BIT
        S: 501 5.5.4 The parameter BODY needs 7BIT or 8BITMIME
        C: MAIL FROM:<a@x.example> AUTH=<>
        S: 555 5.5.4 The parameter AUTH is not offered here: leave it out
        C: MAIL FROM:<a@x.example> SIZE=1000 BODY=8bitmime
        S* 250
        C: RCPT TO:<b@x.example> NOTIFY=NEVER
        S: 555 5.5.4 The parameter NOTIFY of RCPT is not offered…
        C: RCPT TO:<b@x.example>
        S* 250
        ",
    );
}

#[test]
fn d6_odd_octets_do_not_get_through() {
    check(
        r"
        S* 220
        C< EHLO \x1b[31mx\r\n
        S: 500 5.5.2 A command is printable ASCII; the line had a control character
        ",
    );
    check(
        r"
        ~ greeted
        C< MAIL FROM:<a\x00@x.example>\r\n
        S: 500 5.5.2 A command is printable ASCII; the line had a control character
        C< MAIL FROM:<\xd0\xb0@x.example>\r\n
        S: 500 5.5.2 A command is printable ASCII; the line had other octets
        C< EHLO \xe2\x80\xaex.example\r\n
        S: 500 5.5.2 A command is printable ASCII; the line had other octets
        C< \xff\xf4\xff\xfd\x06\r\n
        S: 500 5.5.2 A command is printable ASCII; the line had a control character
        ",
    );
}

#[test]
fn what_is_repeated_to_the_client_is_cut() {
    let long = "F".repeat(1000);
    check(&format!(
        r"
        S* 220
        C: {long}
        S: 500 5.5.1 Unknown command {}: type HELP for the list
        ",
        &long[..40]
    ));
}
