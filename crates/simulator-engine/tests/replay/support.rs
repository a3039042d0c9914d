//! A ledger directory as the engine takes it: imported into an archive, and read back from there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use simulator_archive::Archive;
use simulator_archive::import::{ImportOptions, ScopeChoice, Seeds, ledger};
use simulator_archive::model::Slot;
use simulator_engine::{AccountBase, DecodedBlock, Replay, ReplayOptions, SlotReport, TransactionReport};
use simulator_testkit::accounts::{AccountDump, AccountRecord};
use simulator_testkit::{edit, paths, text};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_hash::Hash;
use solana_pubkey::Pubkey;

/// Everything of a ledger, in memory.
pub(crate) struct Loaded {
    pub(crate) base: Arc<AccountBase>,
    pub(crate) blocks: Vec<Arc<DecodedBlock>>,
}

impl Loaded {
    pub(crate) fn from_ledger(directory: &Path) -> Self {
        Self::import(directory, ImportOptions::default())
    }

    /// The sample as a list of some accounts, of which others may be missing.
    pub(crate) fn listed_sample() -> Self {
        let options = ImportOptions {
            scope: ScopeChoice::Listed,
            ..ImportOptions::default()
        };
        Self::import(&paths::sample("agave-small"), options)
    }

    /// Those accounts of a ledger that the transactions with one program touch.
    pub(crate) fn scoped(directory: &Path, program: Pubkey) -> Self {
        let options = ImportOptions {
            seeds: Seeds {
                programs: [program].into(),
                ..Seeds::default()
            },
            ..ImportOptions::default()
        };
        Self::import(directory, options)
    }

    fn import(directory: &Path, options: ImportOptions) -> Self {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime without drivers can always be built")
            .block_on(load(directory, options))
    }

    pub(crate) fn sample() -> Self {
        Self::from_ledger(&paths::sample("agave-small"))
    }

    /// The sample after a change to a copy of it.
    pub(crate) fn edited_sample(edit: impl FnOnce(&Path)) -> Self {
        Self::edited(edit, ImportOptions::default())
    }

    /// The sample after a change to a copy of it, said to hold every account whether it does or not.
    pub(crate) fn edited_sample_said_to_be_complete(edit: impl FnOnce(&Path)) -> Self {
        let options = ImportOptions {
            scope: ScopeChoice::All,
            ..ImportOptions::default()
        };
        Self::edited(edit, options)
    }

    fn edited(edit: impl FnOnce(&Path), options: ImportOptions) -> Self {
        let copy = tempfile::tempdir().expect("a temporary directory");
        edit::copy(&paths::sample("agave-small"), copy.path()).expect("the sample can be copied");
        edit(copy.path());
        Self::import(copy.path(), options)
    }

    pub(crate) fn replay(&self) -> Replay {
        self.replay_with(ReplayOptions::default())
    }

    pub(crate) fn replay_with(&self, options: ReplayOptions) -> Replay {
        Replay::new(Arc::clone(&self.base), options).expect("the ledger can be replayed")
    }
}

async fn load(directory: &Path, options: ImportOptions) -> Loaded {
    let out = tempfile::tempdir().expect("a temporary directory");
    let location = out.path().to_str().expect("temporary paths are text").to_owned();
    ledger::import(directory, &location, options, |_| ())
        .await
        .expect("the ledger is sound");
    let archive = Archive::open(&location).await.expect("it has just been written");
    let (_, reader) = archive
        .accounts_at(archive.manifest().first_slot)
        .expect("there is a keyframe");
    let accounts = reader.all().await.expect("the archive is sound");
    let mut reader = archive.blocks(0..=Slot::MAX);
    let mut blocks = Vec::new();
    while let Some(block) = reader.next().await.expect("the archive is sound") {
        blocks.push(Arc::new(
            DecodedBlock::decode(block).expect("recorded transactions can be decoded"),
        ));
    }
    Loaded {
        base: Arc::new(AccountBase::from_accounts(accounts, archive.manifest().scope)),
        blocks,
    }
}

/// Opens a block's slot and executes it to its end, leaving the slot open.
pub(crate) fn execute_block(replay: &mut Replay, block: &Arc<DecodedBlock>) -> Vec<TransactionReport> {
    replay
        .open_slot(Arc::clone(block))
        .expect("the block follows the last one");
    let mut reports = Vec::new();
    while let Some(batch) = replay.execute_batch().expect("a slot is open") {
        reports.extend(batch);
    }
    reports
}

/// Executes a whole slot.
pub(crate) fn execute_slot(replay: &mut Replay, block: &Arc<DecodedBlock>) -> (Vec<TransactionReport>, SlotReport) {
    let reports = execute_block(replay, block);
    (reports, replay.close_slot().expect("every batch has been executed"))
}

/// Executes blocks one after the other.
pub(crate) fn execute_all(replay: &mut Replay, blocks: &[Arc<DecodedBlock>]) {
    for block in blocks {
        execute_slot(replay, block);
    }
}

/// Every account as it stands now.
pub(crate) fn dump(replay: &Replay) -> AccountDump {
    let accounts = replay.accounts_after(None, usize::MAX).into_iter();
    accounts
        .map(|(address, account)| (address, record(address, &account)))
        .collect()
}

/// An account in the form of ledgers.
pub(crate) fn record(address: Pubkey, account: &AccountSharedData) -> AccountRecord {
    AccountRecord {
        address,
        lamports: account.lamports(),
        owner: *account.owner(),
        executable: account.executable(),
        rent_epoch: account.rent_epoch(),
        data: account.data().to_vec(),
    }
}

/// The true bank hash of each slot, from the recording validator.
pub(crate) fn true_bank_hashes(directory: &Path) -> BTreeMap<Slot, Hash> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line {
        slot: Slot,
        bank_hash: String,
    }
    let path = directory.join("slot-hashes.jsonl");
    text::lines(&path)
        .expect("the ledger says what its bank hashes are")
        .map(|line| {
            line.and_then(|line| line.parse::<Line>(&path))
                .expect("the file is sound")
        })
        .map(|line| (line.slot, line.bank_hash.parse().expect("a hash in base58")))
        .collect()
}
