//! Lists of deliveries, the history of a message, and forgetting both when they are old.

use std::time::Duration;

use mail::{DeliveryId, Event, MessageId, ReversePath, Timestamp};
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};

use super::{Store, load::parsed};
use crate::{DatabaseError, DeliveryView, Filter, PAGE_MAX, Page, QueryError, State};

/// Ids that one filter may name.
const IDS_MAX: usize = 1000;
/// An id is made before its message is accepted, by the same clock; this far it may have been set back between the two.
const ID_SLACK: Duration = Duration::from_secs(60);
/// Messages forgotten in one transaction.
const SWEEP_STEP: i64 = 500;

const COLUMNS: &str = "SELECT d.message, d.id, d.recipient, d.state, d.attempts, m.sender, m.size, m.received, m.service, \
                       e.data ";

impl Store {
    /// Deliveries that match, newest first, and the cursor to go on with; no cursor after the last page. A recipient, a
    /// recipient's domain, a sender, ids and failures are found by an index; other filters look through the newest first.
    pub async fn find(&self, filter: &Filter, page: &Page) -> Result<(Vec<DeliveryView>, Option<String>), QueryError> {
        let limit = page.limit.clamp(1, PAGE_MAX);
        let cursor = page.cursor.as_deref().map(parse_cursor).transpose()?;
        let mut query = select(filter, cursor, limit)?;
        let rows = query.build().fetch_all(&self.shared.readers).await.map_err(|error| self.failed(&error))?;
        let last = rows.last().filter(|_| rows.len() == limit).map(cursor_of).transpose();
        let cursor = last.map_err(|error| self.failed(&error))?;
        // A row that cannot be read is left out rather than keeping all others from being seen.
        let views = rows.iter().filter_map(|row| {
            view(row).inspect_err(|error| tracing::warn!(%error, "a delivery in the store cannot be read")).ok()
        });
        Ok((views.collect(), cursor))
    }

    /// All that happened to a message and its recipients, in order.
    pub async fn history(&self, message: MessageId) -> Result<Vec<Event>, QueryError> {
        let query =
            sqlx::query("SELECT data FROM event WHERE message = ? ORDER BY id").bind(message.to_bytes().to_vec());
        let rows = query.fetch_all(&self.shared.readers).await.map_err(|error| self.failed(&error))?;
        let events = rows.iter().filter_map(|row| {
            event(row, 0)
                .inspect_err(|error| tracing::warn!(%error, id = %message, "an event in the store cannot be read"))
                .ok()
        });
        Ok(events.collect())
    }

    /// Forgets messages accepted before a time of which every recipient is settled, with their events. Works in short
    /// transactions; returns how many messages were forgotten.
    pub async fn forget_before(&self, time: Timestamp) -> Result<u64, DatabaseError> {
        let mut forgotten = 0;
        loop {
            let step = self.forget_step(time).await.map_err(|error| self.failed(&error))?;
            forgotten += step;
            if step < SWEEP_STEP.unsigned_abs() {
                return Ok(forgotten);
            }
        }
    }

