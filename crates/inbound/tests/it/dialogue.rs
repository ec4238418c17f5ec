//! Dialogues as RFCs write them: `C:` is said, `S:` is awaited.
//!
//! An `S:` line is the beginning of the last line of one whole reply, codes included. A `C:` line is sent with CRLF.

use std::net::SocketAddr;

use net::{Clock, Connector as _, Stream, TcpConnector, tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::PATIENCE;

pub(crate) struct Client {
    stream: Stream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let deadline = Clock::system().instant() + PATIENCE;
        Self::over(TcpConnector::new().connect(to, None, deadline).await.unwrap())
    }

    pub(crate) fn over(stream: Stream) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// Goes through a dialogue.
    pub(crate) async fn run(&mut self, dialogue: &str) {
        for line in dialogue.lines() {
            match line.split_at_checked(2) {
                Some(("C:", said)) => self.say(&format!("{}\r\n", said.strip_prefix(' ').unwrap_or(said))).await,
                Some(("S:", awaited)) => {
                    let reply = self.reply().await;
                    assert!(
                        reply.starts_with(awaited.trim_start()),
                        "awaited {awaited:?}, got {reply:?} in\n{dialogue}"
                    );
                }
                _ => panic!("neither C: nor S: {line:?}"),
            }
        }
    }

    pub(crate) async fn say(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_whole(octets.as_ref()).await.unwrap();
    }

    /// The last line of the next reply, or `closed`.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            let line = self.line().await;
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    /// The next line, or `closed`.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8(self.read.drain(..end + 2).collect()).unwrap();
                return line.trim_end().to_owned();
            }
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("a reply in time");
            match read {
                Ok(count) if count > 0 => self.read.extend_from_slice(&buffer[..count]),
                _ => return "closed".into(),
            }
        }
    }

    /// The client's side of TLS.
    pub(crate) async fn start_tls(self, clock: &Clock) -> Self {
        let client = tls::Client::opportunistic(clock.clone()).unwrap();
        Self::over(self.stream.start_tls_client(&client, "mx.ours.example").await.unwrap())
    }

    /// Says no more.
    pub(crate) async fn hang_up(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}
