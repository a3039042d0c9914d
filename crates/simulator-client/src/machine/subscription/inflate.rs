//! The compressed stream of one connection.

use std::io;

use thiserror::Error;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// One zstd stream, of which every message is a part that ends at a flush. A new connection begins a new one.
pub(super) struct Inflater {
    decoder: Decoder<'static>,
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
const FIRST_OUTPUT: usize = 8 << 10;

impl Inflater {
    /// Begins a stream whose messages decompress to `limit` bytes at most.
    pub(super) fn new(limit: usize) -> Result<Self, InflateError> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self { decoder, limit })
    }

    /// Decompresses the next message into `output`, whose room is used again.
    pub(super) fn inflate(&mut self, message: &[u8], output: &mut Vec<u8>) -> Result<(), InflateError> {
        output.clear();
        let mut input = InBuffer::around(message);
        while self.run(&mut input, output)? {
            self.grow(output)?;
        }
        self.check_size(output)
    }

    /// Decompresses as much as there is room for. Returns whether there may be more.
    fn run(&mut self, input: &mut InBuffer<'_>, output: &mut Vec<u8>) -> Result<bool, InflateError> {
        loop {
            let written = output.len();
            let read = input.pos();
            self.decoder.run(input, &mut OutBuffer::around_pos(output, written))?;
            if output.len() == output.capacity() {
                return Ok(true);
            }
            if input.pos() == input.src.len() {
                return Ok(false);
            }
            if input.pos() == read && output.len() == written {
                return Err(io::Error::from(io::ErrorKind::InvalidData).into());
            }
        }
    }

    /// Makes room for one byte more than the limit at most, so that reaching it is seen.
    fn grow(&self, output: &mut Vec<u8>) -> Result<(), InflateError> {
        self.check_size(output)?;
        let wanted = output
            .len()
            .saturating_mul(2)
            .max(FIRST_OUTPUT)
            .min(self.limit.saturating_add(1));
        output.reserve_exact(wanted.saturating_sub(output.len()).max(1));
        Ok(())
    }

    fn check_size(&self, output: &[u8]) -> Result<(), InflateError> {
        if output.len() > self.limit {
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
