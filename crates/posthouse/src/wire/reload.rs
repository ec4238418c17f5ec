//! SIGHUP: the configuration is read again. What is wrong is reported and the old one stays, whole. What can change
//! while the server runs changes for connections and decisions from now on; for the rest the log asks for a restart.

use super::{
    Source,
    node::{Node, RunningService, RunningTls},
    settings,
};
use crate::config::Config;

impl Node {
    /// Takes the new configuration, or keeps the old one.
    pub(super) fn reload(&mut self, source: &Source) {
        match self.try_reload(source) {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(error) => {
                tracing::error!(error = %format!("{error:#}"), "the new configuration is not taken; the old configuration stays");
            }
        }
    }

    fn try_reload(&mut self, source: &Source) -> anyhow::Result<()> {
        let mut fresh = source.read()?;
        keep_fixed(&mut fresh, &self.config);
        // First everything that can fail, then everything that cannot: a reload is whole or nothing.
        let mut changed = Vec::new();
        for (listener, running) in fresh.listeners.iter().zip(&self.services) {
            let tls = match (running, settings::tls_source(&fresh, listener)) {
                (None, _) | (_, None) => None,
                (Some(running), Some(wanted)) => Some(certificate(running, wanted, &self.clock)?),
            };
            changed.push(tls);
        }
        for ((listener, running), tls) in fresh.listeners.iter().zip(&mut self.services).zip(changed) {
            let Some(running) = running else { continue };
            running.tls = tls;
            let server = running.tls.as_ref().map(|tls| &tls.server);
            running.service.reload(settings::inbound(source, &fresh, listener, server));
        }
        self.inbound.set_filters(settings::filters(&fresh, &self.dialer, &self.clock));
        self.outbound.reload(settings::outbound(&fresh, &self.srs));
        self.config = fresh;
        Ok(())
    }
}

/// The certificate to go on with: read again in place, so that the service keeps its ticket key, or another one.
fn certificate(
    running: &RunningService,
    wanted: net::tls::Source,
    clock: &net::Clock,
) -> Result<RunningTls, net::tls::TlsError> {
    match &running.tls {
        Some(tls) if tls.source == wanted => {
            tls.server.reload()?;
            Ok(RunningTls { source: wanted, server: tls.server.clone() })
        }
        _ => RunningTls::new(wanted, clock),
    }
}

/// Puts back what cannot change while the server runs, and says so.
fn keep_fixed(fresh: &mut Config, running: &Config) {
    let mut waiting = Vec::new();
    let shape = |config: &Config| {
        config.listeners.iter().map(|listener| (listener.service, listener.addresses.clone())).collect::<Vec<_>>()
    };
    if shape(fresh) != shape(running) {
        waiting.push("listener (services and addresses)");
        fresh.listeners.clone_from(&running.listeners);
    }
    if (&fresh.user, &fresh.group) != (&running.user, &running.group) {
        waiting.push("user and group");
        fresh.user.clone_from(&running.user);
        fresh.group.clone_from(&running.group);
    }
    if fresh.data_dir != running.data_dir {
        waiting.push("data_dir");
        fresh.data_dir.clone_from(&running.data_dir);
    }
    if fresh.store_url != running.store_url {
        waiting.push("store.url");
        fresh.store_url.clone_from(&running.store_url);
    }
    if fresh.dns_servers != running.dns_servers {
        waiting.push("dns.servers");
        fresh.dns_servers.clone_from(&running.dns_servers);
    }
    if fresh.authorities != running.authorities {
        waiting.push("tls.authorities");
        fresh.authorities.clone_from(&running.authorities);
    }
    if fresh.log.level != running.log.level {
        waiting.push("log.level");
    }
    fresh.log = running.log;
    if fresh.limits.disk_reserve != running.limits.disk_reserve {
        waiting.push("limits.disk_reserve");
        fresh.limits.disk_reserve = running.limits.disk_reserve;
    }
    if !waiting.is_empty() {
        tracing::warn!(keys = waiting.join(", "), "these keys change with a restart only");
    }
}
