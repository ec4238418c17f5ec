//! A SQLite VFS over the system's that fails when told to, and that can lose power: it remembers what was written and
//! not synced, and after a cut puts the files into a state that a disk might have been left in.
//!
//! Locks and shared memory go to the system's VFS. Real syncs are left out: what counts as durable is kept here.
#![expect(unsafe_code, reason = "SQLite calls a VFS through C function pointers")]

use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::{Path, PathBuf},
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
};

use rusqlite::ffi::{
    self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};

use super::disk::Dice;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails and does nothing.
    Error,
    /// Half of it is written, then it fails.
    Short,
    /// No space is left.
    Full,
    /// A sync fails, and what it should have made durable never will be, though it reads back well.
    LostSync,
}

/// The calls that can fail, counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Write,
    Sync,
}

#[derive(Debug)]
enum Op {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Default)]
struct Shadow {
    synced: Vec<u8>,
    pending: Vec<Op>,
}

/// What the VFS of one test knows, and is told.
#[derive(Debug, Default)]
pub(crate) struct World {
    files: Mutex<HashMap<PathBuf, Shadow>>,
    plan: Mutex<Option<(Call, u64, Fault)>>,
    writes: AtomicU64,
    syncs: AtomicU64,
    /// Calls of any kind left until the power goes.
    left: AtomicU64,
    dead: AtomicBool,
    fired: AtomicBool,
    /// The next sync says that it has come, and waits until it may go on.
    stopped: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

impl World {
    /// A new world and the name of its VFS.
    pub(crate) fn new() -> (Arc<Self>, String) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let world = Arc::new(Self { left: AtomicU64::new(u64::MAX), ..Self::default() });
        let name = format!("faulty-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        register(&name, Arc::clone(&world));
        (world, name)
    }

    /// Lets the `nth` call from now of this kind fail, once.
    pub(crate) fn fail(&self, call: Call, nth: u64, fault: Fault) {
        self.writes.store(0, Ordering::SeqCst);
        self.syncs.store(0, Ordering::SeqCst);
        self.fired.store(false, Ordering::SeqCst);
        *self.plan.lock().unwrap() = Some((call, nth, fault));
    }

    /// Stops the next sync. The first end tells when it has come; the second, used or dropped, lets it go on.
    pub(crate) fn stop_next_sync(&self) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((come, told), (go, may_go)) = (mpsc::channel(), mpsc::channel());
        *self.stopped.lock().unwrap() = Some((come, may_go));
        (told, go)
    }

    /// Whether the planned fault has happened.
    pub(crate) fn fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }

    /// Takes the power away after so many more calls.
    pub(crate) fn cut_after(&self, calls: u64) {
        self.left.store(calls, Ordering::SeqCst);
    }

    pub(crate) fn cut(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Counts a call; false when there is no power.
    pub(crate) fn powered(&self) -> bool {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            self.cut();
        }
        !self.is_dead()
    }

    /// After a cut and with all files closed: what the disk was left with. Of what was not synced, each sector of 512
    /// octets may have been written or not.
    pub(crate) fn restore(&self, dice: &mut Dice) {
        for (path, shadow) in self.files.lock().unwrap().iter() {
            if path.to_string_lossy().ends_with("-shm") {
                continue;
            }
            let mut image = shadow.synced.clone();
            for op in &shadow.pending {
                match op {
                    Op::Truncate(size) if dice.below(2) == 0 => image.truncate(*size),
                    Op::Truncate(_) => {}
                    Op::Write(offset, bytes) => {
                        for (n, sector) in bytes.chunks(512).enumerate() {
                            if dice.below(2) == 0 {
                                write_at(&mut image, offset + n * 512, sector);
                            }
                        }
                    }
                }
            }
            std::fs::write(path, image).unwrap();
            let _gone = std::fs::remove_file(format!("{}-shm", path.display()));
        }
    }

    fn fault(&self, call: Call) -> Option<Fault> {
        let counter = match call {
            Call::Write => &self.writes,
            Call::Sync => &self.syncs,
        };
        let n = counter.fetch_add(1, Ordering::SeqCst) + 1;
        let mut plan = self.plan.lock().unwrap();
        let (_, _, fault) = plan.filter(|(planned, nth, _)| *planned == call && *nth == n)?;
        *plan = None;
        self.fired.store(true, Ordering::SeqCst);
        Some(fault)
    }

    fn with<T>(&self, path: &Path, change: impl FnOnce(&mut Shadow) -> T) -> T {
        let mut files = self.files.lock().unwrap();
        if !files.contains_key(path) {
            // What was there before this world began is durable.
            let synced = std::fs::read(path).unwrap_or_default();
            files.insert(path.to_owned(), Shadow { synced, pending: Vec::new() });
        }
        change(files.get_mut(path).unwrap())
    }

    fn wrote(&self, path: &Path, op: Op) {
        self.with(path, |shadow| shadow.pending.push(op));
    }

    fn synced(&self, path: &Path) {
        self.with(path, |shadow| {
            for op in shadow.pending.drain(..) {
                match op {
                    Op::Write(offset, bytes) => write_at(&mut shadow.synced, offset, &bytes),
                    Op::Truncate(size) => shadow.synced.truncate(size),
                }
            }
        });
    }
}

