//! What a session does with the requests of its client.

use simulator_api::{BacktestError, RequestId};

use super::goal::Goal;
use super::machine::Place;
use super::run::Run;
use super::{EventKind, Order, Session, Target};

impl Session {
    /// Whether a request has been taken before, so that it must not be applied again.
    pub(crate) fn is_repeated(&self, request: Option<&RequestId>) -> bool {
        request.is_some_and(|request| self.seen.contains(request))
    }

    /// Takes an order: starts it, queues it, or refuses it with an event.
    pub(crate) fn order(&mut self, order: Order) {
        if self.is_repeated(order.request()) {
            return;
        }
        self.remember(order.request());
        if self.is_held() {
            return self.answer(order);
        }
        match (&mut self.run, order) {
            (None, order) => self.begin(order),
            (Some(run), Order::ContinueTo { request, target }) if !run.goal.is_start() => {
                self.redirect(request, target);
            }
            (Some(_), order) if self.queued.is_none() => self.queued = Some(order),
            (Some(_), order) => self.refuse(
                order.request().cloned(),
                "another request already waits behind the running one; wait for readyForContinue".to_owned(),
            ),
        }
    }

    /// Answers a request that cannot be carried out.
    pub(crate) fn reject(&mut self, request: Option<RequestId>, error: BacktestError) {
        if self.is_repeated(request.as_ref()) {
            return;
        }
        self.remember(request.as_ref());
        self.push(request, EventKind::Error(error));
    }

    pub(super) fn begin_queued(&mut self) {
        if let Some(order) = self.queued.take() {
            self.begin(order);
        }
    }

    /// Takes an order as the answer to the announced batch before which the session is held: it replaces the run.
    pub(super) fn answer(&mut self, order: Order) {
        match order {
            Order::ContinueTo { request, target } => self.redirect(request, target),
            order @ Order::Continue { .. } => {
                if let Some(lookout) = &mut self.lookout {
                    lookout.answer();
                }
                self.begin(order);
            }
        }
    }

    fn begin(&mut self, order: Order) {
        let Place::Open(open) = &self.place else {
            let error = self.no_slot_error();
            return self.push(order.request().cloned(), EventKind::Error(error));
        };
        match order {
            Order::Continue {
                request,
                blocks,
                changes,
            } => {
                let changes = Some(changes).filter(|changes| !changes.is_empty());
                self.run = Some(Run::new(request, Goal::of_blocks(blocks), changes));
            }
            Order::ContinueTo { request, target } if target.is_behind(open) => self.refuse_behind(request, target),
            Order::ContinueTo { request, target } => {
                self.run = Some(Run::new(request, Goal::To(target), None));
            }
        }
    }

    /// Gives the running request another place to stop.
    fn redirect(&mut self, request: Option<RequestId>, target: Target) {
        let behind = match &self.place {
            Place::Open(open) => target.is_behind(open),
            Place::Between(closed) => target.slot <= *closed,
            Place::BeforeFirst | Place::Completed | Place::Over => false,
        };
        if behind {
            return self.refuse_behind(request, target);
        }
        if let Some(run) = &mut self.run {
            run.goal = Goal::To(target);
            run.request = request;
        }
    }

    fn remember(&mut self, request: Option<&RequestId>) {
        if let Some(request) = request {
            self.seen.remember(request);
        }
    }

    /// Why there is no slot to go on from.
    fn no_slot_error(&self) -> BacktestError {
        match self.place {
            Place::Completed => BacktestError::NoMoreBlocks,
            _ => BacktestError::InvalidRequest {
                error: "the session has ended".to_owned(),
            },
        }
    }

    fn refuse_behind(&mut self, request: Option<RequestId>, target: Target) {
        let batch = target.batch.map(|batch| format!(", batch {batch}")).unwrap_or_default();
        let here = match &self.place {
            Place::Open(open) if open.notified => format!("the end of slot {}", open.slot),
            Place::Open(open) => format!("slot {}, batch {}", open.slot, open.next_batch),
            Place::Between(closed) => format!("the end of slot {closed}"),
            Place::BeforeFirst | Place::Completed | Place::Over => "the end".to_owned(),
        };
        self.refuse(
            request,
            format!("slot {}{batch} is behind the session, which is at {here}", target.slot),
        );
    }

    fn refuse(&mut self, request: Option<RequestId>, error: String) {
        self.push(request, EventKind::Error(BacktestError::InvalidRequest { error }));
    }
}
