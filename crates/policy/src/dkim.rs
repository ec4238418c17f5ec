//! DKIM (RFC 6376, 8301, 8463): who takes responsibility for a message, shown by a signature over header and body.
//!
//! Verifying and signing share a pass over the message:
//!
//! ```text
//! let fields = Fields::parse(header);                  the header section, once
//! let mut bodies = BodyHasher::default();
//! let mut verify = Verify::new(&fields, now, &mut bodies);
//! for question in verify.questions() { … }             verify.answer(&question, &answer), in any order
//! bodies.update(piece); …                              the body, cut anywhere
//! let report = verify.finish(&bodies.finish());
//! ```
//! [`Signer::begin`] and [`Signing::finish`] stand in the places of `Verify::new` and `Verify::finish`.
//!
//! Bounds (attacks E6): ten signatures, 500 names in `h=`, 16 KiB in a field, RSA keys of 1024 to 4096 bits; `l=` is
//! verified but does not pass when the body goes on behind it. Not here: what a result means for the message; that is
//! DMARC's and the operator's.

mod canon;
mod fields;
mod hash;
pub mod key;
mod record;
mod sign;
mod signature;
mod verdict;
mod verify;

pub use canon::Canon;
pub use fields::{FIELDS_MAX, Fields};
pub use hash::{BodyHash, BodyHashId, BodyHasher, BodyHashes};
pub use key::{KeyError, PrivateKey};
pub use record::{KeyRecord, PublicKey, RSA_BITS_MAX, RSA_BITS_MIN};
pub use sign::{KEYS_MAX, OVERSIGNED, SIGNED, SignError, Signer, Signing, SigningKey};
pub use signature::{Algorithm, FIELD_OCTETS, NAMES_MAX, Signature};
pub use verdict::{Outcome, Reason, Report, Verdict};
pub use verify::{SIGNATURES_MAX, Verify};

/// What ARC (RFC 8617) takes from DKIM beside the types above.
pub(crate) mod parts {
    pub(crate) use super::{
        canon::field as canonical_field,
        hash::Hasher,
        record::question,
        signature::{domain, selector, signature_octets, tags_of},
    };
}
