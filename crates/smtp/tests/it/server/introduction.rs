//! XCLIENT: who may say for whom it speaks, and what is forgotten then.

use super::check;

#[test]
fn a_client_that_may_is_taken_at_its_word() {
    check(
        r"
        settings: xclient pure
        ~ greeted
        C: XCLIENT NAME=[UNAVAILABLE] ADDR=203.0.113.7 PORT=4711
        S: 220 mx.example ESMTP Posthouse
        C: MAIL FROM:<a@x.example>
        S* 503
        C: EHLO y.example
        S: 250-mx.example greets [203.0.113.7]
        S* 250
        ",
    );
}

#[test]
fn to_all_others_it_is_no_command() {
    check(
        r"
        ~ greeted
        C: XCLIENT ADDR=203.0.113.7
        S* 500
        C: NOOP
        S* 250
        ",
    );
}

#[test]
fn it_is_offered_and_comes_between_messages() {
    check(
        r"
        settings: xclient pure
        S* 220
        C: XCLIENT ADDR=nobody
        S* 501
        C: XCLIENT ADDR=[UNAVAILABLE]
        S: 554 5.7.1 Nobody
        C: EHLO x.example
        S* 250
        C: MAIL FROM:<a@x.example>
        S* 250
        C: XCLIENT ADDR=203.0.113.7
        S* 503
        C: RSET
        S* 250
        C: xclient addr=IPv6:2001:db8::7
        S* 220
        C: XCLIENT ADDR=203.0.113.7
        S* 500
        ",
    );
}
