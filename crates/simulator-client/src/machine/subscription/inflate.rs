//! The compressed stream of one connection.

use std::io;

use bytes::Bytes;
use thiserror::Error;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::transport::SharedText;

/// One zstd stream, of which every message is a part that ends at a flush. A new connection begins a new one.
pub(super) struct Inflater {
    decoder: Decoder<'static>,
    output: Vec<u8>,
    limit: usize,
}

/// Why a message could not be decompressed. What follows it cannot be either.
#[derive(Debug, Error)]
pub(super) enum InflateError {
    /// It is not zstd, or not what follows in the stream.
    #[error(transparent)]
    Zstd(#[from] io::Error),
    /// It decompresses to more than the limit.
    #[error("it decompresses to more than {0} bytes")]
    TooLarge(usize),
    /// It decompresses to something that is no text.
    #[error("it is no text")]
    NoText,
}

/// The largest window that a stream may ask for: 128 MiB, what other clients accept.
const WINDOW_LOG_MAX: u32 = 27;
/// What the output buffer keeps between messages.
const KEPT_OUTPUT: usize = 1 << 20;
const FIRST_OUTPUT: usize = 8 << 10;

impl Inflater {
    /// Begins a stream whose messages decompress to `limit` bytes at most.
    pub(super) fn new(limit: usize) -> Result<Self, InflateError> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self {
            decoder,
            output: Vec::with_capacity(FIRST_OUTPUT.min(limit.saturating_add(1))),
            limit,
        })
    }

    /// Decompresses the next message.
    pub(super) fn inflate(&mut self, message: &[u8]) -> Result<SharedText, InflateError> {
        self.output.clear();
        let mut input = InBuffer::around(message);
        while self.run(&mut input)? {
            self.grow()?;
        }
        self.check_size()?;
        // Copied, because a queue of notifications is to hold what they need and not the room that they might have needed.
        let text = SharedText::try_from(Bytes::copy_from_slice(&self.output)).map_err(|_| InflateError::NoText);
        if self.output.capacity() > KEPT_OUTPUT {
            self.output = Vec::with_capacity(KEPT_OUTPUT);
        }
        text
    }

    /// Decompresses as much as there is room for. Returns whether there may be more.
    fn run(&mut self, input: &mut InBuffer<'_>) -> Result<bool, InflateError> {
        loop {
            let written = self.output.len();
            let read = input.pos();
            self.decoder
                .run(input, &mut OutBuffer::around_pos(&mut self.output, written))?;
            if self.output.len() == self.output.capacity() {
                return Ok(true);
            }
            if input.pos() == input.src.len() {
                return Ok(false);
            }
            if input.pos() == read && self.output.len() == written {
                return Err(io::Error::from(io::ErrorKind::InvalidData).into());
            }
        }
    }

    /// Makes room for one byte more than the limit at most, so that reaching it is seen.
    fn grow(&mut self) -> Result<(), InflateError> {
        self.check_size()?;
        let wanted = self.output.len().saturating_mul(2).min(self.limit.saturating_add(1));
        self.output
            .reserve_exact(wanted.saturating_sub(self.output.len()).max(1));
        Ok(())
    }

    fn check_size(&self) -> Result<(), InflateError> {
        if self.output.len() > self.limit {
            Err(InflateError::TooLarge(self.limit))
        } else {
            Ok(())
        }
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflater")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
