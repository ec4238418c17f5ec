//! How long somebody waits who keeps guessing: some tries for nothing, then each wait twice the one before.
//!
//! ```text
//!  tries:  1 … free │ free+1  free+2  free+3 …
//!  wait:      none  │  first   2×first 4×first … longest
//! ```
//!
//! A try counts when it begins, so that a thousand at once are no way around it; a good one is given back. Half of what
//! was counted is forgotten in each `half_life`.

use std::time::{Duration, Instant};

/// How it grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Tries without a wait.
    pub free: u32,
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// In how long half of the tries are forgotten.
    pub half_life: Duration,
}

/// What somebody has tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    tries: u32,
    until: Option<Instant>,
    latest: Option<Instant>,
}

impl Backoff {
    /// A try. An error while it has to wait, with how long still; such a try is not counted.
    pub fn begin(&mut self, schedule: &Schedule, now: Instant) -> Result<(), Duration> {
        if let Some(wait) = self.wait(now) {
            return Err(wait);
        }
        self.forget(schedule, now);
        self.tries = self.tries.saturating_add(1);
        self.latest = Some(now);
        self.until = self.tries.checked_sub(schedule.free + 1).map(|doublings| {
            let factor = 1_u32.checked_shl(doublings).filter(|factor| *factor > 0).unwrap_or(u32::MAX);
            now + schedule.first.saturating_mul(factor).min(schedule.longest)
        });
        Ok(())
    }

    /// The try was a good one: it is not counted, and the next one need not wait for it.
    pub fn succeeded(&mut self) {
        self.tries = self.tries.saturating_sub(1);
        self.until = None;
    }

    /// How long it has to wait; nothing when it need not.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.until.and_then(|until| until.checked_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Tries that count.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    fn forget(&mut self, schedule: &Schedule, now: Instant) {
        let Some(latest) = self.latest else { return };
        let quiet = now.saturating_duration_since(latest).as_nanos();
        let halves = quiet.checked_div(schedule.half_life.as_nanos()).unwrap_or(0);
        self.tries = u32::try_from(halves).ok().and_then(|halves| self.tries.checked_shr(halves)).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::start;

    const SECOND: Duration = Duration::from_secs(1);
    const SCHEDULE: Schedule =
        Schedule { free: 3, first: SECOND, longest: Duration::from_secs(60), half_life: Duration::from_secs(600) };

    #[test]
    fn each_wait_is_twice_the_one_before() {
        let (mut backoff, mut now) = (Backoff::default(), start());
        for _ in 0..3 {
            assert_eq!(backoff.begin(&SCHEDULE, now), Ok(()));
        }
        assert_eq!(backoff.begin(&SCHEDULE, now), Ok(()));
        for expect in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = backoff.begin(&SCHEDULE, now).unwrap_err();
            assert_eq!(wait, expect * SECOND);
            now += wait;
            assert_eq!(backoff.begin(&SCHEDULE, now), Ok(()));
        }
    }

    #[test]
    fn what_went_well_is_not_counted_and_the_rest_is_forgotten() {
        let (mut backoff, now) = (Backoff::default(), start());
        for _ in 0..100 {
            assert_eq!(backoff.begin(&SCHEDULE, now), Ok(()));
            backoff.succeeded();
        }
        assert_eq!(backoff.tries(), 0);
        (0..4).for_each(|_| backoff.begin(&SCHEDULE, now).unwrap());
        let later = now + 2 * SCHEDULE.half_life;
        assert_eq!(backoff.begin(&SCHEDULE, later), Ok(()));
        assert_eq!(backoff.tries(), 2);
        assert_eq!(backoff.begin(&SCHEDULE, later + 100 * SCHEDULE.half_life), Ok(()));
        assert_eq!(backoff.tries(), 1);
    }

    proptest! {
        /// Whatever the rhythm, a guesser has few tries: the free ones, and one in each wait.
        #[test]
        fn tries_are_bounded(waits in prop::collection::vec(0_u64..2000, 1..400)) {
            let (mut backoff, begin) = (Backoff::default(), start());
            let (mut now, mut tries) = (begin, 0_u64);
            for wait in waits {
                now += Duration::from_millis(wait);
                tries += u64::from(backoff.begin(&SCHEDULE, now).is_ok());
            }
            let seconds = (now - begin).as_secs();
            // 1 + 2 + 4 … seconds for the first waits, then one a minute.
            prop_assert!(tries <= 3 + 1 + 6 + seconds / 60 + 1, "{tries} in {seconds} s");
        }
    }
}
