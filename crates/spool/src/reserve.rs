//! The disk reserve: below it no new mail is taken, so that what is there can still be delivered and deleted.
//!
//! A shortage is told to the log once when it begins and once when it ends, however much mail is refused in between:
//!
//! ```text
//!            a look finds too little            a write fails for lack of room,
//!          ┌────────────────────────── Room ───── though a look finds enough ──────┐
//!          ▼                           ▲  ▲                                        ▼
//!        Scarce ── a look finds enough ┘  └────────── a message is written ──── Refused
//! ```

use std::{
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
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
    inodes: AtomicU64,
    /// Whether `shortage` is anything but room, to be asked for every message.
    is_short: AtomicBool,
    shortage: Mutex<Shortage>,
}

/// What the file system said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    /// Octets free.
    free: u64,
    /// Inodes free; a large number where they are not counted.
    inodes: u64,
}

/// What the log was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortage {
    /// There is room.
    Room,
    /// There is less than the reserve.
    Scarce,
    /// There seems to be room, but a write found none: a quota, or no reserve at all.
    Refused,
}

impl Reserve {
    pub(crate) fn new(dir: PathBuf, reserve: u64) -> Self {
        Self {
            dir,
            reserve,
            known: AtomicBool::new(false),
            free: AtomicU64::new(u64::MAX),
            inodes: AtomicU64::new(u64::MAX),
            is_short: AtomicBool::new(false),
            shortage: Mutex::new(Shortage::Room),
        }
    }

    /// Fails below the reserve. `looked` is called when the file system was asked: forget the answer a moment later.
    pub(crate) fn check(&self, looked: impl FnOnce()) -> Result<(), SpoolError> {
        if !self.known.swap(true, Ordering::AcqRel) {
            self.look();
            looked();
        }
        let room = Room { free: self.free.load(Ordering::Acquire), inodes: self.inodes.load(Ordering::Acquire) };
        room.check(self.reserve)
    }

    /// Why a write failed. A full disk is no broken disk.
    pub(crate) fn judge(&self, error: SpoolError) -> SpoolError {
        if matches!(error, SpoolError::DiskFull { .. }) { self.full() } else { error }
    }

    /// The disk turned out to be full.
    pub(crate) fn full(&self) -> SpoolError {
        self.known.store(false, Ordering::Release);
        let room = self.ask();
        match room.check(self.reserve) {
            Err(error) => {
                self.tell(Shortage::Scarce, Some(&error));
                error
            }
            Ok(()) => {
                let error = SpoolError::DiskReserve { free: room.free, reserve: self.reserve };
                self.tell(Shortage::Refused, Some(&error));
                error
            }
        }
    }

    /// A message was written: whatever refused one before is over.
    pub(crate) fn written(&self) {
        if self.is_short.load(Ordering::Relaxed) && *self.shortage() == Shortage::Refused {
            self.tell(Shortage::Room, None);
        }
    }

    /// Lets the next check look again. During a shortage it looks at once, for its end must be told though nobody comes;
    /// returns whether one lasts, so that this is called again.
    pub(crate) fn forget(&self) -> bool {
        self.known.store(false, Ordering::Release);
        if !self.is_short.load(Ordering::Acquire) {
            return false;
        }
        self.look();
        *self.shortage() == Shortage::Scarce
    }

    /// Asks the file system, and tells what is new.
    fn look(&self) {
        let room = self.ask();
        self.free.store(room.free, Ordering::Release);
        self.inodes.store(room.inodes, Ordering::Release);
        match room.check(self.reserve) {
            Err(error) => self.tell(Shortage::Scarce, Some(&error)),
            Ok(()) if *self.shortage() == Shortage::Scarce => self.tell(Shortage::Room, None),
            Ok(()) => {}
        }
    }

    /// A file system that does not answer is taken as having room: the write itself will tell.
    fn ask(&self) -> Room {
        match rustix::fs::statvfs(&self.dir) {
            Ok(stat) => Room {
                free: stat.f_bavail.saturating_mul(stat.f_frsize),
                inodes: if stat.f_files > 0 { stat.f_favail } else { u64::MAX },
            },
            Err(_) => Room { free: u64::MAX, inodes: u64::MAX },
        }
    }

    /// Notes how things are, and logs where a shortage begins or ends.
    fn tell(&self, now: Shortage, why: Option<&SpoolError>) {
        let before = std::mem::replace(&mut *self.shortage(), now);
        self.is_short.store(now != Shortage::Room, Ordering::Release);
        let path = self.dir.display();
        match (before, why) {
            (Shortage::Room, Some(why)) => tracing::error!(
                %path, %why,
                "no new mail is taken (452) for lack of room: free some space, then it goes on by itself"
            ),
            (Shortage::Scarce | Shortage::Refused, None) => {
                tracing::info!(%path, "there is room again: new mail is taken");
            }
            (Shortage::Room, None) | (Shortage::Scarce | Shortage::Refused, Some(_)) => {}
        }
    }

    fn shortage(&self) -> MutexGuard<'_, Shortage> {
        self.shortage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn check(self, reserve: u64) -> Result<(), SpoolError> {
        if self.inodes < INODES_MIN {
            return Err(SpoolError::InodeReserve { free: self.inodes, reserve: INODES_MIN });
        }
        if self.free < reserve {
            return Err(SpoolError::DiskReserve { free: self.free, reserve });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_named() {
        let check = |free, inodes| Room { free, inodes }.check(1000).map_err(|error| error.to_string());
        assert_eq!(check(1000, 100), Ok(()));
        assert_eq!(check(999, 100), Err("the disk is nearly full: 999 bytes free, 1000 are kept in reserve".into()));
        assert_eq!(
            check(u64::MAX, 99),
            Err("the disk has hardly any inodes left: 99 free, 100 are kept in reserve".into())
        );
    }
}
