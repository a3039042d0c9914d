//! The importer for Agave snapshots: what it takes, and how it refuses the rest.

use std::path::{Path, PathBuf};

use crate::support::json::lines;
use crate::support::{SMALL, accounts, hash, in_memory, json, key, ledger_blocks, read_accounts, read_all};
use proptest::prelude::*;
use simulator_archive::import::files::{self, BlockFiles, Files};
use simulator_archive::import::{ChainProblem, ImportError, ImportOptions, LineError, Seeds, SnapshotProblem, ledger};
use simulator_archive::model::Account;
use simulator_archive::{Archive, Importer, Location, Manifest, Scope, verify};
use simulator_testkit::accounts::AccountRecord;
use simulator_testkit::paths::shared_ledger_or_skip;
use simulator_testkit::seeded::Seeded;
use simulator_testkit::snapshot::{Snapshot, Storage, removed};
use solana_pubkey::Pubkey;
use tempfile::TempDir;

/// A directory with a file of blocks whose first follows slot 9, and files beside it.
struct Place {
    directory: TempDir,
    blocks: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let blocks = directory.path().join("blocks.jsonl");
        let mut values: Vec<_> = ledger_blocks().iter().map(json::block).collect();
        values.pop();
        std::fs::write(&blocks, lines(&values)).unwrap();
        Self { directory, blocks }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn files(&self, snapshot: &Path) -> Files {
        Files {
            snapshot: Some(snapshot.to_owned()),
            blocks: BlockFiles::Lines(vec![self.blocks.clone()]),
        }
    }

    async fn import_into(&self, snapshot: &Path, location: Location) -> Result<Manifest, ImportError> {
        files::import_into(self.files(snapshot), location, options(), |_| ()).await
    }

    /// The error of a snapshot that is stored as it is, under a name that says nothing.
    async fn problem(&self, tar: &[u8]) -> SnapshotProblem {
        let path = self.path().join("a.tar");
        std::fs::write(&path, tar).unwrap();
        match self.import_into(&path, in_memory()).await {
            Err(ImportError::Snapshot { file, source }) if file == "a.tar" => *source,
            result => panic!("{result:?}"),
        }
    }
}

fn options() -> ImportOptions {
    ImportOptions {
        limits: SMALL,
        sort_memory: 400,
        ..ImportOptions::default()
    }
}

fn record((address, account): &(Pubkey, Account)) -> AccountRecord {
    AccountRecord {
        address: *address,
        lamports: account.lamports,
        owner: account.owner,
        executable: account.executable,
        rent_epoch: account.rent_epoch,
        data: account.data.to_vec(),
    }
}

fn records() -> Vec<AccountRecord> {
    accounts().iter().map(record).collect()
}

fn older(mut record: AccountRecord, lamports: u64) -> AccountRecord {
    record.lamports = lamports;
    record.data.push(9);
    record
}

/// The accounts of the hand-made ledger over several files, with older states and accounts that are gone.
fn snapshot() -> Snapshot {
    let records = records();
    let mut storages = vec![
        Storage::new(9, 31, records[4..].to_vec()),
        Storage::new(2, 7, vec![older(records[0].clone(), 3), older(records[5].clone(), 4)]),
        Storage::new(
            8,
            2,
            vec![records[0].clone(), older(records[1].clone(), 6), records[2].clone()],
        ),
        Storage::new(8, 1, vec![removed(key(200)), records[3].clone()]),
        Storage::new(7, 30, vec![older(records[0].clone(), 8)]),
        Storage::new(5, 3, vec![older(record(&(key(200), accounts()[0].1.clone())), 5)]),
        Storage::new(8, 3, vec![records[1].clone()]),
    ];
    // In one slot the write version decides, whatever the number of the file.
    storages[6].write_version = 100;
    Snapshot {
        storages,
        ..Snapshot::new(9, hash(9), Vec::new())
    }
}

async fn import_all(snapshot: &Snapshot) -> (Manifest, Vec<(Pubkey, Account)>) {
    let place = Place::new();
    let path = snapshot.write(place.path()).unwrap();
    let location = in_memory();
    let manifest = place.import_into(&path, location.clone()).await.unwrap();
    let (found, blocks) = read_all(location).await.unwrap();
    assert_eq!(blocks, ledger_blocks()[..3]);
    (manifest, found)
}

