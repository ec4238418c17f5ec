//! When a failed delivery is tried again, and when it is given up. Pure: time and chance come in.
//!
//! Waits follow a schedule whose last step repeats. Each is spread by a tenth either way, so that what failed together
//! does not come back together. A delivery expires only after an attempt made past its deadline: a server that was off
//! for a week tries everything once more before it gives anything up.

use std::time::{Duration, Instant};

use mail::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Waits between attempts when the operator names none.
pub const DEFAULT_SCHEDULE: [Duration; 8] = [
    MINUTE,
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(30 * 60),
    HOUR,
    Duration::from_secs(2 * 3600),
    Duration::from_secs(4 * 3600),
    Duration::from_secs(8 * 3600),
];

/// How far a wait is spread, as a part of itself, either way.
const JITTER: f64 = 0.1;
/// A step of the wall clock that no time service makes by itself.
const STEP_MAX: Duration = HOUR;
/// How long nothing expires after such a step.
const FREEZE: Duration = Duration::from_secs(24 * 3600);

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt at that time.
    At(Timestamp),
    /// Nothing: the attempt began after the deadline.
    Expired,
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Attempts so far, with this one.
    pub attempts: u32,
    /// When it began.
    pub began: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// The delivery's deadline.
    pub expires: Timestamp,
}

/// What follows a failed attempt. `frozen` is [`ClockGuard::is_frozen`]; `fraction` is chance in `0.0..1.0`.
pub fn next(schedule: &[Duration], failed: Failed, frozen: bool, fraction: f64) -> Next {
    if failed.began >= failed.expires && !frozen {
        return Next::Expired;
    }
    let wait = wait(schedule, failed.attempts, fraction);
    let due = failed.now + wait;
    if failed.now < failed.expires && due > failed.expires {
        // The last attempt is made when the deadline passes, not hours later.
        return Next::At(due.min(failed.expires + wait.mul_f64(JITTER * fraction)));
    }
    Next::At(due)
}

/// The wait after so many attempts.
pub fn wait(schedule: &[Duration], attempts: u32, fraction: f64) -> Duration {
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let base = schedule.get(step).or(schedule.last()).copied().unwrap_or(HOUR);
    base.mul_f64(1.0 - JITTER + 2.0 * JITTER * fraction.clamp(0.0, 1.0))
}

/// Notices when the wall clock is set: it and the instants, which never jump, must move alike.
#[derive(Clone, Copy, Debug)]
pub struct ClockGuard {
    wall: Timestamp,
    instant: Instant,
    frozen_until: Option<Instant>,
}

/// A step of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So far forward.
    Forward(Duration),
    /// So far back.
    Back(Duration),
}

impl ClockGuard {
    /// A guard that begins to watch now.
    pub fn new(wall: Timestamp, instant: Instant) -> Self {
        Self { wall, instant, frozen_until: None }
    }

    /// Looks at both clocks. A step of more than an hour is returned, and freezes expiry for a day.
    pub fn observe(&mut self, wall: Timestamp, instant: Instant) -> Option<Step> {
        let expected = self.wall + instant.saturating_duration_since(self.instant);
        (self.wall, self.instant) = (wall, instant);
        let step = if wall > expected { Step::Forward(wall.since(expected)) } else { Step::Back(expected.since(wall)) };
        let (Step::Forward(length) | Step::Back(length)) = step;
        if length <= STEP_MAX {
            return None;
        }
        self.frozen_until = Some(instant + FREEZE);
        Some(step)
    }

    /// Whether nothing may expire now.
    pub fn is_frozen(&self, instant: Instant) -> bool {
        self.frozen_until.is_some_and(|until| instant < until)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant has no other origin; the tests only add to it")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;

    fn check(attempts: u32, began: i64, now: i64, fraction: f64, expect: Next) {
        let failed = Failed {
            attempts,
            began: Timestamp::from_secs(began),
            now: Timestamp::from_secs(now),
            expires: Timestamp::from_secs(5 * DAY),
        };
        assert_eq!(next(&DEFAULT_SCHEDULE, failed, false, fraction), expect);
    }

    fn at(secs: i64) -> Next {
        Next::At(Timestamp::from_secs(secs))
    }

    #[test]
    fn waits_follow_the_schedule_and_the_last_repeats() {
        check(1, 0, 0, 0.5, at(60));
        check(1, 0, 0, 0.0, at(54));
        check(2, 0, 10, 0.5, at(310));
        check(8, 0, 0, 0.5, at(8 * 3600));
        check(80, 0, 0, 0.5, at(8 * 3600));
        check(0, 0, 0, 0.5, at(60));
    }

    #[test]
    fn a_delivery_expires_only_after_an_attempt_past_its_deadline() {
        // The attempt began before the deadline and ended after it: one more.
        check(20, 5 * DAY - 1, 5 * DAY + 1, 0.5, at(5 * DAY + 1 + 8 * 3600));
        check(20, 5 * DAY, 5 * DAY + 1, 0.5, Next::Expired);
        // The last wait ends at the deadline.
        check(20, 5 * DAY - 3600, 5 * DAY - 3600, 0.0, at(5 * DAY));
        // A wait that ends a moment after the deadline is not made longer.
        check(20, 5 * DAY - 28_799, 5 * DAY - 28_799, 0.5, at(5 * DAY + 1));
    }

    #[test]
    fn a_set_clock_is_noticed_and_freezes_expiry_for_a_day() {
        let start = Instant::now();
        let wall = Timestamp::from_secs(1_000_000);
        let mut guard = ClockGuard::new(wall, start);
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(guard.observe(wall + hours(5), start + hours(5)), None);
        assert_eq!(guard.observe(wall + hours(6), start + hours(5)), None, "an hour may be summer time");
        assert!(!guard.is_frozen(start + hours(5)));
        assert_eq!(guard.observe(wall + hours(8766), start + hours(6)), Some(Step::Forward(hours(8759))));
        assert!(guard.is_frozen(start + hours(29)) && !guard.is_frozen(start + hours(30)));
        assert_eq!(guard.observe(wall, start + hours(7)), Some(Step::Back(hours(8767))));
        let failed = Failed { attempts: 3, began: wall + hours(9000), now: wall + hours(9000), expires: wall };
        assert_eq!(next(&DEFAULT_SCHEDULE, failed, true, 0.5), Next::At(wall + hours(9000) + MINUTE * 15));
    }

    proptest! {
        #[test]
        fn the_next_attempt_is_later_and_within_the_jitter(attempts in 0u32..200, now in 0i64..10 * DAY, fraction in 0.0f64..1.0) {
            let now = Timestamp::from_secs(now);
            let failed = Failed { attempts, began: now, now, expires: Timestamp::from_secs(5 * DAY) };
            match next(&DEFAULT_SCHEDULE, failed, false, fraction) {
                Next::Expired => prop_assert!(now >= failed.expires),
                Next::At(due) => {
                    prop_assert!(due > now);
                    prop_assert!(due.since(now) <= HOUR * 9);
                }
            }
        }
    }
}
