//! Large answers are written beside the runtime, a few at a time: what takes long would hold every connection up, and
//! each takes memory.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Where large answers are written.
#[derive(Clone, Debug)]
pub(crate) struct Encoders {
    places: Arc<Semaphore>,
}

/// Below so many bytes to be written it is quicker to write them at once.
const LARGE: usize = 64 << 10;

impl Encoders {
    /// Writes so many at a time.
    pub(crate) fn new(at_a_time: usize) -> Self {
        let places = Arc::new(Semaphore::new(at_a_time));
        Self { places }
    }

    /// Writes about `bytes`: here if they are few, else on a thread for it when there is a place. Whoever gives up
    /// waiting does not free the place before the writing has ended.
    pub(crate) async fn run<T: Send + 'static>(&self, bytes: usize, write: impl FnOnce() -> T + Send + 'static) -> T {
        if bytes < LARGE {
            return write();
        }
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("the places are never closed");
        let written = spawn_blocking(move || {
            let _until_the_end = place;
            write()
        });
        match written.await {
            Ok(written) => written,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn little_is_written_here_and_much_elsewhere() {
        let encoders = Encoders::new(1);
        let here = thread::current().id();
        assert_eq!(encoders.run(LARGE - 1, move || thread::current().id()).await, here);
        assert_ne!(encoders.run(LARGE, move || thread::current().id()).await, here);
    }

    #[tokio::test]
    async fn a_place_is_taken_until_the_writing_has_ended() {
        let encoders = Encoders::new(1);
        let (go_on, wait) = sync_channel::<()>(0);
        let mut first = Box::pin(encoders.run(LARGE, move || wait.recv().is_ok()));
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(encoders.places.available_permits(), 0, "it is still being written");
        go_on.send(()).unwrap();
        assert_eq!(encoders.run(LARGE, || 7).await, 7);
    }
}
