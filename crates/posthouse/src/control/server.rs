//! The answering side, inside the server.

use std::{fs::File, io, path::Path, sync::Arc, time::Duration};

use net::{Clock, LocalListener, LocalStream, tasks::Tasks};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Semaphore,
};

use super::{ANSWER_MAX, AnswerLine, REQUEST_MAX, RequestLine, VERSION, socket};

/// Requests answered at once.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take to say what it wants, and to read an answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Octets read at once.
const READ_SIZE: usize = 16 * 1024;

/// The socket, bound.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: LocalListener,
    /// The directory, held open while the socket's path leads through it.
    _open: Option<File>,
}

impl Bound {
    /// Binds the socket of a directory whose lock is held: one left over from a crash is replaced.
    pub(crate) fn bind(data_dir: &Path) -> io::Result<Self> {
        let (short, open) = socket::short(&super::path(data_dir))?;
        Ok(Self { listener: LocalListener::bind(&short)?, _open: open })
    }
}

/// Answers requests until shutdown: `answer` turns a request into an answer or a sentence.
pub(crate) async fn serve<R, A, F>(
    bound: Bound,
    clock: Clock,
    tasks: Tasks,
    answer: impl Fn(R) -> F + Clone + Send + Sync + 'static,
) where
    R: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    F: Future<Output = Result<A, String>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            accepted = bound.listener.accept() => accepted,
            () = tasks.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, uid)) if is_allowed(uid) => stream,
            Ok((_, uid)) => {
                tracing::warn!(uid, "a user who is neither root nor ours knocked on the control socket");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection on the control socket");
                clock.sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (clock, answer) = (clock.clone(), answer.clone());
        tasks.spawn("control connection", async move {
            let _place = place;
            if let Err(error) = converse(stream, clock, answer).await {
                tracing::debug!(%error, "a conversation on the control socket ended early");
            }
        });
    }
}

/// Whether the peer is root or runs as the user that we run as.
fn is_allowed(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

async fn converse<R, A, F>(mut stream: LocalStream, clock: Clock, answer: impl Fn(R) -> F) -> io::Result<()>
where
    R: DeserializeOwned,
    A: Serialize,
    F: Future<Output = Result<A, String>>,
{
    let line = clock.timeout(DEADLINE, read_line(&mut stream)).await.map_err(late)??;
    let result = match read_request(&line) {
        Ok(request) => answer(request).await,
        Err(why) => Err(why),
    };
    let mut line = match result {
        Ok(answer) => to_line(&AnswerLine::Done(answer))?,
        Err(why) => to_line(&AnswerLine::<()>::Failed(why))?,
    };
    if line.len() > ANSWER_MAX {
        let why = "the answer is too large; narrow the question with --limit or a filter";
        line = to_line(&AnswerLine::<()>::Failed(why.into()))?;
    }
    clock.timeout(DEADLINE, stream.write_all(&line)).await.map_err(late)?
}

fn late(_: net::DeadlinePassed) -> io::Error {
    io::ErrorKind::TimedOut.into()
}

async fn read_line(stream: &mut LocalStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(READ_SIZE);
    while !line.ends_with(b"\n") {
        if stream.read_buf(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.len() > REQUEST_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"));
        }
    }
    Ok(line)
}

fn read_request<R: DeserializeOwned>(line: &[u8]) -> Result<R, String> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    match serde_json::from_slice::<Version>(line) {
        Ok(Version { version: VERSION }) => {}
        Ok(Version { version }) => {
            return Err(format!(
                "the server speaks version {VERSION} of the control protocol and the command version {version}; use the \
                 command of the server's release"
            ));
        }
        Err(error) => return Err(format!("the request cannot be read: {error}")),
    }
    serde_json::from_slice::<RequestLine<R>>(line)
        .map(|line| line.request)
        .map_err(|error| format!("the request cannot be read: {error}"))
}

fn to_line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}
