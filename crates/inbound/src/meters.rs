//! What a service counts. Handles are made once: counting is an addition.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

/// The meters of one service.
#[derive(Clone)]
pub(crate) struct Meters {
    service: &'static str,
    connections: Counter,
    open: Gauge,
    messages: Counter,
    recipients: Counter,
    octets: Counter,
    commit: Histogram,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Meters {
    /// The meters of the service of that name, registered with the recorder that is installed.
    pub(crate) fn new(service: &'static str) -> Self {
        describe();
        Self {
            service,
            connections: metrics::counter!("posthouse_inbound_connections_total", "service" => service),
            open: metrics::gauge!("posthouse_inbound_connections_open", "service" => service),
            messages: metrics::counter!("posthouse_inbound_messages_total", "service" => service),
            recipients: metrics::counter!("posthouse_inbound_recipients_total", "service" => service),
            octets: metrics::counter!("posthouse_inbound_octets_total", "service" => service),
            commit: metrics::histogram!("posthouse_inbound_commit_seconds", "service" => service),
        }
    }

    /// A connection is served for as long as the guard lives, however its task ends.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.increment(1);
        self.open.increment(1.0);
        Connected(self.open.clone())
    }

    /// A message was accepted, so long after its last octet came.
    pub(crate) fn accepted(&self, recipients: usize, octets: u64, wait: Duration) {
        self.messages.increment(1);
        self.recipients.increment(recipients as u64);
        self.octets.increment(octets);
        self.commit.record(wait);
    }

    /// A connection was turned away.
    pub(crate) fn turned_away(&self, reason: &'static str) {
        let service = self.service;
        metrics::counter!("posthouse_inbound_turned_away_total", "service" => service, "reason" => reason).increment(1);
    }

    /// A command or a message was refused.
    pub(crate) fn refused(&self, stage: &'static str, code: u16) {
        let (service, code) = (self.service, code.to_string());
        metrics::counter!(
            "posthouse_inbound_refused_total", "service" => service, "stage" => stage, "code" => code
        )
        .increment(1);
    }

    /// It was found out who vouches for a message, by one of the methods.
    pub(crate) fn verified(&self, method: &'static str, result: &'static str) {
        let service = self.service;
        metrics::counter!(
            "posthouse_inbound_verified_total", "service" => service, "method" => method, "result" => result
        )
        .increment(1);
    }

    /// An AUTH ended.
    pub(crate) fn authenticated(&self, result: &'static str) {
        let service = self.service;
        metrics::counter!("posthouse_inbound_auth_total", "service" => service, "result" => result).increment(1);
    }

    /// A TLS handshake ended.
    pub(crate) fn handshake(&self, result: &'static str) {
        let service = self.service;
        metrics::counter!("posthouse_inbound_tls_handshakes_total", "service" => service, "result" => result)
            .increment(1);
    }
}

/// One in the number of open connections.
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("posthouse_inbound_connections_total", "Connections taken");
    describe_gauge!("posthouse_inbound_connections_open", "Connections open now");
    describe_counter!("posthouse_inbound_turned_away_total", "Connections answered with 421 at once, by reason");
    describe_counter!("posthouse_inbound_messages_total", "Messages accepted");
    describe_counter!("posthouse_inbound_recipients_total", "Mailboxes that accepted messages go to");
    describe_counter!("posthouse_inbound_octets_total", Unit::Bytes, "Content of accepted messages");
    describe_histogram!(
        "posthouse_inbound_commit_seconds",
        Unit::Seconds,
        "From the last octet of a message to the reply that it is durable"
    );
    describe_counter!("posthouse_inbound_refused_total", "Commands and messages refused, by stage and reply code");
    describe_counter!("posthouse_inbound_verified_total", "Results of SPF, DKIM, DMARC, ARC and iprev");
    describe_counter!("posthouse_inbound_auth_total", "Ends of AUTH, by result: ok, wrong, busy, too_soon");
    describe_counter!("posthouse_inbound_tls_handshakes_total", "TLS handshakes, by result: ok, failed");
}
