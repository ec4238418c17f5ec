//! Serving HTTP/1.1 on a listener: a task per connection, a bound on connections, a deadline on headers.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use net::{Listener, tasks::Tasks};
use tokio::sync::Semaphore;

/// Connections served at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 512;
/// From the first byte wanted to the end of a request's headers.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);
/// Octets of a request line with its headers.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Serves until shutdown. Requests in flight are finished.
pub async fn serve(mut listener: Listener, router: Router, tasks: Tasks) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE).max_buf_size(HEADER_BYTES_MAX);
    loop {
        let place = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.cancelled() => return,
        };
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let cancelled = tasks.cancelled();
        tasks.spawn("http connection", async move {
            let _place = place;
            let mut connection = std::pin::pin!(connection);
            let result = tokio::select! {
                result = connection.as_mut() => result,
                () = cancelled => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = result {
                tracing::debug!(%peer, %error, "an http connection ended early");
            }
        });
    }
}
