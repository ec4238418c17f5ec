//! TLS and authentication.

use super::check;

#[test]
fn b1_clear_text_behind_starttls_is_dropped() {
    check(
        r"
        settings: starttls
        ~ greeted
        C: STARTTLS
        S: 220 2.0.0 Ready to start TLS
        T
        C: NOOP
        S: 250 2.0.0 Ok
        ",
    );
    // In one segment: neither run nor kept. Over a wire the octets would be taken for a handshake.
    check(
        r"
        settings: starttls pure
        ~ greeted
        C: STARTTLS
        C: RSET
        C: MAIL FROM:<evil@x.example>
        C< NOO
        S: 220 2.0.0 Ready to start TLS
        T
        C: MAIL FROM:<a@x.example>
        S: 503 5.5.1 Say who…
        C: EHLO x.example
        S* 250
        ",
    );
}

#[test]
fn b2_what_was_learnt_in_clear_text_is_forgotten() {
    check(
        r"
        settings: submission starttls plaintext_auth
        ~ greeted
        C: AUTH PLAIN AGFubmEAc2VjcmV0
        S* 235
        C: MAIL FROM:<a@x.example>
        S* 250
        C: RCPT TO:<b@x.example>
        S* 250
        C: STARTTLS
        S* 220
        T
        C: DATA
        S: 503 5.5.1 Say who…
        C: MAIL FROM:<a@x.example>
        S: 503 5.5.1 Say who…
        C: EHLO x.example
        S* 250
        C: MAIL FROM:<a@x.example>
        S: 530 5.7.0 Authentication required: type AUTH LOGIN; HELP AUTH explains it
        C: STARTTLS
        S: 503 5.5.1 TLS is on already: go on with EHLO your.host.name
        ",
    );
}

#[test]
fn starttls_drops_a_message_that_is_coming_by_bdat() {
    check(
        r"
        settings: starttls
        ~ greeted
        C: MAIL FROM:<a@x.example>
        C: RCPT TO:<b@x.example>
        C: BDAT 1
        C< x
        S* 250
        S* 250
        S* 250
        C: STARTTLS
        S* 220
        T
        C: BDAT 0 LAST
        S: 503 5.5.1 Say who…
        M: none
        ",
    );
}

#[test]
fn starttls_is_offered_until_it_is_done() {
    check(
        r"
        settings: submission starttls
        S* 220
        C: STARTTLS
        S: 503 5.5.1 Say who…
        C: EHLO x.example
        S: 250-mx.example greets [192.0.2.1]
        S: 250-PIPELINING
        S: 250-SIZE 50000000
        S: 250-8BITMIME
        S: 250-CHUNKING
        S: 250-ENHANCEDSTATUSCODES
        S: 250-LIMITS RCPTMAX=1000
        S: 250-X-RCPTLIMIT 1000
        S: 250-STARTTLS
        S: 250 HELP
        C: STARTTLS x
        S: 501 5.5.4 STARTTLS stands alone on its line: type STARTTLS
        C: STARTTLS
        S* 220
        T
        C: EHLO x.example
        S: 250-mx.example greets [192.0.2.1]
        S: 250-PIPELINING
        S: 250-SIZE 50000000
        S: 250-8BITMIME
        S: 250-CHUNKING
        S: 250-ENHANCEDSTATUSCODES
        S: 250-LIMITS RCPTMAX=1000
        S: 250-X-RCPTLIMIT 1000
        S: 250-AUTH PLAIN LOGIN SCRAM-SHA-256
        S: 250-AUTH=PLAIN LOGIN
        S: 250 HELP
        ",
    );
    check(
        r"
        settings: clear_text
        ~ greeted
        C: STARTTLS
        S: 502 5.5.1 STARTTLS is not offered here: go on without it
        ",
    );
}

#[test]
fn c1_nobody_acts_as_another() {
    // "boris NUL anna NUL secret", "anna NUL anna NUL secret"
    check(
        r"
        settings: submission implicit
        ~ greeted
        C: AUTH PLAIN Ym9yaXMAYW5uYQBzZWNyZXQ=
        S: 535 5.7.8 You can authenticate as yourself only
        C: AUTH PLAIN YW5uYQBhbm5hAHNlY3JldA==
        S: 235 2.7.0 Authentication succeeded
        ",
    );
}

#[test]
fn c2_no_passwords_in_clear_text() {
    check(
        r"
        settings: submission starttls
        ~ greeted
        C: AUTH PLAIN AGFubmEAc2VjcmV0
        S: 538 5.7.11 No passwords in clear text: send STARTTLS first, then EHLO, then AUTH
        C: MAIL FROM:<a@x.example>
        S: 530 5.7.0 Authentication required: send STARTTLS first, then EHLO, then AUTH
        C: VRFY a
        S* 530
        ",
    );
    check(
        r"
        ~ greeted
        C: AUTH LOGIN
        S: 502 5.5.1 AUTH is not offered here: go on with MAIL FROM:<you@your.domain>
        ",
    );
}

