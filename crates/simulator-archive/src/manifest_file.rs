//! The object that holds the manifest, and how it shows that nobody changed it (`docs/archive.md`, section 2).

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::digest::{ArchiveDigest, Digest};
use crate::error::{ArchiveError, ManifestError};
use crate::location::Location;
use crate::manifest::{Manifest, Segment, SegmentKind};
use crate::model::Slot;
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
    let text = encode(manifest);
    // What cannot be opened again must not take the place of what can.
    let checked = match text.len() as u64 > MAX_MANIFEST {
        true => Err(ManifestError::TooLarge { limit: MAX_MANIFEST }),
        false => check(manifest),
    };
    checked.map_err(|source| ArchiveError::Manifest {
        object: object.clone(),
        source,
    })?;
    let payload = PutPayload::from(text);
    location
        .store
        .put(&object, payload)
        .await
        .map_err(|source| ArchiveError::Io { object, source })?;
    Ok(())
}

/// What the name of a segment in slot order starts with.
pub(crate) fn stream_prefix(kind: SegmentKind, first_slot: Slot) -> String {
    format!("{}-{first_slot:012}", kind_name(kind))
}

/// What the name of a segment of a keyframe starts with.
pub(crate) fn keyframe_prefix(kind: SegmentKind, slot: Slot, part: u32) -> String {
    format!("{}-{slot:012}-{part:05}", kind_name(kind))
}

const KINDS: [SegmentKind; 5] = [
    SegmentKind::Blocks,
    SegmentKind::Accounts,
    SegmentKind::Deltas,
    SegmentKind::Differences,
    SegmentKind::Contexts,
];

fn kind_name(kind: SegmentKind) -> &'static str {
    match kind {
        SegmentKind::Blocks => "blocks",
        SegmentKind::Accounts => "accounts",
        SegmentKind::Deltas => "deltas",
        SegmentKind::Differences => "differences",
        SegmentKind::Contexts => "contexts",
    }
}

/// Whether segments of the kind belong to one keyframe each.
fn is_of_keyframe(kind: SegmentKind) -> bool {
    matches!(kind, SegmentKind::Accounts | SegmentKind::Differences)
}

/// Whether an object is called as segments are.
pub(crate) fn is_segment_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.strip_suffix(".seg").is_some_and(|stem| {
        let kind = stem.split_once('-').map(|(kind, _)| kind);
        KINDS.iter().any(|known| Some(kind_name(*known)) == kind) && stem.bytes().all(is_plain)
    })
}

/// Whether a name has just the form that the writer gives: kind, slot, for keyframes the number of the part, and the
/// beginning of the digest. What has another form is not ours to remove.
pub(crate) fn is_written_name(name: &str) -> bool {
    let is_number = |text: &str, len| text.len() >= len && text.bytes().all(|b| b.is_ascii_digit());
    let is_digest = |text: &str| text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_kind = |name: &str, of_keyframe| {
        let known = KINDS.iter().find(|known| kind_name(**known) == name);
        known.is_some_and(|known| is_of_keyframe(*known) == of_keyframe)
    };
    let Some(stem) = name.strip_suffix(".seg") else {
        return false;
    };
    match stem.split('-').collect::<Vec<_>>()[..] {
        [kind, slot, digest] => is_kind(kind, false) && is_number(slot, 12) && is_digest(digest),
        [kind, slot, part, digest] => {
            is_kind(kind, true) && is_number(slot, 12) && is_number(part, 5) && is_digest(digest)
        }
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
    match totals_fit(manifest) && keyframes_fit(manifest) && index_fits(manifest) {
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
    let is_ordered = match is_of_keyframe(segment.kind) {
        false => segment.first_slot <= segment.last_slot,
        true => segment.first_slot == segment.last_slot,
    };
    match is_whole && is_ordered {
        true => Ok(()),
        false => Err(ManifestError::SegmentOrder {
            segment: segment.name.clone(),
        }),
    }
}

fn follows(before: &Segment, after: &Segment) -> bool {
    if before.kind != after.kind {
        return before.kind < after.kind;
    }
    match is_of_keyframe(after.kind) {
        false => before.last_slot < after.first_slot,
        true => before.first_slot <= after.first_slot,
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
    let mut segments = manifest.segments_of(SegmentKind::Accounts);
    keyframes.is_sorted_by(|one, next| one < next)
        && keyframes.first().is_some_and(|first| *first <= manifest.first_slot)
        && segments.all(|segment| keyframes.binary_search(&segment.first_slot).is_ok())
}

/// An index is of the version that has one, and holds as many records as it says.
fn index_fits(manifest: &Manifest) -> bool {
    let sum = |kind| {
        let mut records = manifest.segments_of(kind).map(|segment| segment.records);
        records.try_fold(0, u64::checked_add)
    };
    let Some(index) = &manifest.state_index else {
        let mut segments = manifest.segments.iter();
        return manifest.format_version == manifest.needed_version()
            && segments.all(|segment| segment.kind <= SegmentKind::Accounts);
    };
    let keyframes = &index.keyframes;
    let is_inner = |slot: &Slot| *slot > manifest.first_slot && *slot <= manifest.last_slot;
    let is_known = |segment: &Segment| keyframes.binary_search(&segment.first_slot).is_ok();
    manifest.format_version == manifest.needed_version()
        && keyframes.is_sorted_by(|one, next| one < next)
        && keyframes.iter().all(is_inner)
        && manifest.segments_of(SegmentKind::Differences).all(is_known)
        && sum(SegmentKind::Contexts) == Some(keyframes.len() as u64)
        && sum(SegmentKind::Deltas) == Some(index.changes)
}
