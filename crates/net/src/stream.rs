//! One connection, whatever it runs over: TCP or the simulated internet, plain or under TLS.
//!
//! An idle connection should hold no read buffer: wait with [`Stream::readable`], then take a buffer from wherever and
//! call [`Stream::try_read`]. Whole messages are written in one system call with [`Stream::write_whole`]; Nagle's
//! algorithm is off (TCP_NODELAY), so what is written in pieces is also sent in pieces.

mod transport;

use std::{
    fmt,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use mail::TlsSummary;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsStream;

pub(crate) use self::transport::Transport;
use crate::tls::{self, HandshakeError};

/// A connection.
pub struct Stream {
    layer: Layer,
    peer: SocketAddr,
}

enum Layer {
    Plain(Transport),
    /// On the heap: a TLS session is ten times the size of a plain connection.
    Tls(Box<TlsStream<Transport>>),
}

impl Stream {
    pub(crate) fn new(transport: Transport, peer: SocketAddr) -> Self {
        Self { layer: Layer::Plain(transport), peer }
    }

    /// The other end, as it was when the connection was made.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Our end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.transport().local_addr()
    }

    /// What the TLS handshake agreed on; nothing without TLS.
    pub fn tls(&self) -> Option<TlsSummary> {
        match &self.layer {
            Layer::Plain(_) => None,
            Layer::Tls(stream) => Some(tls::summary(stream.get_ref().1)),
        }
    }

    /// Whether the TLS session was taken up from an earlier connection.
    pub fn is_resumed(&self) -> bool {
        match &self.layer {
            Layer::Plain(_) => false,
            Layer::Tls(stream) => stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        }
    }

    /// Waits until [`Stream::try_read`] is worth a call: there are bytes, the end, or an error. Cancel-safe.
    pub async fn readable(&self) -> io::Result<()> {
        // A task that has read its share gets nothing more from TLS until it lets others run: a loop of reading and
        // waiting would turn for ever without doing either.
        tokio::task::consume_budget().await;
        if let Layer::Tls(stream) = &self.layer
            && !stream.get_ref().1.wants_read()
        {
            // Deciphered bytes or the end are waiting inside the session.
            return Ok(());
        }
        self.transport().readable().await
    }

    /// Reads what is there without waiting. `Ok(0)` is the end of the stream (or an empty buffer); `WouldBlock` says
    /// that nothing is there yet, which under TLS may also follow a [`Stream::readable`]: a record was incomplete.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain(transport) => transport.try_read(buffer),
            Layer::Tls(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                // Nobody is to be woken: the caller goes back to `readable`.
                let mut context = Context::from_waker(Waker::noop());
                match Pin::new(stream.as_mut()).poll_read(&mut context, &mut buffer) {
                    Poll::Ready(Ok(())) => Ok(buffer.filled().len()),
                    Poll::Ready(Err(error)) => Err(error),
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }

    /// Writes all bytes and sees them handed to the network.
    pub async fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }

    /// Writes all parts, as few system calls as can be, and sees them handed to the network. `parts` is used up.
    pub async fn write_whole_vectored(&mut self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let written = self.write_vectored(parts).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut parts, written);
        }
        self.flush().await
    }

    /// Does the server's side of a TLS handshake. The caller bounds it by a deadline; a stream dropped in the middle,
    /// or after an error, is closed. Whatever the client sent before this call in clear text must have been thrown
    /// away by the caller (RFC 3207 §4.2).
    pub async fn start_tls_server(self, server: &tls::Server) -> Result<Self, HandshakeError> {
        let peer = self.peer;
        let transport = self.into_transport()?;
        // Boxed, so that the session does not swell the caller's future for the life of the connection.
        let stream = Box::pin(server.acceptor().accept(transport)).await.map_err(HandshakeError::from_io)?;
        Ok(Self { layer: Layer::Tls(Box::new(stream.into())), peer })
    }

    /// Does the client's side of a TLS handshake with the server of that name: the MX host, not the mail domain.
    pub async fn start_tls_client(self, client: &tls::Client, server_name: &str) -> Result<Self, HandshakeError> {
        let peer = self.peer;
        let (connector, name) = client.connector(server_name)?;
        let transport = self.into_transport()?;
        let stream = Box::pin(connector.connect(name, transport)).await.map_err(HandshakeError::from_io)?;
        Ok(Self { layer: Layer::Tls(Box::new(stream.into())), peer })
    }

    fn transport(&self) -> &Transport {
        match &self.layer {
            Layer::Plain(transport) => transport,
            Layer::Tls(stream) => stream.get_ref().0,
        }
    }

    fn into_transport(self) -> Result<Transport, HandshakeError> {
        match self.layer {
            Layer::Plain(transport) => Ok(transport),
            Layer::Tls(_) => Err(HandshakeError::AlreadyTls),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("peer", &self.peer).field("tls", &self.tls()).finish()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(transport) => Pin::new(transport).poll_read(cx, buffer),
            Layer::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.layer {
            Layer::Plain(transport) => Pin::new(transport).poll_write(cx, bytes),
            Layer::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.layer {
            Layer::Plain(transport) => Pin::new(transport).poll_write_vectored(cx, parts),
            Layer::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(transport) => Pin::new(transport).poll_flush(cx),
            Layer::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    /// Under TLS this says close_notify first.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.layer {
            Layer::Plain(transport) => Pin::new(transport).poll_shutdown(cx),
            Layer::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
