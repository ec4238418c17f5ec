//! Delivery into a Maildir of our own: durable, atomic, and inside the root whatever the address is.
//!
//! ```text
//! ROOT/<domain>/<local part>/tmp/NAME  written, synced
//!                           /new/NAME  renamed, the folder synced: delivered
//!                           /.Junk/…   the same for what was received under quarantine (a Maildir++ folder)
//! ```
//! Every folder is opened relative to the one before it and never through a symbolic link below ROOT. Lines end with LF,
//! as programs that read a Maildir expect. The name is made of the delivery's id: a delivery repeated after a crash finds
//! the letter there and adds no second one.
//! Everything here blocks; the caller runs it on a thread for such work.

mod path;

use std::{fs::File, io::Write as _, path::Path};

use mail::{DeliveryId, FailureClass, FailureKind, Mailbox, Refusal, Reply, ReversePath, Stage, Timestamp, header};
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};

pub use self::path::folder;

/// Permissions of new folders.
const FOLDER_MODE: u32 = 0o700;
/// Permissions of new letters.
const LETTER_MODE: u32 = 0o600;

/// The name of the folder for what is suspect, and the file by which it is known for a folder (Maildir++).
const JUNK: &str = ".Junk";
const FOLDER_MARK: &str = "maildirfolder";

/// Where in a mailbox a letter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Where all mail goes.
    Inbox,
    /// To what is suspect.
    Junk,
}

impl Folder {
    /// The folder of a message that begins with these octets.
    pub fn of(content: &[u8]) -> Self {
        let name = content.get(..header::QUARANTINE.len());
        let is_marked = name.is_some_and(|name| name.eq_ignore_ascii_case(header::QUARANTINE.as_bytes()))
            && content.get(header::QUARANTINE.len()) == Some(&b':');
        if is_marked { Self::Junk } else { Self::Inbox }
    }
}

/// Who a letter is for and what it is called.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The mailbox.
    pub mailbox: Mailbox,
    /// Where in it.
    pub folder: Folder,
    /// The address it was sent to, when it was another.
    pub original: Option<Mailbox>,
    /// The reverse-path.
    pub reverse_path: ReversePath,
    /// The delivery.
    pub delivery: DeliveryId,
    /// When the message was accepted.
    pub received: Timestamp,
    /// Our host name.
    pub hostname: String,
}

/// Why a letter could not be written: our machine is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct MaildirError {
    /// What was tried, with its path.
    what: String,
    why: String,
    errno: Option<i32>,
}

impl MaildirError {
    fn new(what: String, errno: Errno) -> Self {
        let why = std::io::Error::from(errno).to_string();
        let hint = if matches!(errno, Errno::LOOP | Errno::NOTDIR) {
            " (a symbolic link or a file stands where a folder should)"
        } else {
            ""
        };
        Self { what, why: format!("{why}{hint}"), errno: Some(errno.raw_os_error()) }
    }

    /// The deferral that a sender or operator reads. No path: a sender has no business with it.
    pub fn refusal(&self) -> Refusal {
        let is_full = [Errno::NOSPC, Errno::DQUOT].iter().any(|errno| self.errno == Some(errno.raw_os_error()));
        let (reply, class) = if is_full {
            (Reply::with(452, (4, 3, 1), "there is no room to store the message now"), FailureClass::MailboxFull)
        } else {
            (Reply::with(451, (4, 3, 0), "the mailbox cannot be written to now"), FailureClass::Unknown)
        };
        Refusal { stage: Stage::Local, host: String::new(), reply, from_peer: false, class, kind: FailureKind::Soft }
    }
}

/// A letter that is being written. Dropped before [`Writing::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Writing {
    file: File,
    tmp: OwnedFd,
    new: OwnedFd,
    temporary: String,
    name: String,
    shown: String,
    /// The last octet written was a CR whose LF may still come.
    pending_cr: bool,
    is_finished: bool,
}

impl Writing {
    /// Opens a new file in the mailbox's `tmp`, making the folders that are missing, and writes the fields that final
    /// delivery adds. `nonce` keeps two attempts from the same temporary name.
    pub fn begin(root: &Path, letter: &Letter, nonce: u64) -> Result<Self, MaildirError> {
        let (domain, local) = folder(&letter.mailbox);
        let shown = format!("{}/{domain}/{local}", root.display());
        let root = open_root(root)?;
        let domain = open_folder(&root, &domain, &shown)?;
        let mailbox = open_folder(&domain, &local, &shown)?;
        let mailbox = match letter.folder {
            Folder::Inbox => mailbox,
            Folder::Junk => open_junk(&mailbox, &shown)?,
        };
        let new = open_folder(&mailbox, "new", &shown)?;
        let tmp = open_folder(&mailbox, "tmp", &shown)?;
        open_folder(&mailbox, "cur", &shown)?;
        let name = path::file_name(letter);
        let temporary = format!("{name}.{nonce:016x}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&tmp, &temporary, flags, Mode::from_raw_mode(LETTER_MODE))
            .map_err(|errno| MaildirError::new(format!("creating a file in {shown}/tmp"), errno))?;
        let mut writing =
            Self { file: File::from(file), tmp, new, temporary, name, shown, pending_cr: false, is_finished: false };
        writing.write(delivery_fields(letter).as_bytes())?;
        Ok(writing)
    }

    /// Appends content, CRLF to LF.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), MaildirError> {
        let mut converted = Vec::with_capacity(chunk.len() + 1);
        if self.pending_cr && chunk.first() != Some(&b'\n') && !chunk.is_empty() {
            converted.push(b'\r');
        }
        if !chunk.is_empty() {
            self.pending_cr = chunk.last() == Some(&b'\r');
        }
        let mut rest = chunk.strip_suffix(b"\r").unwrap_or(chunk);
        while let Some(cr) = memchr::memchr(b'\r', rest) {
            let is_line_end = rest.get(cr + 1) == Some(&b'\n');
            converted.extend_from_slice(rest.get(..if is_line_end { cr } else { cr + 1 }).unwrap_or_default());
            rest = rest.get(cr + 1..).unwrap_or_default();
        }
        converted.extend_from_slice(rest);
        self.file.write_all(&converted).map_err(|error| self.error("writing to", &error))
    }

