//! AUTH (RFC 4954): when it is allowed, and carrying the exchange of [`crate::sasl::server`] over lines.

use super::{
    ask::{Answer, Ask, Proof},
    phase::{Phase, Question},
    session::Session,
    settings::{AuthOffer, TlsOffer},
    words,
};
use crate::sasl::{
    Mechanism, decode, encode,
    server::{Exchange, ScramStart, Step},
};

impl Session {
    /// Whether the service wants AUTH before it does anything for the client.
    pub(super) fn lacks_authentication(&self) -> bool {
        self.settings.auth_required && self.user.is_none()
    }

    pub(super) fn demand_authentication(&mut self) {
        let by_tls = !self.may_authenticate() && self.settings.tls == TlsOffer::StartTls;
        self.fail(if by_tls { words::AUTH_REQUIRED_TLS } else { words::AUTH_REQUIRED });
    }

    pub(super) fn auth(&mut self, mechanism: Result<Mechanism, &str>, initial: Option<&str>) {
        // RFC 4954 §4: once, not in a transaction; §6: 538 in clear text.
        let refusal = match self.phase {
            Phase::Greet => Some(words::NEED_HELLO),
            _ if self.user.is_some() => Some(words::AUTH_TWICE),
            Phase::Ready if self.may_authenticate() => None,
            Phase::Ready if self.settings.auth == AuthOffer::OverTls => Some(words::AUTH_NEEDS_TLS),
            Phase::Ready => Some(words::NO_AUTH),
            _ => Some(words::AUTH_IN_MAIL),
        };
        if let Some(words) = refusal {
            return self.fail(words);
        }
        match mechanism {
            Ok(mechanism) if self.settings.mechanisms.contains(&mechanism) => self.begin_exchange(mechanism, initial),
            Ok(mechanism) => self.refuse_mechanism(&mechanism.to_string()),
            Err(name) => self.refuse_mechanism(name),
        }
    }

    fn refuse_mechanism(&mut self, name: &str) {
        let offered: Vec<_> = self.settings.mechanisms.iter().map(Mechanism::to_string).collect();
        self.fail_reply(&words::unknown_mechanism(name, &offered.join(", ")));
    }

    fn begin_exchange(&mut self, mechanism: Mechanism, initial: Option<&str>) {
        let (exchange, prompt) = Exchange::begin(mechanism);
        match initial {
            None => self.challenge(exchange, prompt),
            // RFC 4954 §4: `=` is an initial response of no octets.
            Some("=") => self.advance(exchange, b""),
            Some(initial) => self.decode_response(exchange, initial.as_bytes()),
        }
    }

    /// A line of the exchange.
    pub(super) fn response(&mut self, line: &[u8]) {
        let Phase::Auth(exchange) = std::mem::replace(&mut self.phase, Phase::Ready) else {
            return;
        };
        match line.trim_ascii() {
            b"*" => self.fail(words::AUTH_CANCELLED),
            line => self.decode_response(*exchange, line),
        }
    }

    /// Ends an exchange that was disturbed, if there is one.
    pub(super) fn leave_authentication(&mut self) {
        if matches!(self.phase, Phase::Auth(_)) {
            self.phase = Phase::Ready;
        }
    }

    fn decode_response(&mut self, exchange: Exchange, line: &[u8]) {
        match decode(line) {
            Some(response) => self.advance(exchange, &response),
            None => self.fail(words::AUTH_NOT_BASE64),
        }
    }

    fn advance(&mut self, exchange: Exchange, response: &[u8]) {
        let mechanism = exchange.mechanism();
        match exchange.respond(response) {
            Step::Challenge(exchange, challenge) => self.challenge(exchange, &challenge),
            Step::Password { authcid, password } => {
                self.ask(Question::Password, Ask::Password { mechanism, authcid, password });
            }
            Step::ScramStart(start) => {
                let authcid = start.authcid().to_owned();
                self.ask(Question::ScramStart(Box::new(start)), Ask::ScramStart { authcid });
            }
            Step::ScramRight { authcid } => self.scram_done(authcid, Proof::Right),
            Step::ScramWrong { authcid } => self.scram_done(authcid, Proof::Wrong),
            Step::Malformed => self.fail(words::AUTH_MALFORMED),
            Step::Impersonation => self.fail(words::AUTH_IMPERSONATION),
        }
    }

    fn scram_done(&mut self, authcid: String, proof: Proof) {
        self.ask(Question::ScramDone(proof), Ask::ScramDone { authcid, proof });
    }

    fn challenge(&mut self, exchange: Exchange, challenge: &[u8]) {
        self.phase = Phase::Auth(Box::new(exchange));
        let line = format!("334 {}", encode(challenge));
        self.say(&line);
    }

    pub(super) fn scram_answered(&mut self, start: ScramStart, answer: Answer) {
        match answer {
            Answer::Scram { verifier, nonce } => {
                let (exchange, challenge) = start.verifier(&verifier, &nonce);
                self.challenge(exchange, &challenge);
            }
            other => self.refuse(other),
        }
    }

    pub(super) fn authentication_answered(&mut self, answer: Answer) {
        match answer {
            Answer::Authenticated(user) => {
                self.user = Some(user.into());
                self.say(words::AUTHENTICATED);
            }
            other => self.refuse(other),
        }
    }
}
