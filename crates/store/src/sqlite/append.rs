//! Taking events: a batch is one transaction, and in it a few statements of many rows.
//!
//! The cursor of the node is read and moved in the same transaction, so that a batch offered twice is taken once. Within
//! a batch only the last state of each recipient is written.

use std::collections::HashMap;

use mail::{DeliveryId, Event, EventKind, Mailbox, MessageId};
use sqlx::{AssertSqlSafe, Row, Sqlite, SqliteConnection, sqlite::SqliteArguments};

use super::Store;
use crate::{Appended, DatabaseError, State};

/// Rows of one statement. A multi-row statement is prepared once per size, so there are few sizes.
const CHUNKS: [usize; 4] = [256, 32, 4, 1];
/// Sequences of one node: the low bits of an event's id.
const SEQUENCE_BITS: u32 = 48;

/// What a batch writes.
#[derive(Default)]
struct Batch<'a> {
    events: Vec<(i64, MessageId, &'a [u8])>,
    messages: Vec<MessageRow<'a>>,
    deliveries: Vec<DeliveryRow<'a>>,
    places: HashMap<DeliveryId, usize>,
}

struct MessageRow<'a> {
    id: MessageId,
    event: &'a Event,
}

struct DeliveryRow<'a> {
    message: MessageId,
    id: DeliveryId,
    recipient: &'a Mailbox,
    state: State,
    attempts: u32,
    event: i64,
}

impl Store {
    /// How far the events of a node were taken: the last sequence; zero for a node that is not known yet.
    pub async fn cursor(&self, node: &str) -> Result<u64, DatabaseError> {
        let query = sqlx::query_scalar::<_, i64>("SELECT cursor FROM node WHERE name = ?").bind(node);
        let cursor = query.fetch_optional(&self.shared.readers).await.map_err(|error| self.failed(&error))?;
        Ok(cursor.unwrap_or(0).unsigned_abs())
    }

    /// Takes events of a node, in order of sequence; those at or below its cursor were taken before and are passed over.
    /// Durable when it returns.
    pub async fn append(&self, node: &str, events: &[(u64, Event)]) -> Result<Appended, DatabaseError> {
        let encoded: Vec<_> = events.iter().map(|(sequence, event)| (*sequence, event.encode())).collect();
        self.append_encoded(node, &encoded).await
    }

    /// The same for events in their stored form, as an outbox has them. Bytes that are no event are passed over, so that
    /// one damaged entry does not hold up all that come after it; they are logged and told.
    pub async fn append_encoded<B>(&self, node: &str, entries: &[(u64, B)]) -> Result<Appended, DatabaseError>
    where
        B: AsRef<[u8]> + Sync,
    {
        let failed = |error: sqlx::Error| self.failed(&error);
        let mut transaction = self.shared.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let (id, cursor) = node_of(&mut transaction, node).await.map_err(failed)?;
        let mut appended = Appended::default();
        let mut last = cursor;
        let mut decoded = Vec::with_capacity(entries.len());
        for (sequence, bytes) in entries {
            if *sequence <= last {
                appended.known += 1;
                continue;
            }
            last = *sequence;
            match Event::decode(bytes.as_ref()) {
                Ok(event) => decoded.push((*sequence, event, bytes.as_ref())),
                Err(error) => {
                    tracing::error!(node, sequence, %error, "an event cannot be read and is left out of the history");
                    appended.damaged.push(*sequence);
                }
            }
        }
        appended.taken = u64::try_from(decoded.len()).unwrap_or(u64::MAX);
        let mut batch = Batch::default();
        for (sequence, event, bytes) in &decoded {
            batch.add(event_id(id, *sequence), event, bytes);
        }
        batch.write(&mut transaction).await.map_err(failed)?;
        move_cursor(&mut transaction, id, last).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(appended)
    }
}

async fn node_of(connection: &mut SqliteConnection, name: &str) -> Result<(i64, u64), sqlx::Error> {
    let query = "INSERT INTO node (name, cursor) VALUES (?, 0) ON CONFLICT (name) DO UPDATE SET name = excluded.name \
                 RETURNING id, cursor";
    let row = sqlx::query(query).bind(name.to_owned()).fetch_one(connection).await?;
    Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.unsigned_abs()))
}

async fn move_cursor(connection: &mut SqliteConnection, node: i64, cursor: u64) -> Result<(), sqlx::Error> {
    let cursor = i64::try_from(cursor).unwrap_or(i64::MAX);
    sqlx::query("UPDATE node SET cursor = ? WHERE id = ?").bind(cursor).bind(node).execute(connection).await?;
    Ok(())
}

