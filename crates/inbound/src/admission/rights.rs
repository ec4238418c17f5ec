//! As whom an authenticated user may send: in the envelope and in the header alike.

use mail::{Mailbox, Reply, ReversePath, header::Header};
use store::Directory;

use super::authors;

/// Octets of an address that are shown in a reply.
const SHOWN_MAX: usize = 100;

/// The rights of one user: its own address, its +tags, and the aliases that lead to it.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    user: Mailbox,
    directory: Directory,
}

impl Rights {
    /// The rights that the directory gives.
    pub(crate) fn new(user: Mailbox, directory: Directory) -> Self {
        Self { user, directory }
    }

    /// The user's own address.
    pub(crate) fn user(&self) -> &Mailbox {
        &self.user
    }

    /// MAIL FROM. The null path belongs to everybody: read receipts are sent with it (RFC 8098 §3).
    pub(crate) fn check_envelope(&self, reverse_path: &ReversePath) -> Result<(), Reply> {
        match reverse_path.mailbox() {
            Some(mailbox) if !self.covers(mailbox) => Err(self.not_yours("MAIL FROM", mailbox)),
            _ => Ok(()),
        }
    }

    /// From and Sender, each at most once (RFC 5322 §3.6) and each an address of the user. A missing From is for the
    /// repairs.
    pub(crate) fn check_header(&self, header: &Header<'_>) -> Result<(), Reply> {
        for name in ["From", "Sender"] {
            let mut fields = header.all(name);
            let Some(field) = fields.next() else { continue };
            if fields.next().is_some() {
                return Err(refused(format!("The message has more than one {name} field; one is allowed")));
            }
            let Some(authors) = authors::read(&field.unfolded()) else {
                return Err(refused(format!(
                    "The {name} field is not a plain list of addresses; write it as {name}: Name <{}>",
                    self.user
                )));
            };
            if let Some(other) = authors.iter().find(|author| !self.covers(author)) {
                return Err(self.not_yours(name, other));
            }
        }
        Ok(())
    }

    fn covers(&self, address: &Mailbox) -> bool {
        self.directory.may_send_as(&self.user, address)
    }

    fn not_yours(&self, place: &str, address: &Mailbox) -> Reply {
        let address: String = address.to_string().chars().take(SHOWN_MAX).collect();
        refused(format!("{place}: {} may not send as {address}; use an address that leads to this account", self.user))
    }
}

fn refused(text: String) -> Reply {
    Reply::with(550, (5, 7, 1), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights() -> Rights {
        Rights::new("anna@ours.example".parse().unwrap(), crate::testing::directory())
    }

    fn check_header(rights: &Rights, header: &str, expect: Result<(), &str>) {
        let header = header.replace('\n', "\r\n");
        let got = rights.check_header(&Header::parse(header.as_bytes(), 100)).map_err(|reply| reply.to_string());
        match (got, expect) {
            (Ok(()), Ok(())) => {}
            (Err(got), Err(expect)) => assert!(got.starts_with("550 5.7.1 ") && got.contains(expect), "{got}"),
            (got, expect) => panic!("{header}: got {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn the_envelope() {
        let rights = rights();
        let check = |path: &str, expect: bool| {
            assert_eq!(rights.check_envelope(&path.parse().unwrap()).is_ok(), expect, "{path}");
        };
        check("anna@ours.example", true);
        check("Anna@OURS.example", true);
        check("anna+news@ours.example", true);
        check("sales@ours.example", true);
        check("sales+2026@ours.example", true);
        check("", true);
        check("bob@ours.example", false);
        check("anna@far.example", false);
        check("anna@sub.ours.example", false);
        check("bob+anna@ours.example", false);
        check("\"anna@ours.example\"@far.example", false);
    }

    #[test]
    fn the_header() {
        let rights = rights();
        check_header(&rights, "From: Anna <anna@ours.example>\nSender: sales@ours.example\n\n", Ok(()));
        check_header(&rights, "Subject: no From is for the repairs\n\n", Ok(()));
        check_header(&rights, "From: bob@ours.example\n\n", Err("bob@ours.example"));
        check_header(&rights, "From :\n bob@ours.example\n\n", Err("bob@ours.example"));
        check_header(&rights, "From: anna@ours.example\nFROM: bob@ours.example\n\n", Err("more than one From"));
        check_header(&rights, "From: anna@ours.example\nFrom: anna@ours.example\n\n", Err("more than one From"));
        check_header(&rights, "From: anna@ours.example\nSender: bob@ours.example\n\n", Err("bob@ours.example"));
        check_header(&rights, "From: anna@ours.example, bob@ours.example\n\n", Err("bob@ours.example"));
        check_header(&rights, "From: <bob@ours.example> <anna@ours.example>\n\n", Err("plain list"));
        check_header(&rights, "From: bob@ours.example: anna@ours.example;\n\n", Err("plain list"));
        check_header(&rights, "From:\n\n", Err("plain list"));
    }
}
