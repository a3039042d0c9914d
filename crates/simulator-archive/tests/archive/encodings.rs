//! Transactions in every encoding of `getBlock` that keeps their bytes.

use crate::support::json::{sample, write_ledger};
use crate::support::{in_memory, ledger_blocks, read_all};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator_archive::import::{ImportError, ImportOptions, LineError, TransactionProblem, ledger};
use simulator_archive::model::Block;
use solana_message::VersionedMessage;
use solana_transaction::versioned::VersionedTransaction;

/// The hand-made ledger with every transaction changed.
async fn import(change: impl Fn(&mut Value)) -> Result<Vec<Block>, ImportError> {
    let directory = tempfile::tempdir().unwrap();
    let (accounts, mut blocks) = sample();
    for block in &mut blocks {
        block["transactions"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(&change);
    }
    write_ledger(directory.path(), &accounts, &blocks);
    let location = in_memory();
    ledger::import_into(directory.path(), location.clone(), ImportOptions::default(), |_| ()).await?;
    Ok(read_all(location).await.unwrap().1)
}

fn wire(transaction: &Value) -> Vec<u8> {
    STANDARD
        .decode(transaction["transaction"][0].as_str().unwrap())
        .unwrap()
}

/// What `getBlock` returns for the encoding `json`.
fn in_parts(value: &mut Value) {
    let transaction: VersionedTransaction = wincode::deserialize(&wire(value)).unwrap();
    let message = &transaction.message;
    let header = message.header();
    let keys: Vec<_> = message.static_account_keys().iter().map(ToString::to_string).collect();
    let instruction = |instruction: &solana_message::compiled_instruction::CompiledInstruction| {
        json!({
            "programIdIndex": instruction.program_id_index,
            "accounts": instruction.accounts,
            "data": bs58::encode(&instruction.data).into_string(),
            "stackHeight": null,
        })
    };
    let mut parts = json!({
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": keys,
        "recentBlockhash": message.recent_blockhash().to_string(),
        "instructions": message.instructions().iter().map(instruction).collect::<Vec<_>>(),
    });
    value["version"] = "legacy".into();
    if let VersionedMessage::V0(message) = message {
        let lookups = message.address_table_lookups.iter().map(|lookup| {
            json!({
                "accountKey": lookup.account_key.to_string(),
                "writableIndexes": lookup.writable_indexes,
                "readonlyIndexes": lookup.readonly_indexes,
            })
        });
        parts["addressTableLookups"] = lookups.collect::<Vec<_>>().into();
        value["version"] = 0.into();
    }
    let signatures: Vec<_> = transaction.signatures.iter().map(ToString::to_string).collect();
    value["transaction"] = json!({ "signatures": signatures, "message": parts });
}

#[tokio::test]
async fn every_encoding_gives_the_same_bytes() {
    let base58 = |value: &mut Value| {
        let text = bs58::encode(wire(value)).into_string();
        value["transaction"] = json!([text, "base58"]);
    };
    let alone = |value: &mut Value| value["transaction"] = bs58::encode(wire(value)).into_string().into();
    let unversioned = |value: &mut Value| {
        in_parts(value);
        value.as_object_mut().unwrap().remove("version");
    };
    let expected = ledger_blocks();
    assert_eq!(import(|_| ()).await.unwrap(), expected);
    assert_eq!(import(base58).await.unwrap(), expected);
    assert_eq!(import(alone).await.unwrap(), expected);
    assert_eq!(import(in_parts).await.unwrap(), expected);
    assert_eq!(import(unversioned).await.unwrap(), expected);
}

#[tokio::test]
async fn parts_of_another_version_are_refused() {
    let newer = |value: &mut Value| {
        in_parts(value);
        value["version"] = 1.into();
    };
    let error = import(newer).await.unwrap_err();
    let ImportError::Line {
        source: LineError::Transaction { source, .. },
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(*source, TransactionProblem::Version);
}

/// `jsonParsed` has objects in the place of addresses, and programs' own words in the place of data.
#[tokio::test]
async fn parsed_instructions_are_refused_by_name() {
    let parsed = |value: &mut Value| {
        in_parts(value);
        value["transaction"]["message"]["accountKeys"][0] = json!({ "pubkey": "11111111111111111111111111111111" });
    };
    let error = import(parsed).await.unwrap_err();
    assert!(
        matches!(&error, ImportError::Line { source: LineError::Field { field, .. }, .. }
            if field == "transactions[0].transaction.message.accountKeys[0]"),
        "{error:?}"
    );
}
