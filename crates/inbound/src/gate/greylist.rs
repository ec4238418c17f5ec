//! The greylist and the acquaintances of this server: asked in memory, written to the store in batches.
//!
//! ```text
//!  RCPT, AUTH ─► tables in memory ── changed ─► keeper, every few seconds ─► store
//!                      ▲                                                      │
//!                      └──────────────────── at the start ────────────────────┘
//! ```

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mail::{Mailbox, Reply, ReversePath, Timestamp};
use policy::{
    client,
    greylist::{Entry, Greylist, Key, Settings, Triplet, Verdict},
    sign_in::{self, Pair},
};
use smtp::sasl::scram;
use store::{AcquaintanceRow, DatabaseError, GreylistRow};

use super::words::spell;
use crate::Office;

/// How often what is new is written.
const INTERVAL: Duration = Duration::from_secs(10);
/// Rows of one transaction.
const BATCH: usize = 5000;
/// Old rows are forgotten once in so many intervals: an hour.
const FORGET_EVERY: u32 = 360;
/// Rows of a kind that are read at the start, and tries that are kept on disk: as many as the tables hold.
const ROWS_MAX: u32 = 300_000;

/// The greylist in memory.
#[derive(Debug)]
pub(crate) struct Grey(Mutex<Greylist>);

impl Default for Grey {
    fn default() -> Self {
        Self(Mutex::new(Greylist::new(Settings::default())))
    }
}

impl Grey {
    /// Whether a recipient of a stranger's message may pass now; otherwise what the client hears.
    pub(crate) fn ask(
        &self,
        peer: IpAddr,
        sender: &ReversePath,
        recipient: &Mailbox,
        now: Timestamp,
    ) -> Result<(), Reply> {
        // Digested before the lock is taken, which all connections share.
        let triplet = triplet(peer, sender, recipient);
        let verdict = self.lock().ask(triplet, now);
        match verdict {
            Verdict::Pass => Ok(()),
            Verdict::Wait(wait) => {
                Err(Reply::with(450, (4, 7, 1), format!("Greylisted: you are new here; try again in {}", spell(wait))))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Greylist> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digests of who, from whom, to whom.
fn triplet(peer: IpAddr, sender: &ReversePath, recipient: &Mailbox) -> Triplet {
    let network = client::pool(peer).to_string();
    let sender = sender.mailbox().map_or_else(String::new, simplified);
    let digest = |text: String| -> Key { scram::hash(text.as_bytes()).first_chunk().copied().unwrap_or_default() };
    Triplet {
        whole: digest(format!("triplet\0{network}\0{sender}\0{}", recipient.folded())),
        network: digest(format!("network\0{network}")),
    }
}

/// A sender without what changes from message to message: what follows a +, and numbers, as lists write them to know
/// whose mail came back.
fn simplified(sender: &Mailbox) -> String {
    let folded = sender.folded();
    let (local, domain) = folded.rsplit_once('@').unwrap_or((&folded, ""));
    let local = local.split('+').next().unwrap_or_default();
    let mut simple = String::with_capacity(folded.len());
    let mut digits = false;
    for character in local.chars() {
        if character.is_ascii_digit() {
            if !digits {
                simple.push('#');
            }
            digits = true;
        } else {
            simple.push(character);
            digits = false;
        }
    }
    simple + "@" + domain
}

/// Takes over what was remembered when the server stopped.
pub(crate) async fn restore(office: &Office) -> Result<(), DatabaseError> {
    let rows = office.store.greylist(ROWS_MAX).await?;
    let count = rows.len();
    for GreylistRow { key, first, latest, passes } in rows {
        office.gate.grey.lock().restore(key, Entry { first, latest, passes });
    }
    let known = office.store.acquaintances(ROWS_MAX).await?;
    tracing::debug!(triplets = count, acquaintances = known.len(), "the gate remembers");
    for AcquaintanceRow { client, account, latest } in known {
        office.auth.restore(Pair { client, account }, latest);
    }
    Ok(())
}

/// Writes what is new, again and again and a last time at the end.
pub(crate) async fn keep(office: Arc<Office>) {
    let mut stopped = std::pin::pin!(office.tasks.cancelled());
    let mut interval: u32 = 0;
    loop {
        let going = tokio::select! {
            biased;
            () = stopped.as_mut() => false,
            () = office.clock.sleep(INTERVAL) => true,
        };
        if let Err(error) = write(&office).await {
            tracing::warn!(%error, "what the gate remembers was not written; some clients may wait once more after a restart");
        }
        if !going {
            return;
        }
        interval = interval.wrapping_add(1);
        if interval.is_multiple_of(FORGET_EVERY)
            && let Err(error) = forget(&office).await
        {
            tracing::warn!(%error, "what the gate no longer needs was not forgotten");
        }
    }
}

async fn write(office: &Office) -> Result<(), DatabaseError> {
    loop {
        let changes = office.gate.grey.lock().take_changes(BATCH);
        if changes.is_empty() {
            break;
        }
        let rows: Vec<_> = changes
            .into_iter()
            .map(|(key, Entry { first, latest, passes })| GreylistRow { key, first, latest, passes })
            .collect();
        office.store.greylist_keep(&rows).await?;
    }
    let known = office.auth.take_changes();
    for batch in known.chunks(BATCH) {
        let row = |(Pair { client, account }, latest): &(Pair, Timestamp)| AcquaintanceRow {
            client: *client,
            account: *account,
            latest: *latest,
        };
        let rows: Vec<_> = batch.iter().map(row).collect();
        office.store.acquaintances_keep(&rows).await?;
    }
    Ok(())
}

async fn forget(office: &Office) -> Result<(), DatabaseError> {
    let (now, settings) = (office.clock.now(), Settings::default());
    office.store.greylist_forget(now - settings.window, now - settings.keep, ROWS_MAX).await?;
    office.store.acquaintances_forget(now - sign_in::KNOWN).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_a_triplet() {
        let of = |peer: &str, sender: &str, recipient: &str| {
            triplet(peer.parse().unwrap(), &sender.parse().unwrap(), &recipient.parse().unwrap())
        };
        let first = of("203.0.113.7", "bounce-123+x@far.example", "anna@ours.example");
        assert_eq!(first, of("203.0.113.99", "Bounce-4@FAR.example", "Anna@ours.example"));
        assert_ne!(first.whole, of("203.0.113.7", "bounces@far.example", "anna@ours.example").whole);
        assert_ne!(first.whole, of("203.0.113.7", "bounce-1@far.example", "bob@ours.example").whole);
        let elsewhere = of("203.0.114.7", "bounce-1@far.example", "anna@ours.example");
        assert!(elsewhere.whole != first.whole && elsewhere.network != first.network);
        assert_eq!(of("203.0.113.1", "", "bob@ours.example").network, first.network);
    }
}
