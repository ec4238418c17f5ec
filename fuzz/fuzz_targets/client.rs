//! A hostile server against the client's session: no panic, one result per recipient, nobody accepted before the content
//! has left, no secret in the transcript, and an end.
//!
//! Input: an octet of choices, an octet that says how large pieces are, what the server says. A piece is heard only when
//! everything has been written; `\0` lets time pass.
#![no_main]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use mail::{Body, Side, Stage, TlsSummary};
use smtp::{
    client::{
        ClearTextAuth, Credentials, Output, RecipientResult, Report, Session, Settings, TlsWish, Transaction, Use,
    },
    sasl::{Mechanism, Secret},
};

const CONTENT: &[u8] = b".\r\nA: b\r\n\r\n..x\r\n";
const PASSWORD: &str = "hunter22";

fuzz_target!(|input: &[u8]| {
    let Some((&[choice, piece], bytes)) = input.split_first_chunk() else { return };
    let mut driver = Driver::new(choice);
    for piece in bytes.chunks(usize::from(piece) + 1) {
        for part in piece.split_inclusive(|octet| *octet == 0) {
            if !driver.closed {
                driver.session.handle_input(part.strip_suffix(b"\0").unwrap_or(part), driver.now);
                driver.poll();
            }
            if part.ends_with(b"\0") && !driver.closed {
                driver.now += Duration::from_secs(301);
                driver.session.handle_timeout(driver.now);
                driver.poll();
            }
        }
    }
    driver.end();
});

struct Driver {
    session: Session,
    now: Instant,
    recipients: usize,
    content: &'static [u8],
    content_left: &'static [u8],
    /// The last octet of the content has been given, and written.
    content_written: bool,
    started: usize,
    done: usize,
    closed: bool,
}

impl Driver {
    fn new(choice: u8) -> Self {
        let mut settings = Settings::new("client.example");
        settings.tls =
            [TlsWish::Off, TlsWish::Opportunistic, TlsWish::Required, TlsWish::Established][usize::from(choice & 3)];
        settings.clear_text_auth = ClearTextAuth::Permit;
        // SCRAM costs too much here; it has a target of its own.
        settings.mechanisms = vec![Mechanism::Plain, Mechanism::Login];
        settings.auth =
            (choice & 4 != 0).then(|| Credentials { username: "anna".into(), password: Secret::new(PASSWORD) });
        settings.pipelining = if choice & 8 == 0 { Use::WhenOffered } else { Use::Never };
        settings.chunking = if choice & 16 == 0 { Use::WhenOffered } else { Use::Never };
        let now = Instant::now();
        let mut session = Session::new(Arc::new(settings), "nonce".into(), now);
        if choice & 3 == 3 {
            session.handle_tls(summary(), now);
        }
        let content = if choice & 32 == 0 { CONTENT } else { b"" };
        let recipients = if choice & 64 == 0 { 3 } else { 250 };
        let (content_left, content_written) = (content, false);
        Self { session, now, recipients, content, content_left, content_written, started: 0, done: 0, closed: false }
    }

    fn poll(&mut self) {
        let mut given = false;
        while let Some(output) = self.session.poll_output() {
            assert!(!self.closed, "{output:?} after the end");
            match output {
                Output::Write => {
                    let bytes = self.session.take_write();
                    assert!(!bytes.is_empty() && bytes.len() < 64 * 1024);
                    self.content_written |= std::mem::take(&mut given);
                }
                Output::StartTls => self.session.handle_tls(summary(), self.now),
                Output::Ready => self.start(),
                Output::NeedContent if self.content_left.is_empty() => {
                    self.session.content_end(self.now);
                    given = true;
                }
                Output::NeedContent => {
                    let (piece, rest) = self.content_left.split_at(self.content_left.len().min(5));
                    self.content_left = rest;
                    self.session.content(piece, self.now);
                }
                Output::Done(report) => self.check(&report),
                Output::Failed(failure) => assert!(self.started == 0 && !failure.text.is_empty()),
                Output::Close => self.closed = true,
            }
        }
        assert!(self.closed || self.session.is_ready() || self.session.poll_timeout().is_some(), "waits for ever");
    }

    fn start(&mut self) {
        self.started += 1;
        self.content_left = self.content;
        self.content_written = false;
        let path = |number| format!("r{number}@x.example").parse().expect("an address");
        let transaction = Transaction {
            reverse_path: "a@x.example".parse().expect("an address"),
            recipients: (0..self.recipients).map(path).collect(),
            size: self.content.len() as u64,
            body: Body::EightBitMime,
        };
        self.session.start(transaction, self.now);
    }

    fn check(&mut self, report: &Report) {
        self.done += 1;
        assert_eq!(self.started, self.done, "a report that belongs to nothing");
        assert_eq!(report.recipients.len(), self.recipients);
        for (number, (path, result)) in report.recipients.iter().enumerate() {
            assert_eq!(path.to_string(), format!("<r{number}@x.example>"));
            match result {
                RecipientResult::Accepted { reply } => assert!(reply.is_positive() && self.content_written),
                RecipientResult::Refused { reply, .. } => assert!(reply.is_transient() || reply.is_permanent()),
                RecipientResult::Lost { text, .. } => assert!(!text.is_empty()),
            }
        }
        if report.reusable && self.started < 3 {
            self.start();
        }
    }

    fn end(mut self) {
        // What the server says to us once AUTH is over it may say to anybody.
        for line in self.session.transcript().lines {
            let ours = line.side == Side::Client || line.stage == Stage::Auth;
            assert!(!ours || !line.text.contains(PASSWORD), "{}", line.text);
        }
        if !self.closed {
            self.session.handle_eof(self.now);
            self.poll();
        }
        assert!(self.closed && self.started == self.done);
    }
}

fn summary() -> TlsSummary {
    TlsSummary { version: "TLSv1.3".into(), cipher: "TLS_AES_128_GCM_SHA256".into() }
}
