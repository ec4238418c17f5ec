//! Requests about the queue. Only a running server carries them out: the queue is its alone.

use std::sync::Arc;

use mail::{DeliveryId, Event, MessageId};
use net::Clock;
use serde::{Deserialize, Serialize};
use spool::{Filter, Page, Spool, State, Update};
use store::Store;

use super::{Answer, DeliveryPage, DomainCount, MessageView, Refused, StateCount, Summary, show};

/// Domains that a summary names.
const SUMMARY_DOMAINS: usize = 20;
/// Rows of a page.
pub(crate) const PAGE_MAX: usize = 1000;
/// Outbox entries read at once when looking for what the store does not have yet.
const OUTBOX_PAGE: usize = 1000;
/// Ids of each kind that the log names when an operator changes many.
const IDS_LOGGED: usize = 10;
/// Such pages read for one question.
const OUTBOX_PAGES_MAX: usize = 50;

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// How many, where.
    Summary,
    /// A page of deliveries.
    List {
        /// Which.
        filter: Filter,
        /// How many, and from where.
        page: Page,
    },
    /// One message.
    Show(Name),
    /// Changes what matches.
    Update {
        /// Which.
        filter: Filter,
        /// How.
        update: Update,
    },
    /// Lifts the stop after a failed sync.
    Recover,
}

/// What a person named: a message, or one recipient of one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Name {
    /// `msg_…`
    Message(MessageId),
    /// `rcp_…`
    Delivery(DeliveryId),
}

/// Who answers.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    /// What waits.
    pub(crate) spool: Arc<dyn Spool>,
    /// What has happened.
    pub(crate) store: Store,
    /// Who delivers.
    pub(crate) outbound: outbound::Engine,
    /// Now.
    pub(crate) clock: Clock,
}

impl Queue {
    /// Carries out one request.
    pub(crate) async fn answer(&self, request: Request) -> Result<Answer, Refused> {
        let sentence = |error: spool::SpoolError| error.to_string();
        match request {
            Request::Summary => self.summary().await.map(Answer::Summary).map_err(sentence),
            Request::List { filter, page } => self.list(filter, page).await.map(Answer::Deliveries),
            Request::Show(name) => self.show(name).await.map(|view| Answer::Message(Box::new(view))),
            Request::Update { filter, update } => {
                let changed = self.update(&filter, &update).await.map_err(sentence)?;
                let (which, how) = (in_words(&filter), verb(&update));
                tracing::info!(how, which, changed, "an operator changed the queue");
                Ok(Answer::Changed(changed))
            }
            Request::Recover => {
                let was_stopped = self.spool.poisoned().is_some();
                self.spool.recover().await.map_err(sentence)?;
                tracing::info!(was_stopped, "an operator had the queue checked: it is sound");
                Ok(Answer::Changed(1))
            }
        }
    }

    async fn update(&self, filter: &Filter, update: &Update) -> Result<u64, spool::SpoolError> {
        if matches!(update, Update::Retry | Update::Release | Update::Reroute(_)) {
            self.outbound.end_suspensions();
        }
        let changed = self.spool.update(filter, update, self.clock.now()).await?;
        if matches!(update, Update::Reroute(_)) {
            // Another route is for now, not for when the old one would have been tried again.
            for state in [State::Queued, State::Deferred] {
                if filter.state.is_none_or(|wanted| wanted == state) {
                    let waiting = Filter { state: Some(state), ..filter.clone() };
                    self.spool.update(&waiting, &Update::Retry, self.clock.now()).await?;
                }
            }
        }
        Ok(changed)
    }

    async fn summary(&self) -> Result<Summary, spool::SpoolError> {
        let states = self.spool.count().await?;
        let domains = self.spool.count_by_domain(SUMMARY_DOMAINS).await?;
        Ok(Summary {
            states: states.into_iter().map(|(state, count)| StateCount { state, count }).collect(),
            domains: domains.into_iter().map(|(domain, state, count)| DomainCount { domain, state, count }).collect(),
            stopped: self.spool.poisoned(),
            alerts: self.spool.alerts(),
        })
    }

    async fn list(&self, filter: Filter, mut page: Page) -> Result<DeliveryPage, Refused> {
        page.limit = page.limit.clamp(1, PAGE_MAX);
        if let Some(state) = filter.state.and_then(finished) {
            return self.list_finished(filter, state, page).await;
        }
        let (views, cursor) =
            self.spool.find(&filter, &page, self.clock.now()).await.map_err(|error| error.to_string())?;
        Ok(DeliveryPage { rows: views.iter().map(show::row).collect(), cursor })
    }

    async fn show(&self, name: Name) -> Result<MessageView, Refused> {
        let id = match name {
            Name::Message(id) => id,
            Name::Delivery(delivery) => self.message_of(delivery).await?,
        };
        let filter = Filter { messages: vec![id], ..Filter::default() };
        let views = self.views(&filter).await?;
        let events = self.events(id).await?;
        show::message(id, &views, &events).ok_or_else(|| format!("there is no message {id}"))
    }

