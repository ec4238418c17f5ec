//! What a session is told about its next hop. One [`Settings`] is shared by all sessions of a destination.

use std::time::Duration;

use crate::sasl::{Mechanism, Secret};

/// What is wanted of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsWish {
    /// Clear text.
    Off,
    /// STARTTLS when it is offered and not refused.
    Opportunistic,
    /// STARTTLS, or no mail. Whether the certificate is checked is up to the driver's handshake.
    Required,
    /// The driver did the handshake before the banner (RFC 8314): call `handle_tls` first.
    Established,
}

/// Whether credentials may cross a connection without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClearTextAuth {
    /// Never: the session fails instead.
    Refuse,
    /// They may: for a relay on loopback.
    Permit,
}

/// Whether an extension is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// When the server offers it.
    WhenOffered,
    /// Not even then: for servers that offer it and can't do it.
    Never,
}

/// Who we are to the next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// How long a session waits for the server (RFC 5321 §4.5.3.2). A deadline covers writing, too: race every write of the
/// driver against `poll_timeout`. A reply that drips in does not prolong it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the banner, and for the handshake after STARTTLS.
    pub banner: Duration,
    /// For the next reply to the commands of the envelope.
    pub command: Duration,
    /// For a block of content to be written.
    pub data_block: Duration,
    /// For the reply to the end of the content.
    pub dot: Duration,
    /// For the reply to QUIT. Nothing depends on it.
    pub quit: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            banner: Duration::from_secs(300),
            command: Duration::from_secs(300),
            data_block: Duration::from_secs(180),
            dot: Duration::from_secs(600),
            quit: Duration::from_secs(5),
        }
    }
}

/// The settings of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our name in EHLO: a domain or an address literal.
    pub ehlo_name: String,
    /// TLS.
    pub tls: TlsWish,
    /// AUTH, when the next hop wants it.
    pub auth: Option<Credentials>,
    /// Whether AUTH may go without TLS.
    pub clear_text_auth: ClearTextAuth,
    /// The mechanisms that may be used, the best first. One that shows the password can be left out, so that nobody
    /// who tampers with the offer gets to see it.
    pub mechanisms: Vec<Mechanism>,
    /// Waits.
    pub deadlines: Deadlines,
    /// Sending commands without waiting for the reply to each (RFC 2920).
    pub pipelining: Use,
    /// BDAT instead of DATA (RFC 3030).
    pub chunking: Use,
}

impl Settings {
    /// The defaults: opportunistic TLS, no AUTH, every extension that is offered.
    pub fn new(ehlo_name: impl Into<String>) -> Self {
        Self {
            ehlo_name: ehlo_name.into(),
            tls: TlsWish::Opportunistic,
            auth: None,
            clear_text_auth: ClearTextAuth::Refuse,
            mechanisms: vec![Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login],
            deadlines: Deadlines::default(),
            pipelining: Use::WhenOffered,
            chunking: Use::WhenOffered,
        }
    }
}
