//! Looking at a draft before it is committed: what a filter is shown is what will be kept.

use bytes::Bytes;

use super::{Content, Draft};
use crate::SpoolError;

/// Octets of a draft's memory that are copied at a time.
const PIECE: usize = 64 * 1024;

impl Draft {
    /// All that was written so far, from its beginning. Clones of the reader read on their own; nobody can write meanwhile.
    pub fn reader(&self) -> Result<DraftReader<'_>, SpoolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let file = match &self.file {
            None => None,
            Some(file) => {
                let opened = self.place.disk.open(&file.path);
                let opened = opened.map_err(|error| super::io_error("reading", &file.path, &error))?;
                let size = self.size.saturating_sub(self.memory.len() as u64);
                Some(Content::from_file(Bytes::new(), opened.into(), size))
            }
        };
        Ok(DraftReader { file, memory: &self.memory, size: self.size })
    }
}

/// A draft being read.
#[derive(Clone, Debug)]
pub struct DraftReader<'d> {
    /// What was written out comes first.
    file: Option<Content>,
    memory: &'d [u8],
    size: u64,
}

impl DraftReader<'_> {
    /// Octets in all, read or not.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next piece, at most 64 KiB; `None` at the end. What is in memory or in the page cache comes at once.
    pub async fn read(&mut self) -> Result<Option<Bytes>, SpoolError> {
        if let Some(file) = &mut self.file {
            match file.read().await? {
                Some(piece) => return Ok(Some(piece)),
                None => self.file = None,
            }
        }
        let (piece, rest) = self.memory.split_at(PIECE.min(self.memory.len()));
        self.memory = rest;
        Ok((!piece.is_empty()).then(|| Bytes::copy_from_slice(piece)))
    }
}
