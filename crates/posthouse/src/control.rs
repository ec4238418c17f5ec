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

pub(crate) use client::{ControlError, ask};
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
