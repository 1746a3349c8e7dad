//! A value that one task changes and any number watch: tokio's, or in the simulator one that wakes those who wait in the order
//! in which they came. (tokio's draws a random order, and from a source that no seed determines.)

#[cfg(sim)]
pub use simulated::{Receiver, Sender, channel};
#[cfg(not(sim))]
pub use tokio::sync::watch::{Receiver, Sender, channel};

#[cfg(sim)]
mod simulated {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

    use tokio::sync::Notify;
    pub use tokio::sync::watch::error::RecvError;

    #[derive(Debug)]
    struct Shared<T> {
        /// How often the value was changed, and the value.
        state: RwLock<(u64, T)>,
        changed: Notify,
        senders: AtomicUsize,
    }

    impl<T> Shared<T> {
        fn read(&self) -> RwLockReadGuard<'_, (u64, T)> {
            self.state.read().unwrap_or_else(PoisonError::into_inner)
        }

        fn write(&self) -> RwLockWriteGuard<'_, (u64, T)> {
            self.state.write().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Changes the value. There is one.
    #[derive(Debug)]
    pub struct Sender<T>(Arc<Shared<T>>);

    /// Sees the value.
    #[derive(Debug)]
    pub struct Receiver<T> {
        shared: Arc<Shared<T>>,
        seen: u64,
    }

    /// The value as it is.
    #[derive(Debug)]
    pub struct Ref<'a, T>(RwLockReadGuard<'a, (u64, T)>);

    /// Both ends of a value that is watched.
    pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
        let sender = Sender::new(value);
        let receiver = sender.subscribe();
        (sender, receiver)
    }

    impl<T> Sender<T> {
        /// A value that nobody watches yet.
        pub fn new(value: T) -> Self {
            let senders = AtomicUsize::new(1);
            Self(Arc::new(Shared { state: RwLock::new((0, value)), changed: Notify::new(), senders }))
        }

        /// Somebody who watches from now on.
        pub fn subscribe(&self) -> Receiver<T> {
            Receiver { shared: Arc::clone(&self.0), seen: self.0.read().0 }
        }

        /// The value as it is.
        pub fn borrow(&self) -> Ref<'_, T> {
            Ref(self.0.read())
        }

        /// Sets the value; gives the one before.
        pub fn send_replace(&self, value: T) -> T {
            let mut value = value;
            self.send_modify(|old| std::mem::swap(old, &mut value));
            value
        }

        /// Changes the value in place.
        pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
            self.send_if_modified(|value| {
                modify(value);
                true
            });
        }

        /// Changes the value in place; says, as `modify` does, whether that is news.
        pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
            let is_news = {
                let mut state = self.0.write();
                let is_news = modify(&mut state.1);
                state.0 += u64::from(is_news);
                is_news
            };
            if is_news {
                self.0.changed.notify_waiters();
            }
            is_news
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.senders.store(0, Ordering::Relaxed);
            self.0.changed.notify_waiters();
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Self { shared: Arc::clone(&self.shared), seen: self.seen }
        }
    }

    impl<T> Receiver<T> {
        /// The value as it is.
        pub fn borrow(&self) -> Ref<'_, T> {
            Ref(self.shared.read())
        }

        /// The value as it is, which is no news from now on.
        pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
            let state = self.shared.read();
            self.seen = state.0;
            Ref(state)
        }

        /// Whether the value has changed since it was seen.
        ///
        /// # Errors
        /// When nobody changes it any more.
        pub fn has_changed(&self) -> Result<bool, RecvError> {
            if self.shared.senders.load(Ordering::Relaxed) == 0 {
                return Err(no_sender());
            }
            Ok(self.shared.read().0 != self.seen)
        }

        /// Completes when the value has changed since it was seen.
        ///
        /// # Errors
        /// When nobody changes it any more.
        pub async fn changed(&mut self) -> Result<(), RecvError> {
            let shared = Arc::clone(&self.shared);
            loop {
                let changed = shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let version = shared.read().0;
                if version != self.seen {
                    self.seen = version;
                    return Ok(());
                }
                if shared.senders.load(Ordering::Relaxed) == 0 {
                    return Err(no_sender());
                }
                changed.await;
            }
        }

        /// Completes when the value is as wanted.
        ///
        /// # Errors
        /// When nobody changes it any more.
        pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
            loop {
                {
                    let state = self.shared.read();
                    self.seen = state.0;
                    if wanted(&state.1) {
                        break;
                    }
                }
                self.changed().await?;
            }
            Ok(self.borrow())
        }
    }

    /// tokio's error: a channel of its that has no sender gives one.
    fn no_sender() -> RecvError {
        let ended = tokio::sync::watch::Sender::new(()).subscribe();
        ended.has_changed().expect_err("the sender is gone")
    }

    impl<T> std::ops::Deref for Ref<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0.1
        }
    }
}
