//! Who drives a session: one control connection at a time, and for a while nobody.
//!
//! ```text
//!              claim                      the lease is dropped
//!   vacant ─────────────► driven ──────────────────────────────► vacant
//!      │                    │
//!      │ the window is over │ the lease is dropped by a driver that closes the session
//!      ▼                    ▼
//!    over                 over
//! ```
//!
//! A half-open connection looks like a living one until it is asked. Whoever claims a seat that is taken therefore has
//! the connection in it probed: one that answers keeps the seat, one that does not is evicted. A connection that drives
//! several sessions yields each of them at once to one that wants that session alone.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::watched::Watched;

/// The place of the connection that drives a session.
#[derive(Debug)]
pub(crate) struct Seat {
    occupancy: Watched<Occupancy>,
    changed: Notify,
}

/// A seat that is held; dropping it makes the seat vacant, or ends the session if its driver closes it.
#[derive(Debug)]
pub(crate) struct Lease {
    seat: Arc<Seat>,
    driver: Arc<Driver>,
}

/// A control connection, as those see it who want its seat.
#[derive(Debug, Default)]
pub(crate) struct Driver {
    probes: Watched<Probes>,
    changed: Notify,
    evicted: CancellationToken,
    closing: CancellationToken,
    /// Whether it gives its seat up to whoever wants it, without being asked.
    yields: bool,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its driver closed it.
    Closed,
    /// Nobody came back in time.
    Expired,
}

/// Why a seat cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum ClaimError {
    #[error("the session has ended")]
    Over,
    #[error("another connection drives the session and answers")]
    Taken,
    #[error("another connection has just taken the session over")]
    Overtaken,
}

#[derive(Debug)]
struct Occupancy {
    sitting: Sitting,
    /// How long the seat is kept while it is vacant.
    window: Duration,
}

#[derive(Debug)]
enum Sitting {
    Driven(Arc<Driver>),
    VacantSince(Instant),
    Over(End),
}

/// Probes are numbered; an answer counts for those before, too.
#[derive(Debug, Default)]
struct Probes {
    asked: u64,
    answered: u64,
}

impl Seat {
    /// A seat that is driven, and kept for a time when it becomes vacant.
    pub(crate) fn driven(driver: &Arc<Driver>, window: Duration) -> (Arc<Self>, Lease) {
        let sitting = Sitting::Driven(Arc::clone(driver));
        let seat = Arc::new(Self {
            occupancy: Watched::new(Occupancy { sitting, window }),
            changed: Notify::new(),
        });
        let lease = seat.lease(driver);
        (seat, lease)
    }

    /// A seat that nobody has yet, and that is kept for a time.
    pub(crate) fn vacant(window: Duration) -> Arc<Self> {
        let sitting = Sitting::VacantSince(Instant::now());
        Arc::new(Self {
            occupancy: Watched::new(Occupancy { sitting, window }),
            changed: Notify::new(),
        })
    }

    /// A vacant seat is kept as long as if it had become so now.
    pub(crate) fn renew(&self) {
        let mut occupancy = self.occupancy.lock();
        if let Sitting::VacantSince(since) = &mut occupancy.sitting {
            *since = Instant::now();
        }
    }

    /// Waits until nobody drives; for ever, if the session has ended.
    pub(crate) async fn until_vacant(&self) {
        let is_vacant = |occupancy: &Occupancy| matches!(occupancy.sitting, Sitting::VacantSince(_)).then_some(());
        self.occupancy.until(&self.changed, is_vacant).await;
    }

    /// Waits until somebody drives; for ever, if the session has ended.
    pub(crate) async fn until_driven(&self) {
        let is_driven = |occupancy: &Occupancy| matches!(occupancy.sitting, Sitting::Driven(_)).then_some(());
        self.occupancy.until(&self.changed, is_driven).await;
    }

