//! The receiving end of the conversation.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use mail::{Body, Protocol, Reply, TlsSummary};

mod ask;
mod settings;

pub use ask::{Answer, Ask, Output, Proof};
pub use settings::{AuthOffer, Deadlines, Limits, Service, Settings, TlsOffer};

/// The reply to VRFY of a server that does not tell who exists (RFC 5321 §3.5.3).
pub fn vrfy_unsure() -> Reply {
    Reply::with(252, (2, 5, 0), "cannot say whether this mailbox exists; send a message and see")
}

/// One connection of a client.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
}

impl Session {
    /// A connection from `peer`. The first output is `Ask::Connect`.
    pub fn new(settings: Arc<Settings>, peer: SocketAddr, now: Instant) -> Self {
        let _ = (peer, now);
        Self { settings }
    }

    /// Bytes from the client, split anyhow.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        let _ = (bytes, now);
    }

    /// Whether the driver should read. False while an `Ask` is open, outputs wait to be polled, or a handshake is due.
    pub fn wants_input(&self) -> bool {
        false
    }

    /// The client will send nothing more.
    pub fn handle_eof(&mut self, now: Instant) {
        let _ = now;
    }

    /// Time has passed: call it when `poll_timeout` is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The handshake is done.
    pub fn handle_tls(&mut self, tls: TlsSummary, now: Instant) {
        let _ = (tls, now);
    }

    /// The server is stopping: 421 4.3.2 once the open transaction is finished.
    pub fn handle_shutdown(&mut self, now: Instant) {
        let _ = now;
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// The driver's word on the open `Ask`.
    pub fn answer(&mut self, answer: Answer, now: Instant) {
        let _ = (answer, now);
    }

    /// The replies that are ready, after `Output::Write`.
    pub fn take_write(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// What the client called itself: printable ASCII, otherwise hostile.
    pub fn helo(&self) -> Option<&str> {
        None
    }

    /// The protocol word of the Received field.
    pub fn protocol(&self) -> Protocol {
        Protocol::Smtp
    }

    /// What the handshake agreed on.
    pub fn tls(&self) -> Option<&TlsSummary> {
        None
    }

    /// The authenticated user.
    pub fn user(&self) -> Option<&str> {
        None
    }

    /// Recipients accepted in the open transaction.
    pub fn recipients(&self) -> usize {
        0
    }

    /// The body type declared in the open transaction.
    pub fn body(&self) -> Body {
        Body::SevenBit
    }

    /// The settings of the service.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
