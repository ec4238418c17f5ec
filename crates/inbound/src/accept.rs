//! The loop that accepts connections of one listener and gives each a task.

use std::{future::poll_fn, net::SocketAddr, pin::Pin, pin::pin, sync::Arc, task::Poll};

use mail::Reply;
use net::{Listener, Stream};
use tokio::io::AsyncWrite as _;

use crate::{
    Network, Office, Service,
    crowd::{Full, PerAddress},
    driver, network,
    service::Current,
    settings::CONNECTIONS_MAX,
};

/// Accepts until the server stops.
pub(crate) async fn accept(office: Arc<Office>, service: Service, mut listener: Listener) {
    let address = listener.local_addr();
    listener.set_farewell(farewell(&service.current(), Full::Server));
    let mut stopped = pin!(office.tasks.cancelled());
    tracing::info!(service = service.current().settings.name, %address, "listening");
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = &mut stopped => return,
            connection = listener.accept() => connection,
        };
        let current = service.current();
        match office.crowd.enter(current.settings.name, peer.ip(), bound(&current, peer), CONNECTIONS_MAX) {
            Ok(place) => {
                office.tasks.spawn("connection", driver::serve(Arc::clone(&office), current, stream, peer, place));
            }
            Err(full) => turn_away(&current, stream, peer, full).await,
        }
    }
}

fn bound(service: &Current, peer: SocketAddr) -> PerAddress {
    let free = network::any_contains(&Network::LOOPBACK, peer.ip())
        || network::any_contains(&service.settings.trusted_networks, peer.ip());
    if free { PerAddress::Free } else { PerAddress::AtMost(service.settings.connections_per_address) }
}

/// Says 421 as far as the socket takes it at once, and closes: nobody waits for a client that is turned away.
async fn turn_away(service: &Current, mut stream: Stream, peer: SocketAddr, full: Full) {
    let reason = match full {
        Full::Server => "server_full",
        Full::Address => "address_full",
    };
    service.meters.turned_away(reason);
    tracing::info!(service = service.settings.name, %peer, reason, "turned away");
    if service.implicit_tls().is_some() {
        return;
    }
    let words = farewell(service, full);
    poll_fn(|cx| {
        let _told = Pin::new(&mut stream).poll_write(cx, &words).is_ready();
        Poll::Ready(())
    })
    .await;
}

fn farewell(service: &Current, full: Full) -> Vec<u8> {
    let hostname = &service.settings.session.hostname;
    let reply = match full {
        Full::Server => Reply::with(421, (4, 3, 2), format!("{hostname} has too many connections; try again later")),
        Full::Address => {
            Reply::with(421, (4, 7, 0), format!("{hostname} has too many connections from your address; close some"))
        }
    };
    let mut wire = Vec::new();
    reply.write_wire(&mut wire);
    wire
}
