//! A session's events, numbered and bounded.
//!
//! The worker appends, the control connection reads. An event counts as read when the client has shown that it got it:
//! what was written to a socket may still be lost with it. An unread event is never dropped: when too many wait, the
//! worker pauses. Requests that are refused give events all the same, so that a client that goes on asking and does not
//! read is cut off a little above that. Events that were read are kept for a while, for a client that comes back with
//! an older cursor.

use std::collections::VecDeque;
use std::io;

use simulator_api::{BacktestError, BacktestResponse, RequestId, SequencedResponse};
use thiserror::Error;
use tokio::sync::Notify;

use crate::config::Limits;
use crate::seat::Driver;
use crate::watched::Watched;

/// How many events more than those at which the worker pauses may wait unread: answers to what was asked before the
/// client could know, and the last events of a step.
const UNREAD_MARGIN: usize = 64;

/// The number of an event in its session; the first event has 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence(pub(crate) u64);

/// Where a connection that takes a session over begins to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resumption {
    /// The last event that its client has.
    pub(crate) after: Sequence,
    /// The last event there was: those up to it are sent again, those after it for the first time.
    pub(crate) replayed_to: Sequence,
}

/// Why events cannot be read after a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum CursorError {
    #[error("events after {asked} cannot be replayed: the oldest that is kept is {oldest}")]
    Forgotten { asked: u64, oldest: u64 },
    #[error("there is no event {asked}: the last one is {last}")]
    Ahead { asked: u64, last: u64 },
}

/// The events of one session.
#[derive(Debug)]
pub(crate) struct EventLog {
    events: Watched<Events>,
    appended: Notify,
    read: Notify,
}

/// What [`EventLog`] guards.
#[derive(Debug)]
struct Events {
    retained: VecDeque<Retained>,
    /// Bytes of all events there were, and of those that are not retained any more.
    bytes: u64,
    forgotten_bytes: u64,
    last: Sequence,
    read: Sequence,
    /// The last event when the connection that reads now came: what it has yet to read of these is not its doing.
    inherited: Sequence,
    /// The last event after which the session waits.
    stop: Sequence,
    /// Answers that are no events of the session, for whoever reads now.
    notices: VecDeque<SequencedResponse>,
    /// Whether the session has yet to do again what it had done before a restart: then a cursor may be ahead.
    is_rebuilt: bool,
    max_unread: usize,
    max_retained: usize,
    max_bytes: u64,
}

#[derive(Debug)]
struct Retained {
    event: SequencedResponse,
    /// Bytes of all events up to this one.
    end: u64,
}

