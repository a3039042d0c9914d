//! The golden archive of format version 1 stays readable for ever, and no damage to it goes unnoticed.

use std::path::PathBuf;
use std::sync::Arc;

use crate::support::{accounts, blocks, read_all, write_sample};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use simulator_archive::{Archive, ArchiveError, Coverage, Digest, Gap, Location, ManifestError, verify};

/// The digest of the golden archive. It never changes.
const DIGEST: &str = "3744d5031777d342ae8efb94487d943f11ce8faf646610cc38b2bf4dff67c2e2";

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// The objects of the golden archive.
fn objects() -> Vec<(String, Vec<u8>)> {
    let mut objects: Vec<_> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(path).unwrap(),
            )
        })
        .collect();
    objects.sort();
    objects
}

/// A copy of the golden archive in memory in which one object is another.
async fn altered(name: &str, content: Option<Vec<u8>>) -> Location {
    let store = InMemory::new();
    for (object, bytes) in objects() {
        let bytes = if object == name { content.clone() } else { Some(bytes) };
        if let Some(bytes) = bytes {
            store.put(&Path::from(object), PutPayload::from(bytes)).await.unwrap();
        }
    }
    Location::new(Arc::new(store) as Arc<dyn ObjectStore>, Path::default(), "altered")
}

/// The error that reading everything gives; verifying finds a problem in the same archive.
async fn damage(name: &str, content: Option<Vec<u8>>) -> ArchiveError {
    let location = altered(name, content).await;
    if let Ok(archive) = Archive::open_at(location.clone()).await {
        assert!(
            !verify(&archive, |_| ()).await.is_intact(),
            "verify sees nothing wrong with {name}"
        );
    }
    read_all(location).await.expect_err(name)
}

#[tokio::test]
async fn is_readable() {
    let archive = Archive::open(directory().to_str().unwrap()).await.unwrap();
    assert_eq!(archive.digest().to_string(), DIGEST);
    assert_eq!(archive.manifest().digest(), archive.digest());
    let (found_accounts, found_blocks) = read_all(archive.location().clone()).await.unwrap();
    assert_eq!(found_accounts, accounts());
    assert_eq!(found_blocks, blocks());
    let report = verify(&archive, |_| ()).await;
    assert!(report.is_intact(), "{:?}", report.problems);
    assert_eq!(
        (report.read.blocks, report.read.transactions, report.read.accounts),
        (4, 4, 9)
    );
    assert_eq!(report.read.bytes, archive.manifest().size());
}

#[tokio::test]
async fn says_what_it_holds() {
    let archive = Archive::open(&format!("file://{}", directory().display()))
        .await
        .unwrap();
    let manifest = archive.manifest();
    assert_eq!((manifest.first_slot, manifest.last_slot, manifest.blocks), (10, 20, 4));
    assert_eq!((manifest.transactions, manifest.outcomes), (4, 3));
    assert_eq!(manifest.keyframes, [10]);
    assert_eq!(manifest.accounts(10), 9);
    let first_gap = Some(Gap {
        after: 13,
        slot: 20,
        parent_slot: 19,
    });
    assert_eq!(manifest.coverage, Coverage { gaps: 1, first_gap });
    assert!(manifest.block_segments().count() > 1 && manifest.keyframe_segments(10).count() > 1);
}

/// The same values make the same archive, byte for byte. If a new release of zstd compresses differently, the digests of
/// new archives change with it, which the changelog has to say; old archives stay readable.
#[tokio::test]
async fn is_what_would_be_written_today() {
    let store = Arc::new(InMemory::new());
    let manifest = write_sample(Location::new(store.clone(), Path::default(), "memory"))
        .await
        .unwrap();
    assert_eq!(manifest.digest().to_string(), DIGEST);
    for (name, bytes) in objects() {
        let written = store
            .get(&Path::from(name.clone()))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        assert!(written == bytes, "{name} differs");
    }
}

/// 0x20 changes the case of letters, which a lenient parser of the manifest would not see.
#[tokio::test]
async fn any_flipped_byte_is_an_error() {
    for (name, bytes) in objects() {
        let masks: &[u8] = if name == "manifest.json" {
            &[0x01, 0x20, 0xff]
        } else {
            &[0x01]
        };
        for (index, mask) in (0..bytes.len()).flat_map(|index| masks.iter().map(move |mask| (index, mask))) {
            let mut flipped = bytes.clone();
            flipped[index] ^= mask;
            let error = damage(&name, Some(flipped)).await;
            assert!(!matches!(error, ArchiveError::Io { .. }), "{name} {index} {error:?}");
        }
    }
}

