//! Stories of tasks that end well, early, badly and never. Time is paused.

use std::future::pending;
use std::time::Duration;

use super::*;

const GRACE: Duration = Duration::from_secs(5);

async fn until(shutdown: Shutdown) -> Result<(), BoxError> {
    shutdown.wait().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn tasks_that_end_when_asked_end_well() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("a", until(shutdown.clone()));
    tasks.spawn("b", until(shutdown.clone()));
    shutdown.trigger();
    assert!(tasks.join(|| GRACE).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_returns_early_ends_the_others_and_is_named() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("patient", until(shutdown.clone()));
    tasks.spawn("hasty", async { Ok(()) });
    let failure = tasks.join(|| GRACE).await.unwrap_err();
    assert!(matches!(failure, TaskFailure::EndedEarly { name: "hasty" }), "{failure}");
    assert!(shutdown.is_triggered());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_handed_up_with_the_name() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("reader", async { Err("disk gone".into()) });
    let failure = tasks.join(|| GRACE).await.unwrap_err();
    assert_eq!(failure.to_string(), "task reader failed: disk gone");
    assert!(shutdown.is_triggered());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_with_those_of_its_words_that_stand_in_the_program() {
    let mut tasks = Tasks::new(Shutdown::new());
    tasks.spawn("reader", async { panic!("no table") });
    let failure = tasks.join(|| GRACE).await.unwrap_err();
    assert_eq!(failure.to_string(), "task reader panicked: no table");
    let mut tasks = Tasks::new(Shutdown::new());
    let row = std::hint::black_box("what a caller said");
    tasks.spawn("reader", async move { panic!("row {row}") });
    let failure = tasks.join(|| GRACE).await.unwrap_err().to_string();
    assert!(failure.starts_with("task reader panicked: ") && !failure.contains(row), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn an_error_during_the_drain_is_told_too() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    let asked = shutdown.clone();
    tasks.spawn("flush", async move {
        asked.wait().await;
        Err("not flushed".into())
    });
    shutdown.trigger();
    let failure = tasks.join(|| GRACE).await.unwrap_err();
    assert!(matches!(failure, TaskFailure::Failed { name: "flush", .. }), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn what_outlives_the_grace_period_is_cut_and_named() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("deaf", pending());
    tasks.spawn("good", until(shutdown.clone()));
    tasks.spawner().spawn_connection(pending());
    shutdown.trigger();
    let began = tokio::time::Instant::now();
    let failure = tasks.join(|| GRACE).await.unwrap_err();
    assert_eq!(failure.to_string(), "still running when the grace period ended: connections, deaf");
    assert_eq!(began.elapsed(), GRACE);
}

#[tokio::test(start_paused = true)]
async fn the_drain_waits_for_connections_but_not_for_companions() {
    let shutdown = Shutdown::new();
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn_companion("operations", pending());
    let spawner = tasks.spawner();
    spawner.spawn_connection(tokio::time::sleep(Duration::from_secs(2)));
    assert_eq!(spawner.connections(), 1);
    shutdown.trigger();
    let began = tokio::time::Instant::now();
    assert!(tasks.join(|| GRACE).await.is_ok());
    assert_eq!((began.elapsed(), spawner.connections()), (Duration::from_secs(2), 0));
}

#[tokio::test(start_paused = true)]
async fn a_companion_that_ends_early_ends_the_process() {
    let mut tasks = Tasks::new(Shutdown::new());
    tasks.spawn_companion("operations", async { Ok(()) });
    let failure = tasks.join(|| GRACE).await.unwrap_err();
    assert!(matches!(failure, TaskFailure::EndedEarly { name: "operations" }), "{failure}");
}

#[tokio::test]
async fn a_connection_that_panics_is_no_longer_counted() {
    let spawner = Spawner::new();
    spawner.spawn_connection(async { panic!("only this one") });
    spawner.idle().await;
    assert_eq!(spawner.connections(), 0);
}
