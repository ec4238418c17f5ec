//! Lists at any length of the queue: each filter drives one index, pages go on from a key, and what is fresh comes from
//! memory. Newest first: by time of arrival, then by number.

use std::{cmp::Reverse, collections::HashSet};

use mail::{DeliveryId, Envelope, Mailbox, MessageId, Timestamp, Transcript};
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Value};

use super::{
    committer::{column, micros, number},
    fresh::{Slot, SlotState, Whole, Window},
    row::{Base, decode},
    shared::Shared,
};
use crate::{Filter, Page, SpoolError, State, View};

/// Rows of a page.
const PAGE_MAX: usize = 1_000;
/// Ids in one filter.
const IDS_MAX: usize = 1_000;
/// Messages of the window looked at without letting others in.
const LOOK_AT_MAX: usize = 1_000;
/// Keys gathered before all but the first are let go.
const KEYS_KEPT: usize = 10_000;

/// Where a row stands in a list: time of arrival in microseconds, number.
pub(super) type Key = (i64, i64);

/// A filter whose words were understood.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    messages: Vec<MessageId>,
    deliveries: Vec<DeliveryId>,
    recipient: Option<String>,
    domain: Option<String>,
    sender: Option<String>,
    sender_domain: Option<String>,
    state: Option<State>,
    older: Option<i64>,
}

/// A way through everything that a filter matches.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) filter: Checked,
    /// Go on after this key.
    pub(super) after: Option<Key>,
    /// Only numbers below: what came later is left out.
    pub(super) below: Option<u64>,
    /// The window has been gone through.
    pub(super) window_done: bool,
}

impl Checked {
    pub(super) fn new(filter: &Filter) -> Result<Self, SpoolError> {
        let bad = |text: String| Err(SpoolError::BadQuery(text));
        if filter.messages.len() + filter.deliveries.len() > IDS_MAX {
            return bad(format!("at most {IDS_MAX} ids at a time"));
        }
        let mut checked = Self {
            messages: filter.messages.clone(),
            deliveries: filter.deliveries.clone(),
            domain: filter.domain.as_ref().map(|domain| domain.to_ascii_lowercase()),
            state: filter.state,
            older: filter.older.map(micros),
            ..Self::default()
        };
        match filter.to.as_deref().map(address_or_domain) {
            None => {}
            Some(Some(Pattern::Address(address))) => checked.recipient = Some(address),
            Some(Some(Pattern::Domain(domain))) => {
                if checked.domain.as_ref().is_some_and(|other| *other != domain) {
                    return bad("to and domain name two different domains: nothing can match".into());
                }
                checked.domain = Some(domain);
            }
            Some(None) => return bad("to: expected an address such as a@example.net, or @example.net".into()),
        }
        match filter.from.as_deref() {
            None => {}
            Some("<>") => checked.sender = Some(String::new()),
            Some(text) => match address_or_domain(text) {
                Some(Pattern::Address(address)) => checked.sender = Some(address),
                Some(Pattern::Domain(domain)) => checked.sender_domain = Some(domain),
                None => return bad("from: expected an address such as a@example.net, @example.net, or <>".into()),
            },
        }
        Ok(checked)
    }

    pub(super) fn by_id(deliveries: Vec<DeliveryId>) -> Self {
        Self { deliveries, ..Self::default() }
    }

    /// Whether few enough are asked for that conversations belong to the answer.
    fn wants_transcripts(&self) -> bool {
        self.messages.len() + self.deliveries.len() == 1
    }

    fn has_ids(&self) -> bool {
        !self.messages.is_empty() || !self.deliveries.is_empty()
    }

    /// Whether a fresh delivery matches.
    pub(super) fn matches(&self, whole: &Whole, slot: &Slot) -> bool {
        let message = &whole.message;
        let sender = message.envelope.reverse_path.mailbox();
        let state = if slot.state == SlotState::Waiting { State::Queued } else { State::Active };
        (self.messages.is_empty() || self.messages.contains(&message.id))
            && (self.deliveries.is_empty() || self.deliveries.contains(&slot.delivery.id))
            && self.state.is_none_or(|wanted| wanted == state)
            && self.older.is_none_or(|older| micros(message.received) < older)
            && self.domain.as_ref().is_none_or(|domain| **domain == *slot.domain)
            && self
                .recipient
                .as_ref()
                .is_none_or(|wanted| wanted.ends_with(&*slot.domain) && *wanted == slot.delivery.recipient.folded())
            && self.sender.as_ref().is_none_or(|wanted| *wanted == sender.map(Mailbox::folded).unwrap_or_default())
            && self
                .sender_domain
                .as_ref()
                .is_none_or(|wanted| sender.is_some_and(|sender| sender.domain.to_string() == *wanted))
    }
}

