//! A spool that fails, a server that is full: the client hears 4xx, and all goes on when it is over (E12).

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use mail::{DeliveryId, MessageId, Timestamp};
use spool::{
    CaptureView, CommitError, Committed, Content, Draft, Filter, Item, Lease, NewMessage, OutboxEntry, Page,
    SettleError, Settlement, Spool, SpoolError, State, Update, View,
};

use crate::{dialogue::Client, world::World};

/// What goes wrong.
#[derive(Clone, Debug, Default)]
enum Fault {
    #[default]
    None,
    Begin(SpoolError),
    Commit(SpoolError),
}

/// A spool that fails when it is told to.
#[derive(Debug)]
struct Faulty {
    spool: Arc<dyn Spool>,
    fault: Arc<Mutex<Fault>>,
}

#[async_trait]
impl Spool for Faulty {
    fn begin(&self) -> Result<Draft, SpoolError> {
        match &*self.fault.lock().unwrap() {
            Fault::Begin(error) => Err(error.clone()),
            Fault::None | Fault::Commit(_) => self.spool.begin(),
        }
    }

    async fn commit(&self, draft: Draft, message: NewMessage, now: Timestamp) -> Result<Committed, CommitError> {
        let fault = self.fault.lock().unwrap().clone();
        match fault {
            Fault::Commit(error) => Err(error.into()),
            Fault::None | Fault::Begin(_) => self.spool.commit(draft, message, now).await,
        }
    }

    async fn lease(&self, limit: usize, skip_domains: &[String], now: Timestamp) -> Result<Vec<Item>, SpoolError> {
        self.spool.lease(limit, skip_domains, now).await
    }

    async fn ready(&self) {
        self.spool.ready().await;
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, SpoolError> {
        self.spool.next_due().await
    }

    async fn park(&self, leases: Vec<Lease>, due: Timestamp) -> Result<(), SpoolError> {
        self.spool.park(leases, due).await
    }

    async fn settle(&self, settlements: Vec<Settlement>, now: Timestamp) -> Vec<Result<(), SettleError>> {
        self.spool.settle(settlements, now).await
    }

    async fn content(&self, message: MessageId) -> Result<Content, SpoolError> {
        self.spool.content(message).await
    }

    async fn find(
        &self,
        filter: &Filter,
        page: &Page,
        now: Timestamp,
    ) -> Result<(Vec<View>, Option<String>), SpoolError> {
        self.spool.find(filter, page, now).await
    }

    async fn count(&self) -> Result<Vec<(State, u64)>, SpoolError> {
        self.spool.count().await
    }

    async fn count_by_domain(&self, limit: usize) -> Result<Vec<(String, State, u64)>, SpoolError> {
        self.spool.count_by_domain(limit).await
    }

    async fn update(&self, filter: &Filter, update: &Update, now: Timestamp) -> Result<u64, SpoolError> {
        self.spool.update(filter, update, now).await
    }

    async fn captured(&self, before: Option<MessageId>, limit: usize) -> Result<Vec<CaptureView>, SpoolError> {
        self.spool.captured(before, limit).await
    }

    async fn outbox(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>, SpoolError> {
        self.spool.outbox(after, limit).await
    }

    async fn outbox_ready(&self, after: u64, wait: Duration) {
        self.spool.outbox_ready(after, wait).await;
    }

    fn node(&self) -> String {
        self.spool.node()
    }

    async fn trim_outbox(&self, through: u64) -> Result<(), SpoolError> {
        self.spool.trim_outbox(through).await
    }

    fn poisoned(&self) -> Option<String> {
        self.spool.poisoned()
    }

    async fn recover(&self) -> Result<(), SpoolError> {
        self.spool.recover().await
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), SpoolError> {
        self.spool.sweep(now).await
    }

    async fn close(&self) {
        self.spool.close().await;
    }

    async fn get(&self, delivery: DeliveryId, now: Timestamp) -> Result<Option<View>, SpoolError> {
        self.spool.get(delivery, now).await
    }
}

const RCPT_DATA: &str = "C: RCPT TO:<anna@ours.example>\nS: 250\nC: DATA\nS: 354\nC: A: b\nC: .";
const MAIL: &str = "C: MAIL FROM:<x@far.example>";

#[tokio::test]
async fn a_failing_spool_is_told_and_mail_goes_on_after_it() {
    let fault = Arc::new(Mutex::new(Fault::None));
    let shared = Arc::clone(&fault);
    let world = World::over(|spool| Arc::new(Faulty { spool, fault: shared })).await;
    let mut client = world.client(world.mx()).await;
    let full = SpoolError::DiskReserve { free: 1, reserve: 2 };
    let poisoned = SpoolError::Poisoned("secret words".into());
    let io = SpoolError::Io { what: "writing /secret/path".into(), why: "secret words".into() };
    let no_room = SpoolError::DiskFull { what: "writing /secret/path".into() };
    for (now, mail, content) in [
        (Fault::Begin(full.clone()), "452 4.3.1", None),
        (Fault::Begin(poisoned.clone()), "451 4.3.0", None),
        (Fault::Commit(full), "250", Some("452 4.3.1")),
        (Fault::Commit(poisoned), "250", Some("451 4.3.0")),
        (Fault::Commit(io), "250", Some("451 4.3.0")),
        (Fault::Commit(no_room), "250", Some("452 4.3.1")),
        (Fault::None, "250", Some("250 2.0.0")),
    ] {
        *fault.lock().unwrap() = now;
        client.run(&format!("{MAIL}\nS: {mail}")).await;
        if let Some(content) = content {
            client.run(RCPT_DATA).await;
            let reply = client.reply().await;
            assert!(reply.starts_with(content) && !reply.contains("secret"), "{reply}");
        }
    }
    assert_eq!(world.kept().await.len(), 1);
}

#[tokio::test]
async fn too_many_connections_of_one_address_are_turned_away() {
    let world = World::new().await;
    let internet = net::sim::Internet::new();
    let address = "192.0.2.25:25".parse().unwrap();
    let mut settings = world.mx();
    settings.connections_per_address = 2;
    let service = inbound::Service::new(settings);
    world.inbound.serve(internet.listen(address).unwrap(), &service);
    let connect = async |from: &str| {
        use net::Connector as _;
        let deadline = world.clock.instant() + crate::world::PATIENCE;
        Client::over(internet.connect(address, Some(from.parse().unwrap()), deadline).await.unwrap())
    };
    let (mut first, mut second) = (connect("192.0.2.1").await, connect("192.0.2.1").await);
    first.run("S: 220").await;
    second.run("S: 220").await;
    connect("192.0.2.1").await.run("S: 421 4.7.0 mx.ours.example\nS: closed").await;
    connect("192.0.2.2").await.run("S: 220").await;
    first.run("C: QUIT\nS: 221\nS: closed").await;
    // The place is free once the connection's task has ended.
    let deadline = world.clock.instant() + crate::world::PATIENCE;
    while !connect("192.0.2.1").await.reply().await.starts_with("220") {
        assert!(world.clock.instant() < deadline);
        tokio::task::yield_now().await;
    }
}
