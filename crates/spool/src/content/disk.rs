//! The file layer: every touch of a content file goes through [`Disk`], so that a test can put one there that fails,
//! writes short, or forgets what was not synced.

mod real;

use std::{fmt::Debug, io, path::Path};

pub use real::RealDisk;

/// Whether a read may wait for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Only what the page cache has: never holds up a task.
    Never,
    /// As long as it takes: on a thread for such work.
    Allowed,
}

/// A file system as the spool needs it. All calls may block.
pub trait Disk: Send + Sync + Debug + 'static {
    /// Makes a directory and its parents; one that exists is fine.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes a new file to append to; fails when it exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;
    /// Opens a file to read.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;
    /// Gives a file another name in the same file system. Durable after both directories are synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// A file being written from its beginning to its end.
pub trait AppendFile: Send + Debug {
    /// Writes all of `bytes` at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Asks the system to begin writing to the device, without waiting: a hint that makes several syncs in a row cost
    /// about one.
    fn start_sync(&mut self);
    /// Returns when all that was appended is on the device. After an error the file is not to be trusted.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file being read.
pub trait ReadFile: Send + Sync + Debug {
    /// Octets in the file.
    fn size(&self) -> io::Result<u64>;
    /// Reads at an offset; zero at the end of the file. `None`: it would have to wait, and may not.
    fn read_at(&self, buffer: &mut [u8], offset: u64, wait: Wait) -> io::Result<Option<usize>>;
}
