//! The engine over a simulated internet and the real spool.

use std::{
    net::IpAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mail::{
    Body, DeliveryId, Domain, Envelope, Event, EventKind, Mailbox, MessageId, Origin, Outcome, Refusal, ReversePath,
    Timestamp,
};
use net::{
    Chance, Clock,
    sim::{Internet, Zone},
    tasks::{Task, Tasks},
    tls,
};
use outbound::{Engine, LocalDomains, Parts, Settings, TlsClients};
use spool::{
    Committed, Filter, NewDelivery, NewMessage, Page, Spool, Submission, Submit, SubmitError, Submitted, View,
};

use crate::{paced::Paced, remote::Remote};

/// How long a message may be tried.
pub(crate) const EXPIRY: Duration = Duration::from_secs(5 * 86_400);
/// How long a test waits, in its own time, for what must come.
const PATIENCE: Duration = Duration::from_secs(30 * 86_400);
/// What a remote that can do all offers.
pub(crate) const OFFERS: &[&str] = &["PIPELINING", "8BITMIME", "CHUNKING", "ENHANCEDSTATUSCODES"];

/// One domain of our own.
#[derive(Debug)]
struct Ours;

impl LocalDomains for Ours {
    fn is_local(&self, domain: &Domain) -> bool {
        domain.name() == Some("ours.example")
    }
}

/// The door for notifications: into the same spool, or shut.
#[derive(Debug)]
pub(crate) struct Door {
    spool: Arc<dyn Spool>,
    chance: Chance,
    shut: Mutex<Option<mail::Reply>>,
    submissions: Mutex<Vec<Submission>>,
    /// Whether notifications are sent on, or held.
    open: AtomicBool,
}

impl Door {
    fn new(spool: &Arc<dyn Spool>, chance: &Chance) -> Arc<Self> {
        let (spool, chance) = (Arc::clone(spool), chance.clone());
        Arc::new(Self {
            spool,
            chance,
            shut: Mutex::default(),
            submissions: Mutex::default(),
            open: AtomicBool::new(false),
        })
    }
}

#[async_trait]
impl Submit for Door {
    async fn submit(&self, submission: Submission, now: Timestamp) -> Result<Submitted, SubmitError> {
        if let Some(reply) = self.shut.lock().unwrap().clone() {
            return Err(SubmitError::Refused(reply));
        }
        self.submissions.lock().unwrap().push(submission.clone());
        let committed = commit(&self.spool, &self.chance, &submission, !self.open.load(Ordering::SeqCst), now).await;
        Ok(match committed {
            (id, Committed::New) => Submitted { id, already: false, refused: Vec::new() },
            (_, Committed::Already(id)) => Submitted { id, already: true, refused: Vec::new() },
        })
    }
}

async fn commit(
    spool: &Arc<dyn Spool>,
    chance: &Chance,
    submission: &Submission,
    held: bool,
    now: Timestamp,
) -> (MessageId, Committed) {
    let mut draft = spool.begin().unwrap();
    draft.write(&submission.content).await.unwrap();
    let id = MessageId::new(now, chance.bytes());
    let delivery = |recipient: &Mailbox| NewDelivery {
        id: DeliveryId::new(now, chance.bytes()),
        recipient: recipient.clone(),
        original: None,
        held,
    };
    let message = NewMessage {
        id,
        envelope: submission.envelope.clone(),
        deliveries: submission.recipients.iter().map(delivery).collect(),
        prefix: bytes::Bytes::new(),
        idempotency: submission.idempotency.clone().map(|key| (key, Duration::from_secs(86_400))),
        not_before: None,
        expires: now + EXPIRY,
    };
    (id, spool.commit(draft, message, now).await.unwrap())
}

pub(crate) struct World {
    pub(crate) internet: Internet,
    pub(crate) zone: Zone,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) settings: Settings,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) paced: Arc<Paced>,
    pub(crate) door: Arc<Door>,
    /// Of the remotes: they live as long as the world.
    pub(crate) tasks: Tasks,
    tls: TlsClients,
    running: Option<(Tasks, Task<()>)>,
    pub(crate) engine: Option<Engine>,
}

