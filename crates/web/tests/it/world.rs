//! A spool with captured messages, and the router over it.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use mail::{Body as MailBody, DeliveryId, Envelope, MessageId, Origin, Outcome, Reply, ReversePath, Timestamp};
use metrics_exporter_prometheus::PrometheusBuilder;
use net::Chance;
use spool::{NewDelivery, NewMessage, Settlement, Spool, Verdict};
use tower::ServiceExt as _;
use web::Face;

/// Octets of an answer.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// A spool in a folder of its own.
pub(crate) struct World {
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) folder: tempfile::TempDir,
    number: u32,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the page is UTF-8")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("visible")).unwrap_or_default()
    }
}

/// The routes over a spool.
pub(crate) fn router(spool: Arc<dyn Spool>) -> Router {
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    web::router(Face { spool, metrics, hostname: Arc::from("mx.test.example") })
}

/// One request.
pub(crate) async fn get(spool: &Arc<dyn Spool>, path: &str, language: &str) -> Answer {
    let request = Request::get(path).header("accept-language", language).body(Body::empty()).expect("a request");
    let response = router(Arc::clone(spool)).oneshot(request).await.expect("it always answers");
    let (head, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_MAX).await.map(Vec::from).unwrap_or_default();
    Answer { status: head.status, headers: head.headers, body }
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = spool::sqlite::Options::new(folder.path().join("spool"), Chance::seeded(1).bytes());
        options.disk_reserve = 0;
        let spool = spool::sqlite::Engine::open(options, Timestamp::from_secs(1)).expect("an engine");
        Self { spool, folder, number: 0 }
    }

    /// Accepts a message and captures it, as the delivery engine does.
    pub(crate) async fn capture(&mut self, content: &[u8]) -> MessageId {
        self.number += 1;
        let now = Timestamp::from_secs(1_795_508_000 + i64::from(self.number));
        let mut chance = [0; 10];
        chance[..4].copy_from_slice(&self.number.to_be_bytes());
        let id = MessageId::new(now, chance);
        let recipient: mail::Mailbox = "you@example.org".parse().expect("an address");
        chance[9] = 1;
        let delivery = DeliveryId::new(now, chance);
        let delivery = NewDelivery { id: delivery, recipient: recipient.clone(), original: None, held: false };
        let sender = "me@example.net".parse().expect("an address");
        let envelope = Envelope {
            reverse_path: ReversePath::Mailbox(sender),
            body: MailBody::EightBitMime,
            origin: Origin::local(),
        };
        let message = NewMessage {
            id,
            envelope,
            deliveries: vec![delivery],
            prefix: bytes::Bytes::new(),
            idempotency: None,
            not_before: None,
            expires: Timestamp::from_secs(1_895_508_000),
        };
        let mut draft = self.spool.begin().expect("there is room");
        draft.write(content).await.expect("it is written");
        self.spool.commit(draft, message, now).await.expect("it is kept");
        let items = self.spool.lease(1, &[], now).await.expect("it is leased");
        let lease = items.first().and_then(|item| item.deliveries.first()).expect("the message").lease;
        let outcome = Outcome::Delivered { host: "capture".into(), reply: Reply::with(250, (2, 0, 0), "kept") };
        let settlement = Settlement {
            lease,
            message: id,
            recipient,
            verdict: Verdict::Captured(outcome),
            source: None,
            transcript: None,
        };
        for result in self.spool.settle(vec![settlement], now).await {
            result.expect("it is settled");
        }
        id
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        get(&self.spool, path, "en").await
    }
}
