//! Running a conversation over TCP and TLS: the smallest driver that can be written, and a server that reads its part
//! from the script.

use std::{collections::VecDeque, net::Ipv4Addr, sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use smtp::client::{Output, Session, Settings, TlsWish};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    pure::some_instant,
    script::{NONCE, Order, Script, Step, told},
};
use crate::{
    notation::matches,
    tls::{Io, summary, tls},
};

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const BUFFER: usize = 16 * 1024;

pub(super) fn check(script: &Script) {
    if !script.wire {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if script.settings.tls != TlsWish::Established {
        runtime.block_on(run(script, &script.settings));
    }
    let starts_tls = script.steps.iter().any(|step| matches!(step, Step::Client(said) if said == b"STARTTLS\r\n"));
    if !starts_tls && !script.clear_text {
        let established = Settings { tls: TlsWish::Established, ..Settings::clone(&script.settings) };
        runtime.block_on(run(script, &Arc::new(established)));
    }
}

async fn run(script: &Script, settings: &Arc<Settings>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut io: Box<dyn Io> = Box::new(stream);
        if settings.tls == TlsWish::Established {
            io = Box::new(tls().0.accept(io).await.unwrap());
        }
        serve(io, script).await;
    };
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        Driver::new(script, settings).run(Box::new(stream)).await
    };
    let ((), told) = timeout(PATIENCE, async { tokio::join!(server, client) }).await.expect("the conversation ends");
    let expected = script.steps.iter().filter_map(|step| match step {
        Step::Told(line) => Some(line.as_str()),
        _ => None,
    });
    let expected: Vec<_> = expected.collect();
    let same = expected.len() == told.len() && expected.iter().zip(&told).all(|(line, told)| matches(line, told));
    assert!(same, "expected {expected:#?}, got {told:#?}");
}

/// The server: says its lines, and hears the client's.
async fn serve(mut io: Box<dyn Io>, script: &Script) {
    for step in &script.steps {
        match step {
            // The client may have given up already; what it was told shows whether it may.
            Step::Server(octets) => {
                drop(io.write_all(octets).await);
                drop(io.flush().await);
            }
            Step::Client(expected) => {
                let mut said = vec![0; expected.len()];
                io.read_exact(&mut said).await.unwrap_or_else(|error| panic!("{error} at {step:?}"));
                assert_eq!(String::from_utf8_lossy(&said), String::from_utf8_lossy(expected));
            }
            Step::StartTls => io = Box::new(tls().0.accept(io).await.unwrap()),
            Step::Eof => drop(io.shutdown().await),
            Step::Closed => assert_eq!(io.read(&mut [0]).await.unwrap_or(0), 0, "open at {step:?}"),
            Step::Start(_) | Step::Quit | Step::Told(_) => {}
            Step::Wait(_) | Step::TlsFails(_) => panic!("not over a wire: {step:?}"),
        }
    }
    // What the client has not read is lost when a socket is closed that holds unread octets.
    drop(io.shutdown().await);
    drop(io.read_to_end(&mut Vec::new()).await);
}

/// The driver.
struct Driver {
    session: Session,
    /// Transactions to come, and whether to quit behind them.
    orders: VecDeque<Order>,
    quit: bool,
    pieces: VecDeque<Vec<u8>>,
    told: Vec<String>,
}

impl Driver {
    fn new(script: &Script, settings: &Arc<Settings>) -> Self {
        let orders = script.steps.iter().filter_map(|step| match step {
            Step::Start(order) => Some(order.clone()),
            _ => None,
        });
        Self {
            session: Session::new(settings.clone(), NONCE.into(), some_instant()),
            orders: orders.collect(),
            quit: script.steps.iter().any(|step| matches!(step, Step::Quit)),
            pieces: VecDeque::new(),
            told: Vec::new(),
        }
    }

    /// Runs to the end; returns what it was told.
    async fn run(mut self, mut io: Box<dyn Io>) -> Vec<String> {
        if self.session.stage() == mail::Stage::Banner && self.is_established() {
            io = connect_tls(io).await;
            self.session.handle_tls(summary(), some_instant());
        }
        while let Some(open) = self.act(io).await {
            io = open;
            let mut buffer = [0; BUFFER];
            match io.read(&mut buffer).await {
                Ok(0) | Err(_) => self.session.handle_eof(some_instant()),
                Ok(octets) => self.session.handle_input(&buffer[..octets], some_instant()),
            }
        }
        self.told
    }

    fn is_established(&self) -> bool {
        self.session.settings().tls == TlsWish::Established
    }

    /// Does what the session wants done. Nothing when that was to close, or all is done.
    async fn act(&mut self, mut io: Box<dyn Io>) -> Option<Box<dyn Io>> {
        while let Some(output) = self.session.poll_output() {
            self.told.extend(told(&output));
            match output {
                // The server may be gone already: the next read tells.
                Output::Write => {
                    drop(io.write_all(&self.session.take_write()).await);
                    drop(io.flush().await);
                }
                Output::StartTls => {
                    io = connect_tls(io).await;
                    self.session.handle_tls(summary(), some_instant());
                }
                Output::Ready => self.next(),
                Output::Done(report) if report.reusable => self.next(),
                Output::NeedContent => match self.pieces.pop_front() {
                    Some(piece) => self.session.content(&piece, some_instant()),
                    None => self.session.content_end(some_instant()),
                },
                Output::Close => {
                    drop(io.shutdown().await);
                    return None;
                }
                Output::Done(_) | Output::Failed(_) => {}
            }
        }
        Some(io)
    }

    fn next(&mut self) {
        match self.orders.pop_front() {
            Some(order) => {
                self.pieces = order.pieces.into();
                self.session.start(order.transaction, some_instant());
            }
            None if self.quit => self.session.quit(some_instant()),
            None => {}
        }
    }
}

async fn connect_tls(io: Box<dyn Io>) -> Box<dyn Io> {
    let name = ServerName::try_from("mx.example").unwrap();
    Box::new(tls().1.connect(name, io).await.unwrap())
}
