//! The server's secret: 32 octets in `data_dir/secret.key`, made by the first start, mode 0600. It is never used itself;
//! each purpose has a key derived from it (HKDF-SHA-256, RFC 5869), so that one cannot stand for another.
//!
//! Who loses it loses what was sealed under it; nothing that can be made anew: see the manual's page on mending.

mod seal;

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use aws_lc_rs::hkdf;
use net::Chance;
use zeroize::Zeroizing;

/// The file, in data_dir.
const FILE: &str = "secret.key";
/// Octets of the secret and of each key.
const LENGTH: usize = 32;

/// Where it is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// A key's length, for aws-lc.
struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        LENGTH
    }
}

/// What a key is for. The words are part of the derivation: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The salt that names get which no user has (RFC 5802).
    Invention,
    /// The hashes in reverse-paths of forwarded mail.
    Forwarding,
    /// The private keys that sign our domains' mail.
    Signing,
}

impl Purpose {
    fn words(self) -> &'static [u8] {
        match self {
            Self::Invention => b"posthouse 1 invented scram salt",
            Self::Forwarding => b"posthouse 1 srs",
            Self::Signing => b"posthouse 1 dkim keys",
        }
    }
}

/// The secret, in memory that is wiped.
pub(crate) struct Secret(Zeroizing<[u8; LENGTH]>);

impl Secret {
    /// Reads it, or makes it when it was never there.
    pub(crate) fn load(data_dir: &Path, chance: &Chance) -> anyhow::Result<Self> {
        let path = path(data_dir);
        let shown = path.display();
        match fs::read(&path) {
            Ok(bytes) => {
                let bytes = Zeroizing::new(bytes);
                require_private(&path)?;
                let secret = <[u8; LENGTH]>::try_from(bytes.as_slice()).map_err(|_| {
                    let length = bytes.len();
                    anyhow::anyhow!(
                        "{shown} holds {length} bytes and should hold {LENGTH}; restore it, or remove it to have a new one made"
                    )
                })?;
                Ok(Self(Zeroizing::new(secret)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secret = Zeroizing::new(chance.bytes::<LENGTH>());
                write(data_dir, &path, &secret[..]).with_context(|| format!("cannot write {shown}"))?;
                Ok(Self(secret))
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {shown}")),
        }
    }

    /// The key for a purpose.
    pub(crate) fn key(&self, purpose: Purpose) -> Zeroizing<[u8; LENGTH]> {
        let words = [purpose.words()];
        let random = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&self.0[..]);
        let expanded = random.expand(&words, KeyLength).expect("32 octets are one block of SHA-256");
        let mut key = Zeroizing::new([0; LENGTH]);
        expanded.fill(&mut key[..]).expect("the length that was asked for");
        key
    }
}

/// A secret that others have read is none.
fn require_private(path: &Path) -> anyhow::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    anyhow::ensure!(
        mode & 0o077 == 0,
        "{shown} can be read by others (mode {mode:03o}), so it may be known; close it with chmod 600 {shown}, or remove it to \
         have a new one made",
        shown = path.display()
    );
    Ok(())
}

/// Writes it whole or not at all: a torn secret would stop every later start.
fn write(data_dir: &Path, path: &Path, secret: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    if let Err(error) = fs::remove_file(&unfinished)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    fs::File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let load = |seed| Secret::load(folder.path(), &Chance::seeded(seed));
        let first = load(1).unwrap();
        assert_eq!(fs::metadata(path(folder.path())).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(2).unwrap().0, first.0);
        for bad in [0o640, 0o604, 0o660] {
            fs::set_permissions(path(folder.path()), fs::Permissions::from_mode(bad)).unwrap();
            let error = load(2).err().unwrap().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
        fs::set_permissions(path(folder.path()), fs::Permissions::from_mode(0o400)).unwrap();
        assert!(load(2).is_ok());
        fs::remove_file(path(folder.path())).unwrap();
        fs::write(path(folder.path()), b"short").unwrap();
        fs::set_permissions(path(folder.path()), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(load(2).err().unwrap().to_string().contains("holds 5 bytes"));
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let secret = Secret(Zeroizing::new([7; LENGTH]));
        let [invention, forwarding] = [Purpose::Invention, Purpose::Forwarding].map(|purpose| secret.key(purpose));
        assert_ne!(invention, forwarding);
        assert_ne!(invention[..], secret.0[..]);
        assert_eq!(invention, secret.key(Purpose::Invention), "the same at every start");
        assert_ne!(invention, Secret(Zeroizing::new([8; LENGTH])).key(Purpose::Invention));
    }
}
