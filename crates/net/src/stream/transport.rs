//! What carries the bytes: a TCP socket or a pipe of the simulated internet.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

use crate::sim::Pipe;

#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Sim(Pipe),
}

impl Transport {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr(),
            Self::Sim(pipe) => Ok(pipe.local_addr()),
        }
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.readable().await,
            Self::Sim(pipe) => {
                pipe.readable().await;
                Ok(())
            }
        }
    }

    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => try_recv(socket, buffer),
            Self::Sim(pipe) => pipe.try_read(buffer),
        }
    }
}

/// Reads without waiting. A buffer that was not filled has drained the socket: that is told to the runtime, which saves
/// the system call that would find nothing. Bytes and ends that come in the meantime are not lost: the system reports
/// each arrival anew, and the runtime forgets only what it knew before this read.
fn try_recv(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    try_recv_by(socket, buffer, |buffer| Ok(rustix::net::recv(socket, buffer, rustix::net::RecvFlags::empty())?.0))
}

fn try_recv_by(
    socket: &TcpStream,
    buffer: &mut [u8],
    recv: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut drained = None;
    let read = socket.try_io(Interest::READABLE, || {
        let read = recv(&mut *buffer)?;
        if 0 < read && read < buffer.len() {
            drained = Some(read);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(read)
    });
    drained.map_or(read, Ok)
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Sim(pipe) => Pin::new(pipe).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Sim(pipe) => Pin::new(pipe).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Self::Sim(pipe) => Pin::new(pipe).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither holds anything back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Sim(pipe) => Pin::new(pipe).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, time::Duration};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, UnixStream},
        runtime::Handle,
    };

    use super::*;

    /// A read of which the system knows more by the time it is noted as drained: bytes came, and the runtime was told.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_comes_while_a_read_is_noted_is_not_forgotten() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        client.write_all(b"a").unwrap();
        socket.readable().await.unwrap();
        let mut buffer = [0; 64];
        let read = try_recv_by(&socket, &mut buffer, |buffer| {
            let (read, _) = rustix::net::recv(&socket, buffer, rustix::net::RecvFlags::empty())?;
            let twin = rustix::io::dup(&socket)?;
            client.write_all(b"b")?;
            tokio::task::block_in_place(|| Handle::current().block_on(reported(twin.into())));
            Ok(read)
        });
        assert_eq!((read.unwrap(), buffer[0]), (1, b'a'));
        tokio::time::timeout(Duration::from_secs(20), socket.readable()).await.expect("an arrival was lost").unwrap();
        assert_eq!((try_recv(&socket, &mut buffer).unwrap(), buffer[0]), (1, b'b'));
    }

    /// Waits until the runtime has passed on what the system reported about the socket of which this is a twin.
    async fn reported(twin: std::net::TcpStream) {
        TcpStream::from_std(twin).unwrap().readable().await.unwrap();
        // Reports of one round are passed on in any order: one of a later round comes after all of them.
        let (mut left, mut right) = UnixStream::pair().unwrap();
        left.write_all(b"x").await.unwrap();
        right.read_exact(&mut [0]).await.unwrap();
    }
}
