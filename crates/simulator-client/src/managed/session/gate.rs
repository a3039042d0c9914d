//! What a continue waits for: nothing that it leads to may be missed.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::managed::{ConnectionStatus, ControlHandle, ManagedFailure, ManagedSessionError, SubscriptionHandle};

/// One subscription connection of a session.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) handle: SubscriptionHandle,
    /// The addresses, for people.
    pub(super) target: String,
    pub(super) state: SubscriptionState,
}

/// How far a subscription connection has been read.
#[derive(Clone, Debug)]
pub(super) enum SubscriptionState {
    /// There may be more.
    Open,
    /// Everything has been read.
    Ended,
    /// It failed, and the caller has been told.
    Failed(ManagedFailure),
}

/// What has to be established before a session goes on.
pub(super) struct Gate<'a> {
    pub(super) control: &'a ControlHandle,
    pub(super) subscriptions: &'a [Subscribed],
    pub(super) cancel: &'a CancellationToken,
}

impl Subscribed {
    pub(super) fn new(handle: SubscriptionHandle, target: String) -> Self {
        Self {
            handle,
            target,
            state: SubscriptionState::Open,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, SubscriptionState::Open)
    }

    /// Takes note of a failure, and says how the caller is told.
    pub(super) fn fail(&mut self, failure: ManagedFailure) -> ManagedSessionError {
        self.state = SubscriptionState::Failed(failure.clone());
        self.failed(failure)
    }

    pub(super) fn failed(&self, failure: ManagedFailure) -> ManagedSessionError {
        ManagedSessionError::SubscriptionFailed {
            target: self.target.clone(),
            failure: Box::new(failure),
        }
    }
}

impl Gate<'_> {
    /// Waits until everything is established, or can only be established once the caller reads.
    pub(super) async fn wait(self) -> Result<(), ManagedSessionError> {
        let cancel = self.cancel.clone();
        cancel
            .run_until_cancelled(self.open())
            .await
            .unwrap_or(Err(ManagedSessionError::Cancelled))
    }

    async fn open(self) -> Result<(), ManagedSessionError> {
        // While one is waited for, another may be lost.
        while !self.is_open() {
            for subscribed in self.subscriptions {
                settled(subscribed.handle.status.clone(), subscribed.handle.stalled()).await;
                if let Some(failure) = subscribed.handle.failure() {
                    return Err(subscribed.failed(failure));
                }
            }
            tokio::select! {
                biased;
                () = settled(self.control.status.clone(), self.control.stalled()) => {}
                () = self.control.takes_no_more() => {}
            }
            if let Some(failure) = self.control.failure() {
                return Err(ManagedSessionError::control_failed(failure));
            }
            if self.control.is_over() {
                return Err(ManagedSessionError::ContinueSend);
            }
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        let are_subscribed = self.subscriptions.iter().all(|subscribed| {
            let handle = &subscribed.handle;
            is_settled(&handle.status, &handle.stalled()) && handle.failure().is_none()
        });
        are_subscribed && !self.control.is_over() && is_settled(&self.control.status, &self.control.stalled())
    }
}

/// Waits until a connection is up, waits for its reader, or has ended.
async fn settled(mut status: watch::Receiver<ConnectionStatus>, mut stalled: watch::Receiver<bool>) {
    tokio::select! {
        // It fails when the task has ended.
        _ = status.wait_for(|status| *status != ConnectionStatus::Down) => {}
        _ = stalled.wait_for(|stalled| *stalled) => {}
    }
}

/// Whether there is nothing to wait for.
fn is_settled(status: &watch::Receiver<ConnectionStatus>, stalled: &watch::Receiver<bool>) -> bool {
    let has_ended = status.has_changed().is_err();
    has_ended || *status.borrow() != ConnectionStatus::Down || *stalled.borrow()
}
