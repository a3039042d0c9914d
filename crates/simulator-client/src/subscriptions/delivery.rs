//! The task that calls back.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::SubscriptionRuntimeError;
use crate::machine::subscription::SubscriptionKind;
use crate::managed::{self, ConnectionStatus, ManagedFailure, StreamFault, SubscriptionNotification};

/// Longest time without a notification after a subscription was stopped. Time in which the connection is down does not
/// count, nor does time that the callback takes.
pub const STOP_SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time from the stop of a subscription until it ends, whatever comes and however long the callback takes.
pub const STOP_TOTAL_TIMEOUT: Duration = Duration::from_secs(60);

const _: () = assert!(STOP_SILENCE_TIMEOUT.as_secs() < STOP_TOTAL_TIMEOUT.as_secs());

/// Everything that the task is made of.
pub(super) struct Delivery<N, C> {
    pub(super) subscription: managed::SubscriptionHandle,
    pub(super) stop: watch::Receiver<bool>,
    /// What the callback takes; `None` for what is none of its business.
    pub(super) take: fn(SubscriptionNotification) -> Option<N>,
    pub(super) callback: C,
    pub(super) subject: Subject,
}

/// What a subscription is about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) kind: SubscriptionKind,
    pub(super) target: String,
}

/// What was wrong with the stream.
#[derive(Debug, Default)]
struct Faults {
    count: u64,
    first: Option<Box<StreamFault>>,
}

impl<N, C, F> Delivery<N, C>
where
    C: FnMut(N) -> F,
    F: Future<Output = ()>,
{
    /// Calls back until the stream ends, or for a while after the stop. The connection is closed when it returns.
    pub(super) async fn run(mut self) -> Result<(), SubscriptionRuntimeError> {
        let mut stop = self.stop.clone();
        let overdue = async move {
            stopped(&mut stop).await;
            sleep(STOP_TOTAL_TIMEOUT).await;
        };
        let subject = self.subject.clone();
        let delivered = tokio::select! {
            biased;
            delivered = self.deliver() => delivered,
            () = overdue => Err(subject.undrained()),
        };
        self.subscription.join().await;
        delivered
    }

    async fn deliver(&mut self) -> Result<(), SubscriptionRuntimeError> {
        let mut faults = Faults::default();
        while let Some(notification) = self.next().await? {
            match notification {
                SubscriptionNotification::Failed(failure) => return Err(self.subject.closed(failure)),
                SubscriptionNotification::Fault(fault) => faults.note(fault),
                notification => {
                    if let Some(notification) = (self.take)(notification) {
                        (self.callback)(notification).await;
                    }
                }
            }
        }
        faults.into_result(&self.subject)
    }

    async fn next(&mut self) -> Result<Option<SubscriptionNotification>, SubscriptionRuntimeError> {
        tokio::select! {
            biased;
            notification = self.subscription.notifications.recv() => Ok(notification),
            () = silent_after_stop(&mut self.stop, &self.subscription.status) => Err(self.subject.undrained()),
        }
    }
}

impl Subject {
    fn closed(&self, failure: ManagedFailure) -> SubscriptionRuntimeError {
        SubscriptionRuntimeError::Closed {
            kind: self.kind,
            target: self.target.clone(),
            source: Box::new(failure),
        }
    }

    fn undrained(&self) -> SubscriptionRuntimeError {
        SubscriptionRuntimeError::Undrained {
            kind: self.kind,
            target: self.target.clone(),
        }
    }
}

impl Faults {
    fn note(&mut self, fault: StreamFault) {
        self.count += 1;
        self.first.get_or_insert_with(|| Box::new(fault));
    }

    fn into_result(self, subject: &Subject) -> Result<(), SubscriptionRuntimeError> {
        match self.first {
            None => Ok(()),
            Some(first) => Err(SubscriptionRuntimeError::Faulty {
                kind: subject.kind,
                target: subject.target.clone(),
                count: self.count,
                first,
            }),
        }
    }
}

/// Waits for the caller's stop. A caller that has dropped its handle can no longer stop anything.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn silent_after_stop(stop: &mut watch::Receiver<bool>, status: &watch::Receiver<ConnectionStatus>) {
    stopped(stop).await;
    loop {
        sleep(STOP_SILENCE_TIMEOUT).await;
        if *status.borrow() == ConnectionStatus::Up {
            return;
        }
    }
}
