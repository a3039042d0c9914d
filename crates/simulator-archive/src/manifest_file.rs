//! The object that holds the manifest, and how it shows that nobody changed it (`docs/archive.md`, section 2).

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::digest::{ArchiveDigest, Digest};
use crate::error::{ArchiveError, ManifestError};
use crate::location::Location;
use crate::manifest::{Manifest, Segment, SegmentKind};
use crate::segment::{io_error, tail_offset};

/// The most bytes that a manifest can have: enough for hundreds of thousands of segments.
const MAX_MANIFEST: u64 = 256 << 20;

/// The envelope, which stays the same in every version of the format. The digest is that of the manifest's text, byte
/// for byte.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    digest: Digest,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

/// The one field that a manifest of every version has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    format_version: u32,
}

/// Reads the manifest of the archive at a location.
pub(crate) async fn read(location: &Location) -> Result<(Manifest, ArchiveDigest), ArchiveError> {
    let object = location.object(crate::MANIFEST_NAME);
    let result = location.store.get(&object).await.map_err(|source| match source {
        object_store::Error::NotFound { .. } => ArchiveError::NotAnArchive {
            location: location.to_string(),
        },
        source => ArchiveError::Io {
            object: object.clone(),
            source,
        },
    })?;
    if result.meta.size > MAX_MANIFEST {
        return Err(ArchiveError::Manifest {
            object,
            source: ManifestError::TooLarge { limit: MAX_MANIFEST },
        });
    }
    let text = result.bytes().await.map_err(|e| io_error(&object, e))?;
    parse(&object, &text)
}

/// Publishes the manifest, and with it the archive.
pub(crate) async fn write(location: &Location, manifest: &Manifest) -> Result<(), ArchiveError> {
    let object = location.object(crate::MANIFEST_NAME);
    let payload = PutPayload::from(encode(manifest));
    location
        .store
        .put(&object, payload)
        .await
        .map_err(|source| ArchiveError::Io { object, source })?;
    Ok(())
}

/// Whether an object is called as segments are.
pub(crate) fn is_segment_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.strip_suffix(".seg").is_some_and(|stem| {
        (stem.starts_with("blocks-") || stem.starts_with("accounts-")) && stem.bytes().all(is_plain)
    })
}

/// Whether a name has just the form that the writer gives: kind, slot, for accounts the number of the part, and the
/// beginning of the digest. What has another form is not ours to remove.
pub(crate) fn is_written_name(name: &str) -> bool {
    let is_number = |text: &str, len| text.len() >= len && text.bytes().all(|b| b.is_ascii_digit());
    let is_digest = |text: &str| text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let Some(stem) = name.strip_suffix(".seg") else {
        return false;
    };
    match stem.split('-').collect::<Vec<_>>()[..] {
        ["blocks", slot, digest] => is_number(slot, 12) && is_digest(digest),
        ["accounts", slot, part, digest] => is_number(slot, 12) && is_number(part, 5) && is_digest(digest),
        _ => false,
    }
}

fn encode(manifest: &Manifest) -> Vec<u8> {
    let json = manifest.to_json();
    let mut text = format!("{{\"digest\":\"{}\",\"manifest\":", Digest::of(&json)).into_bytes();
    text.extend_from_slice(&json);
    text.extend_from_slice(b"}\n");
    text
}

/// The order matters: damage is told from another version by the digest.
fn parse(object: &Path, text: &[u8]) -> Result<(Manifest, ArchiveDigest), ArchiveError> {
    let wrong = |source: ManifestError| ArchiveError::Manifest {
        object: object.clone(),
        source,
    };
    let envelope: Envelope<'_> = serde_json::from_slice(text).map_err(|e| wrong(e.into()))?;
    let json = envelope.manifest.get();
    let (expected, found) = (envelope.digest, Digest::of(json.as_bytes()));
    if expected != found {
        return Err(ArchiveError::DigestMismatch {
            object: object.clone(),
            expected,
            found,
        });
    }
    let version: Version = serde_json::from_str(json).map_err(|e| wrong(e.into()))?;
    let (found, supported) = (version.format_version, crate::FORMAT_VERSION);
    if found > supported {
        return Err(ArchiveError::NewerFormat {
            object: object.clone(),
            found,
            supported,
        });
    }
    let manifest: Manifest = serde_json::from_str(json).map_err(|e| wrong(e.into()))?;
    check(&manifest).map_err(wrong)?;
    Ok((manifest, expected))
}

/// What every reader relies on: names lead nowhere else, segments are in order, totals are those of the segments.
fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    for segment in &manifest.segments {
        check_segment(segment)?;
    }
    for pair in manifest.segments.windows(2) {
        if !follows(&pair[0], &pair[1]) {
            return Err(ManifestError::SegmentOrder {
                segment: pair[1].name.clone(),
            });
        }
    }
    match totals_fit(manifest) && keyframes_fit(manifest) {
        true => Ok(()),
        false => Err(ManifestError::Totals),
    }
}

fn check_segment(segment: &Segment) -> Result<(), ManifestError> {
    if !is_segment_name(&segment.name) {
        return Err(ManifestError::SegmentName {
            segment: segment.name.clone(),
        });
    }
    let is_whole = tail_offset(segment.size, segment.frames).is_some() && segment.frames > 0;
    let is_ordered = match segment.kind {
        SegmentKind::Blocks => segment.first_slot <= segment.last_slot,
        SegmentKind::Accounts => segment.first_slot == segment.last_slot,
    };
    match is_whole && is_ordered {
        true => Ok(()),
        false => Err(ManifestError::SegmentOrder {
            segment: segment.name.clone(),
        }),
    }
}

fn follows(before: &Segment, after: &Segment) -> bool {
    match (before.kind, after.kind) {
        (SegmentKind::Blocks, SegmentKind::Blocks) => before.last_slot < after.first_slot,
        (SegmentKind::Blocks, SegmentKind::Accounts) => true,
        (SegmentKind::Accounts, SegmentKind::Accounts) => before.first_slot <= after.first_slot,
        (SegmentKind::Accounts, SegmentKind::Blocks) => false,
    }
}

fn totals_fit(manifest: &Manifest) -> bool {
    let slots = (manifest.block_segments().next(), manifest.block_segments().last());
    let (Some(first), Some(last)) = slots else {
        return false;
    };
    let (mut blocks, mut transactions) = (0_u64, 0_u64);
    for segment in manifest.block_segments() {
        blocks += u64::from(segment.frames);
        transactions = transactions.saturating_add(segment.records);
    }
    (first.first_slot, last.last_slot) == (manifest.first_slot, manifest.last_slot)
        && (blocks, transactions) == (manifest.blocks, manifest.transactions)
        && manifest.outcomes <= transactions
}

fn keyframes_fit(manifest: &Manifest) -> bool {
    let keyframes = &manifest.keyframes;
    let is_known = |segment: &Segment| segment.kind == SegmentKind::Blocks || keyframes.contains(&segment.first_slot);
    keyframes.windows(2).all(|pair| pair[0] < pair[1])
        && keyframes.first().is_some_and(|first| *first <= manifest.first_slot)
        && manifest.segments.iter().all(is_known)
}
