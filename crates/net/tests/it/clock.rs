//! Time that a test lets jump.

use std::time::Duration;

use mail::Timestamp;
use net::{Clock, DeadlinePassed};

#[tokio::test(start_paused = true)]
async fn a_simulated_clock_goes_on_with_paused_time() {
    let clock = Clock::simulated(Timestamp::from_secs(1_000_000));
    let begun = clock.instant();
    clock.sleep(Duration::from_secs(3600)).await;
    assert_eq!(clock.now(), Timestamp::from_secs(1_003_600));
    assert_eq!(clock.instant() - begun, Duration::from_secs(3600));
}

#[tokio::test(start_paused = true)]
async fn the_wall_clock_may_jump_and_instants_do_not_notice() {
    let clock = Clock::simulated(Timestamp::from_secs(1_000_000));
    let before = clock.instant();
    clock.step_wall(-365 * 86_400);
    assert_eq!(clock.now(), Timestamp::from_secs(1_000_000 - 365 * 86_400));
    assert_eq!(clock.instant(), before);
}

#[tokio::test(start_paused = true)]
async fn waits_end_at_their_deadline() {
    let clock = Clock::system();
    let deadline = clock.instant() + Duration::from_secs(30);
    assert_eq!(clock.timeout_at(deadline, std::future::pending::<()>()).await, Err(DeadlinePassed));
    assert_eq!(clock.instant(), deadline);
    assert_eq!(clock.timeout_at(deadline, std::future::ready(7)).await, Ok(7));
    clock.sleep_until(deadline).await;
    assert_eq!(clock.instant(), deadline);
}

#[tokio::test(start_paused = true)]
async fn a_timer_follows_its_deadline() {
    let clock = Clock::system();
    let start = clock.instant();
    let seconds = |number| start + Duration::from_secs(number);
    let mut timer = clock.timer();
    let never = clock.timeout(Duration::from_secs(1), timer.fired()).await;
    assert_eq!(never, Err(DeadlinePassed));

    timer.set(Some(seconds(10)));
    let early = clock.timeout_at(seconds(5), timer.fired()).await;
    assert_eq!(early, Err(DeadlinePassed));
    // Moved later, then earlier.
    timer.set(Some(seconds(20)));
    let still_early = clock.timeout_at(seconds(15), timer.fired()).await;
    assert_eq!(still_early, Err(DeadlinePassed));
    timer.set(Some(seconds(17)));
    timer.fired().await;
    assert_eq!(clock.instant(), seconds(17));
    timer.set(None);
    let never = clock.timeout(Duration::from_secs(100), timer.fired()).await;
    assert_eq!(never, Err(DeadlinePassed));
}
