//! What the name in EHLO tells about a client (RFC 5321 §4.1.1.1, §2.3.5).
//!
//! A server says its whole name or, when it has none, its address in brackets. Who says *our* name is not us. Names
//! are not looked up: RFC 5321 §4.1.4 forbids to refuse mail because a name does not lead back to its client.

use std::net::IpAddr;

use mail::Domain;

/// What the name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Greeting {
    /// A whole name, or an address literal.
    Sound,
    /// Our own name, one of our domains, or our address.
    Ours,
    /// A name without a dot, or no name at all.
    Unqualified,
}

/// Judges the name. `is_ours` says whether a domain name is one of ours, `address` is that which the client reached.
pub fn judge(name: &str, address: Option<IpAddr>, is_ours: impl Fn(&Domain) -> bool) -> Greeting {
    let name = name.strip_suffix('.').unwrap_or(name);
    let Ok(domain) = name.parse::<Domain>() else {
        return Greeting::Unqualified;
    };
    match (domain.literal(), domain.name()) {
        (Some(literal), _) if Some(literal.to_canonical()) == address.map(|address| address.to_canonical()) => {
            Greeting::Ours
        }
        (Some(_), _) => Greeting::Sound,
        (None, _) if is_ours(&domain) => Greeting::Ours,
        (None, Some(name)) if name.contains('.') => Greeting::Sound,
        (None, _) => Greeting::Unqualified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expect: Greeting) {
        let ours: Domain = "mx.ours.example".parse().unwrap();
        let address = Some("::ffff:192.0.2.25".parse().unwrap());
        assert_eq!(judge(name, address, |domain| *domain == ours), expect, "{name}");
    }

    #[test]
    fn names() {
        check("mail.far.example", Greeting::Sound);
        check("mail.far.example.", Greeting::Sound);
        check("[198.51.100.7]", Greeting::Sound);
        check("[IPv6:2001:db8::1]", Greeting::Sound);
        check("MX.Ours.Example", Greeting::Ours);
        check("mx.ours.example.", Greeting::Ours);
        check("[192.0.2.25]", Greeting::Ours);
        check("localhost", Greeting::Unqualified);
        check("ylmf-pc", Greeting::Unqualified);
        check("198.51.100.7", Greeting::Unqualified);
        check("[198.51.100", Greeting::Unqualified);
        check("-.-", Greeting::Unqualified);
        check("", Greeting::Unqualified);
    }
}
