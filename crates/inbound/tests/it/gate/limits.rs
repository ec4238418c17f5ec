//! Rates and budgets of clients and networks.

use std::time::Duration;

use inbound::Load;
use tokio::time::sleep;

use super::{ENVELOPE, FAR, GREETED, NEIGHBOUR, STRANGER, Scene, run_in_real_time, send};
use crate::world::PASSWORD;

fn per_minute(count: u32) -> policy::rate::Rate {
    policy::rate::Rate::per_minute(count)
}

fn per_hour(count: u32) -> policy::rate::Rate {
    policy::rate::Rate::per_hour(count)
}

#[tokio::test]
async fn connections_of_one_client_in_a_minute() {
    let scene = Scene::new(|_, settings| settings.gate.limits.connections = per_minute(3)).await;
    for _ in 0..3 {
        scene.run(STRANGER, "S: 220\nC: QUIT\nS: 221\nS: closed").await;
    }
    scene
        .run(
            STRANGER,
            "S: 421 4.7.0 mx.ours.example has seen too many connections from your address; come again in 20 seconds\nS: closed",
        )
        .await;
    scene.run(FAR, "S: 220").await;
    sleep(Duration::from_secs(20)).await;
    scene.run(STRANGER, "S: 220\nC: QUIT\nS: 221").await;
}

#[tokio::test]
async fn connections_at_a_time_of_client_and_network() {
    let scene = Scene::new(|_, settings| settings.connections_per_address = 2).await;
    let mut open = Vec::new();
    for from in ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"] {
        for _ in 0..2 {
            let mut client = scene.connect(from).await;
            client.run("S: 220").await;
            open.push(client);
        }
    }
    scene
        .run(
            "203.0.113.1",
            "S: 421 4.7.0 mx.ours.example has too many connections from your address; close some\nS: closed",
        )
        .await;
    scene
        .run(
            "203.0.113.9",
            "S: 421 4.7.0 mx.ours.example has too many connections from your network; close some\nS: closed",
        )
        .await;
    scene.run(FAR, "S: 220").await;
    open[0].run("C: QUIT\nS: 221\nS: closed").await;
    scene.run("203.0.113.9", "S: 220").await;
}

#[tokio::test]
async fn messages_and_recipients_in_a_minute() {
    let scene = Scene::new(|_, settings| {
        settings.gate.limits.messages = per_minute(2);
        settings.gate.limits.recipients = per_minute(3);
    })
    .await;
    let mut client = scene.connect(STRANGER).await;
    client.run(GREETED).await;
    send(&mut client).await;
    client.run("C: MAIL FROM:<x@far.example>\nS: 250").await;
    client.run("C: RCPT TO:<anna@ours.example>\nS: 250\nC: RCPT TO:<bob@ours.example>\nS: 250").await;
    client
        .run("C: RCPT TO:<sales@ours.example>\nS: 450 4.7.1 This server has seen too many recipients from your address; come again in 20 seconds")
        .await;
    client.run("C: DATA\nS: 354").await;
    run_in_real_time(&mut client, "C: .\nS: 250 2.0.0").await;
    // It may not begin anew with another connection.
    let mut again = scene.connect(STRANGER).await;
    again.run(GREETED).await;
    again
        .run("C: MAIL FROM:<x@far.example>\nS: 450 4.7.1 This server has seen too many messages from your address; come again in 30 seconds")
        .await;
    sleep(Duration::from_secs(60)).await;
    send(&mut again).await;
    tokio::time::resume();
    assert_eq!(scene.world.kept().await.len(), 3);
}

#[tokio::test]
async fn commands_in_a_minute() {
    let scene = Scene::new(|_, settings| settings.gate.limits.commands = per_minute(20)).await;
    let mut client = scene.connect(STRANGER).await;
    client.run(GREETED).await;
    client.say("NOOP\r\n".repeat(18)).await;
    client.run("S: 250\n".repeat(18).trim_end()).await;
    client.say("NOOP\r\n").await;
    client.run("S: 250\nS: 421 4.7.0 mx.ours.example has seen too many commands from your address\nS: closed").await;
}

/// E3, over many connections.
#[tokio::test]
async fn errors_and_junk_outlive_a_connection() {
    let scene = Scene::new(|_, settings| {
        settings.gate.limits.errors = per_hour(30);
        settings.gate.tarpit = Duration::ZERO;
    })
    .await;
    for _ in 0..2 {
        let mut client = scene.connect(STRANGER).await;
        client.run(GREETED).await;
        client.run("C: WHAT\nS: 500\n".repeat(14).trim_end()).await;
        client.run("C: QUIT\nS: 221\nS: closed").await;
    }
    let mut client = scene.connect(STRANGER).await;
    client.run(GREETED).await;
    client.run("C: WHAT\nS: 500\nC: WHAT\nS: 500\nS: 421 4.7.0 mx.ours.example has seen too many errors from your address; come again in 2 minutes\nS: closed").await;
    scene.run(STRANGER, "S: 421 4.7.0 mx.ours.example has seen too many errors\nS: closed").await;
    scene.run(NEIGHBOUR, "S: 220").await;
    // Half an hour later half of it is forgiven, and mail makes up for more.
    sleep(Duration::from_secs(1800)).await;
    let mut client = scene.connect(STRANGER).await;
    client.run(GREETED).await;
    send(&mut client).await;
}

