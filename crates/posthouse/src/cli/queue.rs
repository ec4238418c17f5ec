//! `posthouse queue`: asks the running server, prints.

mod show;

use std::collections::HashSet;

use anyhow::{Context as _, bail};
use mail::Timestamp;
use spool::{Filter, Page, State, Update};

use super::{
    Place,
    arguments::{Changed, QueueVerb, Which},
    terminal::{from_now, say, say_json, say_table, size, spinner},
};
use crate::{
    admin::{
        Answer, DeliveryRow, Request, Summary,
        queue::{self, Name, PAGE_MAX},
    },
    config,
    control::{self, ControlError},
};

/// Runs one verb.
pub(super) fn run(place: &Place, verb: QueueVerb) -> anyhow::Result<()> {
    match verb {
        QueueVerb::Summary => summary(place),
        QueueVerb::List { which, limit } => list(place, &which, limit),
        QueueVerb::Show { id } => show::run(place, &id),
        QueueVerb::Retry { which } => change(place, &which, Update::Retry, "to be tried now"),
        QueueVerb::Hold { which } => change(place, &which, Update::Hold, "held"),
        QueueVerb::Release { which } => change(place, &which, Update::Release, "released"),
        QueueVerb::Cancel { which } => change(place, &which, Update::Cancel, "cancelled"),
        QueueVerb::Reroute { which, route } => reroute(place, which, route),
        QueueVerb::Recover => recover(place),
    }
}

/// Asks the server; without one, says what to do.
fn ask(place: &Place, request: queue::Request, what: &'static str) -> anyhow::Result<Answer> {
    let config = place.config()?;
    let bar = spinner(what);
    let answer = control::ask(&config.data_dir, Request::Queue(request));
    bar.finish_and_clear();
    answer.map_err(|error| match error {
        ControlError::NotRunning(directory) => anyhow::anyhow!(
            "no server is running on {directory}, and only a running server answers for its queue; start it with `posthouse \
             serve{}`, or name another configuration with --config",
            place.config.as_ref().map(|file| format!(" --config {}", file.display())).unwrap_or_default()
        ),
        other => other.into(),
    })
}

fn unexpected() -> anyhow::Error {
    anyhow::anyhow!("the server answered something else than it was asked; use the command of its release")
}

fn summary(place: &Place) -> anyhow::Result<()> {
    let Answer::Summary(summary) = ask(place, queue::Request::Summary, "counting")? else {
        return Err(unexpected());
    };
    if place.json {
        return say_json(&summary);
    }
    say_summary(&summary);
    Ok(())
}

fn say_summary(summary: &Summary) {
    for alert in &summary.alerts {
        say(&format!("Look at this: {alert}\n"));
    }
    if let Some(why) = &summary.stopped {
        say(&format!("The queue is stopped: {why}\nMend the cause, then run `posthouse queue recover`.\n"));
    }
    if summary.states.iter().all(|state| state.count == 0) {
        say("Nothing waits.");
        return;
    }
    let rows: Vec<_> =
        summary.states.iter().map(|row| [name_of(row.state).to_owned(), row.count.to_string()]).collect();
    say_table(["STATE", "DELIVERIES"], &rows);
    let rows: Vec<_> = summary
        .domains
        .iter()
        .map(|row| [row.domain.clone(), name_of(row.state).to_owned(), row.count.to_string()])
        .collect();
    if !rows.is_empty() {
        say("\n");
        say_table(["DOMAIN", "STATE", "DELIVERIES"], &rows);
    }
}

