//! What a client will have when it answers a ping.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event_log::{EventLog, Sequence};
use crate::seat::Driver;

/// What was sent before each ping that was not answered yet.
#[derive(Debug, Default)]
pub(super) struct Receipts(Mutex<Open>);

/// What [`Receipts`] guards.
#[derive(Debug, Default)]
struct Open {
    /// Of the last ping.
    number: u64,
    /// The oldest first.
    asked: VecDeque<Asked>,
}

#[derive(Debug)]
struct Asked {
    number: u64,
    sent: Sent,
}

/// Sessions, by their events, and the last event of each that was sent.
pub(super) type Sent = Vec<(Arc<EventLog>, Sequence)>;

/// Pings of which an answer is awaited. Beyond it the latest one takes the place of the one before, which then counts
/// when the latest is answered.
const MOST_OPEN: usize = 64;

impl Receipts {
    /// Takes note of what was sent so far, and returns the number of the ping that will ask for it.
    pub(super) fn ask(&self, sent: Sent) -> u64 {
        let mut open = self.lock();
        open.number += 1;
        let number = open.number;
        if open.asked.len() == MOST_OPEN {
            open.asked.pop_back();
        }
        open.asked.push_back(Asked { number, sent });
        number
    }

    /// The client has answered a ping: it has what was sent before it. A number that was never asked for counts as the
    /// latest before it.
    pub(super) fn answered(&self, driver: &Driver, number: u64) {
        let Some(asked) = self.take(number) else { return };
        for (events, sent) in asked.sent {
            events.mark_read_by(driver, sent);
        }
    }

    /// Whoever reads the events of this session by another connection, says itself what it has.
    pub(super) fn forget(&self, events: &Arc<EventLog>) {
        for asked in &mut self.lock().asked {
            asked.sent.retain(|(known, _)| !Arc::ptr_eq(known, events));
        }
    }

    fn take(&self, number: u64) -> Option<Asked> {
        let mut open = self.lock();
        let mut latest = None;
        while let Some(asked) = open.asked.pop_front_if(|asked| asked.number <= number) {
            latest = Some(asked);
        }
        latest
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use simulator_api::BacktestResponse;

    use super::*;
    use crate::config::Limits;

    fn log() -> Arc<EventLog> {
        let log = EventLog::new(&Limits {
            unread_events: 1,
            retained_events: 1,
            ..Limits::default()
        });
        (1..=10).for_each(|slot| log.append(None, BacktestResponse::SlotNotification(slot)));
        Arc::new(log)
    }

    /// The oldest event that is kept: those that were read are forgotten.
    fn oldest(log: &EventLog) -> u64 {
        log.check(None).unwrap().after.0 + 1
    }

    #[test]
    fn the_latest_answer_stands_for_all_before_it() {
        let (a, b, receipts) = (log(), log(), Receipts::default());
        let sent = |one, other| vec![(Arc::clone(&a), Sequence(one)), (Arc::clone(&b), Sequence(other))];
        assert_eq!(receipts.ask(sent(2, 0)), 1);
        assert_eq!(receipts.ask(sent(3, 4)), 2);
        assert_eq!(receipts.ask(sent(9, 9)), 3);
        receipts.answered(&Driver::default(), 0);
        assert_eq!((oldest(&a), oldest(&b)), (1, 1));
        receipts.answered(&Driver::default(), 2);
        assert_eq!((oldest(&a), oldest(&b)), (4, 5));
        receipts.answered(&Driver::default(), 1);
        assert_eq!(oldest(&a), 4);
        receipts.forget(&a);
        receipts.answered(&Driver::default(), u64::MAX);
        assert_eq!((oldest(&a), oldest(&b)), (4, 10));
    }

    #[test]
    fn what_is_never_answered_takes_bounded_memory() {
        let (log, receipts) = (log(), Receipts::default());
        for _ in 0..1000 {
            receipts.ask(vec![(Arc::clone(&log), Sequence(5))]);
        }
        assert_eq!(receipts.lock().asked.len(), MOST_OPEN);
        receipts.answered(&Driver::default(), MOST_OPEN as u64);
        assert_eq!(receipts.lock().asked.len(), 1);
        receipts.answered(&Driver::default(), 1000);
        assert_eq!(oldest(&log), 6);
    }
}
