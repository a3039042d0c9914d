//! What a continue waits for: nothing that it leads to may be missed.

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
    pub(super) control: &'a mut ControlHandle,
    pub(super) subscriptions: &'a mut [Subscribed],
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
        for subscribed in self.subscriptions {
            let (mut status, mut stalled) = (subscribed.handle.status.clone(), subscribed.handle.stalled());
            if let Settled::Ended = settled(&mut status, &mut stalled).await
                && let Some(failure) = subscribed.handle.failure()
            {
                return Err(subscribed.failed(failure));
            }
        }
        let (mut status, mut stalled) = (self.control.status.clone(), self.control.stalled());
        match settled(&mut status, &mut stalled).await {
            Settled::Established => Ok(()),
            Settled::Ended => Err(self
                .control
                .failure()
                .map_or(ManagedSessionError::ContinueSend, ManagedSessionError::control_failed)),
        }
    }
}

/// What a connection came to.
enum Settled {
    Established,
    Ended,
}

/// Waits until a connection is up, waits for its reader, or has ended.
async fn settled(
    status: &mut tokio::sync::watch::Receiver<ConnectionStatus>,
    stalled: &mut tokio::sync::watch::Receiver<bool>,
) -> Settled {
    tokio::select! {
        biased;
        reached = status.wait_for(|status| *status != ConnectionStatus::Down) => match reached.as_deref() {
            Ok(ConnectionStatus::Up) => Settled::Established,
            Ok(_) | Err(_) => Settled::Ended,
        },
        stalled = stalled.wait_for(|stalled| *stalled) => match stalled {
            Ok(_) => Settled::Established,
            Err(_) => Settled::Ended,
        },
    }
}
