//! A directory for unit tests: the domain `ours.example` with the users anna and bob, and `sales`, an alias for anna.

use mail::Mailbox;
use store::{Directory, DomainKind, Store};

use crate::{Cost, hash_password};

/// Hashing that costs nothing.
pub(crate) const CHEAP: Cost = Cost { memory: 8, passes: 1, rounds: 4096 };

pub(crate) fn directory() -> Directory {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open("sqlite:posthouse.db", folder.path()).await.unwrap();
        let address = |text: &str| text.parse::<Mailbox>().unwrap();
        store.domain_add(&"ours.example".parse().unwrap(), DomainKind::Local).await.unwrap();
        let verifiers = hash_password("secret", CHEAP, &net::Chance::seeded(1)).unwrap();
        for user in ["anna@ours.example", "bob@ours.example"] {
            store.user_add(&address(user), &verifiers).await.unwrap();
        }
        store.alias_add(&address("sales@ours.example"), &[address("anna@ours.example")]).await.unwrap();
        let directory = store.directory();
        store.close().await;
        directory
    })
}
