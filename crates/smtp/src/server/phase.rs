//! Where a conversation stands. Each variant holds what is legal in it and nothing else.

use mail::Body;

use super::{ask::Proof, content::Content};
use crate::{
    command::{Chunk, ChunkPlace},
    sasl::server::{Exchange, ScramStart},
};

/// The states of the picture in [`super`].
#[derive(Debug)]
pub(super) enum Phase {
    /// `Ask::Connect` is open; nothing has been said.
    Connect,
    /// The client has not said who it is, or not since TLS began.
    Greet,
    /// No transaction is open.
    Ready,
    /// MAIL was accepted.
    Mail(Transaction),
    /// 354 was said: content up to the dot.
    Data(Transaction, Content),
    /// The octets of a BDAT.
    Chunk(Transaction, Content, Octets),
    /// Between two BDATs.
    Chunks(Transaction, Content),
    /// The octets of a BDAT that was refused.
    Skip(u64),
    /// An AUTH exchange waits for the client's response.
    Auth(Box<Exchange>),
    /// 220 was said to STARTTLS: the handshake.
    Handshake(Told),
    /// Over.
    Closed(Told),
}

/// Whether the driver has got the output that belongs to the phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    No,
    Yes,
}

/// An open transaction (RFC 5321 §3.3). The driver keeps the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) body: Body,
    /// Recipients accepted.
    pub(super) recipients: usize,
    /// Recipients refused by the driver.
    pub(super) refused: usize,
    /// Refusals that were not counted as errors: more recipients than fit, and unknown ones beside good ones.
    pub(super) forgiven: usize,
}

impl Transaction {
    pub(super) fn new(body: Body) -> Self {
        Self { body, recipients: 0, refused: 0, forgiven: 0 }
    }
}

/// The rest of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Octets {
    pub(super) size: u64,
    pub(super) left: u64,
    pub(super) place: ChunkPlace,
}

impl From<Chunk> for Octets {
    fn from(chunk: Chunk) -> Self {
        Self { size: chunk.size, left: chunk.size, place: chunk.place }
    }
}

/// What an open `Ask` is about, and what is needed to go on.
#[derive(Debug)]
pub(super) enum Question {
    Connect,
    Mail(Body),
    Rcpt,
    Begin(Way),
    Commit,
    Password,
    ScramStart(Box<ScramStart>),
    ScramDone(Proof),
    Introduce,
    Verify,
}

/// How the content will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Data,
    Bdat(Chunk),
}
