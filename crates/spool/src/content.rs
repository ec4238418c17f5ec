//! Content on its way in ([`Draft`]) and out ([`Content`]): a stream to the rest of the program, never a path.
//!
//! A draft lies in memory while it is small. Past [`SPILL`] octets it streams into a file of `incoming/`, written on
//! threads for blocking work. What a commit finds larger than [`INLINE_MAX`] becomes a file of `content/`.
//!
//! ```text
//! write ─► memory ──(> SPILL)──► incoming/N ─┐ commit: sync, rename ─► content/msg_… ─► row
//!             │                              │
//!             └──(≤ INLINE_MAX) commit ──────┼──────────────────────────────────────► row with the bytes
//!                                            └─ drop: removed
//! ```

pub mod disk;
mod reading;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use mail::MessageId;

use crate::{SpoolError, reserve::Reserve};
use disk::{AppendFile, Disk, ReadFile, Wait};
pub use reading::DraftReader;

/// Octets of content that a row of the database holds; more goes to a file.
pub(crate) const INLINE_MAX: usize = 128 * 1024;
/// Octets of a draft in memory before they are written out. Above [`INLINE_MAX`], so that a letter of ordinary size
/// costs one write, on the thread that syncs it.
const SPILL: usize = 192 * 1024;
/// Octets read from a file at a time.
const READ_CHUNK: usize = 64 * 1024;

/// Where content files lie, and what writes them.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) incoming: PathBuf,
    pub(crate) content: PathBuf,
    next: Arc<AtomicU64>,
    epoch: Arc<AtomicI64>,
}

impl Place {
    pub(crate) fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self {
            disk,
            incoming: root.join("incoming"),
            content: root.join("content"),
            next: Arc::default(),
            epoch: Arc::default(),
        }
    }

    /// A new opening of the database: names given from now on carry its number.
    pub(crate) fn set_epoch(&self, epoch: i64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A name in `content/` that was never used, and the epoch in it: only names of earlier epochs can be orphans.
    pub(crate) fn name(&self, message: MessageId) -> (String, i64) {
        let epoch = self.epoch.load(Ordering::Acquire);
        (format!("{message}.{epoch}.{}", self.next.fetch_add(1, Ordering::Relaxed)), epoch)
    }

    /// The epoch in a name; nothing for a file that is not ours.
    pub(crate) fn epoch_of(name: &str) -> Option<i64> {
        let mut parts = name.split('.');
        parts.next().filter(|id| id.starts_with("msg_"))?;
        parts.next()?.parse().ok()
    }

    /// Makes a new file in `incoming/`.
    pub(crate) fn create(&self) -> Result<IncomingFile, SpoolError> {
        let path = self.incoming.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = self.disk.create(&path).map_err(|error| io_error("writing", &path, &error))?;
        Ok(IncomingFile { disk: Arc::clone(&self.disk), file, path, moved: false })
    }

    /// Opens a content file by its name.
    pub(crate) fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>, SpoolError> {
        let path = self.content.join(name);
        match self.disk.open(&path) {
            Ok(file) => Ok(Arc::from(file)),
            Err(error) => Err(io_error("reading", &path, &error)),
        }
    }
}

/// An error of the file system in the words of an operator.
pub(crate) fn io_error(doing: &str, path: &Path, error: &io::Error) -> SpoolError {
    let what = format!("{doing} {}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SpoolError::DiskFull { what },
        _ => SpoolError::Io { what, why: error.to_string() },
    }
}

/// A file of `incoming/`. Dropped before it was moved to `content/`, it is removed.
#[derive(Debug)]
pub(crate) struct IncomingFile {
    disk: Arc<dyn Disk>,
    pub(crate) file: Box<dyn AppendFile>,
    pub(crate) path: PathBuf,
    moved: bool,
}

impl IncomingFile {
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.file.append(bytes).map_err(|error| io_error("writing", &self.path, &error))
    }

    /// Gives it its name in `content/`.
    pub(crate) fn rename(&mut self, to: &Path) -> Result<(), SpoolError> {
        self.disk.rename(&self.path, to).map_err(|error| io_error("renaming", &self.path, &error))?;
        self.moved = true;
        Ok(())
    }
}

impl Drop for IncomingFile {
    fn drop(&mut self) {
        // One that cannot be removed is taken at the next start: nothing in incoming/ outlives a process.
        if !self.moved
            && let Err(error) = self.disk.remove(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a rolled back message's file stays until the next start");
        }
    }
}

