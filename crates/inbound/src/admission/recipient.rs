//! Who may be written to: RCPT.

use mail::{Domain, ForwardPath, LocalPart, Mailbox, Reply};
use store::{Directory, DomainEntry, DomainKind, Resolution};

use super::Standing;
use crate::Recipients;

/// The mailbox that a path stands for. `<postmaster>`, and the one at the host's own name, is that of the first local
/// domain by name, or of the host itself (RFC 5321 §4.5.1).
pub(crate) fn mailbox(path: ForwardPath, directory: &Directory, hostname: &str) -> Result<Mailbox, Reply> {
    match path {
        ForwardPath::Mailbox(mailbox) if !is_our_postmaster(&mailbox, directory, hostname) => Ok(mailbox),
        ForwardPath::Mailbox(_) | ForwardPath::Postmaster => {
            let local_domain = |entry: DomainEntry| (entry.kind == DomainKind::Local).then_some(entry.domain);
            let first = directory.domains().into_iter().find_map(local_domain);
            let domain: Result<Domain, _> = first.map_or_else(|| hostname.parse(), Ok);
            let local: LocalPart = POSTMASTER.parse().expect("a plain word is a local part");
            domain.and_then(|domain| Mailbox::new(local, domain)).map_err(|_| unknown())
        }
    }
}

const POSTMASTER: &str = "postmaster";

/// Whether it is the postmaster at our own name, as people write who know us from a bounce or a Received field. Where
/// the name is one of our domains, that decides.
fn is_our_postmaster(mailbox: &Mailbox, directory: &Directory, hostname: &str) -> bool {
    mailbox.local.unquoted().eq_ignore_ascii_case(POSTMASTER)
        && mailbox.domain.to_string().eq_ignore_ascii_case(hostname)
        && directory.resolve(mailbox) == Resolution::NotOurDomain
}

/// The mailboxes that mail for `recipient` goes to, or why it isn't taken. `resolution` is the store's word on it.
pub(crate) fn admit(
    recipients: Recipients,
    standing: Standing,
    recipient: &Mailbox,
    resolution: Resolution,
) -> Result<Vec<Mailbox>, Reply> {
    let stranger = standing == Standing::Stranger && recipients == Recipients::Known;
    match resolution {
        _ if stranger && names_another_host(&recipient.local) => Err(source_routed()),
        Resolution::Mailboxes(mailboxes) if !mailboxes.is_empty() => Ok(mailboxes),
        _ if recipients == Recipients::Anybody => Ok(vec![recipient.clone()]),
        Resolution::NotOurDomain if stranger => Err(relaying(recipient)),
        Resolution::NotOurDomain => Ok(vec![recipient.clone()]),
        Resolution::Mailboxes(_) | Resolution::UnknownUser => Err(unknown()),
        Resolution::Loop => Err(Reply::with(550, (5, 4, 6), "The aliases of this recipient lead to themselves")),
        Resolution::TooMany => Err(Reply::with(550, (5, 4, 6), "The aliases of this recipient lead to too many")),
    }
}

/// Whether the local part would be an address or a route of its own to some server (RFC 5321 §F.2, RFC 1123 §5.2.16).
fn names_another_host(local: &LocalPart) -> bool {
    local.unquoted().contains(['%', '!', '@'])
}

fn unknown() -> Reply {
    Reply::with(550, (5, 1, 1), "There is no such mailbox here; check the address for typing mistakes")
}

fn relaying(recipient: &Mailbox) -> Reply {
    // The domain alone: shorter than a line, whatever it is.
    Reply::with(
        550,
        (5, 7, 1),
        format!(
            "{} is not a domain of this server, and relaying needs AUTH; send through the submission port",
            recipient.domain
        ),
    )
}

