//! Where a recipient's mail goes. Pure: settings and facts in, a plan out.
//!
//! An operator's `reroute` comes first, then the routes in order, then our own domains, then the MX.

use std::sync::Arc;

use mail::{Domain, Envelope, Mailbox, Reply};

use crate::{Relay, RelayTls, Route, Target};

/// What is to be done with a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Send it to a destination.
    Send(Destination),
    /// Keep the message for people to look at.
    Capture,
    /// Keep it until an operator says more.
    Hold,
    /// Send it back with this reply.
    Reject(Reply),
}

/// What shares a queue and connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The MX hosts of a domain, or the address of an address literal.
    Mx {
        /// The domain.
        domain: Domain,
        /// TLS towards its hosts.
        tls: RelayTls,
    },
    /// A named next hop.
    Relay(Arc<Relay>),
    /// Mailboxes of our own.
    Maildir,
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mx { domain, .. } => write!(f, "mx:{domain}"),
            Self::Relay(relay) => write!(f, "relay:{relay}"),
            Self::Maildir => f.write_str("maildir"),
        }
    }
}

/// What planning needs to know.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The routes in order.
    pub routes: &'a [Route],
    /// TLS towards MX hosts when no route says.
    pub mx_tls: RelayTls,
    /// Whether a domain has its mailboxes here.
    pub is_local: &'a dyn Fn(&Domain) -> bool,
}

/// The plan for one recipient. `forced` is the route that an operator set for it.
pub fn plan(recipient: &Mailbox, envelope: &Envelope, forced: Option<&str>, facts: &Facts<'_>) -> Plan {
    if let Some(forced) = forced {
        return plan_forced(recipient, forced, facts);
    }
    if let Some(route) = facts.routes.iter().find(|route| meets(route, recipient, envelope)) {
        return plan_target(recipient, &route.to);
    }
    if (facts.is_local)(&recipient.domain) {
        return Plan::Send(Destination::Maildir);
    }
    mx(recipient, facts.mx_tls)
}

fn meets(route: &Route, recipient: &Mailbox, envelope: &Envelope) -> bool {
    let user = envelope.origin.user.as_ref();
    (route.recipients.is_empty() || route.recipients.iter().any(|pattern| pattern.meets(recipient)))
        && (route.senders.is_empty()
            || route.senders.iter().any(|pattern| pattern.meets_sender(&envelope.reverse_path)))
        && (route.users.is_empty() || user.is_some_and(|user| route.users.iter().any(|pattern| pattern.meets(user))))
}

fn plan_target(recipient: &Mailbox, target: &Target) -> Plan {
    match target {
        Target::Mx { tls } => mx(recipient, *tls),
        Target::Relay(relay) => Plan::Send(Destination::Relay(Arc::clone(relay))),
        Target::Maildir => Plan::Send(Destination::Maildir),
        Target::Capture => Plan::Capture,
        Target::Hold => Plan::Hold,
        Target::Reject => Plan::Reject(Reply::with(550, (5, 7, 1), "this server does not send mail to this address")),
    }
}

fn mx(recipient: &Mailbox, tls: RelayTls) -> Plan {
    Plan::Send(Destination::Mx { domain: recipient.domain.clone(), tls })
}

/// The operator's words: `mx`, `relay:host:port`, `maildir`, `capture`, `hold`, `reject`. A relay that a route names, too,
/// is used with that route's TLS and credentials. Words that mean nothing are held, where people see them.
fn plan_forced(recipient: &Mailbox, forced: &str, facts: &Facts<'_>) -> Plan {
    match forced {
        "mx" => mx(recipient, facts.mx_tls),
        "maildir" => Plan::Send(Destination::Maildir),
        "capture" => Plan::Capture,
        "reject" => plan_target(recipient, &Target::Reject),
        _ => match forced.strip_prefix("relay:").and_then(host_and_port) {
            Some((host, port)) => Plan::Send(Destination::Relay(known_relay(host, port, facts.routes))),
            None => Plan::Hold,
        },
    }
}

fn known_relay(host: &str, port: u16, routes: &[Route]) -> Arc<Relay> {
    let known = routes.iter().find_map(|route| match &route.to {
        Target::Relay(relay) if relay.port == port && relay.host.eq_ignore_ascii_case(host) => Some(Arc::clone(relay)),
        _ => None,
    });
    known.unwrap_or_else(|| {
        Arc::new(Relay { host: host.to_owned(), port, tls: RelayTls::Opportunistic, credentials: None })
    })
}

