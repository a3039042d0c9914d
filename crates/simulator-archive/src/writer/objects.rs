//! Storing segments, and removing those that no manifest names.

use std::collections::BTreeSet;

use object_store::ObjectStoreExt;

use crate::error::ArchiveError;
use crate::import::CHECKPOINT_NAME;
use crate::location::Location;
use crate::manifest::{Manifest, Segment};
use crate::manifest_file;
use crate::segment::SegmentBuilder;

/// Stores a finished segment. `prefix` is what its name starts with.
pub(super) async fn put(location: &Location, builder: SegmentBuilder, prefix: &str) -> Result<Segment, ArchiveError> {
    let (segment, payload) = builder.finish(prefix);
    let object = location.object(&segment.name);
    location
        .store
        .put(&object, payload)
        .await
        .map_err(|source| ArchiveError::Io { object, source })?;
    Ok(segment)
}

/// Removes segments that were written in vain, as well as that can be done; what stays is removed by the next writer.
pub(super) async fn discard(location: &Location, written: impl Iterator<Item = &Segment>) {
    let kept = match manifest_file::read(location).await {
        Ok((manifest, _)) => names(&manifest),
        Err(ArchiveError::NotAnArchive { .. }) => BTreeSet::new(),
        // Without its manifest nobody knows what the old archive needs.
        Err(_) => return,
    };
    for segment in written.filter(|segment| !kept.contains(&segment.name)) {
        let _ = location.store.delete(&location.object(&segment.name)).await;
    }
    let _ = location.store.delete(&location.object(CHECKPOINT_NAME)).await;
}

/// Removes segments that the manifest does not name: those of the archive which it replaced, and of imports that died.
/// The archive is complete, so that a failure here is none; the next import tries again.
pub(super) async fn sweep(location: &Location, manifest: &Manifest) {
    let kept = names(manifest);
    let is_ours = |name: &str| manifest_file::is_written_name(name) || name == CHECKPOINT_NAME;
    let is_orphan = |name: &str| is_ours(name) && !kept.contains(name);
    let prefix = Some(&location.prefix).filter(|prefix| !prefix.is_root());
    let Ok(listing) = location.store.list_with_delimiter(prefix).await else {
        return;
    };
    for object in listing.objects {
        if object.location.filename().is_some_and(is_orphan) {
            let _ = location.store.delete(&object.location).await;
        }
    }
}

fn names(manifest: &Manifest) -> BTreeSet<String> {
    manifest.segments.iter().map(|segment| segment.name.clone()).collect()
}
