//! One connection: how its messages become text.

use bytes::Bytes;
use simulator_api::Compression;

use super::inflate::{InflateError, Inflater};
use crate::machine::Message;
use crate::managed::{ConnectionError, StreamFault};
use crate::transport::SharedText;

/// What lasts as long as a connection.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Begun with the first compressed message.
    inflater: Option<Inflater>,
}

/// A message as text.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) text: SharedText,
    pub(super) carrier: Carrier,
}

/// How a message travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// As itself. What is wrong with it is wrong with it alone.
    Plain,
    /// In the compressed stream. If it is not JSON the stream is damaged, and everything that follows with it.
    Compressed,
}

/// Why a message could not become text.
#[derive(Debug)]
pub(super) enum LinkError {
    /// It is lost; the connection goes on.
    Fault(StreamFault),
    /// The connection is of no use any more.
    Retry(ConnectionError),
    /// No connection would be.
    Fail(ConnectionError),
}

impl Link {
    /// The text of a message.
    #[inline]
    pub(super) fn read(
        &mut self,
        message: Message,
        compression: Option<Compression>,
        limit: usize,
    ) -> Result<Received, LinkError> {
        let (text, carrier) = match (message, compression) {
            (Message::Text(text), _) => (text, Carrier::Plain),
            (Message::Binary(bytes), Some(Compression::Zstd)) => (self.inflate(&bytes, limit)?, Carrier::Compressed),
            (Message::Binary(bytes), None) => (uncompressed(&bytes)?, Carrier::Plain),
        };
        Ok(Received { text, carrier })
    }

    fn inflate(&mut self, bytes: &[u8], limit: usize) -> Result<SharedText, InflateError> {
        let inflater = match &mut self.inflater {
            Some(inflater) => inflater,
            None => self.inflater.insert(Inflater::new(limit)?),
        };
        inflater.inflate(bytes)
    }
}

impl From<InflateError> for LinkError {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::TooLarge(limit) => Self::Fail(ConnectionError::TooLarge { limit }),
            InflateError::Zstd(_) | InflateError::NoText => Self::Retry(ConnectionError::Desynchronised {
                reason: error.to_string(),
            }),
        }
    }
}

/// Text in a binary message, which some servers send.
fn uncompressed(bytes: &Bytes) -> Result<SharedText, LinkError> {
    SharedText::try_from(bytes.clone()).map_err(|_| {
        LinkError::Fault(StreamFault::UnreadableNotification {
            raw: String::from_utf8_lossy(bytes).into_owned(),
            reason: "it is no text",
        })
    })
}
