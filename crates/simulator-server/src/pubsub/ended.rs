//! Sessions that have ended and may still be asked for what they had to tell: clients close a session as soon as it is
//! completed, while their subscriptions are still read or are yet to be made again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simulator_api::SessionId;
use tokio_util::sync::CancellationToken;

use super::log::DataLog;
use crate::usage::Meter;

/// What a data connection needs of its session, and what may outlive it.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) data: Arc<DataLog>,
    /// How the log calls the session.
    pub(crate) number: u64,
    /// What the session's owner uses.
    pub(crate) key: Arc<Meter>,
    /// Cancelled when the session has ended.
    pub(crate) finished: CancellationToken,
}

/// The channels of sessions that have ended lately, the oldest first.
#[derive(Debug)]
pub(crate) struct Ended {
    channels: Mutex<VecDeque<(SessionId, Channel)>>,
    max_bytes: usize,
}

impl Ended {
    /// Keeps about so many bytes for all of them together.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            channels: Mutex::default(),
            max_bytes,
        }
    }

    /// Keeps the channel of a session that ends. Where there is no room the oldest ones are given up.
    pub(crate) fn add(&self, id: SessionId, channel: Channel) {
        let mut channels = self.lock();
        channels.push_back((id, channel));
        let mut bytes: usize = channels.iter().map(|(_, channel)| channel.data.bytes()).sum();
        while bytes > self.max_bytes
            && let Some((_, oldest)) = channels.pop_front()
        {
            bytes -= oldest.data.bytes();
            oldest.data.end();
        }
    }

    /// The channel of a session that has ended, if it is still kept.
    pub(crate) fn get(&self, id: SessionId) -> Option<Channel> {
        let channels = self.lock();
        let found = channels.iter().find(|(kept, _)| *kept == id);
        found.map(|(_, channel)| channel.clone())
    }

    /// Gives a channel up: who reads it now may read to the end.
    pub(crate) fn remove(&self, id: SessionId) {
        let mut channels = self.lock();
        if let Some(at) = channels.iter().position(|(kept, _)| *kept == id)
            && let Some((_, channel)) = channels.remove(at)
        {
            channel.data.end();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(SessionId, Channel)>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::Reader;
    use super::super::pool::DataPool;
    use super::super::record::tests::record;
    use super::super::slot::SlotHead;
    use super::super::slots::{DataLimits, Start, StartError};
    use super::super::topic::Topic;
    use super::*;
    use crate::usage::SessionMeter;

    fn id(name: u8) -> SessionId {
        format!(
            "backtest_{:032x}",
            (0x4000_u128 << 64) + (0x8000_u128 << 48) + u128::from(name)
        )
        .parse()
        .unwrap()
    }

    fn channel() -> Channel {
        let limits = DataLimits {
            log_bytes: 1 << 20,
            cache_bytes: 0,
            connections: 9,
        };
        let data = Arc::new(DataLog::new(limits, &DataPool::new(1 << 20)));
        data.open_slot(SlotHead::default());
        data.add(record(1, &[1], 2, &[]));
        data.close_slot();
        data.seal();
        Channel {
            data,
            number: 1,
            key: Arc::clone(SessionMeter::alone().key()),
            finished: CancellationToken::new(),
        }
    }

    fn start(channel: &Channel) -> Result<(), StartError> {
        let reader = Reader::new(&channel.data).unwrap();
        reader.start(Start::Oldest, &Topic::Slots).map(drop)
    }

    #[test]
    fn keeps_what_fits_and_gives_up_the_oldest() {
        let one = channel().data.bytes();
        let ended = Ended::new(2 * one);
        let channels = [channel(), channel(), channel()];
        for (name, channel) in channels.iter().enumerate() {
            ended.add(id(u8::try_from(name).unwrap()), channel.clone());
        }
        assert!(ended.get(id(0)).is_none());
        assert_eq!(start(&channels[0]), Err(StartError::Ended));
        assert!((1..3).all(|name| start(&ended.get(id(name)).unwrap()).is_ok()));
        ended.remove(id(1));
        assert!(ended.get(id(1)).is_none() && ended.get(id(2)).is_some());
        assert_eq!(start(&channels[1]), Err(StartError::Ended));
    }
}
