//! What a filter counts.

use std::time::Duration;

use metrics::{Gauge, Histogram};

/// The meters of one filter.
#[derive(Clone)]
pub(super) struct Meters {
    filter: String,
    open: Gauge,
    wait: Histogram,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl Meters {
    /// The meters of the filter of that name.
    pub(super) fn new(filter: &str) -> Self {
        describe();
        Self {
            open: metrics::gauge!("posthouse_filter_open", "filter" => filter.to_owned()),
            wait: metrics::histogram!("posthouse_filter_seconds", "filter" => filter.to_owned()),
            filter: filter.to_owned(),
        }
    }

    /// A conversation goes on for as long as the guard lives.
    pub(super) fn began(&self) -> Open {
        self.open.increment(1.0);
        Open(self.open.clone())
    }

    /// The filter was asked, and this was the end of it.
    pub(super) fn judged(&self, verdict: &'static str, wait: Duration) {
        let filter = self.filter.clone();
        metrics::counter!("posthouse_filter_verdicts_total", "filter" => filter, "verdict" => verdict).increment(1);
        self.wait.record(wait);
    }
}

/// One in the number of conversations.
pub(super) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "posthouse_filter_verdicts_total",
        "Messages that a filter was asked about, by verdict: accept, quarantine, hold, reject, tempfail; too_large, failed"
    );
    describe_gauge!("posthouse_filter_open", "Messages that a filter has now");
    describe_histogram!(
        "posthouse_filter_seconds",
        Unit::Seconds,
        "From the question to a filter to its answer or failure"
    );
}
