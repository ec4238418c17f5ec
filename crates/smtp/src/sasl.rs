//! Authentication: the mechanisms PLAIN (RFC 4616), LOGIN (an expired draft that everybody speaks) and SCRAM-SHA-256
//! (RFC 5802, RFC 7677), both halves, and the base64 that carries them (RFC 4954 §4).
//!
//! Passwords are not compared here: the server half asks its driver.

use std::{fmt, str::FromStr};

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

pub mod client;
pub mod scram;
pub mod server;

/// Standard base64 (RFC 4648 §4). Padding is written always and may be missing when people type.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The base64 text of some octets.
pub fn encode(octets: &[u8]) -> String {
    BASE64.encode(octets)
}

/// The octets of a base64 text, or nothing when it isn't one.
pub fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    BASE64.decode(text).ok().map(Zeroizing::new)
}

/// A way to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// User name and password in one message (RFC 4616).
    Plain,
    /// User name and password, each after a prompt.
    Login,
    /// Proof of the password without showing it (RFC 7677).
    ScramSha256,
}

impl Mechanism {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Login, Self::ScramSha256];
}

/// The name is not one of a mechanism known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected PLAIN, LOGIN or SCRAM-SHA-256")]
pub struct UnknownMechanism;

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(name: &str) -> Result<Self, UnknownMechanism> {
        Self::ALL.into_iter().find(|mechanism| mechanism.to_string().eq_ignore_ascii_case(name)).ok_or(UnknownMechanism)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
        })
    }
}

/// A password: wiped when dropped, never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}
