//! The receiving half.

/// What becomes of content with a CR or LF that stands alone (RFC 5321 §2.3.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareNewline {
    /// The whole message is refused with 550 5.6.0.
    #[default]
    Refuse,
    /// A bare LF becomes CRLF, a bare CR a space.
    Normalise,
}
