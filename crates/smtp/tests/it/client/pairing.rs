//! Both ends of this crate talking to each other: what one sends is what the other gets.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use mail::{Body, Reply};
use proptest::prelude::*;
use smtp::{
    client::{self, ClearTextAuth, Credentials, RecipientResult, Report, Transaction, Use},
    sasl::{Mechanism, Secret, scram::Verifier},
    server::{self, Answer, Ask, AuthOffer, Proof, Service, TlsOffer},
};

use super::pure::some_instant;
use crate::tls::summary;

/// A message as the server has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Received {
    mail: String,
    recipients: Vec<String>,
    content: Vec<u8>,
}

struct Pair {
    client: client::Session,
    server: server::Session,
    now: Instant,
    /// Octets that one call may hand over.
    segment: usize,
    pieces: VecDeque<Vec<u8>>,
    draft: Received,
    received: Vec<Received>,
    reports: Vec<Report>,
    ready: bool,
    closed: bool,
    failed: Option<String>,
}

impl Pair {
    fn new(client: client::Settings, server: server::Settings, segment: usize) -> Self {
        let now = some_instant();
        let peer = ([192, 0, 2, 1], 4711).into();
        Self {
            client: client::Session::new(Arc::new(client), "NONCE".into(), now),
            server: server::Session::new(Arc::new(server), peer, now),
            now,
            segment,
            pieces: VecDeque::new(),
            draft: Received::default(),
            received: Vec::new(),
            reports: Vec::new(),
            ready: false,
            closed: false,
            failed: None,
        }
    }

    /// Lets them talk until neither has anything to say.
    fn talk(&mut self) {
        loop {
            let to_client = self.poll_server();
            let to_server = self.poll_client();
            if to_client.is_empty() && to_server.is_empty() {
                return;
            }
            for segment in to_client.chunks(self.segment) {
                self.client.handle_input(segment, self.now);
            }
            for segment in to_server.chunks(self.segment) {
                self.server.handle_input(segment, self.now);
                // What the server says meanwhile waits in its buffer.
                assert!(self.serve().is_none());
            }
        }
    }

    fn poll_client(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        while let Some(output) = self.client.poll_output() {
            match output {
                client::Output::Write => said.extend(self.client.take_write()),
                client::Output::StartTls => {
                    self.client.handle_tls(summary(), self.now);
                    self.server.handle_tls(summary(), self.now);
                }
                client::Output::Ready => self.ready = true,
                client::Output::NeedContent => match self.pieces.pop_front() {
                    Some(piece) => self.client.content(&piece, self.now),
                    None => self.client.content_end(self.now),
                },
                client::Output::Done(report) => self.reports.push(report),
                client::Output::Failed(failure) => self.failed = Some(format!("{failure:?}")),
                client::Output::Close => self.closed = true,
            }
        }
        said
    }

    fn poll_server(&mut self) -> Vec<u8> {
        self.serve();
        self.server.take_write()
    }

    /// Answers the server's questions. Returns what it can't go on without, which is nothing but its replies.
    fn serve(&mut self) -> Option<()> {
        loop {
            match self.server.poll_output()? {
                server::Output::Ask(ask) => {
                    let answer = self.answer(ask);
                    self.server.answer(answer, self.now);
                }
                server::Output::Content(piece) => self.draft.content.extend(piece),
                server::Output::Discard => self.draft.content.clear(),
                server::Output::Write => {
                    let said = self.server.take_write();
                    for segment in said.chunks(self.segment) {
                        self.client.handle_input(segment, self.now);
                    }
                }
                server::Output::StartTls => {}
                server::Output::Close => self.client.handle_eof(self.now),
            }
        }
    }

    fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Mail { reverse_path, parameters } => {
                self.draft = Received { mail: format!("{reverse_path} {parameters:?}"), ..Received::default() };
                Answer::Go
            }
            Ask::Rcpt { forward_path, .. } if forward_path.to_string().starts_with("<no") => {
                Answer::Refuse(Reply::with(550, (5, 1, 1), "nobody"))
            }
            Ask::Rcpt { forward_path, .. } => {
                self.draft.recipients.push(forward_path.to_string());
                Answer::Go
            }
            Ask::Commit { size } => {
                assert_eq!(size, self.draft.content.len() as u64);
                self.received.push(std::mem::take(&mut self.draft));
                Answer::Accepted { id: "msg_1".into() }
            }
            Ask::Password { authcid, password, .. } if (authcid.as_str(), password.expose()) == ("anna", "secret") => {
                Answer::Authenticated("anna@x.example".into())
            }
            Ask::ScramStart { .. } => {
                Answer::Scram { verifier: Verifier::derive("secret", b"salt", 4096), nonce: "SERVER".into() }
            }
            Ask::ScramDone { proof: Proof::Right, .. } => Answer::Authenticated("anna@x.example".into()),
            Ask::Password { .. } | Ask::ScramDone { .. } => Answer::Refuse(Reply::with(535, (5, 7, 8), "wrong")),
            Ask::Connect { .. } | Ask::Begin | Ask::Introduce { .. } | Ask::Verify { .. } => Answer::Go,
        }
    }

    fn send(&mut self, recipients: &[String], content: &[u8], piece: usize) -> Report {
        assert!(std::mem::take(&mut self.ready) || !self.reports.is_empty(), "{:?}", self.failed);
        self.pieces = content.chunks(piece).map(<[u8]>::to_vec).collect();
        let transaction = Transaction {
            reverse_path: "a@x.example".parse().unwrap(),
            recipients: recipients.iter().map(|recipient| recipient.parse().unwrap()).collect(),
            size: content.len() as u64,
            body: Body::EightBitMime,
        };
        self.client.start(transaction, self.now);
        self.talk();
        self.reports.last().expect("a report").clone()
    }
}

