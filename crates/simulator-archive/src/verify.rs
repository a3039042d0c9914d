//! Re-reading an archive.

use crate::digest::Digest;
use crate::error::{ArchiveError, ManifestError};
use crate::manifest::{Coverage, Segment, SegmentKind};
use crate::manifest_file;
use crate::model::{Account, Slot};
use crate::reader::Archive;
use crate::segment::{Frame, SegmentReader, SortedRecords, decode_block_frame, decode_changes_frame};

/// What has been verified so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Segments that were read to the end.
    pub segments: u64,
    /// Bytes of segments.
    pub bytes: u64,
    /// Blocks that decode.
    pub blocks: u64,
    /// Transactions that decode.
    pub transactions: u64,
    /// Accounts that decode, of all keyframes.
    pub accounts: u64,
    /// Changes of accounts that decode, of all deltas.
    pub changes: u64,
}

/// The result of verifying an archive.
#[derive(Debug)]
pub struct VerifyReport {
    /// What was read.
    pub read: VerifyProgress,
    /// What is wrong, at most one problem for each object. Empty if the archive is as it was written.
    pub problems: Vec<ArchiveError>,
}

impl VerifyReport {
    /// Whether the archive is as it was written.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Re-reads every byte of an archive against its digest, decodes every record, and checks order and counts. Calls
/// `progress` after each frame. Replays nothing.
pub async fn verify(archive: &Archive, progress: impl FnMut(VerifyProgress) + Send) -> VerifyReport {
    let mut verifier = Verifier {
        archive,
        progress,
        read: VerifyProgress::default(),
        blocks: BlockChecks::default(),
    };
    let mut problems: Vec<_> = verifier.manifest().await.err().into_iter().collect();
    let mut records = SortedRecords::default();
    let mut before = None;
    for segment in &archive.manifest().segments {
        let part_of = (segment.kind, segment.first_slot);
        if before.replace(part_of) != Some(part_of) {
            records = SortedRecords::default();
        }
        problems.extend(verifier.segment(segment, &mut records).await.err());
    }
    if problems.is_empty() {
        problems.extend(verifier.totals().err());
    }
    VerifyReport {
        read: verifier.read,
        problems,
    }
}

struct Verifier<'a, P> {
    archive: &'a Archive,
    progress: P,
    read: VerifyProgress,
    blocks: BlockChecks,
}

/// What the manifest says about blocks beside what it says about their segments.
#[derive(Default)]
struct BlockChecks {
    previous: Option<Slot>,
    outcomes: u64,
    coverage: Coverage,
}

impl<P: FnMut(VerifyProgress) + Send> Verifier<'_, P> {
    /// The manifest may have changed since it was opened.
    async fn manifest(&self) -> Result<(), ArchiveError> {
        let (_, found) = manifest_file::read(self.archive.location()).await?;
        let expected = self.archive.digest();
        let object = self.archive.location().object(crate::MANIFEST_NAME);
        match found == expected {
            true => Ok(()),
            false => Err(ArchiveError::DigestMismatch {
                object,
                expected,
                found,
            }),
        }
    }

    /// Head, frames, index and footer follow each other without holes, so that together they are the whole object.
    async fn segment(&mut self, segment: &Segment, records: &mut SortedRecords) -> Result<(), ArchiveError> {
        let mut reader = SegmentReader::open(self.archive.location(), segment).await?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(reader.head());
        while let Some(frame) = reader.next().await? {
            hasher.update(&frame.stored);
            self.read.bytes += frame.stored.len() as u64;
            match segment.kind {
                SegmentKind::Blocks => self.block(&frame)?,
                SegmentKind::Accounts => self.accounts(frame, records)?,
                SegmentKind::Deltas => self.read.changes += decode_changes_frame(&frame)?.len() as u64,
                SegmentKind::Differences => self.differences(frame, records)?,
                // What it says is the engine's business.
                SegmentKind::Contexts => drop(frame.decompress()?),
            }
            (self.progress)(self.read);
        }
        hasher.update(reader.tail());
        let (expected, found) = (segment.digest, Digest::from(hasher.finalize()));
        if found != expected {
            return Err(ArchiveError::DigestMismatch {
                object: reader.object().clone(),
                expected,
                found,
            });
        }
        self.read.segments += 1;
        self.read.bytes += (reader.head().len() + reader.tail().len()) as u64;
        (self.progress)(self.read);
        Ok(())
    }

    fn block(&mut self, frame: &Frame) -> Result<(), ArchiveError> {
        let block = decode_block_frame(frame)?;
        self.blocks
            .coverage
            .add(self.blocks.previous.replace(block.slot), &block);
        self.blocks.outcomes += block.outcomes();
        self.read.blocks += 1;
        self.read.transactions += block.transactions.len() as u64;
        Ok(())
    }

    fn accounts(&mut self, frame: Frame, records: &mut SortedRecords) -> Result<(), ArchiveError> {
        records.start(frame)?;
        while records.next::<Account>()?.is_some() {
            self.read.accounts += 1;
        }
        Ok(())
    }

    fn differences(&mut self, frame: Frame, records: &mut SortedRecords) -> Result<(), ArchiveError> {
        records.start(frame)?;
        while records.next::<Option<Account>>()?.is_some() {
            self.read.accounts += 1;
        }
        Ok(())
    }

    /// The manifest's other counts follow from its segments, which was checked when it was opened.
    fn totals(&self) -> Result<(), ArchiveError> {
        let manifest = self.archive.manifest();
        match manifest.outcomes == self.blocks.outcomes && manifest.coverage == self.blocks.coverage {
            true => Ok(()),
            false => Err(ArchiveError::Manifest {
                object: self.archive.location().object(crate::MANIFEST_NAME),
                source: ManifestError::Totals,
            }),
        }
    }
}
