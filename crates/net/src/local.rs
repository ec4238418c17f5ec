//! A socket in the file system, for programs on this machine: the control socket.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

/// A connection between two programs on this machine.
pub type LocalStream = UnixStream;

/// A socket in the file system that only its owner may open. Its file goes away with it.
#[derive(Debug)]
pub struct LocalListener {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalListener {
    /// Makes the socket with mode 0600. One left by a server that was killed is replaced: the caller holds the lock of
    /// the directory, so nobody listens there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        let socket = Self { listener, path: path.to_owned() };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// The next connection with the user id of the program at its other end. Cancel-safe.
    pub async fn accept(&self) -> io::Result<(LocalStream, u32)> {
        let (stream, _) = self.listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        Ok((stream, uid))
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        // Whoever removed it before us did our work.
        let _removed = std::fs::remove_file(&self.path).is_ok();
    }
}

/// Connects to a [`LocalListener`].
pub async fn connect_local(path: &Path) -> io::Result<LocalStream> {
    UnixStream::connect(path).await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn the_owner_gets_in_and_the_file_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        std::fs::write(&path, "left over").unwrap();
        let listener = LocalListener::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut client = connect_local(&path).await.unwrap();
        let (mut server, uid) = listener.accept().await.unwrap();
        assert_eq!(uid, rustix::process::getuid().as_raw());
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        drop(listener);
        assert!(!path.exists());
    }
}
