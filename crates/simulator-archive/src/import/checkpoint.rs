//! What of an import survives its end: the state, once all of it is stored.
//!
//! Sorting the accounts of a snapshot is most of an import. When their segments are stored, an object beside them says so,
//! and from what they were made. An import that finds it, from the same files and with the same options, reads the segments
//! instead of the snapshot: every byte of them, so that only whole ones count.

use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use solana_hash::Hash;
use solana_pubkey::Pubkey;

use crate::digest::Digest;
use crate::error::ArchiveError;
use crate::location::Location;
use crate::manifest::{Bank, Segment, SegmentKind, SourceFile};
use crate::model::{Account, Slot};
use crate::reader::AccountReader;

/// The name of the object. No archive has one: the import that publishes it removes it.
pub(crate) const CHECKPOINT_NAME: &str = "import-state.json";

/// The most bytes that the object can have.
const MAX_SIZE: u64 = 64 << 20;

/// A state that is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Checkpoint {
    /// Stands for the files and options from which the state was made.
    pub(super) key: Digest,
    /// The slot of the keyframe.
    pub(super) keyframe: Slot,
    /// The blockhash of the parent of the first block.
    pub(super) blockhash: Hash,
    /// How many of the accounts were in the closure by name.
    pub(super) found: u64,
    pub(super) source: SourceFile,
    /// What the bank knew beside the accounts.
    pub(super) bank: Option<Bank>,
    /// The segments of the keyframe. Filled in when they are stored.
    pub(super) segments: Vec<Segment>,
}

impl Checkpoint {
    /// The checkpoint at a location, if it is one for `key`. What cannot be read is none.
    pub(super) async fn load(location: &Location, key: Digest) -> Option<Self> {
        let stored = location.store.get(&location.object(CHECKPOINT_NAME)).await.ok()?;
        if stored.meta.size > MAX_SIZE {
            return None;
        }
        let checkpoint = Self::parse(&stored.bytes().await.ok()?)?;
        let is_whole =
            |segment: &Segment| segment.kind == SegmentKind::Accounts && segment.first_slot == checkpoint.keyframe;
        let fits = checkpoint.key == key && checkpoint.segments.iter().all(is_whole);
        fits.then_some(checkpoint)
    }

    /// The digest of the JSON on one line, and the JSON on the next.
    fn parse(text: &[u8]) -> Option<Self> {
        let (digest, json) = std::str::from_utf8(text).ok()?.split_once('\n')?;
        let json = json.strip_suffix('\n')?;
        let is_whole = digest.parse() == Ok(Digest::of(json.as_bytes()));
        is_whole.then(|| serde_json::from_str(json).ok()).flatten()
    }

    /// Stores it.
    pub(super) async fn store(&self, location: &Location) -> Result<(), ArchiveError> {
        let object = location.object(CHECKPOINT_NAME);
        let json = serde_json::to_string(self).expect("plain structs of numbers and strings always serialise");
        let text = format!("{}\n{json}\n", Digest::of(json.as_bytes()));
        let stored = location.store.put(&object, PutPayload::from(text)).await;
        stored.map(|_| ()).map_err(|source| ArchiveError::Io { object, source })
    }

    /// Reads all accounts of the state. Fails where they are damaged or gone.
    pub(super) async fn accounts(
        &self,
        location: &Location,
        mut each: impl FnMut(&Pubkey, &Account) -> std::io::Result<()>,
    ) -> Result<std::io::Result<()>, ArchiveError> {
        let mut reader = AccountReader::new(location.clone(), self.segments.iter().cloned());
        while let Some((address, account)) = reader.next().await? {
            if let Err(error) = each(&address, &account) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }
}
