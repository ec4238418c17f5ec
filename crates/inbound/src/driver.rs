//! Moves octets between a connection and its session, and decides nothing.
//!
//! An idle connection holds no buffer: the driver waits until something can be read and takes a buffer from the stack
//! for the moment of reading. Replies are written whole, each under a deadline.

use std::{
    io,
    net::SocketAddr,
    ops::ControlFlow,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use net::{Stream, tls};
use smtp::server::{Answer, Ask, Output, Session};
use tokio::io::AsyncWriteExt as _;

use crate::{
    Office,
    desk::Desk,
    gate::{self, guest::Guest},
    service::Current,
};

/// Octets read at once while commands are expected.
const COMMAND_BUFFER: usize = 4 * 1024;
/// Octets read of what a client says before it is greeted.
const EARLY_BUFFER: usize = 64;
/// Octets read at once while content is expected. The buffer is zeroed each time, which a larger one would feel.
const CONTENT_BUFFER: usize = 32 * 1024;
/// How long a connection that we close may go on sending: a reset would destroy our last words on their way.
const LINGER: Duration = Duration::from_secs(2);
/// Octets that are thrown away in that time.
const LINGER_OCTETS: usize = 1024 * 1024;

/// What a connection ended with, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As the two agreed, or by our decision.
    Closed,
    /// No handshake.
    Tls,
    /// The client did not read, or was gone.
    Unwritable,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Tls => "no TLS handshake",
            Self::Unwritable => "the client does not read",
        }
    }
}

/// Serves one connection to its end, and gives its place back then.
pub(crate) async fn serve(office: Arc<Office>, service: Arc<Current>, stream: Stream, guest: Guest) {
    let peer = guest.peer();
    let name = service.settings.name;
    let _counted = service.meters.connected();
    tracing::debug!(service = name, %peer, "connected");
    let end = converse(&office, &service, stream, guest).await;
    tracing::debug!(service = name, %peer, end = end.word(), "disconnected");
}

async fn converse(office: &Arc<Office>, service: &Arc<Current>, mut stream: Stream, guest: Guest) -> End {
    let peer = guest.peer();
    if let Some(server) = service.implicit_tls() {
        match handshake(office, service, stream, peer, server).await {
            Some(secured) => stream = secured,
            None => return End::Tls,
        }
    }
    let rules = if guest.is_named() { service.session(peer.ip()) } else { service.session_of_anybody() };
    let mut session = Session::new(rules, peer, office.clock.instant());
    if let Some(summary) = stream.tls() {
        session.handle_tls(summary, office.clock.instant());
    }
    let mut connection =
        Connection { office, service, desk: Desk::new(Arc::clone(office), Arc::clone(service), guest) };
    let mut timer = office.clock.timer();
    let mut stopped = pin!(office.tasks.cancelled());
    let mut stopping = false;
    loop {
        stream = match connection.outputs(&mut session, stream).await {
            ControlFlow::Continue(stream) => stream,
            ControlFlow::Break(end) => return end,
        };
        timer.set(connection.due(&mut session));
        tokio::select! {
            biased;
            ready = stream.readable(), if session.wants_input() => connection.input(&mut session, &mut stream, ready),
            () = &mut stopped, if !stopping => {
                stopping = true;
                session.handle_shutdown(office.clock.instant());
            }
            // It does nothing when the wait is not over yet.
            () = timer.fired() => session.handle_timeout(office.clock.instant()),
        }
    }
}

struct Connection<'a> {
    office: &'a Office,
    service: &'a Current,
    desk: Desk,
}

