//! One connection: how its messages become text.

use super::inflate::{InflateError, Inflater};
use crate::managed::{ConnectionError, StreamFault};

/// What lasts as long as a connection.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Begun with the first compressed message.
    inflater: Option<Inflater>,
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
    /// Decompresses a message into `output`, whose room is used again, and gives its text.
    pub(super) fn inflate<'a>(
        &mut self,
        bytes: &[u8],
        limit: usize,
        output: &'a mut Vec<u8>,
    ) -> Result<&'a str, InflateError> {
        let inflater = match &mut self.inflater {
            Some(inflater) => inflater,
            None => self.inflater.insert(Inflater::new(limit)?),
        };
        inflater.inflate(bytes, output)?;
        str::from_utf8(output).map_err(|_| InflateError::NoText)
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
pub(super) fn uncompressed(bytes: &[u8]) -> Result<&str, LinkError> {
    str::from_utf8(bytes).map_err(|_| {
        LinkError::Fault(StreamFault::UnreadableNotification {
            raw: String::from_utf8_lossy(bytes).into_owned(),
            reason: "it is no text",
        })
    })
}
