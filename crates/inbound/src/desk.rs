//! Where a session's questions are answered: policy from [`crate::admission`], facts from the store, the message kept
//! in the spool. One desk for one connection.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mail::{Body, ForwardPath, Mailbox, MessageId, Origin, Reply, ReversePath, for_log};
use smtp::server::{Answer, Ask, Proof, Session, vrfy_unsure};
use store::Directory;

use crate::{
    Office,
    admission::{Identity, Standing, recipient, returned, rights::Rights},
    auth::{Denied, StandsFor},
    filters::Direction,
    gate::{
        Examination,
        guest::{Guest, TooMuch},
        proxy,
        stranger::{self, Opinion},
        words,
    },
    service::Current,
    transaction::{Accepted, Failure, Transaction, Treatment, try_later},
    vouch::{Client, Voucher},
};

/// Octets of hostile text in a log line.
const LOGGED_MAX: usize = 200;

/// The answers of one connection, and what they have to remember.
#[derive(Debug)]
pub(crate) struct Desk {
    office: Arc<Office>,
    service: Arc<Current>,
    guest: Guest,
    peer: SocketAddr,
    user: Option<Mailbox>,
    /// What was found out about a stranger.
    opinion: Option<Box<Opinion>>,
    transaction: Option<Box<Transaction>>,
    /// Accepted, and not yet in the log.
    unlogged: Option<Box<Unlogged>>,
}

/// What the log says of an accepted message.
#[derive(Debug)]
struct Unlogged {
    accepted: Accepted,
    from: String,
}

impl Desk {
    /// A desk for a client.
    pub(crate) fn new(office: Arc<Office>, service: Arc<Current>, guest: Guest) -> Self {
        let peer = guest.peer();
        Self { office, service, guest, peer, user: None, opinion: None, transaction: None, unlogged: None }
    }

    /// The answer to a question of the session.
    pub(crate) async fn answer(&mut self, ask: Ask, session: &Session) -> Answer {
        match ask {
            Ask::Connect { .. } => Answer::Go,
            Ask::Mail { reverse_path, parameters } => {
                // Before the DNS is asked anything about it.
                if let Err(reply) = self.may_begin() {
                    return self.refuse("mail", &reverse_path.to_string(), reply);
                }
                // Boxed: nothing but a stranger's message is ever waited for.
                match self.is_examined() {
                    true => Box::pin(self.examined_mail(reverse_path, parameters.body, session)).await,
                    false => self.mail(reverse_path, parameters.body),
                }
            }
            Ask::Rcpt { forward_path, .. } => self.rcpt(forward_path, session),
            Ask::Begin => self.begin(),
            // Boxed, as the password is: an idle connection carries no room for what it does once in a while.
            Ask::Commit { .. } => Box::pin(self.commit(session)).await,
            Ask::Password { authcid, password, .. } => {
                let verified = match self.may_try(&authcid) {
                    Ok(()) => Box::pin(self.office.auth.password(&authcid, &password)).await,
                    Err(denied) => Err(denied),
                };
                self.authenticated(&authcid, verified)
            }
            Ask::ScramStart { authcid } => match self.may_try(&authcid) {
                Ok(()) => {
                    let (verifier, nonce) = self.office.auth.scram_start(&authcid);
                    Answer::Scram { verifier, nonce }
                }
                Err(denied) => self.authenticated(&authcid, Err(denied)),
            },
            Ask::ScramDone { authcid, proof } => {
                let verified = match proof {
                    Proof::Right => self.office.auth.scram_user(&authcid),
                    Proof::Wrong => Err(Denied::Wrong),
                };
                self.authenticated(&authcid, verified)
            }
            Ask::Introduce { client } => self.introduce(client, session),
            Ask::Verify { .. } => Answer::Reply(vrfy_unsure()),
        }
    }

    /// The client, which may, says for whom it speaks: as if that one had connected.
    fn introduce(&mut self, client: Option<SocketAddr>, session: &Session) -> Answer {
        let (office, service) = (&self.office, &self.service);
        let visit = match client {
            Some(peer) => office.gate.enter(service, peer.ip(), office.clock.instant()),
            None => office.gate.enter_uncounted(),
        };
        match visit {
            Ok(visit) => {
                let client = client.map_or(proxy::Client::Unnamed, proxy::Client::At);
                self.guest = Guest::new(client, self.peer, visit).after(session.tally());
                self.peer = self.guest.peer();
                self.forget();
                let named = self.guest.is_named();
                let settings =
                    if named { self.service.session(self.peer.ip()) } else { self.service.session_of_anybody() };
                Answer::Introduced { peer: self.peer, settings }
            }
            Err(refusal) => {
                let hostname = &service.settings.session.hostname;
                self.refuse("xclient", "", words::farewell(hostname, refusal))
            }
        }
    }