/// `host:port` or `[2001:db8::1]:port`; the port may be left out.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, port.parse().ok()?)),
            None if rest.is_empty() => Some((host, crate::SMTP_PORT)),
            None => None,
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, crate::SMTP_PORT),
    };
    let sound = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    sound.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use mail::{Body, Origin, ReversePath};

    use super::*;
    use crate::Pattern;

    fn route(recipients: &str, senders: &str, users: &str, to: Target) -> Route {
        let patterns =
            |text: &str| text.split_whitespace().map(|pattern| pattern.parse::<Pattern>().unwrap()).collect::<Vec<_>>();
        Route { recipients: patterns(recipients), senders: patterns(senders), users: patterns(users), to }
    }

    fn relay(host: &str, port: u16, tls: RelayTls) -> Arc<Relay> {
        Arc::new(Relay { host: host.into(), port, tls, credentials: None })
    }

    fn routes() -> Vec<Route> {
        vec![
            route("held.example", "", "", Target::Hold),
            route("*.held.example", "", "", Target::Reject),
            route("", "boss@ours.example", "", Target::Relay(relay("boss.example", 25, RelayTls::Verified))),
            route("", "<>", "", Target::Capture),
            route("", "", "robot@ours.example", Target::Mx { tls: RelayTls::Required }),
            route("x@ours.example", "", "", Target::Relay(relay("inner.example", 2526, RelayTls::Off))),
        ]
    }

    fn check(recipient: &str, sender: &str, user: Option<&str>, forced: Option<&str>, expect: &str) {
        let reverse_path: ReversePath = sender.parse().unwrap();
        let mut envelope = Envelope { reverse_path, body: Body::SevenBit, origin: Origin::local() };
        envelope.origin.user = user.map(|user| user.parse().unwrap());
        let is_local = |domain: &Domain| domain.name() == Some("ours.example");
        let facts = Facts { routes: &routes(), mx_tls: RelayTls::Opportunistic, is_local: &is_local };
        let got = match plan(&recipient.parse().unwrap(), &envelope, forced, &facts) {
            Plan::Send(Destination::Mx { domain, tls }) => format!("mx {domain} {tls}"),
            Plan::Send(Destination::Relay(relay)) => format!("relay {relay} {}", relay.tls),
            Plan::Send(Destination::Maildir) => "maildir".to_owned(),
            Plan::Capture => "capture".to_owned(),
            Plan::Hold => "hold".to_owned(),
            Plan::Reject(reply) => format!("reject {}", reply.code),
        };
        assert_eq!(got, expect, "{recipient} from {sender}");
    }

    #[test]
    fn the_first_route_that_matches_wins_then_our_domains_then_the_mx() {
        check("a@held.example", "boss@ours.example", None, None, "hold");
        check("a@b.held.example", "", None, None, "reject 550");
        check("a@b.example", "BOSS@ours.example", None, None, "relay boss.example:25 verified");
        check("a@ours.example", "", None, None, "capture");
        check("a@b.example", "c@d", Some("robot@ours.example"), None, "mx b.example required");
        check("x@ours.example", "c@d", None, None, "relay inner.example:2526 off");
        check("y@ours.example", "c@d", None, None, "maildir");
        check("y@sub.ours.example", "c@d", None, None, "mx sub.ours.example opportunistic");
        check("y@[192.0.2.1]", "c@d", None, None, "mx [192.0.2.1] opportunistic");
    }

    #[test]
    fn an_operators_word_comes_first() {
        let forced = |word, expect| check("a@held.example", "c@d", None, Some(word), expect);
        forced("mx", "mx held.example opportunistic");
        forced("relay:other.example:2525", "relay other.example:2525 opportunistic");
        forced("relay:other.example", "relay other.example:25 opportunistic");
        forced("relay:INNER.example:2526", "relay inner.example:2526 off");
        forced("relay:[2001:db8::1]:26", "relay [2001:db8::1]:26 opportunistic");
        forced("maildir", "maildir");
        forced("capture", "capture");
        forced("hold", "hold");
        forced("reject", "reject 550");
        for nonsense in ["", "relay:", "relay:a:b", "relay:a b:25", "relay:[::1", "../../x"] {
            forced(nonsense, "hold");
        }
    }
}