    async fn forget_step(&self, time: Timestamp) -> Result<u64, sqlx::Error> {
        let mut transaction = self.shared.writer.begin_with("BEGIN IMMEDIATE").await?;
        let query = "SELECT message FROM delivery WHERE message < ? GROUP BY message HAVING min(state) >= ? LIMIT ?";
        let query = sqlx::query_scalar::<_, Vec<u8>>(query).bind(first_id(time).to_bytes().to_vec());
        let query = query.bind(State::Delivered.code()).bind(SWEEP_STEP);
        let messages = query.fetch_all(&mut *transaction).await?;
        for message in &messages {
            for delete in [
                "DELETE FROM event WHERE message = ?",
                "DELETE FROM delivery WHERE message = ?",
                "DELETE FROM message WHERE id = ?",
            ] {
                sqlx::query(delete).bind(message.clone()).execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(u64::try_from(messages.len()).unwrap_or(u64::MAX))
    }
}

/// The query for a page that begins after `cursor`.
fn select(
    filter: &Filter,
    cursor: Option<(MessageId, DeliveryId)>,
    limit: usize,
) -> Result<QueryBuilder<Sqlite>, QueryError> {
    if filter.messages.len() > IDS_MAX || filter.deliveries.len() > IDS_MAX {
        return Err(QueryError::BadFilter(format!("at most {IDS_MAX} ids at once")));
    }
    let mut query = QueryBuilder::new(COLUMNS);
    // A sender's messages lead to their deliveries, and CROSS JOIN keeps that order; else deliveries lead to messages.
    let (tables, message) = match filter.from {
        Some(_) => ("FROM message m CROSS JOIN delivery d ON d.message = m.id", "m.id"),
        None => ("FROM delivery d LEFT JOIN message m ON m.id = d.message", "d.message"),
    };
    query.push(tables).push(" LEFT JOIN event e ON e.id = d.event WHERE 1");
    push_conditions(&mut query, filter);
    if let Some(older) = filter.older {
        query.push(" AND m.received < ").push_bind(older.as_micros());
        query.push(" AND ").push(message).push(" < ").push_bind(first_id(older + ID_SLACK).to_bytes().to_vec());
    }
    if let Some((last_message, last_delivery)) = cursor {
        // The first of the two conditions follows from the second, but only it is looked up in an index.
        query.push(" AND ").push(message).push(" <= ").push_bind(last_message.to_bytes().to_vec());
        query.push(" AND (").push(message).push(", d.id) < (").push_bind(last_message.to_bytes().to_vec());
        query.push(", ").push_bind(last_delivery.to_bytes().to_vec()).push(")");
    }
    query.push(" ORDER BY ").push(message).push(" DESC, d.id DESC LIMIT ");
    query.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    Ok(query)
}

fn push_conditions(query: &mut QueryBuilder<Sqlite>, filter: &Filter) {
    if !filter.messages.is_empty() {
        push_list(query, " AND d.message IN (", filter.messages.iter().map(|id| id.to_bytes().to_vec()));
    }
    if !filter.deliveries.is_empty() {
        push_list(query, " AND d.id IN (", filter.deliveries.iter().map(|id| id.to_bytes().to_vec()));
    }
    match filter.to.as_deref().map(|to| (to, to.strip_prefix('@'))) {
        Some((_, Some(domain))) => {
            query.push(" AND d.domain = ").push_bind(domain.to_owned());
        }
        Some((address, None)) => {
            query.push(" AND d.recipient = ").push_bind(address.to_owned());
        }
        None => {}
    }
    if let Some(domain) = &filter.domain {
        query.push(" AND d.domain = ").push_bind(domain.clone());
    }
    match filter.from.as_deref().map(|from| (from, from.strip_prefix('@'))) {
        Some((_, Some(domain))) => {
            query.push(" AND m.sender_domain = ").push_bind(domain.to_owned());
        }
        Some(("<>", None)) => {
            query.push(" AND m.sender = ''");
        }
        Some((address, None)) => {
            query.push(" AND m.sender = ").push_bind(address.to_owned());
        }
        None => {}
    }
    push_states(query, &filter.states);
}

fn push_states(query: &mut QueryBuilder<Sqlite>, states: &[State]) {
    match states {
        [] => {}
        [state] => {
            query.push(" AND d.state = ").push(state.code());
        }
        many => push_list(query, " AND d.state IN (", many.iter().map(|state| state.code())),
    }
    if !states.is_empty() && states.iter().all(|state| *state >= State::Bounced) {
        // The very words of the partial index, which is used only then.
        query.push(" AND d.state >= 4");
    }
}

fn push_list<T>(query: &mut QueryBuilder<Sqlite>, start: &str, values: impl Iterator<Item = T>)
where
    T: for<'q> sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite> + Send + 'static,
{
    query.push(start);
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    query.push(")");
}

/// The smallest id made at that time or later.
fn first_id(time: Timestamp) -> MessageId {
    let millis = u64::try_from(time.as_micros().div_euclid(1000)).unwrap_or(0);
    let [_, _, a, b, c, d, e, f] = millis.to_be_bytes();
    MessageId::from_bytes([a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn parse_cursor(text: &str) -> Result<(MessageId, DeliveryId), QueryError> {
    let parsed =
        text.split_once('.').and_then(|(message, delivery)| Some((message.parse().ok()?, delivery.parse().ok()?)));
    parsed.ok_or_else(|| QueryError::BadCursor(text.chars().take(100).collect()))
}

fn cursor_of(row: &SqliteRow) -> Result<String, sqlx::Error> {
    Ok(format!("{}.{}", MessageId::from_bytes(bytes(row, 0)?), DeliveryId::from_bytes(bytes(row, 1)?)))
}

fn view(row: &SqliteRow) -> Result<DeliveryView, sqlx::Error> {
    let message = MessageId::from_bytes(bytes(row, 0)?);
    let state = State::from_code(row.try_get(3)?).ok_or_else(|| sqlx::Error::Decode("an unknown state".into()))?;
    // Events about a message that was forgotten leave a delivery without one.
    let sender: Option<&str> = row.try_get(5)?;
    let reverse_path: ReversePath =
        sender.unwrap_or_default().parse().map_err(|error: mail::AddressError| sqlx::Error::Decode(error.into()))?;
    Ok(DeliveryView {
        message,
        reverse_path,
        size: row.try_get::<Option<i64>, _>(6)?.unwrap_or(0).unsigned_abs(),
        received: Timestamp::from_micros(row.try_get::<Option<i64>, _>(7)?.unwrap_or(0)),
        service: row.try_get::<Option<String>, _>(8)?.unwrap_or_default(),
        delivery: DeliveryId::from_bytes(bytes(row, 1)?),
        recipient: parsed(row, 2)?,
        state,
        attempts: row.try_get(4)?,
        last: event(row, 9)?,
    })
}

fn event(row: &SqliteRow, column: usize) -> Result<Event, sqlx::Error> {
    let data: Option<&[u8]> = row.try_get(column)?;
    let data = data.ok_or_else(|| sqlx::Error::Decode("its event is missing".into()))?;
    Event::decode(data).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn bytes(row: &SqliteRow, column: usize) -> Result<[u8; 16], sqlx::Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|error: std::array::TryFromSliceError| sqlx::Error::Decode(error.into()))
}

#[cfg(test)]
mod tests {
    use sqlx::Execute;

    use super::*;

    /// The steps that SQLite plans for a page in the middle of a list.
    async fn plan(filter: &Filter) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open("sqlite:posthouse.db", directory.path()).await.unwrap();
        let cursor = Some((MessageId::from_bytes([1; 16]), DeliveryId::from_bytes([1; 16])));
        let mut query = select(filter, cursor, 100).unwrap();
        let explained = format!("EXPLAIN QUERY PLAN {}", query.build().sql().as_str());
        let mut explain = sqlx::query(sqlx::AssertSqlSafe(explained));
        for _ in 0..20 {
            explain = explain.bind(0);
        }
        let rows = explain.fetch_all(&store.shared.readers).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect()
    }

    async fn check(filter: Filter, first: &str) {
        let steps = plan(&filter).await;
        assert!(steps.first().is_some_and(|step| step.contains(first)), "{filter:?}: {steps:?}");
        // Sorting the recipients of each message is no harm.
        let sorted = |step: &String| step.contains("TEMP B-TREE") && !step.contains("LAST TERM");
        assert!(!steps.iter().any(sorted), "{filter:?}: {steps:?}");
    }

    #[tokio::test]
    async fn lists_are_read_from_an_index_in_their_order() {
        let some = |text: &str| Some(text.to_owned());
        check(Filter::default(), "SEARCH d USING PRIMARY KEY (message<?)").await;
        check(Filter { to: some("a@b.example"), ..Filter::default() }, "delivery_recipient (recipient=?").await;
        check(Filter { to: some("@b.example"), ..Filter::default() }, "delivery_domain (domain=?").await;
        check(Filter { domain: some("b.example"), ..Filter::default() }, "delivery_domain (domain=?").await;
        check(Filter { from: some("a@b.example"), ..Filter::default() }, "message_sender (sender=?").await;
        check(Filter { from: some("<>"), ..Filter::default() }, "message_sender (sender=?").await;
        check(Filter { states: vec![State::Bounced], ..Filter::default() }, "delivery_failed (state=?").await;
        check(Filter { states: vec![State::Delivered], ..Filter::default() }, "SEARCH d USING PRIMARY KEY").await;
        let older = Some(Timestamp::from_secs(1));
        check(Filter { older, ..Filter::default() }, "SEARCH d USING PRIMARY KEY (message<?)").await;
    }
}
