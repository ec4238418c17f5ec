//! What travels beside a message and is not part of it.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{Mailbox, ReversePath};

/// What the sender said about the octets of the content (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Nothing, or `BODY=7BIT`.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

/// The protocol word of the Received field (RFC 3848, and the IANA list of mail transmission types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HELO.
    Smtp,
    /// EHLO, with what was done on top.
    Esmtp {
        /// TLS was on: the `S`.
        tls: bool,
        /// The client authenticated: the `A`.
        auth: bool,
    },
    /// Made by this server: a bounce, a submission over the API.
    Local,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Smtp => "SMTP",
            Self::Esmtp { tls: false, auth: false } => "ESMTP",
            Self::Esmtp { tls: true, auth: false } => "ESMTPS",
            Self::Esmtp { tls: false, auth: true } => "ESMTPA",
            Self::Esmtp { tls: true, auth: true } => "ESMTPSA",
            Self::Local => "LOCAL",
        })
    }
}

/// What a handshake agreed on, in the words of the IANA registries: `TLSv1.3`, `TLS_AES_128_GCM_SHA256`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSummary {
    /// The protocol version.
    pub version: String,
    /// The cipher suite.
    pub cipher: String,
}

/// Where a message came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The service that took it: `mx`, `submission`, `lmtp`, `http`, `local`.
    pub service: String,
    /// The client's address and port; nothing for mail made here.
    pub peer: Option<SocketAddr>,
    /// What the client called itself in EHLO or HELO, as it said it: hostile text.
    pub helo: Option<String>,
    /// The authenticated user.
    pub user: Option<Mailbox>,
    /// How it was transmitted.
    pub protocol: Protocol,
    /// The TLS session, if there was one.
    pub tls: Option<TlsSummary>,
}

impl Origin {
    /// Mail that this server makes itself.
    pub fn local() -> Self {
        Self { service: "local".into(), peer: None, helo: None, user: None, protocol: Protocol::Local, tls: None }
    }
}

/// The envelope of one message (RFC 5321 §2.3.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Where failures go.
    pub reverse_path: ReversePath,
    /// The declared body type.
    pub body: Body,
    /// Where it came from.
    pub origin: Origin,
}
