//! Under whose address a delivery goes on. Pure.
//!
//! | mail | goes on from |
//! | --- | --- |
//! | of a sender elsewhere, passed on by an address of ours to somebody elsewhere | our address for the sender ([`policy::srs`]) |
//! | the same, when that does not fit into an address | nobody, `<>` |
//! | everything else: to us, from us, notifications, mail that was not passed on | its sender |
//!
//! The queue keeps the sender as it was: what fails here is told to the sender itself, and each attempt writes the address
//! of its day.

use mail::{Domain, Envelope, ReversePath, Timestamp};
use policy::srs::Srs;
use spool::Delivery;

/// The domain of ours that passes a delivery on for somebody elsewhere; nothing when it goes on as it came.
pub(crate) fn passed_on_by<'d>(
    envelope: &Envelope,
    delivery: &'d Delivery,
    is_ours: impl Fn(&Domain) -> bool,
) -> Option<&'d Domain> {
    let through = &delivery.original.as_ref()?.domain;
    let sender = &envelope.reverse_path.mailbox()?.domain;
    let elsewhere = !is_ours(sender) && !is_ours(&delivery.recipient.domain);
    (elsewhere && is_ours(through)).then_some(through)
}

/// The reverse-path of mail that `through` passes on.
pub(crate) fn reverse_path(envelope: &Envelope, through: &Domain, srs: &Srs, now: Timestamp) -> ReversePath {
    let rewritten = envelope.reverse_path.mailbox().and_then(|sender| srs.rewrite(sender, through, now).ok());
    // Unchanged it would be refused by whoever believes SPF; without one, only a late notification is lost.
    rewritten.map_or(ReversePath::Null, ReversePath::Mailbox)
}

#[cfg(test)]
mod tests {
    use mail::{Body, DeliveryId, Origin};

    use super::*;

    fn envelope(sender: &str) -> Envelope {
        Envelope { reverse_path: sender.parse().unwrap(), body: Body::SevenBit, origin: Origin::local() }
    }

    fn check(sender: &str, original: Option<&str>, recipient: &str, expect: Option<&str>) {
        let delivery = Delivery {
            id: DeliveryId::from_bytes([0; 16]),
            recipient: recipient.parse().unwrap(),
            original: original.map(|original| original.parse().unwrap()),
            attempts: 0,
            forced_route: None,
        };
        let ours = |domain: &Domain| domain.name().is_some_and(|name| name.ends_with("ours.example"));
        let through = passed_on_by(&envelope(sender), &delivery, ours).map(ToString::to_string);
        assert_eq!(through.as_deref(), expect, "{sender} → {original:?} → {recipient}");
    }

    #[test]
    fn what_is_passed_on() {
        check("a@far.example", Some("list@ours.example"), "b@other.example", Some("ours.example"));
        check("a@far.example", Some("list@b.ours.example"), "a@far.example", Some("b.ours.example"));
    }

    #[test]
    fn what_is_not() {
        check("a@far.example", None, "b@other.example", None);
        check("a@far.example", Some("list@ours.example"), "b@ours.example", None);
        check("a@ours.example", Some("list@ours.example"), "b@other.example", None);
        check("", Some("SRS0=x=y=far.example=a@ours.example"), "a@far.example", None);
        check("a@far.example", Some("list@gone.example"), "b@other.example", None);
    }

    #[test]
    fn an_address_that_does_not_fit_becomes_none() {
        let srs = Srs::new(&[7; policy::srs::SECRET]);
        let (ours, now) = ("ours.example".parse().unwrap(), Timestamp::from_secs(1_795_508_169));
        let short = reverse_path(&envelope("a@far.example"), &ours, &srs, now).to_string();
        assert!(short.starts_with("<SRS0=") && short.ends_with("=far.example=a@ours.example>"), "{short}");
        let long = format!("{}@far.example", "x".repeat(60));
        assert_eq!(reverse_path(&envelope(&long), &ours, &srs, now), ReversePath::Null);
    }
}
