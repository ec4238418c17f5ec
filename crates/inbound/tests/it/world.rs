//! A small world: two domains, two users, a store, a spool, and the engine over them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use inbound::{Cost, Inbound, Parts, Service, Settings, SubmitSettings, Tls, hash_password};
use mail::{Mailbox, MessageId};
use net::{Chance, Clock, Listener, sim::Zone, tasks::Tasks, tls};
use smtp::server::{AuthOffer, Service as Kind};
use spool::Spool;
use store::{DomainKind, Store};

use crate::dialogue::Client;

/// The password of every user here.
pub(crate) const PASSWORD: &str = "correct horse";
/// Hashing that costs nothing.
pub(crate) const CHEAP: Cost = Cost { memory: 8, passes: 1, rounds: 4096 };
/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) inbound: Inbound,
    pub(crate) store: Store,
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) zone: Zone,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) directory: tempfile::TempDir,
}

/// A message as the spool has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: MessageId,
    pub(crate) from: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) content: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::over(|spool| spool).await
    }

    /// A world in which the engine sees the spool through something.
    pub(crate) async fn over(wrap: impl FnOnce(Arc<dyn Spool>) -> Arc<dyn Spool>) -> Self {
        Self::build(Clock::system(), |parts| parts.spool = wrap(Arc::clone(&parts.spool))).await
    }

    /// A world whose wall clock goes with the runtime's time, paused or not.
    pub(crate) async fn simulated() -> Self {
        Self::build(Clock::simulated(mail::Timestamp::from_secs(1_800_000_000)), |_| {}).await
    }

    /// A world with an engine of other parts.
    pub(crate) async fn with(change: impl FnOnce(&mut Parts)) -> Self {
        Self::build(Clock::system(), change).await
    }

    async fn build(clock: Clock, change: impl FnOnce(&mut Parts)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (chance, tasks) = (Chance::seeded(1), Tasks::new());
        let mut options = spool::sqlite::Options::new(directory.path().join("spool"), [1; 16]);
        options.disk_reserve = 0;
        let spool: Arc<dyn Spool> = spool::sqlite::Engine::open(options, clock.now()).unwrap();
        let store = open_store(directory.path(), &chance).await;
        let zone = Zone::new();
        zone.add_mx("far.example", 10, "mx.far.example");
        let mut parts = Parts {
            spool: Arc::clone(&spool),
            store: store.clone(),
            resolver: Arc::new(zone.clone()),
            clock: clock.clone(),
            chance,
            tasks: tasks.clone(),
            secret: [7; 32],
            cost: CHEAP,
            submit: SubmitSettings::new("mx.ours.example"),
            signers: None,
            srs: None,
        };
        change(&mut parts);
        let inbound = Inbound::new(parts);
        Self { inbound, store, spool, zone, clock, tasks, directory }
    }

    /// The engine stops, and another one begins over the same store.
    pub(crate) async fn restart(&mut self) {
        self.tasks.shutdown();
        self.tasks.wait(self.clock.instant() + PATIENCE).await.expect("everything stops");
        self.tasks = Tasks::new();
        self.inbound = Inbound::new(Parts {
            spool: Arc::clone(&self.spool),
            store: self.store.clone(),
            resolver: Arc::new(self.zone.clone()),
            clock: self.clock.clone(),
            chance: Chance::seeded(2),
            tasks: self.tasks.clone(),
            secret: [7; 32],
            cost: CHEAP,
            submit: SubmitSettings::new("mx.ours.example"),
            signers: None,
            srs: None,
        });
        self.inbound.remember().await.unwrap();
    }

    /// The settings of an MX.
    pub(crate) fn mx(&self) -> Settings {
        Settings::new("mx.ours.example", Kind::Mx)
    }

    /// The settings of a submission service that takes passwords in clear text.
    pub(crate) fn submission(&self) -> Settings {
        let mut settings = Settings::new("mx.ours.example", Kind::Submission);
        settings.session.auth = AuthOffer::Always;
        settings
    }

    pub(crate) fn certificate(&self) -> tls::Server {
        let source = tls::Source::SelfSigned {
            directory: self.directory.path().join("tls"),
            hostname: "mx.ours.example".into(),
        };
        tls::Server::new(source, self.clock.clone()).unwrap()
    }

    /// Serves on a port of its own.
    pub(crate) fn serve(&self, settings: Settings) -> (Service, SocketAddr) {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr();
        let service = Service::new(settings);
        self.inbound.serve(listener, &service);
        (service, address)
    }

    /// A client of a new service, with the banner read and EHLO said.
    pub(crate) async fn client(&self, settings: Settings) -> Client {
        let implicit = matches!(settings.tls, Tls::Implicit(_));
        let (_, address) = self.serve(settings);
        let mut client = Client::connect(address).await;
        if implicit {
            client = client.start_tls(&self.clock).await;
        }
        client.run("S: 220 mx.ours.example ESMTP\nC: EHLO client.example\nS: 250").await;
        client
    }

    /// Connections that are served now.
    pub(crate) fn sessions(&self) -> usize {
        self.tasks.running().into_iter().find(|(name, _)| *name == "connection").map_or(0, |(_, count)| count)
    }

    /// Every message in the spool, oldest first.
    pub(crate) async fn kept(&self) -> Vec<Kept> {
        let page = spool::Page { limit: 1000, cursor: None };
        let (mut views, more) = self.spool.find(&spool::Filter::default(), &page, self.clock.now()).await.unwrap();
        assert_eq!(more, None);
        // By time, not by id: ids of one millisecond are in no order.
        views.sort_by_key(|view| view.received);
        let mut kept: Vec<Kept> = Vec::new();
        for view in views {
            let recipient = view.recipient.to_string();
            if let Some(same) = kept.iter_mut().find(|same| same.id == view.message) {
                same.recipients.push(recipient);
                continue;
            }
            let content = self.spool.content(view.message).await.unwrap().to_bytes(10_000_000).await.unwrap();
            kept.push(Kept {
                id: view.message,
                from: view.reverse_path.to_string(),
                recipients: vec![recipient],
                content: String::from_utf8_lossy(&content).into_owned(),
            });
        }
        kept.iter_mut().for_each(|message| message.recipients.sort());
        kept
    }

    /// The only message in the spool.
    pub(crate) async fn only(&self) -> Kept {
        let mut kept = self.kept().await;
        assert_eq!(kept.len(), 1, "{kept:?}");
        kept.remove(0)
    }
}

