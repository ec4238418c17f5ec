//! Sealing what is kept in the store but must be known to this server only: AES-256-GCM under a key of its purpose.
//!
//! `version 1, one octet │ nonce, 12 │ ciphertext │ tag, 16`. The place where it is kept is authenticated with it: what is
//! moved to another row does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use net::Chance;
use zeroize::Zeroizing;

use super::{Purpose, Secret};

/// The form written now.
const VERSION: u8 = 1;

/// It was sealed under another secret, for another place, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed under another secret.key, or is damaged; restore the secret.key that belongs to this store")]
pub(crate) struct Unopened;

impl Secret {
    /// Seals `plain` for `place`.
    pub(crate) fn seal(&self, purpose: Purpose, place: &str, plain: &[u8], chance: &Chance) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = chance.bytes();
        let mut within = plain.to_vec();
        let key = self.sealing_key(purpose);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut within)
            .expect("what is sealed is much shorter than 64 GiB");
        let mut sealed = vec![VERSION];
        sealed.extend(nonce);
        sealed.append(&mut within);
        sealed
    }

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    /// When it was not, or not by this secret.
    pub(crate) fn unseal(&self, purpose: Purpose, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let Some((&VERSION, rest)) = sealed.split_first() else {
            return Err(Unopened);
        };
        let (nonce, within) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unopened)?;
        let mut within = Zeroizing::new(within.to_vec());
        let key = self.sealing_key(purpose);
        let opened =
            key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place.as_bytes()), &mut within[..]);
        let length = opened.map_err(|_| Unopened)?.len();
        within.truncate(length);
        Ok(within)
    }

    fn sealing_key(&self, purpose: Purpose) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &self.key(purpose)[..]).expect("the key has 256 bits");
        LessSafeKey::new(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(seed: u64) -> Secret {
        let folder = tempfile::tempdir().unwrap();
        Secret::load(folder.path(), &Chance::seeded(seed)).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let (ours, chance) = (secret(1), Chance::seeded(2));
        let sealed = ours.seal(Purpose::Signing, "example.net r1", b"a private key", &chance);
        assert!(!sealed.windows(7).any(|octets| octets == b"private"));
        let open = |secret: &Secret, purpose, place| secret.unseal(purpose, place, &sealed);
        assert_eq!(open(&ours, Purpose::Signing, "example.net r1").unwrap()[..], b"a private key"[..]);
        assert_eq!(open(&ours, Purpose::Signing, "example.org r1"), Err(Unopened));
        assert_eq!(open(&ours, Purpose::Forwarding, "example.net r1"), Err(Unopened));
        assert_eq!(open(&secret(3), Purpose::Signing, "example.net r1"), Err(Unopened));
        assert_ne!(sealed, ours.seal(Purpose::Signing, "example.net r1", b"a private key", &chance));
    }

    #[test]
    fn what_is_damaged_does_not_open() {
        let ours = secret(1);
        let sealed = ours.seal(Purpose::Signing, "p", b"key", &Chance::seeded(2));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(ours.unseal(Purpose::Signing, "p", &damaged), Err(Unopened), "octet {at}");
            assert_eq!(ours.unseal(Purpose::Signing, "p", &sealed[..at]), Err(Unopened), "cut at {at}");
        }
    }
}
