//! Changing the directory. Every change is checked and made in one transaction, then takes its place in memory; whoever
//! asks after the call sees it.

use std::sync::Arc;

use mail::{Domain, Mailbox};
use sqlx::{Row, Sqlite, SqliteConnection, Transaction};
use tokio::sync::MutexGuard;

use super::{
    Store,
    load::{kind, kind_text},
};
use crate::{
    Alias, CatchAll, ChangeError, DatabaseError, Directory, DomainEntry, DomainKind, TARGETS_MAX, User, Verifiers,
};

/// A change under way: dropped without a commit, it never was.
pub(super) struct Change<'a> {
    store: &'a Store,
    transaction: Transaction<'static, Sqlite>,
    _one_at_a_time: MutexGuard<'a, ()>,
}

impl Store {
    /// Adds a domain.
    pub async fn domain_add(&self, domain: &Domain, kind: DomainKind) -> Result<(), ChangeError> {
        let Some(name) = domain.name() else {
            return Err(ChangeError::NotAName(domain.clone()));
        };
        let mut change = self.change().await?;
        if change.domain(domain).await.is_ok() {
            return Err(ChangeError::DomainExists(domain.clone()));
        }
        let insert = sqlx::query("INSERT INTO domain (name, kind) VALUES (?, ?)").bind(name).bind(kind_text(kind));
        change.run(insert).await?;
        let entry = (domain.clone(), kind);
        change
            .commit(|directory| {
                Arc::make_mut(&mut directory.domains).insert(entry.0, entry.1);
            })
            .await
    }

    /// Every domain, by name.
    pub fn domain_list(&self) -> Vec<DomainEntry> {
        self.directory().domains()
    }

