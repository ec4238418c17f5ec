//! The configuration in the words of each engine. Pure.

use std::sync::Arc;

use inbound::{FixUps, Network, Rate, Recipients};
use net::{Clock, Dialer, tls};
use policy::srs::Srs;
use smtp::{data::receive, server};

use super::{Source, interfaces};
use crate::config::{BareNewline, Config, Listener, ListenerTls, RelayTls, Route, Service, Target};

/// Where the certificate of a listener comes from; nothing when it has no TLS.
pub(super) fn tls_source(config: &Config, listener: &Listener) -> Option<tls::Source> {
    if listener.tls == ListenerTls::Off {
        return None;
    }
    Some(match &config.tls {
        Some(files) => tls::Source::Files { certificate: files.certificate.clone(), key: files.key.clone() },
        None => tls::Source::SelfSigned { directory: config.data_dir.join("tls"), hostname: config.hostname.clone() },
    })
}

/// An SMTP service.
pub(super) fn inbound(
    source: &Source,
    config: &Config,
    listener: &Listener,
    tls: Option<&tls::Server>,
) -> inbound::Settings {
    let service = match listener.service {
        Service::Mx | Service::Http => server::Service::Mx,
        Service::Submission => server::Service::Submission,
    };
    let mut settings = inbound::Settings::new(config.hostname.as_str(), service);
    settings.tls = match (listener.tls, tls) {
        (ListenerTls::StartTls, Some(server)) => inbound::Tls::StartTls(server.clone()),
        (ListenerTls::Implicit, Some(server)) => inbound::Tls::Implicit(server.clone()),
        (ListenerTls::Off, _) | (_, None) => inbound::Tls::Off,
    };
    settings.recipients = match source {
        Source::Sandbox => Recipients::Anybody,
        Source::File(_) => Recipients::Known,
    };
    if matches!(source, Source::Sandbox) {
        // People type letters into the sandbox on any port.
        settings.fix_ups = FixUps::On;
    }
    settings.trusted_networks = listener.trusted_networks.iter().filter_map(network).collect();
    settings.gate = gate(config, listener, settings.gate);
    settings.verification = config.verify.clone().filter(|_| listener.service == Service::Mx).map(Arc::new);
    settings.privacy = config.privacy.clone();
    settings.expire = config.delivery.expire;
    settings.connections_per_address = saturating(config.limits.connections_per_address);
    if listener.plaintext_auth {
        settings.session.auth = server::AuthOffer::Always;
    }
    settings.session.bare_newline = match listener.bare_newline {
        BareNewline::Refuse => receive::BareNewline::Refuse,
        BareNewline::Normalise => receive::BareNewline::Normalise,
    };
    let limits = &config.limits;
    settings.session.limits.message_size = limits.message_size;
    settings.session.limits.recipients = saturating(limits.recipients);
    settings.session.limits.errors = saturating_u32(limits.errors);
    settings.session.limits.junk = saturating_u32(limits.junk);
    settings.session.deadlines.banner = limits.handshake;
    settings.session.deadlines.command = limits.command;
    settings.session.deadlines.data_block = limits.data;
    settings.session.deadlines.data_rate = saturating_u32(limits.data_rate);
    settings
}

