//! A point in time on the wall clock.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::date;

/// Microseconds since 1970-01-01T00:00:00Z. `Display` is RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time that `micros` microseconds after the epoch name.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The time that `secs` seconds after the epoch name.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How long after `earlier` this is; zero when it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }

    /// The form of a Date field, in UTC: `Tue, 24 Nov 2026 08:16:09 +0000` (RFC 5322 §3.3).
    pub fn to_rfc5322(self) -> String {
        date::rfc5322(self.as_secs())
    }

    /// The form of logs and APIs, with microseconds: `2026-11-24T08:16:09.000000Z` (RFC 3339 §5.6).
    pub fn to_rfc3339(self) -> String {
        date::rfc3339(self.0)
    }

    /// Reads that form: UTC only, the fraction optional.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        date::parse_rfc3339(text).map(Self)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, wait: Duration) -> Self {
        let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, wait: Duration) -> Self {
        let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}
