//! What delivery counts, in words for whoever reads the metrics. Each number is counted where it happens.

use metrics::{Unit, describe_counter, describe_histogram};

/// Describes every meter of delivery to the recorder that is installed.
pub(crate) fn describe() {
    describe_counter!(
        "posthouse_outbound_outcomes_total",
        "Ends of attempts, one per recipient, by outcome: delivered, captured, deferred, bounced, expired, held"
    );
    describe_counter!("posthouse_outbound_refusals_total", "Recipients refused or put off, by class of the reason");
    describe_histogram!(
        "posthouse_outbound_delivery_seconds",
        Unit::Seconds,
        "From the acceptance of a message to its delivery to a recipient"
    );
    describe_counter!("posthouse_outbound_connections_total", "Connections made to other servers");
    describe_counter!(
        "posthouse_outbound_connect_failures_total",
        "Addresses of other servers that gave no connection"
    );
    describe_counter!("posthouse_outbound_tls_fallbacks_total", "Mail sent in clear text after TLS had failed");
    describe_counter!("posthouse_outbound_transactions_total", "Transactions begun with other servers");
    describe_counter!("posthouse_outbound_notifications_total", "Senders told that a message could not be delivered");
    describe_counter!("posthouse_outbound_parked_total", "Deliveries given back to the queue untried");
    describe_counter!("posthouse_outbound_clock_steps_total", "Times that the clock was set by more than an hour");
}
