use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use solana_pubkey::Pubkey;

use crate::accounts::AccountRecord;
use crate::text::{self, FileError, Packing, Writer};

const ACCOUNTS: &str = "accounts-start.jsonl";
const BLOCKS: &str = "blocks.jsonl";

/// Why a ledger could not be changed as asked. The files are then as they were.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The state at the start does not hold this account.
    #[error("the ledger holds no account {0}")]
    NoAccount(Pubkey),
    /// No block has this slot.
    #[error("the ledger holds no block of slot {0}")]
    NoBlock(u64),
}

/// Takes an account out of the state at the start.
pub fn drop_account(ledger: &Path, address: &Pubkey) -> Result<(), EditError> {
    change_account(ledger, address, |_| None)
}

/// Changes the balance of an account in the state at the start.
pub fn set_lamports(ledger: &Path, address: &Pubkey, lamports: u64) -> Result<(), EditError> {
    edit_account(ledger, address, |record| record.lamports = lamports)
}

/// Changes an account in the state at the start.
pub fn edit_account(ledger: &Path, address: &Pubkey, edit: impl FnOnce(&mut AccountRecord)) -> Result<(), EditError> {
    change_account(ledger, address, |mut record| {
        edit(&mut record);
        Some(record)
    })
}

/// Takes a block out.
pub fn drop_block(ledger: &Path, slot: u64) -> Result<(), EditError> {
    change_block(ledger, slot, |_| None)
}

/// Changes a block, as `getBlock` returns it.
pub fn edit_block(ledger: &Path, slot: u64, edit: impl FnOnce(&mut Value)) -> Result<(), EditError> {
    change_block(ledger, slot, |mut block| {
        edit(&mut block);
        Some(block)
    })
}

/// Puts the blocks of two slots in each other's place, unchanged.
pub fn swap_blocks(ledger: &Path, slots: [u64; 2]) -> Result<(), EditError> {
    let [first, second] = [block(ledger, slots[0])?, block(ledger, slots[1])?];
    rewrite(ledger, BLOCKS, |line: Value| {
        Some(match slot_of(&line) {
            Some(slot) if slot == slots[0] => second.clone(),
            Some(slot) if slot == slots[1] => first.clone(),
            _ => line,
        })
    })?;
    Ok(())
}

/// Cuts the transaction at `index` of a block in half: still base64, but it does not decode.
///
/// # Panics
/// When the block has no such transaction.
pub fn corrupt_transaction(ledger: &Path, slot: u64, index: usize) -> Result<(), EditError> {
    edit_block(ledger, slot, |block| {
        let transaction = &mut block["transactions"][index]["transaction"];
        let wire = transaction[0]
            .as_str()
            .and_then(|text| BASE64_STANDARD.decode(text).ok());
        let wire = wire.expect("the test names a transaction in base64");
        *transaction = json!([BASE64_STANDARD.encode(&wire[..wire.len() / 2]), "base64"]);
    })
}

/// Makes every outcome unknown: each `meta` becomes null.
pub fn forget_outcomes(ledger: &Path) -> Result<(), EditError> {
    rewrite(ledger, BLOCKS, |mut block: Value| {
        let transactions = block["transactions"].as_array_mut().into_iter().flatten();
        transactions.for_each(|transaction| transaction["meta"] = Value::Null);
        Some(block)
    })?;
    Ok(())
}

fn change_account(
    ledger: &Path,
    address: &Pubkey,
    change: impl FnOnce(AccountRecord) -> Option<AccountRecord>,
) -> Result<(), EditError> {
    change_one(
        ledger,
        ACCOUNTS,
        |record: &AccountRecord| record.address == *address,
        change,
    )?
    .ok_or(EditError::NoAccount(*address))
}

fn change_block(ledger: &Path, slot: u64, change: impl FnOnce(Value) -> Option<Value>) -> Result<(), EditError> {
    change_one(ledger, BLOCKS, |block| slot_of(block) == Some(slot), change)?.ok_or(EditError::NoBlock(slot))
}

fn block(ledger: &Path, slot: u64) -> Result<Value, EditError> {
    let path = text::find(ledger, BLOCKS)?;
    for line in text::lines(&path)? {
        let block = line?.parse(&path)?;
        if slot_of(&block) == Some(slot) {
            return Ok(block);
        }
    }
    Err(EditError::NoBlock(slot))
}

