//! `posthouse check`.

use std::process::ExitCode;

use mail::Domain;
use serde_json::json;

use super::{
    FAILED, MISUSED, Place,
    directory::{ANOTHER_RELEASE, ask},
    signing,
    terminal::{say, say_json},
};
use crate::{
    admin::{Answer, Request, directory},
    config::{Config, ConfigError},
    dns::check::{self, Expected, Status},
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

/// Asks the DNS what our domains publish, and says what is wrong.
pub(super) fn dns(place: &Place, only: Option<Domain>) -> anyhow::Result<ExitCode> {
    let config = place.config()?;
    let domains = match only {
        Some(domain) => vec![domain],
        None => our_domains(place)?,
    };
    let mut all = Vec::new();
    for domain in domains {
        let records = signing::records_of(place, domain.clone())?;
        let expected = Expected { domain, hostname: config.hostname.clone(), records, now: place.clock.now() };
        let domain = expected.domain.to_string();
        let findings =
            check::ask(&config, place.clock.clone(), |questions| async move { questions.domain(&expected).await })?;
        if !place.json {
            say(&format!("{domain}\n{}", check::report(&findings)));
        }
        all.push((domain, findings));
    }
    let wrong =
        all.iter().flat_map(|(_, findings)| findings).filter(|finding| finding.status >= Status::Unknown).count();
    if place.json {
        let domains: Vec<_> =
            all.iter().map(|(domain, findings)| json!({ "domain": domain, "findings": findings })).collect();
        say_json(&json!({ "good": wrong == 0, "domains": domains }))?;
    } else {
        say(&verdict(all.len(), wrong));
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn verdict(domains: usize, wrong: usize) -> String {
    match (domains, wrong) {
        (0, _) => "No domains yet: posthouse domain add example.net".into(),
        (_, 0) => "Everything that mail needs is published.".into(),
        (_, wrong) => format!("{wrong} things are to be mended; what to publish: posthouse domain dns DOMAIN"),
    }
}

fn our_domains(place: &Place) -> anyhow::Result<Vec<Domain>> {
    let Answer::Domains(rows) = ask(place, Request::Directory(directory::Request::DomainList))? else {
        anyhow::bail!(ANOTHER_RELEASE);
    };
    rows.iter().map(|row| row.domain.parse().map_err(anyhow::Error::from)).collect()
}
