//! Body hashes (RFC 6376 §3.7): the body is read once, however many signatures want to know its hash.

use aws_lc_rs::digest::{self, SHA256};

use super::canon::{Canon, body::BodyCanon};

/// SHA-256 of something.
pub(crate) type Sha256 = [u8; 32];

/// SHA-256 in the making.
#[derive(Clone)]
pub(crate) struct Hasher(digest::Context);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(digest::Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    pub(crate) fn finish(self) -> Sha256 {
        self.0.finish().as_ref().try_into().expect("SHA-256 has 32 octets")
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

/// SHA-256 of something in one piece.
pub(crate) fn sha256(octets: &[u8]) -> Sha256 {
    let mut hasher = Hasher::new();
    hasher.update(octets);
    hasher.finish()
}

/// Hashes a body while it streams in, once for each distinct pair of canonicalisation and `l=`. All algorithms that are
/// still in use hash by SHA-256. DKIM, ARC and our own signatures share one hasher for each message: each says first
/// what it will want to know, then all pieces of the body go through [`Self::update`].
#[derive(Debug, Default)]
pub struct BodyHasher {
    lanes: Vec<Lane>,
}

/// One canonicalisation and the hashes over it.
#[derive(Debug)]
struct Lane {
    canon: BodyCanon,
    hashes: Hashes,
}

#[derive(Debug)]
struct Hashes {
    /// Canonical octets so far.
    length: u64,
    list: Vec<Hash>,
}

#[derive(Debug)]
struct Hash {
    limit: Option<u64>,
    hasher: Hasher,
}

/// Which hash of a [`BodyHasher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyHashId {
    lane: usize,
    hash: usize,
}

/// A finished hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyHash {
    /// SHA-256 of the canonical body, or of its first octets when there was a limit.
    pub sha256: [u8; 32],
    /// Octets of the whole canonical body.
    pub length: u64,
}

/// All hashes of a [`BodyHasher`].
#[derive(Debug)]
pub struct BodyHashes(Vec<(u64, Vec<Sha256>)>);

impl BodyHasher {
    /// Asks for a hash, of the first `limit` octets if there is one. Ask for all before the first piece.
    pub fn want(&mut self, canon: Canon, limit: Option<u64>) -> BodyHashId {
        let lane = self.lanes.iter().position(|lane| lane.canon.canon() == canon).unwrap_or_else(|| {
            self.lanes.push(Lane::new(canon));
            self.lanes.len() - 1
        });
        let hash = self.lanes.get_mut(lane).map(|lane| lane.hashes.want(limit)).expect("the lane was found or made");
        BodyHashId { lane, hash }
    }

    /// Whether anybody wants a hash. If not, the body need not be shown.
    pub fn is_idle(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Takes a piece of the body, cut anywhere.
    pub fn update(&mut self, octets: &[u8]) {
        for lane in &mut self.lanes {
            lane.canon.update(octets, |octets| lane.hashes.update(octets));
        }
    }

    /// The body has ended.
    pub fn finish(self) -> BodyHashes {
        BodyHashes(self.lanes.into_iter().map(Lane::finish).collect())
    }
}

impl BodyHashes {
    /// The hash that was asked for.
    ///
    /// # Panics
    /// When the id is not from the same hasher.
    pub fn get(&self, id: BodyHashId) -> BodyHash {
        let (length, list) = self.0.get(id.lane).expect("ids are used with the hasher that gave them");
        let sha256 = *list.get(id.hash).expect("ids are used with the hasher that gave them");
        BodyHash { sha256, length: *length }
    }
}

impl Lane {
    fn new(canon: Canon) -> Self {
        Self { canon: BodyCanon::new(canon), hashes: Hashes { length: 0, list: Vec::with_capacity(1) } }
    }

    fn finish(self) -> (u64, Vec<Sha256>) {
        let mut hashes = self.hashes;
        self.canon.finish(|octets| hashes.update(octets));
        (hashes.length, hashes.list.into_iter().map(|hash| hash.hasher.finish()).collect())
    }
}

impl Hashes {
    fn want(&mut self, limit: Option<u64>) -> usize {
        debug_assert_eq!(self.length, 0, "hashes are asked for before the body");
        self.list.iter().position(|hash| hash.limit == limit).unwrap_or_else(|| {
            self.list.push(Hash { limit, hasher: Hasher::new() });
            self.list.len() - 1
        })
    }

    fn update(&mut self, octets: &[u8]) {
        for hash in &mut self.list {
            let left = hash.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.length));
            let taken = usize::try_from(left).unwrap_or(usize::MAX);
            hash.hasher.update(octets.get(..taken).unwrap_or(octets));
        }
        self.length += octets.len() as u64;
    }
}

#[cfg(test)]
mod tests;
