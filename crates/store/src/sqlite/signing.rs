//! The keys that sign: added, put to use, taken out of use.

use std::sync::Arc;

use mail::{Domain, Timestamp};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{Store, admin::Change};
use crate::{ChangeError, DKIM_KEYS_MAX, DkimKey, KeyState};

impl Store {
    /// Adds keys to a domain.
    ///
    /// # Errors
    /// When there is no such domain, a selector is taken, or the domain would have too many keys.
    pub async fn dkim_add(&self, domain: &Domain, keys: &[DkimKey]) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        let (id, _) = change.domain(domain).await?;
        let mut all = change.dkim_keys(id).await?;
        for key in keys {
            if all.iter().any(|other| other.selector.eq_ignore_ascii_case(&key.selector)) {
                return Err(ChangeError::SelectorExists { domain: domain.clone(), selector: key.selector.clone() });
            }
            let insert =
                "INSERT INTO dkim_key (domain, selector, record, secret, state, since) VALUES (?, ?, ?, ?, ?, ?)";
            let insert = sqlx::query(insert).bind(id).bind(&key.selector).bind(&key.record).bind(&key.secret);
            let insert = insert.bind(state_text(key.state)).bind(key.since.as_micros());
            change.run(insert).await?;
            all.push(key.clone());
        }
        if all.len() > DKIM_KEYS_MAX {
            return Err(ChangeError::TooManyKeys { domain: domain.clone(), max: DKIM_KEYS_MAX });
        }
        change.dkim_commit(domain, id).await
    }

    /// Puts the waiting keys of a domain to use, and retires those that signed until now.
    ///
    /// # Errors
    /// When there is no such domain, or it has no waiting keys.
    pub async fn dkim_turn(&self, domain: &Domain, now: Timestamp) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        let (id, _) = change.domain(domain).await?;
        if !change.dkim_keys(id).await?.iter().any(|key| key.state == KeyState::Waiting) {
            return Err(ChangeError::NoWaitingKey(domain.clone()));
        }
        for (from, to) in [(KeyState::Active, KeyState::Retired), (KeyState::Waiting, KeyState::Active)] {
            let update = sqlx::query("UPDATE dkim_key SET state = ?, since = ? WHERE domain = ? AND state = ?");
            let update = update.bind(state_text(to)).bind(now.as_micros()).bind(id).bind(state_text(from));
            change.run(update).await?;
        }
        change.dkim_commit(domain, id).await
    }

    /// Removes a key.
    ///
    /// # Errors
    /// When there is no such domain or it has no such key.
    pub async fn dkim_remove(&self, domain: &Domain, selector: &str) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        let (id, _) = change.domain(domain).await?;
        let delete = sqlx::query("DELETE FROM dkim_key WHERE domain = ? AND selector = ?").bind(id).bind(selector);
        if change.run(delete).await?.rows_affected() == 0 {
            return Err(ChangeError::NoSuchKey { domain: domain.clone(), selector: selector.to_owned() });
        }
        change.dkim_commit(domain, id).await
    }
}

impl Change<'_> {
    async fn dkim_keys(&mut self, domain: i64) -> Result<Vec<DkimKey>, ChangeError> {
        let query = "SELECT selector, record, secret, state, since FROM dkim_key WHERE domain = ? ORDER BY selector";
        let rows = sqlx::query(query).bind(domain).fetch_all(self.connection()).await;
        let keys = rows.and_then(|rows| rows.iter().map(|row| key(row, 0)).collect());
        Ok(keys.map_err(|error| self.failed(&error))?)
    }

    async fn dkim_commit(mut self, domain: &Domain, id: i64) -> Result<(), ChangeError> {
        let keys = self.dkim_keys(id).await?;
        let domain = domain.clone();
        self.commit(|directory| {
            let all = Arc::make_mut(&mut directory.dkim);
            if keys.is_empty() {
                all.remove(&domain);
            } else {
                all.insert(domain, keys.into());
            }
        })
        .await
    }
}

/// The keys of every domain.
pub(super) async fn read(
    connection: &mut SqliteConnection,
) -> Result<std::collections::BTreeMap<Domain, Arc<[DkimKey]>>, sqlx::Error> {
    let query = "SELECT name, selector, record, secret, state, since FROM dkim_key JOIN domain ON domain = domain.id \
                 ORDER BY name, selector";
    let mut all = std::collections::BTreeMap::<Domain, Vec<DkimKey>>::new();
    for row in sqlx::query(query).fetch_all(connection).await? {
        all.entry(super::load::parsed(&row, 0)?).or_default().push(key(&row, 1)?);
    }
    Ok(all.into_iter().map(|(domain, keys)| (domain, keys.into())).collect())
}

fn key(row: &SqliteRow, first: usize) -> Result<DkimKey, sqlx::Error> {
    Ok(DkimKey {
        selector: row.try_get(first)?,
        record: row.try_get(first + 1)?,
        secret: row.try_get(first + 2)?,
        state: state(row.try_get(first + 3)?)?,
        since: Timestamp::from_micros(row.try_get(first + 4)?),
    })
}

fn state_text(state: KeyState) -> &'static str {
    match state {
        KeyState::Waiting => "waiting",
        KeyState::Active => "active",
        KeyState::Retired => "retired",
    }
}

fn state(text: &str) -> Result<KeyState, sqlx::Error> {
    match text {
        "waiting" => Ok(KeyState::Waiting),
        "active" => Ok(KeyState::Active),
        "retired" => Ok(KeyState::Retired),
        other => Err(sqlx::Error::Decode(format!("a key in the unknown state {other:?}").into())),
    }
}
