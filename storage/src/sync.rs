//! The locks and atomics of what threads share: memtables, views, the cache and the commit log.
//!
//! A build is given the real ones. With `--cfg shuttle` they are those of a model checker, which runs the
//! threads of a model one at a time and chooses at each of these operations who goes on: see `models`.

#[cfg(shuttle)]
pub(crate) use self::checked::*;
#[cfg(not(shuttle))]
pub(crate) use self::real::*;

#[cfg(not(shuttle))]
mod real {
    pub(crate) use arc_swap::ArcSwap;
    pub(crate) use parking_lot::{Mutex, RwLock};
    pub(crate) use std::sync::atomic;
}

#[cfg(shuttle)]
mod checked {
    pub(crate) use shuttle::sync::atomic;
    pub(crate) use shuttle_parking_lot::{Mutex, RwLock};
    use std::ops::Deref;
    use std::sync::Arc;

    /// An `Arc` that is swapped as one, as `arc_swap` does.
    pub struct ArcSwap<T>(RwLock<Arc<T>>);

    /// What was loaded.
    pub(crate) struct Guard<T>(Arc<T>);

    impl<T> Deref for Guard<T> {
        type Target = Arc<T>;

        fn deref(&self) -> &Arc<T> {
            &self.0
        }
    }

    impl<T> ArcSwap<T> {
        pub(crate) fn from_pointee(value: T) -> Self {
            Self(RwLock::new(Arc::new(value)))
        }

        pub(crate) fn load(&self) -> Guard<T> {
            Guard(self.load_full())
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            Arc::clone(&self.0.read())
        }

        pub(crate) fn store(&self, value: Arc<T>) {
            let old = std::mem::replace(&mut *self.0.write(), value);
            drop(old);
        }
    }
}
