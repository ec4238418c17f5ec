//! The keys that sign our mail: made, sealed into the store, opened again for whoever signs.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use mail::{Domain, Timestamp};
use net::Chance;
use policy::{
    dkim::{KEYS_MAX, KeyError, PrivateKey, Signer, SigningKey},
    dns::Name,
};
use store::{DkimKey, KeyState, Store};

use crate::secret::{Purpose, Secret};

/// Keys of one kind that sign the same message: of two kinds there are, so all find room.
const KEYS_OF_A_KIND: usize = KEYS_MAX / 2;

/// The keys of our domains, ready to sign. A change in the store is seen by the next message.
pub(crate) struct Keyring {
    store: Store,
    secret: Secret,
    ready: Mutex<HashMap<Domain, Ready>>,
}

/// The signer of a domain, and of which keys it was made.
struct Ready {
    of: Arc<[DkimKey]>,
    signer: Option<Arc<Signer>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(<redacted>)")
    }
}

impl Keyring {
    /// The keys of the store, sealed under this secret.
    pub(crate) fn new(store: Store, secret: Secret) -> Self {
        Self { store, secret, ready: Mutex::default() }
    }

    /// Who signs for `domain`: its own keys, or else those of the nearest domain above it that has some (which DMARC takes
    /// for the same: RFC 9989 §4.4).
    pub(crate) fn signer(&self, domain: &Domain) -> Option<Arc<Signer>> {
        let directory = self.store.directory();
        let name = domain.name()?;
        let above = name.match_indices('.').filter_map(|(dot, _)| name.get(dot + 1..)?.parse().ok());
        let owner = std::iter::once(domain.clone()).chain(above).find(|owner| directory.dkim_keys(owner).is_some())?;
        let keys = directory.dkim_keys(&owner)?;
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ready.get(&owner).filter(|known| Arc::ptr_eq(&known.of, keys)) {
            return known.signer.clone();
        }
        // Domains that are gone leave something behind; it is thrown away with the rest now and then.
        if ready.len() > 2 * directory.domains().len() {
            ready.clear();
        }
        let signer = self.make_signer(&owner, keys);
        ready.insert(owner, Ready { of: Arc::clone(keys), signer: signer.clone() });
        signer
    }

    /// The signer of a domain with its active keys, of each kind the newest [`KEYS_OF_A_KIND`]; one that does not open is
    /// left out, and the log says so.
    fn make_signer(&self, domain: &Domain, keys: &[DkimKey]) -> Option<Arc<Signer>> {
        let mut signing: Vec<SigningKey> = Vec::new();
        let mut active: Vec<&DkimKey> = keys.iter().filter(|key| key.state == KeyState::Active).collect();
        active.sort_by(|left, right| (right.since, &right.selector).cmp(&(left.since, &left.selector)));
        for key in active {
            match self.open(domain, key) {
                Ok(key) => {
                    let kind = key.key.algorithm();
                    if signing.iter().filter(|other| other.key.algorithm() == kind).count() < KEYS_OF_A_KIND {
                        signing.push(key);
                    }
                }
                Err(why) => {
                    tracing::error!(%domain, selector = key.selector, %why, "a DKIM key cannot be used; mail goes unsigned by it");
                }
            }
        }
        if signing.is_empty() {
            return None;
        }
        match Signer::new(Name::parse(domain.name()?).ok()?, signing) {
            Ok(signer) => Some(Arc::new(signer)),
            Err(error) => {
                tracing::error!(%domain, %error, "the DKIM keys cannot be used; mail goes unsigned");
                None
            }
        }
    }

    fn open(&self, domain: &Domain, key: &DkimKey) -> Result<SigningKey, String> {
        let place = place(domain, &key.selector);
        let der = self.secret.unseal(Purpose::Signing, &place, &key.secret).map_err(|error| error.to_string())?;
        let private = PrivateKey::from_der(&der).map_err(|error| error.to_string())?;
        let selector = Name::parse(&key.selector).map_err(|error| error.to_string())?;
        Ok(SigningKey { selector, key: Arc::new(private) })
    }

    /// Makes an RSA and an Ed25519 key for a domain. It takes up to a second: call it where that holds nobody up.
    ///
    /// # Errors
    /// When the library fails.
    pub(crate) fn make(
        &self,
        domain: &Domain,
        state: KeyState,
        now: Timestamp,
        chance: &Chance,
    ) -> Result<Vec<DkimKey>, KeyError> {
        let directory = self.store.directory();
        let taken = directory.dkim_keys(domain).map_or(&[][..], |keys| keys);
        let make = |mark: char, private: PrivateKey| {
            let selector = selector(mark, now, taken);
            let secret = self.secret.seal(Purpose::Signing, &place(domain, &selector), &private.to_pkcs8()?, chance);
            Ok(DkimKey { record: private.public_record()?, selector, secret, state, since: now })
        };
        Ok(vec![make('r', PrivateKey::generate_rsa()?)?, make('e', PrivateKey::generate_ed25519()?)?])
    }
}

impl inbound::Signers for Keyring {
    fn signer(&self, domain: &Domain) -> Option<Arc<Signer>> {
        Keyring::signer(self, domain)
    }
}

/// Where a sealed key belongs.
fn place(domain: &Domain, selector: &str) -> String {
    format!("dkim {domain} {}", selector.to_ascii_lowercase())
}

/// A selector that is not taken: the kind of key and the day, `r20261124`, then `r20261124b` and so on.
fn selector(mark: char, now: Timestamp, taken: &[DkimKey]) -> String {
    let day: String =
        now.to_string().chars().take_while(|character| *character != 'T').filter(char::is_ascii_digit).collect();
    let names = std::iter::once(String::new()).chain(('b'..='z').map(String::from));
    names
        .map(|letter| format!("{mark}{day}{letter}"))
        .find(|name| taken.iter().all(|key| !key.selector.eq_ignore_ascii_case(name)))
        .expect("a domain has fewer keys than there are letters")
}

#[cfg(test)]
mod tests;
