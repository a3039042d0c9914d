//! What the validator recorded.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use simulator_testkit::accounts::{self, AccountDump};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_status::{EncodedTransactionWithStatusMeta, UiConfirmedBlock, UiTransactionStatusMeta};

pub(crate) struct Ledger {
    pub(crate) blocks: Vec<Block>,
    /// Every account after the last block.
    pub(crate) accounts: AccountDump,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Block {
    pub(crate) slot: u64,
    #[serde(flatten)]
    pub(crate) shown: UiConfirmedBlock,
}

/// One transaction of a block.
pub(crate) struct Recorded<'a> {
    pub(crate) slot: u64,
    pub(crate) block_time: Option<i64>,
    pub(crate) shown: &'a EncodedTransactionWithStatusMeta,
    pub(crate) transaction: VersionedTransaction,
}

impl Ledger {
    pub(crate) fn read(directory: &Path) -> Self {
        let mut text = String::new();
        let blocks = std::fs::File::open(directory.join("blocks.jsonl.gz")).unwrap();
        flate2::read::GzDecoder::new(blocks).read_to_string(&mut text).unwrap();
        Self {
            blocks: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            accounts: accounts::read(&directory.join("accounts-end.jsonl.gz")).unwrap(),
        }
    }

    pub(crate) fn first_slot(&self) -> u64 {
        self.blocks.first().unwrap().slot
    }

    pub(crate) fn last_slot(&self) -> u64 {
        self.blocks.last().unwrap().slot
    }

    pub(crate) fn slots(&self) -> Vec<u64> {
        self.blocks.iter().map(|block| block.slot).collect()
    }

    /// Every transaction, in the order of the chain.
    pub(crate) fn transactions(&self) -> impl DoubleEndedIterator<Item = Recorded<'_>> {
        self.blocks.iter().flat_map(Block::transactions)
    }
}

impl Block {
    pub(crate) fn transactions(&self) -> impl DoubleEndedIterator<Item = Recorded<'_>> {
        let transactions = self.shown.transactions.as_deref().unwrap_or_default();
        transactions.iter().map(|shown| Recorded {
            slot: self.slot,
            block_time: self.shown.block_time,
            transaction: shown.transaction.decode().unwrap(),
            shown,
        })
    }
}

impl Recorded<'_> {
    pub(crate) fn signature(&self) -> Signature {
        self.transaction.signatures[0]
    }

    pub(crate) fn meta(&self) -> &UiTransactionStatusMeta {
        self.shown.meta.as_ref().unwrap()
    }

    /// Static keys, then those loaded from lookup tables.
    pub(crate) fn keys(&self) -> Vec<Pubkey> {
        let loaded = self
            .meta()
            .loaded_addresses
            .clone()
            .map(|loaded| [loaded.writable, loaded.readonly].concat());
        let loaded: Vec<String> = loaded.unwrap_or_default();
        let loaded = loaded.into_iter().map(|key| key.parse().unwrap());
        let keys = self.transaction.message.static_account_keys();
        keys.iter().copied().chain(loaded).collect()
    }

    pub(crate) fn logs(&self) -> Vec<String> {
        Option::from(self.meta().log_messages.clone()).unwrap_or_default()
    }
}

/// JSON without what a session cannot know: the cost of a transaction in its block is not computed, and archives keep no
/// commission of rewards in basis points.
pub(crate) fn comparable(value: &impl serde::Serialize) -> serde_json::Value {
    let mut value = serde_json::to_value(value).unwrap();
    remove_costs(&mut value);
    value
}

fn remove_costs(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.remove("costUnits");
            map.remove("commissionBps");
            map.values_mut().for_each(remove_costs);
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(remove_costs),
        _ => {}
    }
}
