//! As many messages as fit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use clap::Args;
use rustls::ClientConfig;

use crate::{
    Failure, Letter, Peer,
    client::{self, Client},
};

#[derive(Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    peer: Peer,
    #[command(flatten)]
    letter: Letter,
    /// Messages in all
    #[arg(long, default_value_t = 1000)]
    messages: usize,
    /// Sessions at once
    #[arg(long, default_value_t = 20)]
    sessions: usize,
    /// Keep connections, instead of one for each message
    #[arg(long)]
    keep: bool,
    /// Log in with AUTH PLAIN
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// The password of that user
    #[arg(long, requires = "user")]
    password: Option<String>,
}

pub(crate) fn run(plan: &Plan) -> Result<(), Failure> {
    let tls = client::tls(&plan.peer)?;
    let (content, left) = (plan.letter.content(), AtomicUsize::new(plan.messages));
    let start = Instant::now();
    thread::scope(|scope| {
        let sessions: Vec<_> =
            (0..plan.sessions).map(|_| scope.spawn(|| session(plan, tls.as_ref(), &content, &left))).collect();
        sessions.into_iter().try_for_each(|session| session.join().map_err(|_| "a session panicked")?)
    })?;
    println!("{:.0}", plan.messages as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

fn session(plan: &Plan, tls: Option<&Arc<ClientConfig>>, content: &[u8], left: &AtomicUsize) -> Result<(), Failure> {
    let mut kept: Option<Client> = None;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let mut client = match kept.take() {
            Some(client) => client,
            None => open(plan, tls)?,
        };
        client.envelope(&plan.letter)?;
        client.content(content)?;
        if plan.keep { kept = Some(client) } else { client.quit()? }
    }
    kept.map_or(Ok(()), Client::quit)
}

fn open(plan: &Plan, tls: Option<&Arc<ClientConfig>>) -> Result<Client, Failure> {
    let mut client = Client::connect(plan.peer.address, tls)?;
    client.ehlo()?;
    if let (Some(user), Some(password)) = (&plan.user, &plan.password) {
        client.log_in(user, password)?;
    }
    Ok(client)
}