/// What is asked of strangers: of all the same limits, and on service mx the rest.
fn gate(config: &Config, listener: &Listener, defaults: inbound::GateSettings) -> inbound::GateSettings {
    let (gate, limits) = (&config.gate, &config.limits);
    let mut settings = inbound::GateSettings {
        exempt_networks: gate.exempt_networks.iter().filter_map(network).collect(),
        proxy_networks: listener.proxy_networks.iter().filter_map(network).collect(),
        xclient_networks: listener.xclient_networks.iter().filter_map(network).collect(),
        limits: inbound::Limits {
            connections: Rate::per_minute(limits.connections_per_minute),
            messages: Rate::per_minute(limits.messages_per_minute),
            recipients: Rate::per_minute(limits.recipients_per_minute),
            commands: Rate::per_minute(limits.commands_per_minute),
            errors: Rate::per_hour(limits.errors_per_hour),
            junk: Rate::per_hour(limits.junk_per_hour),
            ..defaults.limits
        },
        tarpit: gate.tarpit,
        ..defaults
    };
    if listener.service == Service::Mx {
        settings.pregreet_wait = gate.pregreet_wait;
        settings.haste = if gate.early_pipelining { server::Haste::Obeyed } else { server::Haste::Refused };
        settings.greylisting = gate.greylisting;
        settings.examination = inbound::Examination {
            own_name: gate.own_name,
            unqualified_name: gate.unqualified_name,
            sender_domain: gate.sender_domain,
            lists: gate.lists.clone(),
            thresholds: gate.thresholds,
        };
    }
    settings
}

fn network(network: &crate::config::Network) -> Option<Network> {
    Network::new(network.address, network.prefix).ok()
}

/// Mail that is made inside.
pub(super) fn submit(config: &Config) -> inbound::SubmitSettings {
    inbound::SubmitSettings {
        message_size: config.limits.message_size,
        recipients: saturating(config.limits.recipients),
        expire: config.delivery.expire,
        ..inbound::SubmitSettings::new(config.hostname.as_str())
    }
}

/// Who judges mail before it is kept.
pub(super) fn filters(config: &Config, dialer: &Dialer, clock: &Clock) -> inbound::Filters {
    inbound::Filters::new(config.filters.clone(), dialer.clone(), clock.clone(), config.hostname.as_str())
}

/// Delivery; `srs` makes the addresses of mail that is passed on.
pub(super) fn outbound(config: &Config, srs: &Srs) -> outbound::Settings {
    let mut settings = outbound::Settings::new(config.hostname.as_str(), config.data_dir.join("maildir"));
    settings.forwarding = config.delivery.srs.then(|| srs.clone());
    settings.routes = config.routes.iter().map(route).collect();
    settings.retry.clone_from(&config.delivery.retry);
    settings.own.addresses = own_addresses(config);
    settings.limits.connections = saturating(config.delivery.connections);
    settings.deadlines.connect = config.limits.connect;
    settings.deadlines.handshake = config.limits.handshake;
    settings.deadlines.stop = config.limits.shutdown;
    settings.deadlines.session.banner = config.limits.banner;
    settings.deadlines.session.command = config.limits.banner;
    settings.deadlines.session.dot = config.limits.dot;
    settings
}

/// Where service mx listens, with the machine's addresses in the place of a wildcard.
fn own_addresses(config: &Config) -> Vec<std::net::SocketAddr> {
    let mx = config.listeners.iter().filter(|listener| listener.service == Service::Mx);
    let mut own = Vec::new();
    for address in mx.flat_map(|listener| &listener.addresses) {
        if address.ip().is_unspecified() {
            let family = interfaces::addresses().into_iter().filter(|ip| ip.is_ipv4() == address.is_ipv4());
            own.extend(family.map(|ip| std::net::SocketAddr::new(ip, address.port())));
        } else {
            own.push(*address);
        }
    }
    own
}

fn route(route: &Route) -> outbound::Route {
    // The patterns were checked when the file was read; the grammar there is no wider than here.
    let patterns = |texts: &[String]| texts.iter().filter_map(|text| text.parse().ok()).collect::<Vec<_>>();
    let to = match &route.target {
        Target::Mx { tls } => outbound::Target::Mx { tls: relay_tls(*tls) },
        Target::Maildir => outbound::Target::Maildir,
        Target::Capture => outbound::Target::Capture,
        Target::Hold => outbound::Target::Hold,
        Target::Reject => outbound::Target::Reject,
        Target::Relay { host, port, tls, credentials } => outbound::Target::Relay(Arc::new(outbound::Relay {
            host: host.clone(),
            port: *port,
            tls: relay_tls(*tls),
            credentials: credentials.as_ref().map(|credentials| outbound::Credentials {
                username: credentials.username.clone(),
                password: credentials.password.clone(),
            }),
        })),
    };
    outbound::Route {
        recipients: patterns(&route.recipients),
        senders: patterns(&route.senders),
        users: patterns(&route.users),
        to,
    }
}

