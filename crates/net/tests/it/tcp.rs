//! Real sockets on loopback.

use std::{
    io::{ErrorKind, IoSlice},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use net::{BindError, Clock, ConnectError, Connector, Listener, Stream, TcpConnector, tasks::Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn soon() -> Instant {
    Clock::system().instant() + Duration::from_secs(20)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

async fn pair() -> (Stream, Stream) {
    let mut listener = Listener::bind(address("127.0.0.1:0")).unwrap();
    let connecting = TcpConnector::new();
    let (client, server) = tokio::join!(connecting.connect(listener.local_addr(), None, soon()), listener.accept());
    (client.unwrap(), server.0)
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_ends_know_each_other() {
    let (mut client, mut server) = pair().await;
    assert_eq!(client.peer_addr(), server.local_addr().unwrap());
    assert_eq!(server.peer_addr(), client.local_addr().unwrap());
    assert_eq!(client.tls(), None);
    client.write_whole(b"EHLO a\r\n").await.unwrap();
    let mut buffer = [0; 100];
    server.readable().await.unwrap();
    let read = server.try_read(&mut buffer).unwrap();
    assert_eq!(&buffer[..read], b"EHLO a\r\n");
    assert_eq!(server.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    client.shutdown().await.unwrap();
    server.readable().await.unwrap();
    assert_eq!(server.try_read(&mut buffer).unwrap(), 0);
}

/// Pieces are read with buffers that they do not fill, fill, and do not fit into, as fast as the ends can answer each
/// other: an arrival that got lost between two reads, or a rest that was taken for nothing, would stop the game.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_reads_lose_no_arrival() {
    for octets in [64, 3, 2, 1] {
        echo_with_a_buffer_of(octets).await;
    }
}

async fn echo_with_a_buffer_of(octets: usize) {
    const ROUNDS: usize = 2_000;
    let (mut client, mut server) = pair().await;
    let tasks = Tasks::new();
    let echo = tasks.spawn("echo", async move {
        let mut buffer = vec![0; octets];
        loop {
            server.readable().await.unwrap();
            match server.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => server.write_whole(buffer.get(..read).unwrap()).await.unwrap(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    });
    let game = async {
        let mut answer = [0; 3];
        for round in 0..ROUNDS {
            client.write_whole(b"a").await.unwrap();
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
            client.write_whole(b"bc").await.unwrap();
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"abc");
        }
        // The last piece and the end come as one.
        client.write_whole(b"z").await.unwrap();
        client.shutdown().await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"z");
    };
    Clock::system().timeout_at(soon(), game).await.expect("an arrival was lost");
    echo.await.unwrap();
}

#[tokio::test]
async fn parts_are_written_whole_even_when_the_reader_is_slow() {
    let (mut client, mut server) = pair().await;
    let (big, small) = (vec![b'x'; 3_000_000], b"end".to_vec());
    let tasks = Tasks::new();
    let (sent_big, sent_small) = (big.clone(), small.clone());
    let writer = tasks.spawn("writer", async move {
        let mut parts = [IoSlice::new(b""), IoSlice::new(&sent_big), IoSlice::new(b""), IoSlice::new(&sent_small)];
        client.write_whole_vectored(&mut parts).await.unwrap();
        client.write_whole_vectored(&mut []).await.unwrap();
        client.write_whole_vectored(&mut [IoSlice::new(b"")]).await.unwrap();
    });
    let mut received = Vec::new();
    server.read_to_end(&mut received).await.unwrap();
    writer.await.unwrap();
    assert!(received == [big, small].concat());
}

#[tokio::test]
async fn a_port_in_use_is_said_with_what_to_do() {
    let first = Listener::bind(address("127.0.0.1:0")).unwrap();
    let taken = first.local_addr();
    let error = Listener::bind(taken).unwrap_err();
    assert_eq!(error, BindError::InUse { address: taken });
    let text = error.to_string();
    assert!(text.contains(&taken.to_string()) && text.contains("in use") && text.contains("ss -ltnp"), "{text}");
    drop(first);
    Listener::bind(taken).unwrap();
    let error = Listener::bind(address("192.0.2.1:2525")).unwrap_err();
    assert_eq!(error, BindError::NotLocal { address: address("192.0.2.1:2525") });
}

#[tokio::test]
async fn an_ipv6_address_leaves_ipv4_alone() {
    // Not every machine has IPv6.
    let Ok(six) = Listener::bind(address("[::]:0")) else { return };
    let port = six.local_addr().port();
    Listener::bind(SocketAddr::new(address("0.0.0.0:0").ip(), port)).unwrap();
}

#[tokio::test]
async fn a_source_address_is_used_or_complained_about() {
    let mut listener = Listener::bind(address("127.0.0.1:0")).unwrap();
    let (to, connector) = (listener.local_addr(), TcpConnector::new());
    let from: IpAddr = "127.0.0.9".parse().unwrap();
    let (client, (_, peer)) = tokio::join!(connector.connect(to, Some(from), soon()), listener.accept());
    client.unwrap();
    assert_eq!(peer.ip(), from);

    let foreign: IpAddr = "192.0.2.1".parse().unwrap();
    let error = connector.connect(to, Some(foreign), soon()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Source { .. }), "{error:?}");
    assert!(error.to_string().contains("192.0.2.1") && error.to_string().contains("source address"), "{error}");
    let error = connector.connect(to, Some("::1".parse().unwrap()), soon()).await.unwrap_err();
    assert!(error.to_string().contains("IPv6"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_a_refusal() {
    let listener = Listener::bind(address("127.0.0.1:0")).unwrap();
    let to = listener.local_addr();
    drop(listener);
    let error = TcpConnector::new().connect(to, None, soon()).await.unwrap_err();
    assert_eq!(error, ConnectError::Refused { to });
}

#[tokio::test]
async fn a_deadline_that_has_passed_ends_the_attempt() {
    // The backlog of a listener that accepts nothing would take the connection, so the deadline lies before the attempt.
    let listener = Listener::bind(address("127.0.0.1:0")).unwrap();
    let to = listener.local_addr();
    let past = Clock::system().instant();
    match TcpConnector::new().connect(to, None, past).await {
        Ok(_) | Err(ConnectError::Deadline { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}
