//! The process: as whom it runs, what it may do, and what it lets others see.
//!
//! ```text
//!  alone, maybe root:   no core dumps ─► data_dir made ─► sockets bound or taken from systemd
//!                                                                    │
//!  for good:            become the account ─► no capabilities ─► no new privileges
//!                                                                    │
//!                       whose are the files, who may read the secrets ─► runtime, threads, mail
//! ```
//!
//! Credentials and capabilities belong to threads. All of this happens before there is a second one.
//!
//! - [`account`]: names and numbers of users;
//! - [`privileges`]: giving up what is not needed;
//! - [`modes`]: files that others can read, or that the account cannot.

mod account;
mod modes;
mod privileges;

use std::path::Path;

use anyhow::Context as _;
use net::{BindError, Bound, Inherited};

pub(crate) use account::{Account, Standing};
pub(crate) use modes::warnings;

use crate::{config::Config, wire::directory};

/// Prepares a server: binds, becomes its account, gives up the rest. Once, before there is a second thread.
pub(crate) fn prepare(config: &Config, sandbox: bool) -> anyhow::Result<Sockets> {
    privileges::keep_memory_private();
    let standing = match sandbox {
        // It binds loopback only, in a folder of whoever tries it.
        true => Standing::Own,
        false => Standing::of(config.user.as_deref(), config.group.as_deref())?,
    };
    directory::make(&config.data_dir, standing.account())?;
    let sockets = take_or_bind(config)?;
    enter(&standing)?;
    directory::make(&config.data_dir, None)?;
    if let Some(account) = standing.account() {
        modes::require_ours(&config.data_dir, account)?;
        modes::require_readable(config, account)?;
    }
    say(&standing);
    for warning in modes::warnings(config) {
        tracing::warn!("{warning}");
    }
    Ok(sockets)
}

/// Prepares a command that works on the files of a server: its files must be the server's, not those of root.
pub(crate) fn prepare_command(config: &Config) -> anyhow::Result<()> {
    let standing = Standing::of_command(config)?;
    directory::make(&config.data_dir, standing.account())?;
    match standing {
        Standing::Become(_) => enter(&standing),
        Standing::Own | Standing::RootAsked | Standing::RootUnasked => Ok(()),
    }
}

/// Sockets with the place of their listener in the configuration; or why one could not be bound.
pub(crate) type Sockets = Result<Vec<(usize, Bound)>, BindError>;

/// Binds every listener of the configuration.
pub(crate) fn bind(config: &Config) -> Sockets {
    bind_or_claim(config, &mut Inherited::default())
}

fn bind_or_claim(config: &Config, inherited: &mut Inherited) -> Sockets {
    let mut sockets = Vec::new();
    for (place, listener) in config.listeners.iter().enumerate() {
        for address in &listener.addresses {
            sockets.push((place, inherited.claim(*address).map_or_else(|| Bound::bind(*address), Ok)?));
        }
    }
    Ok(sockets)
}

/// The same, from what systemd hands over where it does.
fn take_or_bind(config: &Config) -> anyhow::Result<Sockets> {
    let mut inherited = Inherited::take()?;
    let sockets = bind_or_claim(config, &mut inherited);
    if sockets.is_err() {
        return Ok(sockets);
    }
    let unclaimed: Vec<String> = inherited.unclaimed().iter().map(ToString::to_string).collect();
    anyhow::ensure!(
        unclaimed.is_empty(),
        "systemd hands over sockets on {}, and no [[listener]] has that address; write the addresses of the socket unit into \
         the configuration",
        unclaimed.join(", ")
    );
    Ok(sockets)
}

fn enter(standing: &Standing) -> anyhow::Result<()> {
    match standing {
        Standing::Own => privileges::give_up(privileges::NOTHING),
        Standing::RootAsked | Standing::RootUnasked => privileges::give_up(privileges::FILES_OF_OTHERS),
        Standing::Become(account) => {
            privileges::become_account(account).with_context(|| format!("cannot become {account}"))
        }
    }
}

fn say(standing: &Standing) {
    match standing {
        Standing::Become(account) => {
            tracing::info!(user = account.name, uid = account.uid.as_raw(), "root is given up")
        }
        Standing::RootUnasked => tracing::warn!(
            "running as root: make an account (`useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin posthouse`), \
             give it data_dir (`chown -R posthouse: DIR`), and write user = \"posthouse\" into the configuration"
        ),
        Standing::Own | Standing::RootAsked => {}
    }
}

/// Whether a path is there, whatever stands in the way of looking at it.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