impl Kept {
    /// The content after the Received field that we put before it.
    pub(crate) fn letter(&self) -> &str {
        let header = mail::header::Header::parse(self.content.as_bytes(), 1000);
        let first = header.fields.first().expect("a trace field");
        assert!(first.is("Received"), "{}", self.content);
        &self.content[first.range.end..]
    }
}

async fn open_store(directory: &std::path::Path, chance: &Chance) -> Store {
    let store = Store::open("sqlite:posthouse.db", directory).await.unwrap();
    let address = |text: &str| text.parse::<Mailbox>().unwrap();
    for domain in ["ours.example", "catch.example"] {
        store.domain_add(&domain.parse().unwrap(), DomainKind::Local).await.unwrap();
    }
    store.domain_add(&"relay.example".parse().unwrap(), DomainKind::Relay).await.unwrap();
    for user in ["anna@ours.example", "bob@ours.example", "carl@catch.example"] {
        let verifiers = hash_password(PASSWORD, CHEAP, chance).unwrap();
        store.user_add(&address(user), &verifiers).await.unwrap();
    }
    let sales = [address("anna@ours.example"), address("bob@ours.example"), address("out@far.example")];
    store.alias_add(&address("sales@ours.example"), &sales).await.unwrap();
    store.catch_all_set(&"catch.example".parse().unwrap(), &address("carl@catch.example")).await.unwrap();
    store
}
