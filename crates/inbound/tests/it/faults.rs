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

    async fn lease(&self, _: usize, _: &[String], _: Timestamp) -> Result<Vec<Item>, SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn ready(&self) {
        unimplemented!("not a verb of receiving")
    }
    async fn next_due(&self) -> Result<Option<Timestamp>, SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn park(&self, _: Vec<Lease>, _: Timestamp) -> Result<(), SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn settle(&self, _: Vec<Settlement>, _: Timestamp) -> Vec<Result<(), SettleError>> {
        unimplemented!("not a verb of receiving")
    }
    async fn content(&self, _: MessageId) -> Result<Content, SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn find(&self, _: &Filter, _: &Page, _: Timestamp) -> Result<(Vec<View>, Option<String>), SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn count(&self) -> Result<Vec<(State, u64)>, SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn count_by_domain(&self, _: usize) -> Result<Vec<(String, State, u64)>, SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn update(&self, _: &Filter, _: &Update, _: Timestamp) -> Result<u64, SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn captured(&self, _: Option<MessageId>, _: usize) -> Result<Vec<CaptureView>, SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn outbox(&self, _: u64, _: usize) -> Result<Vec<OutboxEntry>, SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn outbox_ready(&self, _: u64, _: Duration) {
        unimplemented!("not a verb of receiving")
    }
    async fn trim_outbox(&self, _: u64) -> Result<(), SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    fn poisoned(&self) -> Option<String> {
        None
    }
    async fn recover(&self) -> Result<(), SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    async fn sweep(&self, _: Timestamp) -> Result<(), SpoolError> {
        unimplemented!("not a verb of receiving")
    }
    fn node(&self) -> String {
        self.spool.node()
    }
    async fn close(&self) {}
    async fn get(&self, _: DeliveryId, _: Timestamp) -> Result<Option<View>, SpoolError> {
        unimplemented!("not a verb of receiving")
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
