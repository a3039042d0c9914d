//! A value that several tasks share, and that one can wait on until it has become what is waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A shared value. Who changes it notifies those who wait for that kind of change.
#[derive(Debug, Default)]
pub(crate) struct Watched<T>(Mutex<T>);

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// The value, for a moment: never across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `look` finds something, looking again whenever `changed` notifies.
    pub(crate) async fn until<R>(&self, changed: &Notify, look: impl Fn(&T) -> Option<R>) -> R {
        loop {
            // Made before the look, so that no change between the two is missed.
            let notified = changed.notified();
            if let Some(found) = look(&self.lock()) {
                return found;
            }
            notified.await;
        }
    }
}
