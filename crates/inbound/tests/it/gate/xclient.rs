//! XCLIENT, from its named networks only.

use super::{FAR, GREETED, STRANGER, Scene};

const PROXY: &str = "10.0.0.1";

async fn scene() -> Scene {
    Scene::new(|_, settings| {
        settings.gate.xclient_networks = vec!["10.0.0.0/8".parse().unwrap()];
        settings.trusted_networks = vec!["10.0.0.0/8".parse().unwrap(), "198.51.100.0/24".parse().unwrap()];
        settings.connections_per_address = 1;
    })
    .await
}

#[tokio::test]
async fn a_named_client_is_judged_as_if_it_had_connected() {
    let scene = scene().await;
    let mut client = scene.connect(PROXY).await;
    client.run(GREETED).await;
    client.run("C: XCLIENT ADDR=203.0.113.7 PORT=4711\nS: 220\nC: EHLO client.example").await;
    assert_eq!(client.line().await, "250-mx.ours.example greets [203.0.113.7]");
    client.run("S: 250\nC: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<y@elsewhere.example>\nS: 550 5.7.1").await;
    // It has its place, and cannot speak for others in its turn.
    scene.run(STRANGER, "S: 421 4.7.0").await;
    client.run("C: RSET\nS: 250\nC: XCLIENT ADDR=198.51.100.1\nS: 500").await;
    let mut second = scene.connect(PROXY).await;
    second.run(GREETED).await;
    second.run("C: XCLIENT ADDR=203.0.113.7\nS: 421 4.7.0\nS: closed").await;
    let mut trusted = scene.connect(PROXY).await;
    trusted.run(GREETED).await;
    trusted.run(&format!("C: XCLIENT ADDR={FAR}\n{GREETED}\nC: MAIL FROM:<x@far.example>\nS: 250")).await;
    trusted.run("C: RCPT TO:<y@elsewhere.example>\nS: 250").await;
}

#[tokio::test]
async fn who_names_nobody_may_send_nothing_and_a_stranger_names_nobody() {
    let scene = scene().await;
    let mut client = scene.connect(PROXY).await;
    client.run("S: 220").await;
    client.run(&format!("C: XCLIENT ADDR=[UNAVAILABLE]\n{GREETED}\nC: MAIL FROM:<x@far.example>\nS: 554 5.7.1")).await;
    let mut stranger = scene.connect(STRANGER).await;
    stranger.run(GREETED).await;
    stranger.run("C: XCLIENT ADDR=198.51.100.1\nS: 500").await;
}

/// A front that serves the world has more connections and greetings than one client may.
#[tokio::test]
async fn who_names_its_clients_is_not_counted_for_them() {
    let scene = Scene::new(|_, settings| {
        settings.gate.xclient_networks = vec!["10.0.0.1".parse().unwrap()];
        settings.gate.limits.connections = policy::rate::Rate::per_minute(3);
        settings.gate.limits.junk = policy::rate::Rate::per_hour(5);
    })
    .await;
    for host in 1..20 {
        let mut client = scene.connect(PROXY).await;
        client.run(GREETED).await;
        client.run(&format!("C: XCLIENT ADDR=203.{host}.113.7\n{GREETED}\nC: QUIT\nS: 221\nS: closed")).await;
    }
    // The named are.
    for _ in 0..3 {
        let mut client = scene.connect(PROXY).await;
        client.run(&format!("{GREETED}\nC: XCLIENT ADDR=203.0.113.7\n{GREETED}")).await;
    }
    let mut client = scene.connect(PROXY).await;
    client.run(&format!("{GREETED}\nC: XCLIENT ADDR=203.0.113.7\nS: 421 4.7.0")).await;
}
