//! The records in a frame.

use solana_pubkey::Pubkey;

use super::reader::Frame;
use crate::codec::{DecodeError, Decoder, decode_account, decode_block, decode_change, decode_difference};
use crate::error::{ArchiveError, MalformedError};
use crate::model::{Account, Block, Change};

/// The block in a frame of a block segment.
pub(crate) fn decode_block_frame(frame: &Frame) -> Result<Block, ArchiveError> {
    let block = decode_block(frame.decompress()?).map_err(|source| frame.malformed(source))?;
    let fits = block.slot == frame.entry.key && block.transactions.len() as u64 == u64::from(frame.entry.records);
    match fits {
        true => Ok(block),
        false => Err(frame.malformed(MalformedError::Records)),
    }
}

/// The changes in a frame of a delta segment.
pub(crate) fn decode_changes_frame(frame: &Frame) -> Result<Vec<Change>, ArchiveError> {
    let malformed = |source| frame.malformed(source);
    let mut from = Decoder::new(frame.decompress()?);
    let changes = (0..frame.entry.records).map(|_| decode_change(&mut from));
    let changes = changes.collect::<Result<Vec<_>, _>>().map_err(malformed)?;
    from.finish().map_err(malformed)?;
    match changes.windows(2).all(|pair| pair[0].writer <= pair[1].writer) {
        true => Ok(changes),
        false => Err(frame.malformed(MalformedError::Records)),
    }
}

/// What a keyframe says of an address.
pub(crate) trait State: Sized {
    /// Takes an address and its state.
    fn decode(from: &mut Decoder) -> Result<(Pubkey, Self), DecodeError>;
}

impl State for Account {
    fn decode(from: &mut Decoder) -> Result<(Pubkey, Self), DecodeError> {
        decode_account(from)
    }
}

impl State for Option<Account> {
    fn decode(from: &mut Decoder) -> Result<(Pubkey, Self), DecodeError> {
        decode_difference(from)
    }
}

/// The records in the frames of a keyframe, one frame after the other.
#[derive(Debug, Default)]
pub(crate) struct SortedRecords {
    current: Option<Chunk>,
    last: Option<Pubkey>,
}

#[derive(Debug)]
struct Chunk {
    frame: Frame,
    decoder: Decoder,
    left: u32,
}

impl SortedRecords {
    /// Goes on with the records of the next frame. Those of the frame before it have all been taken.
    pub(crate) fn start(&mut self, frame: Frame) -> Result<(), ArchiveError> {
        let decoder = Decoder::new(frame.decompress()?);
        let left = frame.entry.records;
        self.current = Some(Chunk { frame, decoder, left });
        Ok(())
    }

    /// The next record of the frame, or `None` after the last.
    pub(crate) fn next<S: State>(&mut self) -> Result<Option<(Pubkey, S)>, ArchiveError> {
        let Some(chunk) = &mut self.current else {
            return Ok(None);
        };
        if chunk.left == 0 {
            return self.end();
        }
        let (address, state) = S::decode(&mut chunk.decoder).map_err(|e| chunk.frame.malformed(e))?;
        let is_first = chunk.left == chunk.frame.entry.records;
        let fits_key = !is_first || address_key(&address) == chunk.frame.entry.key;
        if !fits_key || self.last.is_some_and(|last| last >= address) {
            return Err(chunk.frame.malformed(MalformedError::Records));
        }
        chunk.left -= 1;
        self.last = Some(address);
        Ok(Some((address, state)))
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

/// The key of a chunk that starts with this address: its first eight bytes, which order as addresses do.
pub(crate) fn address_key(address: &Pubkey) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *address.as_array();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
