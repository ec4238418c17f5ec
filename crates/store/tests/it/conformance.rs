//! One suite for all engines: each function takes a [`Backend`] and is run for every one there is.

mod changes;
mod events;
mod gate;
mod lists;
mod names;
mod resolution;
mod signing;

use mail::{Domain, Mailbox};
use store::{DomainKind, ScramVerifier, Store, Verifiers};

/// Opens one store, and the same one again.
pub(crate) trait Backend {
    async fn open(&self) -> Store;
}

/// SQLite in a directory that lives as long.
pub(crate) struct Sqlite(tempfile::TempDir);

impl Sqlite {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Backend for Sqlite {
    async fn open(&self) -> Store {
        Store::open("sqlite:posthouse.db", self.directory()).await.unwrap()
    }
}

macro_rules! suite {
    ($($module:ident { $($name:ident),* $(,)? })*) => {
        mod sqlite {
            $(mod $module {$(
                #[tokio::test]
                async fn $name() {
                    crate::conformance::$module::$name(&crate::conformance::Sqlite::new()).await;
                }
            )*})*
        }
    };
}

suite! {
    gate {
        the_greylist_is_kept_and_forgotten,
        acquaintances_are_kept_and_forgotten,
    }
    changes {
        domains_come_and_go,
        a_domain_in_use_stays,
        users_come_and_go,
        aliases_grow_and_go,
        catch_alls_come_and_go,
        targets_are_not_pulled_away,
        all_is_there_again_after_a_restart,
        a_change_of_another_program_is_seen,
        changes_at_once_are_all_made,
        small_facts_are_kept,
    }
    names { hostile_names_are_data }
    resolution {
        addresses_are_found_in_order,
        postmaster_always_has_somebody,
        relay_domains_take_what_they_do_not_know,
        loops_and_bombs_are_bounded,
        senders_have_what_is_theirs,
    }
    signing {
        keys_wait_sign_and_retire,
        keys_that_cannot_be,
        keys_go_with_their_domain,
    }
    events {
        a_batch_is_taken_once,
        nodes_do_not_mix,
        batches_of_every_size_are_whole,
        damaged_bytes_hold_nothing_up,
        the_latest_state_is_known,
        histories_are_in_order,
        old_mail_is_forgotten,
    }
    lists {
        filters_find_what_they_say,
        pages_join_without_gap_or_double,
        nonsense_is_refused,
    }
}

pub(crate) fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

pub(crate) fn mailbox(text: &str) -> Mailbox {
    text.parse().unwrap()
}

pub(crate) fn verifiers(mark: u8) -> Verifiers {
    Verifiers {
        argon2: format!("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$hash{mark}"),
        scram: ScramVerifier {
            salt: vec![mark; 16],
            iterations: 4096 + u32::from(mark),
            stored_key: [mark; 32],
            server_key: [!mark; 32],
        },
    }
}

/// A store with `example.net` and `example.org` (local), `relay.example` (relay) and two users.
pub(crate) async fn furnished(backend: &impl Backend) -> Store {
    let store = backend.open().await;
    store.domain_add(&domain("example.net"), DomainKind::Local).await.unwrap();
    store.domain_add(&domain("example.org"), DomainKind::Local).await.unwrap();
    store.domain_add(&domain("relay.example"), DomainKind::Relay).await.unwrap();
    store.user_add(&mailbox("Ann@example.net"), &verifiers(1)).await.unwrap();
    store.user_add(&mailbox("bob@example.net"), &verifiers(2)).await.unwrap();
    store
}
