//! What the task that accompanies a session writes down about it.

use std::convert::Infallible;
use std::sync::Arc;

use super::directory::StateDirectoryError;
use super::store::Custody;
use crate::seat::Seat;

/// Where a session is kept, if it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeping(Option<Arc<dyn Custody>>);

/// A session that nobody knows yet. Nothing is kept of it when this is dropped.
#[derive(Debug)]
pub(crate) struct Unfinished(Keeping);

/// What is done with a session that is kept.
type Action = fn(&dyn Custody) -> Result<(), StateDirectoryError>;

impl Keeping {
    pub(crate) fn new(custody: Box<dyn Custody>) -> Self {
        Self(Some(custody.into()))
    }

    /// Writes down whether a connection drives the session, whenever that changes.
    pub(crate) async fn follow(&self, seat: &Seat) -> Infallible {
        loop {
            seat.until_vacant().await;
            self.do_with(|custody| custody.vacant()).await;
            seat.until_driven().await;
            self.do_with(|custody| custody.driven()).await;
        }
    }

    /// The session has ended.
    pub(crate) async fn remove(&self) {
        self.do_with(|custody| custody.remove()).await;
    }

    /// The session cannot be restored.
    pub(crate) async fn set_aside(&self) {
        self.do_with(|custody| custody.set_aside()).await;
    }

    /// A disk may take its time, and nothing depends on what is done here: a session that is taken for a living one too
    /// long costs work only.
    async fn do_with(&self, action: Action) {
        let Some(custody) = self.0.clone() else { return };
        match tokio::task::spawn_blocking(move || action(&*custody)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a session's directory is not up to date"
            ),
            Err(error) => tracing::error!(%error, "a session's directory is not up to date"),
        }
    }
}

impl Unfinished {
    pub(crate) fn new(keeping: Keeping) -> Self {
        Self(keeping)
    }

    pub(crate) fn keeping(&self) -> Keeping {
        self.0.clone()
    }

    /// The session is there.
    pub(crate) fn finish(mut self) {
        self.0 = Keeping::default();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Keeping(Some(custody)) = &self.0 else { return };
        if let Err(error) = custody.remove() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a session that was not made is still kept"
            );
        }
    }
}