    /// Where the client is.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether the client is a stranger still.
    pub(crate) fn is_watched(&self) -> bool {
        self.guest.is_stranger() && self.user.is_none()
    }

    /// How long the client has to wait for the banner; nothing when it need not.
    pub(crate) fn pregreet_wait(&self) -> Option<Duration> {
        self.guest.pregreet_wait(&self.office, &self.service, self.office.clock.instant())
    }

    /// The client has waited for the banner.
    pub(crate) fn remember_manners(&self) {
        self.guest.remember_manners(self.office.clock.instant());
    }

    /// The client has not waited for the banner.
    pub(crate) fn note_early_talker(&self) {
        self.service.meters.turned_away("early_talker");
        tracing::info!(service = self.service.settings.name, peer = %self.peer, "spoke before the greeting");
    }

    /// Puts what the session has counted to the client's account, and ends the session when it was too much. Returns how
    /// long the replies that are ready have to wait.
    pub(crate) fn watch(&mut self, session: &mut Session) -> Duration {
        if !self.is_watched() {
            return Duration::ZERO;
        }
        match self.guest.count(session.tally(), &self.service, self.office.clock.instant()) {
            Ok(None) => Duration::ZERO,
            Ok(Some(errors)) => self.office.gate.tarpit(&self.service.settings.gate, errors),
            Err(TooMuch { reply, reason }) => {
                self.service.meters.turned_away(reason);
                tracing::info!(service = self.service.settings.name, peer = %self.peer, reason, "sent away");
                session.dismiss(reply);
                Duration::ZERO
            }
        }
    }

    /// A piece of the content.
    pub(crate) async fn content(&mut self, piece: Vec<u8>) {
        if let Some(transaction) = &mut self.transaction {
            transaction.take(piece).await;
        }
    }

