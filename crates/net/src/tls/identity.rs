//! A certificate with its key, read from PEM files; what is wrong with them is said in words.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mail::Timestamp;
use rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{TlsError, provider, validity::Validity};

/// Bytes of a PEM file: a chain of a hundred certificates is far less.
const FILE_MAX: u64 = 1 << 20;

/// Octets of a file that are shown in a complaint.
const SHOWN_MAX: usize = 80;

/// A certificate chain and the key of its first certificate.
#[derive(Debug)]
pub(super) struct Identity {
    certified: Arc<CertifiedKey>,
    path: PathBuf,
    /// Nothing when the certificate cannot be read so far: TLS does not need it.
    pub(super) validity: Option<Validity>,
}

impl Identity {
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_certificates(certificate)?;
        let private_key = read_key(key)?;
        let bad_key = |error: rustls::Error| TlsError::BadKey { path: key.into(), why: error.to_string() };
        let signer = provider().key_provider.load_private_key(private_key).map_err(bad_key)?;
        let validity = chain.first().and_then(|first| Validity::of_certificate(first));
        let certified = CertifiedKey::new(chain, signer);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { certificate: certificate.into(), key: key.into() }
            }
            other => TlsError::BadCertificate { path: certificate.into(), why: other.to_string() },
        })?;
        Ok(Self { certified: Arc::new(certified), path: certificate.into(), validity })
    }

    pub(super) fn resolver(&self) -> SingleCertAndKey {
        SingleCertAndKey::from(Arc::clone(&self.certified))
    }

    pub(super) fn warn_unless_valid(&self, now: Timestamp) {
        let Some(validity) = self.validity else { return };
        let path = self.path.display();
        if now > validity.not_after {
            tracing::warn!(certificate = %path, expired = %validity.not_after, "the certificate has expired; clients that check will refuse it: renew it and reload");
        } else if now < validity.not_before {
            tracing::warn!(certificate = %path, valid_from = %validity.not_before, "the certificate is not valid yet; is the clock right?");
        }
    }
}

/// All certificates of a PEM file, at least one.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_file(path)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| TlsError::BrokenPem { path: path.into(), why: broken(&error) })?;
    if chain.is_empty() {
        let hint = if contains(&text, "PRIVATE KEY-----") {
            "; it holds a private key: were the two files swapped?"
        } else {
            ""
        };
        return Err(TlsError::NoCertificate { path: path.into(), hint });
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read_file(path)?;
    if contains(&text, "-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains(&text, "Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey { path: path.into() });
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if contains(&text, "-----BEGIN CERTIFICATE-----") => {
            TlsError::NoKey { path: path.into(), hint: "; it holds a certificate: were the two files swapped?" }
        }
        pem::Error::NoItemsFound => TlsError::NoKey { path: path.into(), hint: "" },
        other => TlsError::BrokenPem { path: path.into(), why: broken(&other) },
    })
}

/// What is wrong with PEM text. The library shows octets as numbers.
fn broken(error: &pem::Error) -> String {
    let shown = |octets: &[u8]| mail::for_log(&String::from_utf8_lossy(octets), SHOWN_MAX);
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("it is cut off, the line -----END {}----- is missing", shown(end_marker))
        }
        pem::Error::IllegalSectionStart { line } => format!("a section begins with the odd line {}", shown(line)),
        pem::Error::Base64Decode(_) => "what stands between the lines is no base64".into(),
        other => other.to_string(),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |why: String| TlsError::Unreadable { path: path.into(), why };
    let length = fs::metadata(path).map_err(|error| unreadable(in_words(&error)))?.len();
    if length > FILE_MAX {
        return Err(unreadable(format!("it is larger than {FILE_MAX} bytes: not a PEM file")));
    }
    fs::read(path).map_err(|error| unreadable(in_words(&error)))
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => {
            "permission denied: the user that runs posthouse must be able to read it".into()
        }
        _ => error.to_string(),
    }
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}
