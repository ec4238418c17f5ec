//! One connection of a client that waits for each reply.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use socket2::{Domain, Socket, Type};

use crate::{Failure, Letter, Peer};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection that has heard the banner.
pub(crate) struct Client {
    stream: Stream,
    /// Octets of replies that were not looked at yet.
    heard: Vec<u8>,
}

/// Where a connection comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// From whatever address the system takes.
    Any,
    /// From this address of ours.
    Bound(Ipv4Addr),
    /// From a proxy that says it is for this client.
    Proxied(Ipv4Addr),
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// How to speak TLS with that peer; nothing when it is spoken to in the clear.
pub(crate) fn tls(peer: &Peer) -> Result<Option<Arc<ClientConfig>>, Failure> {
    if !peer.tls {
        return Ok(None);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    if !peer.resume {
        config.resumption = Resumption::disabled();
    }
    Ok(Some(Arc::new(config)))
}

impl Client {
    pub(crate) fn connect(to: SocketAddr, origin: Origin, tls: Option<&Arc<ClientConfig>>) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        if let Origin::Bound(from) = origin {
            socket.bind(&SocketAddr::from((from, 0)).into())?;
        }
        socket.connect(&to.into())?;
        let mut socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        if let Origin::Proxied(from) = origin {
            // The PROXY protocol, version 1.
            socket.write_all(format!("PROXY TCP4 {from} 192.0.2.25 4096 25\r\n").as_bytes())?;
        }
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(config) => {
                let name = ServerName::try_from("mx.example.net")?;
                let session = ClientConnection::new(Arc::clone(config), name)?;
                Stream::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        let mut client = Self { stream, heard: Vec::new() };
        client.reply(220)?;
        Ok(client)
    }

    pub(crate) fn ehlo(&mut self) -> Result<(), Failure> {
        self.say(b"EHLO client.example\r\n", 250)
    }

    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> Result<(), Failure> {
        let secret = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        self.say(format!("AUTH PLAIN {secret}\r\n").as_bytes(), 235)
    }

    /// Everything of a message but its content.
    pub(crate) fn envelope(&mut self, letter: &Letter) -> Result<(), Failure> {
        self.say(format!("MAIL FROM:<{}>\r\n", letter.from).as_bytes(), 250)?;
        self.say(format!("RCPT TO:<{}>\r\n", letter.to).as_bytes(), 250)?;
        self.say(b"DATA\r\n", 354)
    }

    /// The content with its dot, until it is taken.
    pub(crate) fn content(&mut self, content: &[u8]) -> Result<(), Failure> {
        self.say(content, 250)
    }

    pub(crate) fn quit(mut self) -> Result<(), Failure> {
        self.say(b"QUIT\r\n", 221)
    }

    fn say(&mut self, octets: &[u8], expected: u16) -> Result<(), Failure> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets)?,
            Stream::Tls(stream) => stream.write_all(octets)?,
        }
        self.reply(expected)
    }

    fn reply(&mut self, expected: u16) -> Result<(), Failure> {
        loop {
            if let Some(end) = self.heard.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                if line.get(3) == Some(&b'-') {
                    continue;
                }
                if !line.starts_with(expected.to_string().as_bytes()) {
                    return Err(format!("expected {expected}, heard {}", String::from_utf8_lossy(&line)).into());
                }
                return Ok(());
            }
            let mut buffer = [0; 1024];
            let count = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut buffer)?,
                Stream::Tls(stream) => stream.read(&mut buffer)?,
            };
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.heard.extend_from_slice(&buffer[..count]);
        }
    }
}

/// Believes every certificate; signatures are checked, which is what a client's work costs.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
