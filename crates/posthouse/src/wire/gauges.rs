//! Metrics: the recorder, and the numbers that are looked up now and then instead of counted.

use std::{os::fd::AsRawFd as _, sync::Arc, time::Duration};

use inbound::{Inbound, Load};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use net::{Clock, tasks::Tasks};
use rustix::process::{Resource, getrlimit};
use spool::{Spool, State};

/// How often the queue is counted, orphans are swept and old samples are folded.
const INTERVAL: Duration = Duration::from_secs(10);
/// Sweeps of the spool: every so many intervals.
const SWEEP_EVERY: u32 = 60;
/// Bounds of durations, in seconds: from a quick sync to a slow next hop.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0];
/// Bounds of counts in a batch.
const COUNTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// Installs the recorder of the process.
pub(super) fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_commands".into()), &COUNTS)?
        .install_recorder()
}

/// Keeps the gauges fresh until shutdown.
pub(super) async fn keep(
    spool: Arc<dyn Spool>,
    inbound: Inbound,
    busy_queue: u64,
    handle: PrometheusHandle,
    clock: Clock,
    tasks: Tasks,
) {
    metrics::describe_gauge!("posthouse_queue_deliveries", "Deliveries in the queue, by state");
    metrics::describe_gauge!("posthouse_queue_stopped", "1 while the queue is stopped after a failed sync");
    metrics::describe_counter!("posthouse_events_copied_total", "Events copied from the outbox to the store");
    let mut stopped = std::pin::pin!(tasks.cancelled());
    let mut interval: u32 = 0;
    loop {
        let queued = measure(spool.as_ref()).await;
        inbound.set_load(load(queued, busy_queue));
        handle.run_upkeep();
        if interval.is_multiple_of(SWEEP_EVERY)
            && let Err(error) = spool.sweep(clock.now()).await
        {
            tracing::warn!(%error, "the spool was not swept");
        }
        interval = interval.wrapping_add(1);
        tokio::select! {
            () = clock.sleep(INTERVAL) => {}
            () = stopped.as_mut() => return,
        }
    }
}

/// What makes it hard for the gate. The lowest free descriptor says how many are in use.
fn load(queued: u64, queued_max: u64) -> Load {
    let lowest_free = std::fs::File::open("/dev/null").map(|file| file.as_raw_fd());
    let descriptors_max = getrlimit(Resource::Nofile).current.unwrap_or(0);
    let descriptors = lowest_free.map_or(descriptors_max, |number| u64::try_from(number).unwrap_or(0));
    Load { queued, queued_max, descriptors, descriptors_max }
}

/// Returns how many deliveries wait.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
async fn measure(spool: &dyn Spool) -> u64 {
    metrics::gauge!("posthouse_queue_stopped").set(f64::from(u8::from(spool.poisoned().is_some())));
    match spool.count().await {
        Ok(counts) => {
            let queued = counts.iter().filter(|(state, _)| *state != State::Held).map(|(_, count)| count).sum();
            for (state, count) in counts {
                let state = serde_json::to_value(state).ok().and_then(|name| name.as_str().map(str::to_owned));
                metrics::gauge!("posthouse_queue_deliveries", "state" => state.unwrap_or_default()).set(count as f64);
            }
            queued
        }
        Err(error) => {
            tracing::debug!(%error, "the queue was not counted");
            0
        }
    }
}
