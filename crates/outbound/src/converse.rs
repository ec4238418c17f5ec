//! One connection and the client's session on it: a dull loop that carries bytes and decides nothing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mail::{Stage, Transcript};
use net::{Clock, Stream, Timer, tls};
use smtp::client::{Cause, Failure, Output, Report, Session, Transaction};
use spool::{Content, SpoolError};

/// Octets read at once. Replies are short.
const READ_BUFFER: usize = 4 * 1024;

/// A connection under a session.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// Nothing once a handshake has failed.
    stream: Option<Stream>,
    session: Session,
    clock: Clock,
    timer: Timer,
    buffer: Box<[u8; READ_BUFFER]>,
}

/// How TLS is done when the session asks for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake<'a> {
    pub(crate) client: &'a tls::Client,
    /// The name to prove.
    pub(crate) name: &'a str,
    pub(crate) wait: Duration,
}

/// Where a conversation has got to.
#[derive(Debug)]
pub(crate) enum Reached {
    /// A transaction can be started.
    Ready,
    /// The transaction is over.
    Done(Report),
    /// The connection is of no use.
    Failed(Failure),
    /// Nothing more will be said.
    Closed,
}

/// What is fed as content.
#[derive(Debug)]
pub(crate) enum Feed {
    /// All of it, at hand.
    Whole(Option<Bytes>),
    /// Piece by piece.
    Pieces(Content),
}

impl Feed {
    async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        match self {
            Self::Whole(content) => Ok(content.take()),
            Self::Pieces(content) => content.read().await,
        }
    }
}

impl Conversation {
    pub(crate) fn new(stream: Stream, session: Session, clock: Clock) -> Self {
        let timer = clock.timer();
        Self { stream: Some(stream), session, clock, timer, buffer: Box::new([0; READ_BUFFER]) }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Our end's address.
    pub(crate) fn source(&self) -> Option<String> {
        let address = self.stream.as_ref()?.local_addr().ok()?;
        Some(address.ip().to_string())
    }

    pub(crate) fn transcript(&self) -> Transcript {
        self.session.transcript()
    }

    /// TLS before the banner (RFC 8314).
    pub(crate) async fn protect(&mut self, handshake: Handshake<'_>) {
        self.start_tls(handshake).await;
    }

    /// Greets: banner, EHLO, TLS and AUTH.
    pub(crate) async fn greet(&mut self, handshake: Handshake<'_>) -> Reached {
        self.advance(Some(handshake), None).await
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, transaction: Transaction, mut content: Feed) -> Reached {
        self.session.start(transaction, self.clock.instant());
        self.advance(None, Some(&mut content)).await
    }

    /// Takes leave.
    pub(crate) async fn quit(&mut self) {
        self.session.quit(self.clock.instant());
        // Whatever the server says to QUIT, the mail is settled.
        while !matches!(self.advance(None, None).await, Reached::Closed) {}
    }

    /// Waits until the server says something or goes, which between transactions means that it is over; false when it
    /// was nothing (TLS has records of its own).
    pub(crate) async fn is_over(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return true };
        if stream.readable().await.is_err() {
            return true;
        }
        match stream.try_read(self.buffer.as_mut_slice()) {
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    }

    async fn advance(&mut self, handshake: Option<Handshake<'_>>, mut content: Option<&mut Feed>) -> Reached {
        loop {
            match self.session.poll_output() {
                Some(Output::Write) => self.write().await,
                Some(Output::NeedContent) => self.feed(content.as_deref_mut()).await,
                Some(Output::StartTls) => match handshake {
                    Some(handshake) => self.start_tls(handshake).await,
                    None => self.session.handle_tls_failed("TLS is not expected here", self.clock.instant()),
                },
                Some(Output::Ready) => return Reached::Ready,
                Some(Output::Done(report)) => return Reached::Done(report),
                Some(Output::Failed(failure)) => return Reached::Failed(failure),
                Some(Output::Close) => {
                    self.stream = None;
                    return Reached::Closed;
                }
                None if self.stream.is_none() => return Reached::Closed,
                None => self.read().await,
            }
        }
    }

    async fn write(&mut self) {
        let bytes = self.session.take_write();
        self.timer.set(self.session.poll_timeout());
        let Some(stream) = &mut self.stream else { return self.session.handle_eof(self.clock.instant()) };
        let written = tokio::select! {
            biased;
            written = stream.write_whole(&bytes) => Some(written),
            () = self.timer.fired() => None,
        };
        let now = self.clock.instant();
        match written {
            Some(Ok(())) => {}
            // What the server said before it hung up is still to be read.
            Some(Err(_)) => self.read_last(now).await,
            None => self.session.handle_timeout(now),
        }
    }

    /// Reads what came before the connection broke, so that a refusal behind a reset is heard.
    async fn read_last(&mut self, now: Instant) {
        if let Some(stream) = &mut self.stream
            && let Ok(count @ 1..) = stream.try_read(self.buffer.as_mut_slice())
        {
            self.session.handle_input(self.buffer.get(..count).unwrap_or_default(), now);
        }
        self.session.handle_eof(now);
    }

    async fn read(&mut self) {
        self.timer.set(self.session.poll_timeout());
        let Some(stream) = &mut self.stream else { return };
        let readable = tokio::select! {
            biased;
            readable = stream.readable() => Some(readable),
            () = self.timer.fired() => None,
        };
        let Some(readable) = readable else {
            return self.session.handle_timeout(self.clock.instant());
        };
        let read = match readable {
            Ok(()) => stream.try_read(self.buffer.as_mut_slice()),
            Err(error) => Err(error),
        };
        let now = self.clock.instant();
        match read {
            Ok(0) => self.session.handle_eof(now),
            Ok(count) => self.session.handle_input(self.buffer.get(..count).unwrap_or_default(), now),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => self.session.handle_eof(now),
        }
    }

    async fn feed(&mut self, content: Option<&mut Feed>) {
        let piece = match content {
            Some(content) => content.next().await,
            None => Ok(None),
        };
        let now = self.clock.instant();
        match piece {
            Ok(Some(piece)) => self.session.content(&piece, now),
            Ok(None) => self.session.content_end(now),
            Err(error) => {
                tracing::error!(%error, "the content of a message cannot be read");
                self.session.content_failed("the content cannot be read", now);
            }
        }
    }

    async fn start_tls(&mut self, handshake: Handshake<'_>) {
        let Some(stream) = self.stream.take() else {
            return self.session.handle_eof(self.clock.instant());
        };
        let shaken =
            self.clock.timeout(handshake.wait, stream.start_tls_client(handshake.client, handshake.name)).await;
        let now = self.clock.instant();
        match shaken {
            Ok(Ok(stream)) => {
                let summary = stream.tls();
                self.stream = Some(stream);
                match summary {
                    Some(summary) => self.session.handle_tls(summary, now),
                    None => self.session.handle_tls_failed("no TLS after the handshake", now),
                }
            }
            Ok(Err(error)) => self.session.handle_tls_failed(error.to_string(), now),
            Err(_) => self.session.handle_tls_failed("no end of the TLS handshake in time", now),
        }
    }
}

/// The stage and words of a failure without a reply.
pub(crate) fn words(failure: &Failure) -> (Stage, String) {
    let stage = if failure.cause == Cause::Tls { Stage::Tls } else { failure.stage };
    (stage, failure.text.clone())
}
