//! `posthouse domain`, `user`, `alias`, `catch-all`: what an operator edits. A running server is asked; without one the
//! command opens the store itself, under the directory's lock.

use anyhow::bail;
use spool::SpoolError;
use store::DomainKind;

use super::{
    Place,
    arguments::{AliasVerb, CatchAllVerb, DomainVerb, UserVerb},
    signing,
    terminal::{password, say, say_json, say_table},
};
use crate::{
    admin::{self, Answer, Request, directory},
    config::Config,
    control::{self, ControlError},
};

/// What there is to say of an answer to another question.
pub(super) const ANOTHER_RELEASE: &str =
    "the server answered something else than it was asked; use the command of its release";
/// How often a command tries again that finds the directory free and then taken.
const COLLISIONS_MAX: u32 = 50;

/// `posthouse domain`.
pub(super) fn domain(place: &Place, verb: DomainVerb) -> anyhow::Result<()> {
    match verb {
        DomainVerb::Add { domain, relay } => {
            let kind = if relay { DomainKind::Relay } else { DomainKind::Local };
            let done = format!(
                "{domain} is a domain of this server now, and its mail is signed. What to publish: posthouse domain dns {domain}"
            );
            change(place, directory::Request::DomainAdd { domain, kind }, &done)
        }
        DomainVerb::Remove { domain } => {
            let done = format!("No more mail is taken for {domain}.");
            change(place, directory::Request::DomainRemove { domain }, &done)
        }
        DomainVerb::List => list(place, directory::Request::DomainList),
        DomainVerb::Dns { domain } => signing::domain_dns(place, domain),
    }
}

/// `posthouse user`.
pub(super) fn user(place: &Place, verb: UserVerb) -> anyhow::Result<()> {
    match verb {
        UserVerb::Add { address, password_stdin } => {
            let proof = directory::prove(&password(password_stdin)?)?;
            let done = format!("{address} is a user now.");
            change(place, directory::Request::UserAdd { address, proof }, &done)
        }
        UserVerb::Password { address, password_stdin } => {
            let proof = directory::prove(&password(password_stdin)?)?;
            let done = format!("{address} has another password now.");
            change(place, directory::Request::UserPassword { address, proof }, &done)
        }
        UserVerb::Remove { address } => {
            let done = format!("{address} is no user any more; the letters in the mailbox stay.");
            change(place, directory::Request::UserRemove { address }, &done)
        }
        UserVerb::List => list(place, directory::Request::UserList),
    }
}

/// `posthouse alias`.
pub(super) fn alias(place: &Place, verb: AliasVerb) -> anyhow::Result<()> {
    match verb {
        AliasVerb::Add { address, targets } => {
            let list: Vec<String> = targets.iter().map(ToString::to_string).collect();
            let done = format!("{address} leads to {} now.", list.join(", "));
            change(place, directory::Request::AliasAdd { address, targets }, &done)
        }
        AliasVerb::Remove { address } => {
            let done = format!("{address} leads nowhere any more.");
            change(place, directory::Request::AliasRemove { address }, &done)
        }
        AliasVerb::List => list(place, directory::Request::AliasList),
    }
}

/// `posthouse catch-all`.
pub(super) fn catch_all(place: &Place, verb: CatchAllVerb) -> anyhow::Result<()> {
    match verb {
        CatchAllVerb::Add { domain, target } => {
            let done = format!("Mail for unknown users of {domain} goes to {target} now.");
            change(place, directory::Request::CatchAllAdd { domain, target }, &done)
        }
        CatchAllVerb::Remove { domain } => {
            let done = format!("Unknown users of {domain} are refused now.");
            change(place, directory::Request::CatchAllRemove { domain }, &done)
        }
        CatchAllVerb::List => list(place, directory::Request::CatchAllList),
    }
}

fn change(place: &Place, request: directory::Request, done: &str) -> anyhow::Result<()> {
    ask(place, Request::Directory(request))?;
    if place.json {
        return say_json(&serde_json::json!({ "changed": 1 }));
    }
    say(done);
    Ok(())
}

/// The running server if there is one, else the store itself. Another command that has the directory just then is
/// waited for, as is a server that starts.
pub(super) fn ask(place: &Place, request: Request) -> anyhow::Result<Answer> {
    let config = place.config()?;
    for _ in 0..COLLISIONS_MAX {
        match ask_once(place, &config, request.clone()) {
            Err(error) if matches!(error.downcast_ref(), Some(SpoolError::InUse(_))) => {}
            other => return other,
        }
    }
    ask_once(place, &config, request)
}

fn ask_once(place: &Place, config: &Config, request: Request) -> anyhow::Result<Answer> {
    // This waits for as long as somebody has the directory and does not answer.
    let asked = control::ask(&config.data_dir, request.clone());
    match asked {
        Ok(answer) => Ok(answer),
        // Whoever forgot --config does not edit a sandbox that nobody started.
        Err(ControlError::NotRunning(_)) if place.config.is_none() && !config.data_dir.exists() => bail!(
            "there is no sandbox in ./{}; start one with `posthouse serve`, or name your configuration with --config FILE",
            config.data_dir.display()
        ),
        Err(ControlError::NotRunning(_)) => admin::alone::answer(config, request, &place.clock),
        Err(other) => Err(other.into()),
    }
}

fn list(place: &Place, request: directory::Request) -> anyhow::Result<()> {
    let answer = ask(place, Request::Directory(request))?;
    match answer {
        Answer::Domains(rows) if place.json => say_json(&rows)?,
        Answer::Users(rows) if place.json => say_json(&rows)?,
        Answer::Aliases(rows) if place.json => say_json(&rows)?,
        Answer::CatchAlls(rows) if place.json => say_json(&rows)?,
        Answer::Domains(rows) => {
            let rows: Vec<_> = rows.into_iter().map(|row| [row.domain, row.kind]).collect();
            show(["DOMAIN", "KIND"], &rows, "No domains yet: posthouse domain add example.net");
        }
        Answer::Users(rows) => {
            let rows: Vec<_> = rows.into_iter().map(|row| [row.address]).collect();
            show(["USER"], &rows, "No users yet: posthouse user add ann@example.net");
        }
        Answer::Aliases(rows) => {
            let rows: Vec<_> = rows.into_iter().map(|row| [row.address, row.targets.join(", ")]).collect();
            show(["ALIAS", "LEADS TO"], &rows, "No aliases yet: posthouse alias add info@example.net ann@example.net");
        }
        Answer::CatchAlls(rows) => {
            let rows: Vec<_> = rows.into_iter().map(|row| [row.domain, row.target]).collect();
            show(
                ["DOMAIN", "CATCH-ALL"],
                &rows,
                "No catch-alls yet: posthouse catch-all add example.net ann@example.net",
            );
        }
        _ => bail!(ANOTHER_RELEASE),
    }
    Ok(())
}

fn show<const N: usize>(headings: [&str; N], rows: &[[String; N]], none: &str) {
    if rows.is_empty() {
        say(none);
    } else {
        say_table(headings, rows);
    }
}