fn write_at(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

struct App {
    world: Arc<World>,
    inner: *mut sqlite3_vfs,
}

/// Ours comes first, the system's file behind it in the same allocation.
#[repr(C)]
struct File {
    base: sqlite3_file,
    app: *const App,
    path: *mut PathBuf,
}

/// Where the system's file begins.
const INNER_AT: usize = size_of::<File>().next_multiple_of(16);

fn register(name: &str, world: Arc<World>) {
    // SAFETY: the default VFS lives for ever; what is registered here is leaked on purpose, so it does too.
    unsafe {
        let inner = sqlite3_vfs_find(ptr::null());
        assert!(!inner.is_null());
        let app = Box::into_raw(Box::new(App { world, inner }));
        let vfs = Box::new(sqlite3_vfs {
            szOsFile: i32::try_from(INNER_AT).unwrap() + (*inner).szOsFile,
            zName: CString::new(name).unwrap().into_raw(),
            pAppData: app.cast(),
            pNext: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            ..*inner
        });
        assert_eq!(sqlite3_vfs_register(Box::into_raw(vfs), 0), ffi::SQLITE_OK);
    }
}

unsafe fn app(vfs: *mut sqlite3_vfs) -> &'static App {
    // SAFETY: set in `register`, never freed.
    unsafe { &*(*vfs).pAppData.cast::<App>() }
}

unsafe fn ours(file: *mut sqlite3_file) -> (&'static App, &'static Path, *mut sqlite3_file) {
    // SAFETY: SQLite gives back the allocation that `open` filled, until `close`.
    unsafe {
        let file = file.cast::<File>();
        (&*(*file).app, (*(*file).path).as_path(), file.cast::<u8>().add(INNER_AT).cast())
    }
}

