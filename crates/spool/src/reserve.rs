//! The disk reserve: below it no new mail is taken, so that what is there can still be delivered and deleted.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::SpoolError;

/// Free inodes below which no new mail is taken, where the file system counts them.
const INODES_MIN: u64 = 100;

/// The free space as last looked at. The answer is good until [`Reserve::forget`] is called, a few times a second.
#[derive(Debug)]
pub(crate) struct Reserve {
    dir: PathBuf,
    reserve: u64,
    known: AtomicBool,
    free: AtomicU64,
}

impl Reserve {
    pub(crate) fn new(dir: PathBuf, reserve: u64) -> Self {
        Self { dir, reserve, known: AtomicBool::new(false), free: AtomicU64::new(u64::MAX) }
    }

    /// Fails below the reserve. `looked` is called when the file system was asked: forget the answer a moment later.
    pub(crate) fn check(&self, looked: impl FnOnce()) -> Result<(), SpoolError> {
        if !self.known.swap(true, Ordering::AcqRel) {
            self.free.store(self.look(), Ordering::Release);
            looked();
        }
        let free = self.free.load(Ordering::Acquire);
        if free < self.reserve { Err(SpoolError::DiskReserve { free, reserve: self.reserve }) } else { Ok(()) }
    }

    /// The disk turned out to be full.
    pub(crate) fn full(&self) -> SpoolError {
        self.forget();
        SpoolError::DiskReserve { free: self.look(), reserve: self.reserve }
    }

    /// Lets the next check look again.
    pub(crate) fn forget(&self) {
        self.known.store(false, Ordering::Release);
    }

    /// Octets free; none when the inodes are at their end. A file system that does not answer is taken as having room:
    /// the write itself will tell.
    fn look(&self) -> u64 {
        match rustix::fs::statvfs(&self.dir) {
            Ok(stat) if stat.f_files > 0 && stat.f_favail < INODES_MIN => 0,
            Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
            Err(_) => u64::MAX,
        }
    }
}