    /// Whether content is expected next.
    pub(crate) fn is_receiving(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.is_receiving())
    }

    /// The draft is void.
    pub(crate) fn discard(&mut self) {
        self.transaction = None;
    }

    /// TLS begins: what was learnt in clear text is forgotten (RFC 3207 §4.2).
    pub(crate) fn forget(&mut self) {
        self.user = None;
        self.opinion = None;
        self.transaction = None;
    }

    /// Whether more is asked about the client before it may begin a message.
    fn is_examined(&self) -> bool {
        self.is_watched() && self.service.settings.gate.examination != Examination::none()
    }

    async fn examined_mail(&mut self, reverse_path: ReversePath, body: Body, session: &Session) -> Answer {
        let peer = self.peer.ip();
        match stranger::examine(&self.office, &self.service, peer, session.helo(), &reverse_path).await {
            Ok(opinion) => {
                self.opinion = Some(Box::new(opinion));
                self.mail(reverse_path, body)
            }
            Err(reply) => self.refuse("mail", &reverse_path.to_string(), reply),
        }
    }

    fn mail(&mut self, reverse_path: ReversePath, body: Body) -> Answer {
        self.transaction = None;
        let rights = self.user.as_ref().map(|user| Rights::new(user.clone(), self.office.store.directory()));
        if let Some(Err(reply)) = rights.as_ref().map(|rights| rights.check_envelope(&reverse_path)) {
            return self.refuse("mail", &reverse_path.to_string(), reply);
        }
        match self.office.spool.begin() {
            Ok(draft) => {
                let mut transaction = Transaction::new(reverse_path, body, rights, draft);
                transaction.suspicion = self.opinion.as_ref().and_then(|opinion| opinion.mark());
                self.transaction = Some(Box::new(transaction));
                Answer::Go
            }
            Err(error) => self.fail("mail", &reverse_path.to_string(), &Failure::Spool(error.into())),
        }
    }

    /// Whether the gate lets a message begin.
    fn may_begin(&self) -> Result<(), Reply> {
        if !self.guest.is_named() {
            return Err(words::unnamed());
        }
        if self.is_watched() {
            let now = self.office.clock.instant();
            return self.guest.message(&self.service, now).map_err(|too_much| too_much.reply);
        }
        Ok(())
    }

    fn rcpt(&mut self, forward_path: ForwardPath, session: &Session) -> Answer {
        let typed = forward_path.to_string();
        match self.admit(forward_path) {
            Ok(()) => {
                self.verify(session);
                Answer::Go
            }
            Err(reply) => self.refuse("rcpt", &typed, reply),
        }
    }

    fn admit(&mut self, forward_path: ForwardPath) -> Result<(), Reply> {
        if self.is_watched() {
            let now = self.office.clock.instant();
            self.guest.recipient(&self.service, now).map_err(|too_much| too_much.reply)?;
        }
        let settings = &self.service.settings;
        let directory = self.office.store.directory();
        let recipient = recipient::mailbox(forward_path, &directory, &settings.session.hostname)?;
        let mailboxes = match self.returned(&recipient, &directory) {
            Some(returned) => returned?,
            None => recipient::admit(settings.recipients, self.standing(), &recipient, directory.resolve(&recipient))?,
        };
        self.check_opinion(&recipient)?;
        self.check_greylist(&recipient)?;
        match &mut self.transaction {
            Some(transaction) => transaction.recipients.add(&recipient, mailboxes),
            // The session asks for recipients only after MAIL was accepted.
            None => Err(Reply::with(503, (5, 5, 1), "MAIL comes first")),
        }
    }

    /// Where a notification about mail that was passed on goes, when the recipient is an address made for that.
    fn returned(&self, recipient: &Mailbox, directory: &Directory) -> Option<Result<Vec<Mailbox>, Reply>> {
        let (srs, transaction) = (self.office.srs.as_ref()?, self.transaction.as_ref()?);
        returned::admit(srs, recipient, &transaction.reverse_path, directory, self.office.clock.now())
    }

    /// Whether what was found out about the client stands against this recipient. The postmaster hears everybody, for
    /// who else should hear that a list is wrong (RFC 5321 §4.5.1)?
    fn check_opinion(&self, recipient: &Mailbox) -> Result<(), Reply> {
        let postmaster = recipient.local.unquoted().eq_ignore_ascii_case("postmaster");
        let refusal = self.opinion.as_ref().filter(|_| self.is_watched() && !postmaster);
        refusal.and_then(|opinion| opinion.refusal(self.peer.ip())).map_or(Ok(()), Err)
    }

    /// Whether the client is known well enough, where that is asked. Who has more friends than foes on the lists is.
    fn check_greylist(&self, recipient: &Mailbox) -> Result<(), Reply> {
        let favoured = self.opinion.as_ref().is_some_and(|opinion| opinion.is_favourable());
        match &self.transaction {
            Some(transaction) if self.service.settings.gate.greylisting && self.is_watched() && !favoured => {
                let (gate, now) = (&self.office.gate, self.office.clock.now());
                gate.grey.ask(self.peer.ip(), &transaction.reverse_path, recipient, now)
            }
            _ => Ok(()),
        }
    }

    /// A stranger's message has a recipient: now it is worth asking who vouches for it.
    fn verify(&mut self, session: &Session) {
        if !self.is_watched() {
            return;
        }
        let (Some(verification), Some(transaction)) = (&self.service.settings.verification, &mut self.transaction)
        else {
            return;
        };
        transaction.verify(|reverse_path| {
            let reverse_path = reverse_path.clone();
            let client =
                Client { address: self.peer.ip().to_canonical(), helo: session.helo().map(Into::into), reverse_path };
            Voucher::new(&self.office, &self.service, verification, client)
        });
    }

    fn begin(&mut self) -> Answer {
        let now = self.office.clock.now();
        let id = MessageId::new(now, self.office.chance.bytes());
        let signers = self.office.signers.as_ref().filter(|_| self.direction() == Direction::Out);
        let treatment = Treatment { signers, ..treatment(&self.service) };
        if let Some(transaction) = &mut self.transaction {
            transaction.begin(treatment, id, now);
        }
        Answer::Go
    }

    async fn commit(&mut self, session: &Session) -> Answer {
        let began = self.office.clock.instant();
        let Some(transaction) = self.transaction.take() else {
            return self.refuse("content", "", try_later());
        };
        let from = transaction.reverse_path.to_string();
        let office = &self.office;
        let screen = office.filters.screen(self.direction());
        let committed = transaction
            .commit(
                office.spool.as_ref(),
                Treatment { screen: screen.as_ref(), ..treatment(&self.service) },
                self.origin(session),
                None,
                &office.chance,
                office.clock.now(),
            )
            .await;
        match committed {
            Ok(accepted) => self.accepted(accepted, from, began),
            Err(Failure::Refused(reply)) => self.refuse("content", &from, reply),
            Err(failure) => self.fail("content", &from, &failure),
        }
    }

    /// Whether a message comes from one of ours.
    fn direction(&self) -> Direction {
        match self.standing() {
            Standing::Stranger => Direction::In,
            Standing::Trusted | Standing::User => Direction::Out,
        }
    }

    fn standing(&self) -> Standing {
        let identity = if self.user.is_some() { Identity::Authenticated } else { Identity::Unknown };
        Standing::of(&self.service.settings, self.peer.ip(), identity)
    }

    fn origin(&self, session: &Session) -> Origin {
        Origin {
            service: self.service.settings.name.into(),
            peer: Some(self.peer),
            helo: session.helo().map(Into::into),
            user: self.user.clone(),
            protocol: session.protocol(),
            tls: session.tls().cloned(),
        }
    }

    fn accepted(&mut self, accepted: Accepted, from: String, began: Instant) -> Answer {
        let wait = self.office.clock.instant().saturating_duration_since(began);
        self.service.meters.accepted(accepted.deliveries, accepted.size, wait);
        if self.is_watched() {
            self.guest.redeem(&self.service, self.office.clock.instant());
        }
        self.log();
        let id = accepted.id.to_string();
        self.unlogged = Some(Box::new(Unlogged { accepted, from }));
        Answer::Accepted { id }
    }

    /// Logs what was accepted. Called after the reply is written: the client waits for that, nobody for the log.
    pub(crate) fn log(&mut self) {
        let Some(Unlogged { accepted, from }) = self.unlogged.take().map(|unlogged| *unlogged) else {
            return;
        };
        tracing::info!(
            service = self.service.settings.name, peer = %self.peer, user = self.user.as_ref().map(tracing::field::display),
            id = %accepted.id, from, recipients = accepted.deliveries, size = accepted.size,
            "message accepted"
        );
    }

    /// Whether the client may try a password of that name.
    fn may_try(&self, name: &str) -> Result<(), Denied> {
        // Exempt and trusted clients are programs of ours; many people sign in through one.
        let ours = self.guest.is_named() && !self.guest.is_stranger();
        let stands_for = if ours { StandsFor::Many } else { StandsFor::One };
        self.office.auth.may_try(self.peer.ip(), stands_for, name)
    }

    fn authenticated(&mut self, name: &str, verified: Result<Mailbox, Denied>) -> Answer {
        self.office.auth.tried(self.peer.ip(), name, verified.as_ref().map(|_| ()).map_err(|denied| *denied));
        match verified {
            Ok(user) => {
                self.service.meters.authenticated("ok");
                self.opinion = None;
                // A session of a user costs a greeting or two; many of them a day are no idling.
                self.guest.redeem(&self.service, self.office.clock.instant());
                let answer = Answer::Authenticated(user.to_string());
                self.user = Some(user);
                answer
            }
            Err(denied) => {
                self.service.meters.authenticated(denied.word());
                tracing::warn!(
                    service = self.service.settings.name, peer = %self.peer, user = %for_log(name, LOGGED_MAX),
                    reason = denied.word(), "authentication failed"
                );
                Answer::Refuse(denied.reply())
            }
        }
    }

    /// The spool does not work. How it is as a whole it tells the log itself, once.
    fn fail(&self, stage: &'static str, what: &str, failure: &Failure) -> Answer {
        let reply = failure.reply();
        self.service.meters.refused(stage, reply.code);
        let (service, address) = (self.service.settings.name, for_log(what, LOGGED_MAX));
        match failure.untold() {
            Some(error) => tracing::error!(service, peer = %self.peer, %address, %error, "a message cannot be kept"),
            None => tracing::debug!(service, peer = %self.peer, stage, %address, %reply, "refused by the queue"),
        }
        Answer::Refuse(reply)
    }

    fn refuse(&self, stage: &'static str, what: &str, reply: Reply) -> Answer {
        self.service.meters.refused(stage, reply.code);
        tracing::info!(
            service = self.service.settings.name, peer = %self.peer, stage, address = %for_log(what, LOGGED_MAX),
            reply = %for_log(&reply.to_string(), LOGGED_MAX), "refused"
        );
        Answer::Refuse(reply)
    }
}

fn treatment(service: &Current) -> Treatment<'_> {
    let settings = &service.settings;
    Treatment {
        hostname: &settings.session.hostname,
        fix_ups: settings.fix_ups,
        privacy: Some(&settings.privacy),
        expire: settings.expire,
        screen: None,
        signers: None,
    }
}
