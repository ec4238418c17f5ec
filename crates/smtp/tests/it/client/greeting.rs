//! From the banner to the first MAIL.

use super::check;

#[test]
fn banner_and_ehlo() {
    check(
        "S: 220 mx.example ESMTP
         C: EHLO client.example
         S: 250-mx.example
         S: 250 SIZE 1000
         quit
         C: QUIT
         S: 221 2.0.0 Bye
         X",
    );
    check(
        "S: 220-mx.example
         S: 220-we are glad to see you
         S: 220
         C: EHLO client.example
         S: 250 mx.example",
    );
}

#[test]
fn a_banner_that_refuses() {
    check(
        "S: 554 5.7.1 Not from you
         C: QUIT
         = failed at banner, refused: 554 5.7.1 Not from you
         X",
    );
    check(
        "S: 421 4.3.2 Too busy
         = failed at banner, refused: 421 4.3.2 Too busy
         X",
    );
    check(
        "S: 354 what?
         = failed at banner, protocol: the server answered 354 where it may not
         X",
    );
    check(
        "S: HTTP/1.1 400 Bad Request
         = failed at banner, protocol: expected a reply that begins with three digits, got \"HTTP/1.1 400 Bad Request\"
         X",
    );
}

#[test]
fn helo_when_ehlo_is_not_known() {
    check(
        "S: 220 mx.example
         C: EHLO client.example
         S: 502 What?
         C: HELO client.example
         S: 250 Hello
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         S: 250 ok
         C: RCPT TO:<b@x.example>
         S: 250 ok
         C: DATA
         S: 354 go on
         C: Hi
         C: .
         S: 250 thanks
         = <b@x.example> accepted 250 thanks
         = done, reusable",
    );
    check(
        "S: 220 mx.example
         C: EHLO client.example
         S: 500 What?
         C: HELO client.example
         S: 550 Not you
         C: QUIT
         = failed at ehlo, refused: 550 Not you
         X",
    );
    check(
        "S: 220 mx.example
         C: EHLO client.example
         S: 451 4.3.0 Later
         C: QUIT
         = failed at ehlo, refused: 451 4.3.0 Later
         X",
    );
}

#[test]
fn starttls_when_it_is_offered() {
    check(
        "~ STARTTLS PIPELINING
         C: STARTTLS
         S: 220 2.0.0 Go ahead
         T
         C: EHLO client.example
         S: 250 mx.example
         quit
         C: QUIT
         S: 221 Bye
         X",
    );
}

#[test]
fn starttls_refused() {
    check(
        "~ STARTTLS
         C: STARTTLS
         S: 454 4.7.0 Not now
         quit
         C: QUIT
         S: 221 Bye
         X",
    );
    check(
        "settings: tls=required clear_text
         ~ STARTTLS
         C: STARTTLS
         S: 454 4.7.0 Not now
         C: QUIT
         = failed at starttls, refused: 454 4.7.0 Not now
         X",
    );
    check(
        "settings: tls=required clear_text
         ~ PIPELINING
         = failed at starttls, tls: TLS is required and the server does not offer STARTTLS
         X",
    );
    check(
        "~ STARTTLS
         C: STARTTLS
         S: 220 Go
         T! no common cipher
         = failed at tls, tls: no common cipher
         X",
    );
    check(
        "settings: tls=off clear_text
         ~ STARTTLS
         quit
         C: QUIT",
    );
}

#[test]
fn b1_clear_text_behind_starttls_is_an_attack() {
    check(
        "~ STARTTLS
         C: STARTTLS
         S: 220 Go
         S: 250-mx.example
         S: 250 AUTH PLAIN
         = failed at starttls, protocol: something came in clear text…
         X",
    );
    check(
        "~ STARTTLS
         C: STARTTLS
         S< 220 Go\\r\\n2
         = failed at starttls, protocol: something came in clear text…
         X",
    );
}

#[test]
fn b2_what_was_offered_before_starttls_is_forgotten() {
    // AUTH and PIPELINING were offered in clear text only.
    check(
        "settings: user=anna:secret
         ~ STARTTLS PIPELINING AUTH_PLAIN
         C: STARTTLS
         S: 220 Go
         T
         C: EHLO client.example
         S: 250 mx.example
         = failed at auth, auth: there are credentials, and the server does not offer AUTH
         X",
    );
    check(
        "~ STARTTLS PIPELINING CHUNKING SIZE
         C: STARTTLS
         S: 220 Go
         T
         C: EHLO client.example
         S: 250 mx.example
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         S: 550 5.7.1 No
         = <b@x.example> refused at mail 550 5.7.1 No
         = done, reusable",
    );
    // HELO offers nothing, so nothing is used.
    check(
        "~ STARTTLS PIPELINING CHUNKING SIZE
         C: STARTTLS
         S: 220 Go
         T
         C: EHLO client.example
         S: 502 What?
         C: HELO client.example
         S: 250 Hello
         mail <a@x.example> <b@x.example> \"Hi\\r\\n\"
         C: MAIL FROM:<a@x.example>
         S: 550 5.7.1 No
         = <b@x.example> refused at mail 550 5.7.1 No
         = done, reusable",
    );
}

