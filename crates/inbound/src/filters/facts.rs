//! What filters are told beside the message.

use std::collections::HashSet;

use mail::{Envelope, Mailbox, MessageId};
use spool::NewMessage;

use super::settings::Direction;

/// The facts of one message.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'m> {
    pub(crate) direction: Direction,
    pub(crate) id: MessageId,
    pub(crate) envelope: &'m Envelope,
    /// The name of the client that leads back to its address, when it was looked for and found.
    pub(crate) client_name: Option<&'m str>,
    /// As the client gave them, each once.
    pub(crate) recipients: Vec<&'m Mailbox>,
}

impl<'m> Facts<'m> {
    pub(crate) fn new(direction: Direction, message: &'m NewMessage, client_name: Option<&'m str>) -> Self {
        let mut seen = HashSet::new();
        let given = message.deliveries.iter().map(|delivery| delivery.original.as_ref().unwrap_or(&delivery.recipient));
        let recipients = given.filter(|recipient| seen.insert(*recipient)).collect();
        Self { direction, id: message.id, envelope: &message.envelope, client_name, recipients }
    }

    /// The reverse-path without brackets; empty for `<>`.
    pub(crate) fn reverse_path(&self) -> String {
        self.envelope.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default()
    }
}
