//! The embedded engine.

use std::{path::PathBuf, sync::Arc};

use mail::Timestamp;

use crate::{SpoolError, disk::Disk};

/// What the engine needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory with everything in it: `data_dir/spool`. Made when it is not there.
    pub dir: PathBuf,
    /// Octets of disk that are kept free: below, [`crate::Spool::begin`] fails.
    pub disk_reserve: u64,
    /// Random bytes: the name of the node, used when a database is made.
    pub node: [u8; 16],
    /// Captured messages kept; older ones go with the next sweep.
    pub captured_max: u64,
    /// The file layer: [`crate::disk::RealDisk`], but for tests.
    pub disk: Arc<dyn Disk>,
    /// The SQLite VFS; `None` is the system's.
    pub vfs: Option<String>,
}

impl Options {
    /// The usual ones: 1 GB of reserve, 10,000 captured messages, the machine's file system.
    pub fn new(dir: impl Into<PathBuf>, node: [u8; 16]) -> Self {
        Self {
            dir: dir.into(),
            disk_reserve: 1_000_000_000,
            node,
            captured_max: 10_000,
            disk: Arc::new(crate::disk::RealDisk),
            vfs: None,
        }
    }
}

/// The SQLite engine.
#[derive(Debug)]
pub struct Engine {
    _private: (),
}

impl Engine {
    /// Opens or makes the queue in `options.dir`.
    pub fn open(options: Options, now: Timestamp) -> Result<Arc<dyn crate::Spool>, SpoolError> {
        let _ = (options, now);
        Err(SpoolError::Closed)
    }
}