fn relay_tls(tls: RelayTls) -> outbound::RelayTls {
    match tls {
        RelayTls::Off => outbound::RelayTls::Off,
        RelayTls::Opportunistic => outbound::RelayTls::Opportunistic,
        RelayTls::Required => outbound::RelayTls::Required,
        RelayTls::Verified => outbound::RelayTls::Verified,
    }
}

fn saturating(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn saturating_u32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, sandbox};

    #[test]
    fn what_a_pattern_may_be_is_the_same_here_and_there() {
        for text in ["*", "example.net", "*.example.net", "a@example.net"] {
            assert!(config::address_pattern(text).is_ok() && text.parse::<outbound::Pattern>().is_ok(), "{text}");
        }
    }

    #[test]
    fn the_sandbox_takes_everything_and_lets_nothing_out() {
        let config = sandbox::config();
        for listener in &config.listeners {
            assert!(listener.addresses.iter().all(|address| address.ip().is_loopback()));
        }
        let delivery = outbound(&config, &Srs::new(&[0; policy::srs::SECRET]));
        let [route] = delivery.routes.as_slice() else { panic!("one route for all") };
        assert!(matches!(route.to, outbound::Target::Capture));
        assert!(route.recipients.is_empty() && route.senders.is_empty() && route.users.is_empty());
        let mx = inbound(&Source::Sandbox, &config, &config.listeners[0], None);
        assert_eq!(mx.recipients, Recipients::Anybody);
    }

    /// A1, R10: between servers a bare line end is refused, from our own users it is repaired.
    #[test]
    fn bare_line_ends_are_a_question_of_the_service() {
        let policy = |config: &Config, number: usize| {
            inbound(&Source::File("x".into()), config, &config.listeners[number], None).session.bare_newline
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("posthouse.toml");
        std::fs::write(
            &file,
            "[[listener]]\nservice = \"mx\"\naddress = \"127.0.0.1:25\"\n\
             [[listener]]\nservice = \"submission\"\naddress = \"127.0.0.1:587\"\n\
             [[listener]]\nservice = \"mx\"\naddress = \"127.0.0.1:26\"\nbare_newline = \"normalise\"\n\
             [[listener]]\nservice = \"submission\"\naddress = \"127.0.0.1:588\"\nbare_newline = \"refuse\"\n",
        )
        .unwrap();
        let config = config::load(&file).unwrap();
        let policies: Vec<_> = (0..4).map(|number| policy(&config, number)).collect();
        let (refuse, normalise) = (receive::BareNewline::Refuse, receive::BareNewline::Normalise);
        assert_eq!(policies, [refuse, normalise, normalise, refuse]);
        let sandbox = sandbox::config();
        assert_eq!((policy(&sandbox, 0), policy(&sandbox, 1)), (refuse, normalise));
    }

    #[test]
    fn strangers_are_verified_on_mx_and_never_in_the_sandbox() {
        let config = sandbox::config();
        assert!(inbound(&Source::Sandbox, &config, &config.listeners[0], None).verification.is_none());
        let config = Config { verify: Some(inbound::Verification::default()), ..config };
        let verified = |number: usize| {
            inbound(&Source::File("x".into()), &config, &config.listeners[number], None).verification.is_some()
        };
        assert_eq!((verified(0), verified(1)), (true, false));
    }

    #[test]
    fn only_the_sandbox_takes_mail_for_everybody() {
        let config = sandbox::config();
        let mx = inbound(&Source::File("x".into()), &config, &config.listeners[0], None);
        assert_eq!(mx.recipients, Recipients::Known);
    }
}
