//! `posthouse check`.

use super::{Place, terminal::say};

/// Reads the configuration as the server would and says that it holds together.
pub(super) fn config(place: &Place) -> anyhow::Result<()> {
    let config = place.config()?;
    let listeners: usize = config.listeners.iter().map(|listener| listener.addresses.len()).sum();
    let file = match &place.config {
        Some(file) => file.display().to_string(),
        None => "no file, the sandbox".to_owned(),
    };
    say(&format!(
        "{file}: good. {} listens on {listeners} addresses, has {} routes, and keeps its data in {}.",
        config.hostname,
        config.routes.len(),
        config.data_dir.display()
    ));
    Ok(())
}
