//! The importer for CAR files: what it takes, and how it refuses the rest.

use std::path::PathBuf;

use crate::support::car::CarFile;
use crate::support::{SMALL, block, hash, in_memory, key, ledger_blocks, read_blocks};
use proptest::prelude::*;
use simulator_archive::import::files::{self, BlockFiles, Files};
use simulator_archive::import::{CarProblem, ChainProblem, ImportError, ImportOptions, ScopeChoice};
use simulator_archive::model::{Block, LoadedAddresses};
use simulator_archive::{Archive, Importer, Manifest, Scope, verify};
use simulator_testkit::accounts::AccountRecord;
use simulator_testkit::paths::shared_ledger_or_skip;
use simulator_testkit::seeded::Seeded;
use simulator_testkit::snapshot::Snapshot;
use solana_hash::Hash;

/// The blocks without their last, which follows a hole.
fn blocks() -> Vec<Block> {
    ledger_blocks().into_iter().take(3).collect()
}

/// What comes back: CAR files do not name the parent's blockhash, and cannot say that token balances are unknown.
fn imported(blocks: Vec<Block>, before: Hash) -> Vec<Block> {
    let mut blocks = blocks;
    blocks[0].previous_blockhash = before;
    for transaction in blocks.iter_mut().flat_map(|block| &mut block.transactions) {
        if let Some(outcome) = &mut transaction.outcome {
            outcome.pre_token_balances.get_or_insert_default();
            outcome.post_token_balances.get_or_insert_default();
            outcome.loaded_addresses.get_or_insert(LoadedAddresses::default());
        }
    }
    blocks
}

async fn import_files(
    cars: &[Vec<u8>],
    snapshot: Option<Snapshot>,
    options: ImportOptions,
) -> Result<(Manifest, Vec<Block>), ImportError> {
    let directory = tempfile::tempdir().unwrap();
    let path = |index: usize| directory.path().join(format!("{index}.car"));
    let mut paths = Vec::new();
    for (index, car) in cars.iter().enumerate() {
        std::fs::write(path(index), car).unwrap();
        paths.push(path(index));
    }
    let files = Files {
        snapshot: snapshot.map(|snapshot| snapshot.write(directory.path()).unwrap()),
        blocks: BlockFiles::Car(paths),
    };
    let location = in_memory();
    let manifest = files::import_into(files, location.clone(), options, |_| ()).await?;
    let archive = Archive::open_at(location).await.unwrap();
    assert!(verify(&archive, |_| ()).await.is_intact());
    Ok((manifest, read_blocks(&archive).await.unwrap()))
}

fn options() -> ImportOptions {
    ImportOptions {
        limits: SMALL,
        ..ImportOptions::default()
    }
}

async fn problem(car: Vec<u8>) -> CarProblem {
    match import_files(&[car], None, options()).await {
        Err(ImportError::Car { file, source, .. }) if file == "0.car" => *source,
        result => panic!("{result:?}"),
    }
}

#[tokio::test]
async fn takes_every_field_in_any_pieces() {
    for piece in [7, 100, 1 << 20] {
        let (manifest, found) = import_files(&[CarFile::of(&blocks(), piece)], None, options())
            .await
            .unwrap();
        assert_eq!(found, imported(blocks(), Hash::default()), "{piece}");
        assert_eq!((manifest.scope, manifest.accounts(10)), (Scope::Listed, 0));
        assert_eq!(manifest.sources[0].importer, Importer::Car);
    }
}

#[tokio::test]
async fn goes_on_from_file_to_file_and_from_a_snapshot() {
    let account = AccountRecord {
        address: key(1),
        lamports: 1,
        owner: key(2),
        executable: false,
        rent_epoch: 0,
        data: vec![1, 2, 3],
    };
    let snapshot = Snapshot::new(9, hash(9), vec![account]);
    let cars = [CarFile::of(&blocks()[..1], 50), CarFile::of(&blocks()[1..], 50)];
    let (manifest, found) = import_files(&cars, Some(snapshot), options()).await.unwrap();
    assert_eq!(found, imported(blocks(), hash(9)));
    assert_eq!(manifest.accounts(10), 1);
    let names: Vec<_> = manifest.sources[1]
        .files
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    assert_eq!(names, ["0.car", "1.car"]);

    let cars = [CarFile::of(&blocks()[1..], 50), CarFile::of(&blocks()[..1], 50)];
    let error = import_files(&cars, None, options()).await.unwrap_err();
    assert!(matches!(error, ImportError::Car { file, .. } if file == "1.car"));
}

