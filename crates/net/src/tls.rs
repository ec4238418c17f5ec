//! TLS for both ends: who we are as a server, whom we believe as a client.
//!
//! TLS 1.2 and 1.3 through rustls with aws-lc-rs. Each [`Server`] has a ticket key of its own, so that a session of one
//! service is never resumed on another. A [`Client`] is either *opportunistic* (RFC 7435: any certificate is better than
//! none at all) or *verified*; the two never share a session.

mod client;
mod identity;
mod self_signed;
mod server;
mod validity;

use std::{io, path::PathBuf, sync::Arc};

use mail::TlsSummary;
use rustls::{CommonState, crypto::CryptoProvider, pki_types::UnixTime, time_provider::TimeProvider};

pub use self::{
    client::Client,
    server::{Server, Source},
};
use crate::Clock;

/// Why a server or client cannot be set up: our own files are at fault, and the sentence says which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {why}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {why}", path = path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// No certificate in a file that should have one.
    #[error(
        "{path} holds no certificate: expected PEM text with -----BEGIN CERTIFICATE-----{hint}", path = path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What it holds instead, when that is known.
        hint: &'static str,
    },
    /// No private key in a file that should have one.
    #[error("{path} holds no private key: expected PEM text with -----BEGIN PRIVATE KEY-----{hint}", path = path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What it holds instead, when that is known.
        hint: &'static str,
    },
    /// A PEM file that is cut off or garbled.
    #[error(
        "{path} is not a whole PEM file: {why}; expected lines of base64 from -----BEGIN …----- to -----END …-----: copy \
         the file again from where it was made", path = path.display()
    )]
    BrokenPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key is behind a passphrase.
    #[error(
        "the private key in {path} is encrypted with a passphrase, which nobody can type at start; write it without one: \
         openssl pkey -in {path} -out plain-key.pem", path = path.display()
    )]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// The key cannot be used.
    #[error("the private key in {path} cannot be used: {why}; expected RSA (2048 to 8192 bits), ECDSA P-256, P-384 or P-521, or Ed25519", path = path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A certificate cannot be understood.
    #[error("the certificate in {path} cannot be used: {why}", path = path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// They do not belong together.
    #[error(
        "the key in {key} does not belong to the certificate in {certificate}: the first certificate of the file must be \
         the one made for this key", key = key.display(), certificate = certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Making a certificate failed: our bug.
    #[error("cannot make a certificate for {hostname}: {why}")]
    SelfSigned {
        /// The name it was for.
        hostname: String,
        /// The library's words.
        why: String,
    },
    /// The library refused its settings: our bug.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The peer's certificate does not prove its name.
    #[error("the certificate is not accepted: {0}")]
    Certificate(String),
    /// The two have no version, cipher or application protocol in common.
    #[error("no common ground for TLS: {0}")]
    Incompatible(String),
    /// The peer gave up and said why.
    #[error("the peer ended the handshake: {0}")]
    Alert(String),
    /// What came is not TLS, or breaks its rules.
    #[error("not valid TLS: {0}")]
    Garbage(String),
    /// The connection broke.
    #[error("the connection broke during the handshake: {0}")]
    Network(String),
    /// No certificate could prove this name.
    #[error("{0} is not a name that a certificate can prove")]
    BadName(String),
    /// The stream is under TLS already: our bug.
    #[error("TLS is already on")]
    AlreadyTls,
}

impl HandshakeError {
    pub(crate) fn from_io(error: io::Error) -> Self {
        let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Self::Network(error.to_string());
        };
        match inner {
            rustls::Error::InvalidCertificate(why) => Self::Certificate(why.to_string()),
            rustls::Error::NoCertificatesPresented => Self::Certificate("none was sent".into()),
            rustls::Error::AlertReceived(alert) => Self::Alert(format!("{alert:?}")),
            rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
                Self::Incompatible(inner.to_string())
            }
            other => Self::Garbage(other.to_string()),
        }
    }
}

/// What a finished handshake agreed on, in the words of the IANA registries.
pub(crate) fn summary(state: &CommonState) -> TlsSummary {
    let version = match state.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = state.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    // rustls marks the suites of TLS 1.3 by a prefix of its own.
    let cipher = cipher.replacen("TLS13_", "TLS_", 1);
    TlsSummary { version, cipher }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Certificates and tickets are judged by our clock.
#[derive(Debug)]
struct Wall(Clock);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_secs()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}
