//! A certificate of our own, for a server that was given none. Mail between servers is encrypted with it as well as with
//! any other (RFC 7435); people's mail programs will ask about it once.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use mail::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

use super::{TlsError, identity::Identity};

const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";
/// Years that a certificate of ours is valid.
const YEARS: i32 = 10;
/// Octets of a common name (RFC 5280, ub-common-name).
const COMMON_NAME_MAX: usize = 64;

/// Reads the pair in `directory`, and makes it first when it is not complete or has expired.
pub(super) fn read_or_make(directory: &Path, hostname: &str, now: Timestamp) -> Result<Identity, TlsError> {
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    if certificate.exists() && key.exists() {
        let identity = Identity::read(&certificate, &key)?;
        if identity.validity.is_none_or(|validity| now <= validity.not_after) {
            return Ok(identity);
        }
    }
    make(directory, hostname, now)?;
    tracing::info!(certificate = %certificate.display(), hostname, "made a self-signed certificate; set [tls] to use your own");
    Identity::read(&certificate, &key)
}

fn make(directory: &Path, hostname: &str, now: Timestamp) -> Result<(), TlsError> {
    let failed = |error: rcgen::Error| TlsError::SelfSigned { hostname: hostname.into(), why: error.to_string() };
    let key = KeyPair::generate().map_err(failed)?;
    let mut parameters = CertificateParams::new(vec![hostname.to_owned()]).map_err(failed)?;
    parameters.distinguished_name = DistinguishedName::new();
    if hostname.len() <= COMMON_NAME_MAX {
        parameters.distinguished_name.push(DnType::CommonName, hostname);
    }
    let (year, month, day) = date(now);
    parameters.not_before = date_time_ymd(year, month, day);
    // The first of the month: a 29th of February has no tenth birthday.
    parameters.not_after = date_time_ymd(year + YEARS, month, 1);
    let certificate = parameters.self_signed(&key).map_err(failed)?;

    let unwritable = |error: io::Error| TlsError::Unwritable { path: directory.into(), why: error.to_string() };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unwritable)?;
    // The key first: a certificate on the disk has its key beside it, and a lone key is made anew.
    write_private(&directory.join(KEY), key.serialize_pem().as_bytes()).map_err(unwritable)?;
    write_private(&directory.join(CERTIFICATE), certificate.pem().as_bytes()).map_err(unwritable)?;
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(unwritable)
}

/// Writes a file whole or not at all, for its owner's eyes only.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Year, month and day of a time, within what a certificate can say.
fn date(now: Timestamp) -> (i32, u8, u8) {
    let text = now.to_rfc3339();
    let mut parts = text.split(['-', 'T']);
    let year = parts.next().and_then(|year| year.parse().ok()).unwrap_or(1970);
    let mut small = || parts.next().and_then(|part| part.parse::<u8>().ok()).unwrap_or(1);
    (year.clamp(1950, 9900), small(), small())
}