enum Pattern {
    Address(String),
    Domain(String),
}

fn address_or_domain(text: &str) -> Option<Pattern> {
    match text.strip_prefix('@') {
        Some(domain) => domain.parse::<mail::Domain>().ok().map(|domain| Pattern::Domain(domain.to_string())),
        None => text.parse::<Mailbox>().ok().map(|mailbox| Pattern::Address(mailbox.folded())),
    }
}

/// The page's length and where it begins.
pub(super) fn page(page: &Page) -> Result<(usize, Option<Key>), SpoolError> {
    let after = match &page.cursor {
        None => None,
        Some(text) => Some(
            parse_cursor(text)
                .ok_or_else(|| SpoolError::BadQuery("the cursor is not one that a page before ended with".into()))?,
        ),
    };
    Ok((page.limit.clamp(1, PAGE_MAX), after))
}

fn parse_cursor(text: &str) -> Option<Key> {
    let (received, seq) = text.split_once('.')?;
    Some((received.parse().ok()?, seq.parse().ok()?))
}

/// The cursor after a row.
pub(super) fn cursor(key: Key) -> String {
    format!("{}.{}", key.0, key.1)
}

/// Fresh deliveries that match and come after `after`: the first `limit` of them.
pub(super) fn fresh(shared: &Shared, filter: &Checked, after: Option<Key>, limit: usize) -> Vec<(Key, View)> {
    let mut keys: Vec<Key> = Vec::new();
    if filter.has_ids() {
        by_ids(&shared.window(), filter, after, &mut keys);
    } else {
        let mut before = u64::MAX;
        loop {
            let window = shared.window();
            let mut looked = 0;
            for whole in window.newest_before(before).take(LOOK_AT_MAX) {
                matching(whole, filter, after, &mut keys);
                (before, looked) = (whole.seq, looked + 1);
            }
            drop(window);
            if keys.len() > KEYS_KEPT.max(4 * limit) {
                keys.select_nth_unstable_by_key(limit, |key| Reverse(*key));
                keys.truncate(limit);
            }
            if looked < LOOK_AT_MAX {
                break;
            }
        }
    }
    keys.sort_unstable_by_key(|key| Reverse(*key));
    keys.truncate(limit);
    let window = shared.window();
    // What has left the window meanwhile has its row, or is done.
    keys.into_iter().filter_map(|key| Some((key, view_at(&window, number(key.1))?))).collect()
}

fn by_ids(window: &Window, filter: &Checked, after: Option<Key>, keys: &mut Vec<Key>) {
    let mut seen = HashSet::new();
    let messages = filter.messages.iter().filter_map(|id| window.by_message(*id));
    let deliveries = filter.deliveries.iter().filter_map(|id| window.whole_delivery(*id));
    for whole in messages.chain(deliveries) {
        if seen.insert(whole.seq) {
            matching(whole, filter, after, keys);
        }
    }
}

fn matching(whole: &Whole, filter: &Checked, after: Option<Key>, keys: &mut Vec<Key>) {
    for (offset, slot) in (0..).zip(&whole.slots) {
        let key = (micros(whole.message.received), column(whole.seq + offset));
        let comes_after = after.is_none_or(|after| key < after);
        // One whose settlement is being made durable, too: it has no row yet, and may still be waiting for the disk.
        if comes_after && filter.matches(whole, slot) {
            keys.push(key);
        }
    }
}

fn view_at(window: &Window, seq: u64) -> Option<View> {
    let (whole, slot) = window.at(seq)?;
    Some(view_of(whole, slot))
}

fn view_of(whole: &Whole, slot: &Slot) -> View {
    let message = &whole.message;
    let waiting = slot.state == SlotState::Waiting;
    View {
        message: message.id,
        reverse_path: message.envelope.reverse_path.clone(),
        size: message.size,
        received: message.received,
        service: message.envelope.origin.service.clone(),
        delivery: slot.delivery.id,
        recipient: slot.delivery.recipient.clone(),
        original: slot.delivery.original.clone(),
        state: if waiting { State::Queued } else { State::Active },
        attempts: 0,
        next_due: waiting.then_some(message.received),
        source: None,
        last: None,
        transcript: None,
    }
}

