//! Writing what the gate remembers, a batch in one transaction, and reading it at the start.

use std::net::IpAddr;

use mail::Timestamp;
use sqlx::{Row, sqlite::SqliteRow};

use super::Store;
use crate::{AcquaintanceRow, DatabaseError, GreylistRow};

impl Store {
    /// The rows of the greylist that were used last, the oldest first: at most so many that have passed, and as many that
    /// were only tried, so that a flood of tries costs nobody its pass.
    pub async fn greylist(&self, most: u32) -> Result<Vec<GreylistRow>, DatabaseError> {
        let query = "SELECT key, first, latest, passes FROM \
                     (SELECT * FROM greylist WHERE passes > 0 ORDER BY latest DESC LIMIT ?1) UNION ALL \
                     SELECT key, first, latest, passes FROM \
                     (SELECT * FROM greylist WHERE passes = 0 ORDER BY latest DESC LIMIT ?1) ORDER BY latest";
        let rows = sqlx::query(query).bind(most).fetch_all(&self.shared.readers).await;
        let rows = rows.and_then(|rows| rows.iter().map(greylist_row).collect());
        rows.map_err(|error| self.failed(&error))
    }

    /// Keeps rows of the greylist in place of older ones.
    pub async fn greylist_keep(&self, rows: &[GreylistRow]) -> Result<(), DatabaseError> {
        let failed = |error: sqlx::Error| self.failed(&error);
        let mut transaction = self.shared.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        for row in rows {
            sqlx::query("INSERT OR REPLACE INTO greylist (key, first, latest, passes) VALUES (?, ?, ?, ?)")
                .bind(row.key.as_slice())
                .bind(row.first.as_micros())
                .bind(row.latest.as_micros())
                .bind(row.passes)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// Forgets tries and passes that were last used before these times, and of the tries all but so many: a flood of
    /// them would fill the disk. Returns how many.
    pub async fn greylist_forget(
        &self,
        tries: Timestamp,
        passes: Timestamp,
        tries_most: u32,
    ) -> Result<u64, DatabaseError> {
        let delete = "DELETE FROM greylist WHERE latest < ?1 OR (passes = 0 AND (latest < ?2 OR latest <= \
                      (SELECT latest FROM greylist WHERE passes = 0 ORDER BY latest DESC LIMIT 1 OFFSET ?3)))";
        let deleted = sqlx::query(delete).bind(passes.as_micros()).bind(tries.as_micros()).bind(tries_most);
        let deleted = deleted.execute(&self.shared.writer).await.map_err(|error| self.failed(&error))?;
        Ok(deleted.rows_affected())
    }

    /// The acquaintances that were seen last, at most so many, the oldest first.
    pub async fn acquaintances(&self, most: u32) -> Result<Vec<AcquaintanceRow>, DatabaseError> {
        let query = "SELECT client, account, latest FROM \
                     (SELECT * FROM acquaintance ORDER BY latest DESC LIMIT ?) ORDER BY latest";
        let rows = sqlx::query(query).bind(most).fetch_all(&self.shared.readers).await;
        let rows = rows.and_then(|rows| rows.iter().map(acquaintance_row).collect());
        rows.map_err(|error| self.failed(&error))
    }

    /// Keeps acquaintances in place of older ones.
    pub async fn acquaintances_keep(&self, rows: &[AcquaintanceRow]) -> Result<(), DatabaseError> {
        let failed = |error: sqlx::Error| self.failed(&error);
        let mut transaction = self.shared.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        for row in rows {
            sqlx::query("INSERT OR REPLACE INTO acquaintance (client, account, latest) VALUES (?, ?, ?)")
                .bind(row.client.to_string())
                .bind(row.account.as_slice())
                .bind(row.latest.as_micros())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// Forgets acquaintances that were last seen before that time. Returns how many.
    pub async fn acquaintances_forget(&self, before: Timestamp) -> Result<u64, DatabaseError> {
        let delete = sqlx::query("DELETE FROM acquaintance WHERE latest < ?").bind(before.as_micros());
        let deleted = delete.execute(&self.shared.writer).await.map_err(|error| self.failed(&error))?;
        Ok(deleted.rows_affected())
    }
}

fn greylist_row(row: &SqliteRow) -> Result<GreylistRow, sqlx::Error> {
    Ok(GreylistRow {
        key: digest(row, 0)?,
        first: Timestamp::from_micros(row.try_get(1)?),
        latest: Timestamp::from_micros(row.try_get(2)?),
        passes: row.try_get(3)?,
    })
}

fn acquaintance_row(row: &SqliteRow) -> Result<AcquaintanceRow, sqlx::Error> {
    let client: IpAddr = super::load::parsed(row, 0)?;
    Ok(AcquaintanceRow { client, account: digest(row, 1)?, latest: Timestamp::from_micros(row.try_get(2)?) })
}

fn digest(row: &SqliteRow, column: usize) -> Result<[u8; 16], sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    bytes.try_into().map_err(|_| sqlx::Error::Decode("a digest that is not sixteen bytes long".into()))
}
