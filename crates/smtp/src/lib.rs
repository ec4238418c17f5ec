//! SMTP without I/O: both ends of the conversation.
//!
//! Nothing here has a socket, a clock or chance. Bytes and `now` go in through `handle_*`, outputs come out of
//! `poll_output` and `poll_timeout`, and whoever owns the socket (the *driver*) carries them. What a session can't
//! decide it asks; the driver answers and the session goes on.
//!
//! Read in this order:
//!
//! - [`mod@line`]: where a line ends, and what is not a line end;
//! - [`command`]: what a line says;
//! - [`extension`]: what EHLO offers;
//! - [`data`]: where the content ends: dots and chunks, in both directions;
//! - [`sasl`]: who somebody is;
//! - [`server`]: the receiving end, [`client`]: the sending end.
//!
//! The base is RFC 5321; each module names the sections of its own.

pub mod client;
pub mod command;
pub mod data;
pub mod extension;
pub mod line;
pub mod sasl;
pub mod server;
