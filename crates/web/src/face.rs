//! The routes, and what they answer from.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use spool::Spool;

use crate::{
    captured,
    page::{Page, html},
    words::Words,
};

/// What the HTTP face needs to know.
#[derive(Clone)]
pub struct Face {
    /// Where captured mail lies, and whose health is asked.
    pub spool: Arc<dyn Spool>,
    /// What `/metrics` prints.
    pub metrics: PrometheusHandle,
    /// The server's name, shown in titles.
    pub hostname: Arc<str>,
}

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Face").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

/// All routes over one face.
pub fn router(face: Face) -> Router {
    Router::new()
        .route("/", get(captured::list))
        .route("/captured/{id}", get(captured::view))
        .route("/captured/{id}/html", get(captured::html_part))
        .route("/captured/{id}/raw", get(captured::raw))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .layer(middleware::map_response(harden))
        .with_state(face)
}

/// `200 ok` while mail is accepted and delivered; `503` and a sentence when the queue is stopped.
async fn health(State(face): State<Face>) -> Response {
    match face.spool.poisoned() {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("the queue is stopped: {why}\n")).into_response(),
    }
}

async fn metrics(State(face): State<Face>) -> Response {
    let text = face.metrics.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn not_found(headers: HeaderMap) -> Response {
    let words = Words::of(&headers);
    let body = html!("<p>", words.no_such_page, " <a href=\"/\">", words.captured_mail, "</a></p>");
    Page { title: words.not_found.to_owned(), words, body }.respond(StatusCode::NOT_FOUND)
}

/// Headers that every answer has. A page that set its own policy keeps it.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    ));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Without it, a browser looks up the hosts of a letter's links.
    headers.insert(header::X_DNS_PREFETCH_CONTROL, HeaderValue::from_static("off"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