/// A message that is being received: in memory while small, then in a file of `incoming/`. Dropping it rolls back.
#[derive(Debug)]
pub struct Draft {
    place: Place,
    reserve: Arc<Reserve>,
    /// What is not in the file.
    pub(crate) memory: Vec<u8>,
    pub(crate) file: Option<IncomingFile>,
    size: u64,
    /// Set by a failed write: the file lacks something, so that a commit must fail.
    failed: Option<SpoolError>,
}

impl Draft {
    pub(crate) fn new(place: Place, reserve: Arc<Reserve>) -> Self {
        Self { place, reserve, memory: Vec::new(), file: None, size: 0, failed: None }
    }

    /// Appends content. Waits for the disk only when much has come together; an error makes the draft worthless.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.memory.extend_from_slice(bytes);
        self.size += bytes.len() as u64;
        if self.memory.len() > SPILL { self.spill().await } else { Ok(()) }
    }

    /// Octets written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the commit has to work with, or why an earlier write failed.
    pub(crate) fn finish(self) -> Result<(Place, Vec<u8>, Option<IncomingFile>), SpoolError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok((self.place, self.memory, self.file)),
        }
    }

    /// Moves what is in memory to the file.
    async fn spill(&mut self) -> Result<(), SpoolError> {
        // Until the write has succeeded the draft counts as failed: this future may be dropped at any await.
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.failed = Some(SpoolError::Io { what: "writing a message".into(), why: "a write was given up".into() });
        let (place, file) = (self.place.clone(), self.file.take());
        let mut memory = std::mem::take(&mut self.memory);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = file.map_or_else(|| place.create(), Ok)?;
            file.append(&memory)?;
            memory.clear();
            Ok::<_, SpoolError>((file, memory))
        });
        match written.await.unwrap_or(Err(SpoolError::Closed)) {
            Ok((file, memory)) => {
                (self.file, self.memory, self.failed) = (Some(file), memory, None);
                Ok(())
            }
            Err(error) => {
                let error = self.reserve.judge(error);
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

/// The content of a committed message, read from its beginning. Clones read on their own from where they are.
#[derive(Clone)]
pub struct Content {
    /// What comes before the file: all of a small message, the trace fields of a large one.
    head: Bytes,
    file: Option<Arc<dyn ReadFile>>,
    /// Octets of the file that were read.
    offset: u64,
    size: u64,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Content {
    /// Content that is in memory.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self { size: bytes.len() as u64, head: bytes, file: None, offset: 0 }
    }

    pub(crate) fn from_file(prefix: Bytes, file: Arc<dyn ReadFile>, size: u64) -> Self {
        Self { head: prefix, file: Some(file), offset: 0, size }
    }

    /// Octets in all, read or not.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next piece, at most 64 KiB of a file at a time; `None` at the end. What the page cache has comes at once;
    /// for the rest a thread waits, not the caller's.
    pub async fn read(&mut self) -> Result<Option<Bytes>, SpoolError> {
        if !self.head.is_empty() {
            return Ok(Some(std::mem::take(&mut self.head)));
        }
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let mut buffer = BytesMut::zeroed(READ_CHUNK);
        let count = match file.read_at(&mut buffer, self.offset, Wait::Never).map_err(|error| read_error(&error))? {
            Some(count) => count,
            None => {
                let (file, offset) = (Arc::clone(file), self.offset);
                let read = tokio::task::spawn_blocking(move || {
                    let count = file.read_at(&mut buffer, offset, Wait::Allowed);
                    (count, buffer)
                });
                let (count, filled) = read.await.map_err(|_| SpoolError::Closed)?;
                buffer = filled;
                count.map_err(|error| read_error(&error))?.unwrap_or(0)
            }
        };
        self.offset += count as u64;
        buffer.truncate(count);
        Ok((count > 0).then(|| buffer.freeze()))
    }

    /// The rest as one piece; an error when the whole is larger than `max` octets.
    pub async fn to_bytes(mut self, max: u64) -> Result<Bytes, SpoolError> {
        if self.size > max {
            return Err(SpoolError::Io {
                what: "holding a message in memory".into(),
                why: format!("it has {} octets, {max} are allowed", self.size),
            });
        }
        let first = self.read().await?.unwrap_or_default();
        let Some(second) = self.read().await? else {
            return Ok(first);
        };
        let mut all = BytesMut::with_capacity(usize::try_from(self.size).unwrap_or_default());
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.read().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}

fn read_error(error: &io::Error) -> SpoolError {
    SpoolError::Io { what: "reading a message's file".into(), why: error.to_string() }
}
