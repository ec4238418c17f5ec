//! From the banner to the first MAIL: EHLO or HELO, STARTTLS (RFC 3207), AUTH (RFC 4954).

use std::time::Instant;

use mail::{Reply, Stage};
use zeroize::Zeroizing;

use super::{Cause, ClearTextAuth, Credentials, Extensions, Output, Session, State, TlsWish, record::REDACTED};
use crate::sasl::{self, Mechanism, client::Exchange};

/// Secrets shorter than this are not looked for in replies: they would be found everywhere.
const SECRET_MIN: usize = 4;

/// What the server said, as far as it decides anything before a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    GoOn,
    No,
}

impl Answer {
    pub(super) fn of(code: u16) -> Self {
        match code / 100 {
            2 => Self::Yes,
            3 => Self::GoOn,
            _ => Self::No,
        }
    }
}

/// An AUTH that waits for the server.
#[derive(Debug)]
pub(super) struct Authenticating {
    exchange: Exchange,
    /// What was said last, in base64: servers are known to repeat it when they complain.
    payload: Zeroizing<String>,
}

impl Session {
    pub(super) fn banner(&mut self, code: u16, now: Instant) {
        match Answer::of(code) {
            Answer::Yes => self.say_ehlo(now),
            Answer::GoOn => self.fail_protocol(Stage::Banner, code, now),
            Answer::No => self.fail_refused(Stage::Banner, now),
        }
    }

    fn say_ehlo(&mut self, now: Instant) {
        self.state = State::Ehlo;
        self.wire.command(Stage::Ehlo, format_args!("EHLO {}", self.settings.ehlo_name), now);
        self.wire.wait(self.settings.deadlines.command, now);
    }

    pub(super) fn ehlo(&mut self, code: u16, now: Instant) {
        match Answer::of(code) {
            Answer::Yes => {
                let lines = self.reader.reply().lines;
                self.extensions = Extensions::parse(lines.iter().map(String::as_str));
                self.greeted(now);
            }
            // RFC 5321 §3.2: a server that does not know EHLO may know HELO.
            Answer::No if code / 100 == 5 => {
                self.state = State::Helo;
                self.wire.command(Stage::Ehlo, format_args!("HELO {}", self.settings.ehlo_name), now);
                self.wire.wait(self.settings.deadlines.command, now);
            }
            Answer::No => self.fail_refused(Stage::Ehlo, now),
            Answer::GoOn => self.fail_protocol(Stage::Ehlo, code, now),
        }
    }

    pub(super) fn helo(&mut self, code: u16, now: Instant) {
        match Answer::of(code) {
            Answer::Yes => self.greeted(now),
            Answer::No => self.fail_refused(Stage::Ehlo, now),
            Answer::GoOn => self.fail_protocol(Stage::Ehlo, code, now),
        }
    }

    /// The extensions are known, and they are those of the connection as it is now.
    fn greeted(&mut self, now: Instant) {
        let wanted = match self.settings.tls {
            TlsWish::Opportunistic | TlsWish::Required => self.tls.is_none(),
            TlsWish::Off | TlsWish::Established => false,
        };
        if wanted && self.extensions.starttls {
            self.state = State::StartTls;
            self.wire.command(Stage::StartTls, format_args!("STARTTLS"), now);
            self.wire.wait(self.settings.deadlines.command, now);
        } else if wanted && self.settings.tls == TlsWish::Required {
            let text = "TLS is required and the server does not offer STARTTLS";
            self.fail(Stage::StartTls, Cause::Tls, None, text.into(), now);
        } else {
            self.say_auth(now);
        }
    }

    /// `behind` is what came in clear text behind the reply.
    pub(super) fn starttls(&mut self, code: u16, behind: &[u8], now: Instant) {
        match Answer::of(code) {
            Answer::Yes if !behind.is_empty() => self.injected(now),
            Answer::Yes => {
                self.state = State::Handshake;
                self.wire.wait(self.settings.deadlines.banner, now);
                self.outputs.push_back(Output::StartTls);
            }
            // RFC 3207 §4: refused is as good as not offered, unless it is required.
            Answer::No if self.settings.tls == TlsWish::Opportunistic && code != 421 => self.say_auth(now),
            Answer::No => self.fail_refused(Stage::StartTls, now),
            Answer::GoOn => self.fail_protocol(Stage::StartTls, code, now),
        }
    }

    /// Somebody wrote replies into the clear text that we would have read inside TLS.
    pub(super) fn injected(&mut self, now: Instant) {
        let text = "something came in clear text between the reply to STARTTLS and the handshake: an attack";
        self.fail(Stage::StartTls, Cause::Protocol, None, text.into(), now);
    }

