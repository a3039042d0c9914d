//! The queue between a manager and its caller: bounded in items and in bytes.
//!
//! One lock, held for a few instructions, and no more work for an item than to move it: every notification passes here.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use tokio::sync::mpsc::error::TryRecvError;

/// What a queue counts of an item.
pub(crate) trait Weigh {
    /// About how many bytes it holds.
    fn weight(&self) -> usize;
}

/// The reading end of a manager's queue. Nothing is dropped: while it is full, the manager reads no further from its
/// connection.
#[derive(Debug)]
pub struct EventReceiver<T> {
    shared: Arc<Shared<T>>,
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct EventSender<T> {
    shared: Arc<Shared<T>>,
    credit: Credit,
}

/// Whether there is room for another item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    /// Nobody reads any more.
    Gone,
}

/// Room that is known to be there. Only the writer fills the queue, so that it can only become more.
#[derive(Clone, Copy, Debug, Default)]
struct Credit {
    items: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Shared<T> {
    max_bytes: usize,
    /// Whether nobody reads any more.
    abandoned: AtomicBool,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(T, usize)>,
    capacity: usize,
    bytes: usize,
    /// Whether nothing more will be written.
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A queue that has room until `capacity` items or `max_bytes` wait in it.
pub(crate) fn queue<T: Weigh + Send + 'static>(
    capacity: usize,
    max_bytes: usize,
) -> (EventSender<T>, EventReceiver<T>) {
    let shared = Arc::new(Shared {
        max_bytes,
        abandoned: AtomicBool::new(false),
        state: Mutex::new(State {
            items: VecDeque::new(),
            capacity,
            bytes: 0,
            ended: false,
            reader: None,
            writer: None,
        }),
    });
    let sender = EventSender {
        shared: shared.clone(),
        credit: Credit::default(),
    };
    (sender, EventReceiver { shared })
}

impl<T: Weigh + Send + 'static> EventSender<T> {
    /// Waits for room for one item.
    #[inline]
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        if self.shared.abandoned.load(Ordering::Acquire) {
            return Poll::Ready(Room::Gone);
        }
        if self.credit.has_room() {
            return Poll::Ready(Room::Free);
        }
        self.poll_credit(cx)
    }

    fn poll_credit(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        let mut state = self.shared.lock();
        self.credit = self.shared.credit(&state);
        if self.credit.has_room() {
            return Poll::Ready(Room::Free);
        }
        if self.shared.abandoned.load(Ordering::Acquire) {
            return Poll::Ready(Room::Gone);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Gives the queue another capacity. What waits beyond it stays.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        let mut state = self.shared.lock();
        state.capacity = capacity;
        self.credit = self.shared.credit(&state);
    }

    /// Hands over an item for which `poll_room` has found room just before.
    pub(crate) fn send(&mut self, item: T) {
        let weight = item.weight();
        self.credit.items = self.credit.items.saturating_sub(1);
        self.credit.bytes = self.credit.bytes.saturating_sub(weight);
        let mut state = self.shared.lock();
        state.items.push_back((item, weight));
        state.bytes += weight;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<T> EventReceiver<T> {
    /// The next item, or `None` once the manager has ended and everything has been read. Cancelling loses nothing.
    pub async fn recv(&mut self) -> Option<T> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next item, if one waits.
    ///
    /// # Errors
    ///
    /// As [`tokio::sync::mpsc::Receiver::try_recv`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let state = self.shared.lock();
        let ended = state.ended;
        self.shared.take(state).ok_or(if ended {
            TryRecvError::Disconnected
        } else {
            TryRecvError::Empty
        })
    }

    /// Polls for the next item.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.shared.lock();
        if state.items.is_empty() && !state.ended {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(self.shared.take(state))
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.shared.lock().items.len()
    }

    /// Whether no item waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.shared.lock().bytes
    }
}

impl<T> Stream for EventReceiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_recv(cx)
    }
}

impl<T> Drop for EventReceiver<T> {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Release);
        let mut state = self.shared.lock();
        let items = std::mem::take(&mut state.items);
        let writer = state.writer.take();
        drop(state);
        drop(items);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

impl<T> Drop for EventSender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Credit {
    fn has_room(self) -> bool {
        self.items > 0 && self.bytes > 0
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    fn credit(&self, state: &State<T>) -> Credit {
        Credit {
            items: state.capacity.saturating_sub(state.items.len()),
            bytes: self.max_bytes.saturating_sub(state.bytes),
        }
    }

    fn take(&self, mut state: MutexGuard<'_, State<T>>) -> Option<T> {
        let (item, weight) = state.items.pop_front()?;
        state.bytes -= weight;
        let has_room = self.credit(&state).has_room();
        let writer = if has_room { state.writer.take() } else { None };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    impl Weigh for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    async fn room(sender: &mut EventSender<usize>) -> Room {
        std::future::poll_fn(|cx| sender.poll_room(cx)).await
    }

    #[tokio::test]
    async fn is_full_at_either_limit() {
        let (mut sender, mut receiver) = queue::<usize>(2, 10);
        assert_eq!(room(&mut sender).await, Room::Free);
        sender.send(4);
        assert_eq!(room(&mut sender).await, Room::Free);
        sender.send(1);
        assert_eq!(room(&mut sender).now_or_never(), None, "two items are the limit");
        assert_eq!(receiver.recv().await, Some(4));
        assert_eq!(room(&mut sender).await, Room::Free);
        sender.send(11);
        assert_eq!((receiver.len(), receiver.bytes()), (2, 12));
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(room(&mut sender).now_or_never(), None, "ten bytes are the limit");
        assert_eq!(receiver.recv().await, Some(11));
        assert_eq!(room(&mut sender).await, Room::Free);
    }

    #[tokio::test]
    async fn a_waiting_writer_is_woken_by_room_and_by_the_end() {
        for ending in [false, true] {
            let (mut sender, mut receiver) = queue::<usize>(4, 10);
            assert_eq!(room(&mut sender).await, Room::Free);
            sender.send(10);
            let waiting = tokio::spawn(async move { room(&mut sender).await });
            tokio::task::yield_now().await;
            if ending {
                drop(receiver);
                assert_eq!(waiting.await.unwrap(), Room::Gone);
            } else {
                assert_eq!(receiver.recv().await, Some(10));
                assert_eq!(waiting.await.unwrap(), Room::Free);
            }
        }
    }

    #[tokio::test]
    async fn w16_what_was_sent_is_read_after_the_writer_has_gone() {
        let (mut sender, mut receiver) = queue::<usize>(4, 10);
        assert_eq!(room(&mut sender).await, Room::Free);
        sender.send(1);
        drop(sender);
        assert_eq!(receiver.recv().await, Some(1));
        assert_eq!(receiver.recv().await, None);
    }
}
