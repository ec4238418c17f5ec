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

#[cfg(test)]
mod tests {
    use mail::Timestamp;

    use crate::{
        Spool as _,
        sqlite::{Engine, Options},
    };

    /// In memory, in the file with a rest in memory, and in the middle of growing: always what was written so far, whole,
    /// and as often as it is read.
    #[tokio::test]
    async fn a_draft_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path().join("spool"), [1; 16]);
        options.disk_reserve = 0;
        let spool = Engine::open(options, Timestamp::from_secs(0)).unwrap();
        let mut draft = spool.begin().unwrap();
        let mut written = Vec::new();
        for round in 0..14_u8 {
            let reader = draft.reader().unwrap();
            for mut reader in [reader.clone(), reader] {
                assert_eq!(reader.size(), written.len() as u64);
                let mut read = Vec::new();
                while let Some(piece) = reader.read().await.unwrap() {
                    assert!((1..=super::PIECE).contains(&piece.len()));
                    read.extend_from_slice(&piece);
                }
                assert!(read == written, "round {round}");
            }
            let piece = vec![round; 50_000];
            draft.write(&piece).await.unwrap();
            written.extend_from_slice(&piece);
        }
        assert!(draft.file.is_some() && !draft.memory.is_empty());
    }
}
