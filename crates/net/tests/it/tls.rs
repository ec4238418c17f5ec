//! Handshakes between our two ends, over real sockets and over the simulated internet.

use std::{
    io::ErrorKind,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use mail::Timestamp;
use net::{
    Clock, Connector, Listener, Stream, TcpConnector,
    sim::Internet,
    tls::{Client, HandshakeError, Server, Source},
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) fn soon() -> Instant {
    Clock::system().instant() + Duration::from_secs(20)
}

pub(crate) async fn tcp_pair() -> (Stream, Stream) {
    let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let connector = TcpConnector::new();
    let (client, server) = tokio::join!(connector.connect(listener.local_addr(), None, soon()), listener.accept());
    (client.unwrap(), server.0)
}

pub(crate) async fn sim_pair() -> (Stream, Stream) {
    let internet = Internet::new();
    let to = "198.51.100.1:25".parse().unwrap();
    let mut listener = internet.listen(to).unwrap();
    let client = internet.connect(to, None, soon()).await.unwrap();
    (client, listener.accept().await.0)
}

/// A server with a certificate of its own for `mx.example.net`, in a directory that lives as long.
pub(crate) fn own_server() -> (Server, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let source = Source::SelfSigned { directory: directory.path().into(), hostname: "mx.example.net".into() };
    (Server::new(source, Clock::system()).unwrap(), directory)
}

async fn handshake(
    (client_end, server_end): (Stream, Stream),
    client: &Client,
    server: &Server,
    name: &str,
) -> (Result<Stream, HandshakeError>, Result<Stream, HandshakeError>) {
    tokio::join!(client_end.start_tls_client(client, name), server_end.start_tls_server(server))
}

fn trusting(certificate: &Path) -> Client {
    Client::verified(Some(certificate), Clock::system()).unwrap()
}

#[tokio::test]
async fn both_ends_agree_over_both_nets() {
    let (server, _directory) = own_server();
    let client = Client::opportunistic(Clock::system()).unwrap();
    for pair in [tcp_pair().await, sim_pair().await] {
        let (near, far) = handshake(pair, &client, &server, "mx.example.net").await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        let summary = near.tls().unwrap();
        assert_eq!(summary.version, "TLSv1.3");
        assert!(summary.cipher.starts_with("TLS_") && !summary.cipher.contains("13"), "{}", summary.cipher);
        assert_eq!(far.tls(), Some(summary));

        let sent = vec![b'x'; 300_000];
        let (written, read) = tokio::join!(
            async {
                near.write_whole(&sent).await?;
                near.shutdown().await
            },
            async {
                let mut received = Vec::new();
                far.read_to_end(&mut received).await.map(|_| received)
            }
        );
        written.unwrap();
        assert!(read.unwrap() == sent);
        assert_eq!(far.try_read(&mut [0; 10]).unwrap(), 0);
    }
}

#[tokio::test]
async fn an_idle_session_is_read_without_waiting() {
    let (server, _directory) = own_server();
    let client = Client::opportunistic(Clock::system()).unwrap();
    let (near, far) = handshake(tcp_pair().await, &client, &server, "mx.example.net").await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    let mut buffer = [0; 4];
    assert_eq!(far.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    near.write_whole(b"QUIT\r\n").await.unwrap();
    let mut received = Vec::new();
    while received.len() < 6 {
        far.readable().await.unwrap();
        match far.try_read(&mut buffer) {
            Ok(read) => received.extend_from_slice(&buffer[..read]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(received, b"QUIT\r\n");
    // A connection that breaks off without a close_notify is an error, not an end.
    drop(near);
    far.readable().await.unwrap();
    let error = far.try_read(&mut buffer).unwrap_err().kind();
    assert!(matches!(error, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error:?}");
}

#[tokio::test]
async fn opportunistic_takes_any_certificate_and_verified_only_a_proven_one() {
    let (server, directory) = own_server();
    let any = Client::opportunistic(Clock::system()).unwrap();
    for name in ["mx.example.net", "other.example", "192.0.2.1", "mx.example.net.", "_not a name_", ""] {
        let (near, far) = handshake(sim_pair().await, &any, &server, name).await;
        assert!(near.is_ok() && far.is_ok(), "{name}: {near:?} {far:?}");
    }
    let strangers = Client::verified(None, Clock::system()).unwrap();
    let (near, far) = handshake(sim_pair().await, &strangers, &server, "mx.example.net").await;
    assert!(matches!(near.unwrap_err(), HandshakeError::Certificate(_)));
    assert!(matches!(far.unwrap_err(), HandshakeError::Alert(_)));

    let friends = trusting(&directory.path().join("cert.pem"));
    let (near, _) = handshake(sim_pair().await, &friends, &server, "mx.example.net").await;
    near.unwrap();
    let (near, _) = handshake(sim_pair().await, &friends, &server, "mx.example.org").await;
    let error = near.unwrap_err();
    assert!(matches!(error, HandshakeError::Certificate(_)), "{error:?}");
    assert!(error.to_string().contains("mx.example.org"), "{error}");
    let (near, _) = handshake(sim_pair().await, &friends, &server, "not a name").await;
    assert_eq!(near.unwrap_err(), HandshakeError::BadName("not a name".into()));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_judged_by_our_clock() {
    let directory = tempfile::tempdir().unwrap();
    let source = Source::SelfSigned { directory: directory.path().into(), hostname: "mx.example.net".into() };
    let clock = Clock::simulated(Timestamp::from_secs(1_700_000_000));
    let server = Server::new(source, clock.clone()).unwrap();
    let certificate = directory.path().join("cert.pem");
    let client = Client::verified(Some(&certificate), clock.clone()).unwrap();
    let (near, _) = handshake(sim_pair().await, &client, &server, "mx.example.net").await;
    near.unwrap();
    clock.step_wall(11 * 366 * 86_400);
    let (near, _) = handshake(sim_pair().await, &client, &server, "mx.example.net").await;
    let error = near.unwrap_err();
    assert!(matches!(error, HandshakeError::Certificate(_)) && error.to_string().contains("xpired"), "{error}");
}

#[tokio::test]
async fn a_reload_changes_new_handshakes_and_leaves_open_sessions_alone() {
    let (server, directory) = own_server();
    let old = directory.path().join("old.pem");
    std::fs::copy(directory.path().join("cert.pem"), &old).unwrap();
    let (near, far) = handshake(tcp_pair().await, &trusting(&old), &server, "mx.example.net").await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());

    std::fs::remove_file(directory.path().join("cert.pem")).unwrap();
    server.reload().unwrap();
    let new = directory.path().join("cert.pem");
    let (fresh, _) = handshake(tcp_pair().await, &trusting(&new), &server, "mx.example.net").await;
    fresh.unwrap();
    let (stale, _) = handshake(tcp_pair().await, &trusting(&old), &server, "mx.example.net").await;
    assert!(matches!(stale.unwrap_err(), HandshakeError::Certificate(_)));

    near.write_whole(b"still here").await.unwrap();
    let mut buffer = [0; 10];
    far.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"still here");

    // A reload that fails changes nothing.
    std::fs::write(&new, "rubbish").unwrap();
    let error = server.reload().unwrap_err();
    assert!(error.to_string().contains("cert.pem"), "{error}");
    let any = Client::opportunistic(Clock::system()).unwrap();
    let (near, _) = handshake(tcp_pair().await, &any, &server, "mx.example.net").await;
    near.unwrap();
}

/// A client of rustls' own, to say what ours never would.
pub(crate) fn rustls_client(
    versions: &[&'static rustls::SupportedProtocolVersion],
    protocols: &[&str],
    certificate: &Path,
) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

async fn rustls_handshake(
    config: &Arc<rustls::ClientConfig>,
    server: &Server,
) -> (std::io::Result<Option<rustls::HandshakeKind>>, Result<Stream, HandshakeError>) {
    let (client_end, server_end) = sim_pair().await;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
    let name = rustls::pki_types::ServerName::try_from("mx.example.net").unwrap();
    let client = async {
        let mut stream = connector.connect(name, client_end).await?;
        // Tickets of TLS 1.3 come after the handshake: read up to the first byte.
        stream.read_exact(&mut [0]).await?;
        Ok(stream.get_ref().1.handshake_kind())
    };
    let serve = async {
        let mut stream = server_end.start_tls_server(server).await?;
        stream.write_whole(b"2").await.unwrap();
        Ok(stream)
    };
    tokio::join!(client, serve)
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let (server, directory) = own_server();
    let client = rustls_client(&[&rustls::version::TLS12], &[], &directory.path().join("cert.pem"));
    let (near, far) = rustls_handshake(&client, &server).await;
    near.unwrap();
    let summary = far.unwrap().tls().unwrap();
    assert_eq!(summary.version, "TLSv1.2");
    assert!(summary.cipher.starts_with("TLS_ECDHE_ECDSA_WITH_"), "{}", summary.cipher);
}

#[tokio::test]
async fn a_client_that_wants_another_protocol_is_refused() {
    let (server, directory) = own_server();
    let certificate = directory.path().join("cert.pem");
    for (protocols, taken) in
        [(&["http/1.1", "h2"][..], false), (&["smtp"], true), (&["h2", "esmtp"], true), (&[], true)]
    {
        let client = rustls_client(rustls::ALL_VERSIONS, protocols, &certificate);
        let (near, far) = rustls_handshake(&client, &server).await;
        assert_eq!((near.is_ok(), far.is_ok()), (taken, taken), "{protocols:?}");
        if let Err(error) = far {
            assert!(matches!(error, HandshakeError::Incompatible(_)), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_session_is_resumed_on_its_own_service_only() {
    let (server, directory) = own_server();
    let source = Source::SelfSigned { directory: directory.path().into(), hostname: "mx.example.net".into() };
    let other = Server::new(source, Clock::system()).unwrap();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = rustls_client(&[version], &[], &directory.path().join("cert.pem"));
        let kind = async |server: &Server| rustls_handshake(&client, server).await.0.unwrap().unwrap();
        assert_eq!(kind(&server).await, rustls::HandshakeKind::Full);
        assert_eq!(kind(&server).await, rustls::HandshakeKind::Resumed);
        // With the ticket of the other service, both must start anew.
        assert_ne!(kind(&other).await, rustls::HandshakeKind::Resumed);
        assert_eq!(kind(&other).await, rustls::HandshakeKind::Resumed);
        server.reload().unwrap();
        assert_ne!(kind(&server).await, rustls::HandshakeKind::Resumed);
        assert_eq!(kind(&server).await, rustls::HandshakeKind::Resumed);
    }
}

#[tokio::test]
async fn our_client_resumes() {
    let (server, _directory) = own_server();
    let (client, apart) =
        (Client::opportunistic(Clock::system()).unwrap(), Client::opportunistic(Clock::system()).unwrap());
    for (client, name, resumed) in [
        (&client, "mx.example.net", false),
        (&client, "mx.example.net", true),
        (&client.clone(), "mx.example.net", true),
        (&client, "other.example", false),
        (&apart, "mx.example.net", false),
    ] {
        let (near, far) = handshake(sim_pair().await, client, &server, name).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        far.write_whole(b"2").await.unwrap();
        near.read_exact(&mut [0]).await.unwrap();
        assert_eq!((near.is_resumed(), far.is_resumed()), (resumed, resumed), "{name}");
    }
}

/// The runtime gives a task so many reads in one turn and then refuses until it lets others run. Waiting by `readable`
/// lets them: else a loop of the two would turn for ever.
#[tokio::test]
async fn a_task_that_has_read_its_share_goes_on_reading() {
    const VAIN_MAX: usize = 100;
    let (server, _directory) = own_server();
    let client = Client::opportunistic(Clock::system()).unwrap();
    let (near, far) = handshake(tcp_pair().await, &client, &server, "mx.example.net").await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    near.write_whole(b"QUIT\r\n").await.unwrap();
    far.readable().await.unwrap();
    while tokio::task::coop::has_budget_remaining() {
        tokio::task::consume_budget().await;
    }
    let mut buffer = [0; 100];
    for _ in 0..VAIN_MAX {
        far.readable().await.unwrap();
        match far.try_read(&mut buffer) {
            Ok(count) => {
                assert_eq!(&buffer[..count], b"QUIT\r\n");
                return;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    panic!("it turns in vain");
}