    /// Removes a domain with its catch-all; refused while it has users or aliases.
    pub async fn domain_remove(&self, domain: &Domain) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        let (id, _) = change.domain(domain).await?;
        let users = change.count("SELECT count(*), min(address) FROM user WHERE domain = ?", id).await?;
        let aliases = change.count("SELECT count(*), min(address) FROM alias WHERE domain = ?", id).await?;
        if let Some(example) = users.1.or(aliases.1) {
            return Err(ChangeError::DomainInUse {
                domain: domain.clone(),
                users: users.0,
                aliases: aliases.0,
                example,
            });
        }
        change.run(sqlx::query("DELETE FROM domain WHERE id = ?").bind(id)).await?;
        let domain = domain.clone();
        change
            .commit(|directory| {
                Arc::make_mut(&mut directory.domains).remove(&domain);
                Arc::make_mut(&mut directory.catch_alls).remove(&domain);
                Arc::make_mut(&mut directory.dkim).remove(&domain);
            })
            .await
    }

    /// Adds a user to a local domain.
    pub async fn user_add(&self, address: &Mailbox, verifiers: &Verifiers) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        let (domain, kind) = change.domain(&address.domain).await?;
        if kind == DomainKind::Relay {
            return Err(ChangeError::RelayDomain(address.domain.clone()));
        }
        if change.has_user(address).await? {
            return Err(ChangeError::UserExists(address.clone()));
        }
        let insert = sqlx::query(
            "INSERT INTO user (domain, address, argon2, scram_salt, scram_iterations, scram_stored_key, scram_server_key) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        );
        let insert = insert.bind(domain).bind(address.to_string()).bind(verifiers.argon2.clone());
        let insert = insert.bind(verifiers.scram.salt.clone()).bind(verifiers.scram.iterations);
        let insert = insert.bind(verifiers.scram.stored_key.to_vec()).bind(verifiers.scram.server_key.to_vec());
        let id = change.run(insert).await?.last_insert_rowid();
        let user = User { id, mailbox: address.clone(), verifiers: verifiers.clone() };
        change.commit(|directory| put_user(directory, user)).await
    }

    /// Every user, by address.
    pub fn user_list(&self) -> Vec<Mailbox> {
        self.directory().users()
    }

    /// Gives a user another password.
    pub async fn user_password(&self, address: &Mailbox, verifiers: &Verifiers) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        let update = sqlx::query(
            "UPDATE user SET argon2 = ?, scram_salt = ?, scram_iterations = ?, scram_stored_key = ?, scram_server_key = ? \
             WHERE address = ? RETURNING id, address",
        );
        let update = update.bind(verifiers.argon2.clone()).bind(verifiers.scram.salt.clone());
        let update = update.bind(verifiers.scram.iterations).bind(verifiers.scram.stored_key.to_vec());
        let update = update.bind(verifiers.scram.server_key.to_vec()).bind(address.to_string());
        let row = change.find(update).await?.ok_or_else(|| ChangeError::NoSuchUser(address.clone()))?;
        let read = || Ok((row.try_get(0)?, super::load::parsed(&row, 1)?));
        let (id, mailbox) = read().map_err(|error: sqlx::Error| self.failed(&error))?;
        let user = User { id, mailbox, verifiers: verifiers.clone() };
        change.commit(|directory| put_user(directory, user)).await
    }

    /// Removes a user; refused while an alias or a catch-all leads to it. Its mail stays where it is.
    pub async fn user_remove(&self, address: &Mailbox) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        if !change.has_user(address).await? {
            return Err(ChangeError::NoSuchUser(address.clone()));
        }
        change.refuse_target(address, Some(address)).await?;
        change.run(sqlx::query("DELETE FROM user WHERE address = ?").bind(address.to_string())).await?;
        let folded = address.folded();
        change
            .commit(|directory| {
                Arc::make_mut(&mut directory.users).remove(&folded);
                directory.first_users = Arc::default();
            })
            .await
    }

    /// Makes an alias, or lets an alias lead to more. Targets in local domains must be there.
    pub async fn alias_add(&self, address: &Mailbox, targets: &[Mailbox]) -> Result<(), ChangeError> {
        if targets.is_empty() {
            return Err(ChangeError::NoTarget(address.clone()));
        }
        let mut change = self.change().await?;
        let (domain, _) = change.domain(&address.domain).await?;
        let insert = "INSERT INTO alias (domain, address) VALUES (?, ?) ON CONFLICT (address) DO NOTHING";
        change.run(sqlx::query(insert).bind(domain).bind(address.to_string())).await?;
        for target in targets {
            change.check_target(target).await?;
            let insert = "INSERT INTO alias_target (alias, target) SELECT id, ? FROM alias WHERE address = ? \
                          ON CONFLICT (alias, target) DO NOTHING";
            change.run(sqlx::query(insert).bind(target.to_string()).bind(address.to_string())).await?;
        }
        let alias = change.alias(address).await?;
        if alias.targets.len() > TARGETS_MAX {
            let targets = alias.targets.len();
            return Err(ChangeError::TooManyTargets { address: address.clone(), targets, max: TARGETS_MAX });
        }
        let folded = address.folded();
        change
            .commit(|directory| {
                Arc::make_mut(&mut directory.aliases).insert(folded, Arc::new(alias));
            })
            .await
    }

    /// Every alias, by address.
    pub fn alias_list(&self) -> Vec<Alias> {
        self.directory().aliases()
    }

    /// Removes an alias; refused while another alias or a catch-all leads to it and no user has the address.
    pub async fn alias_remove(&self, address: &Mailbox) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        let delete = sqlx::query("DELETE FROM alias WHERE address = ?").bind(address.to_string());
        if change.run(delete).await?.rows_affected() == 0 {
            return Err(ChangeError::NoSuchAlias(address.clone()));
        }
        if !change.has_user(address).await? {
            change.refuse_target(address, None).await?;
        }
        let folded = address.folded();
        change
            .commit(|directory| {
                Arc::make_mut(&mut directory.aliases).remove(&folded);
            })
            .await
    }

    /// Says where the mail of a domain goes that nobody takes.
    pub async fn catch_all_set(&self, domain: &Domain, target: &Mailbox) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        let (id, kind) = change.domain(domain).await?;
        if kind == DomainKind::Relay {
            return Err(ChangeError::RelayDomain(domain.clone()));
        }
        change.check_target(target).await?;
        let insert = "INSERT INTO catch_all (domain, target) VALUES (?, ?) \
                      ON CONFLICT (domain) DO UPDATE SET target = excluded.target";
        change.run(sqlx::query(insert).bind(id).bind(target.to_string())).await?;
        let (domain, target) = (domain.clone(), target.clone());
        change
            .commit(|directory| {
                Arc::make_mut(&mut directory.catch_alls).insert(domain, target);
            })
            .await
    }

    /// Every catch-all, by domain.
    pub fn catch_all_list(&self) -> Vec<CatchAll> {
        self.directory().catch_alls()
    }

    /// Lets a domain refuse again what nobody takes.
    pub async fn catch_all_remove(&self, domain: &Domain) -> Result<(), ChangeError> {
        let mut change = self.change().await?;
        let (id, _) = change.domain(domain).await?;
        let delete = sqlx::query("DELETE FROM catch_all WHERE domain = ?").bind(id);
        if change.run(delete).await?.rows_affected() == 0 {
            return Err(ChangeError::NoCatchAll(domain.clone()));
        }
        let domain = domain.clone();
        change
            .commit(|directory| {
                Arc::make_mut(&mut directory.catch_alls).remove(&domain);
            })
            .await
    }

    pub(super) async fn change(&self) -> Result<Change<'_>, DatabaseError> {
        let one_at_a_time = self.shared.changes.lock().await;
        let begun = self.shared.writer.begin_with("BEGIN IMMEDIATE").await;
        let transaction = begun.map_err(|error| self.failed(&error))?;
        Ok(Change { store: self, transaction, _one_at_a_time: one_at_a_time })
    }
}

