//! An import that ended early goes on from the state that it has stored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::json::lines;
use crate::support::{SMALL, accounts, hash, json, ledger_blocks, read_all};
use simulator_archive::import::files::{self, BlockFiles, Files};
use simulator_archive::import::{ImportError, ImportOptions, ImportProgress};
use simulator_archive::{Archive, ArchiveError, Location, Manifest};
use simulator_testkit::accounts::AccountRecord;
use simulator_testkit::snapshot::Snapshot;
use tempfile::TempDir;
use tokio::sync::mpsc;

const CHECKPOINT: &str = "import-state.json";

struct Place {
    directory: TempDir,
    snapshot: PathBuf,
    blocks: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let record = |(address, account): &(_, simulator_archive::model::Account)| AccountRecord {
            address: *address,
            lamports: account.lamports,
            owner: account.owner,
            executable: account.executable,
            rent_epoch: account.rent_epoch,
            data: account.data.to_vec(),
        };
        let records = accounts().iter().map(record).collect();
        let snapshot = Snapshot::new(9, hash(9), records).write(directory.path()).unwrap();
        let blocks = directory.path().join("blocks.jsonl");
        let values: Vec<_> = ledger_blocks()[..3].iter().map(json::block).collect();
        std::fs::write(&blocks, lines(&values)).unwrap();
        Self {
            directory,
            snapshot,
            blocks,
        }
    }

    fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    async fn import(&self, report: impl FnMut(ImportProgress) + Send) -> Result<Manifest, ImportError> {
        let files = Files {
            snapshot: Some(self.snapshot.clone()),
            blocks: BlockFiles::Lines(vec![self.blocks.clone()]),
        };
        let options = ImportOptions {
            limits: SMALL,
            ..ImportOptions::default()
        };
        files::import(files, self.out().to_str().unwrap(), options, report).await
    }

    /// Starts an import and drops it when the first block is stored, as a signal does.
    async fn interrupt(&self) {
        let (sender, mut first) = mpsc::channel(1);
        let report = move |progress: ImportProgress| {
            if progress.blocks > 0 {
                let _ = sender.try_send(());
            }
        };
        tokio::select! {
            biased;
            _ = first.recv() => {}
            result = self.import(report) => panic!("{result:?}"),
        }
        assert!(self.out().join(CHECKPOINT).is_file());
        let opened = Archive::open(self.out().to_str().unwrap()).await;
        assert!(matches!(opened, Err(ArchiveError::NotAnArchive { .. })));
    }

    /// Makes the snapshot unreadable without a trace.
    fn spoil_snapshot(&self, age: Duration) {
        let file = std::fs::File::options().write(true).open(&self.snapshot).unwrap();
        let metadata = file.metadata().unwrap();
        let changed = metadata.modified().unwrap();
        std::fs::write(&self.snapshot, vec![0; metadata.len() as usize]).unwrap();
        file.set_modified(changed - age).unwrap();
    }
}

/// Everything below a directory. What an interrupted import is still taking away may go meanwhile.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut contents: Vec<_> = entries
        .filter_map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match std::fs::read(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                content => Some((name, content.unwrap())),
            }
        })
        .collect();
    contents.sort();
    contents
}

#[tokio::test]
async fn the_state_is_not_read_again() {
    let whole = Place::new();
    whole.import(|_| ()).await.unwrap();
    let expected = contents(&whole.out());
    assert!(expected.iter().all(|(name, _)| name != CHECKPOINT));

    let place = Place::new();
    place.interrupt().await;
    place.spoil_snapshot(Duration::ZERO);
    let mut last = None;
    place.import(|progress| last = Some(progress)).await.unwrap();
    assert!(contents(&place.out()) == expected);
    let last = last.unwrap();
    assert_eq!((last.accounts, last.bytes_read), (9, last.bytes_total));
}

#[tokio::test]
async fn another_file_is_read() {
    let place = Place::new();
    place.interrupt().await;
    place.spoil_snapshot(Duration::from_secs(1));
    let error = place.import(|_| ()).await.unwrap_err();
    assert!(matches!(error, ImportError::Snapshot { .. }), "{error:?}");
    assert!(!place.out().join(CHECKPOINT).exists());
}

#[tokio::test]
async fn other_blocks_need_the_state_to_be_read_again() {
    let place = Place::new();
    place.interrupt().await;
    let mut values: Vec<_> = ledger_blocks()[..1].iter().map(json::block).collect();
    values[0]["previousBlockhash"] = hash(44).to_string().into();
    std::fs::write(&place.blocks, lines(&values)).unwrap();
    let error = place.import(|_| ()).await.unwrap_err();
    assert!(matches!(error, ImportError::OtherCluster { .. }), "{error:?}");
}

/// Damaged, missing or made up: what the checkpoint names is only taken if every byte of it is there.
#[tokio::test]
async fn what_is_damaged_is_made_again() {
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    let damages: [&dyn Fn(&Path); 2] = [&flip, &remove];
    for damage in damages {
        for part in ["accounts-", CHECKPOINT] {
            let place = Place::new();
            place.interrupt().await;
            let (name, _) = contents(&place.out())
                .into_iter()
                .find(|(name, _)| name.starts_with(part))
                .unwrap();
            damage(&place.out().join(name));
            place.import(|_| ()).await.unwrap();
            let location = Location::existing(place.out().to_str().unwrap()).unwrap();
            assert_eq!(read_all(location).await.unwrap().0, accounts());
        }
    }
}