#[tokio::test]
async fn the_state_that_was_written_last_is_kept() {
    for bank_last in [false, true] {
        let mut snapshot = snapshot();
        snapshot.bank_last = bank_last;
        let (manifest, found) = import_all(&snapshot).await;
        assert_eq!(found, accounts());
        let importers: Vec<_> = manifest.sources.iter().map(|source| source.importer).collect();
        assert_eq!(importers, [Importer::Snapshot, Importer::GetBlock]);
        assert_eq!(manifest.sources[0].files[0].name, snapshot.name());
        let bank = manifest.bank.unwrap();
        let blockhashes: Vec<_> = bank.blockhashes.iter().map(|recent| recent.blockhash.clone()).collect();
        assert_eq!(blockhashes, [hash(9).to_string(), hash(7).to_string()]);
        assert_eq!((bank.slot, bank.block_height, bank.epoch_stakes.len()), (9, 9, 1));
        assert_eq!(bank.epoch_stakes[0].vote_accounts.len(), 1);
    }
}

#[tokio::test]
async fn what_the_bank_does_not_list_does_not_count() {
    for bank_last in [false, true] {
        let mut snapshot = snapshot();
        snapshot.bank_last = bank_last;
        // Newer states of accounts, then bytes that are none.
        snapshot.storages[0].slack = Storage::new(0, 0, vec![removed(key(5)), removed(key(6))]).bytes();
        snapshot.storages[0].slack.resize(1000, 0xff);
        snapshot.storages[1].slack = vec![0; 5000];
        assert_eq!(import_all(&snapshot).await.1, accounts(), "{bank_last}");
    }
}

#[tokio::test]
async fn a_ledger_directory_may_hold_a_snapshot() {
    let place = Place::new();
    snapshot().write(place.path()).unwrap();
    let manifest = ledger::import_into(place.path(), in_memory(), options(), |_| ())
        .await
        .unwrap();
    assert_eq!(manifest.accounts(10), 9);
    assert_eq!(
        (manifest.sources.len(), manifest.sources[0].importer),
        (1, Importer::Ledger)
    );
    std::fs::write(place.path().join("snapshot-1-a.tar.zst"), "").unwrap();
    let error = ledger::import_into(place.path(), in_memory(), options(), |_| ())
        .await
        .unwrap_err();
    assert!(matches!(error, ImportError::AmbiguousSnapshot { .. }), "{error:?}");
}

#[tokio::test]
async fn an_older_snapshot_has_no_sum() {
    let mut snapshot = snapshot();
    snapshot.has_sum = false;
    assert_eq!(import_all(&snapshot).await.1, accounts());
}