fn put_user(directory: &mut Directory, user: User) {
    Arc::make_mut(&mut directory.users).insert(user.mailbox.folded(), Arc::new(user));
    directory.first_users = Arc::default();
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

impl Change<'_> {
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    pub(super) fn failed(&self, error: &sqlx::Error) -> DatabaseError {
        self.store.failed(error)
    }

    pub(super) async fn run(&mut self, query: Query<'_>) -> Result<sqlx::sqlite::SqliteQueryResult, DatabaseError> {
        let done = query.execute(self.connection()).await;
        done.map_err(|error| self.store.failed(&error))
    }

    async fn find(&mut self, query: Query<'_>) -> Result<Option<sqlx::sqlite::SqliteRow>, DatabaseError> {
        let found = query.fetch_optional(self.connection()).await;
        found.map_err(|error| self.store.failed(&error))
    }

    pub(super) async fn domain(&mut self, domain: &Domain) -> Result<(i64, DomainKind), ChangeError> {
        let query = sqlx::query("SELECT id, kind FROM domain WHERE name = ?").bind(domain.to_string());
        let row = self.find(query).await?.ok_or_else(|| ChangeError::NoSuchDomain(domain.clone()))?;
        let read = || Ok((row.try_get(0)?, kind(row.try_get(1)?)?));
        Ok(read().map_err(|error: sqlx::Error| self.store.failed(&error))?)
    }

    async fn count(&mut self, query: &'static str, domain: i64) -> Result<(u64, Option<String>), DatabaseError> {
        let Some(row) = self.find(sqlx::query(query).bind(domain)).await? else {
            return Ok((0, None));
        };
        let read = || Ok((row.try_get::<i64, _>(0)?.unsigned_abs(), row.try_get(1)?));
        read().map_err(|error: sqlx::Error| self.store.failed(&error))
    }

    async fn has_user(&mut self, address: &Mailbox) -> Result<bool, DatabaseError> {
        let query = sqlx::query("SELECT 1 FROM user WHERE address = ?").bind(address.to_string());
        Ok(self.find(query).await?.is_some())
    }

    /// A target in a local domain must be a user or an alias, with or without its +tag.
    async fn check_target(&mut self, target: &Mailbox) -> Result<(), ChangeError> {
        match self.domain(&target.domain).await {
            Err(ChangeError::NoSuchDomain(_)) | Ok((_, DomainKind::Relay)) => return Ok(()),
            Err(error) => return Err(error),
            Ok((_, DomainKind::Local)) => {}
        }
        let base = crate::directory::untagged(target).unwrap_or_else(|| target.clone());
        let query =
            "SELECT 1 FROM user WHERE address IN (?1, ?2) UNION ALL SELECT 1 FROM alias WHERE address IN (?1, ?2)";
        let query = sqlx::query(query).bind(target.to_string()).bind(base.to_string());
        match self.find(query).await? {
            Some(_) => Ok(()),
            None => Err(ChangeError::UnknownTarget(target.clone())),
        }
    }

    /// Refuses when an alias (other than `except`) or a catch-all leads to the address.
    async fn refuse_target(&mut self, address: &Mailbox, except: Option<&Mailbox>) -> Result<(), ChangeError> {
        let query = "SELECT 'the alias ' || address FROM alias_target JOIN alias ON alias = alias.id \
                     WHERE target = ?1 AND address <> ?2 \
                     UNION ALL SELECT 'the catch-all of ' || name FROM catch_all JOIN domain ON domain = domain.id \
                     WHERE target = ?1";
        let except = except.map(ToString::to_string).unwrap_or_default();
        let row = self.find(sqlx::query(query).bind(address.to_string()).bind(except)).await?;
        let Some(row) = row else { return Ok(()) };
        let by = row.try_get(0).map_err(|error| self.store.failed(&error))?;
        Err(ChangeError::StillTarget { address: address.clone(), by })
    }

    async fn alias(&mut self, address: &Mailbox) -> Result<Alias, ChangeError> {
        let query =
            "SELECT address, target FROM alias JOIN alias_target ON alias = alias.id WHERE address = ? ORDER BY target";
        let rows = sqlx::query(query).bind(address.to_string()).fetch_all(self.connection()).await;
        let read = |rows: Vec<sqlx::sqlite::SqliteRow>| {
            let mut alias = Alias { address: address.clone(), targets: Vec::new() };
            for row in rows {
                alias.address = super::load::parsed(&row, 0)?;
                alias.targets.push(super::load::parsed(&row, 1)?);
            }
            Ok(alias)
        };
        Ok(rows.and_then(read).map_err(|error| self.store.failed(&error))?)
    }

    /// Makes the change durable, then visible. When another program has changed the store meanwhile, all is read again.
    pub(super) async fn commit(mut self, apply: impl FnOnce(&mut Directory)) -> Result<(), ChangeError> {
        let bump = "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'directory_version' \
                    RETURNING CAST(value AS INTEGER)";
        let store = self.store;
        let failed = |error: sqlx::Error| ChangeError::Database(store.failed(&error));
        let version: i64 = sqlx::query_scalar(bump).fetch_one(self.connection()).await.map_err(failed)?;
        self.transaction.commit().await.map_err(failed)?;
        let mut directory = store.directory();
        if u64::try_from(version).ok() == directory.version.checked_add(1) {
            directory.version += 1;
            apply(&mut directory);
            store.put_directory(directory);
        } else {
            store.load_directory().await?;
        }
        Ok(())
    }
}
