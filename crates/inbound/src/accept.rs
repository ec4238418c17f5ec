//! The loop that accepts connections of one listener and gives each a task.

use std::{future::poll_fn, net::SocketAddr, pin::Pin, pin::pin, sync::Arc, task::Poll};

use net::{Listener, Stream};
use tokio::io::AsyncWrite as _;

use crate::{
    Office, Service, driver,
    gate::{
        guest::Guest,
        ledger::Refusal,
        proxy::{self, Client},
        words,
    },
    service::Current,
};

/// Accepts until the server stops.
pub(crate) async fn accept(office: Arc<Office>, service: Service, mut listener: Listener) {
    let address = listener.local_addr();
    listener.set_farewell(farewell(&service.current(), Refusal::Full));
    let mut stopped = pin!(office.tasks.cancelled());
    tracing::info!(service = service.current().settings.name, %address, "listening");
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = &mut stopped => return,
            connection = listener.accept() => connection,
        };
        let current = service.current();
        if current.is_proxy(peer.ip()) {
            office.tasks.spawn("connection", behind_proxy(Arc::clone(&office), current, stream, peer));
            continue;
        }
        match office.gate.enter(&current, peer.ip(), office.clock.instant()) {
            Ok(visit) => {
                let guest = Guest::new(Client::At(peer), peer, visit);
                office.tasks.spawn("connection", driver::serve(Arc::clone(&office), current, stream, guest));
            }
            Err(refusal) => turn_away(&current, stream, peer, refusal).await,
        }
    }
}

/// Finds out who stands behind a proxy, then goes on as with a client that came itself.
async fn behind_proxy(office: Arc<Office>, service: Arc<Current>, mut stream: Stream, proxy: SocketAddr) {
    let waiting = match office.gate.enter_uncounted() {
        Ok(place) => place,
        Err(refusal) => return turn_away(&service, stream, proxy, refusal).await,
    };
    let name = service.settings.name;
    let header = tokio::select! {
        biased;
        header = office.clock.timeout(proxy::HEADER_WAIT, proxy::read(&mut stream)) => header,
        () = office.tasks.cancelled() => return,
    };
    let client = match header {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => {
            service.meters.turned_away("proxy_header");
            return tracing::warn!(service = name, %proxy, %error, "closed: every connection of a proxy begins with a header");
        }
        Err(_) => {
            service.meters.turned_away("proxy_header");
            return tracing::warn!(service = name, %proxy, "closed: no PROXY header within 5 seconds");
        }
    };
    drop(waiting);
    let visit = match client {
        Client::At(peer) => office.gate.enter(&service, peer.ip(), office.clock.instant()),
        Client::Unnamed => office.gate.enter_uncounted(),
    };
    match visit {
        // Boxed: a task holds room for its largest state, and most connections come without a proxy.
        Ok(visit) => Box::pin(driver::serve(office, service, stream, Guest::new(client, proxy, visit))).await,
        Err(refusal) => turn_away(&service, stream, client.address_or(proxy), refusal).await,
    }
}

/// Says 421 as far as the socket takes it at once, and closes: nobody waits for a client that is turned away.
async fn turn_away(service: &Current, mut stream: Stream, peer: SocketAddr, refusal: Refusal) {
    let reason = words::reason(refusal);
    service.meters.turned_away(reason);
    tracing::info!(service = service.settings.name, %peer, reason, "turned away");
    if service.implicit_tls().is_some() {
        return;
    }
    let words = farewell(service, refusal);
    poll_fn(|cx| {
        let _told = Pin::new(&mut stream).poll_write(cx, &words).is_ready();
        Poll::Ready(())
    })
    .await;
}

fn farewell(service: &Current, refusal: Refusal) -> Vec<u8> {
    let mut wire = Vec::new();
    words::farewell(&service.settings.session.hostname, refusal).write_wire(&mut wire);
    wire
}