fn event_id(node: i64, sequence: u64) -> i64 {
    let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
    (node << SEQUENCE_BITS) | (sequence & ((1 << SEQUENCE_BITS) - 1))
}

impl<'a> Batch<'a> {
    fn add(&mut self, id: i64, event: &'a Event, bytes: &'a [u8]) {
        self.events.push((id, event.message, bytes));
        let Some(state) = State::after(&event.kind) else { return };
        let mut row = |delivery: &DeliveryId, recipient: &'a Mailbox, attempts: u32| {
            self.set(DeliveryRow { message: event.message, id: *delivery, recipient, state, attempts, event: id });
        };
        match &event.kind {
            EventKind::Accepted { recipients, .. } => {
                for (delivery, recipient) in recipients {
                    row(delivery, recipient, 0);
                }
                self.messages.push(MessageRow { id: event.message, event });
            }
            EventKind::Attempted { delivery, recipient, attempt, .. } => row(delivery, recipient, *attempt),
            EventKind::Expired { delivery, recipient }
            | EventKind::Held { delivery, recipient }
            | EventKind::Released { delivery, recipient }
            | EventKind::Cancelled { delivery, recipient }
            | EventKind::Retried { delivery, recipient }
            | EventKind::Rerouted { delivery, recipient, .. } => row(delivery, recipient, 0),
        }
    }

    /// Keeps the last state of a recipient.
    fn set(&mut self, row: DeliveryRow<'a>) {
        let place = self.places.get(&row.id).and_then(|place| self.deliveries.get_mut(*place));
        match place {
            Some(held) => {
                let attempts = held.attempts.max(row.attempts);
                *held = DeliveryRow { attempts, ..row };
            }
            None => {
                self.places.insert(row.id, self.deliveries.len());
                self.deliveries.push(row);
            }
        }
    }

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let events = Statement { into: "INSERT INTO event (id, message, data)", columns: 3, then: "" };
        events
            .run(connection, &self.events, |query, (id, message, data)| {
                query.bind(*id).bind(message.to_bytes().to_vec()).bind(data.to_vec())
            })
            .await?;
        let messages = Statement {
            into: "INSERT INTO message (id, sender, sender_domain, received, size, service)",
            columns: 6,
            then: "ON CONFLICT (id) DO NOTHING",
        };
        messages.run(connection, &self.messages, |query, row| row.bind(query)).await?;
        let deliveries = Statement {
            into: "INSERT INTO delivery (message, id, recipient, domain, state, attempts, event)",
            columns: 7,
            then: "ON CONFLICT (message, id) DO UPDATE SET state = excluded.state, event = excluded.event, \
                   attempts = max(attempts, excluded.attempts)",
        };
        deliveries.run(connection, &self.deliveries, |query, row| row.bind(query)).await
    }
}

impl MessageRow<'_> {
    fn bind<'q>(&self, query: Query<'q>) -> Query<'q> {
        let EventKind::Accepted { envelope, size, .. } = &self.event.kind else { return query };
        let sender = envelope.reverse_path.mailbox();
        query
            .bind(self.id.to_bytes().to_vec())
            .bind(sender.map(ToString::to_string).unwrap_or_default())
            .bind(sender.map(|sender| sender.domain.to_string()).unwrap_or_default())
            .bind(self.event.at.as_micros())
            .bind(i64::try_from(*size).unwrap_or(i64::MAX))
            .bind(envelope.origin.service.clone())
    }
}

impl DeliveryRow<'_> {
    fn bind<'q>(&self, query: Query<'q>) -> Query<'q> {
        query
            .bind(self.message.to_bytes().to_vec())
            .bind(self.id.to_bytes().to_vec())
            .bind(self.recipient.to_string())
            .bind(self.recipient.domain.to_string())
            .bind(self.state.code())
            .bind(self.attempts)
            .bind(self.event)
    }
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// An insert of many rows.
struct Statement {
    into: &'static str,
    columns: usize,
    then: &'static str,
}

impl Statement {
    /// Writes all rows, as many at a time as the largest chunk that they fill.
    async fn run<R>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[R],
        bind: impl for<'q> Fn(Query<'q>, &R) -> Query<'q>,
    ) -> Result<(), sqlx::Error> {
        let mut rest = rows;
        while let Some(size) = CHUNKS.into_iter().find(|size| *size <= rest.len()) {
            let (chunk, after) = rest.split_at(size);
            // Made of literals and question marks only: the values are bound.
            let mut query = sqlx::query(AssertSqlSafe(self.text(size)));
            for row in chunk {
                query = bind(query, row);
            }
            query.execute(&mut *connection).await?;
            rest = after;
        }
        Ok(())
    }

    fn text(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{} VALUES {} {}", self.into, vec![row.as_str(); rows].join(","), self.then)
    }
}
