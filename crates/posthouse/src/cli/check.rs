//! `posthouse check`.

use std::process::ExitCode;

use serde_json::json;

use super::{
    MISUSED, Place,
    terminal::{say, say_json},
};
use crate::{
    config::{Config, ConfigError},
    process,
};

/// Reads the configuration as the server would and says that it holds together, or everything that is wrong.
pub(super) fn config(place: &Place) -> anyhow::Result<ExitCode> {
    match place.config() {
        Ok(config) => {
            say_good(place, &config)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if place.json => {
            let problems = match &error {
                ConfigError::Unreadable { .. } => vec![json!({ "what": error.to_string() })],
                ConfigError::Wrong(complaints) => complaints.to_json(),
            };
            say_json(&json!({ "good": false, "problems": problems }))?;
            Ok(ExitCode::from(MISUSED))
        }
        Err(error) => Err(error.into()),
    }
}

fn say_good(place: &Place, config: &Config) -> anyhow::Result<()> {
    if place.json {
        return say_json(&json!({ "good": true, "problems": [], "warnings": process::warnings(config) }));
    }
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
    for warning in process::warnings(config) {
        say(&format!("warning: {warning}"));
    }
    Ok(())
}
