//! The subscriptions of one connection: which is which, and how far each has got.

use std::collections::HashSet;
use std::sync::Arc;

use super::resume::{Identify, Position};

/// The subscriptions, in the order of their addresses.
#[derive(Debug)]
pub(super) struct Subscriptions(Vec<Subscription>);

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    /// The address.
    pub(super) target: Arc<str>,
    /// How far it has got.
    pub(super) position: Position,
    /// Whether it is open.
    phase: Phase,
}

/// Whether a subscription is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is not open on the current connection, or there is none.
    Closed,
    /// The request with this id asked for it.
    Requested(u64),
    /// It has this number on the current connection.
    Open(u64),
    /// It has told everything.
    Complete,
}

impl Subscriptions {
    /// One for each address, however often it is named.
    pub(super) fn new(addresses: Vec<String>, from_slot: Option<u64>) -> Self {
        let mut seen = HashSet::new();
        let targets = addresses.into_iter().map(Arc::from);
        let open = |target: Arc<str>| {
            seen.insert(target.clone()).then_some(Subscription {
                target,
                position: Position::Start(from_slot),
                phase: Phase::Closed,
            })
        };
        Self(targets.filter_map(open).collect())
    }

    /// Requests all that have not completed, and gives each with the id of its request.
    pub(super) fn request(&mut self) -> impl Iterator<Item = (u64, &Subscription)> {
        let unfinished = self.0.iter_mut().filter(|one| one.phase != Phase::Complete);
        (1..).zip(unfinished).map(|(id, one)| {
            one.phase = Phase::Requested(id);
            (id, &*one)
        })
    }

    /// The connection is gone, and every open subscription with it.
    pub(super) fn interrupt(&mut self, identify: Identify) {
        for one in self.0.iter_mut().filter(|one| one.phase != Phase::Complete) {
            one.phase = Phase::Closed;
            one.position.interrupt(identify);
        }
    }

    /// The one that a request asked for.
    pub(super) fn requested(&mut self, id: u64) -> Option<&mut Subscription> {
        self.0.iter_mut().find(|one| one.phase == Phase::Requested(id))
    }

    /// The one that has a number on this connection.
    #[inline]
    pub(super) fn open(&mut self, number: u64) -> Option<&mut Subscription> {
        self.0.iter_mut().find(|one| one.phase == Phase::Open(number))
    }

    /// Whether a request is not answered yet.
    pub(super) fn any_requested(&self) -> bool {
        self.0.iter().any(|one| matches!(one.phase, Phase::Requested(_)))
    }

    /// The first whose request is not answered yet.
    pub(super) fn first_requested(&self) -> Option<&Subscription> {
        self.0.iter().find(|one| matches!(one.phase, Phase::Requested(_)))
    }

    /// Whether every one has told everything.
    pub(super) fn all_complete(&self) -> bool {
        self.0.iter().all(|one| one.phase == Phase::Complete)
    }
}

impl Subscription {
    /// The server granted it and numbers it so.
    pub(super) fn granted(&mut self, number: u64) {
        self.phase = Phase::Open(number);
    }

    /// It has told everything.
    pub(super) fn complete(&mut self) {
        self.phase = Phase::Complete;
    }
}
