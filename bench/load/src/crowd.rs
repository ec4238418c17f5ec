//! Connections that have said EHLO and then idle. They come from several addresses of 127.0.0.0/8, for one address has
//! too few ports.

use std::{
    io::{self, Read as _},
    net::Ipv4Addr,
    sync::Arc,
    thread,
};

use clap::Args;
use rustls::ClientConfig;

use crate::{
    Failure, Peer,
    client::{self, Client, Origin},
};

/// Threads that open connections.
const OPENERS: usize = 8;

#[derive(Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    peer: Peer,
    /// Connections
    #[arg(long, default_value_t = 10_000)]
    count: usize,
}

/// Prints `open` when all are, and closes them when standard input ends.
pub(crate) fn run(plan: &Plan) -> Result<(), Failure> {
    let tls = client::tls(&plan.peer)?;
    let crowd = thread::scope(|scope| {
        let tls = tls.as_ref();
        let openers: Vec<_> = (0..OPENERS).map(|number| scope.spawn(move || open(plan, tls, number))).collect();
        let mut crowd = Vec::new();
        for opener in openers {
            crowd.extend(opener.join().map_err(|_| "an opener panicked")??);
        }
        Ok::<_, Failure>(crowd)
    })?;
    println!("open");
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(crowd);
    Ok(())
}

fn open(plan: &Plan, tls: Option<&Arc<ClientConfig>>, number: usize) -> Result<Vec<Client>, Failure> {
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number + 1)?);
    let origin = if plan.peer.address.ip().is_loopback() { Origin::Bound(from) } else { Origin::Any };
    let connect = |_| {
        let mut client = Client::connect(plan.peer.address, origin, tls)?;
        client.ehlo()?;
        Ok(client)
    };
    (number..plan.count).step_by(OPENERS).map(connect).collect()
}
