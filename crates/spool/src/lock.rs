//! One server per directory: an advisory lock that the system lets go when its process ends, however it ends.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use crate::{SpoolError, content::io_error};

/// The right to a directory, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a directory, which is made when it is not there. The file `lock` in it names our process.
    pub fn take(directory: &Path) -> Result<Self, SpoolError> {
        std::fs::create_dir_all(directory).map_err(|error| io_error("making the directory", directory, &error))?;
        let path = directory.join("lock");
        let failed = |error: &std::io::Error| io_error("locking with", &path, error);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(|error| failed(&error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(SpoolError::InUse(described(directory, &mut file))),
            Err(error) => return Err(failed(&error.into())),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        // The lock holds without the number; a full disk must not keep the server from starting.
        if let Err(error) = written {
            tracing::debug!(path = %path.display(), %error, "the lock's process number was not written");
        }
        Ok(Self { _file: file })
    }
}

/// The directory and who has it.
fn described(directory: &Path, file: &mut File) -> String {
    let mut text = String::new();
    let holder = match file.take(20).read_to_string(&mut text).map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(pid)) => format!("process {pid}"),
        _ => "a process that has not written its number".into(),
    };
    format!("{} is held by {holder}", directory.display())
}