fn slot_of(block: &Value) -> Option<u64> {
    block["slot"].as_u64()
}

/// Changes the first line that is `wanted`; `None` when there is none.
fn change_one<T: Serialize + DeserializeOwned>(
    ledger: &Path,
    name: &str,
    wanted: impl Fn(&T) -> bool,
    change: impl FnOnce(T) -> Option<T>,
) -> Result<Option<()>, FileError> {
    let mut change = Some(change);
    rewrite(ledger, name, |value| match change.take_if(|_| wanted(&value)) {
        Some(change) => change(value),
        None => Some(value),
    })?;
    Ok(change.is_none().then_some(()))
}

/// Rewrites a file line by line, leaving out what becomes `None`.
fn rewrite<T: Serialize + DeserializeOwned>(
    ledger: &Path,
    name: &str,
    mut change: impl FnMut(T) -> Option<T>,
) -> Result<(), FileError> {
    let path = text::find(ledger, name)?;
    let temporary = path.with_extension("tmp");
    let mut writer = Writer::packed(&temporary, Packing::of(&path))?;
    for line in text::lines(&path)? {
        if let Some(changed) = change(line?.parse(&path)?) {
            writer.json(&changed)?;
        }
    }
    writer.finish()?;
    fs::rename(&temporary, &path).map_err(FileError::io(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{LedgerOptions, Outcomes, generate};
    use crate::{accounts, edit};

    fn ledger(folder: &Path) -> Pubkey {
        let options = LedgerOptions {
            outcomes: Outcomes::Recorded,
            packing: Packing::Gzip,
            ..LedgerOptions::default()
        };
        *generate(folder, &options).unwrap().balances.keys().next().unwrap()
    }

    fn blocks(folder: &Path) -> Vec<Value> {
        let path = text::find(folder, BLOCKS).unwrap();
        text::lines(&path)
            .unwrap()
            .map(|line| line.unwrap().parse(&path).unwrap())
            .collect()
    }

    #[test]
    fn accounts_change_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let address = ledger(folder.path());
        let read = || accounts::read(&text::find(folder.path(), ACCOUNTS).unwrap()).unwrap();
        let before = read();

        set_lamports(folder.path(), &address, 77).unwrap();
        let found = accounts::compare(&before, &read());
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("lamports 77"));

        drop_account(folder.path(), &address).unwrap();
        assert_eq!(
            accounts::compare(&before, &read()),
            [accounts::Difference::Missing { address }]
        );
        assert!(matches!(
            drop_account(folder.path(), &address),
            Err(EditError::NoAccount(_))
        ));
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "no temporary file stays"
        );
    }

    #[test]
    fn blocks_change_place_and_go() {
        let folder = tempfile::tempdir().unwrap();
        ledger(folder.path());
        let before = blocks(folder.path());

        swap_blocks(folder.path(), [1001, 1002]).unwrap();
        let swapped = blocks(folder.path());
        assert_eq!((&swapped[1], &swapped[2]), (&before[2], &before[1]));

        drop_block(folder.path(), 1002).unwrap();
        assert_eq!(blocks(folder.path()).len(), before.len() - 1);
        assert!(matches!(
            swap_blocks(folder.path(), [1001, 1002]),
            Err(EditError::NoBlock(1002))
        ));
    }

    #[test]
    fn a_corrupted_transaction_does_not_decode_and_its_neighbour_does() {
        let folder = tempfile::tempdir().unwrap();
        ledger(folder.path());
        corrupt_transaction(folder.path(), 1003, 1).unwrap();
        let block = &blocks(folder.path())[3];
        let decodes = |index: usize| {
            let text = block["transactions"][index]["transaction"][0].as_str().unwrap();
            let wire = BASE64_STANDARD.decode(text).unwrap();
            wincode::deserialize::<solana_transaction::versioned::VersionedTransaction>(&wire).is_ok()
        };
        assert_eq!([0, 1, 2].map(decodes), [true, false, true]);
    }

    #[test]
    fn outcomes_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let copied = folder.path().join("copied");
        edit::copy(&crate::paths::sample("agave-small"), &copied).unwrap();
        forget_outcomes(&copied).unwrap();
        let blocks = blocks(&copied);
        let mut transactions = blocks
            .iter()
            .flat_map(|block| block["transactions"].as_array().unwrap());
        assert_eq!(blocks.len(), 21);
        assert!(transactions.all(|transaction| transaction["meta"].is_null()));
    }
}
