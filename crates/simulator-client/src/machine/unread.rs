//! The events that were received and not read.

use std::collections::VecDeque;

use simulator_api::{BacktestResponse, DiscoveryBatchEvent, SequencedResponse};

/// The unread events of one conversation, oldest first.
#[derive(Debug, Default)]
pub(super) struct UnreadEvents {
    queue: VecDeque<Unread>,
    /// How many of them announce a match, so that nobody looks for one in vain.
    discoveries: usize,
}

/// One unread event.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) event: SequencedResponse,
    /// How many requests had been sent when it arrived.
    pub(super) after_requests: u64,
}

/// How far a waiting call has looked. Each call starts with a new one.
#[derive(Debug, Default)]
pub struct Scan(usize);

impl UnreadEvents {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Unread> {
        self.queue.iter()
    }

    pub(super) fn get(&self, index: usize) -> &BacktestResponse {
        &self.queue[index].event.response
    }

    pub(super) fn push(&mut self, unread: Unread) {
        self.discoveries += usize::from(is_discovery(&unread));
        self.queue.push_back(unread);
    }

    pub(super) fn pop(&mut self) -> Option<Unread> {
        self.remove(0, &mut Scan::default())
    }

    /// Takes an event out. A call that has looked beyond it goes on where it was.
    pub(super) fn remove(&mut self, index: usize, scan: &mut Scan) -> Option<Unread> {
        let unread = self.queue.remove(index)?;
        self.discoveries -= usize::from(is_discovery(&unread));
        scan.0 -= usize::from(index < scan.0);
        Some(unread)
    }

    /// Drops the newest events that exceed `limit`, and says how many.
    pub(super) fn truncate(&mut self, limit: usize, scan: &mut Scan) -> usize {
        let excess = self.queue.len().saturating_sub(limit);
        self.queue.truncate(limit);
        self.discoveries = self.queue.iter().filter(|unread| is_discovery(unread)).count();
        scan.0 = scan.0.min(self.queue.len());
        excess
    }

    /// The first event that was not looked at before, came after `since` requests or more, and gives a value.
    pub(super) fn find<T>(
        &self,
        since: u64,
        scan: &mut Scan,
        value: impl Fn(&SequencedResponse) -> Option<T>,
    ) -> Option<(usize, T)> {
        let first = scan
            .0
            .max(self.queue.partition_point(|unread| unread.after_requests < since));
        let found = self
            .queue
            .range(first.min(self.queue.len())..)
            .enumerate()
            .find_map(|(offset, unread)| Some((first + offset, value(&unread.event)?)));
        scan.0 = found.as_ref().map_or(self.queue.len(), |(index, _)| *index);
        found
    }

    /// The newest event after `since` requests or more that fits.
    pub(super) fn newest(&self, since: u64, fits: impl Fn(&BacktestResponse) -> bool) -> Option<usize> {
        self.queue
            .iter()
            .rposition(|unread| unread.after_requests >= since && fits(&unread.event.response))
    }

    /// The first announcement of a match.
    pub(super) fn first_discovery(&self) -> Option<&DiscoveryBatchEvent> {
        if self.discoveries == 0 {
            return None;
        }
        self.queue.iter().find_map(|unread| match &unread.event.response {
            BacktestResponse::DiscoveryBatch(discovery) => Some(discovery),
            _ => None,
        })
    }

    /// Takes the oldest event that fits out.
    pub(super) fn remove_first(&mut self, scan: &mut Scan, fits: impl Fn(&BacktestResponse) -> bool) {
        if let Some(index) = self.queue.iter().position(|unread| fits(&unread.event.response)) {
            self.remove(index, scan);
        }
    }
}

fn is_discovery(unread: &Unread) -> bool {
    matches!(unread.event.response, BacktestResponse::DiscoveryBatch(_))
}
