//! All sessions of a run, some of them at the same time.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::collect::{Collector, Item, WINDOW, Written};
use super::error::RunError;
use super::plan::SlotRange;
use super::session::{Common, SessionEnd, SessionJob};
use crate::output::WholeFile;
use crate::report::Sinks;

/// The sessions that are to be run.
pub(super) struct Sessions<'a> {
    pub(super) common: Arc<Common>,
    /// One range a session, in slot order.
    pub(super) ranges: &'a [SlotRange],
    /// How many sessions run at a time.
    pub(super) parallel: NonZeroUsize,
    /// Where the accounts after the last slot of the last session go.
    pub(super) dump: Option<WholeFile>,
}

/// The sessions have run.
pub(super) struct Replayed {
    /// In slot order.
    pub(super) ends: Vec<SessionEnd>,
    pub(super) written: Written,
    /// The outputs, not yet completed.
    pub(super) sinks: Sinks,
    /// How long it took.
    pub(super) wall: Duration,
}

impl Sessions<'_> {
    /// Runs all sessions, and passes what they say to the outputs in slot order.
    pub(super) async fn replay(self, sinks: Sinks) -> Result<Replayed, RunError> {
        let began = Instant::now();
        let (items, receiver) = mpsc::channel(WINDOW);
        let collector = tokio::task::spawn_blocking(move || Collector::new(sinks).collect(receiver));
        let ends = self.run_all(items).await;
        // The error of the collector comes first: it is what ended the sessions.
        let (sinks, written) = collector.await.map_err(RunError::Writer)??;
        Ok(Replayed {
            ends: ends?,
            written,
            sinks,
            wall: began.elapsed(),
        })
    }

    /// Runs the sessions. When one fails, the others are closed, and the first failure is the result.
    async fn run_all(self, items: mpsc::Sender<Item>) -> Result<Vec<SessionEnd>, RunError> {
        let (stop, parallel) = (self.common.stop.clone(), self.parallel.get());
        let mut running = stream::iter(self.jobs(&items)).map(run_one).buffer_unordered(parallel);
        let mut ends = Vec::new();
        let mut failure = None;
        while let Some(end) = running.next().await {
            match end {
                Ok(end) => ends.push(end),
                Err(error) => {
                    stop.cancel();
                    failure.get_or_insert(error);
                }
            }
        }
        ends.sort_by_key(|end: &SessionEnd| end.range);
        failure.map_or(Ok(ends), Err)
    }

    fn jobs(mut self, items: &mpsc::Sender<Item>) -> Vec<SessionJob> {
        let last = self.ranges.len() - 1;
        let jobs = self.ranges.iter().enumerate().map(|(index, &range)| SessionJob {
            common: self.common.clone(),
            index,
            range,
            items: items.clone(),
            dump: if index == last { self.dump.take() } else { None },
        });
        jobs.collect()
    }
}

async fn run_one(job: SessionJob) -> Result<SessionEnd, RunError> {
    let range = job.range;
    job.run().await.map_err(|source| RunError::Session { range, source })
}
