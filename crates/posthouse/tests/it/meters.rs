//! What `/metrics` says of itself.

use std::{collections::BTreeSet, fs, path::Path};

/// Every name in the sources of all crates that follows one of these macros.
fn names(macros: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> =
        fs::read_dir(crates).expect("the crates").flatten().map(|entry| entry.path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(source) = fs::read_to_string(&path) {
                found.extend(macros.iter().flat_map(|name| names_after(&source, name)));
            }
        }
    }
    found
}

fn names_after(source: &str, name: &str) -> Vec<String> {
    let calls = source
        .match_indices(name)
        .filter(|(at, _)| !source[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_'));
    let literal = |(at, _): (usize, &str)| {
        let rest = source[at + name.len()..].trim_start().strip_prefix('"')?;
        rest.split_once('"').map(|(literal, _)| literal.to_owned())
    };
    calls.filter_map(literal).collect()
}

#[test]
fn whatever_is_counted_is_described() {
    let counted = names(&["counter!(", "gauge!(", "histogram!("]);
    let described = names(&["describe_counter!(", "describe_gauge!(", "describe_histogram!("]);
    assert!(counted.contains("posthouse_inbound_messages_total"), "{counted:?}");
    let bare: Vec<_> = counted.difference(&described).collect();
    assert!(bare.is_empty(), "no # HELP for {bare:?}");
    let unused: Vec<_> = described.difference(&counted).collect();
    assert!(unused.is_empty(), "described and never counted: {unused:?}");
}