impl EventLog {
    /// An empty log.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::of(Events::new(limits))
    }

    /// An empty log of a session that will do again what it has done before. Its client has the events up to this one.
    pub(crate) fn rebuilt(limits: &Limits, read: Sequence) -> Self {
        Self::of(Events {
            read,
            is_rebuilt: true,
            ..Events::new(limits)
        })
    }

    fn of(events: Events) -> Self {
        Self {
            events: Watched::new(events),
            appended: Notify::new(),
            read: Notify::new(),
        }
    }

    /// Numbers an event and adds it. A writer asks for room before the work that leads to events, not before each of
    /// them, so that the limit may be exceeded by the few events of one step.
    pub(crate) fn append(&self, request: Option<RequestId>, response: BacktestResponse) {
        self.events.lock().append(request, response);
        self.appended.notify_waiters();
    }

    /// Answers a request without an event: what is not written down must not count. Who is not there does not hear it.
    pub(crate) fn notice(&self, request: Option<RequestId>, error: BacktestError) {
        self.events.lock().notice(request, error);
        self.appended.notify_waiters();
    }

    /// The number of the last event, and of the last one that the client has.
    pub(crate) fn reach(&self) -> (Sequence, Sequence) {
        let events = self.events.lock();
        (events.last, events.read.min(events.last))
    }

    /// The session has done again what it had done before, and waits for its client.
    pub(crate) fn stands(&self) {
        let mut events = self.events.lock();
        if !events.is_rebuilt {
            return;
        }
        events.is_rebuilt = false;
        events.read = events.read.min(events.last);
        drop(events);
        self.appended.notify_waiters();
    }

    /// Waits until a session that does again what it has done before has come to the event that its client has, or
    /// waits for its client.
    pub(crate) async fn caught_up(&self, cursor: Option<u64>) {
        let Some(cursor) = cursor.map(Sequence) else { return };
        {
            let mut events = self.events.lock();
            if !events.is_rebuilt {
                return;
            }
            // Otherwise the session would wait until these are read.
            events.read = events.read.max(cursor);
        }
        self.read.notify_waiters();
        let is_there = |events: &Events| (!events.is_rebuilt || events.last >= cursor).then_some(());
        self.events.until(&self.appended, is_there).await;
    }

    /// Whether more events may be produced.
    pub(crate) fn has_room(&self) -> bool {
        self.events.lock().has_room()
    }

    /// Bytes of all events that are kept.
    pub(crate) fn bytes(&self) -> u64 {
        let events = self.events.lock();
        events.bytes - events.forgotten_bytes
    }

    /// Whether so many events wait that their reader must not ask for more.
    pub(crate) fn is_flooded(&self) -> bool {
        self.events.lock().is_flooded()
    }

    /// Waits until more events may be produced.
    pub(crate) async fn room(&self) {
        self.events
            .until(&self.read, |events| events.has_room().then_some(()))
            .await;
    }

    /// The first retained event after this one, or a notice, if there is one yet. A notice is taken.
    pub(crate) fn take_next(&self, cursor: Sequence) -> Option<(Sequence, SequencedResponse)> {
        self.events.lock().take_next(cursor)
    }

    /// Waits for the first retained event after this one, or a notice, which does not move the cursor.
    pub(crate) async fn next_after(&self, cursor: Sequence) -> (Sequence, SequencedResponse) {
        let has_next = |events: &Events| (!events.notices.is_empty() || events.after(cursor).is_some()).then_some(());
        loop {
            self.events.until(&self.appended, has_next).await;
            if let Some(next) = self.events.lock().take_next(cursor) {
                return next;
            }
        }
    }

    /// The client has all events up to this one.
    #[cfg(test)]
    pub(crate) fn mark_read(&self, cursor: Sequence) {
        self.mark_read_by(&Driver::default(), cursor);
    }

    /// A connection says that its client has all events up to this one. One that has been evicted is not believed: the
    /// one after it may not have them.
    pub(crate) fn mark_read_by(&self, driver: &Driver, cursor: Sequence) {
        let mut events = self.events.lock();
        // Looked at under the lock, because whoever evicts a connection resumes afterwards.
        if driver.is_evicted() {
            return;
        }
        events.mark_read(cursor);
        drop(events);
        self.read.notify_waiters();
    }

    /// Whether events can be read after a cursor; `None` stands for the oldest that is kept.
    ///
    /// # Errors
    /// [`CursorError`] if they are not kept any more, or there are none yet.
    pub(crate) fn check(&self, cursor: Option<u64>) -> Result<Resumption, CursorError> {
        self.events.lock().check(cursor)
    }

    /// Begins to be read by another connection. What its client does not have is unread again.
    ///
    /// # Errors
    /// As [`EventLog::check`].
    pub(crate) fn resume(&self, cursor: Option<u64>) -> Result<Resumption, CursorError> {
        let mut events = self.events.lock();
        let resumption = events.check(cursor)?;
        events.read = resumption.after;
        events.inherited = events.last;
        events.notices.clear();
        drop(events);
        self.read.notify_waiters();
        Ok(resumption)
    }

    /// The last event after which the session waits for its client.
    pub(crate) fn last_stop(&self) -> Sequence {
        self.events.lock().stop
    }
}

impl Events {
    fn new(limits: &Limits) -> Self {
        Self {
            retained: VecDeque::new(),
            bytes: 0,
            forgotten_bytes: 0,
            last: Sequence(0),
            read: Sequence(0),
            inherited: Sequence(0),
            stop: Sequence(0),
            notices: VecDeque::new(),
            is_rebuilt: false,
            max_unread: limits.unread_events,
            max_retained: limits.retained_events.max(limits.unread_events),
            max_bytes: limits.event_bytes as u64,
        }
    }

    fn notice(&mut self, request_id: Option<RequestId>, error: BacktestError) {
        if self.notices.len() > UNREAD_MARGIN {
            self.notices.pop_front();
        }
        self.notices.push_back(SequencedResponse {
            request_id,
            ..BacktestResponse::Error(error).into()
        });
    }

    fn take_next(&mut self, cursor: Sequence) -> Option<(Sequence, SequencedResponse)> {
        match self.notices.pop_front() {
            Some(notice) => Some((cursor, notice)),
            None => self.after(cursor),
        }
    }

    fn append(&mut self, request_id: Option<RequestId>, response: BacktestResponse) {
        self.last.0 += 1;
        if matches!(
            response,
            BacktestResponse::ReadyForContinue | BacktestResponse::Paused(_)
        ) {
            self.stop = self.last;
        }
        let event = SequencedResponse {
            seq_id: Some(self.last.0),
            request_id,
            replayed: false,
            response,
        };
        self.bytes += size(&event);
        let end = self.bytes;
        self.retained.push_back(Retained { event, end });
        self.forget();
    }

