//! Why a chain failed.

use crate::dkim;

/// The three fields of a set (RFC 8617 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// What the sealer found out.
    AuthenticationResults,
    /// Its signature over the message.
    MessageSignature,
    /// Its signature over the chain.
    Seal,
}

impl FieldKind {
    pub(super) const ALL: [Self; 3] = [Self::AuthenticationResults, Self::MessageSignature, Self::Seal];

    /// The name of the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthenticationResults => "ARC-Authentication-Results",
            Self::MessageSignature => "ARC-Message-Signature",
            Self::Seal => "ARC-Seal",
        }
    }
}

/// Why a chain failed. `Display` is a phrase of ASCII without quotes, for Authentication-Results and for logs. The
/// number is the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// §5.2 step 1: more than fifty.
    #[error("the chain has too many sets")]
    TooManySets,
    /// More fields than are looked at.
    #[error("too many header fields")]
    TooManyFields,
    /// A field has no `i=`, or not one from 1 to 50.
    #[error("{} has no instance", .0.as_str())]
    Instance(FieldKind),
    /// A set has a field twice.
    #[error("set {0} has {field} twice", field = .1.as_str())]
    Repeated(u8, FieldKind),
    /// A set lacks a field, or the whole set is missing.
    #[error("set {0} has no {field}", field = .1.as_str())]
    Incomplete(u8, FieldKind),
    /// §5.2 step 2: somebody before us found the chain broken.
    #[error("the chain was broken on arrival at set {0}")]
    Broken(u8),
    /// §5.2 step 3: `cv=` is not `none` of the first and `pass` of all others.
    #[error("seal {0} has the wrong chain status")]
    ChainStatus(u8),
    /// §4.1.3: a seal has `h=`.
    #[error("seal {0} names fields")]
    SealNamesFields(u8),
    /// §4.1.2: a message signature covers seals.
    #[error("message signature {0} covers seals")]
    SealsSigned(u8),
    /// The newest message signature does not verify.
    #[error("message signature {0}: {1}")]
    Message(u8, dkim::Reason),
    /// A seal does not verify.
    #[error("seal {0}: {1}")]
    Seal(u8, dkim::Reason),
}
