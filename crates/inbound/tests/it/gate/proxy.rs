//! The PROXY protocol (D11).

use std::time::Duration;

use inbound::Tls;
use tokio::time::sleep;

use super::{FAR, GREETED, STRANGER, Scene};

const PROXY: &str = "10.0.0.1";
const HEADER: &str = "PROXY TCP4 203.0.113.7 192.0.2.25 4096 25\r\n";

async fn scene() -> Scene {
    Scene::new(|_, settings| {
        settings.gate.proxy_networks = vec!["10.0.0.0/8".parse().unwrap()];
        settings.trusted_networks = vec!["10.0.0.0/8".parse().unwrap(), "198.51.100.0/24".parse().unwrap()];
        settings.connections_per_address = 2;
    })
    .await
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &length, rest].concat()
}

#[tokio::test]
async fn the_client_is_the_one_that_the_proxy_names() {
    let scene = scene().await;
    let v2_pair = [203, 0, 113, 7, 192, 0, 2, 25, 0x10, 0, 0, 25, 0x05, 0, 3, b'x', b'y', b'z'];
    let mut open = Vec::new();
    for header in [HEADER.as_bytes().to_vec(), v2(1, 0x11, &v2_pair)] {
        let mut client = scene.connect(PROXY).await;
        client.say(header).await;
        client.run("S: 220\nC: EHLO client.example").await;
        assert_eq!(client.line().await, "250-mx.ours.example greets [203.0.113.7]");
        client
            .run("S: 250\nC: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<y@elsewhere.example>\nS: 550 5.7.1")
            .await;
        open.push(client);
    }
    // Its connections count as its own, and its trust is its own.
    let mut third = scene.connect(PROXY).await;
    third.say(HEADER).await;
    third.run("S: 421 4.7.0 mx.ours.example has too many connections from your address\nS: closed").await;
    let mut trusted = scene.connect(PROXY).await;
    trusted.say(format!("PROXY TCP4 {FAR} 192.0.2.25 4096 25\r\n")).await;
    trusted
        .run(&format!("{GREETED}\nC: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<y@elsewhere.example>\nS: 250"))
        .await;
}

#[tokio::test]
async fn octet_by_octet_and_in_one_piece_with_what_follows() {
    let scene = scene().await;
    let mut slow = scene.connect(PROXY).await;
    for octet in HEADER.bytes() {
        slow.say([octet]).await;
    }
    slow.run(GREETED).await;
    let mut quick = scene.connect(PROXY).await;
    quick.say(format!("{HEADER}EHLO client.example\r\n")).await;
    quick.run("S: 220\nS: 250").await;
}

#[tokio::test]
async fn d11_no_header_none_in_time_and_a_bad_one() {
    let scene = scene().await;
    let mut silent = scene.connect(PROXY).await;
    sleep(Duration::from_secs(6)).await;
    silent.run("S: closed").await;
    let long = v2(1, 0x11, &[0; 9000]);
    let wrong: [&[u8]; 7] = [
        b"EHLO client.example\r\nMAIL FROM:<x@far.example>\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.25 4096\r\n",
        b"PROXY TCP4 203.0.113.700 192.0.2.25 4096 25\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.25 4096 25 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
        &v2(1, 0x11, &[1, 2, 3]),
        &v2(9, 0x11, &[0; 12]),
        &long,
    ];
    for header in wrong {
        let mut client = scene.connect(PROXY).await;
        client.say(header).await;
        client.run("S: closed").await;
    }
    assert_eq!(scene.world.sessions(), 0);
}

#[tokio::test]
async fn d11_local_and_unknown_are_greeted_and_may_do_nothing() {
    let scene = scene().await;
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0, 0, &[]), v2(1, 0, &[])] {
        let mut client = scene.connect(PROXY).await;
        client.say(header).await;
        client
            .run(&format!(
                "{GREETED}\nC: MAIL FROM:<x@far.example>\nS: 554 5.7.1 The proxy does not say\nC: QUIT\nS: 221"
            ))
            .await;
    }
}

#[tokio::test]
async fn d11_a_stranger_is_no_proxy() {
    let scene = scene().await;
    let mut stranger = scene.connect(STRANGER).await;
    stranger.run("S: 220").await;
    stranger.say(format!("PROXY TCP4 {FAR} 192.0.2.25 4096 25\r\n")).await;
    stranger.run("S: 500 5.5.1 Unknown command PROXY").await;
    stranger
        .run("C: EHLO client.example\nS: 250\nC: MAIL FROM:<x@far.example>\nS: 250\nC: RCPT TO:<y@elsewhere.example>\nS: 550 5.7.1")
        .await;
}

#[tokio::test]
async fn a_handshake_follows_the_header() {
    let scene = Scene::new(|world, settings| {
        settings.gate.proxy_networks = vec!["10.0.0.0/8".parse().unwrap()];
        settings.tls = Tls::Implicit(world.certificate());
    })
    .await;
    let mut client = scene.connect(PROXY).await;
    client.say(HEADER).await;
    let mut client = client.start_tls(&scene.world.clock).await;
    client.run("S: 220\nC: EHLO client.example").await;
    assert_eq!(client.line().await, "250-mx.ours.example greets [203.0.113.7]");
}