    fn has_room(&self) -> bool {
        self.unread() < self.max_unread as u64 && self.unread_bytes() < self.max_bytes
    }

    /// Each connection may leave a little more unread than the last one, but not without end.
    fn is_flooded(&self) -> bool {
        let margin = (self.max_unread + UNREAD_MARGIN) as u64;
        self.last.0.saturating_sub(self.read.max(self.inherited).0) > margin
            || self.notices.len() > UNREAD_MARGIN
            || self.unread() > self.max_retained as u64 + margin
            || self.unread_bytes() > self.max_bytes * 2
    }

    /// What is read may be ahead of a session that does again what it has done before.
    fn unread(&self) -> u64 {
        self.last.0.saturating_sub(self.read.0)
    }

    fn unread_bytes(&self) -> u64 {
        if self.unread() == 0 {
            return 0;
        }
        let index = self.read.0.checked_sub(self.first());
        let read = index.and_then(|index| self.retained.get(usize::try_from(index).ok()?));
        self.bytes - read.map_or(self.forgotten_bytes, |read| read.end)
    }

    fn after(&self, cursor: Sequence) -> Option<(Sequence, SequencedResponse)> {
        let first = self.first();
        let wanted = (cursor.0 + 1).max(first);
        let index = usize::try_from(wanted - first).ok()?;
        let retained = self.retained.get(index)?;
        Some((Sequence(wanted), retained.event.clone()))
    }

    fn check(&self, cursor: Option<u64>) -> Result<Resumption, CursorError> {
        let oldest = self.first();
        let asked = cursor.unwrap_or(oldest - 1);
        if asked > self.last.0 {
            return Err(CursorError::Ahead {
                asked,
                last: self.last.0,
            });
        }
        if asked + 1 < oldest {
            return Err(CursorError::Forgotten { asked, oldest });
        }
        Ok(Resumption {
            after: Sequence(asked),
            replayed_to: self.last,
        })
    }

    /// The number of the oldest event that is kept, or of the next one if none is.
    fn first(&self) -> u64 {
        self.last.0 - self.retained.len() as u64 + 1
    }

    fn mark_read(&mut self, cursor: Sequence) {
        self.read = self.read.max(cursor.min(self.last));
        self.forget();
    }

    /// Forgets the oldest events that were read, as long as there are too many.
    fn forget(&mut self) {
        while self.retained.len() > self.max_retained || self.bytes - self.forgotten_bytes > self.max_bytes {
            match self.retained.front() {
                Some(oldest) if self.first() <= self.read.0 => self.forgotten_bytes = oldest.end,
                _ => return,
            }
            self.retained.pop_front();
        }
    }
}

/// How much an event takes when it is sent, and about how much memory.
fn size(event: &SequencedResponse) -> u64 {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, event).expect("events have text keys only, and counting never fails");
    count.0
}

