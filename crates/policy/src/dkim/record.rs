//! What a domain publishes below `_domainkey` (RFC 6376 §3.6.1): a public key, and what it may be used for.

use aws_lc_rs::{
    digest::{Digest, SHA256},
    signature::{ED25519, ParsedPublicKey, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY},
};

use crate::{
    dns::{Answer, Kind, Name, Question},
    tags::{self, Tags},
};

use super::{hash::Sha256, signature::Algorithm, verdict::Reason};

/// RFC 8301 §3.2: signatures by shorter RSA keys are not valid.
pub const RSA_BITS_MIN: u32 = 1024;
/// RFC 8301 §3.2: verifiers must do up to 4096 bits; more is a way to make us work.
pub const RSA_BITS_MAX: u32 = 4096;
/// Octets of a public key that are looked at: RSA of 16,384 bits, to be able to say how many it has.
const KEY_OCTETS: usize = 2200;
/// Records of one name that are looked at. RFC 6376 §3.6.2.2 wants one.
const RECORDS_MAX: usize = 8;
/// Octets of an Ed25519 key (RFC 8463 §4.2: as it is, in no ASN.1).
const ED25519_OCTETS: usize = 32;

/// A key record.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// `k=` and `p=`.
    pub key: PublicKey,
    /// `t=y`: the domain is testing.
    pub testing: bool,
    /// `t=s`: an identity must be of exactly the signing domain.
    pub strict: bool,
    /// `h=` allows SHA-256, or is left out.
    allows_sha256: bool,
    /// `s=` allows mail, or is left out.
    allows_mail: bool,
}

/// A public key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    algorithm: Algorithm,
    bits: u32,
    key: ParsedPublicKey,
}

/// Where a key is published (RFC 6376 §3.6.2.1). Nothing when the name would be too long.
pub(crate) fn question(selector: &Name, domain: &Name) -> Option<Question> {
    let name = Name::parse(&format!("{selector}._domainkey.{domain}")).ok()?;
    Some(Question { name, kind: Kind::Txt })
}

impl KeyRecord {
    /// Reads one TXT record, its strings joined.
    ///
    /// # Errors
    /// Why it has no key that can be used.
    pub fn parse(text: &[u8]) -> Result<Self, Reason> {
        let tags = Tags::parse(text).map_err(|_| Reason::KeySyntax)?;
        // RFC 6376 §3.6.1: v= may be left out; if not, it comes first.
        let version = tags.get("v").unwrap_or("DKIM1");
        if version != "DKIM1" || (tags.get("v").is_some() && tags.first().is_none_or(|first| first.name != "v")) {
            return Err(Reason::KeySyntax);
        }
        let list = |name| tags.get(name).map(|value| tags::colon_list(value).collect::<Vec<_>>());
        let flags = list("t").unwrap_or_default();
        let has = |list: Option<Vec<&str>>, wanted: &[&str]| {
            list.is_none_or(|list| {
                list.iter().any(|word| wanted.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)))
            })
        };
        Ok(Self {
            key: PublicKey::read(tags.get("k").unwrap_or("rsa"), tags.get("p").ok_or(Reason::KeySyntax)?)?,
            testing: flags.contains(&"y"),
            strict: flags.contains(&"s"),
            allows_sha256: has(list("h"), &["sha256"]),
            allows_mail: has(list("s"), &["*", "email"]),
        })
    }

    /// Whether a signature by that algorithm may use the key.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, algorithm: Algorithm) -> Result<(), Reason> {
        if self.key.algorithm != algorithm {
            return Err(Reason::KeyType);
        }
        if !self.allows_sha256 {
            return Err(Reason::KeyHash);
        }
        if !self.allows_mail {
            return Err(Reason::KeyService);
        }
        Ok(())
    }

    /// The key in an answer of the DNS. Records that are no keys (a wildcard's SPF) don't matter beside one that is;
    /// of several keys the first that fits the algorithm is taken.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(answer: &Answer, algorithm: Algorithm) -> Result<Self, Reason> {
        let records = match answer {
            Answer::Txt(records) => records,
            // RFC 6376 §6.1.2: no answer is a temporary failure, no record a permanent one.
            Answer::Failed => return Err(Reason::KeyUnavailable),
            _ => return Err(Reason::NoKey),
        };
        let mut why = if records.is_empty() { Reason::NoKey } else { Reason::KeySyntax };
        for text in records.iter().take(RECORDS_MAX) {
            let record = Self::parse(text).and_then(|record| record.check(algorithm).map(|()| record));
            match record {
                Ok(record) => return Ok(record),
                Err(reason) if why == Reason::KeySyntax => why = reason,
                Err(_) => {}
            }
        }
        Err(why)
    }
}

