//! The spool in paused time. Its threads are outside the runtime, which would think that nothing happens and let the
//! time jump while they work. So each call waits on a thread of the runtime, which holds the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mail::{DeliveryId, MessageId, Timestamp};
use spool::{
    CaptureView, CommitError, Committed, Content, Draft, Filter, Item, Lease, NewMessage, OutboxEntry, Page,
    SettleError, Settlement, Spool, SpoolError, State, Update, View,
};

#[derive(Debug)]
pub(crate) struct Paced {
    spool: Arc<dyn Spool>,
    /// Settling fails, as with a poisoned spool.
    refusing: AtomicBool,
    /// Calls to settle.
    settles: AtomicUsize,
    /// Whoever asks for content panics.
    breaking: AtomicBool,
}

impl Paced {
    pub(crate) fn new(spool: Arc<dyn Spool>) -> Self {
        Self { spool, refusing: AtomicBool::new(false), settles: AtomicUsize::new(0), breaking: AtomicBool::new(false) }
    }

    /// Lets settling fail, or work again.
    pub(crate) fn refuse_settles(&self, refusing: bool) {
        self.refusing.store(refusing, Ordering::SeqCst);
    }

    /// Lets whoever asks for content panic, or read again.
    pub(crate) fn break_readers(&self, breaking: bool) {
        self.breaking.store(breaking, Ordering::SeqCst);
    }

    /// Calls to settle so far.
    pub(crate) fn settles(&self) -> usize {
        self.settles.load(Ordering::SeqCst)
    }
}

/// Awaits on another thread, so that time stands still meanwhile.
async fn hold<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work)).await.unwrap()
}

macro_rules! held {
    ($self:ident, $spool:ident, $call:expr) => {{
        let $spool = Arc::clone(&$self.spool);
        hold(async move { $call.await }).await
    }};
}

#[async_trait]
impl Spool for Paced {
    fn begin(&self) -> Result<Draft, SpoolError> {
        self.spool.begin()
    }

    async fn commit(&self, draft: Draft, message: NewMessage, now: Timestamp) -> Result<Committed, CommitError> {
        held!(self, spool, spool.commit(draft, message, now))
    }

    async fn lease(&self, limit: usize, skip_domains: &[String], now: Timestamp) -> Result<Vec<Item>, SpoolError> {
        let skip = skip_domains.to_vec();
        held!(self, spool, spool.lease(limit, &skip, now))
    }

    async fn ready(&self) {
        self.spool.ready().await;
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, SpoolError> {
        self.spool.next_due().await
    }

    async fn park(&self, leases: Vec<Lease>, due: Timestamp) -> Result<(), SpoolError> {
        held!(self, spool, spool.park(leases, due))
    }

    async fn settle(&self, settlements: Vec<Settlement>, now: Timestamp) -> Vec<Result<(), SettleError>> {
        self.settles.fetch_add(1, Ordering::SeqCst);
        if self.refusing.load(Ordering::SeqCst) {
            let refused = || Err(SettleError::Spool(SpoolError::Poisoned("a test".into())));
            return settlements.iter().map(|_| refused()).collect();
        }
        held!(self, spool, spool.settle(settlements, now))
    }

    async fn content(&self, message: MessageId) -> Result<Content, SpoolError> {
        assert!(!self.breaking.load(Ordering::SeqCst), "a bug that a test wants");
        held!(self, spool, spool.content(message))
    }

    async fn find(
        &self,
        filter: &Filter,
        page: &Page,
        now: Timestamp,
    ) -> Result<(Vec<View>, Option<String>), SpoolError> {
        let (filter, page) = (filter.clone(), page.clone());
        held!(self, spool, spool.find(&filter, &page, now))
    }

    async fn count(&self) -> Result<Vec<(State, u64)>, SpoolError> {
        held!(self, spool, spool.count())
    }

    async fn count_by_domain(&self, limit: usize) -> Result<Vec<(String, State, u64)>, SpoolError> {
        held!(self, spool, spool.count_by_domain(limit))
    }

    async fn update(&self, filter: &Filter, update: &Update, now: Timestamp) -> Result<u64, SpoolError> {
        let (filter, update) = (filter.clone(), update.clone());
        held!(self, spool, spool.update(&filter, &update, now))
    }

    async fn captured(&self, before: Option<MessageId>, limit: usize) -> Result<Vec<CaptureView>, SpoolError> {
        held!(self, spool, spool.captured(before, limit))
    }

    async fn outbox(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>, SpoolError> {
        held!(self, spool, spool.outbox(after, limit))
    }

    async fn outbox_ready(&self, after: u64, wait: Duration) {
        self.spool.outbox_ready(after, wait).await;
    }

    fn node(&self) -> String {
        self.spool.node()
    }

    async fn trim_outbox(&self, through: u64) -> Result<(), SpoolError> {
        held!(self, spool, spool.trim_outbox(through))
    }

    fn poisoned(&self) -> Option<String> {
        self.spool.poisoned()
    }

    async fn recover(&self) -> Result<(), SpoolError> {
        held!(self, spool, spool.recover())
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), SpoolError> {
        held!(self, spool, spool.sweep(now))
    }

    async fn close(&self) {
        held!(self, spool, spool.close());
    }

    async fn get(&self, delivery: DeliveryId, now: Timestamp) -> Result<Option<View>, SpoolError> {
        held!(self, spool, spool.get(delivery, now))
    }
}
