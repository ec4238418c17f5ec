//! Obeying commands: which is allowed where (RFC 5321 §4.1.4), and what it does.

use mail::{Body, ForwardPath, ReversePath};

use super::{
    ask::{Answer, Ask},
    help::help,
    introduction,
    phase::{Phase, Question, Told, Transaction, Way},
    session::{Dialect, Hello, Session, refusal},
    settings::{Haste, Introduction, TlsOffer},
    words,
};
use crate::{
    command::{self, Command, CommandError, MailParameters, RcptParameters, Verb},
    extension::{Extension, is_old, write_ehlo},
};

impl Session {
    /// A line without its CRLF.
    pub(super) fn command(&mut self, line: &[u8]) {
        if self.introduction(line) {
            return;
        }
        match command::parse(line) {
            Ok(command) => self.obey(command),
            Err(error) => self.complain(&error),
        }
    }

    fn obey(&mut self, command: Command<'_>) {
        match command {
            Command::Ehlo(name) => self.greet(name, Dialect::Esmtp),
            Command::Helo(name) => self.greet(name, Dialect::Smtp),
            Command::Mail { reverse_path, parameters } => self.mail(reverse_path, parameters),
            Command::Rcpt { forward_path, parameters } => self.rcpt(forward_path, parameters),
            Command::Data => self.data(),
            Command::Bdat(chunk) => self.bdat(chunk),
            Command::Rset => self.rset(),
            Command::Noop => self.idle(|session| session.say(words::OK)),
            Command::Vrfy(argument) => self.vrfy(argument),
            Command::Expn(_) => self.fail(words::NO_EXPN),
            Command::Help(topic) => self.idle(|session| session.say_reply(&help(topic, &session.settings))),
            Command::Quit => self.quit(),
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
        }
    }

    fn complain(&mut self, error: &CommandError) {
        if *error == CommandError::Usage(Verb::Bdat) {
            // What octets follow is unknown, so the message can't be complete.
            self.reset();
        }
        self.fail_reply(&words::complaint(error));
        if matches!(error, CommandError::Foreign(_)) {
            self.close();
        }
    }

    /// Something that leads nowhere, unless there was too much of that.
    fn idle(&mut self, act: impl FnOnce(&mut Self)) {
        if self.may_idle() {
            act(self);
        }
    }

    /// RFC 5321 §4.1.4: EHLO and HELO are allowed everywhere and reset.
    fn greet(&mut self, name: &str, dialect: Dialect) {
        if self.is_too_hasty() || !self.may_idle() {
            return;
        }
        self.hello = Some(Hello { name: name.into(), dialect });
        self.reset();
        match dialect {
            Dialect::Smtp => {
                let line = format!("250 {}", self.settings.hostname);
                self.say(&line);
            }
            Dialect::Esmtp => self.say_extensions(),
        }
    }

    /// Whether the client went on where it must wait, and is closed for it.
    fn is_too_hasty(&mut self) -> bool {
        let hasty = self.signals.hasty && self.settings.haste == Haste::Refused;
        if hasty {
            self.fail(words::HASTY);
            self.close();
        }
        hasty
    }

    fn say_extensions(&mut self) {
        let settings = self.settings.clone();
        let limits = &settings.limits;
        let tls = settings.tls == TlsOffer::StartTls && !self.is_encrypted();
        let auth = self.may_authenticate().then_some(settings.mechanisms.as_slice());
        let old = auth.filter(|mechanisms| mechanisms.iter().any(|mechanism| is_old(*mechanism)));
        let extensions = [
            Some(Extension::Pipelining),
            Some(Extension::Size(limits.message_size)),
            Some(Extension::EightBitMime),
            Some(Extension::Chunking),
            Some(Extension::EnhancedStatusCodes),
            Some(Extension::Limits { recipients: limits.recipients }),
            Some(Extension::RecipientLimit(limits.recipients)),
            tls.then_some(Extension::StartTls),
            auth.map(Extension::Auth),
            old.map(Extension::AuthOld),
            (settings.introduction == Introduction::Taken).then_some(Extension::Other(introduction::ATTRIBUTES)),
            Some(Extension::Help),
        ];
        let hello = format_args!("{} greets [{}]", settings.hostname, self.peer.ip());
        write_ehlo(hello, extensions.into_iter().flatten(), &mut self.replies);
    }

