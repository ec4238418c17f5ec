//! Clients that do not wait for the banner, or where they must wait (A8).

use std::time::Duration;

use tokio::time::sleep;

use super::{GREETED, STRANGER, Scene, run_in_real_time};

const WAIT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a8_who_speaks_first_is_sent_away_and_nothing_is_kept() {
    let scene = Scene::new(|_, settings| settings.gate.pregreet_wait = WAIT).await;
    let mut client = scene.connect(STRANGER).await;
    let began = scene.world.clock.instant();
    client.say("EHLO spam.example\r\n").await;
    client.run("S: 554 5.5.0 You spoke before the greeting: wait for the 220\nS: closed").await;
    assert!(scene.world.clock.instant() - began < WAIT);
    // A flood is not read while nobody listens to it.
    let mut flood = scene.connect(STRANGER).await;
    flood.say("x".repeat(50_000)).await;
    flood.run("S: 554 5.5.0").await;
    // Nor is such a client known now.
    let mut again = scene.connect(STRANGER).await;
    sleep(WAIT / 2).await;
    again.say("EHLO spam.example\r\n").await;
    again.run("S: 554 5.5.0").await;
}

#[tokio::test]
async fn who_waits_is_known_for_a_day() {
    let scene = Scene::new(|_, settings| settings.gate.pregreet_wait = WAIT).await;
    let took = async |from: &str| {
        let mut client = scene.connect(from).await;
        let began = scene.world.clock.instant();
        client.run("S: 220").await;
        (scene.world.clock.instant() - began).as_millis()
    };
    assert!(took(STRANGER).await >= WAIT.as_millis());
    assert_eq!(took(STRANGER).await, 0);
    assert_eq!(took("127.0.0.1").await, 0);
    sleep(Duration::from_secs(86_400)).await;
    assert!(took(STRANGER).await >= WAIT.as_millis());
}

#[tokio::test]
async fn a_client_that_leaves_is_let_go() {
    let scene = Scene::new(|_, settings| settings.gate.pregreet_wait = WAIT).await;
    let mut client = scene.connect(STRANGER).await;
    client.hang_up().await;
    drop(client);
    sleep(WAIT * 2).await;
    assert_eq!(scene.world.sessions(), 0);
}

/// Neither the wait for the banner nor that for a reply to an error holds the server up when it stops.
#[tokio::test]
async fn a_stop_does_not_wait_for_strangers() {
    let scene = Scene::new(|_, settings| {
        settings.gate.pregreet_wait = WAIT * 4;
        settings.gate.tarpit = WAIT * 4;
    })
    .await;
    let mut slowed = scene.connect(STRANGER).await;
    slowed.run(GREETED).await;
    slowed.run("C: WHAT\nS: 500\n".repeat(3).trim_end()).await;
    slowed.say("WHAT\r\n").await;
    let mut fresh = scene.connect(super::FAR).await;
    sleep(WAIT).await;
    let began = scene.world.clock.instant();
    scene.world.tasks.shutdown();
    slowed.run("S: 500\nS: 421 4.3.2\nS: closed").await;
    fresh.run("S: 421 4.3.2\nS: closed").await;
    assert!(scene.world.clock.instant() - began < WAIT);
}

#[tokio::test]
async fn a8_unauthorised_pipelining_of_strangers_is_refused() {
    let scene = Scene::new(|_, _| ()).await;
    let mut client = scene.connect(STRANGER).await;
    client.run("S: 220").await;
    client.say("EHLO spam.example\r\nMAIL FROM:<x@far.example>\r\n").await;
    client.run("S: 554 5.5.0 You went on without waiting\nS: closed").await;
    // What RFC 2920 allows is allowed.
    let mut client = scene.connect(STRANGER).await;
    client.run(GREETED).await;
    client.say("MAIL FROM:<x@far.example>\r\nRCPT TO:<anna@ours.example>\r\nDATA\r\n").await;
    client.run("S: 250\nS: 250\nS: 354").await;
    run_in_real_time(&mut client, "C: .\nS: 250 2.0.0").await;
    // At home people type as they like.
    let mut client = scene.connect("127.0.0.1").await;
    client.run("S: 220").await;
    client.say("EHLO spam.example\r\nMAIL FROM:<x@far.example>\r\n").await;
    client.run("S: 250\nS: 250").await;
}
