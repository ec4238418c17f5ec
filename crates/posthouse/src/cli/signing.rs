//! `posthouse dkim`, `posthouse domain dns`: the keys that sign, and what a domain publishes.

use std::process::ExitCode;

use anyhow::bail;
use mail::Domain;
use store::KeyState;

use super::{
    FAILED, Place,
    arguments::DkimVerb,
    directory::ask,
    terminal::{say, say_json, say_table},
};
use crate::{
    admin::{
        Answer, Request,
        signing::{self, KeyRow},
    },
    dns::{
        check::{self, Status},
        records::{self, Need, OVERLAP, Record},
    },
};

/// `posthouse domain dns`.
pub(super) fn domain_dns(place: &Place, domain: Domain) -> anyhow::Result<()> {
    let records = records_of(place, domain)?;
    if place.json {
        return say_json(&records);
    }
    say(&records::zone(&records));
    Ok(())
}

/// What a domain has to publish.
pub(super) fn records_of(place: &Place, domain: Domain) -> anyhow::Result<Vec<Record>> {
    match ask(place, Request::Signing(signing::Request::Records { domain }))? {
        Answer::Records(records) => Ok(records),
        _ => bail!(super::directory::ANOTHER_RELEASE),
    }
}

/// `posthouse dkim`.
pub(super) fn dkim(place: &Place, verb: DkimVerb) -> anyhow::Result<ExitCode> {
    match verb {
        DkimVerb::Create { domain } => create(place, domain)?,
        DkimVerb::Rotate { domain, unchecked } => return rotate(place, domain, unchecked),
        DkimVerb::List { domain } => list(place, domain)?,
        DkimVerb::Remove { domain, selector } => {
            let done = format!("The key {selector} of {domain} is gone; remove its record, too.");
            ask(place, Request::Signing(signing::Request::Remove { domain, selector }))?;
            if place.json {
                say_json(&serde_json::json!({ "changed": 1 }))?;
            } else {
                say(&done);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn keys(place: &Place, request: signing::Request) -> anyhow::Result<Vec<KeyRow>> {
    match ask(place, Request::Signing(request))? {
        Answer::Keys(keys) => Ok(keys),
        _ => bail!(super::directory::ANOTHER_RELEASE),
    }
}

fn create(place: &Place, domain: Domain) -> anyhow::Result<()> {
    let there = keys(place, signing::Request::List { domain: Some(domain.clone()) })?;
    if !there.is_empty() {
        bail!("{domain} has keys already; to change them: posthouse dkim rotate {domain}");
    }
    let keys = keys(place, signing::Request::Create { domain: domain.clone() })?;
    if place.json {
        return say_json(&keys);
    }
    say(&format!("{domain}'s mail is signed from now on. Publish these records:\n\n{}", zone(&keys, KeyState::Active)));
    Ok(())
}

/// Two steps, with the time between them that the DNS takes: new keys are made and published; then they sign, and the old
/// ones stay published until the mail that they signed has arrived.
fn rotate(place: &Place, domain: Domain, unchecked: bool) -> anyhow::Result<ExitCode> {
    let there = keys(place, signing::Request::List { domain: Some(domain.clone()) })?;
    if there.is_empty() {
        bail!("{domain} has no keys yet; make some: posthouse dkim create {domain}");
    }
    let waiting: Vec<&KeyRow> = there.iter().filter(|key| key.state == KeyState::Waiting).collect();
    if waiting.is_empty() {
        let keys = keys(place, signing::Request::Create { domain: domain.clone() })?;
        if place.json {
            say_json(&keys)?;
        } else {
            say(&format!(
                "New keys are made; those of now go on signing. Publish these records, then run this command again:\n\n{}",
                zone(&keys, KeyState::Waiting)
            ));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !unchecked && !published(place, &waiting)? {
        return Ok(ExitCode::from(FAILED));
    }
    let turned = keys(place, signing::Request::Turn { domain: domain.clone() })?;
    if place.json {
        say_json(&turned)?;
    } else {
        let until = place.clock.now() + OVERLAP;
        say(&format!(
            "{domain}'s mail is signed with the new keys. Keep the old records until {until}, then remove them:\n"
        ));
        for key in turned.iter().filter(|key| key.state == KeyState::Retired) {
            say(&format!("{}   (posthouse dkim remove {domain} {})", key.name, key.selector));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the DNS has the records of these keys; says which it has not.
fn published(place: &Place, keys: &[&KeyRow]) -> anyhow::Result<bool> {
    let pairs = keys.iter().map(|key| (key.name.clone(), key.record.clone())).collect();
    let findings =
        check::ask(&place.config()?, place.clock.clone(), |questions| async move { questions.keys(pairs).await })?;
    let missing: Vec<_> = findings.into_iter().filter(|finding| finding.status != Status::Good).collect();
    if place.json && !missing.is_empty() {
        say_json(&missing)?;
    } else if !missing.is_empty() {
        say("The new keys are not published yet, so the old ones go on signing:\n");
        say(&check::report(&missing));
    }
    Ok(missing.is_empty())
}

fn zone(keys: &[KeyRow], state: KeyState) -> String {
    let record = |key: &KeyRow| Record {
        name: key.name.clone(),
        kind: "TXT".into(),
        value: key.record.clone(),
        ttl: records::TTL,
        purpose: format!("DKIM key {}", key.selector),
        need: Need::Required,
    };
    records::zone(&keys.iter().filter(|key| key.state == state).map(record).collect::<Vec<_>>())
}

fn list(place: &Place, domain: Option<Domain>) -> anyhow::Result<()> {
    let keys = keys(place, signing::Request::List { domain })?;
    if place.json {
        return say_json(&keys);
    }
    if keys.is_empty() {
        say("No keys yet: posthouse dkim create example.net");
        return Ok(());
    }
    let state = |state| match state {
        KeyState::Waiting => "waiting",
        KeyState::Active => "signs",
        KeyState::Retired => "retired",
    };
    let row = |key: KeyRow| [key.domain, key.selector, state(key.state).to_owned(), key.since.0.to_string(), key.name];
    let rows: Vec<_> = keys.into_iter().map(row).collect();
    say_table(["DOMAIN", "SELECTOR", "STATE", "SINCE", "PUBLISHED AT"], &rows);
    Ok(())
}