impl World {
    /// Nothing runs yet.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(Timestamp::from_secs(1_795_508_169));
        let chance = Chance::seeded(7);
        let paced = open(directory.path(), clock.now());
        let spool: Arc<dyn Spool> = Arc::clone(&paced) as Arc<dyn Spool>;
        let door = Door::new(&spool, &chance);
        let mut settings = Settings::new("mx.ours.example", directory.path().join("maildir"));
        settings.own.addresses = vec!["203.0.113.1:25".parse().unwrap()];
        let tls = TlsClients {
            opportunistic: tls::Client::opportunistic(clock.clone()).unwrap(),
            verified: tls::Client::verified(None, clock.clone()).unwrap(),
        };
        Self {
            internet: Internet::new(),
            zone: Zone::new(),
            clock,
            chance,
            settings,
            directory,
            spool,
            paced,
            door,
            tasks: Tasks::new(),
            tls,
            running: None,
            engine: None,
        }
    }

    /// A world with a remote for `b.example`, and the engine running.
    pub(crate) fn with_remote() -> (Self, Remote) {
        let mut world = Self::new();
        let remote = world.remote("b.example", "192.0.2.25", OFFERS);
        world.start();
        (world, remote)
    }

    /// A mail server as the only MX of a domain.
    pub(crate) fn remote(&self, domain: &str, address: &str, offers: &[&str]) -> Remote {
        let host = format!("mx.{domain}");
        self.zone.add_mx(domain, 10, &host);
        self.host(&host, address, offers, None)
    }

    /// A mail server.
    pub(crate) fn host(&self, host: &str, address: &str, offers: &[&str], tls: Option<tls::Server>) -> Remote {
        let ip: IpAddr = address.parse().unwrap();
        self.zone.add_addresses(host, &[ip]);
        let socket = std::net::SocketAddr::new(ip, 25).to_string();
        Remote::start(&self.internet, &self.tasks, &socket, offers, tls)
    }

    /// A certificate that nobody signed, and a client that trusts it.
    pub(crate) fn certificate(&mut self, name: &str) -> tls::Server {
        let directory = self.directory.path().join("tls").join(name);
        let source = tls::Source::SelfSigned { directory: directory.clone(), hostname: name.into() };
        let server = tls::Server::new(source, self.clock.clone()).unwrap();
        self.tls.verified = tls::Client::verified(Some(&directory.join("cert.pem")), self.clock.clone()).unwrap();
        server
    }

    /// Trusts no certificate but those of real authorities.
    pub(crate) fn trust_nobody(&mut self) {
        self.tls.verified = tls::Client::verified(None, self.clock.clone()).unwrap();
    }

    /// Starts the engine.
    pub(crate) fn start(&mut self) {
        let engine = Engine::new(Parts {
            spool: Arc::clone(&self.spool),
            submit: Arc::clone(&self.door) as Arc<dyn Submit>,
            resolver: Arc::new(self.zone.clone()),
            connector: Arc::new(self.internet.clone()),
            tls: self.tls.clone(),
            domains: Arc::new(Ours),
            clock: self.clock.clone(),
            chance: self.chance.clone(),
            settings: self.settings.clone(),
        });
        let tasks = Tasks::new();
        let task = tasks.spawn("outbound", engine.clone().run(tasks.clone()));
        self.running = Some((tasks, task));
        self.engine = Some(engine);
    }

    /// Stops the engine and waits for its end.
    pub(crate) async fn stop(&mut self) {
        let (tasks, task) = self.running.take().expect("it runs");
        tasks.shutdown();
        task.await.unwrap();
        self.engine = None;
    }

    /// Stops everything, and starts again from what is on the disk.
    pub(crate) async fn restart(mut self) -> Self {
        self.stop().await;
        self.spool.close().await;
        let Self {
            internet,
            zone,
            clock,
            chance,
            settings,
            directory,
            spool,
            paced,
            door,
            tasks,
            tls,
            running,
            engine,
        } = self;
        drop((spool, paced, door, running, engine));
        let paced = open(directory.path(), clock.now());
        let spool: Arc<dyn Spool> = Arc::clone(&paced) as Arc<dyn Spool>;
        let door = Door::new(&spool, &chance);
        let (running, engine) = (None, None);
        let mut world = Self {
            internet,
            zone,
            clock,
            chance,
            settings,
            directory,
            spool,
            paced,
            door,
            tasks,
            tls,
            running,
            engine,
        };
        world.start();
        world
    }

    /// Puts a message from `alice@a.example` into the spool.
    pub(crate) async fn send(&self, recipients: &[&str]) -> MessageId {
        self.send_from("alice@a.example", recipients, "Subject: hello\r\n\r\n.dot\r\nbody\r\n").await
    }

    pub(crate) async fn send_from(&self, from: &str, recipients: &[&str], content: &str) -> MessageId {
        let reverse_path: ReversePath = from.parse().unwrap();
        let submission = Submission {
            envelope: Envelope { reverse_path, body: Body::SevenBit, origin: Origin::local() },
            recipients: recipients.iter().map(|recipient| recipient.parse().unwrap()).collect(),
            content: bytes::Bytes::copy_from_slice(content.as_bytes()),
            idempotency: None,
        };
        commit(&self.spool, &self.chance, &submission, false, self.clock.now()).await.0
    }

    /// Puts a message into the spool whose recipients an address of ours may have led to.
    pub(crate) async fn forward(&self, from: &str, deliveries: &[(&str, Option<&str>)]) -> MessageId {
        let now = self.clock.now();
        let mut draft = self.spool.begin().unwrap();
        draft.write(b"Subject: passed on\r\n\r\nbody\r\n").await.unwrap();
        let delivery = |(recipient, original): &(&str, Option<&str>)| NewDelivery {
            id: DeliveryId::new(now, self.chance.bytes()),
            recipient: recipient.parse().unwrap(),
            original: original.map(|original| original.parse().unwrap()),
            held: false,
        };
        let id = MessageId::new(now, self.chance.bytes());
        let message = NewMessage {
            id,
            envelope: Envelope { reverse_path: from.parse().unwrap(), body: Body::SevenBit, origin: Origin::local() },
            deliveries: deliveries.iter().map(delivery).collect(),
            prefix: bytes::Bytes::new(),
            idempotency: None,
            not_before: None,
            expires: now + EXPIRY,
        };
        self.spool.commit(draft, message, now).await.unwrap();
        id
    }

    /// Every event so far.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let entries = self.spool.outbox(0, 100_000).await.unwrap();
        entries.iter().map(|entry| Event::decode(&entry.event).unwrap()).collect()
    }

    /// Waits until `count` events are called so. Returns them, each as `recipient: outcome`.
    pub(crate) async fn wait_for(&self, name: &str, count: usize) -> Vec<String> {
        let deadline = self.clock.instant() + PATIENCE;
        loop {
            let entries = self.spool.outbox(0, 100_000).await.unwrap();
            let events: Vec<Event> = entries.iter().map(|entry| Event::decode(&entry.event).unwrap()).collect();
            let found: Vec<String> = events.iter().filter(|event| event.name() == name).map(describe).collect();
            if found.len() >= count {
                return found;
            }
            assert!(self.clock.instant() < deadline, "{name}: {:?}", events.iter().map(describe).collect::<Vec<_>>());
            let last = entries.last().map_or(0, |entry| entry.sequence);
            self.spool.outbox_ready(last, PATIENCE).await;
        }
    }

    /// Every attempt so far, as `seconds since the start: recipient: outcome`.
    pub(crate) async fn attempts(&self, since: Timestamp) -> Vec<(u64, String)> {
        let events = self.events().await;
        let attempts = events.iter().filter(|event| matches!(event.kind, EventKind::Attempted { .. }));
        attempts.map(|event| (event.at.since(since).as_secs(), describe(event))).collect()
    }

    /// What is in the queue.
    pub(crate) async fn queue(&self) -> Vec<View> {
        let page = Page { limit: 1000, cursor: None };
        self.spool.find(&Filter::default(), &page, self.clock.now()).await.unwrap().0
    }

    /// Notifications submitted so far, as text.
    pub(crate) fn notifications(&self) -> Vec<(Submission, String)> {
        let submissions = self.door.submissions.lock().unwrap();
        submissions.iter().map(|one| (one.clone(), String::from_utf8(one.content.to_vec()).unwrap())).collect()
    }

    /// Lets notifications be sent on.
    pub(crate) fn send_notifications(&self) {
        self.door.open.store(true, Ordering::SeqCst);
    }

    /// Shuts the door for notifications, or opens it.
    pub(crate) fn shut_door(&self, reply: Option<mail::Reply>) {
        *self.door.shut.lock().unwrap() = reply;
    }
}

fn open(directory: &Path, now: Timestamp) -> Arc<Paced> {
    let mut options = spool::sqlite::Options::new(directory.join("spool"), [1; 16]);
    options.disk_reserve = 0;
    Arc::new(Paced::new(spool::sqlite::Engine::open(options, now).unwrap()))
}

/// `b@b.example: bounced 550 5.1.1 no` and its like.
fn describe(event: &Event) -> String {
    match &event.kind {
        EventKind::Attempted { recipient, outcome, .. } => format!("{recipient}: {}", outcome_text(outcome)),
        EventKind::Expired { recipient, .. } => format!("{recipient}: expired"),
        EventKind::Held { recipient, .. } => format!("{recipient}: held"),
        _ => event.name().to_owned(),
    }
}

pub(crate) fn outcome_text(outcome: &Outcome) -> String {
    let refusal = |refusal: &Refusal| format!("{} {}", refusal.stage, refusal.reply);
    match outcome {
        Outcome::Delivered { reply, .. } => format!("delivered {reply}"),
        Outcome::Deferred(why) => format!("deferred {}", refusal(why)),
        Outcome::Bounced(why) => format!("bounced {}", refusal(why)),
    }
}
