//! A path that a socket can have. The system takes 107 octets; a deep data_dir is reached through an open directory.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

/// Octets of `sun_path` without its final zero (unix(7)).
const PATH_MAX: usize = 107;

/// A path to use in the place of `path`, and what must stay open while it is used.
pub(super) fn short(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= PATH_MAX {
        return Ok((path.to_owned(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    let folder = File::open(folder)?;
    let through = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((through, Some(folder)))
}
