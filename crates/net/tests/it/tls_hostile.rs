//! Clients that mean harm during the handshake (B3, B4).

use std::time::Duration;

use net::{Clock, Stream, tasks::Tasks, tls::HandshakeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tls::{own_server, rustls_client, sim_pair};

/// Splits every handshake record into records of one byte each.
fn into_one_byte_records(mut records: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [kind, major, minor, high, low, rest @ ..] = records {
        let (body, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        for byte in body {
            out.extend_from_slice(&[*kind, *major, *minor, 0, 1, *byte]);
        }
        records = after;
    }
    out
}

fn client_hello(certificate: &std::path::Path) -> Vec<u8> {
    let config = rustls_client(rustls::ALL_VERSIONS, &[], certificate);
    let name = rustls::pki_types::ServerName::try_from("mx.example.net").unwrap();
    let mut connection = rustls::ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

async fn read_some(stream: &mut Stream) -> usize {
    let mut buffer = [0; 4096];
    stream.read(&mut buffer).await.unwrap_or(0)
}

#[tokio::test]
async fn one_byte_records_are_understood_or_refused() {
    let (server, directory) = own_server();
    let split = into_one_byte_records(&client_hello(&directory.path().join("cert.pem")));
    let (mut client, far) = sim_pair().await;
    let tasks = Tasks::new();
    let handshake = tasks.spawn("server", async move { far.start_tls_server(&server).await.map(drop) });
    client.write_whole(&split).await.unwrap();
    // Either the server's flight or an alert comes back; then the client leaves, and the handshake is over.
    assert!(read_some(&mut client).await > 0);
    drop(client);
    assert!(handshake.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_byte_per_ten_seconds_meets_the_deadline() {
    let (server, directory) = own_server();
    let hello = client_hello(&directory.path().join("cert.pem"));
    let (mut client, far) = sim_pair().await;
    let (clock, tasks) = (Clock::system(), Tasks::new());
    let deadline = clock.instant() + Duration::from_secs(30);
    let waiting = clock.clone();
    let handshake = tasks
        .spawn("server", async move { waiting.timeout_at(deadline, far.start_tls_server(&server)).await.is_err() });
    for byte in hello {
        if client.write(&[byte]).await.is_err() {
            break;
        }
        clock.sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(handshake.await, Ok(true));
    // The server let go of the connection.
    assert_eq!(read_some(&mut client).await, 0);
    assert!(clock.instant() - deadline <= Duration::from_secs(10));
}

#[tokio::test]
async fn what_is_not_tls_is_refused_at_once() {
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: mx.example.net\r\n\r\n"[..], b"EHLO a\r\n", &[0; 100], &[0x16, 3, 1, 0xff, 0xff]]
    {
        let (server, _directory) = own_server();
        let (mut client, far) = sim_pair().await;
        client.write_whole(garbage).await.unwrap();
        client.shutdown().await.unwrap();
        let error = far.start_tls_server(&server).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Garbage(_) | HandshakeError::Network(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_a_network_error() {
    let (server, _directory) = own_server();
    let (client, far) = sim_pair().await;
    drop(client);
    let error = far.start_tls_server(&server).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Network(_)), "{error:?}");
}

#[tokio::test]
async fn tls_is_not_put_on_twice() {
    let (server, _directory) = own_server();
    let client = net::tls::Client::opportunistic(Clock::system()).unwrap();
    let (near, far) = sim_pair().await;
    let (near, far) = tokio::join!(near.start_tls_client(&client, "mx.example.net"), far.start_tls_server(&server));
    assert_eq!(far.unwrap().start_tls_server(&server).await.unwrap_err(), HandshakeError::AlreadyTls);
    drop(near);
}
