//! Filters that are none: programs on a simulated network that behave, hang, lie or die, and note what they were asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use inbound::{FilterKind, FilterSettings, Hook, OnFound, Shown};
use net::{Endpoint, Listener, Stream, sim::Internet, tasks::Tasks};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Barrier,
};

/// Octets that a fake reads before it breaks off in the middle.
const MIDDLE: usize = 40;

/// What it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tongue {
    Rspamd,
    ClamAv,
    Hook,
}

/// How it behaves.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Reads the question and answers with these octets, then closes.
    Answer(Vec<u8>),
    /// The same, when as many questions are there as the barrier waits for.
    Together(Arc<Barrier>, Vec<u8>),
    /// Never reads.
    Deaf,
    /// Reads everything and says nothing.
    Dumb,
    /// Closes at once.
    Closes,
    /// Reads a little and closes.
    ClosesInTheMiddle,
    /// Says this without listening, and keeps the connection.
    Babbles(Vec<u8>),
    /// Says this after the question, then goes on with the other for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// Says this after the question, one octet at a time, and never ends.
    Drips(Vec<u8>),
}

/// A fake under way.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    tongue: Tongue,
    tasks: Tasks,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Fake {
    pub(crate) fn start(internet: &Internet, tongue: Tongue, manner: Manner) -> Self {
        let listener = internet.listen("192.0.2.50:0".parse().unwrap()).unwrap();
        let fake = Self {
            address: listener.local_addr(),
            tongue,
            tasks: Tasks::new(),
            asked: Arc::default(),
            open: Arc::default(),
            most: Arc::default(),
        };
        fake.tasks.spawn("fake filter", fake.clone().serve(listener, manner));
        fake
    }

    /// A filter of that name that is here.
    pub(crate) fn settings(&self, name: &str) -> FilterSettings {
        let endpoint = Endpoint::Address(self.address);
        let kind = match self.tongue {
            Tongue::Rspamd => FilterKind::Rspamd(endpoint),
            Tongue::ClamAv => FilterKind::ClamAv { endpoint, on_found: OnFound::Reject },
            Tongue::Hook => FilterKind::Hook(Hook {
                endpoint,
                host: "hook.example".into(),
                path: "/filter".into(),
                shown: Shown::Whole,
            }),
        };
        FilterSettings::new(name, kind)
    }

    /// Every question so far: with its head over HTTP, the message for clamd.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|question| String::from_utf8_lossy(question).into_owned()).collect()
    }

    /// The only question.
    pub(crate) fn only(&self) -> String {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }

    /// Connections that were open at once.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    async fn serve(self, mut listener: Listener, manner: Manner) {
        loop {
            let (stream, _) = listener.accept().await;
            self.tasks.spawn("fake filter", self.clone().converse(stream, manner.clone()));
        }
    }

    async fn converse(self, stream: Stream, manner: Manner) {
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(open, Ordering::SeqCst);
        // Whatever it ends with, the other side is who is tested.
        let _ended = self.behave(stream, manner).await;
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    async fn behave(&self, mut stream: Stream, manner: Manner) -> std::io::Result<()> {
        match manner {
            Manner::Answer(answer) => {
                self.listen(&mut stream).await?;
                stream.write_all(&answer).await?;
                stream.shutdown().await
            }
            Manner::Together(barrier, answer) => {
                self.listen(&mut stream).await?;
                barrier.wait().await;
                // The connection counts until it is answered.
                self.open.fetch_sub(1, Ordering::SeqCst);
                stream.write_all(&answer).await?;
                let ended = stream.shutdown().await;
                self.open.fetch_add(1, Ordering::SeqCst);
                ended
            }
            Manner::Deaf => until_gone(stream).await,
            Manner::Dumb => {
                self.listen(&mut stream).await?;
                until_gone(stream).await
            }
            Manner::Closes => Ok(()),
            Manner::ClosesInTheMiddle => stream.read_exact(&mut [0; MIDDLE]).await.map(drop),
            Manner::Babbles(words) => {
                stream.write_all(&words).await?;
                until_gone(stream).await
            }
            Manner::Endless(words, more) => {
                self.listen(&mut stream).await?;
                stream.write_all(&words).await?;
                loop {
                    stream.write_all(&more).await?;
                }
            }
            Manner::Drips(words) => {
                self.listen(&mut stream).await?;
                for octet in words.iter().chain(std::iter::repeat(&b' ')) {
                    stream.write_all(&[*octet]).await?;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok(())
            }
        }
    }

    async fn listen(&self, stream: &mut Stream) -> std::io::Result<()> {
        let question = match self.tongue {
            Tongue::ClamAv => instream(stream).await?,
            Tongue::Rspamd | Tongue::Hook => request(stream).await?,
        };
        self.asked.lock().unwrap().push(question);
        Ok(())
    }
}

/// Never reads and never writes, until the other side is gone.
async fn until_gone(mut stream: Stream) -> std::io::Result<()> {
    // What it sends stays where it is; that it is gone shows when nothing can be written.
    std::future::poll_fn(|_| std::task::Poll::<()>::Pending).await;
    stream.shutdown().await
}

async fn request(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text[..end].lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let whole = end + 4 + length.parse::<usize>().unwrap();
            while read.len() < whole {
                stream.read_buf(&mut read).await?;
            }
            assert_eq!(read.len(), whole);
            return Ok(read);
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The message out of clamd's pieces.
pub(crate) async fn instream(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut command = [0; 10];
    stream.read_exact(&mut command).await?;
    assert_eq!(&command, b"zINSTREAM\0");
    let mut message = Vec::new();
    loop {
        let length = stream.read_u32().await?;
        if length == 0 {
            return Ok(message);
        }
        let mut piece = vec![0; length as usize];
        stream.read_exact(&mut piece).await?;
        message.extend(piece);
    }
}

/// What a clamd on a socket of the file system does with one connection.
pub(crate) async fn clamd(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> Vec<u8> {
    let message = instream(&mut stream).await.unwrap();
    stream.write_all(answer).await.unwrap();
    message
}

/// An answer of an HTTP server.
pub(crate) fn http(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}
