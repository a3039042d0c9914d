//! Requests of which no event has shown yet that the server has taken them.
//!
//! A request is kept until there is evidence that it was taken; when the connection is lost before, it is sent again on
//! the next one as soon as that cannot apply it twice.
//!
//! * Where the server echoes request ids, an event with the id is the evidence, for the request and those before it.
//!   Everything else is sent again at once, with the same ids: the server applies an id once.
//! * Where it does not, the evidence is in the [order](super::order) of events. After a reattach the server replays
//!   what was missed; if it then falls silent while the session waits, what the replay did not show was not taken.
//! * Where events are missing or have no numbers, there may be no evidence: a `continue` is then not sent again, for
//!   it could be applied twice, and the caller is told so. A `continueTo` is, because it does nothing where it was
//!   applied before, and is refused where it was passed.

use std::collections::VecDeque;

use simulator_api::{BacktestResponse, SequencedResponse};

use super::ControlRequest;
use super::order::{self, Order};
use super::reminders::Reminders;
use crate::machine::is_rejection;
use crate::machine::request_ids::RequestIds;

/// Most requests in flight: one that runs, and one behind it or in its stead.
const LIMIT: usize = 2;

/// The requests in flight, oldest first.
#[derive(Debug)]
pub(super) struct InFlight {
    requests: VecDeque<Pending>,
    ids: RequestIds,
    evidence: Evidence,
    reminders: Reminders,
}

/// A request and how far it got.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) request: ControlRequest,
    pub(super) passage: Passage,
    /// Whether an event was seen that may have been its answer, but need not have been.
    pub(super) is_doubtful: bool,
}

/// How far a request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It waits to be written.
    Unsent,
    /// It was written to the current connection.
    Sent,
    /// It was written to a connection that is gone.
    Lost,
}

/// What can be known of requests that were written to a connection that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Fate {
    /// What the events tell.
    Known,
    /// Nothing: at least one was given up.
    Uncertain,
}

/// What shows that a request was taken.
#[derive(Debug)]
enum Evidence {
    /// Its id in an event.
    Echo,
    /// The order of events.
    Order(Order),
}

impl Pending {
    pub(super) fn was_sent(&self) -> bool {
        self.passage != Passage::Unsent
    }
}

impl InFlight {
    /// No requests yet, for a server that echoes ids.
    pub(super) fn with_ids(prefix: String) -> Self {
        let mut ids = RequestIds::new(prefix);
        ids.announce(true);
        Self::new(ids, Evidence::Echo)
    }

    /// No requests yet, for a server that does not know ids.
    pub(super) fn without_ids() -> Self {
        Self::new(RequestIds::new(String::new()), Evidence::Order(Order::new()))
    }

    fn new(ids: RequestIds, evidence: Evidence) -> Self {
        Self {
            requests: VecDeque::with_capacity(LIMIT),
            ids,
            evidence,
            reminders: Reminders::default(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.requests.len() < LIMIT
    }

    /// Takes a request of the caller.
    pub(super) fn push(&mut self, mut request: ControlRequest) {
        let id = request.id_mut();
        *id = self.ids.assign(id.take());
        self.requests.push_back(Pending {
            request,
            passage: Passage::Unsent,
            is_doubtful: false,
        });
    }

    /// The next request to write. None overtakes one whose fate is open.
    pub(super) fn next_due(&mut self) -> Option<ControlRequest> {
        let next = self
            .requests
            .iter_mut()
            .find(|pending| pending.passage != Passage::Sent)?;
        if next.passage == Passage::Lost {
            return None;
        }
        next.passage = Passage::Sent;
        Some(next.request.clone())
    }

    /// The connection is gone.
    pub(super) fn on_lost(&mut self) {
        self.reminders.interrupt();
        for pending in self.requests.iter_mut().filter(|pending| pending.was_sent()) {
            pending.passage = Passage::Lost;
        }
    }

    /// The session was attached to again, and what was missed comes now.
    pub(super) fn on_reattached(&mut self) {
        match &mut self.evidence {
            Evidence::Echo => self.repeat_lost(),
            Evidence::Order(order) => order.reattached(),
        }
    }

    /// The session was attached to again, and what was missed cannot be told from what was not: no event will ever tell
    /// what became of the requests.
    pub(super) fn on_reattached_blindly(&mut self) -> Fate {
        if let Evidence::Order(order) = &mut self.evidence {
            order.tear();
        }
        self.on_silence()
    }

    /// Events are missing.
    pub(super) fn on_gap(&mut self) {
        self.reminders.tear();
        if let Evidence::Order(order) = &mut self.evidence {
            order.tear();
        }
    }

    /// An event arrived.
    pub(super) fn observe(&mut self, event: &SequencedResponse) {
        match &mut self.evidence {
            Evidence::Echo => self.observe_echo(event),
            Evidence::Order(order) => order.observe(&event.response, &mut self.requests),
        }
    }

    /// Takes an event that was not delivered before, and says whether its caller knows what it tells.
    pub(super) fn is_reminder(&mut self, event: &SequencedResponse) -> bool {
        let may_answer = match &self.evidence {
            // An answer names its request.
            Evidence::Echo => false,
            Evidence::Order(_) => {
                let mut requests = self.requests.iter();
                requests.any(|pending| order::may_be_answered_by(pending, &event.response))
            }
        };
        self.reminders.take(event, may_answer)
    }

    /// Whether the fate of a request will be clear when nothing has been heard for a while.
    pub(super) fn awaits_silence(&self) -> bool {
        match &self.evidence {
            Evidence::Echo => false,
            Evidence::Order(order) => order.is_decided_by_silence(&self.requests),
        }
    }

    /// Nothing has been heard for a while: what was lost is sent again, unless that may apply it twice.
    pub(super) fn on_silence(&mut self) -> Fate {
        let fate = self.give_up_uncertain();
        self.repeat_lost();
        fate
    }

    /// An error without an id is about the oldest request, or one behind it; then the oldest was taken before it.
    fn observe_echo(&mut self, event: &SequencedResponse) {
        let named = event.request_id.as_ref();
        let position = match (&event.response, named) {
            (_, Some(_)) => self.requests.iter().position(|pending| pending.request.id() == named),
            (BacktestResponse::Error(error), None) if is_rejection(error) => {
                self.requests.front().filter(|pending| pending.was_sent()).map(|_| 0)
            }
            _ => None,
        };
        if let Some(index) = position {
            self.requests.drain(..=index);
        }
    }

    /// Forgets the first lost request that must not be sent again, and those that were sent behind it.
    fn give_up_uncertain(&mut self) -> Fate {
        let Evidence::Order(order) = &self.evidence else {
            return Fate::Known;
        };
        let Some(first) = self.requests.iter().position(|pending| order.is_uncertain(pending)) else {
            return Fate::Known;
        };
        let behind = self.requests.split_off(first);
        self.requests
            .extend(behind.into_iter().filter(|pending| pending.passage != Passage::Lost));
        Fate::Uncertain
    }

    /// Sends lost requests again, as far as that can do no harm.
    fn repeat_lost(&mut self) {
        let evidence = &self.evidence;
        let may_be_repeated = |pending: &Pending| match evidence {
            Evidence::Echo => true,
            Evidence::Order(order) => order.may_be_repeated(pending),
        };
        let lost = self
            .requests
            .iter_mut()
            .filter(|pending| pending.passage == Passage::Lost);
        for pending in lost {
            if !may_be_repeated(pending) {
                break;
            }
            pending.passage = Passage::Unsent;
        }
    }
}