fn source_routed() -> Reply {
    Reply::with(550, (5, 7, 1), "Addresses that name another host before the @ are not taken here (%, ! or a second @)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(standing: Standing, recipient: &str, resolution: Resolution, expect: Result<&[&str], &str>) {
        let got = admit(Recipients::Known, standing, &recipient.parse().unwrap(), resolution);
        let got = got.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        match (got, expect) {
            (Ok(got), Ok(expect)) => assert_eq!(got, expect, "{recipient}"),
            (Err(got), Err(expect)) => assert!(got.to_string().starts_with(expect), "{recipient}: {got}"),
            (got, expect) => panic!("{recipient}: got {got:?}, expected {expect:?}"),
        }
    }

    fn ours(addresses: &[&str]) -> Resolution {
        Resolution::Mailboxes(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }

    #[test]
    fn strangers_reach_our_mailboxes_alone() {
        let stranger = Standing::Stranger;
        check(stranger, "a@ours", ours(&["a@ours"]), Ok(&["a@ours"]));
        check(stranger, "list@ours", ours(&["a@ours", "b@far"]), Ok(&["a@ours", "b@far"]));
        check(stranger, "x@ours", Resolution::UnknownUser, Err("550 5.1.1 "));
        check(stranger, "x@far", Resolution::NotOurDomain, Err("550 5.7.1 far "));
        check(stranger, "loop@ours", Resolution::Loop, Err("550 5.4.6 "));
        check(stranger, "many@ours", Resolution::TooMany, Err("550 5.4.6 "));
    }

    #[test]
    fn no_syntax_relays() {
        for recipient in ["x%far@ours", "far!x@ours", "\"x@far\"@ours", "x%far%other@ours"] {
            check(Standing::Stranger, recipient, ours(&["catch@ours"]), Err("550 5.7.1 "));
            check(Standing::Stranger, recipient, Resolution::NotOurDomain, Err("550 5.7.1 "));
        }
        check(Standing::Stranger, "x@[192.0.2.1]", Resolution::NotOurDomain, Err("550 5.7.1 "));
    }

    #[test]
    fn users_and_trusted_clients_reach_the_world() {
        for standing in [Standing::Trusted, Standing::User] {
            check(standing, "x@far", Resolution::NotOurDomain, Ok(&["x@far"]));
            check(standing, "x%y@far", Resolution::NotOurDomain, Ok(&["x%y@far"]));
            check(standing, "x@ours", Resolution::UnknownUser, Err("550 5.1.1 "));
        }
    }

    #[test]
    fn the_sandbox_takes_everything() {
        for standing in [Standing::Stranger, Standing::User] {
            for (recipient, resolution, expect) in [
                ("x@far", Resolution::NotOurDomain, "x@far"),
                ("x%y@far", Resolution::NotOurDomain, "x%y@far"),
                ("x@ours", Resolution::UnknownUser, "x@ours"),
                ("x@ours", Resolution::Loop, "x@ours"),
                ("list@ours", ours(&["a@ours"]), "a@ours"),
            ] {
                let got = admit(Recipients::Anybody, standing, &recipient.parse().unwrap(), resolution).unwrap();
                assert_eq!(got.iter().map(ToString::to_string).collect::<Vec<_>>(), [expect]);
            }
        }
    }

    #[test]
    fn postmaster_without_a_domain() {
        let at = |directory: &Directory, hostname: &str| {
            mailbox(ForwardPath::Postmaster, directory, hostname).map(|mailbox| mailbox.to_string())
        };
        assert_eq!(at(&crate::testing::directory(), "mx"), Ok("postmaster@ours.example".into()));
        assert_eq!(at(&Directory::default(), "mx.example"), Ok("postmaster@mx.example".into()));
        assert_eq!(at(&Directory::default(), "not a name").map_err(|reply| reply.code), Err(550));
    }

    #[test]
    fn postmaster_at_our_own_name() {
        let of = |typed: &str, hostname: &str| {
            let path = ForwardPath::Mailbox(typed.parse().unwrap());
            mailbox(path, &crate::testing::directory(), hostname).unwrap().to_string()
        };
        assert_eq!(of("Postmaster@MX.example", "mx.example"), "postmaster@ours.example");
        assert_eq!(of("postmaster@ours.example", "ours.example"), "postmaster@ours.example");
        assert_eq!(of("postmaster@far.example", "mx.example"), "postmaster@far.example");
        assert_eq!(of("anna@mx.example", "mx.example"), "anna@mx.example");
    }
}