/// Rows that match and come after `after`, as they are listed: the first `limit` of them.
pub(super) fn rows(connection: &Connection, walk: &Walk, limit: usize) -> rusqlite::Result<Vec<(Key, View)>> {
    let mut found = Vec::new();
    for key in keys(connection, walk, limit)? {
        if let Some(view) = view(connection, key.1, walk.filter.wants_transcripts())? {
            found.push((key, view));
        }
    }
    Ok(found)
}

/// The keys of rows that match.
pub(super) fn keys(connection: &Connection, walk: &Walk, limit: usize) -> rusqlite::Result<Vec<Key>> {
    let filter = &walk.filter;
    let mut keys = Vec::new();
    for slice in slices(connection, filter)? {
        let (sql, mut values) = slice.sql(walk);
        values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
        for key in rows {
            keys.push(key?);
        }
    }
    keys.sort_by_key(|key| Reverse(*key));
    keys.dedup();
    keys.truncate(limit);
    Ok(keys)
}

/// One range of one index.
struct Slice {
    index: Option<&'static str>,
    condition: String,
    values: Vec<Value>,
}

/// The ranges that together hold everything that may match, by the narrowest of the filter's words.
fn slices(connection: &Connection, filter: &Checked) -> rusqlite::Result<Vec<Slice>> {
    let text = |text: &String| vec![Value::Text(text.clone())];
    let one = |index: &'static str, condition: &str, values: Vec<Value>| {
        vec![Slice { index: Some(index), condition: condition.into(), values }]
    };
    if filter.has_ids() {
        return by_number(connection, filter);
    }
    let states: Vec<Base> = match filter.state {
        None => Base::ALL.to_vec(),
        Some(State::Active) if filter.domain.is_none() && filter.recipient.is_none() && filter.sender.is_none() => {
            return Ok(one("delivery_owner", "owner IS NOT NULL", Vec::new()));
        }
        Some(State::Active) => Base::ALL.to_vec(),
        Some(state) => Base::of(state).into_iter().collect(),
    };
    let per_state = |index: &'static str, condition: &str, values: Vec<Value>| {
        let slice = |state: &Base| Slice {
            index: Some(index),
            condition: format!("{condition}state = {}", *state as i64),
            values: values.clone(),
        };
        states.iter().map(slice).collect()
    };
    Ok(match filter {
        _ if states.is_empty() => Vec::new(),
        Checked { recipient: Some(recipient), .. } => {
            one("delivery_recipient", "lower(recipient) = ?", text(recipient))
        }
        Checked { sender: Some(sender), domain: None, .. } => one("delivery_sender", "sender = ?", text(sender)),
        Checked { domain: Some(domain), .. } => per_state("delivery_domain", "domain = ? AND ", text(domain)),
        Checked { sender_domain: Some(domain), .. } => one("delivery_sender_domain", "sender_domain = ?", text(domain)),
        _ => per_state("delivery_state", "", Vec::new()),
    })
}