#[tokio::test]
async fn any_truncation_is_an_error() {
    for (name, bytes) in objects() {
        // Without its last line end, the manifest is still whole.
        let last = if name == "manifest.json" {
            bytes.len() - 1
        } else {
            bytes.len()
        };
        for length in 0..last {
            match damage(&name, Some(bytes[..length].to_vec())).await {
                ArchiveError::Manifest { .. } => assert_eq!(name, "manifest.json"),
                ArchiveError::Truncated {
                    object,
                    expected,
                    found,
                } => {
                    assert_eq!(
                        (object.as_ref(), expected, found),
                        (&*name, bytes.len() as u64, length as u64)
                    );
                }
                error => panic!("{name} {length}: {error:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_missing_or_longer_object_is_an_error() {
    for (name, bytes) in objects().into_iter().filter(|(name, _)| name != "manifest.json") {
        let error = damage(&name, None).await;
        assert!(
            matches!(&error, ArchiveError::NotFound { object } if object.as_ref() == name),
            "{error:?}"
        );
        let longer = [bytes, vec![0]].concat();
        assert!(matches!(
            damage(&name, Some(longer)).await,
            ArchiveError::Trailing { .. }
        ));
    }
    assert!(matches!(
        damage("manifest.json", None).await,
        ArchiveError::NotAnArchive { .. }
    ));
}

#[tokio::test]
async fn a_newer_version_is_told_from_damage() {
    let (name, mut bytes) = objects()
        .into_iter()
        .find(|(name, _)| name.starts_with("blocks-"))
        .unwrap();
    bytes[8] = 2;
    assert!(matches!(
        damage(&name, Some(bytes)).await,
        ArchiveError::NewerFormat {
            found: 2,
            supported: 1,
            ..
        }
    ));

    let newer = edited(|manifest| manifest.replacen("\"formatVersion\":1", "\"formatVersion\":7,\"new\":{}", 1));
    let error = damage("manifest.json", Some(newer)).await;
    assert!(
        matches!(
            error,
            ArchiveError::NewerFormat {
                found: 7,
                supported: 2,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("upgrade"), "{error}");
}

/// Someone who makes a manifest with a fitting digest still cannot lead the reader astray.
#[tokio::test]
async fn a_false_manifest_is_an_error() {
    let cases: [(&str, &str); 5] = [
        ("\"name\":\"blocks-", "\"name\":\"../blocks-"),
        ("\"frames\":2", "\"frames\":4294967295"),
        ("\"transactions\":4", "\"transactions\":5"),
        ("\"firstSlot\":10,\"lastSlot\":20", "\"firstSlot\":9,\"lastSlot\":20"),
        ("\"keyframes\":[10]", "\"keyframes\":[11]"),
    ];
    for (from, to) in cases {
        let error = damage("manifest.json", Some(edited(|manifest| manifest.replacen(from, to, 1)))).await;
        let ArchiveError::Manifest { source, .. } = error else {
            panic!("{from}: {error:?}")
        };
        assert!(!matches!(source, ManifestError::Json(_)), "{from}: {source:?}");
    }
    let outcomes = edited(|manifest| manifest.replacen("\"outcomes\":3", "\"outcomes\":2", 1));
    let archive = Archive::open_at(altered("manifest.json", Some(outcomes)).await)
        .await
        .unwrap();
    assert_eq!(verify(&archive, |_| ()).await.problems.len(), 1);
}

/// The manifest with a change and the digest that fits it.
fn edited(change: impl Fn(&str) -> String) -> Vec<u8> {
    let (_, text) = objects().into_iter().find(|(name, _)| name == "manifest.json").unwrap();
    let text = String::from_utf8(text).unwrap();
    let start = text.find("\"manifest\":").unwrap() + "\"manifest\":".len();
    let manifest = &text[start..text.len() - 2];
    let changed = change(manifest);
    assert_ne!(changed, manifest, "the edit did nothing");
    format!(
        "{{\"digest\":\"{}\",\"manifest\":{changed}}}\n",
        Digest::of(changed.as_bytes())
    )
    .into_bytes()
}

#[tokio::test]
#[ignore = "writes the golden archive, once for each version of the format"]
async fn write_golden() {
    let manifest = write_sample(Location::create(directory().to_str().unwrap()).unwrap())
        .await
        .unwrap();
    println!("{}", manifest.digest());
}
