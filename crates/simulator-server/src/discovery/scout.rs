//! Looks some blocks ahead of a session.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use simulator_api::DiscoveryBatchEvent;
use simulator_archive::Archive;
use simulator_archive::model::Slot;
use tokio_util::sync::CancellationToken;

use super::Filters;
use crate::feed::{self, Feed, FeedError, Recorded, SlotReader};

/// How many blocks after the open one are looked at. It decides which events there are, so that it is the same in every
/// server; it is generous, because only what matched is kept.
const SIGHT: usize = 256;

/// Blocks that are looked at before they are needed. Memory only: it decides nothing.
const SCANNED_AHEAD: usize = 8;

/// What filters find in one block.
type Found = Vec<DiscoveryBatchEvent>;

/// Looks ahead until it finds something, at most [`SIGHT`] blocks after the open one. What is in sight when a slot opens
/// is a matter of the blocks only.
#[derive(Debug)]
pub(crate) struct Scout {
    scans: Feed<Found>,
    /// The next block to be opened and those after it, as far as the scout has looked.
    ahead: VecDeque<Sight>,
    end: Option<End>,
}

/// One block.
#[derive(Debug)]
enum Sight {
    /// It holds nothing of interest.
    Nothing,
    /// It holds this, which the session does not know yet.
    New(Found),
    /// It holds something, and the session knows.
    Told,
}

/// What follows the last block that was looked at.
#[derive(Debug)]
enum End {
    /// Nothing.
    Range,
    /// A block that cannot be read or decoded.
    Failure(FeedError),
}

impl Scout {
    /// Looks through the blocks of a range.
    pub(crate) fn spawn(
        archive: &Archive,
        range: RangeInclusive<Slot>,
        filters: Filters,
        stop: CancellationToken,
    ) -> Self {
        let scan = move |recorded: Recorded| Ok(filters.scan(&feed::decode(recorded.block)?));
        let reader = SlotReader::blocks(archive, range);
        Self::new(feed::spawn_with(reader, SCANNED_AHEAD, stop, scan))
    }

    fn new(scans: Feed<Found>) -> Self {
        Self {
            scans,
            ahead: VecDeque::new(),
            end: None,
        }
    }

    /// Whether it has looked far enough for the next slot to be opened.
    pub(crate) fn is_far_enough(&self) -> bool {
        let mut after_next = self.ahead.iter().skip(1);
        self.end.is_some() || self.ahead.len() > SIGHT || after_next.any(|sight| !matches!(sight, Sight::Nothing))
    }

    /// Looks at one more block. Nothing is lost if this is cancelled.
    pub(crate) async fn look_further(&mut self) {
        match self.scans.recv().await {
            Some(Ok(found)) if found.is_empty() => self.ahead.push_back(Sight::Nothing),
            Some(Ok(found)) => self.ahead.push_back(Sight::New(found)),
            Some(Err(error)) => self.end = Some(End::Failure(error)),
            None => self.end = Some(End::Range),
        }
    }

    /// The next slot is being opened: what has come into sight with it. To be called when the scout
    /// [is far enough](Self::is_far_enough).
    ///
    /// # Errors
    /// The block of that slot could not be read.
    pub(crate) fn advance(&mut self) -> Result<Found, FeedError> {
        let mut found = match (self.ahead.pop_front(), self.end.take()) {
            (None, Some(End::Failure(error))) => return Err(error),
            (next, end) => {
                self.end = end;
                next.map(Sight::tell).unwrap_or_default()
            }
        };
        if let Some(first) = self.ahead.iter_mut().find(|sight| !matches!(sight, Sight::Nothing)) {
            found.extend(std::mem::replace(first, Sight::Told).tell());
        }
        Ok(found)
    }
}

impl Sight {
    /// What the session has to be told.
    fn tell(self) -> Found {
        match self {
            Self::New(found) => found,
            Self::Nothing | Self::Told => Found::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn found(slot: Slot) -> Found {
        vec![DiscoveryBatchEvent {
            slot,
            batch_index: 0,
            matched: Vec::new(),
            transactions: Vec::new(),
            transaction_indices: Vec::new(),
        }]
    }

    /// A scout over so many blocks, numbered from 0; there is something in these.
    fn scout(blocks: u64, hits: &[Slot]) -> Scout {
        let (sender, scans) = mpsc::channel(1024);
        for slot in 0..blocks {
            let made = if hits.contains(&slot) {
                found(slot)
            } else {
                Found::new()
            };
            sender.try_send(Ok(made)).unwrap();
        }
        Scout::new(scans)
    }

    /// What comes into sight with each of the first blocks.
    async fn walk(mut scout: Scout, blocks: usize) -> Vec<(usize, Slot)> {
        let mut seen = Vec::new();
        for block in 0..blocks {
            while !scout.is_far_enough() {
                scout.look_further().await;
            }
            let found = scout.advance().unwrap();
            seen.extend(found.iter().map(|found| (block, found.slot)));
        }
        seen
    }

    #[tokio::test]
    async fn tells_of_the_open_block_and_of_the_next_one_with_a_match() {
        let seen = walk(scout(9, &[0, 2, 3, 7]), 9).await;
        assert_eq!(seen, [(0, 0), (0, 2), (2, 3), (3, 7)]);
        assert_eq!(walk(scout(3, &[]), 3).await, []);
    }

    #[tokio::test]
    async fn sees_so_far_and_no_further() {
        let last = SIGHT as u64;
        assert_eq!(walk(scout(last + 9, &[last]), 4).await, [(0, last)]);
        assert_eq!(walk(scout(last + 9, &[last + 1]), 4).await, [(1, last + 1)]);
        assert_eq!(walk(scout(last + 9, &[last + 3]), 4).await, [(3, last + 3)]);
    }

    #[tokio::test]
    async fn fails_at_the_block_that_cannot_be_read_and_not_before() {
        let (sender, scans) = mpsc::channel(4);
        sender.try_send(Ok(Found::new())).unwrap();
        sender.try_send(Ok(found(1))).unwrap();
        let aborted = tokio::spawn(std::future::pending::<()>());
        aborted.abort();
        sender
            .try_send(Err(FeedError::Task(aborted.await.unwrap_err())))
            .unwrap();
        let mut scout = Scout::new(scans);
        for block in 0..2 {
            while !scout.is_far_enough() {
                scout.look_further().await;
            }
            assert!(scout.advance().is_ok(), "block {block}");
        }
        assert!(scout.is_far_enough());
        assert!(scout.advance().is_err());
    }
}
