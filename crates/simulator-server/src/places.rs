//! Places for sessions, at the server and among those of a key. Several are had together or not at all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use simulator_api::BacktestError;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// A number of places.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    all: usize,
    whose: Whose,
}

/// What has places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Server,
    Key,
}

/// The places of one session, given back when they are dropped.
#[derive(Debug)]
pub(crate) struct SessionPlace {
    pub(crate) server: OwnedSemaphorePermit,
    pub(crate) key: OwnedSemaphorePermit,
}

/// Why there are no places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NoPlaces {
    #[error("the range lies in {wanted} archives, and {whose} has at most {all} sessions: ask for a part of it")]
    Never { whose: Whose, all: usize, wanted: usize },
    #[error("all {all} sessions of {whose} are in use; {}, or set capacityWaitTimeoutSecs", whose.advice())]
    AllTaken { whose: Whose, all: usize },
    #[error(
        "of the {all} sessions of {whose} fewer than {wanted} are free; {}, or set capacityWaitTimeoutSecs",
        whose.advice()
    )]
    TooFew { whose: Whose, all: usize, wanted: usize },
}

impl Places {
    pub(crate) fn new(whose: Whose, all: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
            all,
            whose,
        }
    }

    fn suffice(&self, wanted: usize) -> Result<(), NoPlaces> {
        let (whose, all) = (self.whose, self.all);
        if wanted > all {
            return Err(NoPlaces::Never { whose, all, wanted });
        }
        Ok(())
    }

    async fn wait(&self, wanted: usize, until: Instant) -> Result<OwnedSemaphorePermit, NoPlaces> {
        let waiting = timeout_at(until, Arc::clone(&self.free).acquire_many_owned(permits(wanted))).await;
        waiting.ok().and_then(Result::ok).ok_or_else(|| self.none_free(wanted))
    }

    fn try_take(&self, wanted: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_many_owned(permits(wanted)).ok()
    }

    fn none_free(&self, wanted: usize) -> NoPlaces {
        let (whose, all) = (self.whose, self.all);
        if wanted == 1 || self.free.available_permits() == 0 {
            NoPlaces::AllTaken { whose, all }
        } else {
            NoPlaces::TooFew { whose, all, wanted }
        }
    }
}

impl SessionPlace {
    /// Places for so many sessions, all of them or none, within a time. While those of one kind are waited for, none of
    /// the other is held.
    ///
    /// # Errors
    /// [`NoPlaces`], for which of the two there are too few.
    pub(crate) async fn take(
        server: &Places,
        key: &Places,
        count: usize,
        patience: Duration,
    ) -> Result<Vec<Self>, NoPlaces> {
        key.suffice(count)?;
        server.suffice(count)?;
        let until = Instant::now() + patience;
        loop {
            let of_key = key.wait(count, until).await?;
            if let Some(of_server) = server.try_take(count) {
                return Ok(Self::each(of_server, of_key, count));
            }
            drop(of_key);
            let of_server = server.wait(count, until).await?;
            if let Some(of_key) = key.try_take(count) {
                return Ok(Self::each(of_server, of_key, count));
            }
        }
    }

    fn each(mut server: OwnedSemaphorePermit, mut key: OwnedSemaphorePermit, count: usize) -> Vec<Self> {
        let mut places: Vec<_> = (1..count)
            .map_while(|_| server.split(1).zip(key.split(1)))
            .map(|(server, key)| Self { server, key })
            .collect();
        places.push(Self { server, key });
        places
    }
}

impl Whose {
    fn advice(self) -> &'static str {
        match self {
            Self::Server => "try again later",
            Self::Key => "close one",
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "this server",
            Self::Key => "this API key",
        })
    }
}

/// Clients of the older generation do not know an error of its own for it.
impl From<NoPlaces> for BacktestError {
    fn from(error: NoPlaces) -> Self {
        Self::InvalidRequest {
            error: error.to_string(),
        }
    }
}

fn permits(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(server: usize, key: usize) -> (Places, Places) {
        (Places::new(Whose::Server, server), Places::new(Whose::Key, key))
    }

    async fn now(server: &Places, key: &Places, count: usize) -> Result<Vec<SessionPlace>, NoPlaces> {
        SessionPlace::take(server, key, count, Duration::ZERO).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_holds_nothing_and_names_the_limit() {
        let (server, key) = places(4, 3);
        let one = now(&server, &key, 1).await.unwrap();
        let refused = now(&server, &key, 3).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            "of the 3 sessions of this API key fewer than 3 are free; close one, or set capacityWaitTimeoutSecs"
        );
        let two = now(&server, &key, 2).await.unwrap();
        assert_eq!(two.len(), 2);
        let refused = now(&server, &key, 1).await.unwrap_err().to_string();
        assert!(
            refused.starts_with("all 3 sessions of this API key are in use"),
            "{refused}"
        );
        drop((one, two));
        assert_eq!(now(&server, &key, 3).await.unwrap().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_there_are_is_not_waited_for() {
        let (server, key) = places(3, 4);
        let long = Duration::from_secs(600);
        let before = Instant::now();
        let refused = SessionPlace::take(&server, &key, 4, long).await.unwrap_err();
        let whose = Whose::Server;
        assert_eq!(
            refused,
            NoPlaces::Never {
                whose,
                all: 3,
                wanted: 4
            }
        );
        assert!(SessionPlace::take(&server, &key, 5, long).await.is_err());
        assert_eq!(Instant::now(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn while_one_kind_is_waited_for_the_other_is_free() {
        let (server, key) = places(2, 2);
        let other_key = Places::new(Whose::Key, 2);
        let taken = now(&server, &other_key, 1).await.unwrap();
        let long = Duration::from_secs(600);
        let mut waiting = std::pin::pin!(SessionPlace::take(&server, &key, 2, long));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert!(key.try_take(2).is_some(), "it waits for the server's places only");
        drop(taken);
        assert_eq!(waiting.await.unwrap().len(), 2);
    }
}