/// The numbers that the ids of a filter stand for.
fn by_number(connection: &Connection, filter: &Checked) -> rusqlite::Result<Vec<Slice>> {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for id in &filter.messages {
        let sql = "SELECT seq, seq + recipients FROM message WHERE id = ?1 AND whole IS NULL";
        let mut statement = connection.prepare_cached(sql)?;
        ranges.extend(statement.query_row([id.to_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?);
    }
    if filter.messages.is_empty() {
        for id in &filter.deliveries {
            let mut statement = connection.prepare_cached("SELECT seq, seq + 1 FROM delivery WHERE id = ?1")?;
            ranges.extend(statement.query_row([id.to_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?);
        }
    }
    let slice = |(from, to)| Slice {
        index: None,
        condition: "seq >= ? AND seq < ?".into(),
        values: vec![Value::Integer(from), Value::Integer(to)],
    };
    Ok(ranges.into_iter().map(slice).collect())
}

impl Slice {
    /// The statement, but for the limit, which is its last parameter.
    fn sql(self, walk: &Walk) -> (String, Vec<Value>) {
        let filter = &walk.filter;
        let index = self.index.map_or(String::new(), |index| format!(" INDEXED BY {index}"));
        let mut sql = format!("SELECT received, seq FROM delivery{index} WHERE {}", self.condition);
        let mut values = self.values;
        let mut also = |condition: &str, value: Option<Value>| {
            if let Some(value) = value {
                sql.push_str(condition);
                values.push(value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        also(" AND domain = ?", text(&filter.domain));
        also(" AND lower(recipient) = ?", text(&filter.recipient));
        also(" AND sender = ?", text(&filter.sender));
        also(" AND sender_domain = ?", text(&filter.sender_domain));
        also(" AND received < ?", filter.older.map(Value::Integer));
        also(" AND seq < ?", walk.below.map(|below| Value::Integer(column(below))));
        if let Some((received, seq)) = walk.after {
            also(" AND (received, seq) < (?", Some(Value::Integer(received)));
            also(", ?)", Some(Value::Integer(seq)));
        }
        if !filter.messages.is_empty() {
            for (at, id) in filter.deliveries.iter().enumerate() {
                also(if at == 0 { " AND id IN (?" } else { ", ?" }, Some(Value::Blob(id.to_bytes().to_vec())));
            }
            if !filter.deliveries.is_empty() {
                sql.push(')');
            }
        }
        match filter.state {
            Some(State::Active) => sql.push_str(" AND owner IS NOT NULL"),
            Some(state) => {
                let column = Base::of(state).map_or(-1, |base| base as i64);
                sql.push_str(&format!(" AND owner IS NULL AND state = {column}"));
            }
            None => {}
        }
        sql.push_str(" ORDER BY received DESC, seq DESC LIMIT ?");
        (sql, values)
    }
}

/// One row as a list shows it; nothing when it is gone or cannot be understood.
fn view(connection: &Connection, seq: i64, transcripts: bool) -> rusqlite::Result<Option<View>> {
    let sql = "SELECT d.id, d.recipient, d.original, d.state, d.attempts, d.due, d.owner, m.id, m.envelope, m.size,
             m.received, a.at, a.outcome, a.source, CASE WHEN ?2 THEN a.transcript END
         FROM delivery d JOIN message m ON m.seq = d.message LEFT JOIN attempt a ON a.seq = d.seq WHERE d.seq = ?1";
    let found = connection.prepare_cached(sql)?.query_row(params![seq, transcripts], |row| Ok(read_view(row)));
    match found.optional()? {
        None => Ok(None),
        Some(Ok(view)) => Ok(Some(view)),
        Some(Err(why)) => {
            tracing::warn!(number = seq, why, "a delivery in the queue cannot be shown");
            Ok(None)
        }
    }
}

fn read_view(row: &Row<'_>) -> Result<View, String> {
    let text = |error: rusqlite::Error| error.to_string();
    let envelope: Envelope = decode(row.get_ref(8).map_err(text)?.as_blob().map_err(|error| error.to_string())?)?;
    let recipient: String = row.get(1).map_err(text)?;
    let original: Option<String> = row.get(2).map_err(text)?;
    let base = Base::from_column(row.get(3).map_err(text)?).ok_or("an unknown state")?;
    let leased = row.get::<_, Option<i64>>(6).map_err(text)?.is_some();
    let at: Option<i64> = row.get(11).map_err(text)?;
    let outcome: Option<Vec<u8>> = row.get(12).map_err(text)?;
    let transcript: Option<Vec<u8>> = row.get(14).map_err(text)?;
    let due: Option<i64> = row.get(5).map_err(text)?;
    Ok(View {
        message: MessageId::from_bytes(row.get(7).map_err(text)?),
        reverse_path: envelope.reverse_path,
        size: number(row.get(9).map_err(text)?),
        received: Timestamp::from_micros(row.get(10).map_err(text)?),
        service: envelope.origin.service,
        delivery: DeliveryId::from_bytes(row.get(0).map_err(text)?),
        recipient: recipient.parse().map_err(|error: mail::AddressError| error.to_string())?,
        original: original.and_then(|text| text.parse().ok()),
        state: if leased { State::Active } else { base.shown() },
        attempts: row.get(4).map_err(text)?,
        next_due: due.filter(|_| !leased).map(Timestamp::from_micros),
        source: row.get(13).map_err(text)?,
        last: match (at, outcome) {
            (Some(at), Some(outcome)) => Some((Timestamp::from_micros(at), decode(&outcome)?)),
            _ => None,
        },
        transcript: transcript.and_then(|bytes| decode::<Transcript>(&bytes).ok()),
    })
}
