//! The queue between a manager and its caller: bounded in items and in bytes.
//!
//! Every notification passes here, so that neither end takes the lock for a single one of many: the writer hands over
//! what a burst has led to, and the reader takes whatever is there. What the reader has taken counts as waiting until
//! it was read.

use std::collections::VecDeque;
use std::mem;
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
    /// Taken and not read yet.
    batch: Items<T>,
    /// Read, and not yet given back as room.
    read: Load,
    /// How much of it is given back at once.
    part: Load,
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct EventSender<T> {
    shared: Arc<Shared<T>>,
    /// Room that is known to be there. Only the writer fills the queue, so that it can only become more.
    credit: Load,
    /// Sent and not yet handed over.
    outbox: Items<T>,
    outbox_bytes: usize,
}

/// Items in order, each with its weight.
type Items<T> = VecDeque<(T, usize)>;

/// Whether there is room for another item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    /// Nobody reads any more.
    Gone,
}

/// A number of items and of bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
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
    items: Items<T>,
    capacity: usize,
    /// What waits, here and with the reader.
    load: Load,
    /// Whether nothing more will be written.
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A reader that has a batch gives the room back in as many parts of the whole.
const PARTS: usize = 8;
/// Most items of such a part.
const PART_ITEMS: usize = 64;

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
            load: Load::default(),
            ended: false,
            reader: None,
            writer: None,
        }),
    });
    let sender = EventSender {
        shared: shared.clone(),
        credit: Load::default(),
        outbox: VecDeque::new(),
        outbox_bytes: 0,
    };
    let receiver = EventReceiver {
        shared,
        batch: VecDeque::new(),
        read: Load::default(),
        part: Load::default(),
    };
    (sender, receiver)
}

impl<T: Weigh + Send + 'static> EventSender<T> {
    /// Waits for room for one item.
    #[inline]
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        if self.shared.abandoned.load(Ordering::Acquire) {
            return Poll::Ready(Room::Gone);
        }
        if self.credit.is_some() {
            return Poll::Ready(Room::Free);
        }
        self.poll_credit(cx)
    }

    fn poll_credit(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        self.flush();
        let mut state = self.shared.lock();
        self.credit = self.shared.credit(&state);
        if self.credit.is_some() {
            return Poll::Ready(Room::Free);
        }
        if self.shared.abandoned.load(Ordering::Acquire) {
            return Poll::Ready(Room::Gone);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Items for which there is room for certain.
    #[inline]
    pub(crate) fn known_room(&self) -> usize {
        if self.credit.is_some() { self.credit.items } else { 0 }
    }

    /// Gives the queue another capacity. What waits beyond it stays.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.flush();
        let mut state = self.shared.lock();
        state.capacity = capacity;
        self.credit = self.shared.credit(&state);
    }

    /// Takes an item for which `poll_room` has found room just before. The reader sees it after the next `flush`.
    #[inline]
    pub(crate) fn send(&mut self, item: T) {
        let weight = item.weight();
        self.credit.items = self.credit.items.saturating_sub(1);
        self.credit.bytes = self.credit.bytes.saturating_sub(weight);
        self.outbox.push_back((item, weight));
        self.outbox_bytes += weight;
    }
}

impl<T> EventSender<T> {
    /// Hands over what was sent.
    pub(crate) fn flush(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        state.load.items += self.outbox.len();
        state.load.bytes += mem::take(&mut self.outbox_bytes);
        if state.items.is_empty() {
            mem::swap(&mut state.items, &mut self.outbox);
        } else {
            state.items.append(&mut self.outbox);
        }
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
        let ended = match self.batch.is_empty() {
            true => self.take_batch(None),
            false => false,
        };
        self.next_of_batch().ok_or(if ended {
            TryRecvError::Disconnected
        } else {
            TryRecvError::Empty
        })
    }

    /// Polls for the next item.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.batch.is_empty() {
            let ended = self.take_batch(Some(cx));
            if self.batch.is_empty() && !ended {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.next_of_batch())
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.shared.lock().load.items - self.read.items
    }

    /// Whether no item waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.shared.lock().load.bytes - self.read.bytes
    }

    /// Takes whatever waits; whether nothing more will be written. If nothing waits, `cx` is woken by the next item.
    fn take_batch(&mut self, cx: Option<&mut Context<'_>>) -> bool {
        let mut state = self.shared.lock();
        mem::swap(&mut state.items, &mut self.batch);
        self.part = Load {
            items: (state.capacity / PARTS).min(PART_ITEMS),
            bytes: self.shared.max_bytes / PARTS,
        };
        let ended = state.ended;
        if self.batch.is_empty() && !ended {
            state.reader = cx.map(|cx| cx.waker().clone());
        }
        self.shared.give_back(state, &mut self.read);
        ended
    }

    #[inline]
    fn next_of_batch(&mut self) -> Option<T> {
        let (item, weight) = self.batch.pop_front()?;
        self.read.items += 1;
        self.read.bytes += weight;
        if self.read.items >= self.part.items || self.read.bytes >= self.part.bytes {
            self.shared.give_back(self.shared.lock(), &mut self.read);
        }
        Some(item)
    }
}

/// No item is ever pinned where it waits.
impl<T> Unpin for EventReceiver<T> {}

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
        let items = mem::take(&mut state.items);
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
        self.flush();
        let mut state = self.shared.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Load {
    fn is_some(self) -> bool {
        self.items > 0 && self.bytes > 0
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    fn credit(&self, state: &State<T>) -> Load {
        Load {
            items: state.capacity.saturating_sub(state.load.items),
            bytes: self.max_bytes.saturating_sub(state.load.bytes),
        }
    }

    /// Makes room of what was read.
    fn give_back(&self, mut state: MutexGuard<'_, State<T>>, read: &mut Load) {
        let Load { items, bytes } = mem::take(read);
        state.load.items -= items;
        state.load.bytes -= bytes;
        let has_room = self.credit(&state).is_some();
        let writer = if has_room { state.writer.take() } else { None };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
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
        sender.flush();
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
            sender.flush();
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
    async fn what_the_reader_has_taken_waits_until_it_is_read() {
        let (mut sender, mut receiver) = queue::<usize>(16, 1000);
        for item in 1..=16 {
            assert_eq!(room(&mut sender).await, Room::Free);
            sender.send(item);
        }
        assert_eq!(receiver.recv().now_or_never(), None, "nothing was handed over");
        assert_eq!(room(&mut sender).now_or_never(), None, "sixteen items are the limit");
        assert_eq!(
            (receiver.recv().await, receiver.len(), receiver.bytes()),
            (Some(1), 15, 135)
        );
        assert_eq!(
            room(&mut sender).now_or_never(),
            None,
            "one item is no part worth giving back"
        );
        assert_eq!(
            (receiver.recv().await, receiver.len(), receiver.bytes()),
            (Some(2), 14, 133)
        );
        assert_eq!(room(&mut sender).await, Room::Free);
        for item in 3..=16 {
            assert_eq!(receiver.try_recv(), Ok(item));
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        drop(sender);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
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
