//! Certificates and keys that are wrong, and what is said about them; the pair that we make ourselves.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use mail::Timestamp;
use net::{
    Clock,
    tls::{Client, Server, Source, TlsError},
};
use rcgen::{CertificateParams, KeyPair};

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["mx.example.net".into()]).unwrap().self_signed(&key).unwrap();
        files.write("cert.pem", &certificate.pem());
        files.write("key.pem", &key.serialize_pem());
        files.write("other.pem", &KeyPair::generate().unwrap().serialize_pem());
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn load(&self, certificate: &str, key: &str) -> Result<Server, TlsError> {
        let source = Source::Files { certificate: self.path(certificate), key: self.path(key) };
        Server::new(source, Clock::system())
    }

    fn complaint(&self, certificate: &str, key: &str) -> String {
        self.load(certificate, key).unwrap_err().to_string()
    }
}

fn check(complaint: &str, expected: &[&str]) {
    assert!(expected.iter().all(|part| complaint.contains(part)), "{complaint:?} should say {expected:?}");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_file() {
    let files = Files::new();
    files.load("cert.pem", "key.pem").unwrap();
    files.write("empty.pem", "");
    files.write("encrypted.pem", ENCRYPTED);
    files.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    files.write("junk.pem", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n");
    check(&files.complaint("cert.pem", "other.pem"), &["other.pem", "cert.pem", "does not belong"]);
    check(&files.complaint("missing.pem", "key.pem"), &["missing.pem", "no such file"]);
    check(&files.complaint("cert.pem", "missing.pem"), &["missing.pem", "no such file"]);
    check(&files.complaint("key.pem", "cert.pem"), &["key.pem", "no certificate", "swapped"]);
    check(&files.complaint("cert.pem", "cert.pem"), &["cert.pem", "no private key", "swapped"]);
    check(&files.complaint("empty.pem", "key.pem"), &["empty.pem", "no certificate"]);
    check(&files.complaint("cert.pem", "empty.pem"), &["empty.pem", "no private key"]);
    check(&files.complaint("cert.pem", "encrypted.pem"), &["encrypted.pem", "passphrase", "openssl pkey"]);
    check(&files.complaint("broken.pem", "key.pem"), &["broken.pem", "no base64", "copy the file again"]);
    check(&files.complaint("cert.pem", "junk.pem"), &["junk.pem", "cannot be used"]);
    check(&files.complaint(".", "key.pem"), &["cannot read"]);
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_said_in_words() {
    let files = Files::new();
    for (name, label) in [("cert.pem", "CERTIFICATE"), ("key.pem", "PRIVATE KEY")] {
        let whole = fs::read_to_string(files.path(name)).unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        files.write("cut.pem", &lines[..lines.len() - 1].join("\n"));
        let complaint = if name == "cert.pem" {
            files.complaint("cut.pem", "key.pem")
        } else {
            files.complaint("cert.pem", "cut.pem")
        };
        let missing = format!("cut off, the line -----END {label}----- is missing");
        check(&complaint, &["cut.pem", &missing, "expected", "copy the file again"]);
        assert!(!complaint.contains('['), "no octets as numbers: {complaint}");
    }
}

#[tokio::test]
async fn an_unreadable_key_is_said() {
    let files = Files::new();
    fs::set_permissions(files.path("key.pem"), fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    if fs::read(files.path("key.pem")).is_err() {
        check(&files.complaint("cert.pem", "key.pem"), &["key.pem", "permission denied"]);
    }
}

#[tokio::test]
async fn an_expired_certificate_is_used_and_known() {
    let files = Files::new();
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["mx.example.net".into()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
    files.write("old.pem", &parameters.self_signed(&key).unwrap().pem());
    files.write("old-key.pem", &key.serialize_pem());
    let server = files.load("old.pem", "old-key.pem").unwrap();
    assert_eq!(server.not_after(), Some(Timestamp::from_secs(978_307_200)));
}

#[tokio::test]
async fn an_extra_authority_is_read_or_complained_about() {
    let files = Files::new();
    Client::verified(Some(&files.path("cert.pem")), Clock::system()).unwrap();
    let complaint = Client::verified(Some(&files.path("key.pem")), Clock::system()).unwrap_err().to_string();
    check(&complaint, &["key.pem", "no certificate"]);
}

fn own(directory: &Path, clock: &Clock) -> Result<Server, TlsError> {
    Server::new(Source::SelfSigned { directory: directory.into(), hostname: "mx.example.net".into() }, clock.clone())
}

#[tokio::test]
async fn our_own_pair_is_made_once_and_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("tls");
    let clock = Clock::simulated(Timestamp::from_secs(1_709_208_000));
    let server = own(&directory, &clock).unwrap();
    // Made on 29 February 2024.
    assert!(server.not_after().unwrap().to_rfc3339().starts_with("2034-02-01"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!((mode(&directory.join("key.pem")), mode(&directory.join("cert.pem"))), (0o600, 0o600));
    let read = || (fs::read(directory.join("cert.pem")).unwrap(), fs::read(directory.join("key.pem")).unwrap());
    let first = read();
    own(&directory, &clock).unwrap();
    assert!(read() == first);

    // Half a pair, and a pair that has expired, are made anew.
    fs::remove_file(directory.join("cert.pem")).unwrap();
    own(&directory, &clock).unwrap();
    let second = read();
    assert!(second.0 != first.0 && second.1 != first.1);
    clock.step_wall(11 * 366 * 86_400);
    own(&directory, &clock).unwrap();
    assert!(read().0 != second.0);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_said() {
    let parent = tempfile::tempdir().unwrap();
    let blocked = parent.path().join("file");
    fs::write(&blocked, "").unwrap();
    let error = own(&blocked.join("tls"), &Clock::system()).unwrap_err();
    assert!(matches!(error, TlsError::Unwritable { .. }), "{error}");
    check(&error.to_string(), &["tls", "cannot write"]);
}

#[tokio::test]
async fn a_long_or_odd_host_name_still_gets_a_certificate() {
    for hostname in ["x.".repeat(60) + "example", "192.0.2.1".into(), "localhost".into(), "my_box".into()] {
        let directory = tempfile::tempdir().unwrap();
        let source = Source::SelfSigned { directory: directory.path().into(), hostname: hostname.clone() };
        Server::new(source, Clock::system()).unwrap_or_else(|error| panic!("{hostname}: {error}"));
    }
}
