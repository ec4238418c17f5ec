//! The gate in front of the sessions, on a simulated internet whose clock jumps.

mod greylist;
mod limits;
mod manners;
mod proxy;
mod sign_in;
mod strangers;
mod xclient;

use std::net::{IpAddr, SocketAddr};

use inbound::{Service, Settings};
use net::{Connector as _, sim::Internet};
use tokio::time::{pause, resume};

use crate::{
    dialogue::Client,
    world::{PATIENCE, World},
};

const ADDRESS: &str = "192.0.2.25:25";
/// Where a stranger lives.
const STRANGER: &str = "203.0.113.7";
/// One in the same network.
const NEIGHBOUR: &str = "203.0.113.8";
/// One elsewhere.
const FAR: &str = "198.51.100.1";

/// A world with one service, and its internet.
struct Scene {
    world: World,
    internet: Internet,
    service: Service,
    address: SocketAddr,
}

impl Scene {
    /// A service whose settings `adjust` has changed. The clock is paused from here on.
    async fn new(adjust: impl FnOnce(&World, &mut Settings)) -> Self {
        let world = World::new().await;
        let mut settings = world.mx();
        settings.gate.pregreet_wait = std::time::Duration::ZERO;
        settings.gate.examination = inbound::Examination::none();
        adjust(&world, &mut settings);
        Self::over(world, settings)
    }

    fn over(world: World, settings: Settings) -> Self {
        let (internet, address) = (Internet::new(), ADDRESS.parse().unwrap());
        let service = Service::new(settings);
        world.inbound.serve(internet.listen(address).unwrap(), &service);
        pause();
        Self { world, internet, service, address }
    }

    /// A connection from an address.
    async fn connect(&self, from: &str) -> Client {
        let from: IpAddr = from.parse().unwrap();
        let deadline = self.world.clock.instant() + PATIENCE;
        Client::over(self.internet.connect(self.address, Some(from), deadline).await.unwrap())
    }

    /// A dialogue on a connection of its own.
    async fn run(&self, from: &str, dialogue: &str) {
        self.connect(from).await.run(dialogue).await;
    }
}

const GREETED: &str = "S: 220\nC: EHLO client.example\nS: 250";
const ENVELOPE: &str = "C: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<anna@ours.example>\nS: 250\nC: DATA\nS: 354";

/// A dialogue that waits for a thread: with the clock paused, the runtime would jump to the next deadline meanwhile.
async fn run_in_real_time(client: &mut Client, dialogue: &str) {
    resume();
    client.run(dialogue).await;
    pause();
}

/// A whole letter.
async fn send(client: &mut Client) {
    client.run(ENVELOPE).await;
    run_in_real_time(client, "C: .\nS: 250 2.0.0").await;
}
