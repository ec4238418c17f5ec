//! The control socket: how the command line speaks to a running server.
//!
//! `data_dir/control.sock`, mode 0600; the peer must be root or the user that the server runs as. One request and
//! one answer, each a JSON line. Both sides check the version and bound what they read. What a request
//! means is not known here: see [`crate::admin`].

mod client;
mod server;
mod socket;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use client::{ControlError, answers, ask};
pub(crate) use server::{Bound, serve};

/// The version of the lines.
const VERSION: u32 = 1;
/// Octets of a request.
const REQUEST_MAX: usize = 4 * 1024 * 1024;
/// Octets of an answer.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// Where the socket is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// A line from the client.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestLine<R> {
    version: u32,
    request: R,
}

/// A line from the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnswerLine<A> {
    /// It is done.
    Done(A),
    /// It is not, and why: a sentence.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        os::unix::{fs::PermissionsExt as _, net::UnixStream},
    };

    use net::{Clock, tasks::Tasks};

    use super::*;

    /// Serves a directory: a request is a number, its answer the double; odd numbers are refused.
    async fn serving(data_dir: &Path) -> Tasks {
        let tasks = Tasks::new();
        let bound = Bound::bind(data_dir).expect("a socket");
        let answer = |number: u64| async move {
            if number.is_multiple_of(2) { Ok(number * 2) } else { Err("odd numbers are refused".to_owned()) }
        };
        tasks.spawn("control", serve(bound, Clock::system(), tasks.clone(), answer));
        tasks
    }

    /// Runs what blocks beside the server.
    async fn beside<T: Send + 'static>(tasks: &Tasks, work: impl FnOnce() -> T + Send + 'static) -> T {
        tasks.run_blocking("client", work).await.expect("it does not panic")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_and_its_answer() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_owned();
        let tasks = serving(&data_dir).await;
        let mode = std::fs::metadata(path(&data_dir)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (even, odd) = beside(&tasks, move || (ask::<u64, u64>(&data_dir, 4), ask::<u64, u64>(&data_dir, 3))).await;
        assert_eq!(even.unwrap(), 8);
        assert_eq!(odd.unwrap_err().to_string(), "odd numbers are refused");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_path_deeper_than_a_socket_can_have() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("x".repeat(120));
        std::fs::create_dir(&data_dir).unwrap();
        let tasks = serving(&data_dir).await;
        assert_eq!(beside(&tasks, move || ask::<u64, u64>(&data_dir, 2)).await.unwrap(), 4);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_request_gets_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let tasks = serving(folder.path()).await;
        let socket = path(folder.path());
        let say = move |line: &str| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(line.as_bytes()).unwrap();
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer).unwrap();
            answer
        };
        let (newer, garbage) = beside(&tasks, move || (say("{\"version\":2,\"request\":4}\n"), say("hello\n"))).await;
        assert!(newer.contains("version 1 of the control protocol"), "{newer}");
        assert!(garbage.contains("the request cannot be read"), "{garbage}");
    }

    #[test]
    fn nobody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let alone = ask::<u64, u64>(folder.path(), 2).unwrap_err();
        assert!(matches!(alone, ControlError::NotRunning(_)), "{alone}");
    }
}
