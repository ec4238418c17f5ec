//! The sender rewriting scheme: reverse-paths for mail that is passed on.
//!
//! A forwarded letter comes from us, and SPF of its sender's domain does not know us (RFC 7208 §D.2). So it goes on under
//! an address of our own that holds the sender's, and a notification to that address goes back to the sender:
//!
//! ```text
//!  ann@far.example ──────────────────► SRS0=hash=day=far.example=ann@ours.example            (we are the first hop)
//!  SRS0=h=d=far.example=ann@fwd.example ──► SRS1=hash=fwd.example==h=d=far.example=ann@ours.example
//!  SRS1=h=fwd.example==…@fwd2.example ────► SRS1=hash=fwd.example==…@ours.example  (never longer than two hops)
//! ```
//!
//! Only we can make such an address: the hash is keyed. The key is that of a period of ninety days, derived from a secret
//! of the server; the keys of this period and of the last one are known, so that rotation needs no one to remember it. An
//! SRS0 address is good for three weeks, longer than any queue keeps a letter; an SRS1 address, which has no day of its
//! own, as long as its key is. Letters of either case are the same, for some servers change them.
//!
//! There is no RFC. The form is that of the SRS paper (Wong, Mengwong, 2004); hash and day are our own business, as it says.

use aws_lc_rs::{constant_time, hmac};
use mail::{AddressError, Domain, LocalPart, Mailbox, Timestamp};
use zeroize::Zeroizing;

/// Octets of the secret that the keys come from.
pub const SECRET: usize = 32;
/// How long a key makes hashes. It is known for as long again.
const PERIOD_DAYS: i64 = 90;
/// How long an SRS0 address is good.
pub const VALID_DAYS: i64 = 21;
/// Days in which our clock may have gone back since.
const AHEAD_DAYS: i64 = 1;
/// The day wraps around after so many: two letters of base 32.
const DAYS: i64 = 1024;
const SECONDS_OF_DAY: i64 = 86_400;
/// Letters of the hash: 40 bits, for which nobody tries every value through SMTP.
const HASH_LETTERS: usize = 8;
/// RFC 4648 §6, whose letters survive a change of case.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Why a recipient that looks like one of our addresses is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrsError {
    /// It was not made here, or under a key that is forgotten.
    #[error("the hash is not ours")]
    Forged,
    /// It was, too long ago.
    #[error("it is older than {VALID_DAYS} days")]
    Expired,
    /// It begins like one and does not go on like one.
    #[error("it is not complete")]
    Malformed,
}

/// Makes and reads rewritten addresses.
#[derive(Clone)]
pub struct Srs {
    secret: Zeroizing<[u8; SECRET]>,
}

impl std::fmt::Debug for Srs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Srs(<redacted>)")
    }
}

/// The two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Rewritten once: holds the sender.
    Zero,
    /// Rewritten before: holds the first forwarder and what it wrote.
    One,
}

impl Srs {
    /// From a secret of this server for this purpose alone.
    pub fn new(secret: &[u8; SECRET]) -> Self {
        Self { secret: Zeroizing::new(*secret) }
    }

    /// The reverse-path of a letter of `sender` that we pass on, in a domain of ours. Fails when it does not fit into an
    /// address (RFC 5321 §4.5.3.1.1): then it has to go on without one.
    pub fn rewrite(&self, sender: &Mailbox, ours: &Domain, now: Timestamp) -> Result<Mailbox, AddressError> {
        let key = self.key(period(now));
        let before = sender.local.unquoted();
        let local = match kind(before) {
            Some((Kind::Zero, rest)) => one(&key, sender.domain.to_string(), rest),
            // The forwarder between falls out: its SRS1 address would only lead to the first one.
            Some((Kind::One, rest)) => match parts_of_one(rest) {
                Some([_, first, rest]) => one(&key, first.to_owned(), rest),
                None => zero(&key, sender, now),
            },
            None => zero(&key, sender, now),
        };
        Mailbox::new(local_part(&local)?, ours.clone())
    }

    /// Whom a notification to this local part of ours is for. Nothing when it is no rewritten address.
    pub fn original(&self, local: &LocalPart, now: Timestamp) -> Option<Result<Mailbox, SrsError>> {
        let (kind, rest) = kind(local.unquoted())?;
        Some(match kind {
            Kind::Zero => self.open_zero(rest, now),
            Kind::One => self.open_one(rest, now),
        })
    }

    fn open_zero(&self, rest: &str, now: Timestamp) -> Result<Mailbox, SrsError> {
        let mut parts = rest.get(1..).unwrap_or_default().splitn(4, '=');
        let mut part = || parts.next().filter(|part| !part.is_empty()).ok_or(SrsError::Malformed);
        let [hash, day, domain, local] = [part()?, part()?, part()?, part()?];
        self.require(Kind::Zero, hash, &[day, domain, local], now)?;
        let day = read_day(day).ok_or(SrsError::Malformed)?;
        let age = (days(now) - day).rem_euclid(DAYS);
        if age > VALID_DAYS && age < DAYS - AHEAD_DAYS {
            return Err(SrsError::Expired);
        }
        mailbox(local, domain)
    }

