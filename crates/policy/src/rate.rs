//! So many in so long: a meter that needs no window and no timer.
//!
//! ```text
//!         full_at (when all that was taken is earned back)
//!  now ──────┼───────────────┐
//!            ├── debt ───────┤ per        taken while debt + cost ≤ per
//! ```
//!
//! Each thing taken costs `per / count` of time; the debt runs off with time. So `count` may come at once, and from
//! then on one in each `per / count` (the generic cell rate algorithm). There is no edge at which twice as many fit.

use std::time::{Duration, Instant};

/// How far past its bound a meter can be charged, in lengths of `per`: a flood is forgotten after that time.
const DEBT_MAX: u32 = 2;

/// So many in so long. A count of zero is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

impl Rate {
    /// No bound.
    pub const NONE: Self = Self { count: 0, per: Duration::ZERO };

    /// So many a minute.
    pub const fn per_minute(count: u32) -> Self {
        Self { count, per: Duration::from_secs(60) }
    }

    /// So many an hour.
    pub const fn per_hour(count: u32) -> Self {
        Self { count, per: Duration::from_secs(3600) }
    }

    /// The same for so many together. No bound stays none.
    pub const fn times(self, factor: u32) -> Self {
        Self { count: self.count.saturating_mul(factor), per: self.per }
    }

    /// What one costs.
    fn interval(self) -> Duration {
        self.per.checked_div(self.count).unwrap_or_default()
    }
}

/// How much of a rate is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    full_at: Option<Instant>,
}

impl Meter {
    /// Takes so many. When there is no room nothing is taken, and the error says after how long there will be.
    pub fn take(&mut self, rate: Rate, count: u32, now: Instant) -> Result<(), Duration> {
        if rate.count == 0 {
            return Ok(());
        }
        let full_at = self.begin(now) + rate.interval() * count;
        match (full_at - now).checked_sub(rate.per) {
            None | Some(Duration::ZERO) => {
                self.full_at = Some(full_at);
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }

    /// Counts what has happened already.
    pub fn charge(&mut self, rate: Rate, count: u32, now: Instant) {
        if rate.count == 0 || count == 0 {
            return;
        }
        let most = now + rate.per * DEBT_MAX;
        self.full_at = Some((self.begin(now) + rate.interval().saturating_mul(count)).min(most));
    }

    /// How long until one more fits; nothing when it fits now.
    pub fn wait(&self, rate: Rate, now: Instant) -> Option<Duration> {
        let mut copy = *self;
        copy.take(rate, 1, now).err()
    }

    /// Forgives so many.
    pub fn forgive(&mut self, rate: Rate, count: u32, now: Instant) {
        if let Some(full_at) = self.full_at {
            let credit = rate.interval().saturating_mul(count);
            self.full_at = full_at.checked_sub(credit).filter(|full_at| *full_at > now);
        }
    }

    fn begin(&self, now: Instant) -> Instant {
        self.full_at.map_or(now, |full_at| full_at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::start;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn so_many_at_once_and_then_as_they_are_earned() {
        let (mut meter, rate, now) = (Meter::default(), Rate::per_minute(60), start());
        for _ in 0..60 {
            assert_eq!(meter.take(rate, 1, now), Ok(()));
        }
        assert_eq!(meter.take(rate, 1, now), Err(SECOND));
        assert_eq!(meter.take(rate, 1, now + SECOND), Ok(()));
        assert_eq!(meter.take(rate, 5, now + SECOND), Err(5 * SECOND));
        assert_eq!(meter.take(rate, 60, now + 61 * SECOND), Ok(()));
    }

    #[test]
    fn a_flood_is_forgotten_after_twice_its_time() {
        let (mut meter, rate, now) = (Meter::default(), Rate::per_hour(10), start());
        meter.charge(rate, u32::MAX, now);
        assert!(meter.wait(rate, now + Duration::from_secs(3600)).is_some());
        assert_eq!(meter.wait(rate, now + Duration::from_secs(7200)), None);
        meter.charge(rate, 10, now + Duration::from_secs(7200));
        assert!(meter.wait(rate, now + Duration::from_secs(7200)).is_some());
        meter.forgive(rate, 1, now + Duration::from_secs(7200));
        assert_eq!(meter.wait(rate, now + Duration::from_secs(7200)), None);
    }

    #[test]
    fn no_bound_is_none() {
        let (mut meter, now) = (Meter::default(), start());
        meter.charge(Rate::NONE, 1000, now);
        assert_eq!(
            (meter.take(Rate::NONE, u32::MAX, now), meter, Rate::NONE.times(4)),
            (Ok(()), Meter::default(), Rate::NONE)
        );
    }

    proptest! {
        /// In any stretch as long as `per`, at most twice `count` are taken: the burst, and what is earned meanwhile.
        #[test]
        fn it_never_lets_more_through(count in 1_u32..50, waits in prop::collection::vec(0_u64..3000, 1..200)) {
            let rate = Rate::per_minute(count);
            let (mut meter, mut now, mut taken) = (Meter::default(), start(), Vec::new());
            for wait in waits {
                now += Duration::from_millis(wait);
                if meter.take(rate, 1, now).is_ok() {
                    taken.push(now);
                }
            }
            for (place, first) in taken.iter().enumerate() {
                let within = taken[place..].iter().filter(|at| **at < *first + rate.per).count();
                prop_assert!(within <= 2 * count as usize, "{within} of {count}");
            }
        }
    }
}
