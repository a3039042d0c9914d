//! The records in a frame.

use solana_pubkey::Pubkey;

use super::reader::Frame;
use crate::codec::{Decoder, decode_account, decode_block};
use crate::error::{ArchiveError, MalformedError};
use crate::model::{Account, Block};

/// The block in a frame of a block segment.
pub(crate) fn decode_block_frame(frame: &Frame) -> Result<Block, ArchiveError> {
    let block = decode_block(frame.decompress()?).map_err(|source| frame.malformed(source))?;
    let fits = block.slot == frame.entry.key && block.transactions.len() as u64 == u64::from(frame.entry.records);
    match fits {
        true => Ok(block),
        false => Err(frame.malformed(MalformedError::Records)),
    }
}

/// The accounts in the frames of a keyframe, one frame after the other.
#[derive(Debug, Default)]
pub(crate) struct AccountRecords {
    current: Option<Chunk>,
    last: Option<Pubkey>,
}

#[derive(Debug)]
struct Chunk {
    frame: Frame,
    decoder: Decoder,
    left: u32,
}

impl AccountRecords {
    /// Goes on with the accounts of the next frame. Those of the frame before it have all been taken.
    pub(crate) fn start(&mut self, frame: Frame) -> Result<(), ArchiveError> {
        let decoder = Decoder::new(frame.decompress()?);
        let left = frame.entry.records;
        self.current = Some(Chunk { frame, decoder, left });
        Ok(())
    }

    /// The next account of the frame, or `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<(Pubkey, Account)>, ArchiveError> {
        let Some(chunk) = &mut self.current else {
            return Ok(None);
        };
        if chunk.left == 0 {
            return self.end();
        }
        let (address, account) = decode_account(&mut chunk.decoder).map_err(|e| chunk.frame.malformed(e))?;
        let is_first = chunk.left == chunk.frame.entry.records;
        let fits_key = !is_first || address_key(&address) == chunk.frame.entry.key;
        if !fits_key || self.last.is_some_and(|last| last >= address) {
            return Err(chunk.frame.malformed(MalformedError::Records));
        }
        chunk.left -= 1;
        self.last = Some(address);
        Ok(Some((address, account)))
    }

    fn end<T>(&mut self) -> Result<Option<T>, ArchiveError> {
        match self.current.take() {
            Some(chunk) => chunk
                .decoder
                .finish()
                .map_err(|e| chunk.frame.malformed(e))
                .map(|()| None),
            None => Ok(None),
        }
    }
}

/// The key of a chunk of accounts that starts with this address: its first eight bytes, which order as addresses do.
pub(crate) fn address_key(address: &Pubkey) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *address.as_array();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
