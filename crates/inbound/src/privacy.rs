//! What the world learns of how our users write: nothing of where they are, unless an operator says so.

use std::sync::Arc;

/// Fields in which programs write the address of their user, or of who used them.
pub const REMOVED_FIELDS: [&str; 4] = ["X-Originating-IP", "X-Sender-IP", "X-Client-IP", "X-Forwarded-For"];

/// Whether Received says where a letter of an authenticated user came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIn {
    /// It says that it came from one of our users, by SMTP, and nothing more.
    Nothing,
    /// It names the client's address and what it said in EHLO (RFC 5321 §4.4).
    Received,
}

/// How letters of authenticated users are treated. Mail of others is not touched, and the log and the queue know all.
#[derive(Clone, Debug)]
pub struct Privacy {
    /// Where the client is named.
    pub client: ClientIn,
    /// Names of fields that are taken out where letters are repaired.
    pub removed_fields: Arc<[String]>,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { client: ClientIn::Nothing, removed_fields: REMOVED_FIELDS.map(str::to_owned).into() }
    }
}
