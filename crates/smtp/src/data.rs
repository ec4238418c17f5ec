//! The content of a message on the wire: where it ends, and what must be taken off or put on while it travels.
//!
//! DATA (RFC 5321 §4.1.1.4) ends with a line that holds a single dot; lines that begin with a dot carry one more
//! (§4.5.2). BDAT (RFC 3030) counts octets instead. Reading lines of commands is [`crate::line`]'s business.

pub mod receive;
pub mod send;
