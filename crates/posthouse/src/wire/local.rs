//! Which domains have their mailboxes here: what the store says, in the form that delivery asks.

use mail::Domain;
use outbound::LocalDomains;
use store::{DomainKind, Store};

/// The domains of the store.
#[derive(Debug)]
pub(super) struct StoreDomains(pub(super) Store);

impl LocalDomains for StoreDomains {
    fn is_local(&self, domain: &Domain) -> bool {
        self.0.directory().domain_kind(domain) == Some(DomainKind::Local)
    }

    fn is_ours(&self, domain: &Domain) -> bool {
        self.0.directory().domain_kind(domain).is_some()
    }
}