#[tokio::test]
async fn a_hole_is_refused_unless_it_is_asked_for() {
    let all = CarFile::of(&ledger_blocks(), 100);
    let error = problem(all.clone()).await;
    let hole = ChainProblem::MissingBlocks {
        slot: 20,
        parent: 19,
        previous: 13,
    };
    assert!(
        matches!(&error, CarProblem::Chain(problem) if *problem == hole),
        "{error:?}"
    );
    let options = ImportOptions {
        scope: ScopeChoice::Listed,
        ..options()
    };
    let (manifest, _) = import_files(&[all], None, options).await.unwrap();
    assert_eq!((manifest.blocks, manifest.coverage.gaps), (4, 1));
}

#[tokio::test]
async fn parts_that_are_missing_are_named() {
    let simple = block(10, 9);
    type Entry = fn(&mut CarFile) -> [u8; 36];
    let cases: [(Entry, &str); 3] = [
        (|_| [9; 36], "an entry is missing"),
        (|file| file.entry([1; 32], &[[8; 36]]), "a transaction is missing"),
        (|file| file.entry([1; 32], &[]), "its rewards is missing"),
    ];
    for (entry, expected) in cases {
        let mut file = CarFile::new(100);
        let rewards = [7; 36];
        let entry = entry(&mut file);
        let is_last = expected.contains("rewards");
        let rewards = if is_last { rewards } else { empty_rewards(&mut file) };
        file.block_node(&simple, &[entry], rewards);
        let text = problem(file.bytes).await.to_string();
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let mut file = CarFile::new(100);
    let rewards = empty_rewards(&mut file);
    file.block_node(&simple, &[], rewards);
    assert!(matches!(problem(file.bytes).await, CarProblem::NoEntries { slot: 10 }));
}

/// Rewards of slot 10 without any data.
fn empty_rewards(file: &mut CarFile) -> [u8; 36] {
    file.node(&[0x83, 5, 10, 0x86, 6, 0xf6, 0xf6, 0xf6, 0x40, 0x80])
}

#[tokio::test]
async fn damage_is_noticed_wherever_it_is() {
    let car = CarFile::of(&blocks(), 60);
    for seed in 0..200 {
        let mut seeded = Seeded::new(seed);
        let mut damaged = car.clone();
        let at = seeded.below(damaged.len() as u64) as usize;
        damaged[at] ^= 1 << seeded.below(8);
        match import_files(&[damaged], None, options()).await {
            Err(ImportError::Car { .. } | ImportError::NoBlocks { .. }) => {}
            // The roots in the head are not used.
            Ok((_, found)) if at < 20 => assert_eq!(found, imported(blocks(), Hash::default())),
            result => panic!("seed {seed}, byte {at}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_file_that_ends_early_is_refused() {
    let car = CarFile::of(&blocks()[..1], 60);
    for length in 0..car.len() {
        match import_files(&[car[..length].to_vec()], None, options()).await {
            Err(ImportError::Car { .. } | ImportError::NoBlocks { .. }) => {}
            result => panic!("{length}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn records_that_are_none_are_named() {
    let mut blocks = blocks();
    blocks[0].transactions[0].outcome.as_mut().unwrap().pre_balances.pop();
    let error = problem(CarFile::of(&blocks, 100)).await;
    assert!(
        matches!(error, CarProblem::Transaction { slot: 10, index: 0, .. }),
        "{error:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A node of arbitrary bytes, with the right identifier.
    #[test]
    fn arbitrary_nodes_are_refused(node in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut file = CarFile::new(100);
        file.node(&node);
        let result = runtime.block_on(import_files(&[file.bytes], None, options()));
        let is_refused = matches!(result, Err(ImportError::Car { .. } | ImportError::NoBlocks { .. }));
        prop_assert!(is_refused, "{:?}", result);
    }
}

/// The first slots of mainnet, as Old Faithful serves them.
#[tokio::test]
async fn first_slots_of_mainnet() {
    let Some(directory) = shared_ledger_or_skip("car-epoch0") else {
        return;
    };
    let cars: Vec<PathBuf> = (1..=3)
        .map(|part| directory.join(format!("epoch-0-{part}.car")))
        .collect();
    let location = in_memory();
    let files = Files {
        snapshot: None,
        blocks: BlockFiles::Car(cars),
    };
    let manifest = files::import_into(files, location.clone(), ImportOptions::default(), |_| ())
        .await
        .unwrap();
    assert_eq!((manifest.first_slot, manifest.last_slot, manifest.blocks), (0, 29, 30));
    assert_eq!((manifest.transactions, manifest.outcomes), (115, 0));
    assert_eq!(manifest.coverage.gaps, 0);
    let archive = Archive::open_at(location).await.unwrap();
    let blocks = read_blocks(&archive).await.unwrap();
    assert_eq!(
        blocks[29].blockhash.to_string(),
        "3DbiCSTi7igAWccktSJLTVZmYB4xP8N9dkhHhESgz9yf"
    );
    assert!(
        blocks
            .windows(2)
            .all(|pair| pair[0].blockhash == pair[1].previous_blockhash)
    );
}