fn list(place: &Place, which: &Which, limit: u32) -> anyhow::Result<()> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut rows: Vec<DeliveryRow> = Vec::new();
    let mut more = false;
    for filter in filters(which, place.clock.now())? {
        let mut cursor = None;
        while rows.len() < limit {
            let page = Page { limit: (limit - rows.len()).min(PAGE_MAX), cursor };
            let request = queue::Request::List { filter: filter.clone(), page };
            let Answer::Deliveries(found) = ask(place, request, "listing")? else {
                return Err(unexpected());
            };
            let known: HashSet<_> = rows.iter().map(|row| row.recipient.id).collect();
            rows.extend(found.rows.into_iter().filter(|row| !known.contains(&row.recipient.id)));
            cursor = found.cursor;
            more = cursor.is_some();
            if !more {
                break;
            }
        }
    }
    if place.json {
        return say_json(&rows);
    }
    say_rows(&rows, place.clock.now());
    if more {
        say(&format!("The first {limit}; more with --limit."));
    }
    Ok(())
}

fn say_rows(rows: &[DeliveryRow], now: Timestamp) {
    if rows.is_empty() {
        say("Nothing matches.");
        return;
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let recipient = &row.recipient;
            let next = recipient.next_due.map(|due| from_now(due.0, now)).unwrap_or_default();
            let last = recipient.last_reply.as_ref().map(|reply| format!("{} {}", reply.code, reply.text));
            [
                row.id.to_string(),
                name_of(recipient.state).to_owned(),
                row.reverse_path.to_string(),
                recipient.address.to_string(),
                size(row.size),
                from_now(row.received_at.0, now),
                recipient.attempts.to_string(),
                next,
                last.unwrap_or_default(),
            ]
        })
        .collect();
    say_table(["ID", "STATE", "FROM", "TO", "SIZE", "RECEIVED", "TRIES", "NEXT", "LAST REPLY"], &cells);
}

fn change(place: &Place, which: &Changed, update: Update, done: &str) -> anyhow::Result<()> {
    let filters = filters(&which.which, place.clock.now())?;
    if filters.contains(&Filter::default()) && !which.all {
        bail!("say which: ids, or --to, --from, --domain, --state, --older; or --all for everything in the queue");
    }
    let mut count = 0;
    for filter in filters {
        let request = queue::Request::Update { filter, update: update.clone() };
        let Answer::Changed(changed) = ask(place, request, "changing")? else {
            return Err(unexpected());
        };
        count += changed;
    }
    if place.json {
        return say_json(&serde_json::json!({ "changed": count }));
    }
    say(&match count {
        0 => format!("Nothing was changed: {}.", why_not(&update)),
        1 => format!("1 delivery {done}."),
        count => format!("{count} deliveries {done}."),
    });
    Ok(())
}

/// Why a verb found nothing to do.
fn why_not(update: &Update) -> &'static str {
    match update {
        Update::Hold => "nothing in the queue matches, or it is held already",
        Update::Release => "nothing that is held matches",
        Update::Retry => "nothing that waits for an attempt matches; what is held goes on with `queue release`",
        Update::Cancel | Update::Reroute(_) => "nothing in the queue matches",
    }
}

fn reroute(place: &Place, mut which: Changed, route: Option<String>) -> anyhow::Result<()> {
    let (mut routes, recipients): (Vec<_>, Vec<_>) =
        which.which.to.drain(..).partition(|to| !to.contains('@') && is_route(to));
    if let Some(neither) = recipients.iter().find(|to| !to.contains('@')) {
        bail!(
            "`{}` is no route and no recipient; a route is mx, relay:HOST:PORT, maildir, capture, hold or reject",
            mail::for_log(neither, 100)
        );
    }
    routes.extend(route);
    which.which.to = recipients;
    let [route] = routes.as_slice() else {
        bail!("name one route with --to: mx, relay:HOST:PORT, maildir, capture, hold or reject");
    };
    if !is_route(route) {
        bail!("`{route}` is no route; expected mx, relay:HOST:PORT, maildir, capture, hold or reject");
    }
    change(place, &which, Update::Reroute(route.clone()), "rerouted")
}

fn is_route(text: &str) -> bool {
    let relay = text.strip_prefix("relay:").is_some_and(|host| config::host_and_port(host).is_ok());
    relay || ["mx", "maildir", "capture", "hold", "reject"].contains(&text)
}

