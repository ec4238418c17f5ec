//! The ways in which servers have been made to pass on the mail of strangers: what to say at MAIL and RCPT, and what a
//! reply means. Our own server is held against them, and `posthouse check open-relay` holds others.
//!
//! Most of them write the address of somebody elsewhere so that one part of a server takes it for its own and another
//! reads on: routes (RFC 5321 §F.2), the `%` of old gateways, the `!` of UUCP, an `@` in quotes. The rest hope that a sender
//! of the server's own, or none, opens the door.

use std::net::IpAddr;

use mail::{Domain, Mailbox};

/// Who takes part.
#[derive(Clone, Debug)]
pub struct Names {
    /// Who asks.
    pub sender: Mailbox,
    /// Somebody who is nothing to the server.
    pub elsewhere: Mailbox,
    /// What the server calls itself.
    pub host: Domain,
    /// A domain whose mail it takes.
    pub domain: Domain,
    /// Where it was reached.
    pub address: IpAddr,
}

/// Where a recipient leads by the letter of RFC 5321.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To somebody elsewhere: who accepts it is a relay.
    Elsewhere,
    /// To the server itself, and elsewhere only for who reads more into it: who accepts it may have a mailbox of that name,
    /// or take any name.
    Inside,
}

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What it is, in a few words.
    pub name: &'static str,
    /// What follows `MAIL FROM:`.
    pub sender: String,
    /// What follows `RCPT TO:`.
    pub recipient: String,
    /// Where the recipient leads.
    pub leads: Leads,
}

/// What a reply to a recipient says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It does not relay this way.
    Closed,
    /// It would.
    Open,
    /// It accepts the recipient as it accepts any name in its domain: what it makes of it cannot be seen from here.
    Unclear,
    /// It said neither: come again later.
    Undecided,
}

impl Way {
    /// What the code of the reply to RCPT means, when the server takes any name in its domain, or not.
    pub fn finding(&self, code: u16, takes_any_name: bool) -> Finding {
        match (code / 100, self.leads) {
            (2, Leads::Inside) if takes_any_name => Finding::Unclear,
            (2, _) => Finding::Open,
            (5, _) => Finding::Closed,
            _ => Finding::Undecided,
        }
    }
}

/// Every way, in the order in which they became known.
pub fn ways(names: &Names) -> Vec<Way> {
    let Names { sender, elsewhere, host, domain, address } = names;
    let (user, far) = (&elsewhere.local, &elsewhere.domain);
    let here = Domain::from_address(*address);
    let asked = format!("<{sender}>");
    let plain = format!("<{elsewhere}>");
    let from = |name, sender: String| Way { name, sender, recipient: plain.clone(), leads: Leads::Elsewhere };
    let to = |name, leads, recipient: String| Way { name, sender: asked.clone(), recipient, leads };
    let (out, inside) = (Leads::Elsewhere, Leads::Inside);
    vec![
        from("plainly", asked.clone()),
        from("the null sender", "<>".into()),
        from("a sender of its domain", format!("<posthouse-check@{domain}>")),
        from("its postmaster as the sender", format!("<postmaster@{domain}>")),
        from("a sender at its host name", format!("<root@{host}>")),
        from("a sender at its address", format!("<root@{here}>")),
        from("a sender without a domain", "<root>".into()),
        from("the recipient as the sender", plain.clone()),
        to("without brackets", out, elsewhere.to_string()),
        to("a route through its domain", out, format!("<@{domain}:{elsewhere}>")),
        to("a route through its address", out, format!("<@{here}:{elsewhere}>")),
        to("a route of two hosts", out, format!("<@{host},@{domain}:{elsewhere}>")),
        to("a percent at its domain", inside, format!("<{user}%{far}@{domain}>")),
        to("a percent at its host name", inside, format!("<{user}%{far}@{host}>")),
        to("a percent at its address", inside, format!("<{user}%{far}@{here}>")),
        to("a percent alone", inside, format!("<{user}%{far}>")),
        to("an address in quotes", inside, format!("<\"{elsewhere}\">")),
        to("an address in quotes at its domain", inside, format!("<\"{elsewhere}\"@{domain}>")),
        to("an address in quotes at its address", inside, format!("<\"{elsewhere}\"@{here}>")),
        to("a percent in quotes", inside, format!("<\"{user}%{far}\"@{domain}>")),
        to("two at signs", inside, format!("<{elsewhere}@{domain}>")),
        to("two at signs and its address", inside, format!("<{elsewhere}@{here}>")),
        to("a path of hosts", inside, format!("<{far}!{user}>")),
        to("a path of hosts at its domain", inside, format!("<{far}!{user}@{domain}>")),
        to("a path of hosts at its address", inside, format!("<{far}!{user}@{here}>")),
        to("a path and a percent", inside, format!("<{far}!{user}%{domain}@{domain}>")),
        to("a route to a percent", inside, format!("<@{domain}:{user}%{far}@{domain}>")),
    ]
}

/// A recipient that nobody has, to see whether a server takes any name in its domain. `mark` makes it one that nobody
/// thought of.
pub fn nobody(domain: &Domain, mark: &str) -> String {
    format!("<posthouse-check-{mark}@{domain}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            sender: "me@near.example".parse().unwrap(),
            elsewhere: "you@far.example".parse().unwrap(),
            host: "mx.theirs.example".parse().unwrap(),
            domain: "theirs.example".parse().unwrap(),
            address: "192.0.2.25".parse().unwrap(),
        }
    }

    #[test]
    fn they_are_all_different_and_each_names_somebody_elsewhere() {
        let ways = ways(&names());
        assert!(ways.len() >= 20);
        let mut seen = std::collections::HashSet::new();
        for way in &ways {
            assert!(seen.insert((&way.sender, &way.recipient)), "{way:?}");
            assert!(way.recipient.contains("far.example") && way.recipient.contains("you"), "{way:?}");
        }
    }

    #[test]
    fn where_they_lead_is_what_our_own_grammar_says() {
        for way in ways(&names()) {
            let path = way.recipient.trim_start_matches('<').trim_end_matches('>');
            // A route is read and ignored (RFC 5321 §3.3): what is behind its colon counts.
            let path = if path.starts_with('@') { path.split_once(':').map_or(path, |(_, path)| path) } else { path };
            let far = path.parse::<Mailbox>().is_ok_and(|mailbox| mailbox.domain == names().elsewhere.domain);
            assert_eq!(way.leads == Leads::Elsewhere, far, "{way:?}");
        }
    }

    #[test]
    fn what_a_reply_means() {
        let ways = ways(&names());
        let find = |leads| ways.iter().find(|way| way.leads == leads).unwrap();
        let (out, inside) = (find(Leads::Elsewhere), find(Leads::Inside));
        for any in [false, true] {
            assert_eq!(out.finding(250, any), Finding::Open);
            assert_eq!(out.finding(554, any), Finding::Closed);
            assert_eq!(inside.finding(501, any), Finding::Closed);
            assert_eq!(inside.finding(450, any), Finding::Undecided);
        }
        assert_eq!(inside.finding(251, false), Finding::Open);
        assert_eq!(inside.finding(251, true), Finding::Unclear);
    }
}
