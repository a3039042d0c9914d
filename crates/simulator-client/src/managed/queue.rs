//! The queue between a manager and its caller: bounded in items and in bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio_util::sync::PollSender;

/// What a queue counts of an item.
pub(crate) trait Weigh {
    /// About how many bytes it holds.
    fn weight(&self) -> usize;
}

/// The reading end of a manager's queue. Nothing is dropped: while it is full, the manager reads no further from its
/// connection.
#[derive(Debug)]
pub struct EventReceiver<T> {
    items: mpsc::Receiver<(T, usize)>,
    load: Arc<Load>,
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct EventSender<T> {
    items: PollSender<(T, usize)>,
    load: Arc<Load>,
}

/// Whether there is room for another item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    /// Nobody reads any more.
    Gone,
}

#[derive(Debug)]
struct Load {
    bytes: AtomicUsize,
    max_bytes: usize,
    lightened: AtomicWaker,
}

/// A queue that has room until `capacity` items or `max_bytes` wait in it.
pub(crate) fn queue<T: Weigh + Send + 'static>(
    capacity: usize,
    max_bytes: usize,
) -> (EventSender<T>, EventReceiver<T>) {
    let (sender, items) = mpsc::channel(capacity);
    let load = Arc::new(Load {
        bytes: AtomicUsize::new(0),
        max_bytes,
        lightened: AtomicWaker::new(),
    });
    let sender = EventSender {
        items: PollSender::new(sender),
        load: load.clone(),
    };
    (sender, EventReceiver { items, load })
}

impl<T: Weigh + Send + 'static> EventSender<T> {
    /// Waits for room for one item.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        if self.load.is_full() {
            self.load.lightened.register(cx.waker());
            if self.load.is_full() {
                let is_gone = self.items.get_ref().is_none_or(mpsc::Sender::is_closed);
                return if is_gone {
                    Poll::Ready(Room::Gone)
                } else {
                    Poll::Pending
                };
            }
        }
        match ready!(self.items.poll_reserve(cx)) {
            Ok(()) => Poll::Ready(Room::Free),
            Err(_gone) => Poll::Ready(Room::Gone),
        }
    }

    /// Hands over an item for which `poll_room` has found room just before.
    pub(crate) fn send(&mut self, item: T) {
        let weight = item.weight();
        self.load.bytes.fetch_add(weight, Ordering::Relaxed);
        // It only fails if nobody reads any more, and then the item is of no use to anyone.
        let _gone = self.items.send_item((item, weight));
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
        self.items.try_recv().map(|item| self.load.taken(item))
    }

    /// Polls for the next item.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.items
            .poll_recv(cx)
            .map(|item| item.map(|item| self.load.taken(item)))
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no item waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.load.bytes.load(Ordering::Relaxed)
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
        self.items.close();
        self.load.lightened.wake();
    }
}

impl Load {
    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Acquire) >= self.max_bytes
    }

    fn taken<T>(&self, (item, weight): (T, usize)) -> T {
        let before = self.bytes.fetch_sub(weight, Ordering::AcqRel);
        if before >= self.max_bytes {
            self.lightened.wake();
        }
        item
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
    async fn what_was_sent_is_read_after_the_writer_has_gone() {
        let (mut sender, mut receiver) = queue::<usize>(4, 10);
        assert_eq!(room(&mut sender).await, Room::Free);
        sender.send(1);
        drop(sender);
        assert_eq!(receiver.recv().await, Some(1));
        assert_eq!(receiver.recv().await, None);
    }
}
