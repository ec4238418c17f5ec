//! What a command line says.

use mail::Body;

/// The parameters of MAIL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// SIZE: what the client thinks the message measures (RFC 1870 §6).
    pub size: Option<u64>,
    /// BODY: what octets the content has (RFC 6152).
    pub body: Body,
    /// AUTH: who submitted it first, decoded; empty for `<>` (RFC 4954 §5). A claim: trust it from trusted peers only.
    pub auth: Option<String>,
}

/// The parameters of RCPT. There are none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {}
