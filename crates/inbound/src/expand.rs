//! The recipients of one message, after aliases and each once.

use std::collections::HashSet;

use mail::{DeliveryId, Mailbox, Reply, Timestamp};
use net::Chance;
use spool::NewDelivery;

/// Deliveries of one message: aliases can make many of one recipient.
const DELIVERIES_MAX: usize = 10_000;

/// The recipients so far.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    deliveries: Vec<Target>,
    /// Recipients as given.
    given: usize,
}

#[derive(Debug)]
struct Target {
    recipient: Mailbox,
    original: Option<Mailbox>,
}

impl Expansion {
    /// Adds the mailboxes that a recipient stands for.
    pub(crate) fn add(&mut self, given: &Mailbox, mailboxes: Vec<Mailbox>) -> Result<(), Reply> {
        if self.deliveries.len() + mailboxes.len() > DELIVERIES_MAX {
            return Err(Reply::with(
                452,
                (4, 5, 3),
                format!(
                    "With this recipient the message would go to more than {DELIVERIES_MAX} mailboxes; send it in parts"
                ),
            ));
        }
        self.given += 1;
        self.deliveries.extend(mailboxes.into_iter().map(|recipient| {
            let original = (recipient != *given).then(|| given.clone());
            Target { recipient, original }
        }));
        Ok(())
    }

    /// The one recipient that the client gave; nothing when it gave several.
    pub(crate) fn only(&self) -> Option<&Mailbox> {
        let first = self.deliveries.first().filter(|_| self.given == 1)?;
        Some(first.original.as_ref().unwrap_or(&first.recipient))
    }

    /// Recipients as given.
    pub(crate) fn given(&self) -> usize {
        self.given
    }

    /// The deliveries in order, each mailbox once: the first address that led to it counts.
    pub(crate) fn into_deliveries(self, chance: &Chance, now: Timestamp) -> Vec<NewDelivery> {
        let repeated = self.repeated();
        let targets = self.deliveries.into_iter().zip(repeated).filter(|(_, repeated)| !repeated);
        targets
            .map(|(Target { recipient, original }, _)| NewDelivery {
                id: DeliveryId::new(now, chance.bytes()),
                recipient,
                original,
                held: false,
            })
            .collect()
    }

    /// For each delivery, whether its mailbox came before.
    fn repeated(&self) -> Vec<bool> {
        if self.deliveries.len() == 1 {
            return vec![false];
        }
        let mut seen = HashSet::with_capacity(self.deliveries.len());
        self.deliveries.iter().map(|target| !seen.insert(&target.recipient)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailboxes(list: &[&str]) -> Vec<Mailbox> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn each_mailbox_once() {
        let mut expansion = Expansion::default();
        for (given, leads_to) in [("a@x", &["a@x"][..]), ("list@x", &["b@x", "a@x", "b@x"]), ("b@x", &["b@x"])] {
            expansion.add(&given.parse().unwrap(), mailboxes(leads_to)).unwrap();
        }
        assert_eq!((expansion.only(), expansion.given()), (None, 3));
        let deliveries = expansion.into_deliveries(&Chance::seeded(1), Timestamp::from_secs(0));
        let shown: Vec<_> = deliveries
            .iter()
            .map(|delivery| (delivery.recipient.to_string(), delivery.original.as_ref().map(ToString::to_string)))
            .collect();
        assert_eq!(shown, [("a@x".into(), None), ("b@x".into(), Some("list@x".into()))]);
        assert_ne!(deliveries[0].id, deliveries[1].id);
    }

    #[test]
    fn the_only_recipient_is_the_one_given() {
        let mut expansion = Expansion::default();
        assert_eq!(expansion.only(), None);
        expansion.add(&"list@x".parse().unwrap(), mailboxes(&["a@x", "b@x"])).unwrap();
        assert_eq!(expansion.only().map(ToString::to_string), Some("list@x".into()));
    }

    #[test]
    fn aliases_do_not_multiply_without_end() {
        let mut expansion = Expansion::default();
        let many: Vec<Mailbox> = (0..1000).map(|number| format!("u{number}@x").parse().unwrap()).collect();
        for list in 0..10 {
            expansion.add(&format!("list{list}@x").parse().unwrap(), many.clone()).unwrap();
        }
        let reply = expansion.add(&"one@x".parse().unwrap(), mailboxes(&["one@x"])).unwrap_err();
        assert_eq!(reply.code, 452);
        assert_eq!(expansion.into_deliveries(&Chance::seeded(1), Timestamp::from_secs(0)).len(), 1000);
    }
}