#[test]
fn c3_garbage_ends_the_exchange_and_not_the_session() {
    let long = "A".repeat(12_286);
    let too_long = "A".repeat(12_287);
    check(
        r"
        settings: submission implicit
        ~ greeted
        C: AUTH PLAIN
        S: 334 
        C: *
        S: 501 5.7.0 Authentication cancelled
        C: AUTH LOGIN
        S* 334
        C: *
        S* 501
        C: AUTH LOGIN YW5uYQ==
        S* 334
        C: *
        S* 501
        C: AUTH PLAIN !!!
        S: 501 5.5.2 Expected base64, as printf %s word | base64 makes it; type AUTH again to begin anew
        C: AUTH PLAIN =
        S: 501 5.5.2 Not a response of this mechanism; type AUTH again to begin anew
        C: AUTH LOGIN
        S* 334
        C: =
        S* 501
        C: AUTH LOGIN =
        S* 501
        C: AUTH LOGIN
        S* 334
        C:
        S* 501
        C: AUTH PLAIN AAAA
        S* 501
        C: AUTH PLAIN YW5uYQ==
        S* 501
        C: AUTH PLAIN AGFubmEAc2VjcmV0AA==
        S* 501
        ",
    );
    check(&format!(
        r"
        settings: submission implicit
        ~ greeted
        C: AUTH LOGIN
        S* 334
        C: {long}
        S* 501
        C: AUTH LOGIN
        S* 334
        C: {too_long}
        S: 500 5.5.6 The line is too long: one of AUTH has at most 12288 octets with its CR LF
        C: AUTH PLAIN {long}
        S: 500 5.5.6 The line is too long: one of AUTH…
        C: NOOP
        S* 250
        "
    ));
}

#[test]
fn a7_auth_twice_and_in_a_transaction() {
    check(
        r"
        settings: submission implicit
        ~ greeted
        C: MAIL FROM:<a@x.example>
        S* 530
        C: AUTH PLAIN AGFubmEAd3Jvbmc=
        S: 535 5.7.8 Wrong user name or password
        C: AUTH PLAIN AGFubmEAc2VjcmV0
        S* 235
        C: AUTH PLAIN AGFubmEAc2VjcmV0
        S: 503 5.5.1 You are authenticated already: go on with MAIL FROM:<you@your.domain>
        C: MAIL FROM:<a@x.example> AUTH=a@x.example
        S* 250
        C: AUTH LOGIN
        S* 503
        C: RCPT TO:<b@x.example>
        S* 250
        ",
    );
    check(
        r"
        settings: implicit auth_over_tls
        S* 220
        C: AUTH LOGIN
        S: 503 5.5.1 Say who…
        C: EHLO x.example
        S* 250
        C: MAIL FROM:<a@x.example>
        S* 250
        C: AUTH LOGIN
        S: 503 5.5.1 AUTH comes before MAIL: type RSET, then AUTH
        C: RSET
        S* 250
        C: AUTH CRAM-MD5
        S: 504 5.5.4 The mechanism CRAM-MD5 is not offered here: type AUTH and one of PLAIN, LOGIN, SCRAM-SHA-256
        C: AUTH
        S* 501
        ",
    );
}

#[test]
fn auth_plain_with_a_prompt_and_login_with_an_initial_response() {
    check(
        r"
        settings: submission implicit
        ~ greeted
        C: AUTH PLAIN
        S: 334 
        C: AGFubmEAc2VjcmV0
        S* 235
        ",
    );
    check(
        r"
        settings: submission implicit
        ~ greeted
        C: auth login YW5uYQ
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0 
        S* 235
        ",
    );
}

/// The client's part is computed with what both halves share; its own half is tested elsewhere.
#[test]
fn scram_proves_both_sides() {
    use smtp::sasl::{encode, scram};

    let salted = scram::salted_password("secret", b"salt", 4096);
    for (user, reply) in
        [("anna", "235 2.7.0 Authentication succeeded"), ("nobody", "535 5.7.8 Wrong user name or password")]
    {
        let first = format!("n={user},r=CLIENT");
        let challenge = format!("r=CLIENTSERVER,s={},i=4096", encode(b"salt"));
        let last = format!("c={},r=CLIENTSERVER", encode(b"n,,"));
        let message = format!("{first},{challenge},{last}");
        let proof = scram::client_proof(&salted, message.as_bytes());
        let signature = scram::hmac(&scram::server_key(&salted), message.as_bytes());
        let last = format!("{last},p={}", encode(&proof));
        let end = match user {
            "anna" => format!("S: 334 {}\nC:\nS: {reply}", encode(format!("v={}", encode(&signature)).as_bytes())),
            _ => format!("S: {reply}"),
        };
        check(&format!(
            r"
        settings: submission implicit
        ~ greeted
        C: AUTH SCRAM-SHA-256 {}
        S: 334 {}
        C: {}
        {end}
        ",
            encode(format!("n,,{first}").as_bytes()),
            encode(challenge.as_bytes()),
            encode(last.as_bytes())
        ));
    }
}

#[test]
fn a_bare_lf_in_an_exchange_ends_it() {
    check(
        r"
        settings: submission implicit
        ~ greeted
        C: AUTH LOGIN
        S* 334
        C< YW5uYQ==\n
        S: 500 5.5.2 The line ended with…
        C: NOOP
        S* 250
        ",
    );
}