impl PublicKey {
    /// Reads `k=` and `p=`.
    pub(crate) fn read(kind: &str, value: &str) -> Result<Self, Reason> {
        if tags::trimmed(value).is_empty() {
            return Err(Reason::Revoked);
        }
        let algorithms = [Algorithm::RsaSha256, Algorithm::Ed25519Sha256];
        let algorithm = algorithms.into_iter().find(|known| kind.eq_ignore_ascii_case(known.key_type()));
        let octets = tags::base64_octets(value, KEY_OCTETS).ok_or(Reason::KeySyntax)?;
        match algorithm.ok_or(Reason::KeyType)? {
            Algorithm::RsaSha256 => Self::rsa(&octets),
            Algorithm::Ed25519Sha256 => Self::ed25519(&octets),
        }
    }

    /// A SubjectPublicKeyInfo, as everybody publishes it, or the RSAPublicKey of the letter of RFC 6376 §3.6.1.
    fn rsa(der: &[u8]) -> Result<Self, Reason> {
        let bits = modulus_bits(der).ok_or(Reason::KeySyntax)?;
        if bits < RSA_BITS_MIN {
            return Err(Reason::WeakKey(bits));
        }
        if bits > RSA_BITS_MAX {
            return Err(Reason::HugeKey(bits));
        }
        let key = ParsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, der);
        Ok(Self { algorithm: Algorithm::RsaSha256, bits, key: key.map_err(|_| Reason::KeySyntax)? })
    }

    fn ed25519(octets: &[u8]) -> Result<Self, Reason> {
        if octets.len() != ED25519_OCTETS {
            return Err(Reason::KeySyntax);
        }
        let key = ParsedPublicKey::new(&ED25519, octets).map_err(|_| Reason::KeySyntax)?;
        Ok(Self { algorithm: Algorithm::Ed25519Sha256, bits: 256, key })
    }

    /// What it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its size in bits.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Whether `signature` is one of that hash.
    pub(crate) fn verify(&self, hash: &Sha256, signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::RsaSha256 => Digest::import_less_safe(hash, &SHA256)
                .is_ok_and(|digest| self.key.verify_digest_sig(&digest, signature).is_ok()),
            // RFC 8463 §3: what is signed is the hash.
            Algorithm::Ed25519Sha256 => self.key.verify_sig(hash, signature).is_ok(),
        }
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// Bits of the modulus of an RSA key in DER, with or without a SubjectPublicKeyInfo around it. Reads no more than is
/// needed for that; the library judges the key.
fn modulus_bits(der: &[u8]) -> Option<u32> {
    let (mut outer, _) = element(der, SEQUENCE)?;
    if outer.first() == Some(&SEQUENCE) {
        let (_, rest) = element(outer, SEQUENCE)?;
        let (bits, _) = element(rest, BIT_STRING)?;
        (outer, _) = element(bits.strip_prefix(b"\0")?, SEQUENCE)?;
    }
    let (modulus, _) = element(outer, INTEGER)?;
    let modulus = modulus.get(modulus.iter().position(|octet| *octet != 0)?..)?;
    u32::try_from(modulus.len()).ok()?.checked_mul(8)?.checked_sub(modulus.first()?.leading_zeros())
}

/// The content of the element at the beginning, which must have that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    if *first < 0x80 {
        return rest.split_at_checked(usize::from(*first));
    }
    let (octets, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
    let length =
        octets.iter().try_fold(0_usize, |length, octet| Some(length.checked_mul(256)? + usize::from(*octet)))?;
    rest.split_at_checked(length)
}