    /// Syncs the letter and gives it its name in `new`. When this returns `Ok`, it is delivered and will stay.
    pub fn finish(mut self) -> Result<(), MaildirError> {
        if self.pending_cr {
            self.file.write_all(b"\r").map_err(|error| self.error("writing to", &error))?;
        }
        self.file.sync_all().map_err(|error| self.error("syncing", &error))?;
        let renamed =
            rustix::fs::renameat_with(&self.tmp, &self.temporary, &self.new, &self.name, RenameFlags::NOREPLACE);
        let renamed = match renamed {
            // Some file systems can't refuse to replace. The name is this delivery's own.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(&self.tmp, &self.temporary, &self.new, &self.name),
            other => other,
        };
        match renamed {
            Ok(()) => self.is_finished = true,
            // An attempt before a crash came this far.
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(MaildirError::new(format!("moving a letter to {}/new", self.shown), errno)),
        }
        rustix::fs::fsync(&self.new).map_err(|errno| MaildirError::new(format!("syncing {}/new", self.shown), errno))
    }

    fn error(&self, what: &str, error: &std::io::Error) -> MaildirError {
        MaildirError {
            what: format!("{what} a file in {}/tmp", self.shown),
            why: error.to_string(),
            errno: error.raw_os_error(),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = rustix::fs::unlinkat(&self.tmp, &self.temporary, AtFlags::empty())
        {
            tracing::warn!(mailbox = self.shown, %error, "a temporary file of a mailbox stays behind");
        }
    }
}

/// RFC 5321 §4.4: final delivery puts the reverse-path in front. Delivered-To tells which of many addresses it was.
fn delivery_fields(letter: &Letter) -> String {
    let address = letter.original.as_ref().unwrap_or(&letter.mailbox);
    format!("Return-Path: {}\r\nDelivered-To: {address}\r\n", letter.reverse_path)
}

/// The operator's own choice: it may be a link.
fn open_root(root: &Path) -> Result<OwnedFd, MaildirError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(rustix::fs::CWD, root, flags, Mode::empty());
    let error = |errno| MaildirError::new(format!("opening {}", root.display()), errno);
    match open() {
        Err(Errno::NOENT) => {
            std::fs::create_dir_all(root).map_err(|io| MaildirError {
                what: format!("creating {}", root.display()),
                why: io.to_string(),
                errno: io.raw_os_error(),
            })?;
            let opened = open().map_err(error)?;
            if let Some(parent) = root.parent()
                && let Ok(parent) = File::open(parent)
            {
                parent.sync_all().map_err(|io| MaildirError {
                    what: format!("syncing the folder of {}", root.display()),
                    why: io.to_string(),
                    errno: io.raw_os_error(),
                })?;
            }
            Ok(opened)
        }
        other => other.map_err(error),
    }
}

/// Opens the folder for what is suspect, and gives it its mark.
fn open_junk(mailbox: &OwnedFd, shown: &str) -> Result<OwnedFd, MaildirError> {
    let junk = open_folder(mailbox, JUNK, shown)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&junk, FOLDER_MARK, flags, Mode::from_raw_mode(LETTER_MODE))
        .map_err(|errno| MaildirError::new(format!("creating {FOLDER_MARK} in {shown}/{JUNK}"), errno))?;
    Ok(junk)
}

/// Opens a folder, never through a link; makes it, durably, when it is missing.
fn open_folder(parent: &OwnedFd, name: &str, shown: &str) -> Result<OwnedFd, MaildirError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(parent, name, flags, Mode::empty());
    let error = |errno| MaildirError::new(format!("opening the folder {name} of {shown}"), errno);
    match open() {
        Err(Errno::NOENT) => {}
        other => return other.map_err(error),
    }
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(FOLDER_MODE)) {
        // Another delivery was quicker.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(MaildirError::new(format!("making the folder {name} of {shown}"), errno)),
    }
    rustix::fs::fsync(parent).map_err(|errno| MaildirError::new(format!("syncing {shown}"), errno))?;
    open().map_err(error)
}

#[cfg(test)]
mod tests;