#[tokio::test]
async fn a_snapshot_of_another_slot_is_refused() {
    for (slot, advice) in [(8, "add the blocks between"), (10, "leave out the blocks")] {
        let place = Place::new();
        let path = Snapshot { slot, ..snapshot() }.write(place.path()).unwrap();
        let error = place.import_into(&path, in_memory()).await.unwrap_err();
        assert!(error.to_string().contains(advice), "{error}");
        assert!(
            matches!(error, ImportError::NotParent { slot: found, first: 10, parent: 9, .. } if found == slot),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_snapshot_of_another_cluster_is_refused() {
    let place = Place::new();
    let blockhash = hash(77);
    let path = Snapshot {
        blockhash,
        ..snapshot()
    }
    .write(place.path())
    .unwrap();
    let error = place.import_into(&path, in_memory()).await.unwrap_err();
    assert!(
        matches!(error, ImportError::OtherCluster { slot: 9, first: 10, named, .. } if named == hash(9)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_hole_in_the_blocks_is_refused() {
    let place = Place::new();
    let path = snapshot().write(place.path()).unwrap();
    let values: Vec<_> = ledger_blocks().iter().map(json::block).collect();
    std::fs::write(&place.blocks, lines(&values)).unwrap();
    let error = place.import_into(&path, in_memory()).await.unwrap_err();
    let ImportError::Line {
        line: 4,
        source: LineError::Chain(problem),
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        problem,
        ChainProblem::MissingBlocks {
            slot: 20,
            parent: 19,
            previous: 13
        }
    );
}

#[tokio::test]
async fn a_name_that_says_something_else_is_refused() {
    let place = Place::new();
    let right = snapshot().write(place.path()).unwrap();
    let refused = async |name: &str| {
        let path = place.path().join(name);
        std::fs::copy(&right, &path).unwrap();
        match place.import_into(&path, in_memory()).await {
            Err(ImportError::Snapshot { source, .. }) => *source,
            result => panic!("{result:?}"),
        }
    };
    let name = snapshot().name().replace("snapshot-9-", "snapshot-8-");
    assert!(matches!(
        refused(&name).await,
        SnapshotProblem::NamedSlot { named: 8, found: 9 }
    ));
    let name = format!("snapshot-9-{}.tar.zst", hash(3));
    assert!(matches!(refused(&name).await, SnapshotProblem::NamedHash { named } if named == hash(3)));
    let name = format!("incremental-snapshot-8-9-{}.tar.zst", hash(3));
    assert!(matches!(refused(&name).await, SnapshotProblem::Incremental));
}

#[tokio::test]
async fn a_changed_account_is_noticed() {
    let place = Place::new();
    let mut tar = snapshot().tar();
    let data = &records()[8].data;
    let at = tar.windows(data.len()).position(|window| window == data).unwrap();
    tar[at] ^= 1;
    assert!(matches!(place.problem(&tar).await, SnapshotProblem::Accounts { .. }));
}

type Change = fn(&mut Vec<(String, Vec<u8>)>);

fn changed(change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) -> Vec<u8> {
    let mut entries = snapshot().entries();
    change(&mut entries);
    simulator_testkit::snapshot::archive(&entries)
}

#[tokio::test]
async fn entries_that_are_missing_or_wrong_are_named() {
    let place = Place::new();
    let cases: [(Change, &str); 10] = [
        (|entries| drop(entries.remove(0)), "it has no version"),
        (|entries| entries[0].1 = b"2.0.0".to_vec(), "its version is \"2.0.0\""),
        (|entries| drop(entries.remove(2)), "it has no snapshots/SLOT/SLOT"),
        (|entries| drop(entries.remove(3)), "it has no accounts/9.31"),
        (
            |entries| entries[3].0 = "accounts/9.32".to_owned(),
            "it has accounts/9.32, which",
        ),
        (|entries| entries.push(entries[3].clone()), "it has accounts/9.31 twice"),
        (
            |entries| entries.push(entries[2].clone()),
            "it has snapshots/9/9, which",
        ),
        (
            |entries| entries[1].0 = "../../etc/passwd".to_owned(),
            "it has ../../etc/passwd, which",
        ),
        (|entries| entries[3].1.truncate(1000), "bytes, and the bank lists"),
        (|entries| entries[2].1.truncate(100), "snapshots/9/9, byte "),
    ];
    for (change, expected) in cases {
        let text = place.problem(&changed(change)).await.to_string();
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn a_file_of_accounts_that_is_none_is_named() {
    let place = Place::new();
    let cases: [(usize, &str); 3] = [
        (15, "the data of an account is larger than Solana's limit"),
        (10, "the data of an account reaches beyond the end"),
        (96, "whether an account is executable"),
    ];
    for (at, expected) in cases {
        for bank_last in [false, true] {
            let mut snapshot = snapshot();
            snapshot.bank_last = bank_last;
            let mut entries = snapshot.entries();
            let entry = entries.iter_mut().find(|(name, _)| name == "accounts/9.31").unwrap();
            entry.1[at] = 2;
            let problem = place.problem(&simulator_testkit::snapshot::archive(&entries)).await;
            assert!(
                matches!(&problem, SnapshotProblem::Malformed { entry, offset: 0, .. } if entry == "accounts/9.31"),
                "{problem:?}"
            );
            assert!(problem.to_string().contains(expected), "{problem}");
        }
    }
}

/// Cut at every block and a few odd places, the archive is never taken.
#[tokio::test]
async fn an_archive_that_ends_early_is_refused() {
    let place = Place::new();
    let tar = snapshot().tar();
    let end = tar.len() - 1024;
    for length in (0..end).step_by(512).chain([1, 511, 1300, end - 1]) {
        let problem = place.problem(&tar[..length]).await;
        assert!(
            matches!(problem, SnapshotProblem::Truncated { .. }),
            "{length}: {problem:?}"
        );
    }
    let packed = zstd::encode_all(&*tar, 1).unwrap();
    let path = place.path().join("cut.tar.zst");
    for length in [0, 3, packed.len() / 2, packed.len() - 1] {
        std::fs::write(&path, &packed[..length]).unwrap();
        let error = place.import_into(&path, in_memory()).await.unwrap_err();
        assert!(matches!(error, ImportError::Snapshot { .. }), "{length}: {error:?}");
    }
}

/// Sizes that no disk holds, behind a few kilobytes: refused at once, and nothing is allocated on their word.
#[tokio::test]
async fn sizes_that_are_not_true_are_refused() {
    let place = Place::new();
    let mut huge = snapshot().tar();
    huge[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    huge[148..156].copy_from_slice(b"        ");
    let sum: u32 = huge[..512].iter().map(|byte| u32::from(*byte)).sum();
    huge[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    assert!(matches!(place.problem(&huge).await, SnapshotProblem::Tar { .. }));

    // Lists of the bank that are longer than all there is: blockhashes, and ancestors.
    for at in [41, 169] {
        let tar = changed(|entries| entries[2].1[at..at + 8].copy_from_slice(&(u64::MAX / 3).to_le_bytes()));
        let problem = place.problem(&tar).await;
        assert!(
            matches!(
                problem,
                SnapshotProblem::Malformed {
                    what: "a list is longer than what is left",
                    ..
                }
            ),
            "{at}: {problem:?}"
        );
    }

    // A name of a gigabyte of zeros takes a few kilobytes when compressed.
    let mut bomb = snapshot().tar()[..512].to_vec();
    bomb[156] = b'L';
    bomb[124..135].copy_from_slice(b"10000000000");
    bomb[148..156].copy_from_slice(b"        ");
    let sum: u32 = bomb.iter().map(|byte| u32::from(*byte)).sum();
    bomb[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    bomb.resize(1 << 20, 0);
    assert!(matches!(
        place.problem(&bomb).await,
        SnapshotProblem::Tar {
            what: "a name is too long",
            ..
        }
    ));
}

/// Bytes that were changed anywhere give an error or the right accounts, and never a panic.
#[tokio::test]
async fn changed_bytes_do_no_harm() {
    let place = Place::new();
    let path = place.path().join("a.tar");
    let tar = snapshot().tar();
    for seed in 0..300 {
        let mut seeded = Seeded::new(seed);
        let mut changed = tar.clone();
        for _ in 0..=seeded.below(4) {
            let at = seeded.below(changed.len() as u64) as usize;
            changed[at] = seeded.number() as u8;
        }
        std::fs::write(&path, &changed).unwrap();
        let location = in_memory();
        match place.import_into(&path, location.clone()).await {
            Err(ImportError::Snapshot { .. } | ImportError::NotParent { .. } | ImportError::OtherCluster { .. }) => {}
            Err(error) => panic!("seed {seed}: {error:?}"),
            Ok(_) => {
                let found = read_accounts(&Archive::open_at(location).await.unwrap()).await.unwrap();
                let same = |(a, b): (&(Pubkey, Account), &(Pubkey, Account))| {
                    let rent_epoch = a.1.rent_epoch;
                    *a == (
                        b.0,
                        Account {
                            rent_epoch,
                            ..b.1.clone()
                        },
                    )
                };
                assert!(
                    found.len() == 9 && found.iter().zip(&accounts()).all(same),
                    "seed {seed}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { Place::new().problem(&bytes).await });
    }
}

/// The list of accounts and the snapshot beside it are the same state.
#[tokio::test]
async fn a_list_and_a_snapshot_give_the_same_archive() {
    for name in ["agave-small", "agave-perf", "agave-full"] {
        let Some(directory) = shared_ledger_or_skip(name) else {
            continue;
        };
        let options = ImportOptions {
            sort_memory: 1 << 20,
            ..ImportOptions::default()
        };
        let listed = in_memory();
        let from_list = ledger::import_into(&directory, listed.clone(), options.clone(), |_| ())
            .await
            .unwrap();
        let entries = std::fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let is_snapshot = |path: &PathBuf| path.to_string_lossy().ends_with(".tar.zst");
        let files = Files {
            snapshot: entries.into_iter().find(is_snapshot),
            blocks: BlockFiles::Lines(vec![directory.join("blocks.jsonl.gz")]),
        };
        let streamed = in_memory();
        let mut last = None;
        let from_snapshot = files::import_into(files, streamed.clone(), options, |progress| last = Some(progress))
            .await
            .unwrap();
        assert_eq!(from_snapshot.segments, from_list.segments, "{name}");
        assert_eq!(from_snapshot.scope_evidence, from_list.scope_evidence, "{name}");
        assert_eq!(from_snapshot.scope, Scope::All, "{name}");
        check_bank(&from_snapshot, &directory, name);
        let last = last.unwrap();
        assert_eq!(last.bytes_read, last.bytes_total);
        let archive = Archive::open_at(streamed).await.unwrap();
        assert!(verify(&archive, |_| ()).await.is_intact());
    }
}

/// The accounts that the transactions of one address touch, with what belongs to them.
#[tokio::test]
async fn a_scope_keeps_what_its_transactions_touch() {
    let place = Place::new();
    let mut snapshot = snapshot();
    let program = Pubkey::new_from_array([40; 32]);
    let code = Pubkey::find_program_address(&[program.as_ref()], &solana_sdk_ids::bpf_loader_upgradeable::ID).0;
    let account = |address, owner| AccountRecord {
        address,
        owner,
        ..records()[1].clone()
    };
    let kept = [
        account(program, key(1)),
        account(code, key(1)),
        // A lookup table, and an address that was loaded from it.
        account(key(60), key(1)),
        account(key(61), key(1)),
        account(key(90), solana_sdk_ids::sysvar::ID),
        account(key(91), solana_sdk_ids::feature::ID),
        account(key(92), solana_sdk_ids::native_loader::ID),
    ];
    let closed = account(key(93), solana_sdk_ids::sysvar::ID);
    snapshot
        .storages
        .push(Storage::new(1, 90, [&kept[..], &[closed]].concat()));
    snapshot.storages.push(Storage::new(3, 91, vec![removed(key(93))]));
    let path = snapshot.write(place.path()).unwrap();
    let seeds = Seeds {
        programs: [program].into(),
        ..Seeds::default()
    };
    let options = ImportOptions { seeds, ..options() };
    let location = in_memory();
    let mut last = None;
    let manifest = files::import_into(place.files(&path), location.clone(), options, |progress| {
        last = Some(progress);
    })
    .await
    .unwrap();
    let last = last.unwrap();
    assert_eq!(last.bytes_read, last.bytes_total);
    let (found, blocks) = read_all(location).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|(address, _)| address).collect();
    let mut expected: Vec<_> = kept
        .iter()
        .map(|record| record.address)
        .chain([key(1), key(2)])
        .collect();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(blocks, ledger_blocks()[..3]);
    let closure = manifest.closure.unwrap();
    assert_eq!(
        (manifest.scope, closure.programs),
        (Scope::Listed, vec![program.to_string()])
    );
    assert_eq!((closure.transactions, closure.undetermined_transactions), (3, 0));
    // Three static keys, a table and three loaded addresses, each with the place of its code.
    assert_eq!((closure.addresses, closure.found), (14, 6));
}

#[tokio::test]
async fn a_scope_that_nothing_touches_keeps_what_no_transaction_names() {
    let place = Place::new();
    let path = snapshot().write(place.path()).unwrap();
    let seeds = Seeds {
        accounts: [key(7)].into(),
        ..Seeds::default()
    };
    let options = ImportOptions { seeds, ..options() };
    let manifest = files::import_into(place.files(&path), in_memory(), options, |_| ())
        .await
        .unwrap();
    assert_eq!(manifest.accounts(10), 1);
    let closure = manifest.closure.unwrap();
    assert_eq!((closure.transactions, closure.addresses, closure.found), (0, 2, 1));
}

/// The bank's blockhashes are those of its sysvar, and its hash is the one that the next slot's record names.
fn check_bank(manifest: &Manifest, directory: &Path, name: &str) {
    let bank = manifest.bank.as_ref().unwrap();
    let list = simulator_testkit::accounts::read(&directory.join("accounts-start.jsonl.gz")).unwrap();
    let sysvar = &list[&solana_sdk_ids::sysvar::recent_blockhashes::ID].data;
    let count = u64::from_le_bytes(sysvar[..8].try_into().unwrap()) as usize;
    let listed = sysvar[8..].chunks_exact(40).take(count);
    let listed: Vec<_> = listed.map(|entry| bs58::encode(&entry[..32]).into_string()).collect();
    let queued = bank.blockhashes.iter().map(|recent| recent.blockhash.clone());
    assert!(
        listed.len() > 30 && queued.take(count).collect::<Vec<_>>() == listed,
        "{name}"
    );
    let clock = &list[&solana_sdk_ids::sysvar::clock::ID].data;
    assert_eq!(bank.slot.to_le_bytes(), clock[..8], "{name}");
    let epoch = u64::from_le_bytes(clock[16..24].try_into().unwrap());
    let stakes = bank.epoch_stakes.iter().find(|stakes| stakes.epoch == epoch).unwrap();
    let sum: u64 = stakes.vote_accounts.iter().map(|voter| voter.stake).sum();
    assert!(sum > 0 && sum == stakes.total_stake, "{name}: {stakes:?}");
    if name == "agave-full" {
        assert_eq!(bank.hash, "6dgqhDbNd2ta9UE87oAUy6eVtugW3e7ejs3Ctp5NQpfF");
    }
}
