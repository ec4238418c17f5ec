//! The pages of a database file as they stand together with its log, read without SQLite: a damaged page hides none of
//! the others.
//!
//! The formats are those of <https://www.sqlite.org/fileformat2.html> (§1.2 and §1.5 for the file, §4 for the log).

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::sqlite::schema::PAGE_SIZE;

/// Octets of a page, as an index. Ours never reserve any at the end, so all of them are usable.
pub(super) const PAGE: usize = PAGE_SIZE as usize;
/// Octets before the first frame of a log.
const LOG_HEADER: usize = 32;
/// Octets before the page of a frame.
const FRAME_HEADER: usize = 24;
/// What a log begins with; the lowest bit says that its checksums read the words of big-endian machines.
const LOG_MAGIC: u32 = 0x377f_0682;
/// Where the first page names the first page of the list of free ones.
const FREE_LIST: usize = 32;

/// A database file and its log.
#[derive(Debug)]
pub(in crate::sqlite) struct Pages {
    file: File,
    in_file: u32,
    log: Option<Log>,
}

#[derive(Debug)]
struct Log {
    file: File,
    /// Where the newest committed form of a page stands.
    newest: HashMap<u32, u64>,
}

impl Pages {
    /// Opens the file, and the log beside it when there is one.
    pub(in crate::sqlite) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let in_file = pages_in(file.metadata()?.len());
        let log = match File::open(PathBuf::from(format!("{}-wal", path.display()))) {
            Ok(file) => Log::read(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { file, in_file, log })
    }

    /// The number of the last page; the first is 1.
    pub(super) fn last(&self) -> u32 {
        let in_log = self.log.as_ref().and_then(|log| log.newest.keys().max().copied());
        self.in_file.max(in_log.unwrap_or(0))
    }

    /// Reads a page. False when there is none of that number, or when the disk does not give it.
    pub(super) fn read(&self, number: u32, page: &mut [u8; PAGE]) -> bool {
        if let Some(log) = &self.log
            && let Some(at) = log.newest.get(&number)
        {
            return log.file.read_exact_at(page, *at).is_ok();
        }
        let Some(before) = number.checked_sub(1).filter(|_| number <= self.in_file) else {
            return false;
        };
        self.file.read_exact_at(page, u64::from(before) * PAGE as u64).is_ok()
    }

    /// The pages that are not in use: what stands on them was deleted. As far as their list can be followed.
    pub(super) fn free(&self) -> HashSet<u32> {
        let mut free = HashSet::new();
        let mut page = [0; PAGE];
        let mut next = if self.read(1, &mut page) { u32_at(&page, FREE_LIST) } else { 0 };
        // A trunk of the list: the next trunk, how many pages it names, their numbers.
        while self.read(next, &mut page) && free.insert(next) {
            let named = (u32_at(&page, 4) as usize).min(PAGE / 4 - 2);
            free.extend((0..named).map(|at| u32_at(&page, 8 + 4 * at)));
            next = u32_at(&page, 0);
        }
        free
    }
}

fn pages_in(octets: u64) -> u32 {
    u32::try_from(octets / PAGE as u64).unwrap_or(u32::MAX)
}

impl Log {
    /// Finds the frames up to the last that ends a transaction and whose checksums hold.
    fn read(file: File) -> io::Result<Option<Self>> {
        let mut header = [0; LOG_HEADER];
        if file.read_exact_at(&mut header, 0).is_err() {
            return Ok(None);
        }
        let (summed, sums) = header.split_at(LOG_HEADER - 8);
        let magic = u32_at(&header, 0);
        if magic & !1 != LOG_MAGIC || u32_at(&header, 8) != PAGE_SIZE {
            return Ok(None);
        }
        let mut checksum = Checksum { first: 0, second: 0, big_endian: magic & 1 == 1 };
        checksum.add(summed);
        if !checksum.is(sums) {
            return Ok(None);
        }
        let (_, salts) = summed.split_at(16);
        Ok(Some(Self { newest: committed(&file, salts, checksum), file }))
    }
}

/// Where the newest committed form of each page stands in a log.
fn committed(file: &File, salts: &[u8], mut checksum: Checksum) -> HashMap<u32, u64> {
    let (mut newest, mut transaction) = (HashMap::new(), Vec::new());
    let (mut header, mut page) = ([0; FRAME_HEADER], [0; PAGE]);
    let mut at = LOG_HEADER as u64;
    loop {
        let page_at = at + FRAME_HEADER as u64;
        if file.read_exact_at(&mut header, at).is_err() || file.read_exact_at(&mut page, page_at).is_err() {
            return newest;
        }
        let (numbers, rest) = header.split_at(8);
        let (its_salts, sums) = rest.split_at(8);
        checksum.add(numbers);
        checksum.add(&page);
        if its_salts != salts || !checksum.is(sums) {
            return newest;
        }
        transaction.push((u32_at(numbers, 0), page_at));
        // The size of the file after the transaction: only its last frame says it.
        if u32_at(numbers, 4) != 0 {
            newest.extend(transaction.drain(..));
        }
        at = page_at + PAGE as u64;
    }
}

/// Two sums over pairs of words, which go on from one frame to the next.
#[derive(Debug)]
struct Checksum {
    first: u32,
    second: u32,
    big_endian: bool,
}

impl Checksum {
    fn add(&mut self, octets: &[u8]) {
        for pair in octets.chunks_exact(8) {
            let [one, two] = [u32_at(pair, 0), u32_at(pair, 4)];
            let [one, two] = if self.big_endian { [one, two] } else { [one.swap_bytes(), two.swap_bytes()] };
            self.first = self.first.wrapping_add(one).wrapping_add(self.second);
            self.second = self.second.wrapping_add(two).wrapping_add(self.first);
        }
    }

    /// Whether these are the sums as they are stored.
    fn is(&self, stored: &[u8]) -> bool {
        (self.first, self.second) == (u32_at(stored, 0), u32_at(stored, 4))
    }
}

/// A number of four octets, the largest first; zero past the end.
pub(super) fn u32_at(octets: &[u8], at: usize) -> u32 {
    octets.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |four| u32::from_be_bytes(*four))
}
