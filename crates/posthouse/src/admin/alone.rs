//! Carrying out a request without a server: the command opens the store itself, under the directory's lock.

use std::sync::Arc;

use net::{Chance, Clock};

use super::{Answer, Request, signing::Signing};
use crate::{config::Config, process, secret::Secret, signing::Keyring, wire};

/// Carries out a request about the store.
///
/// # Errors
/// When the store cannot be opened, the request is about the queue, or is refused.
pub(crate) fn answer(config: &Config, request: Request, clock: &Clock) -> anyhow::Result<Answer> {
    process::prepare_command(config)?;
    let _lock = spool::Lock::take(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = wire::open_store(config).await?;
        let chance = Chance::system();
        let keyring = Arc::new(Keyring::new(store.clone(), Secret::load(&config.data_dir, &chance)?));
        let signing = Signing::new(config, store.clone(), keyring, chance);
        let answer = match request {
            Request::Directory(request) => signing.edit(request, clock.now()).await,
            Request::Signing(request) => signing.answer(request, clock.now()).await,
            Request::Queue(_) => Err("the queue is the running server's alone; start it first: posthouse serve".into()),
        };
        store.close().await;
        answer.map_err(anyhow::Error::msg)
    })
}
