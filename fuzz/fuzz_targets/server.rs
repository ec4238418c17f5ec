//! A hostile client against the server's session: no panic, whole reply lines, bounded buffers.
//!
//! Input: an octet of choices, an octet that says how large pieces are, what the client says. A piece is read only when
//! the session wants input, as a driver would.
#![no_main]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use mail::{Reply, TlsSummary};
use smtp::{
    sasl::scram::Verifier,
    server::{Answer, Ask, AuthOffer, Output, Service, Session, Settings, TlsOffer},
};

/// Octets of replies to one piece of input: the longest is HELP, and a command has at least two octets.
const REPLIES_MAX: usize = 256 * 4096;

fuzz_target!(|input: &[u8]| {
    let Some((&[choice, piece], bytes)) = input.split_first_chunk() else { return };
    let now = Instant::now();
    let mut settings = Settings::new("mx.example", if choice & 1 == 0 { Service::Mx } else { Service::Submission });
    settings.tls = TlsOffer::StartTls;
    settings.auth = AuthOffer::Always;
    settings.auth_required = choice & 2 == 0;
    settings.limits.message_size = 4096;
    settings.limits.recipients = 3;
    let mut session = Session::new(Arc::new(settings), "192.0.2.1:1024".parse().expect("an address"), now);
    let mut open = run(&mut session, choice, now);
    for (second, piece) in (0..).zip(bytes.chunks(usize::from(piece) + 1)) {
        let now = now + Duration::from_secs(second);
        if open && session.wants_input() {
            session.handle_input(piece, now);
            open = run(&mut session, choice, now);
        }
    }
    if open {
        session.handle_timeout(now + Duration::from_secs(3600));
        run(&mut session, choice, now);
    }
});

/// Carries outputs until there are none; returns whether the connection is still open.
fn run(session: &mut Session, choice: u8, now: Instant) -> bool {
    while let Some(output) = session.poll_output() {
        match output {
            Output::Write => check(&session.take_write()),
            Output::Ask(ask) => session.answer(answer(&ask, choice), now),
            Output::StartTls => {
                let summary = TlsSummary { version: "TLSv1.3".into(), cipher: "TLS_AES_128_GCM_SHA256".into() };
                session.handle_tls(summary, now);
            }
            Output::Close => return false,
            Output::Content(_) | Output::Discard => {}
        }
    }
    true
}

fn check(written: &[u8]) {
    assert!(written.ends_with(b"\r\n"), "an unfinished reply");
    assert!(written.len() <= REPLIES_MAX, "replies without bound");
    for line in written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let code = line.get(..3).expect("a reply begins with its code");
        assert!(code.iter().all(u8::is_ascii_digit) && matches!(line.get(3), Some(b' ' | b'-')), "not a reply");
        assert!(line.len() < 512 && line.ends_with(b"\r"), "a line out of bounds");
    }
}

fn answer(ask: &Ask, choice: u8) -> Answer {
    let refuse = choice & 4 != 0;
    match ask {
        Ask::Commit { .. } if !refuse => Answer::Accepted { id: "msg_1".into() },
        Ask::Password { authcid, .. } if !refuse => Answer::Authenticated(authcid.clone()),
        Ask::ScramStart { .. } => Answer::Scram {
            verifier: Verifier { salt: vec![1; 16], iterations: 4096, stored_key: [0; 32], server_key: [0; 32] },
            nonce: "nonce".into(),
        },
        Ask::Connect { .. } | Ask::Mail { .. } | Ask::Rcpt { .. } | Ask::Begin if !refuse || choice & 8 == 0 => {
            Answer::Go
        }
        _ => Answer::Refuse(Reply::with(451, (4, 3, 0), "not now")),
    }
}
