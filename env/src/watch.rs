//! A value, and news of it: as tokio's watch channel, but those who wait are woken in the order in
//! which they came. Tokio's wakes them in an order of its own randomness, which no seed decides, so
//! that a simulation could not be repeated.

use parking_lot::{RwLock, RwLockReadGuard};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// All senders are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody changes the value any more")]
pub struct Closed;

struct Shared<T> {
    value: RwLock<T>,
    /// Changes so far; it grows under the lock of the value.
    version: AtomicU64,
    senders: AtomicUsize,
    news: Notify,
}

/// Changes the value.
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the value, and waits for changes of it.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was seen last.
    seen: u64,
}

/// A value that can be waited for.
#[must_use]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        value: RwLock::new(value),
        version: AtomicU64::new(0),
        senders: AtomicUsize::new(1),
        news: Notify::new(),
    });
    (Sender(Arc::clone(&shared)), Receiver { shared, seen: 0 })
}

impl<T> Sender<T> {
    /// Replaces the value, and returns the one before.
    pub fn send_replace(&self, value: T) -> T {
        let mut before = value;
        self.send_if_modified(|present| {
            std::mem::swap(present, &mut before);
            true
        });
        before
    }

    /// Changes the value in place; there is news if `modify` says so.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = {
            let mut value = self.0.value.write();
            let modified = modify(&mut value);
            if modified {
                self.0.version.fetch_add(1, Ordering::Release);
            }
            modified
        };
        if modified {
            self.0.news.notify_waiters();
        }
        modified
    }

    /// The value. Not to be held across anything that changes it.
    pub fn borrow(&self) -> RwLockReadGuard<'_, T> {
        self.0.value.read()
    }

    /// Another receiver, which has seen the present value.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.version.load(Ordering::Acquire);
        Receiver { shared: Arc::clone(&self.0), seen }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.news.notify_waiters();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Sender").field(&*self.borrow()).finish()
    }
}

impl<T> Receiver<T> {
    /// The value. Not to be held across anything that changes it.
    pub fn borrow(&self) -> RwLockReadGuard<'_, T> {
        self.shared.value.read()
    }

    /// The value, which counts as seen.
    pub fn borrow_and_update(&mut self) -> RwLockReadGuard<'_, T> {
        let value = self.shared.value.read();
        self.seen = self.shared.version.load(Ordering::Acquire);
        value
    }

    /// Waits until there is a value that was not seen; it counts as seen then.
    ///
    /// # Errors
    /// [`Closed`] if there can be none.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            let notified = self.shared.news.notified();
            let mut notified = std::pin::pin!(notified);
            // From here on no news is missed.
            notified.as_mut().enable();
            let version = self.shared.version.load(Ordering::Acquire);
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if self.shared.senders.load(Ordering::Acquire) == 0 {
                return Err(Closed);
            }
            notified.await;
        }
    }

    /// Waits until the value is as `wanted`; it counts as seen then.
    ///
    /// # Errors
    /// [`Closed`] if it cannot become so.
    pub async fn wait_for(
        &mut self,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<RwLockReadGuard<'_, T>, Closed> {
        loop {
            let is_wanted = wanted(&self.borrow_and_update());
            if is_wanted {
                break;
            }
            self.changed().await?;
        }
        Ok(self.borrow())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
    }

    #[test]
    fn a_change_is_seen_once_and_the_last_sender_ends_the_wait() {
        run(async {
            let (sender, mut receiver) = channel(1);
            assert_eq!(sender.send_replace(2), 1);
            sender.send_replace(3);
            assert_eq!(receiver.changed().await, Ok(()));
            assert_eq!(*receiver.borrow(), 3);
            let mut other = sender.clone().subscribe();
            let waits = async { (receiver.changed().await, other.changed().await) };
            let drops = async { drop(sender) };
            let ((a, b), ()) = tokio::join!(waits, drops);
            assert_eq!((a, b), (Err(Closed), Err(Closed)));
        });
    }

    #[test]
    fn a_change_that_changes_nothing_is_no_news() {
        run(async {
            let (sender, mut receiver) = channel(1);
            assert!(!sender.send_if_modified(|_| false));
            let waits = async { *receiver.wait_for(|value| *value == 7).await.unwrap() };
            let changes = async {
                sender.send_replace(6);
                tokio::task::yield_now().await;
                sender.send_replace(7);
            };
            assert_eq!(tokio::join!(waits, changes), (7, ()));
        });
    }
}