#[tokio::test]
async fn users_trusted_and_exempt_clients_are_not_counted() {
    let scene = Scene::new(|world, settings| {
        *settings = world.submission();
        settings.trusted_networks = vec!["198.51.100.0/24".parse().unwrap()];
        settings.gate.exempt_networks = vec!["203.0.113.8".parse().unwrap()];
        settings.gate.limits.connections = per_minute(1);
        settings.gate.limits.messages = per_minute(1);
    })
    .await;
    for _ in 0..5 {
        scene.run(FAR, &format!("{GREETED}\n{ENVELOPE}")).await;
        scene.run(NEIGHBOUR, "S: 220\nC: QUIT\nS: 221").await;
    }
    let mut user = scene.connect(STRANGER).await;
    user.run(GREETED).await;
    let credentials = smtp::sasl::encode(format!("\0anna@ours.example\0{PASSWORD}").as_bytes());
    run_in_real_time(&mut user, &format!("C: AUTH PLAIN {credentials}\nS: 235")).await;
    for _ in 0..5 {
        user.run("C: MAIL FROM:<anna@ours.example>\nS: 250\nC: RSET\nS: 250").await;
    }
}

#[tokio::test]
async fn errors_take_longer_and_longer() {
    let scene = Scene::new(|_, settings| settings.gate.tarpit = Duration::from_secs(1)).await;
    let mut client = scene.connect(STRANGER).await;
    client.run(GREETED).await;
    for expect in [0, 0, 0, 1, 2, 3] {
        let began = scene.world.clock.instant();
        client.run("C: WHAT\nS: 500").await;
        assert_eq!((scene.world.clock.instant() - began).as_secs(), expect);
    }
    // What is no error does not wait.
    let began = scene.world.clock.instant();
    client.run("C: NOOP\nS: 250").await;
    assert!((scene.world.clock.instant() - began) < Duration::from_secs(1));
}

/// One dead address in so many does not slow down who brings mail.
#[tokio::test]
async fn mail_makes_up_for_errors() {
    let scene = Scene::new(|_, settings| settings.gate.tarpit = Duration::from_secs(1)).await;
    let mut client = scene.connect(STRANGER).await;
    client.run(GREETED).await;
    client.run("C: WHAT\nS: 500\n".repeat(6).trim_end()).await;
    send(&mut client).await;
    let began = scene.world.clock.instant();
    client.run("C: WHAT\nS: 500\n".repeat(3).trim_end()).await;
    assert!(scene.world.clock.instant() - began < Duration::from_secs(1));
}

#[tokio::test]
async fn overload_tightens_what_strangers_may_do() {
    let scene = Scene::new(|_, settings| settings.connections_per_address = 20).await;
    let full = Load { queued: 100, queued_max: 100, descriptors: 0, descriptors_max: 0 };
    scene.world.inbound.set_load(full);
    let mut idle = scene.connect(STRANGER).await;
    idle.run("S: 220").await;
    let mut busy = scene.connect(STRANGER).await;
    busy.run(&format!("{GREETED}\nC: MAIL FROM:<x@far.example>\nS: 250")).await;
    scene.run(STRANGER, "S: 421 4.7.0 mx.ours.example has too many connections from your address").await;
    sleep(Duration::from_secs(31)).await;
    idle.run("S: 421 4.4.2 mx.ours.example waited 30 seconds for a command; closing\nS: closed").await;
    // Who has begun a message keeps the usual time, and errors are not made to wait.
    sleep(Duration::from_secs(200)).await;
    busy.run("C: RCPT TO:<anna@ours.example>\nS: 250").await;
    let began = scene.world.clock.instant();
    busy.run("C: WHAT\nS: 500\n".repeat(10).trim_end()).await;
    assert!(scene.world.clock.instant() - began < Duration::from_secs(1));
    // Half way it is half as tight, and what loosens holds for those who wait already.
    scene.world.inbound.set_load(Load { queued: 70, ..full });
    let mut patient = scene.connect(FAR).await;
    patient.run("S: 220").await;
    sleep(Duration::from_secs(160)).await;
    patient.run("C: NOOP\nS: 250").await;
    scene.world.inbound.set_load(Load::default());
    sleep(Duration::from_secs(290)).await;
    patient.run("C: NOOP\nS: 250").await;
    // And it tightens under a wait that has begun.
    scene.world.inbound.set_load(full);
    sleep(Duration::from_secs(70)).await;
    patient.run("S: 421 4.4.2 mx.ours.example waited 30 seconds for a command; closing\nS: closed").await;
}

#[tokio::test]
async fn a_reload_changes_the_limits() {
    let scene = Scene::new(|_, settings| settings.connections_per_address = 1).await;
    let mut first = scene.connect(STRANGER).await;
    first.run("S: 220").await;
    scene.run(STRANGER, "S: 421").await;
    let mut settings = scene.world.mx();
    settings.connections_per_address = 2;
    scene.service.reload(settings);
    scene.run(STRANGER, "S: 220").await;
}