impl Connection<'_> {
    /// Does what the session wants until it wants nothing more.
    async fn outputs(&mut self, session: &mut Session, mut stream: Stream) -> ControlFlow<End, Stream> {
        while let Some(output) = session.poll_output() {
            match output {
                Output::Write => {
                    let pause = self.desk.watch(session);
                    if !pause.is_zero() {
                        Box::pin(slow_down(self.office, pause)).await;
                    }
                    let replies = session.take_write();
                    let wait = self.service.settings.session.deadlines.write;
                    let written = self.office.clock.timeout(wait, stream.write_whole(&replies)).await;
                    self.desk.log();
                    if !matches!(written, Ok(Ok(()))) {
                        return ControlFlow::Break(End::Unwritable);
                    }
                }
                Output::Ask(Ask::Connect { .. }) => {
                    if let Some(wait) = self.desk.pregreet_wait() {
                        Box::pin(self.listen_first(session, &mut stream, wait)).await;
                    }
                    session.answer(Answer::Go, self.office.clock.instant());
                }
                Output::Ask(ask) => {
                    let answer = self.desk.answer(ask, session).await;
                    session.answer(answer, self.office.clock.instant());
                }
                Output::Content(piece) => self.desk.content(piece).await,
                Output::Discard => self.desk.discard(),
                Output::StartTls => {
                    self.desk.forget();
                    let (office, service) = (self.office, self.service);
                    let Some(server) = service.settings.tls.server() else {
                        return ControlFlow::Break(End::Tls);
                    };
                    stream = match handshake(office, service, stream, self.desk.peer(), server).await {
                        Some(secured) => secured,
                        None => return ControlFlow::Break(End::Tls),
                    };
                    if let Some(summary) = stream.tls() {
                        session.handle_tls(summary, self.office.clock.instant());
                    }
                }
                Output::Close => {
                    close(self.office, stream).await;
                    return ControlFlow::Break(End::Closed);
                }
            }
        }
        ControlFlow::Continue(stream)
    }

    /// Listens whether the client speaks before it is greeted; what it says then is not kept. When the server stops it
    /// listens no longer.
    async fn listen_first(&mut self, session: &mut Session, stream: &mut Stream, wait: Duration) {
        let clock = &self.office.clock;
        let mut heard = [0; EARLY_BUFFER];
        let spoke = clock.timeout(wait, async {
            loop {
                let read = stream.readable().await.and_then(|()| stream.try_read(&mut heard));
                match read {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => return other,
                }
            }
        });
        let spoke = tokio::select! {
            biased;
            () = self.office.tasks.cancelled() => return session.handle_shutdown(clock.instant()),
            spoke = spoke => spoke,
        };
        match spoke {
            Err(_) => self.desk.remember_manners(),
            Ok(Ok(0) | Err(_)) => session.handle_eof(clock.instant()),
            Ok(Ok(count)) => {
                session.handle_input(heard.get(..count).unwrap_or_default(), clock.instant());
                self.desk.note_early_talker();
            }
        }
    }

    /// When to look at the session again. One that has begun no message is looked at more often: how long it may take
    /// depends on how hard it is for the server.
    fn due(&self, session: &mut Session) -> Option<Instant> {
        if session.is_proven() || !self.desk.is_watched() {
            return session.poll_timeout();
        }
        session.set_patience(Some(self.office.gate.patience(self.service.settings.session.deadlines.command)));
        let glance = self.office.clock.instant() + gate::GLANCE;
        session.poll_timeout().map(|due| due.min(glance))
    }

    /// Gives the session what can be read now.
    fn input(&self, session: &mut Session, stream: &mut Stream, ready: io::Result<()>) {
        let content = self.desk.is_receiving();
        let read = ready.and_then(|()| {
            if content {
                self.read::<CONTENT_BUFFER>(session, stream)
            } else {
                self.read::<COMMAND_BUFFER>(session, stream)
            }
        });
        // A connection that broke says nothing more, like one that was closed.
        if read.is_err() {
            session.handle_eof(self.office.clock.instant());
        }
    }

    fn read<const OCTETS: usize>(&self, session: &mut Session, stream: &mut Stream) -> io::Result<()> {
        let mut buffer = [0; OCTETS];
        match stream.try_read(&mut buffer) {
            Ok(0) => session.handle_eof(self.office.clock.instant()),
            Ok(count) => {
                session.handle_input(buffer.get(..count).unwrap_or_default(), self.office.clock.instant());
            }
            // Half a TLS record.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Lets a client wait for a reply, unless the server stops.
async fn slow_down(office: &Office, pause: Duration) {
    tokio::select! {
        biased;
        () = office.tasks.cancelled() => {}
        () = office.clock.sleep(pause) => {}
    }
}

/// The server's side of TLS, within the deadline for it and unless the server stops.
async fn handshake(
    office: &Office,
    service: &Current,
    stream: Stream,
    peer: SocketAddr,
    server: &tls::Server,
) -> Option<Stream> {
    let wait = service.settings.session.deadlines.banner;
    let outcome = tokio::select! {
        biased;
        done = office.clock.timeout(wait, stream.start_tls_server(server)) => done,
        () = office.tasks.cancelled() => return None,
    };
    let name = service.settings.name;
    match outcome {
        Ok(Ok(secured)) => {
            service.meters.handshake("ok");
            return Some(secured);
        }
        Ok(Err(error)) => tracing::info!(service = name, %peer, %error, "TLS handshake failed"),
        Err(_) => tracing::info!(service = name, %peer, "TLS handshake not finished in time"),
    }
    service.meters.handshake("failed");
    None
}

/// Closes our half, then reads for a moment what the client still sends, if it does.
async fn close(office: &Office, mut stream: Stream) {
    let closing = async {
        stream.shutdown().await?;
        let mut left = LINGER_OCTETS;
        while left > 0 {
            match throw_away(&mut stream) {
                Ok(0) => break,
                Ok(count) => left = left.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && left == LINGER_OCTETS => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
                Err(error) => return Err(error),
            }
        }
        io::Result::Ok(())
    };
    // Whatever goes wrong now, the connection is over.
    let _in_peace = matches!(office.clock.timeout(LINGER, closing).await, Ok(Ok(())));
}

fn throw_away(stream: &mut Stream) -> io::Result<usize> {
    stream.try_read(&mut [0; COMMAND_BUFFER])
}