fn recover(place: &Place) -> anyhow::Result<()> {
    ask(place, queue::Request::Recover, "checking the queue")?;
    if place.json {
        return say_json(&serde_json::json!({ "recovered": true }));
    }
    say("The queue is sound and works.");
    Ok(())
}

/// The filters that were typed: whole messages and single recipients are two, as either may match.
fn filters(which: &Which, now: Timestamp) -> anyhow::Result<Vec<Filter>> {
    let filter = filter(which, now)?;
    if filter.messages.is_empty() || filter.deliveries.is_empty() {
        return Ok(vec![filter]);
    }
    let recipients = Filter { messages: Vec::new(), ..filter.clone() };
    Ok(vec![Filter { deliveries: Vec::new(), ..filter }, recipients])
}

fn filter(which: &Which, now: Timestamp) -> anyhow::Result<Filter> {
    let mut filter = Filter::default();
    for id in &which.ids {
        match name(id)? {
            Name::Message(id) => filter.messages.push(id),
            Name::Delivery(id) => filter.deliveries.push(id),
        }
    }
    filter.to = match which.to.as_slice() {
        [] => None,
        [to] => Some(address(to, "--to")?),
        _ => bail!("--to can be given once; name several recipients by their ids"),
    };
    filter.from = match which.from.as_deref() {
        None => None,
        Some("" | "<>") => Some("<>".to_owned()),
        Some(from) => Some(address(from, "--from")?),
    };
    filter.domain = match which.domain.as_deref() {
        None => None,
        Some(domain) => {
            let parsed = domain.trim_start_matches('@').parse::<mail::Domain>();
            Some(parsed.with_context(|| format!("--domain {domain}"))?.to_string())
        }
    };
    filter.state = which.state.as_deref().map(state).transpose()?;
    filter.older = match which.older.as_deref() {
        None => None,
        Some(older) => Some(now - config::duration(older).map_err(anyhow::Error::msg).context("--older")?),
    };
    Ok(filter)
}

/// A whole address, or `@domain`.
fn address(text: &str, option: &str) -> anyhow::Result<String> {
    let text = text.trim_start_matches('<').trim_end_matches('>');
    let parsed = match text.strip_prefix('@') {
        Some(domain) => domain.parse::<mail::Domain>().map(|domain| format!("@{domain}")),
        None => text.parse::<mail::Mailbox>().map(|mailbox| mailbox.to_string()),
    };
    parsed.with_context(|| format!("{option} takes an address or @domain, found `{}`", mail::for_log(text, 100)))
}

/// An id as the 250, the log and the lists print it.
fn name(text: &str) -> anyhow::Result<Name> {
    if let Ok(id) = text.parse() {
        return Ok(Name::Message(id));
    }
    text.parse().map(Name::Delivery).map_err(|_| {
        anyhow::anyhow!(
            "`{}` is no id; expected msg_ or rcp_ and 32 hexadecimal digits, as the 250 and `queue list` print it",
            mail::for_log(text, 100)
        )
    })
}

const STATES: [(&str, State); 9] = [
    ("queued", State::Queued),
    ("active", State::Active),
    ("deferred", State::Deferred),
    ("scheduled", State::Scheduled),
    ("held", State::Held),
    ("delivered", State::Delivered),
    ("bounced", State::Bounced),
    ("expired", State::Expired),
    ("cancelled", State::Cancelled),
];

fn state(text: &str) -> anyhow::Result<State> {
    let found = STATES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, state)| *state);
    found.with_context(|| {
        let names: Vec<&str> = STATES.iter().map(|(name, _)| *name).collect();
        format!("--state takes one of {}, found `{}`", names.join(", "), mail::for_log(text, 50))
    })
}

fn name_of(state: State) -> &'static str {
    STATES.iter().find(|(_, other)| *other == state).map(|(name, _)| *name).expect("every state has a name")
}
