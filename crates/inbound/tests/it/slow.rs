//! Clients that take their time (E1). The clock is paused: waits are jumped over.

use std::{net::SocketAddr, time::Duration};

use inbound::{Service, Settings, Tls};
use net::{Connector as _, sim::Internet};
use tokio::time::{pause, sleep};

use crate::{
    dialogue::Client,
    world::{PATIENCE, World},
};

/// Idle connections. The benchmark has ten thousand; in a debug build these are slow enough.
const IDLE: usize = 2000;
const ADDRESS: &str = "192.0.2.25:25";

/// A service on a simulated internet, with the clock stopped once the store is open.
async fn serve(world: &World, settings: Settings) -> (Internet, SocketAddr) {
    let (internet, address) = (Internet::new(), ADDRESS.parse().unwrap());
    world.inbound.serve(internet.listen(address).unwrap(), &Service::new(settings));
    pause();
    (internet, address)
}

async fn connect(world: &World, internet: &Internet, address: SocketAddr) -> Client {
    Client::over(internet.connect(address, None, world.clock.instant() + PATIENCE).await.unwrap())
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let world = World::new().await;
    let (internet, address) = serve(&world, world.mx()).await;
    let mut client = connect(&world, &internet, address).await;
    client.run("S: 220").await;
    let began = world.clock.instant();
    sleep(Duration::from_secs(299)).await;
    assert_eq!(world.sessions(), 1);
    sleep(Duration::from_secs(1)).await;
    client.run("S: 421 4.4.2\nS: closed").await;
    let took = world.clock.instant() - began;
    assert!((300..301).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn single_octets_do_not_prolong_a_command() {
    let world = World::new().await;
    let (internet, address) = serve(&world, world.mx()).await;
    let mut client = connect(&world, &internet, address).await;
    client.run("S: 220").await;
    for _ in 0..10 {
        client.say("N").await;
        sleep(Duration::from_secs(30)).await;
    }
    client.run("S: 421 4.4.2\nS: closed").await;
}

#[tokio::test]
async fn content_must_come_at_some_rate() {
    let world = World::new().await;
    let (internet, address) = serve(&world, world.mx()).await;
    let mut client = connect(&world, &internet, address).await;
    client
        .run("S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250\nC: DATA\nS: 354")
        .await;
    for _ in 0..20 {
        client.say("x").await;
        sleep(Duration::from_secs(30)).await;
    }
    client.run("S: 421 4.4.2\nS: closed").await;
}

#[tokio::test]
async fn a_handshake_has_thirty_seconds() {
    let world = World::new().await;
    let mut settings = world.mx();
    settings.tls = Tls::Implicit(world.certificate());
    let (internet, address) = serve(&world, settings).await;
    let mut client = connect(&world, &internet, address).await;
    client.say([0x16, 0x03, 0x01]).await;
    sleep(Duration::from_secs(29)).await;
    assert_eq!(world.sessions(), 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.sessions(), 0);
    assert_eq!(client.reply().await, "closed");
}

#[tokio::test]
async fn a_client_that_never_reads_is_left() {
    let world = World::new().await;
    let mut settings = world.mx();
    settings.session.limits.junk = 1_000_000;
    settings.gate.exempt_networks = vec!["192.0.2.0/24".parse().unwrap()];
    let (internet, address) = serve(&world, settings).await;
    let mut client = connect(&world, &internet, address).await;
    // More HELP than the pipe between the two holds: the server stops reading, so that we stop writing.
    let flood = async {
        loop {
            client.say("HELP\r\n".repeat(100)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(299), flood).await.is_err());
    assert_eq!(world.sessions(), 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.sessions(), 0);
}

#[tokio::test]
async fn others_are_served_beside_thousands_of_idle_ones() {
    let world = World::new().await;
    let mut settings = world.mx();
    settings.gate.exempt_networks = vec!["192.0.2.0/24".parse().unwrap()];
    let (internet, address) = serve(&world, settings).await;
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut client = connect(&world, &internet, address).await;
        client.run("S: 220").await;
        idle.push(client);
    }
    let mut client = connect(&world, &internet, address).await;
    client.run("S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<x@far.example>\nS: 250\nC: QUIT\nS: 221\nS: closed").await;
    assert_eq!(internet.connections(address), IDLE + 1);
}
