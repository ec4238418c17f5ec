//! What the engine counts, in words for whoever reads the metrics. Each number is counted where it happens.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Describes every meter of the spool to the recorder that is installed.
pub(super) fn describe() {
    describe_counter!("posthouse_spool_committed_total", "Messages made durable");
    describe_counter!("posthouse_spool_transactions_total", "Transactions of the queue, each with one sync");
    describe_counter!("posthouse_spool_events_total", "Events written to the outbox");
    describe_counter!(
        "posthouse_spool_poisoned_total",
        "Times that the queue was stopped, after a failed sync for one"
    );
    describe_counter!(
        "posthouse_spool_alerts_total",
        "Things that an operator must look at: damage that was set aside"
    );
    describe_gauge!("posthouse_spool_waiting_deliveries", "Deliveries with a row in the queue, by state");
    describe_gauge!("posthouse_spool_log_bytes", Unit::Bytes, "The queue's log, as the last checkpoint found it");
    describe_histogram!("posthouse_spool_batch_commands", "Commits, settlements and the like in one transaction");
    describe_histogram!("posthouse_spool_sync_seconds", Unit::Seconds, "Making one transaction durable");
}
