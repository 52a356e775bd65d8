use super::*;

const AT_ONCE: Duration = Duration::from_secs(5);
const WHILE_NOTHING_HAPPENS: Duration = Duration::from_millis(20);

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_task_that_panics_is_told_to_whoever_waits_for_it() {
    run(async {
        let tasks = Tasks::pool();
        tasks.spawn_local(async {});
        assert!(tokio::time::timeout(WHILE_NOTHING_HAPPENS, tasks.panicked()).await.is_err());
        // A clone is of the same tasks.
        tasks.clone().spawn_local(async { panic!("as a defect would") });
        tokio::time::timeout(AT_ONCE, tasks.panicked()).await.unwrap();
        tokio::time::timeout(AT_ONCE, tasks.clone().panicked()).await.unwrap();
    });
}

#[test]
fn blocking_work_that_panics_is_told_to_both_who_wait() {
    run(async {
        let tasks = Tasks::pool();
        assert_eq!(tasks.blocking(|| 7).await, Ok(7));
        assert!(tokio::time::timeout(WHILE_NOTHING_HAPPENS, tasks.panicked()).await.is_err());
        assert_eq!(tasks.blocking(|| panic!("as a defect would")).await, Err::<(), _>(BlockingFailed));
        tokio::time::timeout(AT_ONCE, tasks.panicked()).await.unwrap();
    });
}
