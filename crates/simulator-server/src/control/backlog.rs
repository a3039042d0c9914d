//! What a client has asked for and its session has no room for yet.
//!
//! A connection that waited for its session would not hear its client's pongs meanwhile: it would look dead to whoever
//! asks for the session, and what the client has read would go on counting as unread.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::handle::{Message, SessionGone};

/// Most messages that wait; nothing more is read from the connection then.
const MAX_MESSAGES: usize = 64;
/// Most bytes of them, as they were received, but for the last one.
const MAX_BYTES: usize = 1 << 20;

/// Messages that wait for room, in order.
#[derive(Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

/// A message, and the session that it is for.
struct Waiting {
    message: Message,
    inbox: mpsc::Sender<Message>,
    bytes: usize,
}

impl Backlog {
    /// Whether another message may be read.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_MESSAGES && self.bytes < MAX_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands a message, which was so many bytes, to a session, now or when there is room and it is its turn.
    ///
    /// # Errors
    /// [`SessionGone`] if the session has ended.
    pub(super) fn hand(
        &mut self,
        inbox: &mpsc::Sender<Message>,
        message: Message,
        bytes: usize,
    ) -> Result<(), SessionGone> {
        let message = if self.is_empty() {
            match inbox.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(SessionGone),
                Err(TrySendError::Full(message)) => message,
            }
        } else {
            message
        };
        let inbox = inbox.clone();
        self.waiting.push_back(Waiting { message, inbox, bytes });
        self.bytes += bytes;
        Ok(())
    }

    /// Waits until everything that waits has been handed over. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// [`SessionGone`] if a session has ended; nothing waits for it any more then.
    pub(super) async fn deliver(&mut self) -> Result<(), SessionGone> {
        while let Some(first) = self.waiting.front() {
            let inbox = first.inbox.clone();
            match inbox.reserve().await {
                Ok(room) => {
                    if let Some(first) = self.waiting.pop_front() {
                        self.bytes -= first.bytes;
                        room.send(first.message);
                    }
                }
                Err(_) => {
                    self.forget(&inbox);
                    return Err(SessionGone);
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, inbox: &mpsc::Sender<Message>) {
        self.waiting.retain(|waiting| !waiting.inbox.same_channel(inbox));
        self.bytes = self.waiting.iter().map(|waiting| waiting.bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use simulator_api::RequestId;
    use tokio::time::{Duration, timeout};

    use super::*;
    use crate::session::{Changes, Order};

    fn order(name: &str) -> Message {
        Message::Order(Order::Continue {
            request: RequestId::new(name).ok(),
            blocks: 1,
            changes: Changes::default(),
        })
    }

    fn name(message: Message) -> String {
        match message {
            Message::Order(order) => order.request().unwrap().to_string(),
            _ => panic!("only orders are sent"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_order_and_loses_nothing_when_it_is_dropped() {
        let (inbox, mut taken) = mpsc::channel(1);
        let mut backlog = Backlog::default();
        for number in 0..5 {
            backlog.hand(&inbox, order(&number.to_string()), 1).unwrap();
        }
        assert!(!backlog.is_empty() && backlog.has_room());
        let mut names = Vec::new();
        while names.len() < 5 {
            let delivered = timeout(Duration::from_millis(1), backlog.deliver()).await;
            assert_eq!(delivered.is_ok(), names.len() == 4);
            names.push(name(taken.recv().await.unwrap()));
        }
        assert_eq!(names, ["0", "1", "2", "3", "4"]);
        assert!(backlog.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn is_bounded_and_notices_the_end() {
        let (inbox, taken) = mpsc::channel(1);
        let mut backlog = Backlog::default();
        backlog.hand(&inbox, order("a"), 0).unwrap();
        backlog.hand(&inbox, order("b"), MAX_BYTES).unwrap();
        assert!(!backlog.has_room());
        drop(taken);
        assert_eq!(backlog.deliver().await, Err(SessionGone));
        assert!(backlog.is_empty() && backlog.has_room());
        assert_eq!(backlog.hand(&inbox, order("c"), 0), Err(SessionGone));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_several_sessions_reaches_each_of_them() {
        let ((one, mut taken_by_one), (other, taken_by_other)) = (mpsc::channel(1), mpsc::channel(1));
        let mut backlog = Backlog::default();
        for (inbox, number) in [(&one, "0"), (&one, "1"), (&other, "2"), (&one, "3")] {
            backlog.hand(inbox, order(number), 1).unwrap();
        }
        drop(taken_by_other);
        let mut names = Vec::new();
        while names.len() < 3 {
            // That one of them has ended is said once, and loses nothing of the other one.
            let _delivered = timeout(Duration::from_millis(1), backlog.deliver()).await;
            names.push(name(taken_by_one.recv().await.unwrap()));
        }
        assert_eq!(names, ["0", "1", "3"]);
        assert!(backlog.is_empty());
    }
}
