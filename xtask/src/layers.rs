//! Which crate may use which: a crate uses only crates of a lower layer, never a neighbour's, and the libraries
//! that open a door (sockets, TLS, SQL, HTTP, the clock) are used only by the crate that keeps that door.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The layer of each crate, as drawn in ARCHITECTURE.md.
const LAYERS: &[(&str, u8)] = &[
    ("mail", 0),
    ("smtp", 1),
    ("policy", 1),
    ("net", 2),
    ("spool", 2),
    ("store", 2),
    ("inbound", 3),
    ("outbound", 3),
    ("web", 4),
    ("posthouse", 5),
];

/// Libraries that only some crates may use, and why.
const DOORS: &[(&[&str], &[&str], &str)] = &[
    (
        &["rustls", "tokio-rustls", "rcgen", "hickory-resolver", "socket2"],
        &["net"],
        "net is the only door to the network",
    ),
    (&["rand"], &["net"], "chance is passed in; net asks the system for it"),
    (&["aws-lc-rs"], &["policy", "posthouse"], "signatures are policy's, sealed secrets the binary's"),
    (&["sqlx"], &["store"], "SQL is spoken in store and spool"),
    (&["rusqlite", "libsqlite3-sys"], &["spool"], "SQL is spoken in store and spool"),
    (&["axum"], &["web"], "HTTP is served by web"),
    (&["anyhow"], &["posthouse", "xtask"], "libraries have errors of their own"),
    (&["clap", "indicatif", "toml"], &["posthouse"], "only the binary talks to people"),
];

/// Crates without I/O, clock and chance may not even see a runtime.
const PURE: &[&str] = &["mail", "smtp", "policy"];
const RUNTIMES: &[&str] = &["tokio", "async-trait", "tracing", "metrics", "rustix", "libc"];

/// Words that only some crates may write, for what a manifest can't show: tokio is in many manifests, its sockets are not.
const WORDS: &[(&str, &[&str])] = &[("tokio::net", &["net"]), ("std::net::Tcp", &["net"]), ("std::net::Udp", &["net"])];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    kind: Option<String>,
}

/// Checks the workspace. The error lists every complaint.
pub(crate) fn check() -> Result<String> {
    let metadata = read_metadata()?;
    let mut complaints = Vec::new();
    for package in &metadata.packages {
        complaints.extend(check_manifest(package));
        complaints.extend(check_words(package)?);
    }
    if complaints.is_empty() {
        return Ok(format!("layers: {} crates keep to their layers", metadata.packages.len()));
    }
    bail!("layers are crossed:\n  {}", complaints.join("\n  "))
}

fn read_metadata() -> Result<Metadata> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .context("cargo metadata does not start")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata printed something else than JSON")
}

fn check_manifest(package: &Package) -> Vec<String> {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let own = layers.get(package.name.as_str()).copied();
    if own.is_none() && package.name != "xtask" {
        return vec![format!("{} has no layer: give it one in xtask/src/layers.rs and ARCHITECTURE.md", package.name)];
    }
    let mut complaints = Vec::new();
    for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev")) {
        let used = dependency.name.as_str();
        if let (Some(own), Some(&theirs)) = (own, layers.get(used))
            && theirs >= own
        {
            complaints.push(format!("{} (layer {own}) uses {used} (layer {theirs})", package.name));
        }
        for (libraries, keepers, reason) in DOORS {
            if libraries.contains(&used) && !keepers.contains(&package.name.as_str()) {
                complaints.push(format!("{} uses {used}: {reason}", package.name));
            }
        }
        if PURE.contains(&package.name.as_str()) && RUNTIMES.contains(&used) {
            complaints.push(format!("{} uses {used}: it has no I/O, clock or chance", package.name));
        }
    }
    complaints
}

fn check_words(package: &Package) -> Result<Vec<String>> {
    let root = Path::new(&package.manifest_path).parent().context("a manifest lies in a folder")?;
    let mut complaints = Vec::new();
    for file in rust_files(&root.join("src"))? {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        for (word, keepers) in WORDS {
            if package.name != "xtask" && !keepers.contains(&package.name.as_str()) && text.contains(word) {
                complaints.push(format!("{} names {word}: only {} may", file.display(), keepers.join(", ")));
            }
        }
    }
    Ok(complaints)
}

fn rust_files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependencies =
            uses.iter().map(|(name, kind)| Dependency { name: (*name).into(), kind: kind.map(Into::into) }).collect();
        Package { name: name.into(), manifest_path: String::new(), dependencies }
    }

    #[test]
    fn a_crossed_layer_is_reported() {
        assert!(check_manifest(&package("inbound", &[("spool", None), ("smtp", None)])).is_empty());
        assert_eq!(check_manifest(&package("spool", &[("store", None)])).len(), 1);
        assert_eq!(check_manifest(&package("mail", &[("smtp", None), ("tokio", None)])).len(), 2);
        assert_eq!(check_manifest(&package("outbound", &[("rustls", None)])).len(), 1);
        assert!(check_manifest(&package("smtp", &[("tokio", Some("dev"))])).is_empty());
        assert_eq!(check_manifest(&package("stranger", &[])).len(), 1);
    }
}
