//! Private keys: read, written, made; and the record that publishes their other half.

use aws_lc_rs::{
    digest::{Digest, SHA256},
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::KeySize,
    signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{hash::Sha256, record, signature::Algorithm};

/// Octets of a key file that are read: RSA of 8192 bits in PEM has about 6,500.
const FILE_OCTETS: usize = 16 * 1024;
/// RFC 1035 §3.3: octets of one string of a TXT record.
pub const TXT_STRING_OCTETS: usize = 255;

/// A key that signs. It is not shown by `Debug`.
pub struct PrivateKey(Pair);

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// Why a key can't be read or used. It never quotes the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// More octets than any key has.
    #[error("a private key has at most 16 KiB")]
    TooLong,
    /// PEM that is not base64 between BEGIN and END lines, or of something else than a private key.
    #[error("this is not a private key in PEM: PKCS #8 (PRIVATE KEY) or PKCS #1 (RSA PRIVATE KEY), not encrypted")]
    Pem,
    /// DER that is none of the keys that DKIM knows, or an RSA key of less than 2048 or more than 8192 bits.
    #[error("this is neither an RSA key of 2048 to 8192 bits nor an Ed25519 key")]
    Unsuitable,
    /// RFC 8301 §3.2: verifiers need not take more than 4096 bits.
    #[error("an RSA key of more than 4096 bits is not verified everywhere")]
    TooLarge,
    /// The library failed; it does so when there is no memory or no randomness.
    #[error("the cryptographic library failed")]
    Library,
}

impl PrivateKey {
    /// Reads a key in PEM: PKCS #8, or PKCS #1 as older tools write it.
    ///
    /// # Errors
    /// When it is not PEM, is encrypted, or no key that can sign.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.len() > FILE_OCTETS {
            return Err(KeyError::TooLong);
        }
        let (_, rest) = text.split_once("-----BEGIN ").ok_or(KeyError::Pem)?;
        let (label, rest) = rest.split_once("-----").ok_or(KeyError::Pem)?;
        let (body, _) = rest.split_once("-----END ").ok_or(KeyError::Pem)?;
        if !matches!(label, "PRIVATE KEY" | "RSA PRIVATE KEY") {
            return Err(KeyError::Pem);
        }
        // Room for all at once: a vector that grows leaves copies of the key behind.
        let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
        base64.extend(body.bytes().filter(|octet| !octet.is_ascii_whitespace()));
        let der = Zeroizing::new(STANDARD.decode(&*base64).map_err(|_| KeyError::Pem)?);
        Self::from_der(&der)
    }

    /// Reads a key in DER: PKCS #8, or PKCS #1 for RSA.
    ///
    /// # Errors
    /// When it is no key that can sign.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        if der.len() > FILE_OCTETS {
            return Err(KeyError::TooLong);
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self(Pair::Ed25519(Box::new(pair))));
        }
        let pair = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
        let pair = pair.map_err(|_| KeyError::Unsuitable)?;
        if pair.public_modulus_len() > record::RSA_BITS_MAX as usize / 8 {
            return Err(KeyError::TooLarge);
        }
        Ok(Self(Pair::Rsa(Box::new(pair))))
    }

    /// A new RSA key of 2048 bits (RFC 8301 §3.2).
    ///
    /// This and [`Self::generate_ed25519`] are the exemption from this crate's rule that chance is passed in: the
    /// library makes keys from its own generator, which the system seeds, and takes no other, for good reason. Nothing
    /// that is verified, decided or signed here depends on chance: PKCS #1 v1.5 and Ed25519 signatures do not. Making a
    /// key takes up to a second of CPU; do it off the threads that serve.
    ///
    /// # Errors
    /// When the library fails.
    pub fn generate_rsa() -> Result<Self, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Library)?;
        Ok(Self(Pair::Rsa(Box::new(pair))))
    }

    /// A new Ed25519 key, from the library's own randomness; see [`Self::generate_rsa`].
    ///
    /// # Errors
    /// When the library fails.
    pub fn generate_ed25519() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Library)?;
        Ok(Self(Pair::Ed25519(Box::new(pair))))
    }

    /// What it signs by.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Pair::Rsa(_) => Algorithm::RsaSha256,
            Pair::Ed25519(_) => Algorithm::Ed25519Sha256,
        }
    }

    /// The key in DER, PKCS #8 version 1, to be kept somewhere safe. It wipes itself from memory.
    ///
    /// # Errors
    /// When the library fails.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let der: Pkcs8V1Der<'static> = match &self.0 {
            Pair::Rsa(pair) => pair.as_der(),
            Pair::Ed25519(pair) => pair.as_der(),
        }
        .map_err(|_| KeyError::Library)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// The key in PEM, PKCS #8, as other programs read it. It wipes itself from memory.
    ///
    /// # Errors
    /// When the library fails.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let base64 = Zeroizing::new(STANDARD.encode(&*self.to_pkcs8()?));
        let mut text = Zeroizing::new(String::with_capacity(base64.len() + base64.len() / 32 + 64));
        text.push_str("-----BEGIN PRIVATE KEY-----\n");
        // RFC 7468 §2: lines of 64 characters.
        for (at, character) in base64.chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                text.push('\n');
            }
            text.push(character);
        }
        text.push_str("\n-----END PRIVATE KEY-----\n");
        Ok(text)
    }

    /// The text of the TXT record that publishes its public half at `SELECTOR._domainkey.DOMAIN` (RFC 6376 §3.6.1,
    /// RFC 8463 §4.2). It is longer than one string of a record may be: see [`txt_strings`].
    ///
    /// # Errors
    /// When the library fails.
    pub fn public_record(&self) -> Result<String, KeyError> {
        let public = match &self.0 {
            Pair::Rsa(pair) => {
                let der: PublicKeyX509Der<'static> = pair.public_key().as_der().map_err(|_| KeyError::Library)?;
                STANDARD.encode(der.as_ref())
            }
            Pair::Ed25519(pair) => STANDARD.encode(pair.public_key().as_ref()),
        };
        Ok(format!("v=DKIM1; k={}; p={public}", self.algorithm().key_type()))
    }

    /// The signature of a hash.
    pub(crate) fn sign(&self, hash: &Sha256) -> Result<Vec<u8>, KeyError> {
        match &self.0 {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let digest = Digest::import_less_safe(hash, &SHA256).map_err(|_| KeyError::Library)?;
                pair.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature).map_err(|_| KeyError::Library)?;
                Ok(signature)
            }
            // RFC 8463 §3: what is signed is the hash.
            Pair::Ed25519(pair) => {
                pair.try_sign(hash).map(|signature| signature.as_ref().to_vec()).map_err(|_| KeyError::Library)
            }
        }
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({}, <redacted>)", self.algorithm().as_str())
    }
}

/// Cuts the text of a record into strings of at most 255 octets, as the DNS wants it.
pub fn txt_strings(record: &str) -> Vec<&str> {
    let mut strings = Vec::new();
    let mut rest = record;
    while !rest.is_empty() {
        let (string, after) = rest.split_at(rest.floor_char_boundary(TXT_STRING_OCTETS));
        strings.push(string);
        rest = after;
    }
    strings
}

#[cfg(test)]
mod tests;
