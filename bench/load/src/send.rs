//! As many messages as fit.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
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
    END, Failure, Letter, Peer,
    client::{self, Client, Origin},
};

/// Addresses of one network, which a server may count together.
const NETWORK: u32 = 256;

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
    sessions: u32,
    /// Keep connections, instead of one for each message
    #[arg(long)]
    keep: bool,
    /// Log in with AUTH PLAIN
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// The content, instead of one of so many octets: as it is on the wire, without the final dot
    #[arg(long, conflicts_with = "size")]
    file: Option<PathBuf>,
    /// Each session is a proxy's, for a client in a network of its own: 198.18.0.1, 198.18.1.1, 198.18.2.1 …
    #[arg(long)]
    strangers: Option<Ipv4Addr>,
    /// The password of that user
    #[arg(long, requires = "user")]
    password: Option<String>,
}

impl Plan {
    /// The content with its final dot.
    fn content(&self) -> Result<Vec<u8>, Failure> {
        let Some(file) = &self.file else { return Ok(self.letter.content("load")) };
        let mut content = fs::read(file)?;
        if !content.ends_with(b"\r\n") || content.windows(3).any(|window| window == b"\r\n.") {
            return Err(format!("{} is not as it would be on the wire", file.display()).into());
        }
        content.extend_from_slice(END);
        Ok(content)
    }
}

pub(crate) fn run(plan: &Plan) -> Result<(), Failure> {
    let tls = client::tls(&plan.peer)?;
    let (content, left) = (plan.content()?, AtomicUsize::new(plan.messages));
    let (tls, content, left) = (tls.as_ref(), &content, &left);
    let start = Instant::now();
    thread::scope(|scope| {
        let sessions: Vec<_> =
            (0..plan.sessions).map(|number| scope.spawn(move || session(plan, number, tls, content, left))).collect();
        sessions.into_iter().try_for_each(|session| session.join().map_err(|_| "a session panicked")?)
    })?;
    println!("{:.0}", plan.messages as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

fn session(
    plan: &Plan,
    number: u32,
    tls: Option<&Arc<ClientConfig>>,
    content: &[u8],
    left: &AtomicUsize,
) -> Result<(), Failure> {
    let origin = match plan.strangers {
        None => Origin::Any,
        Some(first) => Origin::Proxied(Ipv4Addr::from_bits(first.to_bits() + NETWORK * number)),
    };
    let mut kept: Option<Client> = None;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let mut client = match kept.take() {
            Some(client) => client,
            None => open(plan, origin, tls)?,
        };
        client.envelope(&plan.letter)?;
        client.content(content)?;
        if plan.keep { kept = Some(client) } else { client.quit()? }
    }
    kept.map_or(Ok(()), Client::quit)
}

fn open(plan: &Plan, origin: Origin, tls: Option<&Arc<ClientConfig>>) -> Result<Client, Failure> {
    let mut client = Client::connect(plan.peer.address, origin, tls)?;
    client.ehlo()?;
    if let (Some(user), Some(password)) = (&plan.user, &plan.password) {
        client.log_in(user, password)?;
    }
    Ok(client)
}