#[test]
fn c2_credentials_are_not_sent_in_clear_text() {
    check(
        "settings: clear_text user=anna:secret
         ~ AUTH_PLAIN_LOGIN
         = failed at auth, auth: the connection has no TLS, and credentials are not sent in clear text
         X",
    );
    check(
        "settings: user=anna:secret clear_text_auth
         ~ AUTH_LOGIN_PLAIN
         C: AUTH PLAIN AGFubmEAc2VjcmV0
         S: 235 2.7.0 Welcome
         quit
         C: QUIT",
    );
}

#[test]
fn auth_login() {
    check(
        "settings: user=anna:secret clear_text_auth
         ~ AUTH_LOGIN
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: YW5uYQ==
         S: 334 UGFzc3dvcmQ6
         C: c2VjcmV0
         S: 235 2.7.0 Welcome
         quit
         C: QUIT",
    );
}

#[test]
fn auth_over_tls() {
    check(
        "settings: tls=required user=anna:secret
         ~ STARTTLS
         C: STARTTLS
         S: 220 Go
         T
         C: EHLO client.example
         S: 250-mx.example
         S: 250 AUTH PLAIN
         C: AUTH PLAIN AGFubmEAc2VjcmV0
         S: 535 5.7.8 Wrong
         C: QUIT
         = failed at auth, refused: 535 5.7.8 Wrong
         X",
    );
}

/// The example of RFC 7677 §3.
#[test]
fn auth_scram() {
    check(
        "settings: user=user:pencil clear_text_auth costly
         ~ AUTH_PLAIN_LOGIN_SCRAM-SHA-256
         C: AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=
         S: 334 cj1yT3ByTkdmd0ViZVJXZ2JORWtxTyVodllEcFdVYTJSYVRDQWZ1eEZJbGopaE5sRiRrMCxzPVcyMlphSjBTTlk3c29Fc1VFamI2Z1E9PSxpPTQwOTY=
         C: Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==
         S: 334 dj02cnJpVFJCaTIzV3BSUi93dHVwK21NaFVaVW4vZEI1bkxUSlJzamw5NUc0PQ==
         C:
         S: 235 2.7.0 Welcome
         quit
         C: QUIT",
    );
}

#[test]
fn c5_a_server_that_does_not_prove_itself() {
    check(
        "settings: user=user:pencil clear_text_auth
         ~ AUTH_SCRAM-SHA-256
         C: AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=
         S: 235 2.7.0 Just come in
         = failed at auth, auth: the server did not prove that it knows the user
         X",
    );
    // i=1
    check(
        "settings: user=user:pencil clear_text_auth
         ~ AUTH_SCRAM-SHA-256
         C: AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=
         S: 334 cj1yT3ByTkdmd0ViZVJXZ2JORWtxT3gscz1RUT09LGk9MQ==
         = failed at auth, auth: the server wants 1 iterations of SCRAM, expected 4096 to 1000000
         X",
    );
}

#[test]
fn c5_no_downgrade_below_what_may_be_used() {
    check(
        "settings: user=user:pencil clear_text_auth only=SCRAM-SHA-256
         ~ AUTH_PLAIN_LOGIN
         = failed at auth, auth: the server offers AUTH, but no mechanism that may be used
         X",
    );
}

#[test]
fn auth_that_asks_too_much() {
    check(
        "settings: user=anna:secret clear_text_auth
         ~ AUTH_PLAIN
         C: AUTH PLAIN AGFubmEAc2VjcmV0
         S: 334 more
         = failed at auth, auth: the server asked more than PLAIN has to say
         X",
    );
    check(
        "settings: user=anna:secret clear_text_auth
         ~ AUTH_LOGIN
         C: AUTH LOGIN
         S: 334 ***
         = failed at auth, protocol: the server's challenge is not base64
         X",
    );
}

#[test]
fn nobody_answers() {
    check(
        "@ +299s
         @ +2s
         = failed at banner, deadline: the server did not answer within 300 s
         X",
    );
    check(
        "S: 220 hi
         C: EHLO client.example
         @ +4m
         S: 250-mx.example
         @ +61s
         = failed at ehlo, deadline: the server did not answer within 300 s
         X",
    );
    check(
        "~ STARTTLS
         C: STARTTLS
         S: 220 Go
         @ +5m
         = failed at tls, deadline: the server did not answer within 300 s
         X",
    );
}

#[test]
fn the_connection_breaks() {
    check(
        "E
         = failed at banner, closed: the server closed the connection
         X",
    );
    check(
        "S: 220 hi
         C: EHLO client.example
         S: 250-mx.example
         E
         = failed at ehlo, closed: the server closed the connection in the middle of a reply
         X",
    );
}

#[test]
fn between_transactions_a_word_is_the_end() {
    check(
        "~ PIPELINING
         S: 421 4.4.2 Idle too long
         X",
    );
    check(
        "settings: pure
         ~ PIPELINING
         E
         X",
    );
    check(
        "~ PIPELINING
         quit
         C: QUIT
         E
         X",
    );
    check(
        "~ PIPELINING
         quit
         C: QUIT
         @ +5s
         X",
    );
}