    /// Takes the seat for a connection. If another one has it, that one is probed, and evicted unless it answers
    /// within `patience`.
    ///
    /// # Errors
    /// [`ClaimError`] if the other one answers, a third one is faster, or the session has ended.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        newcomer: &Arc<Driver>,
        patience: Duration,
    ) -> Result<Lease, ClaimError> {
        if let Some(sitting) = self.take(newcomer, None)? {
            tokio::select! {
                answered = timeout(patience, sitting.answers()) => if answered.is_ok() {
                    return Err(ClaimError::Taken);
                },
                () = self.left_by(&sitting) => {}
            }
            if self.take(newcomer, Some(&sitting))?.is_some() {
                return Err(ClaimError::Overtaken);
            }
        }
        Ok(self.lease(newcomer))
    }

    /// Waits until the session ends: closed by its driver, or vacant for too long.
    pub(crate) async fn over(&self) -> End {
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = self.changed.notified();
            let deadline = match self.occupancy.lock().deadline() {
                Ok(deadline) => deadline,
                Err(end) => return end,
            };
            tokio::select! {
                () = changed => {}
                () = until(deadline) => self.expire(),
            }
        }
    }

    /// Waits until nobody drives the session.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) async fn vacated(&self) -> Result<(), End> {
        let look = |occupancy: &Occupancy| match occupancy.sitting {
            Sitting::Driven(_) => None,
            Sitting::VacantSince(_) => Some(Ok(())),
            Sitting::Over(end) => Some(Err(end)),
        };
        self.occupancy.until(&self.changed, look).await
    }

    /// Takes the seat if nobody has it.
    pub(crate) fn claim_vacant(self: &Arc<Self>, newcomer: &Arc<Driver>) -> Option<Lease> {
        let mut occupancy = self.occupancy.lock();
        if !matches!(occupancy.sitting, Sitting::VacantSince(_)) {
            return None;
        }
        occupancy.sitting = Sitting::Driven(Arc::clone(newcomer));
        drop(occupancy);
        self.changed.notify_waiters();
        Some(self.lease(newcomer))
    }

    /// Ends the session, whoever drives it.
    pub(crate) fn end(&self, end: End) {
        let mut occupancy = self.occupancy.lock();
        match &occupancy.sitting {
            Sitting::Over(_) => return,
            Sitting::Driven(driver) => driver.evicted.cancel(),
            Sitting::VacantSince(_) => {}
        }
        occupancy.sitting = Sitting::Over(end);
        drop(occupancy);
        self.changed.notify_waiters();
    }

    /// From now on the seat is kept for this long when it becomes vacant.
    pub(crate) fn keep_for(&self, window: Duration) {
        self.occupancy.lock().window = window;
    }

    /// Whether the session has ended.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.occupancy.lock().sitting, Sitting::Over(_))
    }

    /// Takes the seat if it is vacant or `evictable` has it; returns whoever else has it.
    fn take(&self, newcomer: &Arc<Driver>, evictable: Option<&Arc<Driver>>) -> Result<Option<Arc<Driver>>, ClaimError> {
        let mut occupancy = self.occupancy.lock();
        match &occupancy.sitting {
            Sitting::Over(_) => return Err(ClaimError::Over),
            Sitting::VacantSince(_) => {}
            Sitting::Driven(sitting) if sitting.yields => sitting.evicted.cancel(),
            Sitting::Driven(sitting) => match evictable {
                Some(evictable) if Arc::ptr_eq(evictable, sitting) => sitting.evicted.cancel(),
                _ => return Ok(Some(Arc::clone(sitting))),
            },
        }
        occupancy.sitting = Sitting::Driven(Arc::clone(newcomer));
        drop(occupancy);
        self.changed.notify_waiters();
        Ok(None)
    }

    /// Waits until a driver has the seat no more.
    async fn left_by(&self, driver: &Arc<Driver>) {
        let gone = |occupancy: &Occupancy| (!occupancy.is_driven_by(driver)).then_some(());
        self.occupancy.until(&self.changed, gone).await;
    }

    /// Ends what has been vacant for too long.
    fn expire(&self) {
        let mut occupancy = self.occupancy.lock();
        if let Sitting::VacantSince(since) = occupancy.sitting
            && since + occupancy.window <= Instant::now()
        {
            occupancy.sitting = Sitting::Over(End::Expired);
            drop(occupancy);
            self.changed.notify_waiters();
        }
    }

    /// A driver leaves, unless it was evicted before.
    fn leave(&self, driver: &Arc<Driver>, left: Sitting) {
        let mut occupancy = self.occupancy.lock();
        if occupancy.is_driven_by(driver) {
            occupancy.sitting = left;
            drop(occupancy);
            self.changed.notify_waiters();
        }
    }

    fn lease(self: &Arc<Self>, driver: &Arc<Driver>) -> Lease {
        Lease {
            seat: Arc::clone(self),
            driver: Arc::clone(driver),
        }
    }
}

