//! A file layer in memory that fails when told to, and that forgets at a power cut what was not synced: data of files
//! and names in directories, each on its own.

use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use spool::disk::{AppendFile, Disk, ReadFile, Wait};

use super::vfs::World;

/// Numbers that look random and come again with the same seed.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }
}

/// The calls of the file layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileCall {
    Create,
    Append,
    Sync,
    Rename,
    SyncDirectory,
}

#[derive(Clone, Debug, Default)]
struct Data {
    bytes: Vec<u8>,
    synced: bool,
}

#[derive(Clone, Debug)]
enum NameOp {
    Add(PathBuf, u64),
    Remove(PathBuf),
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    data: HashMap<u64, Data>,
    names: HashMap<PathBuf, u64>,
    durable: HashMap<PathBuf, u64>,
    /// By directory, in order.
    pending: Vec<(PathBuf, NameOp)>,
    plan: Option<(FileCall, i32)>,
}

/// The disk. Clones are one disk.
#[derive(Clone)]
pub(crate) struct FaultyDisk {
    state: Arc<Mutex<State>>,
    world: Arc<World>,
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyDisk")
    }
}

impl FaultyDisk {
    /// An empty disk that has the power of this world.
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { state: Arc::default(), world: Arc::clone(world) }
    }

    /// Lets the next call of this kind fail, with this error number.
    pub(crate) fn fail(&self, call: FileCall, errno: i32) {
        self.state.lock().unwrap().plan = Some((call, errno));
    }

    pub(crate) fn names(&self) -> Vec<PathBuf> {
        self.state.lock().unwrap().names.keys().cloned().collect()
    }

    /// What is left after a cut, on a disk with the power of another world.
    pub(crate) fn after_cut(&self, dice: &mut Dice, world: &Arc<World>) -> Self {
        let state = self.state.lock().unwrap();
        let mut names = state.durable.clone();
        for (_, op) in &state.pending {
            if dice.below(2) == 0 {
                apply(&mut names, op);
            }
        }
        let mut data = state.data.clone();
        for file in data.values_mut().filter(|file| !file.synced) {
            let kept = dice.below(file.bytes.len() as u64 + 1);
            file.bytes.truncate(usize::try_from(kept).unwrap());
            file.synced = true;
        }
        let state = State { next: state.next, data, durable: names.clone(), names, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), world: Arc::clone(world) }
    }

    fn begin(&self, call: FileCall) -> io::Result<()> {
        self.powered()?;
        let mut state = self.state.lock().unwrap();
        match state.plan {
            Some((planned, errno)) if planned == call => {
                state.plan = None;
                Err(io::Error::from_raw_os_error(errno))
            }
            _ => Ok(()),
        }
    }

    fn powered(&self) -> io::Result<()> {
        if self.world.powered() { Ok(()) } else { Err(io::Error::other("no power")) }
    }
}

fn apply(names: &mut HashMap<PathBuf, u64>, op: &NameOp) {
    match op {
        NameOp::Add(path, id) => {
            names.insert(path.clone(), *id);
        }
        NameOp::Remove(path) => {
            names.remove(path);
        }
    }
}

impl State {
    fn change(&mut self, op: NameOp) {
        apply(&mut self.names, &op);
        let (NameOp::Add(path, _) | NameOp::Remove(path)) = &op;
        self.pending.push((path.parent().unwrap().to_owned(), op));
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk for FaultyDisk {
    fn make_directory(&self, _path: &Path) -> io::Result<()> {
        self.powered()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.begin(FileCall::Create)?;
        let mut state = self.state.lock().unwrap();
        if state.names.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        state.next += 1;
        let id = state.next;
        state.data.insert(id, Data::default());
        state.change(NameOp::Add(path.to_owned(), id));
        Ok(Box::new(Handle { disk: self.clone(), id }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let state = self.state.lock().unwrap();
        let id = *state.names.get(path).ok_or_else(not_found)?;
        Ok(Box::new(Handle { disk: self.clone(), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin(FileCall::Rename)?;
        let mut state = self.state.lock().unwrap();
        let id = *state.names.get(from).ok_or_else(not_found)?;
        state.change(NameOp::Add(to.to_owned(), id));
        state.change(NameOp::Remove(from.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.powered()?;
        let mut state = self.state.lock().unwrap();
        if state.names.contains_key(path) {
            state.change(NameOp::Remove(path.to_owned()));
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.begin(FileCall::SyncDirectory)?;
        let mut state = self.state.lock().unwrap();
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.pending).into_iter().partition(|(directory, _)| directory == path);
        for (_, op) in now {
            apply(&mut state.durable, &op);
        }
        state.pending = later;
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.powered()?;
        let state = self.state.lock().unwrap();
        let inside = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.map(|name| name.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }
}

#[derive(Debug)]
struct Handle {
    disk: FaultyDisk,
    id: u64,
}

impl AppendFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let result = self.disk.begin(FileCall::Append);
        let mut state = self.disk.state.lock().unwrap();
        let data = state.data.get_mut(&self.id).unwrap();
        // One that fails has written half.
        let count = if result.is_ok() { bytes.len() } else { bytes.len() / 2 };
        data.bytes.extend_from_slice(&bytes[..count]);
        data.synced = false;
        result
    }

    fn start_sync(&mut self) {}

    fn sync(&mut self) -> io::Result<()> {
        self.disk.begin(FileCall::Sync)?;
        let mut state = self.disk.state.lock().unwrap();
        state.data.get_mut(&self.id).unwrap().synced = true;
        Ok(())
    }
}

impl ReadFile for Handle {
    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state.lock().unwrap();
        Ok(state.data.get(&self.id).ok_or_else(not_found)?.bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64, wait: Wait) -> io::Result<Option<usize>> {
        if wait == Wait::Never && offset.is_multiple_of(3) {
            return Ok(None);
        }
        let state = self.disk.state.lock().unwrap();
        let bytes = &state.data.get(&self.id).ok_or_else(not_found)?.bytes;
        let rest = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(Some(count))
    }
}
