//! How long somebody waits who keeps guessing: some tries for nothing, then each wait twice the one before.
//!
//! ```text
//!  tries:  1 … free │ free+1  free+2  free+3 …
//!  wait:      none  │  first   2×first 4×first … longest
//! ```
//!
//! What counts is a wrong try, when it is known to be wrong: a program that signs in a hundred times at once, rightly, is
//! no guesser. Who tries a hundred at once and wrongly has had those, and waits the longer. Half of what was counted is
//! forgotten in each `half_life` after the wait is over.

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
    /// In how long half of the tries are forgotten, once it need not wait.
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
    /// A try was wrong.
    pub fn failed(&mut self, schedule: &Schedule, now: Instant) {
        self.forget(schedule, now);
        self.tries = self.tries.saturating_add(1);
        self.latest = Some(now);
        self.until = self.tries.checked_sub(schedule.free + 1).map(|doublings| {
            let factor = 1_u32.checked_shl(doublings).filter(|factor| *factor > 0).unwrap_or(u32::MAX);
            now + schedule.first.saturating_mul(factor).min(schedule.longest)
        });
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
        let quiet_from = self.until.map_or(latest, |until| until.max(latest));
        let quiet = now.saturating_duration_since(quiet_from).as_nanos();
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

    /// A wrong try, when it may be made.
    fn guess(backoff: &mut Backoff, now: Instant) -> Result<(), Duration> {
        match backoff.wait(now) {
            Some(wait) => Err(wait),
            None => {
                backoff.failed(&SCHEDULE, now);
                Ok(())
            }
        }
    }

    #[test]
    fn each_wait_is_twice_the_one_before() {
        let (mut backoff, mut now) = (Backoff::default(), start());
        for _ in 0..3 {
            assert_eq!(guess(&mut backoff, now), Ok(()));
        }
        assert_eq!(guess(&mut backoff, now), Ok(()));
        for expect in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = guess(&mut backoff, now).unwrap_err();
            assert_eq!(wait, expect * SECOND);
            now += wait;
            assert_eq!(guess(&mut backoff, now), Ok(()));
        }
    }

    #[test]
    fn half_is_forgotten_again_and_again() {
        let (mut backoff, now) = (Backoff::default(), start());
        (0..4).for_each(|_| guess(&mut backoff, now).unwrap());
        let later = now + SECOND + 2 * SCHEDULE.half_life;
        assert_eq!(guess(&mut backoff, later), Ok(()));
        assert_eq!(backoff.tries(), 2);
        assert_eq!(guess(&mut backoff, later + 100 * SCHEDULE.half_life), Ok(()));
        assert_eq!(backoff.tries(), 1);
    }

    #[test]
    fn many_at_once_wait_the_longer() {
        let (mut backoff, now) = (Backoff::default(), start());
        (0..100).for_each(|_| backoff.failed(&SCHEDULE, now));
        assert_eq!(backoff.wait(now), Some(SCHEDULE.longest));
    }

    proptest! {
        /// Whatever the rhythm, a guesser has few tries: the free ones, and one in each wait.
        #[test]
        fn tries_are_bounded(waits in prop::collection::vec(0_u64..2000, 1..400)) {
            let (mut backoff, begin) = (Backoff::default(), start());
            let (mut now, mut tries) = (begin, 0_u64);
            for wait in waits {
                now += Duration::from_millis(wait);
                tries += u64::from(guess(&mut backoff, now).is_ok());
            }
            let seconds = (now - begin).as_secs();
            // 1 + 2 + 4 … seconds for the first waits, then one a minute.
            prop_assert!(tries <= 3 + 1 + 6 + seconds / 60 + 1, "{tries} in {seconds} s");
        }
    }
}
