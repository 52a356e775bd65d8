//! Panics of tasks, which their runtimes swallow: whatever else a run finds, one is a broken promise.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::Once;

thread_local! {
    /// The first panic of the run that goes on on this thread.
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Begins a run: what panics from here on counts.
pub(crate) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            FIRST.with_borrow_mut(|first| {
                first.get_or_insert_with(|| shown(info));
            });
            others(info);
        }));
    });
    FIRST.set(None);
}

/// What has panicked first since the run began, and where.
#[must_use]
pub(crate) fn first() -> Option<String> {
    FIRST.take()
}

fn shown(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
    format!("a panic at {place}: {}", info.payload_as_str().unwrap_or("of something that is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_a_task_swallows_is_found() {
        watch();
        assert_eq!(first(), None);
        let mut sim = turmoil::Builder::new().build();
        sim.client("n", async {
            let lost = tokio::task::spawn_local(async { panic!("as a defect would") });
            assert!(lost.await.is_err());
            Ok(())
        });
        sim.run().unwrap();
        let found = first().unwrap();
        assert!(
            found.starts_with("a panic at sim/src/panics.rs:") && found.ends_with("as a defect would"),
            "{found}"
        );
        watch();
        assert_eq!(first(), None, "it was of the run before");
    }
}