/// Counts what is written.
struct Count(u64);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::seat::Seat;

    fn log_of(count: u64) -> EventLog {
        let log = EventLog::new(&Limits {
            unread_events: 3,
            retained_events: 4,
            ..Limits::default()
        });
        (1..=count).for_each(|slot| log.append(None, BacktestResponse::SlotNotification(slot)));
        log
    }

    #[test]
    fn numbers_from_one() {
        let log = log_of(2);
        let first = log.events.lock().after(Sequence(0)).unwrap();
        assert_eq!((first.0, first.1.seq_id), (Sequence(1), Some(1)));
        assert_eq!(log.events.lock().after(Sequence(1)).unwrap().0, Sequence(2));
        assert!(log.events.lock().after(Sequence(2)).is_none());
    }

    #[test]
    fn keeps_what_is_unread_and_a_little_more() {
        let log = log_of(6);
        assert!(!log.has_room());
        assert_eq!(log.events.lock().retained.len(), 6, "nothing unread is dropped");
        log.mark_read(Sequence(4));
        assert!(log.has_room());
        assert_eq!(log.events.lock().retained.len(), 4);
        assert_eq!(
            log.events.lock().after(Sequence(0)).unwrap().0,
            Sequence(3),
            "the oldest that is left"
        );
        log.mark_read(Sequence(99));
        log.append(None, BacktestResponse::ReadyForContinue);
        assert_eq!(log.events.lock().after(Sequence(6)).unwrap().1.seq_id, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_of_an_evicted_connection_does_not_count() {
        let log = log_of(6);
        let (first, second) = (Arc::default(), Arc::default());
        let (seat, _lease) = Seat::driven(&first, Duration::ZERO);
        log.mark_read_by(&first, Sequence(2));
        let _lease = seat.claim(&second, Duration::from_secs(1)).await.unwrap();
        log.resume(Some(2)).unwrap();
        log.mark_read_by(&first, Sequence(6));
        assert_eq!(log.events.lock().unread(), 4, "the second one has not got them");
        log.mark_read_by(&second, Sequence(6));
        assert_eq!(log.events.lock().unread(), 0);
    }

    #[test]
    fn is_flooded_above_the_margin_only() {
        let limit = 3 + UNREAD_MARGIN as u64;
        assert!(!log_of(limit).is_flooded());
        let log = log_of(limit + 1);
        assert!(log.is_flooded());
        log.mark_read(Sequence(1));
        assert!(!log.is_flooded());
    }

    #[test]
    fn resumes_after_what_is_kept_only() {
        let log = log_of(6);
        log.mark_read(Sequence(6));
        let resumption = |after| Resumption {
            after: Sequence(after),
            replayed_to: Sequence(6),
        };
        assert_eq!(log.check(Some(1)), Err(CursorError::Forgotten { asked: 1, oldest: 3 }));
        assert_eq!(log.check(Some(2)), Ok(resumption(2)));
        assert_eq!(log.check(None), Ok(resumption(2)));
        assert_eq!(log.check(Some(6)), Ok(resumption(6)));
        assert_eq!(log.check(Some(7)), Err(CursorError::Ahead { asked: 7, last: 6 }));
        assert_eq!(log_of(0).check(None).unwrap().after, Sequence(0));
    }

    #[test]
    fn what_is_read_again_is_kept_until_then_and_is_no_flood() {
        let log = log_of(4);
        log.mark_read(Sequence(4));
        assert!(log.has_room());
        log.resume(Some(0)).unwrap();
        assert!(!log.has_room(), "the worker waits for the replay");
        for _ in 0..UNREAD_MARGIN + 3 {
            log.append(None, BacktestResponse::ReadyForContinue);
            assert!(!log.is_flooded());
        }
        assert_eq!(log.events.lock().after(Sequence(0)).unwrap().0, Sequence(1));
        log.append(None, BacktestResponse::ReadyForContinue);
        assert!(log.is_flooded());
    }

    #[test]
    fn connections_that_come_and_go_are_a_flood_in_the_end() {
        let log = log_of(0);
        for _ in 0..4 + 3 + UNREAD_MARGIN {
            log.append(None, BacktestResponse::ReadyForContinue);
            log.resume(Some(0)).unwrap();
            assert!(!log.is_flooded());
        }
        log.append(None, BacktestResponse::ReadyForContinue);
        log.resume(Some(0)).unwrap();
        assert!(log.is_flooded());
    }

    #[test]
    fn large_events_are_few() {
        let log = EventLog::new(&Limits {
            event_bytes: 2000,
            ..Limits::default()
        });
        let large = || BacktestResponse::from("x".repeat(800));
        log.append(None, large());
        log.append(None, large());
        assert!(log.has_room());
        log.append(None, large());
        assert!(!log.has_room() && !log.is_flooded());
        assert_eq!(
            log.check(Some(0)).unwrap().after,
            Sequence(0),
            "nothing unread is dropped"
        );
        log.mark_read(Sequence(2));
        assert!(log.has_room());
        assert_eq!(log.check(Some(0)), Err(CursorError::Forgotten { asked: 0, oldest: 2 }));
        (0..3).for_each(|_| log.append(None, large()));
        assert!(!log.is_flooded());
        log.append(None, large());
        assert!(log.is_flooded());
        log.mark_read(Sequence(7));
        assert!(log.has_room());
        assert_eq!(log.check(None).unwrap().after, Sequence(5));
    }

    #[test]
    fn knows_after_which_event_the_session_waits() {
        let log = log_of(2);
        assert_eq!(log.last_stop(), Sequence(0));
        log.append(None, BacktestResponse::ReadyForContinue);
        log.append(None, BacktestResponse::Success);
        assert_eq!(log.last_stop(), Sequence(3));
    }

    #[tokio::test]
    async fn wakes_reader_and_writer() {
        let log = std::sync::Arc::new(log_of(3));
        let reader = tokio::spawn({
            let log = log.clone();
            async move { log.next_after(Sequence(3)).await.0 }
        });
        let writer = tokio::spawn({
            let log = log.clone();
            async move { log.room().await }
        });
        tokio::task::yield_now().await;
        log.mark_read(Sequence(1));
        writer.await.unwrap();
        log.append(None, BacktestResponse::ReadyForContinue);
        assert_eq!(reader.await.unwrap(), Sequence(4));
    }
}
