//! Who may read what: files with secrets that others can read, and files that the server itself cannot.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::Access,
    process::{getegid, geteuid},
};

use super::{Account, exists};
use crate::{
    config::{Config, Route, Target},
    secret,
};

/// Entries of data_dir whose owner is looked at.
const ENTRIES_MAX: usize = 1000;

/// What holds a secret, and is shown or hidden by its mode.
struct Guarded {
    path: PathBuf,
    what: &'static str,
}

/// Every file of a configuration that is secret, without those that only this server writes.
fn secrets(config: &Config) -> Vec<Guarded> {
    let key = config.tls.iter().map(|tls| Guarded { path: tls.key.clone(), what: "the private key" });
    let password = |route: &Route| match &route.target {
        Target::Relay { credentials: Some(credentials), .. } => {
            Some(Guarded { path: credentials.file.clone(), what: "the password file" })
        }
        Target::Relay { .. }
        | Target::Mx { .. }
        | Target::Maildir
        | Target::Capture
        | Target::Hold
        | Target::Reject => None,
    };
    let passwords = config.routes.iter().filter_map(password);
    key.chain(passwords).collect()
}

/// A sentence for each file or folder that others can read and should not.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let data_dir = Guarded { path: config.data_dir.clone(), what: "the directory of mail (data_dir)" };
    let made_key = Guarded { path: config.data_dir.join("tls/key.pem"), what: "the private key" };
    let secret = Guarded { path: secret::path(&config.data_dir), what: "the server's secret" };
    let all = std::iter::once(data_dir).chain([made_key, secret]).chain(secrets(config));
    all.filter_map(|guarded| complaint(&guarded)).collect()
}

fn complaint(guarded: &Guarded) -> Option<String> {
    let found = fs::metadata(&guarded.path).ok()?;
    let (mode, shown) = (found.permissions().mode() & 0o777, guarded.path.display());
    // A key of root that only the server's own group may read is how a certificate is shared with it.
    let shared = mode & 0o007 == 0 && found.is_file() && found.gid() == getegid().as_raw() && found.uid() == 0;
    if mode & 0o077 == 0 || shared {
        return None;
    }
    let readers = if mode & 0o007 == 0 { "its group" } else { "everybody on this machine" };
    let right = if found.is_dir() { "700" } else { "600" };
    Some(format!("{shown}, {}, is open to {readers} (mode {mode:03o}); close it: chmod {right} {shown}", guarded.what))
}

/// Refuses files in data_dir of another owner: SQLite would say only that they cannot be written.
pub(super) fn require_ours(data_dir: &Path, account: &Account) -> anyhow::Result<()> {
    let me = geteuid().as_raw();
    let folders = [data_dir.to_owned(), data_dir.join("spool"), data_dir.join("tls")];
    for folder in folders.iter().filter(|folder| exists(folder)) {
        let mut entries = fs::read_dir(folder)?.take(ENTRIES_MAX).filter_map(Result::ok);
        let foreign = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|found| found.uid() != me);
        if let Some(foreign) = entries.find(foreign) {
            anyhow::bail!(
                "{} is not of {account}: an earlier server had another; give it everything: chown -R {}: {}",
                foreign.path().display(),
                account.name,
                data_dir.display()
            );
        }
    }
    Ok(())
}

/// Refuses files of the configuration that the account cannot read: they would be missed at the next reload.
pub(super) fn require_readable(config: &Config, account: &Account) -> anyhow::Result<()> {
    let certificate = config.tls.iter().map(|tls| tls.certificate.clone());
    let authorities = config.authorities.iter().cloned();
    let files = certificate.chain(authorities).chain(secrets(config).into_iter().map(|secret| secret.path));
    for file in files {
        if let Err(error) = rustix::fs::access(&file, Access::READ_OK) {
            let (shown, group) = (file.display(), account.gid.as_raw());
            anyhow::bail!(
                "{account} cannot read {shown} ({error}); let it, and nobody else: chgrp {group} {shown} && chmod 640 {shown} \
                 (and the same with 750 for the folders above it)"
            );
        }
    }
    Ok(())
}
