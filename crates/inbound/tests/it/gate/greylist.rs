//! Greylisting over the driver, and what is left of it after a restart.

use std::time::Duration;

use inbound::Settings;
use tokio::time::{advance, pause, resume};

use super::{FAR, GREETED, STRANGER, Scene};
use crate::{dialogue::Client, world::World};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const GREYLISTED: &str = "450 4.7.1 Greylisted: you are new here; try again in ";

fn settings(world: &World) -> Settings {
    let mut settings = world.mx();
    settings.gate.pregreet_wait = Duration::ZERO;
    settings.gate.examination = inbound::Examination::none();
    settings.gate.greylisting = true;
    settings
}

async fn scene() -> Scene {
    let world = World::simulated().await;
    world.inbound.remember().await.unwrap();
    let settings = settings(&world);
    Scene::over(world, settings)
}

/// Time passes, and nobody waits for a thread meanwhile.
async fn jump(by: Duration) {
    pause();
    advance(by).await;
    resume();
}

impl Scene {
    async fn rcpt_of(&self, from: &str, sender: &str, recipient: &str) -> String {
        let mut client: Client = self.connect(from).await;
        client.run(&format!("{GREETED}\nC: MAIL FROM:<{sender}>\nS: 250\nC: RCPT TO:<{recipient}>")).await;
        client.reply().await
    }
}

#[tokio::test]
async fn a_stranger_comes_again_after_five_minutes() {
    let scene = scene().await;
    resume();
    let first = scene.rcpt_of(STRANGER, "x@far.example", "anna@ours.example").await;
    assert!(first.starts_with(&format!("{GREYLISTED}5 minutes")), "{first}");
    jump(MINUTE).await;
    let early = scene.rcpt_of(STRANGER, "x@far.example", "anna@ours.example").await;
    assert!(early.starts_with(&format!("{GREYLISTED}4 minutes")), "{early}");
    jump(4 * MINUTE).await;
    // From another host of the same farm, and with another number for the bounce.
    assert!(scene.rcpt_of("203.0.113.99", "x@far.example", "anna@ours.example").await.starts_with("250 "));
    assert!(scene.rcpt_of(STRANGER, "x@far.example", "bob@ours.example").await.starts_with(GREYLISTED));
    assert!(scene.rcpt_of(FAR, "x@far.example", "anna@ours.example").await.starts_with(GREYLISTED));
    jump(35 * DAY).await;
    assert!(scene.rcpt_of(STRANGER, "x@far.example", "anna@ours.example").await.starts_with("250 "));
    // Who is unknown is said so, and not asked to come again.
    assert!(scene.rcpt_of(STRANGER, "x@far.example", "nobody@ours.example").await.starts_with("550 5.1.1 "));
}

#[tokio::test]
async fn it_is_durable() {
    let mut scene = scene().await;
    resume();
    for recipient in ["anna@ours.example", "bob@ours.example"] {
        assert!(scene.rcpt_of(STRANGER, "x@far.example", recipient).await.starts_with(GREYLISTED));
    }
    jump(5 * MINUTE).await;
    assert!(scene.rcpt_of(STRANGER, "x@far.example", "anna@ours.example").await.starts_with("250 "));
    scene.world.restart().await;
    let settings = settings(&scene.world);
    let address = "192.0.2.26:25".parse().unwrap();
    scene.world.inbound.serve(scene.internet.listen(address).unwrap(), &inbound::Service::new(settings));
    scene.address = address;
    for recipient in ["anna@ours.example", "bob@ours.example"] {
        assert!(scene.rcpt_of(STRANGER, "x@far.example", recipient).await.starts_with("250 "), "{recipient}");
    }
    assert!(scene.rcpt_of(STRANGER, "y@far.example", "anna@ours.example").await.starts_with(GREYLISTED));
}

#[tokio::test]
async fn users_trusted_and_exempt_clients_do_not_wait() {
    let world = World::simulated().await;
    let mut settings = settings(&world);
    settings.trusted_networks = vec!["198.51.100.0/24".parse().unwrap()];
    let scene = Scene::over(world, settings);
    resume();
    for from in [FAR, "127.0.0.1"] {
        assert!(scene.rcpt_of(from, "x@far.example", "anna@ours.example").await.starts_with("250 "), "{from}");
    }
}

/// What the sign-in back-off knows outlives a restart, too: an attack that goes on does not lock the owner out.
#[tokio::test]
async fn c6_acquaintances_are_durable() {
    let mut scene = scene().await;
    resume();
    scene.world.restart().await;
    let serve = |scene: &mut Scene, port: u16| {
        let address = std::net::SocketAddr::from(([192, 0, 2, 27], port));
        let service = inbound::Service::new(scene.world.submission());
        scene.world.inbound.serve(scene.internet.listen(address).unwrap(), &service);
        scene.address = address;
    };
    serve(&mut scene, 587);
    assert!(scene.sign_in(FAR, "anna@ours.example", crate::world::PASSWORD).await.starts_with("235 "));
    scene.world.restart().await;
    serve(&mut scene, 588);
    for host in 0..30 {
        scene.sign_in(&format!("203.0.{host}.1"), "anna@ours.example", "guess").await;
    }
    let stranger = scene.sign_in("203.1.1.1", "anna@ours.example", crate::world::PASSWORD).await;
    assert!(stranger.starts_with("454 "), "{stranger}");
    assert!(scene.sign_in(FAR, "anna@ours.example", crate::world::PASSWORD).await.starts_with("235 "));
}