impl Occupancy {
    /// Until when the seat is kept, unless for ever.
    fn deadline(&self) -> Result<Option<Instant>, End> {
        match &self.sitting {
            Sitting::Over(end) => Err(*end),
            Sitting::VacantSince(since) => Ok(Some(*since + self.window)),
            Sitting::Driven(_) => Ok(None),
        }
    }

    fn is_driven_by(&self, driver: &Arc<Driver>) -> bool {
        matches!(&self.sitting, Sitting::Driven(sitting) if Arc::ptr_eq(sitting, driver))
    }
}

impl Lease {
    /// From now on the seat is kept for this long when it becomes vacant.
    pub(crate) fn keep_for(&self, window: Duration) {
        self.seat.keep_for(window);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let left = if self.driver.closing.is_cancelled() {
            Sitting::Over(End::Closed)
        } else {
            Sitting::VacantSince(Instant::now())
        };
        self.seat.leave(&self.driver, left);
    }
}

impl Driver {
    /// A connection that gives its seat up to whoever wants it.
    pub(crate) fn yielding() -> Arc<Self> {
        Arc::new(Self {
            yields: true,
            ..Self::default()
        })
    }

    /// From now on the session ends when this driver leaves its seat.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Waits until another connection has taken the seat.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Whether the seat was taken from this connection.
    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.is_cancelled()
    }

    /// Waits for a probe after this one; the connection then has its client answer, and reports that.
    pub(crate) async fn probe_after(&self, earlier: u64) -> u64 {
        self.probes
            .until(&self.changed, |probes| {
                Some(probes.asked).filter(|asked| *asked > earlier)
            })
            .await
    }

    /// The client has answered this probe.
    pub(crate) fn answered(&self, probe: u64) {
        let mut probes = self.probes.lock();
        probes.answered = probes.answered.max(probe.min(probes.asked));
        drop(probes);
        self.changed.notify_waiters();
    }

    /// Probes the client, and waits for its answer.
    async fn answers(&self) {
        let probe = {
            let mut probes = self.probes.lock();
            probes.asked += 1;
            probes.asked
        };
        self.changed.notify_waiters();
        self.probes
            .until(&self.changed, |probes| (probes.answered >= probe).then_some(()))
            .await;
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);
    const PATIENCE: Duration = Duration::from_secs(2);

    fn driver() -> Arc<Driver> {
        Arc::default()
    }

    /// A client that answers the probes of its connection.
    fn answering(driver: &Arc<Driver>) -> tokio::task::JoinHandle<()> {
        let driver = Arc::clone(driver);
        tokio::spawn(async move {
            let mut last = 0;
            loop {
                last = driver.probe_after(last).await;
                driver.answered(last);
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_vacant_seat_is_kept_for_its_window() {
        let (seat, lease) = Seat::driven(&driver(), WINDOW);
        assert!(timeout(WINDOW * 10, seat.over()).await.is_err(), "it is driven");
        drop(lease);
        assert!(timeout(WINDOW - PATIENCE, seat.over()).await.is_err());
        let lease = seat.claim(&driver(), PATIENCE).await.unwrap();
        assert!(timeout(WINDOW * 10, seat.over()).await.is_err(), "it is driven again");
        let left = Instant::now();
        drop(lease);
        assert_eq!(seat.over().await, End::Expired);
        assert_eq!(left.elapsed(), WINDOW);
        assert_eq!(seat.claim(&driver(), PATIENCE).await.unwrap_err(), ClaimError::Over);
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_can_be_changed_and_be_nothing() {
        let (seat, lease) = Seat::driven(&driver(), WINDOW);
        lease.keep_for(Duration::ZERO);
        drop(lease);
        let left = Instant::now();
        assert_eq!((seat.over().await, left.elapsed()), (End::Expired, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_session_is_over_at_once() {
        let closing = driver();
        let (seat, lease) = Seat::driven(&closing, WINDOW);
        let waiting = tokio::spawn({
            let seat = Arc::clone(&seat);
            async move { seat.over().await }
        });
        tokio::task::yield_now().await;
        closing.close();
        drop(lease);
        assert_eq!(waiting.await.unwrap(), End::Closed);
        assert!(seat.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_answers_keeps_its_seat() {
        let sitting = driver();
        let client = answering(&sitting);
        let (seat, lease) = Seat::driven(&sitting, WINDOW);
        let asked = Instant::now();
        assert_eq!(seat.claim(&driver(), PATIENCE).await.unwrap_err(), ClaimError::Taken);
        assert_eq!(asked.elapsed(), Duration::ZERO);
        client.abort();
        drop(lease);
        assert!(
            timeout(WINDOW * 2, seat.over()).await.is_ok(),
            "its lease was still the one that counts"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_answer_is_evicted_by_the_first_who_asks() {
        let dead = driver();
        let (seat, dead_lease) = Seat::driven(&dead, WINDOW);
        let (first, second) = (driver(), driver());
        let asked = Instant::now();
        let (first, second) = tokio::join!(seat.claim(&first, PATIENCE), seat.claim(&second, PATIENCE));
        assert_eq!(asked.elapsed(), PATIENCE);
        assert_eq!(second.unwrap_err(), ClaimError::Overtaken);
        dead.evicted().await;
        drop(dead_lease);
        assert!(
            timeout(WINDOW * 2, seat.over()).await.is_err(),
            "the evicted one has nothing to leave"
        );
        drop(first);
        assert_eq!(seat.over().await, End::Expired);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_leaves_need_not_answer() {
        let (seat, lease) = Seat::driven(&driver(), WINDOW);
        let asked = Instant::now();
        let newcomer = driver();
        let (claimed, ()) = tokio::join!(seat.claim(&newcomer, PATIENCE), async { drop(lease) });
        assert!(claimed.is_ok());
        assert_eq!(asked.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_who_gives_up_leaves_everything_as_it_was() {
        let sitting = driver();
        let (seat, _lease) = Seat::driven(&sitting, WINDOW);
        assert!(timeout(PATIENCE / 2, seat.claim(&driver(), PATIENCE)).await.is_err());
        assert!(timeout(PATIENCE, sitting.evicted()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_nothing_is_no_answer() {
        let sitting = driver();
        sitting.answered(u64::MAX);
        let (seat, _lease) = Seat::driven(&sitting, WINDOW);
        seat.claim(&driver(), PATIENCE).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_yields_is_not_asked_and_may_have_the_seat_again() {
        let yielding = Driver::yielding();
        let (seat, group) = Seat::driven(&yielding, WINDOW);
        let alone = seat.claim(&driver(), PATIENCE).await.unwrap();
        yielding.evicted().await;
        drop(group);
        let again = Driver::yielding();
        assert!(seat.claim_vacant(&again).is_none());
        drop(alone);
        assert_eq!(seat.vacated().await, Ok(()));
        let group = seat.claim_vacant(&again).unwrap();
        tokio::time::sleep(WINDOW * 2).await;
        assert!(!seat.is_over(), "it is driven");
        drop(group);
        assert_eq!(seat.over().await, End::Expired);
    }

    #[tokio::test(start_paused = true)]
    async fn can_be_ended_whoever_drives() {
        let sitting = driver();
        let (seat, lease) = Seat::driven(&sitting, WINDOW);
        seat.end(End::Closed);
        sitting.evicted().await;
        assert_eq!(
            (seat.over().await, seat.vacated().await),
            (End::Closed, Err(End::Closed))
        );
        drop(lease);
        assert_eq!(seat.over().await, End::Closed);
        assert_eq!(seat.claim(&driver(), PATIENCE).await.unwrap_err(), ClaimError::Over);
    }
}