    /// RFC 3207 §4.2: what was learnt in clear text is forgotten.
    pub(super) fn secured(&mut self, now: Instant) {
        self.extensions = Extensions::default();
        self.reader.forget();
        self.say_ehlo(now);
    }

    fn say_auth(&mut self, now: Instant) {
        let settings = std::sync::Arc::clone(&self.settings);
        let Some(credentials) = &settings.auth else {
            return self.ready();
        };
        if !self.is_secure() && settings.clear_text_auth == ClearTextAuth::Refuse {
            let text = "the connection has no TLS, and credentials are not sent in clear text";
            return self.fail(Stage::Auth, Cause::Auth, None, text.into(), now);
        }
        let offered = |mechanism: &&Mechanism| self.extensions.mechanisms.contains(mechanism);
        let Some(mechanism) = settings.mechanisms.iter().find(offered) else {
            let text = if self.extensions.auth {
                "the server offers AUTH, but no mechanism that may be used"
            } else {
                "there are credentials, and the server does not offer AUTH"
            };
            return self.fail(Stage::Auth, Cause::Auth, None, text.into(), now);
        };
        self.begin_exchange(*mechanism, credentials, now);
    }

    fn begin_exchange(&mut self, mechanism: Mechanism, credentials: &Credentials, now: Instant) {
        let password = credentials.password.expose();
        let (exchange, first) = Exchange::begin(mechanism, &credentials.username, password, &self.nonce);
        let payload = first.map_or_else(Zeroizing::default, |first| Zeroizing::new(sasl::encode(first.as_bytes())));
        if payload.is_empty() {
            self.wire.command(Stage::Auth, format_args!("AUTH {mechanism}"), now);
        } else {
            self.wire.secret(&format!("AUTH {mechanism} "), &payload, now);
        }
        self.wire.wait(self.settings.deadlines.command, now);
        self.state = State::Auth(Authenticating { exchange, payload });
    }

    pub(super) fn auth(&mut self, auth: Authenticating, code: u16, now: Instant) {
        match (Answer::of(code), code) {
            (Answer::Yes, _) => match auth.exchange.succeed() {
                Ok(()) => self.ready(),
                Err(error) => self.fail(Stage::Auth, Cause::Auth, None, error.to_string(), now),
            },
            (Answer::GoOn, 334) => self.respond(auth.exchange, now),
            (Answer::GoOn, _) => self.fail_protocol(Stage::Auth, code, now),
            (Answer::No, _) => {
                let mut reply = self.reader.reply();
                reply.lines.iter_mut().for_each(|line| *line = self.without_secrets(line, &auth));
                self.fail(Stage::Auth, Cause::Refused, Some(reply), "the server refused AUTH".into(), now);
            }
        }
    }

    fn respond(&mut self, exchange: Exchange, now: Instant) {
        let reply = self.reader.reply();
        let challenge = reply.lines.last().and_then(|line| sasl::decode(line.trim().as_bytes()));
        let Some(challenge) = challenge else {
            let text = "the server's challenge is not base64";
            return self.fail(Stage::Auth, Cause::Protocol, None, text.into(), now);
        };
        match exchange.challenge(&challenge) {
            Ok((exchange, response)) => {
                let payload = Zeroizing::new(sasl::encode(response.as_bytes()));
                self.wire.secret("", &payload, now);
                self.wire.wait(self.settings.deadlines.command, now);
                self.state = State::Auth(Authenticating { exchange, payload });
            }
            Err(error) => self.fail(Stage::Auth, Cause::Auth, None, error.to_string(), now),
        }
    }

    /// A line of the server's, should it repeat what we said.
    pub(super) fn without_secrets(&self, line: &str, auth: &Authenticating) -> String {
        let password = self.settings.auth.as_ref().map_or("", |credentials| credentials.password.expose());
        let mut line = line.to_owned();
        for secret in [auth.payload.as_str(), password] {
            if secret.len() >= SECRET_MIN {
                line = line.replace(secret, REDACTED);
            }
        }
        line
    }

    fn ready(&mut self) {
        self.state = State::Ready;
        self.wire.deadline = None;
        self.outputs.push_back(Output::Ready);
    }

    fn fail_refused(&mut self, stage: Stage, now: Instant) {
        let reply: Reply = self.reader.reply();
        self.fail(stage, Cause::Refused, Some(reply), format!("the server refused at stage {stage}"), now);
    }

    fn fail_protocol(&mut self, stage: Stage, code: u16, now: Instant) {
        self.fail(stage, Cause::Protocol, None, format!("the server answered {code} where it may not"), now);
    }
}
