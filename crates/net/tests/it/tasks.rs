//! Tasks that end, panic, are waited for.

use std::{future::pending, time::Duration};

use net::{Clock, tasks::TaskError, tasks::Tasks};

#[tokio::test]
async fn a_task_gives_its_result() {
    let tasks = Tasks::new();
    assert_eq!(tasks.spawn("sum", async { 1 + 1 }).await, Ok(2));
    assert_eq!(tasks.run_blocking("product", || 6 * 7).await, Ok(42));
    let task = tasks.spawn("endless", pending::<()>());
    assert_eq!(tasks.running(), [("endless", 1)]);
    task.abort();
    assert_eq!(task.await, Err(TaskError::Aborted("endless")));
    assert_eq!(tasks.running(), []);
}

#[tokio::test]
async fn a_panic_is_counted_and_the_others_go_on() {
    let tasks = Tasks::new();
    let (send, receive) = tokio::sync::oneshot::channel::<()>();
    let other = tasks.spawn("other", receive);
    assert_eq!(tasks.spawn("bad", async { panic!("on purpose") }).await, Err::<(), _>(TaskError::Panicked("bad")));
    let blocking = tasks.run_blocking("bad", || panic!("on purpose {}", 2)).await;
    assert_eq!(blocking, Err::<(), _>(TaskError::Panicked("bad")));
    assert_eq!((tasks.panics(), tasks.is_shutdown()), (2, false));
    assert_eq!(tasks.running(), [("other", 1)]);
    send.send(()).unwrap();
    assert_eq!(other.await, Ok(Ok(())));
}

#[tokio::test]
async fn a_vital_panic_shuts_down() {
    let tasks = Tasks::new();
    let cancelled = tasks.cancelled();
    let failed = tasks.spawn_vital("outbox", async { panic!("on purpose") }).await;
    assert_eq!(failed, Err::<(), _>(TaskError::Panicked("outbox")));
    cancelled.await;
    assert!(tasks.is_shutdown());
}

#[tokio::test(start_paused = true)]
async fn shutdown_is_waited_for_until_the_deadline() {
    let (tasks, clock) = (Tasks::new(), Clock::system());
    for _ in 0..3 {
        let cancelled = tasks.cancelled();
        drop(tasks.spawn("session", cancelled));
    }
    drop(tasks.spawn("stubborn", pending::<()>()));
    tasks.shutdown();
    // Whoever asks afterwards is told at once.
    tasks.cancelled().await;
    let deadline = clock.instant() + Duration::from_secs(10);
    assert_eq!(tasks.wait(deadline).await, Err(vec![("stubborn", 1)]));
    assert_eq!(clock.instant(), deadline);
    let idle = Tasks::new();
    assert_eq!(idle.wait(deadline).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_never_misses_the_last_task() {
    let clock = Clock::system();
    for _ in 0..200 {
        let tasks = Tasks::new();
        for _ in 0..4 {
            drop(tasks.spawn("short", tokio::task::yield_now()));
        }
        assert_eq!(tasks.wait(clock.instant() + Duration::from_secs(20)).await, Ok(()));
    }
}
