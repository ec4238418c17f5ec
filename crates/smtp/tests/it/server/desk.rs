//! The driver's part that is no I/O: answers questions from fixed facts and keeps what was accepted. It also watches
//! that the session keeps its promises to a driver.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use mail::{EnhancedCode, Reply};
use smtp::{
    sasl::scram::Verifier,
    server::{Answer, Ask, Output, Proof, Service, Session, Settings, vrfy_unsure},
};

/// A message that got its 250.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) envelope: String,
    pub(super) content: Vec<u8>,
}

/// What the driver knows and holds.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// `RCPT <a@b.example>` → the reply that refuses it.
    rules: HashMap<String, Reply>,
    reverse_path: String,
    forward_paths: Vec<String>,
    draft: Option<Vec<u8>>,
    pub(super) accepted: Vec<Message>,
}

/// What the driver's I/O must do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    Write,
    StartTls,
    Close,
}

impl Desk {
    pub(super) fn new(rules: &[(String, Reply)]) -> Self {
        let mut desk = Self { rules: rules.iter().cloned().collect(), ..Self::default() };
        for (path, text) in [("unknown", "550 5.1.1 No such user here"), ("later", "450 4.2.0 Come back later")] {
            desk.rules.insert(format!("RCPT <{path}@x.example>"), reply(text));
        }
        desk
    }

    /// Polls until there is something for the I/O to do.
    pub(super) fn poll(&mut self, session: &mut Session, now: std::time::Instant) -> Option<Act> {
        loop {
            match session.poll_output()? {
                Output::Write => return Some(Act::Write),
                Output::StartTls => return Some(Act::StartTls),
                Output::Close => {
                    assert_eq!(self.draft, None, "closed with an open draft");
                    return Some(Act::Close);
                }
                Output::Content(piece) => {
                    assert!(!piece.is_empty());
                    self.draft.as_mut().expect("content without a draft").extend(piece);
                }
                Output::Discard => assert!(self.draft.take().is_some(), "nothing to discard"),
                Output::Ask(ask) => {
                    assert!(!session.wants_input());
                    let answer = self.answer(ask, session);
                    session.answer(answer, now);
                }
            }
        }
    }

    fn answer(&mut self, ask: Ask, session: &Session) -> Answer {
        match ask {
            Ask::Connect { .. } => self.rule("CONNECT").unwrap_or(Answer::Go),
            Ask::Mail { reverse_path, parameters } => self.rule(&format!("MAIL {reverse_path}")).unwrap_or_else(|| {
                self.reverse_path = format!("{reverse_path} {:?}", parameters.body);
                self.forward_paths.clear();
                Answer::Go
            }),
            Ask::Rcpt { forward_path, .. } => self.rule(&format!("RCPT {forward_path}")).unwrap_or_else(|| {
                self.forward_paths.push(forward_path.to_string());
                Answer::Go
            }),
            Ask::Begin => self.rule("BEGIN").unwrap_or_else(|| {
                assert_eq!(self.draft.replace(Vec::new()), None, "a second draft");
                Answer::Go
            }),
            Ask::Commit { size } => self.commit(size, session),
            Ask::Password { authcid, password, .. } => match (authcid.as_str(), password.expose()) {
                ("anna", "secret") => Answer::Authenticated("anna@example.com".into()),
                _ => wrong_password(),
            },
            Ask::ScramStart { authcid } => {
                let (anna, invention) = verifiers();
                let verifier = if authcid == "anna" { anna } else { invention };
                Answer::Scram { verifier: verifier.clone(), nonce: "SERVER".into() }
            }
            Ask::ScramDone { proof: Proof::Right, .. } => Answer::Authenticated("anna@example.com".into()),
            Ask::ScramDone { proof: Proof::Wrong, .. } => wrong_password(),
            Ask::Verify { .. } => Answer::Reply(vrfy_unsure()),
            Ask::Introduce { client } => match client {
                Some(peer) => Answer::Introduced { peer, settings: Arc::new(Settings::new("mx.example", Service::Mx)) },
                None => Answer::Refuse(reply("554 5.7.1 Nobody")),
            },
        }
    }

    fn commit(&mut self, size: u64, session: &Session) -> Answer {
        let content = self.draft.take().expect("a commit without a draft");
        assert_eq!(content.len() as u64, size);
        assert_eq!(self.forward_paths.len(), session.recipients());
        assert!(is_lines(&content), "{:?}", String::from_utf8_lossy(&content));
        self.rule("COMMIT").unwrap_or_else(|| {
            let envelope = format!("{} -> {}", self.reverse_path, self.forward_paths.join(", "));
            self.accepted.push(Message { envelope, content });
            Answer::Accepted { id: format!("msg_{}", self.accepted.len()) }
        })
    }

    fn rule(&self, name: &str) -> Option<Answer> {
        self.rules.get(name).cloned().map(Answer::Refuse)
    }
}

/// Of the password `secret`, and one that nobody knows. Derived once: it takes its time.
fn verifiers() -> &'static (Verifier, Verifier) {
    static BOTH: OnceLock<(Verifier, Verifier)> = OnceLock::new();
    BOTH.get_or_init(|| ["secret", "an invention"].map(|password| Verifier::derive(password, b"salt", 4096)).into())
}

fn wrong_password() -> Answer {
    Answer::Refuse(reply("535 5.7.8 Wrong user name or password"))
}

/// Each CR has its LF and each LF its CR, and the last line is ended.
fn is_lines(content: &[u8]) -> bool {
    let rest = String::from_utf8_lossy(content).replace("\r\n", "");
    !rest.contains(['\r', '\n']) && (content.is_empty() || content.ends_with(b"\r\n"))
}

/// `550 5.1.1 text` or `354 text`.
pub(super) fn reply(text: &str) -> Reply {
    let (code, text) = text.split_once(' ').expect("a code and a text");
    let (enhanced, rest) = text.split_once(' ').unwrap_or((text, ""));
    let code = code.parse().expect("three digits");
    match enhanced.parse::<EnhancedCode>() {
        Ok(enhanced) => Reply::new(code, enhanced, rest),
        Err(_) => Reply::new(code, None, text),
    }
}

/// A session at `mx.example`, seen from 192.0.2.1.
pub(super) fn session(settings: &Arc<Settings>, now: std::time::Instant) -> Session {
    Session::new(settings.clone(), ([192, 0, 2, 1], 4711).into(), now)
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin with")]
pub(super) fn some_instant() -> std::time::Instant {
    std::time::Instant::now()
}