    /// The message that a recipient belongs to.
    async fn message_of(&self, delivery: DeliveryId) -> Result<MessageId, Refused> {
        let waiting = self.spool.get(delivery, self.clock.now()).await.map_err(|error| error.to_string())?;
        if let Some(view) = waiting {
            return Ok(view.message);
        }
        let filter = store::Filter { deliveries: vec![delivery], ..store::Filter::default() };
        let page = store::Page { limit: 1, cursor: None };
        let (found, _) = self.store.find(&filter, &page).await.map_err(|error| error.to_string())?;
        if let Some(view) = found.first() {
            return Ok(view.message);
        }
        let on_the_way = self.on_the_way(|event| event.delivery() == Some(delivery)).await?;
        on_the_way.first().map(|event| event.message).ok_or_else(|| format!("there is no recipient {delivery}"))
    }

    /// What happened to a message: what the store has, then what is still on its way there.
    async fn events(&self, id: MessageId) -> Result<Vec<Event>, Refused> {
        // First the outbox, then the store: an event that moves between the two questions is seen twice, not never.
        let on_the_way = self.on_the_way(|event| event.message == id).await?;
        let mut events = self.store.history(id).await.map_err(|error| error.to_string())?;
        for event in on_the_way {
            if !events.contains(&event) {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// Events that match in the outbox, which the store does not have yet.
    async fn on_the_way(&self, wanted: impl Fn(&Event) -> bool) -> Result<Vec<Event>, Refused> {
        let mut found = Vec::new();
        let mut after = self.store.cursor(&self.spool.node()).await.map_err(|error| error.to_string())?;
        for _ in 0..OUTBOX_PAGES_MAX {
            let entries = self.spool.outbox(after, OUTBOX_PAGE).await.map_err(|error| error.to_string())?;
            let Some(last) = entries.last() else { break };
            after = last.sequence;
            found.extend(entries.iter().filter_map(|entry| Event::decode(&entry.event).ok()).filter(&wanted));
        }
        Ok(found)
    }

    /// A page of what has left the spool.
    async fn list_finished(&self, filter: Filter, state: store::State, page: Page) -> Result<DeliveryPage, Refused> {
        let filter = store::Filter {
            messages: filter.messages,
            deliveries: filter.deliveries,
            to: filter.to,
            from: filter.from,
            domain: filter.domain,
            states: vec![state],
            older: filter.older,
        };
        let page = store::Page { limit: page.limit.min(store::PAGE_MAX), cursor: page.cursor };
        let (views, cursor) = self.store.find(&filter, &page).await.map_err(|error| error.to_string())?;
        Ok(DeliveryPage { rows: views.iter().map(show::finished_row).collect(), cursor })
    }

    /// Everything in the spool that matches, for one message: all its recipients.
    async fn views(&self, filter: &Filter) -> Result<Vec<spool::View>, Refused> {
        let mut views = Vec::new();
        let mut page = Page { limit: PAGE_MAX, cursor: None };
        loop {
            let found = self.spool.find(filter, &page, self.clock.now()).await;
            let (more, cursor) = found.map_err(|error| error.to_string())?;
            views.extend(more);
            match cursor {
                Some(cursor) => page.cursor = Some(cursor),
                None => return Ok(views),
            }
        }
    }
}

fn verb(update: &Update) -> String {
    match update {
        Update::Hold => "hold".into(),
        Update::Release => "release".into(),
        Update::Cancel => "cancel".into(),
        Update::Retry => "retry".into(),
        Update::Reroute(route) => format!("reroute to {route}"),
    }
}

/// A filter for the log.
fn in_words(filter: &Filter) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(filter.messages.iter().take(IDS_LOGGED).map(ToString::to_string));
    words.extend(filter.deliveries.iter().take(IDS_LOGGED).map(ToString::to_string));
    let ids = filter.messages.len() + filter.deliveries.len();
    if let more @ 1.. = ids.saturating_sub(words.len()) {
        words.push(format!("and {more} more"));
    }
    words.extend(filter.to.iter().map(|to| format!("to {to}")));
    words.extend(filter.from.iter().map(|from| format!("from {from}")));
    words.extend(filter.domain.iter().map(|domain| format!("domain {domain}")));
    words.extend(filter.state.iter().map(|state| format!("state {state:?}").to_lowercase()));
    words.extend(filter.older.iter().map(|older| format!("accepted before {older}")));
    if words.is_empty() { "everything".into() } else { words.join(", ") }
}

/// The store's word for a state that the spool does not have any more.
fn finished(state: State) -> Option<store::State> {
    match state {
        State::Queued | State::Active | State::Deferred | State::Scheduled | State::Held => None,
        State::Delivered => Some(store::State::Delivered),
        State::Bounced => Some(store::State::Bounced),
        State::Expired => Some(store::State::Expired),
        State::Cancelled => Some(store::State::Cancelled),
    }
}
