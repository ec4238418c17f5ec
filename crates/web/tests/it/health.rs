//! What a monitor asks.

use std::sync::Arc;

use axum::http::StatusCode;
use spool::Spool;

use crate::{
    stopped::Stopped,
    world::{World, get},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_server() {
    let world = World::new();
    let health = world.get("/healthz").await;
    assert_eq!((health.status, health.text()), (StatusCode::OK, "ok\n"));
    assert_eq!(health.header("cache-control"), "no-store");
    let metrics = world.get("/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_queue_is_unhealthy_and_says_why() {
    let spool: Arc<dyn Spool> = Arc::new(Stopped);
    let health = get(&spool, "/healthz", "en").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(health.text().contains("the queue is stopped: the disk lied"), "{}", health.text());
    let page = get(&spool, "/", "en").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text().contains("The queue cannot be read at the moment."), "{}", page.text());
}
