//! The asking side: plain blocking input and output, for a command that waits for its answer.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{ANSWER_MAX, AnswerLine, RequestLine, VERSION, socket};

/// How often, and how many times, a server that has the directory but does not listen yet is tried.
const START_POLL: Duration = Duration::from_millis(50);
const START_POLLS: u32 = 200;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// Nobody listens on the socket.
    #[error("no server is running on {0}")]
    NotRunning(String),
    /// The socket is not ours to use.
    #[error("not allowed to use {0}: run this as the user that the server runs as, or as root")]
    NotAllowed(String),
    /// The server said why not.
    #[error("{0}")]
    Refused(String),
    /// The conversation broke off.
    #[error("the server broke off while it was asked ({0}); see its log")]
    BrokenOff(String),
}

/// Asks the server of a directory, and waits for as long as it takes.
pub(crate) fn ask<R: Serialize, A: DeserializeOwned>(data_dir: &Path, request: R) -> Result<A, ControlError> {
    let mut stream = connect_patiently(data_dir)?;
    let broken = |error: io::Error| ControlError::BrokenOff(error.to_string());
    let mut line = serde_json::to_vec(&RequestLine { version: VERSION, request })
        .map_err(|error| ControlError::BrokenOff(error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(broken)?;
    let mut line = Vec::new();
    BufReader::new(stream.take(ANSWER_MAX as u64)).read_until(b'\n', &mut line).map_err(broken)?;
    if !line.ends_with(b"\n") {
        return Err(ControlError::BrokenOff("its answer has no end".into()));
    }
    match serde_json::from_slice::<AnswerLine<A>>(&line) {
        Ok(AnswerLine::Done(answer)) => Ok(answer),
        Ok(AnswerLine::Failed(why)) => Err(ControlError::Refused(why)),
        Err(error) => Err(ControlError::BrokenOff(format!("its answer cannot be read: {error}"))),
    }
}

/// Connects; a server that is just starting, which has the directory's lock already, gets ten seconds to listen.
fn connect_patiently(data_dir: &Path) -> Result<UnixStream, ControlError> {
    for _ in 0..START_POLLS {
        match connect(data_dir) {
            Err(ControlError::NotRunning(_)) if is_held(data_dir) => pause(START_POLL),
            other => return other,
        }
    }
    connect(data_dir)
}

#[expect(clippy::disallowed_methods, reason = "a command that waits for a starting server has nothing else to do")]
fn pause(wait: Duration) {
    std::thread::sleep(wait);
}

/// Whether a server listens for a directory, ours to ask or not.
pub(crate) fn answers(data_dir: &Path) -> bool {
    !matches!(connect(data_dir), Err(ControlError::NotRunning(_)))
}

/// Whether a process has the directory.
fn is_held(data_dir: &Path) -> bool {
    data_dir.join("lock").exists() && matches!(spool::Lock::take(data_dir), Err(spool::SpoolError::InUse(_)))
}

fn connect(data_dir: &Path) -> Result<UnixStream, ControlError> {
    let path = super::path(data_dir);
    let shown = || data_dir.display().to_string();
    let connected = socket::short(&path).and_then(|(short, _open)| UnixStream::connect(short));
    connected.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => ControlError::NotAllowed(path.display().to_string()),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
            ControlError::NotRunning(shown())
        }
        _ => ControlError::BrokenOff(format!("{}: {error}", path.display())),
    })
}
