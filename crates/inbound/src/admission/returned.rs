//! Notifications about mail that we passed on: RCPT to an address that [`policy::srs`] has made. Pure.
//!
//! It is a way to somebody elsewhere for strangers, so all of it must be right: the hash, the age, and a null sender, for
//! nothing but notifications belongs there.

use mail::{Mailbox, Reply, ReversePath, Timestamp};
use policy::srs::{Srs, SrsError};
use store::Directory;

use super::{Standing, recipient};
use crate::Recipients;

/// Where a notification goes; nothing when the recipient is no such address of ours.
pub(crate) fn admit(
    srs: &Srs,
    recipient: &Mailbox,
    sender: &ReversePath,
    directory: &Directory,
    now: Timestamp,
) -> Option<Result<Vec<Mailbox>, Reply>> {
    directory.domain_kind(&recipient.domain)?;
    let original = srs.original(&recipient.local, now)?;
    Some(original.map_err(refusal).and_then(|original| {
        if *sender != ReversePath::Null {
            return Err(Reply::with(550, (5, 7, 1), "This address takes notifications only, from <>"));
        }
        // Whoever is named in it may have become ours since.
        recipient::admit(Recipients::Known, Standing::Trusted, &original, directory.resolve(&original))
    }))
}

fn refusal(error: SrsError) -> Reply {
    match error {
        SrsError::Forged => Reply::with(550, (5, 7, 1), "This address was not made by this server"),
        SrsError::Expired => Reply::with(550, (5, 1, 1), "This address is too old: it was good for three weeks"),
        SrsError::Malformed => Reply::with(550, (5, 1, 1), "There is no such mailbox here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_508_169);

    fn made(sender: &str) -> Mailbox {
        srs().rewrite(&sender.parse().unwrap(), &"ours.example".parse().unwrap(), NOW).unwrap()
    }

    fn srs() -> Srs {
        Srs::new(&[7; policy::srs::SECRET])
    }

    fn check(recipient: &str, sender: &str, days: i64, expect: Option<Result<&str, &str>>) {
        let directory = crate::testing::directory();
        let now = Timestamp::from_secs(NOW.as_secs() + days * 86_400);
        let got = admit(&srs(), &recipient.parse().unwrap(), &sender.parse().unwrap(), &directory, now);
        match (got, expect) {
            (None, None) => {}
            (Some(Ok(got)), Some(Ok(expect))) => {
                assert_eq!(got.iter().map(ToString::to_string).collect::<Vec<_>>(), [expect])
            }
            (Some(Err(reply)), Some(Err(expect))) => assert!(reply.to_string().starts_with(expect), "{reply}"),
            (got, expect) => panic!("{recipient}: {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn a_notification_goes_back_and_nothing_else_does() {
        let address = made("ann%x@far.example").to_string();
        check(&address, "", 0, Some(Ok("ann%x@far.example")));
        check(&address, "", 21, Some(Ok("ann%x@far.example")));
        check(&address, "", 22, Some(Err("550 5.1.1 ")));
        check(&address, "spam@far.example", 0, Some(Err("550 5.7.1 ")));
        check(&address.replace("ann", "bob"), "", 0, Some(Err("550 5.7.1 ")));
        check("SRS0=x@ours.example", "", 0, Some(Err("550 5.1.1 ")));
        check("anna@ours.example", "", 0, None);
        check(&address.replace("ours.example", "elsewhere.example"), "", 0, None);
    }
}
