//! Programs beside us that judge a message before it is kept: Rspamd, ClamAV, an HTTP hook.
//!
//! ```text
//! content complete, trace fields made ─► 1st filter ─► 2nd ─► … ─► all changes at once ─► commit
//!                                          │   refuses, or fails and must not: the reply
//!                                          ▼
//!                                       no message
//! ```
//! They are asked in the order of the configuration, and each sees the message as it would be kept without the others'
//! changes. Changes are gathered and applied when the last one has spoken; a refusal leaves nothing behind.
//!
//! A filter is a peer that may hang, lie or die. It has a deadline that covers its queue, the connection and the answer;
//! all of them together have one more; so many of its conversations run at a time; its answer has a bound, is checked
//! field by field, and counts as a whole or not at all. A filter that fails is as good as one that said what
//! [`OnFailure`] says.
//!
//! What it is not: the verification of SPF, DKIM and DMARC, which is done before.

mod changes;
mod clamav;
mod exchange;
mod facts;
mod hook;
mod letter;
mod meters;
mod opinion;
mod rspamd;
mod screen;
mod settings;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use net::{Clock, Dialer};
use tokio::sync::Semaphore;

pub use self::settings::{
    Directions, FILTER_CONCURRENCY, FILTER_SIZE_LIMIT, FILTER_TIMEOUT, FILTERS_MAX, FilterKind, FilterSettings, Hook,
    OnFailure, OnFound, OnLarger, SCREENING_MAX, Shown,
};
use self::{
    facts::Facts,
    letter::Letter,
    meters::Meters,
    opinion::{Opinion, Trouble},
};
pub(crate) use self::{screen::Screen, settings::Direction};

/// The filters of a server, in their order. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Filters {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    filters: Vec<Filter>,
    dialer: Dialer,
    clock: Clock,
    hostname: String,
}

/// One filter.
#[derive(Debug)]
struct Filter {
    settings: FilterSettings,
    /// Conversations at a time.
    room: Semaphore,
    meters: Meters,
}

impl Filters {
    /// The filters with these settings, the first [`FILTERS_MAX`] of them. `hostname` is our name.
    pub fn new(settings: Vec<FilterSettings>, dialer: Dialer, clock: Clock, hostname: impl Into<String>) -> Self {
        let filters = settings.into_iter().take(FILTERS_MAX).map(Filter::new).collect();
        Self { shared: Arc::new(Shared { filters, dialer, clock, hostname: hostname.into() }) }
    }

    /// The filters for mail of one direction; nothing when there are none.
    fn screen(&self, direction: Direction) -> Option<Screen> {
        let any = self.shared.filters.iter().any(|filter| filter.settings.directions.include(direction));
        any.then(|| Screen::new(self.clone(), direction))
    }
}

impl Filter {
    fn new(settings: FilterSettings) -> Self {
        let room = Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self { room, meters: Meters::new(&settings.name), settings }
    }

    /// What the filter says of a letter, not past `until`.
    async fn ask(
        &self,
        shared: &Shared,
        letter: &Letter<'_>,
        facts: &Facts<'_>,
        until: Instant,
    ) -> Result<Opinion, Trouble> {
        let (size, limit) = (letter.size(), self.settings.size_limit);
        if size > limit {
            return Err(Trouble::Larger { size, limit });
        }
        let deadline = until.min(shared.clock.instant() + self.settings.timeout);
        let asked = shared.clock.timeout_at(deadline, async {
            let _place = self.room.acquire().await.expect("the semaphore is never closed");
            let _counted = self.meters.began();
            match &self.settings.kind {
                FilterKind::Rspamd(endpoint) => {
                    rspamd::ask(&shared.dialer, endpoint, &shared.hostname, letter, facts, deadline).await
                }
                FilterKind::ClamAv { endpoint, on_found } => {
                    clamav::ask(&shared.dialer, endpoint, *on_found, letter, deadline).await
                }
                FilterKind::Hook(hook) => {
                    hook::ask(&shared.dialer, hook, &shared.hostname, letter, facts, deadline).await
                }
            }
        });
        asked.await.unwrap_or(Err(Trouble::Deadline))
    }
}

/// The filters that count now; a reload puts others here.
#[derive(Debug, Default)]
pub(crate) struct Slot(RwLock<Option<Filters>>);

impl Slot {
    /// From the next message on these count.
    pub(crate) fn set(&self, filters: Filters) {
        let some = (!filters.shared.filters.is_empty()).then_some(filters);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = some;
    }

    /// The filters for a message of that direction; nothing when there are none.
    pub(crate) fn screen(&self, direction: Direction) -> Option<Screen> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.screen(direction)
    }
}
