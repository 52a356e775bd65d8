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

#[test]
fn a_read_that_nobody_awaits_any_more_is_not_begun() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (tasks, (go, may_go)) = (Tasks::pool(), std::sync::mpsc::channel::<()>());
        let first = tasks.blocking(move || may_go.recv().unwrap());
        let (counted, count) = std::sync::mpsc::channel();
        let (of_read, of_change) = (counted.clone(), counted);
        let read = tasks.blocking_read(move || of_read.send("read").unwrap());
        let change = tasks.blocking(move || of_change.send("change").unwrap());
        tokio::select! {
            biased;
            _ = first => panic!("it waits"),
            _ = tokio::time::timeout(WHILE_NOTHING_HAPPENS, read) => {}
            _ = tokio::time::timeout(WHILE_NOTHING_HAPPENS * 2, change) => {}
        }
        go.send(()).unwrap();
        assert_eq!(tasks.blocking_read(|| 7).await, Ok(7));
        assert_eq!(count.iter().collect::<Vec<_>>(), ["change"], "others change something");
    });
}
