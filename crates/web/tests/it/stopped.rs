//! A spool that is stopped after a failed sync: it refuses everything.

use std::time::Duration;

use async_trait::async_trait;
use mail::{DeliveryId, MessageId, Timestamp};
use spool::{
    CaptureView, CommitError, Committed, Content, Draft, Filter, Item, Lease, NewMessage, OutboxEntry, Page,
    SettleError, Settlement, Spool, SpoolError, State, Update, View,
};

#[derive(Debug)]
pub(crate) struct Stopped;

fn refuse<T>() -> Result<T, SpoolError> {
    Err(SpoolError::Poisoned("the disk lied".into()))
}

#[async_trait]
impl Spool for Stopped {
    fn begin(&self) -> Result<Draft, SpoolError> {
        refuse()
    }
    async fn commit(&self, _: Draft, _: NewMessage, _: Timestamp) -> Result<Committed, CommitError> {
        refuse().map_err(CommitError::Spool)
    }
    async fn lease(&self, _: usize, _: &[String], _: Timestamp) -> Result<Vec<Item>, SpoolError> {
        refuse()
    }
    async fn ready(&self) {}
    async fn next_due(&self) -> Result<Option<Timestamp>, SpoolError> {
        refuse()
    }
    async fn park(&self, _: Vec<Lease>, _: Timestamp) -> Result<(), SpoolError> {
        refuse()
    }
    async fn settle(&self, _: Vec<Settlement>, _: Timestamp) -> Vec<Result<(), SettleError>> {
        Vec::new()
    }
    async fn content(&self, _: MessageId) -> Result<Content, SpoolError> {
        refuse()
    }
    async fn find(&self, _: &Filter, _: &Page, _: Timestamp) -> Result<(Vec<View>, Option<String>), SpoolError> {
        refuse()
    }
    async fn count(&self) -> Result<Vec<(State, u64)>, SpoolError> {
        refuse()
    }
    async fn count_by_domain(&self, _: usize) -> Result<Vec<(String, State, u64)>, SpoolError> {
        refuse()
    }
    async fn update(&self, _: &Filter, _: &Update, _: Timestamp) -> Result<u64, SpoolError> {
        refuse()
    }
    async fn captured(&self, _: Option<MessageId>, _: usize) -> Result<Vec<CaptureView>, SpoolError> {
        refuse()
    }
    async fn outbox(&self, _: u64, _: usize) -> Result<Vec<OutboxEntry>, SpoolError> {
        refuse()
    }
    async fn outbox_ready(&self, _: u64, _: Duration) {}
    fn node(&self) -> String {
        String::new()
    }
    async fn trim_outbox(&self, _: u64) -> Result<(), SpoolError> {
        refuse()
    }
    fn poisoned(&self) -> Option<String> {
        Some("the disk lied".into())
    }
    async fn recover(&self) -> Result<(), SpoolError> {
        refuse()
    }
    async fn sweep(&self, _: Timestamp) -> Result<(), SpoolError> {
        refuse()
    }
    async fn close(&self) {}
    async fn get(&self, _: DeliveryId, _: Timestamp) -> Result<Option<View>, SpoolError> {
        refuse()
    }
}
