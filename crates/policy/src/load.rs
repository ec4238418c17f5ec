//! How hard it is for the server, and how much less patience that leaves. Nothing switches: everything tightens and
//! loosens continuously.
//!
//! ```text
//!  tightness 1 ┤            ╭────
//!              │          ╱
//!            0 ┼────────╱
//!              0      half   nine tenths of what there is
//! ```

use std::time::Duration;

/// The share from which on it tightens, in thousandths.
const COMFORT: u32 = 500;
/// The share at which it is as tight as it gets, in thousandths.
const DISTRESS: u32 = 900;
/// The whole, in thousandths.
const WHOLE: u32 = 1000;

/// How tight it is, from 0 (as always) to 1000 (as tight as it gets).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tightness(u32);

impl Tightness {
    /// When so much of so much is used. What has no bound is never tight.
    pub fn of(used: u64, most: u64) -> Self {
        let Some(share) = (u128::from(used) * u128::from(WHOLE)).checked_div(u128::from(most)) else {
            return Self(0);
        };
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        let past = share.saturating_sub(COMFORT).min(DISTRESS - COMFORT);
        Self(past * WHOLE / (DISTRESS - COMFORT))
    }

    /// The thousandths.
    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// From its number; more than the whole is the whole.
    pub fn from_thousandths(thousandths: u32) -> Self {
        Self(thousandths.min(WHOLE))
    }

    /// Between what is usual and the least.
    pub fn between(self, usual: Duration, least: Duration) -> Duration {
        let spare = usual.saturating_sub(least);
        usual.saturating_sub(spare * self.0 / WHOLE)
    }

    /// The same for a number. The least is never more than what is usual.
    pub fn between_numbers(self, usual: u32, least: u32) -> u32 {
        let spare = u64::from(usual.saturating_sub(least)) * u64::from(self.0) / u64::from(WHOLE);
        usual - u32::try_from(spare).unwrap_or(u32::MAX).min(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tightens_between_half_and_nine_tenths() {
        let of = |used, most| Tightness::of(used, most).thousandths();
        assert_eq!([of(0, 100), of(50, 100), of(70, 100), of(90, 100), of(500, 100)], [0, 0, 500, 1000, 1000]);
        assert_eq!([of(5, 0), of(u64::MAX, u64::MAX), of(1, u64::MAX)], [0, 1000, 0]);
        assert!((0..1000).all(|used| of(used, 1000) <= of(used + 1, 1000)));
    }

    #[test]
    fn what_it_does_to_waits_and_numbers() {
        let (usual, least) = (Duration::from_secs(300), Duration::from_secs(30));
        let tight = |thousandths| Tightness::from_thousandths(thousandths);
        assert_eq!(tight(0).between(usual, least), usual);
        assert_eq!(tight(500).between(usual, least), Duration::from_secs(165));
        assert_eq!(tight(5000).between(usual, least), least);
        assert_eq!(tight(1000).between(least, usual), least);
        assert_eq!([tight(0), tight(500), tight(1000)].map(|tight| tight.between_numbers(100, 10)), [100, 55, 10]);
        assert_eq!(tight(1000).between_numbers(5, 10), 5);
    }
}
