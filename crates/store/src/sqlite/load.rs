//! Reading the directory into memory.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use mail::Mailbox;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::Store;
use crate::{Alias, DatabaseError, Directory, DomainKind, ScramVerifier, User, Verifiers};

impl Store {
    /// Puts the stored directory in place of the one in memory, unless they are the same. The caller holds `changes`.
    pub(super) async fn load_directory(&self) -> Result<(), DatabaseError> {
        // One transaction, so that all tables are of one moment.
        let mut transaction = self.shared.readers.begin().await.map_err(|error| self.failed(&error))?;
        let current = self.directory();
        let version = version(&mut transaction).await.map_err(|error| self.failed(&error))?;
        if version == current.version && version != 0 {
            return Ok(());
        }
        let directory = read(&mut transaction, version).await.map_err(|error| self.failed(&error))?;
        self.put_directory(directory);
        Ok(())
    }

    pub(super) fn put_directory(&self, directory: Directory) {
        *self.shared.directory.write().unwrap_or_else(std::sync::PoisonError::into_inner) = directory;
    }
}

async fn version(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let query = sqlx::query_scalar::<_, i64>("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'directory_version'");
    let version = query.fetch_optional(connection).await?;
    Ok(version.and_then(|version| u64::try_from(version).ok()).unwrap_or(0))
}

async fn read(connection: &mut SqliteConnection, version: u64) -> Result<Directory, sqlx::Error> {
    let mut directory = Directory { version, ..Directory::default() };
    let rows = sqlx::query("SELECT name, kind FROM domain").fetch_all(&mut *connection).await?;
    let domains = rows.iter().map(|row| Ok((parsed(row, 0)?, kind(row.try_get(1)?)?)));
    directory.domains = Arc::new(domains.collect::<Result<_, sqlx::Error>>()?);

    let columns =
        "SELECT id, address, argon2, scram_salt, scram_iterations, scram_stored_key, scram_server_key FROM user";
    let rows = sqlx::query(columns).fetch_all(&mut *connection).await?;
    let users = rows.iter().map(|row| user(row).map(|user| (user.mailbox.folded(), Arc::new(user))));
    directory.users = Arc::new(users.collect::<Result<_, _>>()?);

    let query = "SELECT address, target FROM alias JOIN alias_target ON alias = alias.id ORDER BY alias.id, target";
    let mut aliases: HashMap<String, Alias> = HashMap::new();
    for row in sqlx::query(query).fetch_all(&mut *connection).await? {
        let address: Mailbox = parsed(&row, 0)?;
        let entry = aliases.entry(address.folded()).or_insert_with(|| Alias { address, targets: Vec::new() });
        entry.targets.push(parsed(&row, 1)?);
    }
    directory.aliases = Arc::new(aliases.into_iter().map(|(folded, alias)| (folded, Arc::new(alias))).collect());

    let query = "SELECT name, target FROM catch_all JOIN domain ON domain = domain.id";
    let rows = sqlx::query(query).fetch_all(&mut *connection).await?;
    let catch_alls = rows.iter().map(|row| Ok((parsed(row, 0)?, parsed(row, 1)?)));
    directory.catch_alls = Arc::new(catch_alls.collect::<Result<_, sqlx::Error>>()?);
    directory.dkim = Arc::new(super::signing::read(&mut *connection).await?);
    Ok(directory)
}

fn user(row: &SqliteRow) -> Result<User, sqlx::Error> {
    let scram = ScramVerifier {
        salt: row.try_get(3)?,
        iterations: row.try_get(4)?,
        stored_key: key(row, 5)?,
        server_key: key(row, 6)?,
    };
    let verifiers = Verifiers { argon2: row.try_get(2)?, scram };
    Ok(User { id: row.try_get(0)?, mailbox: parsed(row, 1)?, verifiers })
}

fn key(row: &SqliteRow, column: usize) -> Result<[u8; 32], sqlx::Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|error: std::array::TryFromSliceError| sqlx::Error::Decode(error.into()))
}

pub(super) fn parsed<T>(row: &SqliteRow, column: usize) -> Result<T, sqlx::Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}

pub(super) fn kind_text(kind: DomainKind) -> &'static str {
    match kind {
        DomainKind::Local => "local",
        DomainKind::Relay => "relay",
    }
}

pub(super) fn kind(text: &str) -> Result<DomainKind, sqlx::Error> {
    match text {
        "local" => Ok(DomainKind::Local),
        "relay" => Ok(DomainKind::Relay),
        other => Err(sqlx::Error::Decode(format!("a domain of the unknown kind {other:?}").into())),
    }
}