/// Calls a method of the system's file.
macro_rules! inner {
    ($file:expr, $method:ident $(, $argument:expr)*) => {
        // SAFETY: `open` has filled the system's file, and its methods are never null there.
        unsafe { ((*(*$file).pMethods).$method.unwrap())($file $(, $argument)*) }
    };
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: called by SQLite with an allocation of szOsFile octets.
    unsafe {
        let app = app(vfs);
        (*file).pMethods = ptr::null();
        if !app.world.powered() {
            return ffi::SQLITE_CANTOPEN;
        }
        let inner: *mut sqlite3_file = file.cast::<u8>().add(INNER_AT).cast();
        (*inner).pMethods = ptr::null();
        let result = (*app.inner).xOpen.unwrap()(app.inner, name, inner, flags, out);
        if result != ffi::SQLITE_OK {
            return result;
        }
        let path = if name.is_null() {
            PathBuf::from("(temporary)")
        } else {
            PathBuf::from(CStr::from_ptr(name).to_string_lossy().into_owned())
        };
        app.world.with(&path, |_| ());
        let file = file.cast::<File>();
        (*file).app = app;
        (*file).path = Box::into_raw(Box::new(path));
        (*file).base.pMethods = &METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: called by SQLite with a valid name.
    unsafe {
        let app = app(vfs);
        if !app.world.powered() {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let path = PathBuf::from(CStr::from_ptr(name).to_string_lossy().into_owned());
        app.world.files.lock().unwrap().remove(&path);
        (*app.inner).xDelete.unwrap()(app.inner, name, sync)
    }
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the last call for this file.
    unsafe {
        let (_, _, inner) = ours(file);
        let result = (*(*inner).pMethods).xClose.unwrap()(inner);
        drop(Box::from_raw((*file.cast::<File>()).path));
        result
    }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, count: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: arguments go on as they came.
    let (app, _, inner) = unsafe { ours(file) };
    if app.world.is_dead() {
        return ffi::SQLITE_IOERR_READ;
    }
    inner!(inner, xRead, to, count, offset)
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, count: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives `count` readable octets.
    let (app, path, inner) = unsafe { ours(file) };
    if !app.world.powered() {
        return ffi::SQLITE_IOERR_WRITE;
    }
    let fault = app.world.fault(Call::Write);
    let count = match fault {
        None => count,
        Some(Fault::Short) => count / 2,
        Some(Fault::Full) => return ffi::SQLITE_FULL,
        Some(Fault::Error | Fault::LostSync) => return ffi::SQLITE_IOERR_WRITE,
    };
    // SAFETY: as above, and `count` has only become smaller.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(count).unwrap()) };
    app.world.wrote(path, Op::Write(usize::try_from(offset).unwrap(), bytes.to_vec()));
    let result = inner!(inner, xWrite, from, count, offset);
    if fault.is_some() { ffi::SQLITE_IOERR_WRITE } else { result }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: arguments go on as they came.
    let (app, path, inner) = unsafe { ours(file) };
    if !app.world.powered() {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    app.world.wrote(path, Op::Truncate(usize::try_from(size).unwrap()));
    inner!(inner, xTruncate, size)
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let (app, path, _) = unsafe { ours(file) };
    let stopped = app.world.stopped.lock().unwrap().take();
    if let Some((come, may_go)) = stopped {
        let _told = come.send(()).is_ok();
        let _released = may_go.recv().is_ok();
    }
    if !app.world.powered() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    match app.world.fault(Call::Sync) {
        None => {
            app.world.synced(path);
            ffi::SQLITE_OK
        }
        Some(Fault::LostSync) => {
            app.world.with(path, |shadow| shadow.pending.clear());
            ffi::SQLITE_IOERR_FSYNC
        }
        Some(_) => ffi::SQLITE_IOERR_FSYNC,
    }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    // SAFETY: arguments go on as they came.
    let (_, _, inner) = unsafe { ours(file) };
    inner!(inner, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: arguments go on as they came.
    let (_, _, inner) = unsafe { ours(file) };
    inner!(inner, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: arguments go on as they came.
    let (_, _, inner) = unsafe { ours(file) };
    inner!(inner, xUnlock, level)
}

unsafe extern "C" fn check_reserved(file: *mut sqlite3_file, result: *mut c_int) -> c_int {
    // SAFETY: arguments go on as they came.
    let (_, _, inner) = unsafe { ours(file) };
    inner!(inner, xCheckReservedLock, result)
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: arguments go on as they came.
    let (_, _, inner) = unsafe { ours(file) };
    inner!(inner, xFileControl, op, argument)
}

unsafe extern "C" fn sector_size(_file: *mut sqlite3_file) -> c_int {
    512
}

unsafe extern "C" fn characteristics(_file: *mut sqlite3_file) -> c_int {
    // Nothing is promised: no safe append, no atomic write, no protection of what lies beside a write.
    0
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: arguments go on as they came.
    let (_, _, inner) = unsafe { ours(file) };
    inner!(inner, xShmMap, page, size, extend, out)
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    // SAFETY: arguments go on as they came.
    let (_, _, inner) = unsafe { ours(file) };
    inner!(inner, xShmLock, offset, n, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: arguments go on as they came.
    let (_, _, inner) = unsafe { ours(file) };
    inner!(inner, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: arguments go on as they came.
    let (_, _, inner) = unsafe { ours(file) };
    inner!(inner, xShmUnmap, delete)
}