    fn mail(&mut self, reverse_path: ReversePath, parameters: MailParameters) {
        let settings = &self.settings;
        match self.phase {
            Phase::Ready => {}
            Phase::Greet => return self.fail(words::NEED_HELLO),
            _ => return self.fail(words::NESTED),
        }
        if self.lacks_authentication() {
            return self.demand_authentication();
        }
        // RFC 1870 §6.1.
        let limit = settings.limits.message_size;
        if parameters.size.is_some_and(|size| size > limit) {
            return self.fail_reply(&words::too_large(limit));
        }
        // RFC 4954 §5: the parameter belongs to the extension.
        if parameters.auth.is_some() && !self.may_authenticate() {
            return self.fail(words::AUTH_PARAMETER);
        }
        self.ask(Question::Mail(parameters.body), Ask::Mail { reverse_path, parameters });
    }

    pub(super) fn mail_answered(&mut self, body: Body, answer: Answer) {
        match answer {
            Answer::Go => {
                self.phase = Phase::Mail(Transaction::new(body));
                self.signals.proven = true;
                self.say(words::OK_MAIL);
            }
            other => self.refuse(other),
        }
    }

    fn rcpt(&mut self, forward_path: ForwardPath, parameters: RcptParameters) {
        let max = self.settings.limits.recipients;
        match &self.phase {
            Phase::Mail(transaction) if transaction.recipients >= max => {
                let reply = words::too_many_recipients(max);
                if self.is_forgiven() { self.say_reply(&reply) } else { self.fail_reply(&reply) }
            }
            Phase::Mail(_) => self.ask(Question::Rcpt, Ask::Rcpt { forward_path, parameters }),
            Phase::Chunks(..) => self.fail(words::IN_CHUNKS),
            _ => self.fail(self.words_before_mail()),
        }
    }

    pub(super) fn rcpt_answered(&mut self, answer: Answer) {
        if let Phase::Mail(transaction) = &mut self.phase {
            match answer {
                Answer::Go => transaction.recipients += 1,
                _ => transaction.refused += 1,
            }
        }
        match answer {
            Answer::Go => self.say(words::OK_RCPT),
            other => {
                let reply = refusal(other);
                if reply.code != 421 && self.is_forgiven() {
                    self.say_reply(&reply);
                } else {
                    self.refuse(Answer::Refuse(reply));
                }
            }
        }
    }

    /// Whether a refused recipient is no error: see the decisions in [`super`].
    fn is_forgiven(&mut self) -> bool {
        let max = self.settings.limits.recipients;
        match &mut self.phase {
            Phase::Mail(transaction) if transaction.recipients > 0 && transaction.forgiven < max => {
                transaction.forgiven += 1;
                true
            }
            _ => false,
        }
    }

    fn data(&mut self) {
        if self.is_too_hasty() {
            return;
        }
        match &self.phase {
            Phase::Mail(transaction) if transaction.recipients > 0 => {
                self.ask(Question::Begin(Way::Data), Ask::Begin);
            }
            Phase::Chunks(..) => self.fail(words::IN_CHUNKS),
            _ => self.fail(self.words_before_content()),
        }
    }

    /// What lacks before DATA or BDAT (RFC 5321 §3.3, RFC 2920 §3.1).
    pub(super) fn words_before_content(&self) -> &'static str {
        match &self.phase {
            Phase::Mail(transaction) if transaction.refused > 0 => words::NO_RECIPIENTS,
            Phase::Mail(_) => words::NEED_RCPT,
            _ => self.words_before_mail(),
        }
    }

    fn words_before_mail(&self) -> &'static str {
        if matches!(self.phase, Phase::Greet) { words::NEED_HELLO } else { words::NEED_MAIL }
    }

    fn rset(&mut self) {
        if self.may_idle() {
            self.reset();
            self.say(words::OK);
        }
    }

    fn quit(&mut self) {
        self.say(words::BYE);
        self.close();
    }

    fn vrfy(&mut self, argument: &str) {
        if self.lacks_authentication() {
            return self.demand_authentication();
        }
        if self.may_idle() {
            self.ask(Question::Verify, Ask::Verify { argument: argument.to_owned() });
        }
    }

    pub(super) fn verify_answered(&mut self, answer: Answer) {
        match answer {
            Answer::Reply(reply) if reply.is_positive() => self.say_reply(&reply),
            Answer::Reply(reply) => self.refuse(Answer::Refuse(reply)),
            other => self.refuse(other),
        }
    }

    fn start_tls(&mut self) {
        if self.is_encrypted() {
            return self.fail(words::TLS_IS_ON);
        }
        if self.settings.tls == TlsOffer::None {
            return self.fail(words::NO_TLS);
        }
        if matches!(self.phase, Phase::Greet) {
            return self.fail(words::NEED_HELLO);
        }
        self.drop_draft();
        self.say(words::START_TLS);
        self.phase = Phase::Handshake(Told::No);
    }

    /// Forgets the transaction.
    pub(super) fn reset(&mut self) {
        self.drop_draft();
        self.phase = if self.hello.is_some() { Phase::Ready } else { Phase::Greet };
    }
}
