//! What a session says to its driver ([`Output`]), asks it ([`Ask`]) and hears from it ([`Answer`]).

use std::{net::SocketAddr, sync::Arc};

use mail::{ForwardPath, Reply, ReversePath};

use crate::{
    command::{MailParameters, RcptParameters},
    sasl::{Mechanism, Secret, scram::Verifier},
    server::Settings,
};

/// What the driver must do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Take replies with `take_write` and write them all before polling on. It comes only when nothing more can be
    /// processed, so that the replies to pipelined commands leave together (RFC 2920 §3.2).
    Write,
    /// Find out and call `answer`: nothing else is processed before.
    Ask(Ask),
    /// A piece of the content, without the dots of transparency: append it to the draft.
    Content(Vec<u8>),
    /// The draft is void: roll it back. It comes at most once for a draft, and never after `Ask::Commit`.
    Discard,
    /// 220 has been written: do the handshake, then call `handle_tls`. What the client sent in clear text is gone.
    StartTls,
    /// Close the connection. Nothing follows.
    Close,
}

/// A question to the driver. Each names the answers that fit; any other is taken for a temporary failure of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// May this client talk to us? `Go`, or `Refuse` with 554 or 421, which closes.
    Connect {
        /// The client.
        peer: SocketAddr,
    },
    /// May mail come from here? `Go` or `Refuse`. On `Go` the driver keeps the path: the session does not.
    Mail {
        /// Where failures go.
        reverse_path: ReversePath,
        /// What the client said about the message.
        parameters: MailParameters,
    },
    /// May mail go there? `Go` or `Refuse`. On `Go` the driver adds it to the envelope.
    Rcpt {
        /// The recipient.
        forward_path: ForwardPath,
        /// What the client said about the delivery.
        parameters: RcptParameters,
    },
    /// Content is about to come: open a draft. `Go` or `Refuse`.
    Begin,
    /// The content is complete: make it durable. `Accepted` or `Refuse`; either way the draft is the driver's.
    Commit {
        /// Octets of the content.
        size: u64,
    },
    /// Is this the user's password? `Authenticated` or `Refuse` (535 5.7.8, 454 4.7.0).
    Password {
        /// PLAIN or LOGIN.
        mechanism: Mechanism,
        /// The user's name as typed: hostile text.
        authcid: String,
        /// The password as typed.
        password: Secret,
    },
    /// What is kept about this user? `Scram` or `Refuse`. For an unknown user answer with a plausible invention that
    /// is the same each time, so that nobody learns who exists; the proof then fails.
    ScramStart {
        /// The user's name as typed: hostile text.
        authcid: String,
    },
    /// The exchange is over. When it succeeded `Authenticated` or `Refuse`; when it failed `Refuse`, so that all
    /// wrong passwords get one reply and are counted in one place.
    ScramDone {
        /// The user's name as typed: hostile text.
        authcid: String,
        /// Whether the proof was right.
        proof: Proof,
    },
    /// The client speaks for another: may it? `Introduced` or `Refuse`. What the driver knew of the client is void.
    Introduce {
        /// For whom; nothing when it does not know.
        client: Option<SocketAddr>,
    },
    /// Is there such a mailbox? `Reply`, usually the 252 of [`super::vrfy_unsure`].
    Verify {
        /// What was typed: hostile text.
        argument: String,
    },
}

/// The end of a SCRAM exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The client knows the password.
    Right,
    /// It doesn't.
    Wrong,
}

/// The driver's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Go,
    /// No; this reply says why. Its code must be 4xx or 5xx.
    Refuse(Reply),
    /// The message is durable under this id.
    Accepted {
        /// The id, for the 250.
        id: String,
    },
    /// The client is this user.
    Authenticated(String),
    /// What is kept about the user, real or invented, and fresh random text of this exchange.
    Scram {
        /// Salt, iterations, keys.
        verifier: Verifier,
        /// The server's part of the nonce: printable ASCII without comma.
        nonce: String,
    },
    /// From now on the client is this one, and these are its rules.
    Introduced {
        /// Where it is.
        peer: SocketAddr,
        /// Its settings.
        settings: Arc<Settings>,
    },
    /// This reply, whatever its code.
    Reply(Reply),
}
