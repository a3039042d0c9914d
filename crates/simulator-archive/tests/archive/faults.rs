//! A store that fails at any write leaves the old archive, or the new one, but nothing between.

use std::sync::Arc;

use crate::support::json::{sample, write_ledger};
use crate::support::stores::{Fault, TestStore, names};
use crate::support::{SMALL, accounts, blocks, read_all, write, write_sample};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use simulator_archive::import::{ImportError, ImportOptions, ledger};
use simulator_archive::{Archive, ArchiveError, Digest, Location, verify};

/// Another archive than the sample, at the same place.
async fn write_old(store: &Arc<InMemory>) -> Digest {
    let location = TestStore::new(store.clone(), Fault::None).location();
    write(location, SMALL, &accounts()[..5], &blocks()[1..])
        .await
        .unwrap()
        .digest()
}

/// What is at the place now.
async fn digest(store: &Arc<InMemory>) -> Option<Digest> {
    let location = TestStore::new(store.clone(), Fault::None).location();
    let archive = match Archive::open_at(location).await {
        Ok(archive) => archive,
        Err(ArchiveError::NotAnArchive { .. }) => return None,
        Err(error) => panic!("{error:?}"),
    };
    let report = verify(&archive, |_| ()).await;
    assert!(report.is_intact(), "{:?}", report.problems);
    Some(archive.digest())
}

/// How many writes it takes to write the sample over the old archive.
async fn writes_needed(with_old: bool) -> (u64, Digest) {
    let inner = Arc::new(InMemory::new());
    if with_old {
        write_old(&inner).await;
    }
    let store = TestStore::new(inner, Fault::None);
    let manifest = write_sample(store.location()).await.unwrap();
    (store.writes(), manifest.digest())
}

async fn fail_everywhere(with_old: bool, fault: impl Fn(u64) -> Fault) {
    let (writes, new) = writes_needed(with_old).await;
    assert!(writes > 4, "{writes}");
    let mut published = 0;
    for at in 0..writes {
        let inner = Arc::new(InMemory::new());
        let old = if with_old { Some(write_old(&inner).await) } else { None };
        let result = write_sample(TestStore::new(inner.clone(), fault(at)).location()).await;
        let expected = if result.is_ok() { Some(new) } else { old };
        assert_eq!(digest(&inner).await, expected, "write {at}");
        published += u64::from(result.is_ok());
        if let Err(error) = result {
            assert!(matches!(error, ArchiveError::Io { .. }), "{error:?}");
        }

        // Running it again works, and cleans up what the failed run left.
        let manifest = write_sample(TestStore::new(inner.clone(), Fault::None).location())
            .await
            .unwrap();
        assert_eq!(digest(&inner).await, Some(new));
        assert_eq!(names(&inner).await.len(), manifest.segments.len() + 1);
    }
    assert!(published >= 1, "cleaning up comes after publishing");
}

#[tokio::test]
async fn a_full_disk_leaves_no_archive() {
    fail_everywhere(false, Fault::Once).await;
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_archive() {
    fail_everywhere(true, Fault::Once).await;
}

#[tokio::test]
async fn a_crash_leaves_no_archive() {
    fail_everywhere(false, Fault::From).await;
}

#[tokio::test]
async fn a_crash_leaves_the_old_archive() {
    fail_everywhere(true, Fault::From).await;
}

/// Where the disk is full but removing works, a failed run leaves nothing at all.
#[tokio::test]
async fn a_failed_run_cleans_up() {
    let (writes, _) = writes_needed(false).await;
    // The last two writes are the manifest and the listing of what can be removed.
    for at in 0..writes - 1 {
        let inner = Arc::new(InMemory::new());
        write_sample(TestStore::new(inner.clone(), Fault::Once(at)).location())
            .await
            .unwrap_err();
        assert_eq!(names(&inner).await, [] as [String; 0], "write {at}");
    }
}

#[tokio::test]
async fn an_import_reports_what_the_store_says() {
    let directory = tempfile::tempdir().unwrap();
    let (accounts, blocks) = sample();
    write_ledger(directory.path(), &accounts, &blocks);
    let inner = Arc::new(InMemory::new());
    let old = write_old(&inner).await;
    for at in 0..3 {
        let location = TestStore::new(inner.clone(), Fault::From(at)).location();
        let options = ImportOptions {
            limits: SMALL,
            ..ImportOptions::default()
        };
        let error = ledger::import_into(directory.path(), location, options, |_| ())
            .await
            .unwrap_err();
        assert!(
            matches!(error, ImportError::Archive(ArchiveError::Io { .. })),
            "{error:?}"
        );
        assert_eq!(digest(&inner).await, Some(old));
    }
}

/// Writing sweeps its own segments only.
#[tokio::test]
async fn other_objects_stay() {
    let inner = Arc::new(InMemory::new());
    let others = [
        "archives/a/notes.txt",
        "archives/a/blocks-1.seg.bak",
        "archives/a/blocks-foo.seg",
        "archives/a/accounts-000000000001-0123456789abcdef.seg",
        "archives/a/deeper/blocks-1-a.seg",
        "blocks-1.seg",
    ];
    for name in others {
        inner
            .put(&Path::from(name), PutPayload::from_static(b"mine"))
            .await
            .unwrap();
    }
    let orphan = Path::from("archives/a/blocks-000000000001-0123456789abcdef.seg");
    inner
        .put(&orphan, PutPayload::from_static(b"left by a dead import"))
        .await
        .unwrap();
    let manifest = write_sample(TestStore::new(inner.clone(), Fault::None).location())
        .await
        .unwrap();
    assert_eq!(names(&inner).await.len(), others.len() + manifest.segments.len() + 1);
}

/// On a real disk, too: a segment cannot be published where a directory has its name.
#[tokio::test]
async fn a_disk_that_refuses_keeps_the_old_archive() {
    let directory = tempfile::tempdir().unwrap();
    let location = || Location::create(directory.path().to_str().unwrap()).unwrap();
    let old = write(location(), SMALL, &accounts()[..5], &blocks()[1..])
        .await
        .unwrap();
    let new = {
        let elsewhere = tempfile::tempdir().unwrap();
        write_sample(Location::create(elsewhere.path().to_str().unwrap()).unwrap())
            .await
            .unwrap()
    };
    let obstacle = directory.path().join(&new.block_segments().last().unwrap().name);
    std::fs::create_dir_all(obstacle.join("in the way")).unwrap();
    let error = write_sample(location()).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Io { .. }), "{error:?}");
    assert_eq!(Archive::open_at(location()).await.unwrap().digest(), old.digest());
    read_all(location()).await.unwrap();
}

/// A crash in the middle of a write leaves a file that no store lists.
#[tokio::test]
async fn half_written_files_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let left = ["manifest.json#1", "blocks-000000000010-0123456789abcdef.seg#12"];
    let others = ["notes#1", "manifest.json#x", "manifest.json#"];
    for name in left.iter().chain(&others) {
        std::fs::write(directory.path().join(name), "half").unwrap();
    }
    let location = Location::create(directory.path().to_str().unwrap()).unwrap();
    write_sample(location).await.unwrap();
    for name in left {
        assert!(!directory.path().join(name).exists(), "{name}");
    }
    for name in others {
        assert!(directory.path().join(name).exists(), "{name}");
    }
}
