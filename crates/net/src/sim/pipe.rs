//! The two ends of a connection in memory.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice, Read},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes under way in one direction before the writer must wait.
const IN_FLIGHT_MAX: usize = 64 * 1024;

/// One end. Dropping it ends the stream for the other.
#[derive(Debug)]
pub(crate) struct Pipe {
    wires: Arc<Mutex<Wires>>,
    end: End,
    local: SocketAddr,
}

/// A hand on the connection from outside.
#[derive(Debug)]
pub(super) struct Cut(Weak<Mutex<Wires>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

#[derive(Debug, Default)]
struct Wires {
    to_client: Wire,
    to_server: Wire,
    /// Broken from outside: both ends get an error.
    cut: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Wire {
    bytes: VecDeque<u8>,
    /// The writer said that nothing more comes.
    finished: bool,
    /// Nobody will read.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    pub(super) fn pair(client: SocketAddr, server: SocketAddr) -> (Self, Self, Cut) {
        let wires = Arc::new(Mutex::new(Wires::default()));
        let cut = Cut(Arc::downgrade(&wires));
        let near = Self { wires: Arc::clone(&wires), end: End::Client, local: client };
        let far = Self { wires, end: End::Server, local: server };
        (near, far, cut)
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits for bytes, the end or the break.
    pub(crate) async fn readable(&self) {
        poll_fn(|cx| {
            let mut wires = self.lock();
            let cut = wires.cut;
            let incoming = wires.incoming(self.end);
            if cut || incoming.finished || !incoming.bytes.is_empty() {
                return Poll::Ready(());
            }
            incoming.reader = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wires = self.lock();
        if wires.cut {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let incoming = wires.incoming(self.end);
        if incoming.bytes.is_empty() && !incoming.finished {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = incoming.bytes.read(buffer)?;
        wake(&mut incoming.writer);
        Ok(read)
    }

    fn lock(&self) -> MutexGuard<'_, Wires> {
        self.wires.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cut {
    pub(super) fn cut(&self) {
        if let Some(wires) = self.0.upgrade() {
            let mut wires = wires.lock().unwrap_or_else(PoisonError::into_inner);
            wires.cut = true;
            wires.wake_all();
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.upgrade().is_some_and(|wires| !wires.lock().unwrap_or_else(PoisonError::into_inner).cut)
    }
}

impl Wires {
    fn incoming(&mut self, end: End) -> &mut Wire {
        match end {
            End::Client => &mut self.to_client,
            End::Server => &mut self.to_server,
        }
    }

    fn outgoing(&mut self, end: End) -> &mut Wire {
        match end {
            End::Client => &mut self.to_server,
            End::Server => &mut self.to_client,
        }
    }

    fn wake_all(&mut self) {
        for wire in [&mut self.to_client, &mut self.to_server] {
            wake(&mut wire.reader);
            wake(&mut wire.writer);
        }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.try_read(buffer.initialize_unfilled()) {
            Ok(read) => {
                buffer.advance(read);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut wires = self.lock();
                wires.incoming(self.end).reader = Some(cx.waker().clone());
                // What came between the two locks would wake nobody.
                let incoming = wires.incoming(self.end);
                if !incoming.bytes.is_empty() || incoming.finished || wires.cut {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wires = self.lock();
        if wires.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let outgoing = wires.outgoing(self.end);
        if outgoing.unread || outgoing.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let before = outgoing.bytes.len();
        if before == IN_FLIGHT_MAX && parts.iter().any(|part| !part.is_empty()) {
            outgoing.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for part in parts {
            let room = IN_FLIGHT_MAX - outgoing.bytes.len();
            outgoing.bytes.extend(part.iter().take(room));
        }
        let taken = outgoing.bytes.len() - before;
        wake(&mut outgoing.reader);
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wires = self.lock();
        let outgoing = wires.outgoing(self.end);
        outgoing.finished = true;
        wake(&mut outgoing.reader);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut wires = self.lock();
        wires.outgoing(self.end).finished = true;
        wires.incoming(self.end).unread = true;
        wires.wake_all();
    }
}