fn open_server() -> server::Settings {
    server::Settings::new("mx.example", Service::Mx)
}

/// Content as the spool has it: lines of any octets, each with its CRLF.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => "[.]{0,3}[a-z]{0,60}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>().prop_filter("no line end", |octet| !b"\r\n".contains(octet)), 0..90),
    ];
    prop::collection::vec(line, 0..60)
        .prop_map(|lines| lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_is_what_arrives(
        contents in prop::collection::vec(content(), 1..4),
        recipients in prop::collection::vec("(no|yes)[a-z]{1,5}@x[.]example", 1..6),
        (pipelining, chunking) in (any::<bool>(), any::<bool>()),
        (segment, piece) in (1..2000_usize, 1..500_usize),
    ) {
        let mut settings = client::Settings::new("client.example");
        let choose = |on| if on { Use::WhenOffered } else { Use::Never };
        (settings.pipelining, settings.chunking) = (choose(pipelining), choose(chunking));
        let mut pair = Pair::new(settings, open_server(), segment);
        pair.talk();
        let taken = recipients.iter().filter(|recipient| recipient.starts_with("yes"));
        let taken: Vec<_> = taken.map(|recipient| format!("<{recipient}>")).collect();
        for content in &contents {
            let report = pair.send(&recipients, content, piece);
            prop_assert!(report.reusable && report.recipients.len() == recipients.len());
            for (path, result) in report.recipients {
                let accepted = matches!(result, RecipientResult::Accepted { .. });
                prop_assert_eq!(accepted, path.to_string().starts_with("<yes"), "{} {:?}", path, result);
            }
            if taken.is_empty() {
                prop_assert!(pair.received.is_empty());
            } else {
                let received = pair.received.pop().unwrap();
                prop_assert!(received.mail.contains("EightBitMime") && received.mail.starts_with("<a@x.example>"));
                prop_assert_eq!(&received.recipients, &taken);
                prop_assert_eq!(&received.content, content);
            }
        }
        pair.client.quit(pair.now);
        pair.talk();
        prop_assert!(pair.closed && pair.failed.is_none());
    }
}

#[test]
fn a_message_of_ten_megabytes() {
    let content: Vec<u8> = (0..160_000_u32).flat_map(|number| format!("{number:061}.\r\n").into_bytes()).collect();
    for chunking in [Use::WhenOffered, Use::Never] {
        let settings = client::Settings { chunking, ..client::Settings::new("client.example") };
        let mut pair = Pair::new(settings, open_server(), 64 * 1024);
        pair.talk();
        let report = pair.send(&["yes@x.example".to_owned()], &content, 64 * 1024);
        assert!(matches!(report.recipients[0].1, RecipientResult::Accepted { .. }), "{report:?}");
        assert!(pair.received[0].content == content, "{chunking:?}");
    }
}

#[test]
fn every_mechanism_over_starttls() {
    for mechanism in Mechanism::ALL {
        for (password, works) in [("secret", true), ("wrong", false)] {
            let mut settings = client::Settings::new("client.example");
            settings.mechanisms = vec![mechanism];
            settings.clear_text_auth = ClearTextAuth::Refuse;
            settings.auth = Some(Credentials { username: "anna".into(), password: Secret::new(password) });
            let mut offer = server::Settings::new("mx.example", Service::Submission);
            offer.tls = TlsOffer::StartTls;
            offer.auth = AuthOffer::OverTls;
            let mut pair = Pair::new(settings, offer, 7);
            pair.talk();
            assert_eq!(pair.ready, works, "{mechanism} {password} {:?}", pair.failed);
            if works {
                assert_eq!((pair.server.user(), pair.server.tls()), (Some("anna@x.example"), Some(&summary())));
                pair.send(&["yes@x.example".to_owned()], b"Hi\r\n", 10);
                assert_eq!(pair.received[0].content, b"Hi\r\n");
            } else {
                assert!(pair.failed.as_ref().is_some_and(|failed| failed.contains("535")), "{:?}", pair.failed);
            }
        }
    }
}
