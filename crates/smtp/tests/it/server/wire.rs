//! Running a conversation over TCP and TLS, with the smallest driver that can be written.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::pki_types::ServerName;
use smtp::server::{Session, Settings, TlsOffer};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    desk::{Act, Desk, session, some_instant},
    script::{Script, Step},
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
    if script.settings.tls != TlsOffer::Established {
        runtime.block_on(run(script, script.settings.clone()));
    }
    if script.settings.tls != TlsOffer::StartTls && !script.clear_text {
        let implicit = Settings { tls: TlsOffer::Established, ..Settings::clone(&script.settings) };
        runtime.block_on(run(script, Arc::new(implicit)));
    }
}

async fn run(script: &Script, settings: Arc<Settings>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let desk = Arc::new(Mutex::new(Desk::new(&script.rules)));
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        serve(Box::new(stream), &settings, &desk).await;
    };
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut io: Box<dyn Io> = Box::new(stream);
        if settings.tls == TlsOffer::Established {
            io = connect_tls(io).await;
        }
        converse(BufStream::new(io), script, &desk).await;
    };
    timeout(PATIENCE, async { tokio::join!(server, client) }).await.expect("the conversation ends");
}

/// The driver.
async fn serve(mut io: Box<dyn Io>, settings: &Arc<Settings>, desk: &Mutex<Desk>) {
    let mut session = session(settings, some_instant());
    if settings.tls == TlsOffer::Established {
        io = Box::new(tls().0.accept(io).await.unwrap());
        session.handle_tls(summary(), some_instant());
    }
    loop {
        if let Some(open) = act(io, &mut session, desk).await {
            io = open;
        } else {
            return;
        }
        let mut buffer = [0; BUFFER];
        match io.read(&mut buffer).await {
            Ok(0) | Err(_) => session.handle_eof(some_instant()),
            Ok(octets) => session.handle_input(&buffer[..octets], some_instant()),
        }
    }
}

/// Does what the session wants done. Nothing when that was to close.
async fn act(mut io: Box<dyn Io>, session: &mut Session, desk: &Mutex<Desk>) -> Option<Box<dyn Io>> {
    loop {
        let next = desk.lock().unwrap().poll(session, some_instant());
        match next {
            None => return Some(io),
            // The client may be gone already: the next read tells.
            Some(Act::Write) => drop(io.write_all(&session.take_write()).await),
            Some(Act::StartTls) => {
                io.flush().await.unwrap();
                io = Box::new(tls().0.accept(io).await.unwrap());
                session.handle_tls(summary(), some_instant());
            }
            Some(Act::Close) => {
                drop(io.shutdown().await);
                return None;
            }
        }
    }
}

/// The client.
async fn converse(mut io: BufStream<Box<dyn Io>>, script: &Script, desk: &Mutex<Desk>) {
    let mut seen = 0;
    for step in &script.steps {
        match step {
            Step::Client(octets) => {
                io.write_all(octets).await.unwrap();
                io.flush().await.unwrap();
            }
            Step::Line(expected) => {
                let said = line(&mut io).await;
                assert!(matches(expected, &said), "{said:?} at {step:?}");
            }
            Step::Reply(code) => loop {
                let said = line(&mut io).await;
                assert_eq!(said.get(..3), Some(code.as_str()), "{said:?} at {step:?}");
                if said.get(3..4) == Some(" ") {
                    break;
                }
            },
            Step::StartTls => io = BufStream::new(connect_tls(io.into_inner()).await),
            Step::Eof => io.shutdown().await.unwrap(),
            Step::Closed => assert_eq!(io.read(&mut [0]).await.unwrap_or(0), 0, "open at {step:?}"),
            Step::Message(expected) => {
                assert_eq!(desk.lock().unwrap().accepted.get(seen), Some(expected));
                seen += 1;
            }
            Step::NoMessage => assert_eq!(desk.lock().unwrap().accepted.len(), seen),
            Step::Wait(_) | Step::Shutdown => panic!("not over a wire: {step:?}"),
        }
    }
}

async fn line(io: &mut BufStream<Box<dyn Io>>) -> String {
    let mut said = String::new();
    io.read_line(&mut said).await.unwrap();
    said.strip_suffix("\r\n").unwrap_or_else(|| panic!("not a line: {said:?}")).to_owned()
}

async fn connect_tls(io: Box<dyn Io>) -> Box<dyn Io> {
    let name = ServerName::try_from("mx.example").unwrap();
    Box::new(tls().1.connect(name, io).await.unwrap())
}