    fn open_one(&self, rest: &str, now: Timestamp) -> Result<Mailbox, SrsError> {
        let [hash, first, rest] = parts_of_one(rest).ok_or(SrsError::Malformed)?;
        self.require(Kind::One, hash, &[first, rest], now)?;
        mailbox(&format!("SRS0{rest}"), first)
    }

    /// Refuses a hash that neither key makes.
    fn require(&self, kind: Kind, given: &str, parts: &[&str], now: Timestamp) -> Result<(), SrsError> {
        let given = given.to_ascii_uppercase();
        let mut periods = [period(now), period(now) - 1].into_iter();
        let made = periods.any(|period| {
            let hash = hash(&self.key(period), kind, parts);
            constant_time::verify_slices_are_equal(hash.as_bytes(), given.as_bytes()).is_ok()
        });
        if made { Ok(()) } else { Err(SrsError::Forged) }
    }

    fn key(&self, period: i64) -> hmac::Key {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &self.secret[..]);
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, &period.to_be_bytes()).as_ref())
    }
}

/// Whether a local part begins as rewritten addresses do, and what follows.
fn kind(local: &str) -> Option<(Kind, &str)> {
    let (word, rest) = local.split_at_checked(4)?;
    let kind = match word {
        word if word.eq_ignore_ascii_case("SRS0") => Kind::Zero,
        word if word.eq_ignore_ascii_case("SRS1") => Kind::One,
        _ => return None,
    };
    rest.starts_with(['=', '+', '-']).then_some((kind, rest))
}

/// `=hash=first.example=rest`, where the rest begins with the separator of the first forwarder.
fn parts_of_one(rest: &str) -> Option<[&str; 3]> {
    let mut parts = rest.get(1..)?.splitn(3, '=');
    let parts = [parts.next()?, parts.next()?, parts.next()?];
    let [_, _, written] = parts;
    (parts.iter().all(|part| !part.is_empty()) && written.starts_with(['=', '+', '-'])).then_some(parts)
}

fn zero(key: &hmac::Key, sender: &Mailbox, now: Timestamp) -> String {
    let (day, domain, local) = (write_day(days(now)), sender.domain.to_string(), sender.local.unquoted());
    let hash = hash(key, Kind::Zero, &[&day, &domain, local]);
    format!("SRS0={hash}={day}={domain}={local}")
}

fn one(key: &hmac::Key, first: String, rest: &str) -> String {
    let hash = hash(key, Kind::One, &[&first, rest]);
    format!("SRS1={hash}={first}={rest}")
}

/// The keyed hash of the parts, in letters. No part has a NUL, so they cannot be cut differently.
fn hash(key: &hmac::Key, kind: Kind, parts: &[&str]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(match kind {
        Kind::Zero => b"0",
        Kind::One => b"1",
    });
    for part in parts {
        context.update(b"\0");
        context.update(part.to_ascii_lowercase().as_bytes());
    }
    let tag = context.sign();
    let octets = tag.as_ref().iter().take(5).fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
    (0..HASH_LETTERS).rev().map(|place| letter(octets >> (place * 5))).collect()
}

fn letter(bits: u64) -> char {
    let index = usize::try_from(bits % 32).unwrap_or_default();
    BASE32.get(index).map_or('A', |letter| char::from(*letter))
}

/// An unquoted text as a local part, quoted where it must be.
fn local_part(text: &str) -> Result<LocalPart, AddressError> {
    text.parse().or_else(|error| match error {
        AddressError::BadLocalPart => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).parse(),
        other => Err(other),
    })
}

fn mailbox(local: &str, domain: &str) -> Result<Mailbox, SrsError> {
    let local = local_part(local).map_err(|_| SrsError::Malformed)?;
    let domain = domain.parse().map_err(|_| SrsError::Malformed)?;
    Mailbox::new(local, domain).map_err(|_| SrsError::Malformed)
}

fn days(now: Timestamp) -> i64 {
    now.as_secs().div_euclid(SECONDS_OF_DAY)
}

fn period(now: Timestamp) -> i64 {
    days(now).div_euclid(PERIOD_DAYS)
}

fn write_day(day: i64) -> String {
    let day = u64::try_from(day.rem_euclid(DAYS)).unwrap_or_default();
    [letter(day >> 5), letter(day)].iter().collect()
}

fn read_day(text: &str) -> Option<i64> {
    let digit = |byte: u8| BASE32.iter().position(|letter| *letter == byte.to_ascii_uppercase());
    let [high, low] = text.as_bytes() else { return None };
    i64::try_from(digit(*high)? * 32 + digit(*low)?).ok()
}

#[cfg(test)]
mod tests;
