//! Connections that have said EHLO and then idle. They come from several addresses of 127.0.0.0/8, for one address has
//! too few ports.

use std::{
    io::{self, Read as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    thread,
};

use clap::Args;
use rustls::ClientConfig;
use socket2::{Domain, Socket, Type};

use crate::{
    Failure, Peer,
    client::{self, Client},
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
    let connect = |_| {
        let mut client = Client::over(connect_from(from, plan.peer.address)?, tls)?;
        client.ehlo()?;
        Ok(client)
    };
    (number..plan.count).step_by(OPENERS).map(connect).collect()
}

fn connect_from(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if to.ip().is_loopback() && to.is_ipv4() {
        socket.bind(&SocketAddr::from((from, 0)).into())?;
    }
    socket.connect(&to.into())?;
    Ok(socket.into())
}
