//! The message as it will be kept, shown to filters piece by piece: the trace fields that stand before the draft, then
//! the draft.

use bytes::Bytes;
use mail::header::{Ending, Header};
use spool::{DraftReader, SpoolError};

use crate::stamp::section::FIELDS_MAX;

/// Octets in which the end of a header section is looked for: more than the intake lets pass and the repairs add.
const HEADER_MAX: usize = 512 * 1024;

/// A message that is complete and not committed.
#[derive(Clone, Debug)]
pub(crate) struct Letter<'m> {
    prefix: &'m Bytes,
    /// At its beginning.
    draft: DraftReader<'m>,
}

impl<'m> Letter<'m> {
    pub(crate) fn new(prefix: &'m Bytes, draft: DraftReader<'m>) -> Self {
        Self { prefix, draft }
    }

    /// Octets in all.
    pub(crate) fn size(&self) -> u64 {
        self.prefix.len() as u64 + self.draft.size()
    }

    /// All of it from the beginning.
    pub(crate) fn pieces(&self) -> Pieces<'m> {
        Pieces { prefix: Some(self.prefix.clone()), draft: self.draft.clone() }
    }

    /// The fields that stand before the draft.
    pub(crate) fn prefix(&self) -> &'m [u8] {
        self.prefix
    }

    /// The draft's header section with what was read behind it.
    pub(crate) async fn gather_header(&self) -> Result<Vec<u8>, SpoolError> {
        let mut reader = self.draft.clone();
        let mut gathered = Vec::new();
        while let Some(piece) = reader.read().await? {
            gathered.extend_from_slice(&piece);
            if gathered.len() > HEADER_MAX || Header::parse(&gathered, 0).ending != Ending::Message {
                break;
            }
        }
        Ok(gathered)
    }
}

/// The fields of octets that begin with a header section.
pub(crate) fn header(gathered: &[u8]) -> Header<'_> {
    // Twice what the intake lets pass: a letter's own fields, and ours.
    Header::parse(gathered, 2 * FIELDS_MAX)
}

/// A letter being read.
#[derive(Debug)]
pub(crate) struct Pieces<'m> {
    prefix: Option<Bytes>,
    draft: DraftReader<'m>,
}

impl Pieces<'_> {
    /// The next piece, at most 64 KiB of the draft; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        match self.prefix.take().filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => Ok(Some(prefix)),
            None => self.draft.read().await,
        }
    }
}
