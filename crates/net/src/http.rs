//! HTTP/1.1 as a client, as little of it as asking a named service takes: one POST on one connection, the body streamed
//! under a length that is known before, the answer read whole within a bound.
//!
//! Nothing is followed or tried again: no redirect, no second connection, no proxy, no cookie. The caller bounds the whole
//! by a deadline; dropping the future closes the connection.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Uri, Version,
    body::{Body as _, Frame, Incoming, SizeHint},
    client::conn::http1,
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

/// Octets of the head of an answer: its status and its fields.
const HEAD_MAX: usize = 64 * 1024;
/// Fields of an answer.
const FIELDS_MAX: usize = 100;
/// Pieces of a body that wait to be sent.
const PIECES_AHEAD: usize = 1;

/// What a POST says before its body.
#[derive(Clone, Debug)]
pub struct Post {
    target: Uri,
    fields: HeaderMap,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status: 200 is well.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// What was to be asked for cannot be said in HTTP.
    #[error("not a path on an HTTP server: {0}")]
    Target(String),
    /// The peer closed, or speaks something else.
    #[error("{0}")]
    Peer(String),
    /// It said that all is well before it can have read the question.
    #[error("it answered before it had the whole request")]
    Early,
    /// The answer is larger than anybody needs.
    #[error("the answer is larger than {0} octets")]
    TooLarge(usize),
}

impl Post {
    /// A POST to `path` on the server called `host`.
    pub fn new(host: &str, path: &str) -> Result<Self, HttpError> {
        let target = || HttpError::Target(format!("{host}{path}"));
        let mut fields = HeaderMap::new();
        fields.insert(HOST, HeaderValue::from_str(host).map_err(|_| target())?);
        fields.insert(CONNECTION, HeaderValue::from_static("close"));
        let path = path.parse::<Uri>().ok().filter(|uri| uri.host().is_none() && uri.path().starts_with('/'));
        Ok(Self { target: path.ok_or_else(target)?, fields })
    }

    /// Adds a field. One whose value cannot stand in a header (a line end, a control character) is left out.
    pub fn field(&mut self, name: &'static str, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.fields.append(HeaderName::from_static(name), value);
        }
    }
}

/// The two ends of a body of `length` octets.
pub fn body(length: u64) -> (Pieces, Body) {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    (Pieces(sender), Body { pieces: receiver, left: length, taken: Arc::new(AtomicBool::new(length == 0)) })
}

/// Where the pieces of a body go in. Dropped before all octets were given, it breaks the exchange off.
#[derive(Debug)]
pub struct Pieces(mpsc::Sender<Bytes>);

impl Pieces {
    /// Gives the next piece, and waits while the peer does not take what came before. False: nobody wants more.
    pub async fn send(&mut self, piece: Bytes) -> bool {
        self.0.send(piece).await.is_ok()
    }
}

/// A body under way.
#[derive(Debug)]
pub struct Body {
    pieces: mpsc::Receiver<Bytes>,
    left: u64,
    /// Whether nothing is left: told to who does not have the body any more.
    taken: Arc<AtomicBool>,
}

/// Fewer octets were given than were said.
#[derive(Debug, thiserror::Error)]
#[error("the body was cut short")]
pub struct CutShort;

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(cx).map(|piece| match piece {
            Some(piece) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                self.taken.store(self.left == 0, Ordering::Relaxed);
                Some(Ok(Frame::data(piece)))
            }
            None => Some(Err(CutShort)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Sends the request and reads the answer, whose body may have `max` octets. An error may be answered before the request is
/// whole; that all is well, may not.
pub async fn post<S>(stream: S, post: Post, body: Body, max: usize) -> Result<Answer, HttpError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (length, taken) = (body.left, Arc::clone(&body.taken));
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = post.target;
    *request.headers_mut() = post.fields;
    request.headers_mut().insert(CONTENT_LENGTH, length.into());
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_MAX).max_headers(FIELDS_MAX);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(|error| peer(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| peer(&error))?;
        if response.status().is_success() && !taken.load(Ordering::Relaxed) {
            return Err(HttpError::Early);
        }
        let status = response.status().as_u16();
        Ok(Answer { status, body: gather(response.into_body(), max).await? })
    };
    let (mut connection, mut exchange) = (pin!(connection), pin!(exchange));
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // What the connection ended with, the exchange is told; what came before the end, it still has to read.
        _ended = &mut connection => exchange.await,
    }
}

async fn gather(mut body: Incoming, max: usize) -> Result<Vec<u8>, HttpError> {
    let mut gathered = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| peer(&error))?;
        let Some(piece) = frame.data_ref() else { continue };
        if gathered.len() + piece.len() > max {
            return Err(HttpError::TooLarge(max));
        }
        gathered.extend_from_slice(piece);
    }
    Ok(gathered)
}

/// The words of hyper with their cause, which says more.
fn peer(error: &hyper::Error) -> HttpError {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    HttpError::Peer(words)
}
