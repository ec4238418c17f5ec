//! Requests about domains, users, aliases and catch-alls, carried out on the store: by the running server, or by the
//! command itself under the directory's lock when no server runs.

use mail::{Domain, Mailbox};
use net::Chance;
use serde::{Deserialize, Serialize};
use store::{ChangeError, DomainKind, ScramVerifier, Store, Verifiers};

use super::{AliasRow, Answer, CatchAllRow, DomainRow, Refused, UserRow};

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    DomainAdd { domain: Domain, kind: DomainKind },
    DomainList,
    DomainRemove { domain: Domain },
    UserAdd { address: Mailbox, proof: Proof },
    UserList,
    UserRemove { address: Mailbox },
    UserPassword { address: Mailbox, proof: Proof },
    AliasAdd { address: Mailbox, targets: Vec<Mailbox> },
    AliasList,
    AliasRemove { address: Mailbox },
    CatchAllAdd { domain: Domain, target: Mailbox },
    CatchAllList,
    CatchAllRemove { domain: Domain },
}

/// What proves a password, on its way to the store. The password itself stays in the command.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Proof {
    argon2: String,
    salt: Vec<u8>,
    iterations: u32,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(<redacted>)")
    }
}

impl From<Verifiers> for Proof {
    fn from(verifiers: Verifiers) -> Self {
        let ScramVerifier { salt, iterations, stored_key, server_key } = verifiers.scram;
        Self { argon2: verifiers.argon2, salt, iterations, stored_key, server_key }
    }
}

impl From<Proof> for Verifiers {
    fn from(proof: Proof) -> Self {
        let Proof { argon2, salt, iterations, stored_key, server_key } = proof;
        Self { argon2, scram: ScramVerifier { salt, iterations, stored_key, server_key } }
    }
}

/// Makes the proof of a password: it costs what a login costs.
pub(crate) fn prove(password: &str) -> anyhow::Result<Proof> {
    let verifiers = inbound::hash_password(password, inbound::Cost::default(), &Chance::system())?;
    Ok(verifiers.into())
}

/// Carries out a request on the store.
pub(crate) async fn answer(store: &Store, request: Request) -> Result<Answer, Refused> {
    let changed = |result: Result<(), ChangeError>| match result {
        Ok(()) => Ok(Answer::Changed(1)),
        Err(error) => Err(error.to_string()),
    };
    match request {
        Request::DomainAdd { domain, kind } => changed(store.domain_add(&domain, kind).await),
        Request::DomainRemove { domain } => changed(store.domain_remove(&domain).await),
        Request::UserAdd { address, proof } => changed(store.user_add(&address, &proof.into()).await),
        Request::UserRemove { address } => changed(store.user_remove(&address).await),
        Request::UserPassword { address, proof } => changed(store.user_password(&address, &proof.into()).await),
        Request::AliasAdd { address, targets } => changed(store.alias_add(&address, &targets).await),
        Request::AliasRemove { address } => changed(store.alias_remove(&address).await),
        Request::CatchAllAdd { domain, target } => changed(store.catch_all_set(&domain, &target).await),
        Request::CatchAllRemove { domain } => changed(store.catch_all_remove(&domain).await),
        Request::DomainList => Ok(Answer::Domains(domains(store))),
        Request::UserList => Ok(Answer::Users(users(store))),
        Request::AliasList => Ok(Answer::Aliases(aliases(store))),
        Request::CatchAllList => Ok(Answer::CatchAlls(catch_alls(store))),
    }
}

fn domains(store: &Store) -> Vec<DomainRow> {
    let row = |entry: store::DomainEntry| DomainRow {
        domain: entry.domain.to_string(),
        kind: match entry.kind {
            DomainKind::Local => "local".to_owned(),
            DomainKind::Relay => "relay".to_owned(),
        },
    };
    store.directory().domains().into_iter().map(row).collect()
}

fn users(store: &Store) -> Vec<UserRow> {
    store.directory().users().into_iter().map(|user| UserRow { address: user.to_string() }).collect()
}

fn aliases(store: &Store) -> Vec<AliasRow> {
    let row = |alias: store::Alias| AliasRow {
        address: alias.address.to_string(),
        targets: alias.targets.iter().map(ToString::to_string).collect(),
    };
    store.directory().aliases().into_iter().map(row).collect()
}

fn catch_alls(store: &Store) -> Vec<CatchAllRow> {
    let row =
        |entry: store::CatchAll| CatchAllRow { domain: entry.domain.to_string(), target: entry.target.to_string() };
    store.directory().catch_alls().into_iter().map(row).collect()
}
