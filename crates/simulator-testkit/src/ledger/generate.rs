use std::collections::BTreeMap;
use std::path::Path;

use solana_pubkey::Pubkey;

use super::LedgerOptions;
use super::block::BlockLine;
use super::chain::{self, Place};
use super::start::{self, Leader};
use super::wallets::{Transfer, WalletEmpty, Wallets};
use crate::accounts;
use crate::text::{FileError, Writer};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The slot of the first block.
    pub first_slot: u64,
    /// The slot of the last block.
    pub last_slot: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of transactions, all of which succeed.
    pub transactions: u64,
    /// What each wallet and the leader hold after the last block, in lamports.
    pub balances: BTreeMap<Pubkey, u64>,
}

/// Why no ledger was made.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The options leave no block.
    #[error("no block: `slots` is 0, or every slot is skipped")]
    NoBlock,
    /// The options name slot 0 as the first.
    #[error("`start_slot` is 0, and the genesis slot has no state before it")]
    Genesis,
    /// The options leave nobody to pay or to be paid.
    #[error("`wallets` is {wallets}, and a transfer takes two")]
    Wallets {
        /// The number that was asked for.
        wallets: u64,
    },
    /// The options give the wallets too little.
    #[error(transparent)]
    Empty(#[from] WalletEmpty),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Writes a ledger directory, creating it where it is missing. Needs memory for the accounts and one block.
pub fn generate(directory: &Path, options: &LedgerOptions) -> Result<Ledger, LedgerError> {
    let places = check(options)?;
    std::fs::create_dir_all(directory).map_err(FileError::io(directory))?;
    let file = |name: &str| directory.join(format!("{name}{}", options.packing.suffix()));

    let scene = Scene {
        options,
        wallets: Wallets::new(options),
        leader: Leader::new(options.seed),
    };
    accounts::write(&file("accounts-start.jsonl"), scene.accounts()?.values())?;
    scene.blocks(&file("blocks.jsonl"), places)
}

fn check(options: &LedgerOptions) -> Result<impl Iterator<Item = Place> + use<>, LedgerError> {
    if options.start_slot == 0 {
        return Err(LedgerError::Genesis);
    }
    if options.transactions_per_block > 0 && options.wallets < 2 {
        return Err(LedgerError::Wallets {
            wallets: options.wallets,
        });
    }
    let mut places = chain::places(options).peekable();
    places.peek().ok_or(LedgerError::NoBlock)?;
    Ok(places)
}

/// Everybody who takes part.
struct Scene<'a> {
    options: &'a LedgerOptions,
    wallets: Wallets,
    leader: Leader,
}

impl Scene<'_> {
    fn accounts(&self) -> Result<accounts::AccountDump, FileError> {
        start::accounts(self.options, &self.leader, &self.wallets.balances())
    }

    fn blocks(mut self, path: &Path, places: impl Iterator<Item = Place>) -> Result<Ledger, LedgerError> {
        let first_slot = self.options.start_slot;
        let mut made = Ledger {
            first_slot,
            last_slot: first_slot,
            blocks: 0,
            transactions: 0,
            balances: BTreeMap::new(),
        };
        let mut writer = Writer::create(path)?;
        for place in places {
            let transfers = self.transfers(place)?;
            writer.json(&BlockLine::new(self.options, place, &transfers, &mut self.leader))?;
            made.last_slot = place.slot;
            made.blocks += 1;
            made.transactions += transfers.len() as u64;
        }
        writer.finish()?;
        made.balances = self.wallets.balances();
        made.balances.insert(self.leader.address, self.leader.lamports);
        Ok(made)
    }

    fn transfers(&mut self, place: Place) -> Result<Vec<Transfer>, WalletEmpty> {
        let count = if place.empty {
            0
        } else {
            self.options.transactions_per_block
        };
        let parent = chain::blockhash(self.options.seed, place.parent_slot);
        self.wallets.transfers(place.slot, count, &parent).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use serde_json::Value;

    use super::*;
    use crate::ledger::Outcomes;
    use crate::text::{self, Packing};

    fn blocks(directory: &Path) -> Vec<Value> {
        let path = text::find(directory, "blocks.jsonl").unwrap();
        text::lines(&path)
            .unwrap()
            .map(|line| line.unwrap().parse(&path).unwrap())
            .collect()
    }

    #[test]
    fn blocks_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let options = LedgerOptions {
            slots: 20,
            skip_every: NonZeroU64::new(5),
            empty_every: NonZeroU64::new(4),
            packing: Packing::Zstd,
            ..LedgerOptions::default()
        };
        let made = generate(folder.path(), &options).unwrap();
        let blocks = blocks(folder.path());

        assert_eq!((made.first_slot, made.last_slot, made.blocks), (1000, 1018, 16));
        assert_eq!(blocks.len(), 16);
        assert_eq!(made.transactions, 12 * 4);
        for pair in blocks.windows(2) {
            assert_eq!(pair[1]["parentSlot"], pair[0]["slot"]);
            assert_eq!(pair[1]["previousBlockhash"], pair[0]["blockhash"]);
        }
        assert_eq!(blocks[3]["transactions"].as_array().unwrap().len(), 0);
        assert_eq!(blocks[3]["rewards"].as_array().unwrap().len(), 0);
        assert!(blocks[0]["transactions"][0]["meta"].is_null());
    }

    #[test]
    fn lamports_are_paid_or_burnt() {
        let folder = tempfile::tempdir().unwrap();
        let options = LedgerOptions {
            outcomes: Outcomes::Recorded,
            ..LedgerOptions::default()
        };
        let made = generate(folder.path(), &options).unwrap();
        let start = accounts::read(&folder.path().join("accounts-start.jsonl")).unwrap();

        let before: u64 = made.balances.keys().map(|address| start[address].lamports).sum();
        let after: u64 = made.balances.values().sum();
        assert_eq!(before - after, made.transactions * 2500);
        let meta = &blocks(folder.path())[0]["transactions"][0]["meta"];
        assert_eq!(meta["fee"], 5000);
        assert_eq!(meta["preBalances"][2], 1);
    }

    #[test]
    fn the_same_options_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let options = LedgerOptions {
            packing: Packing::Gzip,
            ..LedgerOptions::default()
        };
        let bytes = |name: &str, options: &LedgerOptions| {
            let directory = folder.path().join(name);
            generate(&directory, options).unwrap();
            ["accounts-start.jsonl.gz", "blocks.jsonl.gz"].map(|file| std::fs::read(directory.join(file)).unwrap())
        };
        let one = bytes("one", &options);
        assert_eq!(one, bytes("two", &options));
        assert_ne!(one, bytes("three", &LedgerOptions { seed: 2, ..options }));
    }

    #[test]
    fn options_that_cannot_be_met_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |options: LedgerOptions| generate(folder.path(), &options).unwrap_err().to_string();
        let default = LedgerOptions::default;
        assert!(refused(LedgerOptions { slots: 0, ..default() }).contains("no block"));
        assert!(
            refused(LedgerOptions {
                skip_every: NonZeroU64::new(1),
                ..default()
            })
            .contains("no block")
        );
        assert!(
            refused(LedgerOptions {
                start_slot: 0,
                ..default()
            })
            .contains("start_slot")
        );
        assert!(
            refused(LedgerOptions {
                wallets: 1,
                ..default()
            })
            .contains("takes two")
        );
        assert!(
            refused(LedgerOptions {
                wallet_lamports: 1,
                ..default()
            })
            .contains("wallet_lamports")
        );
    }
}
