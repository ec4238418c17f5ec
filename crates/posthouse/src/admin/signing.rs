//! Requests about the keys that sign a domain's mail, carried out on the store like those of the directory.

use std::{net::IpAddr, sync::Arc};

use mail::{Domain, Timestamp};
use net::Chance;
use serde::{Deserialize, Serialize};
use store::{DkimKey, KeyState, Store};

use super::{Answer, Refused, Rfc3339, directory};
use crate::{
    config::Config,
    dns::records::{self, Facts, Record},
    signing::Keyring,
    wire,
};

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Makes keys: they sign at once when the domain has none yet, else they wait.
    Create { domain: Domain },
    /// Puts the waiting keys to use.
    Turn { domain: Domain },
    /// The keys of one domain, or of all.
    List { domain: Option<Domain> },
    /// Removes a key.
    Remove { domain: Domain, selector: String },
    /// Everything that a domain has to publish.
    Records { domain: Domain },
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    pub(crate) domain: String,
    pub(crate) selector: String,
    pub(crate) state: KeyState,
    pub(crate) since: Rfc3339,
    /// Where it is published.
    pub(crate) name: String,
    /// The TXT record there.
    pub(crate) record: String,
}

/// Who answers.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    store: Store,
    keyring: Arc<Keyring>,
    chance: Chance,
    /// The server's name.
    hostname: String,
    /// Where it is, as the internet sees it.
    addresses: Vec<IpAddr>,
}

impl Signing {
    /// Over the keys of a store, for the server that the configuration means.
    pub(crate) fn new(config: &Config, store: Store, keyring: Arc<Keyring>, chance: Chance) -> Self {
        let addresses = wire::public_addresses(config);
        Self { store, keyring, chance, hostname: config.hostname.clone(), addresses }
    }

    /// Carries out one request.
    pub(crate) async fn answer(&self, request: Request, now: Timestamp) -> Result<Answer, Refused> {
        let sentence = |error: store::ChangeError| error.to_string();
        match request {
            Request::Create { domain } => self.create(&domain, now).await.map(Answer::Keys),
            Request::Turn { domain } => {
                self.store.dkim_turn(&domain, now).await.map_err(sentence)?;
                Ok(Answer::Keys(self.rows(Some(&domain))))
            }
            Request::List { domain } => {
                if let Some(domain) = &domain {
                    self.known(domain)?;
                }
                Ok(Answer::Keys(self.rows(domain.as_ref())))
            }
            Request::Remove { domain, selector } => {
                self.store.dkim_remove(&domain, &selector).await.map_err(sentence)?;
                Ok(Answer::Changed(1))
            }
            Request::Records { domain } => self.records(&domain, now).map(Answer::Records),
        }
    }

    /// Carries out a request about the directory; a new domain gets its keys at once.
    pub(crate) async fn edit(&self, request: directory::Request, now: Timestamp) -> Result<Answer, Refused> {
        let new = match &request {
            directory::Request::DomainAdd { domain, .. } => Some(domain.clone()),
            _ => None,
        };
        let answer = directory::answer(&self.store, request).await?;
        if let Some(domain) = new {
            let made = self.create(&domain, now).await;
            made.map_err(|why| format!("{domain} was added, but {why}; try again: posthouse dkim create {domain}"))?;
        }
        Ok(answer)
    }

    /// Makes the keys of a domain. Returns those that it has now.
    pub(crate) async fn create(&self, domain: &Domain, now: Timestamp) -> Result<Vec<KeyRow>, Refused> {
        self.known(domain)?;
        let directory = self.store.directory();
        let first = directory.dkim_keys(domain).is_none();
        let state = if first { KeyState::Active } else { KeyState::Waiting };
        let (keyring, chance, of) = (Arc::clone(&self.keyring), self.chance.clone(), domain.clone());
        let made = tokio::task::spawn_blocking(move || keyring.make(&of, state, now, &chance));
        let made = made.await.map_err(|_| "the keys could not be made: the server is stopping".to_owned())?;
        let keys: Vec<DkimKey> = made.map_err(|error| format!("the keys could not be made: {error}"))?;
        self.store.dkim_add(domain, &keys).await.map_err(|error| error.to_string())?;
        Ok(self.rows(Some(domain)))
    }

    fn known(&self, domain: &Domain) -> Result<(), Refused> {
        match self.store.directory().domain_kind(domain) {
            Some(_) => Ok(()),
            None => Err(store::ChangeError::NoSuchDomain(domain.clone()).to_string()),
        }
    }

    fn rows(&self, only: Option<&Domain>) -> Vec<KeyRow> {
        let directory = self.store.directory();
        let domains = directory.domains().into_iter().map(|entry| entry.domain);
        let mut rows = Vec::new();
        for domain in domains.filter(|domain| only.is_none_or(|only| only == domain)) {
            let keys = directory.dkim_keys(&domain).map_or(&[][..], |keys| keys);
            rows.extend(keys.iter().map(|key| KeyRow {
                domain: domain.to_string(),
                selector: key.selector.clone(),
                state: key.state,
                since: Rfc3339(key.since),
                name: records::dkim_name(&domain, key),
                record: key.record.clone(),
            }));
        }
        rows
    }

    fn records(&self, domain: &Domain, now: Timestamp) -> Result<Vec<Record>, Refused> {
        self.known(domain)?;
        let directory = self.store.directory();
        let keys = directory.dkim_keys(domain).map_or(&[][..], |keys| keys);
        Ok(records::records(&Facts { domain, hostname: &self.hostname, addresses: &self.addresses, keys, now }))
    }
}
