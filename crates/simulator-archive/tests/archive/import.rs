//! The importer for ledger directories: what it takes, and how it refuses the rest.

use std::error::Error as _;
use std::io::Write;
use std::path::Path;

use crate::support::json::{lines, sample, write_ledger};
use crate::support::{SMALL, accounts, in_memory, key, ledger_blocks, read_all};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator_archive::import::{
    ChainProblem, ImportError, ImportOptions, LineError, ScopeChoice, TransactionProblem, ledger,
};
use simulator_archive::{Archive, ArchiveError, Importer, LocationError, Manifest, Scope, verify};
use tempfile::TempDir;

fn options() -> ImportOptions {
    ImportOptions {
        limits: SMALL,
        sort_memory: 200,
        ..ImportOptions::default()
    }
}

async fn import(directory: &Path) -> Result<Manifest, ImportError> {
    ledger::import_into(directory, in_memory(), options(), |_| ()).await
}

/// A directory with the hand-made ledger, changed.
fn changed(change: impl FnOnce(&mut Vec<Value>, &mut Vec<Value>)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (mut accounts, mut blocks) = sample();
    change(&mut accounts, &mut blocks);
    write_ledger(directory.path(), &accounts, &blocks);
    directory
}

/// The error that a changed line of blocks.jsonl gives, and the number of the line.
async fn block_error(change: impl FnOnce(&mut Vec<Value>)) -> (u64, LineError) {
    let directory = changed(|_, blocks| change(blocks));
    match import(directory.path()).await {
        Err(ImportError::Line { file, line, source }) if file == "blocks.jsonl" => (line, source),
        result => panic!("{result:?}"),
    }
}

async fn account_error(change: impl FnOnce(&mut Vec<Value>)) -> ImportError {
    let directory = changed(|accounts, _| change(accounts));
    import(directory.path()).await.unwrap_err()
}

async fn transaction_problem(change: impl FnOnce(&mut Value)) -> TransactionProblem {
    let (line, error) = block_error(|blocks| change(&mut blocks[0]["transactions"][1])).await;
    match error {
        LineError::Transaction {
            slot: 10,
            index: 1,
            source,
        } if line == 1 => source,
        error => panic!("{error:?}"),
    }
}

/// The whole chain of messages of an error.
fn message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn takes_accounts_in_any_order_and_every_field() {
    let directory = changed(|accounts, _| accounts.reverse());
    let location = in_memory();
    let manifest = ledger::import_into(directory.path(), location.clone(), options(), |_| ())
        .await
        .unwrap();
    let (found_accounts, found_blocks) = read_all(location.clone()).await.unwrap();
    assert_eq!(found_accounts, accounts());
    assert_eq!(found_blocks, ledger_blocks());
    assert_eq!(manifest.sources[0].importer, Importer::Ledger);
    let archive = Archive::open_at(location).await.unwrap();
    assert!(verify(&archive, |_| ()).await.is_intact());
}

#[tokio::test]
async fn the_same_input_makes_the_same_archive() {
    let directory = changed(|_, _| ());
    let out = tempfile::tempdir().unwrap();
    let mut archives = Vec::new();
    for (name, sort_memory) in [("a", 1), ("b", 1 << 20)] {
        let out = out.path().join(name);
        let options = ImportOptions {
            sort_memory,
            ..options()
        };
        let manifest = ledger::import(directory.path(), out.to_str().unwrap(), options, |_| ())
            .await
            .unwrap();
        let mut files: Vec<_> = std::fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let files: Vec<_> = files
            .iter()
            .map(|path| (path.file_name().unwrap().to_owned(), std::fs::read(path).unwrap()))
            .collect();
        assert_eq!(files.len(), manifest.segments.len() + 1);
        archives.push(files);
    }
    assert!(archives[0] == archives[1]);
}

#[tokio::test]
async fn takes_compressed_files() {
    let plain = import(changed(|_, _| ()).path()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (accounts, blocks) = sample();
    let accounts = zstd::encode_all(&*lines(&accounts), 3).unwrap();
    std::fs::write(directory.path().join("accounts-start.jsonl.zst"), accounts).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(&lines(&blocks)).unwrap();
    let gz = gz.finish().unwrap();
    std::fs::write(directory.path().join("blocks.jsonl.gz"), &gz).unwrap();
    let manifest = import(directory.path()).await.unwrap();
    assert_eq!(manifest.segments, plain.segments);
    assert_eq!(manifest.sources[0].files[1].size, gz.len() as u64);

    std::fs::write(directory.path().join("blocks.jsonl.gz"), &gz[..gz.len() - 20]).unwrap();
    let error = import(directory.path()).await.unwrap_err();
    assert!(
        matches!(&error, ImportError::Read { file, .. } if file == "blocks.jsonl.gz"),
        "{error:?}"
    );
}

#[tokio::test]
async fn takes_what_solana_tools_write() {
    let directory = changed(|accounts, blocks| {
        let data = STANDARD
            .decode(accounts[6]["account"]["data"][0].as_str().unwrap())
            .unwrap();
        accounts[5]["account"]["data"] = json!([bs58::encode(data_of(&accounts[5])).into_string(), "base58"]);
        accounts[6]["account"]["data"] = json!([STANDARD.encode(zstd::encode_all(&*data, 0).unwrap()), "base64+zstd"]);
        accounts[7]["account"]["rentEpoch"] = json!(18_446_744_073_709_551_615.0);
        accounts[7]["account"].as_object_mut().unwrap().remove("space");
        accounts.push(json!({ "pubkey": key(77).to_string(), "account": {
            "lamports": 0, "data": ["", "base64"], "owner": key(1).to_string(), "executable": false, "rentEpoch": 0 } }));
        let wire = STANDARD
            .decode(blocks[1]["transactions"][0]["transaction"][0].as_str().unwrap())
            .unwrap();
        blocks[1]["transactions"][0]["transaction"] = json!([bs58::encode(wire).into_string(), "base58"]);
        blocks[2]["rewards"] = Value::Null;
        blocks[2]["aFieldOfTheFuture"] = json!({ "a": [1] });
    });
    let location = in_memory();
    ledger::import_into(directory.path(), location.clone(), options(), |_| ())
        .await
        .unwrap();
    let (found_accounts, found_blocks) = read_all(location).await.unwrap();
    assert_eq!(found_accounts, accounts());
    assert_eq!(found_blocks, ledger_blocks());
}

fn data_of(account: &Value) -> Vec<u8> {
    STANDARD
        .decode(account["account"]["data"][0].as_str().unwrap())
        .unwrap()
}

#[tokio::test]
async fn an_old_text_with_an_error_is_dropped() {
    let directory = changed(|_, blocks| {
        blocks[0]["transactions"][1]["meta"]["err"] = json!({ "InstructionError": [1, { "BorshIoError": "Unknown" }] });
    });
    let location = in_memory();
    ledger::import_into(directory.path(), location.clone(), options(), |_| ())
        .await
        .unwrap();
    let (_, blocks) = read_all(location).await.unwrap();
    let error = blocks[0].transactions[1]
        .outcome
        .as_ref()
        .unwrap()
        .status
        .clone()
        .unwrap_err();
    assert_eq!(
        serde_json::to_value(error).unwrap(),
        json!({ "InstructionError": [1, "BorshIoError"] })
    );
}

#[tokio::test]
async fn missing_files_are_named() {
    let directory = changed(|_, _| ());
    std::fs::remove_file(directory.path().join("accounts-start.jsonl")).unwrap();
    let error = import(directory.path()).await.unwrap_err();
    assert!(
        matches!(
            error,
            ImportError::MissingFile {
                file: "accounts-start.jsonl",
                ..
            }
        ),
        "{error:?}"
    );

    std::fs::write(directory.path().join("snapshot-9-abc.tar.zst"), "").unwrap();
    let error = import(directory.path()).await.unwrap_err();
    assert!(
        matches!(&error, ImportError::Snapshot { file, .. } if file == "snapshot-9-abc.tar.zst"),
        "{error:?}"
    );

    std::fs::remove_file(directory.path().join("blocks.jsonl")).unwrap();
    let error = import(directory.path()).await.unwrap_err();
    assert!(
        matches!(
            error,
            ImportError::MissingFile {
                file: "blocks.jsonl",
                ..
            }
        ),
        "{error:?}"
    );

    let error = import(&directory.path().join("nowhere")).await.unwrap_err();
    assert!(matches!(error, ImportError::Directory { .. }), "{error:?}");

    let directory = changed(|_, _| ());
    std::fs::write(directory.path().join("blocks.jsonl.gz"), "").unwrap();
    let error = import(directory.path()).await.unwrap_err();
    assert!(matches!(error, ImportError::AmbiguousFile { .. }), "{error:?}");
}

#[tokio::test]
async fn a_ledger_without_blocks_is_refused() {
    let directory = changed(|_, blocks| blocks.clear());
    assert!(matches!(import(directory.path()).await, Err(ImportError::NoBlocks { file }) if file == "blocks.jsonl"));
}

#[tokio::test]
async fn blocks_out_of_order_are_refused() {
    let (line, error) = block_error(|blocks| blocks.swap(1, 2)).await;
    assert!(
        matches!(
            error,
            LineError::Chain(ChainProblem::SlotOrder { slot: 12, previous: 13 })
        ) && line == 3,
        "{line} {error:?}"
    );
    let (line, error) = block_error(|blocks| blocks[1]["parentSlot"] = 9.into()).await;
    assert!(
        matches!(
            error,
            LineError::Chain(ChainProblem::Fork {
                slot: 12,
                parent: 9,
                previous: 10
            })
        ) && line == 2,
        "{error:?}"
    );
    let (_, error) = block_error(|blocks| blocks[1]["parentSlot"] = 12.into()).await;
    assert!(
        matches!(
            error,
            LineError::Chain(ChainProblem::ParentOrder { slot: 12, parent: 12 })
        ),
        "{error:?}"
    );
    let (line, error) = block_error(|blocks| blocks[2]["previousBlockhash"] = blocks[0]["blockhash"].clone()).await;
    assert!(
        matches!(
            error,
            LineError::Chain(ChainProblem::PreviousBlockhash { slot: 13, .. })
        ) && line == 3,
        "{error:?}"
    );
    let (line, error) = block_error(|blocks| drop(blocks[1].as_object_mut().unwrap().remove("slot"))).await;
    assert!(matches!(error, LineError::MissingSlot) && line == 2, "{error:?}");
}

#[tokio::test]
async fn a_line_that_does_not_parse_names_the_field() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 7] = [
        (|block| block["blockhash"] = "0OIl".into(), "blockhash"),
        (|block| block["blockTime"] = "noon".into(), "blockTime"),
        (
            |block| block["rewards"][2]["rewardType"] = "Tip".into(),
            "rewards[2].rewardType",
        ),
        (
            |block| block["transactions"][0]["transaction"] = json!({}),
            "transactions[0].transaction",
        ),
        (
            |block| block["transactions"][0]["meta"]["fee"] = (-1).into(),
            "transactions[0].meta.fee",
        ),
        (
            |block| block["transactions"][0]["meta"]["err"] = "Unheard".into(),
            "transactions[0].meta.err",
        ),
        (
            |block| block["transactions"][0]["meta"]["postTokenBalances"][0]["uiTokenAmount"]["amount"] = "1.5".into(),
            "transactions[0].meta.postTokenBalances[0].uiTokenAmount.amount",
        ),
    ];
    for (change, expected) in cases {
        let (line, error) = block_error(|blocks| change(&mut blocks[0])).await;
        assert!(
            matches!(&error, LineError::Field { field, .. } if field == expected),
            "{expected}: {error:?}"
        );
        assert_eq!(line, 1);
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn a_missing_field_is_named() {
    for field in ["blockhash", "previousBlockhash", "parentSlot", "transactions"] {
        let (line, error) = block_error(|blocks| drop(blocks[1].as_object_mut().unwrap().remove(field))).await;
        assert!(matches!(error, LineError::Shape(_)) && line == 2, "{error:?}");
        let text = message(&error);
        assert!(
            text.starts_with(&format!(
                "it is not what such a line should be: missing field `{field}`"
            )),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_line_that_is_not_json_is_named() {
    let directory = changed(|_, _| ());
    let path = directory.path().join("blocks.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap().replacen('\n', "\n\n", 1);
    text.push_str("{\"slot\": 21,");
    std::fs::write(&path, text).unwrap();
    let error = import(directory.path()).await.unwrap_err();
    assert!(
        message(&error).starts_with("blocks.jsonl, line 6: it is not JSON: EOF"),
        "{}",
        message(&error)
    );

    let directory = changed(|_, _| ());
    std::fs::write(directory.path().join("blocks.jsonl"), b"\xff\xfe{}\n").unwrap();
    let error = import(directory.path()).await.unwrap_err();
    assert!(
        matches!(
            error,
            ImportError::Line {
                line: 1,
                source: LineError::NotJson(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_transaction_that_does_not_decode_is_refused() {
    let problem = transaction_problem(|transaction| transaction["transaction"] = json!(["AB!?", "base64"])).await;
    assert_eq!(problem, TransactionProblem::Text { encoding: "base64" });
    let problem = transaction_problem(|transaction| transaction["transaction"] = json!(["0OIl", "base58"])).await;
    assert_eq!(problem, TransactionProblem::Text { encoding: "base58" });
    let problem = transaction_problem(|transaction| transaction["transaction"][1] = "hex".into()).await;
    assert_eq!(
        problem,
        TransactionProblem::Encoding {
            encoding: "hex".to_owned()
        }
    );
    let problem = transaction_problem(|transaction| transaction["transaction"][0] = "AQID".into()).await;
    assert_eq!(problem, TransactionProblem::Wire { size: 3 });
    let wire = crate::support::versioned(2);
    let longer = STANDARD.encode([&wire[..], &[0]].concat());
    let problem = transaction_problem(|transaction| transaction["transaction"][0] = longer.into()).await;
    assert_eq!(problem, TransactionProblem::Wire { size: wire.len() + 1 });
    let unsigned = STANDARD.encode([&[0], &wire[65..]].concat());
    let problem = transaction_problem(|transaction| transaction["transaction"][0] = unsigned.into()).await;
    assert_eq!(problem, TransactionProblem::Insane);
}

#[tokio::test]
async fn an_outcome_that_does_not_fit_is_refused() {
    type Change = fn(&mut Value);
    let inner = |index: u8, program: u8| json!([{ "index": index, "instructions": [{ "programIdIndex": program, "accounts": [5], "data": "" }] }]);
    let cases: [(Change, &str, usize, usize); 4] = [
        (|meta| meta["preBalances"] = json!([1, 2]), "preBalances", 2, 6),
        (|meta| meta["postBalances"] = json!([]), "postBalances", 0, 6),
        (
            |meta| meta["loadedAddresses"]["readonly"] = json!([]),
            "loadedAddresses.readonly",
            0,
            2,
        ),
        (
            |meta| meta["loadedAddresses"]["writable"] = json!([]),
            "loadedAddresses.writable",
            0,
            1,
        ),
    ];
    for (change, field, found, expected) in cases {
        let problem = transaction_problem(|transaction| change(&mut transaction["meta"])).await;
        assert_eq!(problem, TransactionProblem::Length { field, found, expected });
    }
    let problem = transaction_problem(|transaction| transaction["meta"]["innerInstructions"] = inner(2, 0)).await;
    assert_eq!(
        problem,
        TransactionProblem::Length {
            field: "innerInstructions.index",
            found: 2,
            expected: 2
        }
    );
    let problem = transaction_problem(|transaction| transaction["meta"]["innerInstructions"] = inner(1, 6)).await;
    let field = "innerInstructions.programIdIndex";
    assert_eq!(
        problem,
        TransactionProblem::Length {
            field,
            found: 6,
            expected: 6
        }
    );
}

#[tokio::test]
async fn accounts_that_are_wrong_are_refused() {
    let error = account_error(|accounts| {
        let again = accounts[2].clone();
        accounts.push(again);
    })
    .await;
    let address = key(3);
    let expected =
        format!("accounts-start.jsonl: account {address} is on line 3 and again on line 10; keep one of them");
    assert_eq!(error.to_string(), expected);

    let error = account_error(|accounts| accounts[1]["account"]["space"] = 7.into()).await;
    assert!(
        matches!(
            error,
            ImportError::Line {
                line: 2,
                source: LineError::Space { space: 7, size: 23 },
                ..
            }
        ),
        "{error:?}"
    );
    let error = account_error(|accounts| accounts[1]["account"]["data"][0] = "!".into()).await;
    let text = message(&error);
    assert!(
        text.starts_with("accounts-start.jsonl, line 2: account.data does not parse: it is not base64"),
        "{text}"
    );
    let error = account_error(|accounts| accounts[8]["pubkey"] = "short".into()).await;
    assert!(
        message(&error).starts_with("accounts-start.jsonl, line 9: pubkey does not parse"),
        "{}",
        message(&error)
    );
}

/// A duplicate counts even if one of the two has no lamports.
#[tokio::test]
async fn an_empty_duplicate_is_refused() {
    let error = account_error(|accounts| {
        let mut again = accounts[2].clone();
        again["account"]["lamports"] = 0.into();
        accounts.insert(0, again);
    })
    .await;
    assert!(
        matches!(
            error,
            ImportError::DuplicateAccount {
                first: 1,
                second: 4,
                ..
            }
        ),
        "{error:?}"
    );
}

fn clock(slot: u64) -> Value {
    let mut data = slot.to_le_bytes().to_vec();
    data.extend([0; 32]);
    system_account("SysvarC1ock11111111111111111111111111111111", &data)
}

fn system_account(address: &str, data: &[u8]) -> Value {
    json!({ "pubkey": address, "account": {
        "lamports": 1, "data": [STANDARD.encode(data), "base64"], "executable": false, "rentEpoch": u64::MAX,
        "owner": "Sysvar1111111111111111111111111111111111111", "space": data.len() } })
}

#[tokio::test]
async fn the_state_must_be_that_before_the_first_block() {
    for slot in [8, 10, 11] {
        let error = account_error(|accounts| accounts.push(clock(slot))).await;
        let ImportError::StartState {
            clock,
            first: 10,
            parent: 9,
            ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(clock, slot);
    }
    let directory = changed(|accounts, _| accounts.push(clock(9)));
    import(directory.path()).await.unwrap();
    let error = account_error(|accounts| {
        accounts.push(system_account("SysvarC1ock11111111111111111111111111111111", &[1, 2]));
    })
    .await;
    assert!(
        matches!(
            error,
            ImportError::Line {
                line: 10,
                source: LineError::Clock { size: 2 },
                ..
            }
        ),
        "{error:?}"
    );
}

/// Makes the ledger's list of accounts complete: what every state has, and what the blocks touch.
fn complete(accounts: &mut Vec<Value>, blocks: &mut Vec<Value>) {
    blocks.pop();
    blocks[0]["rewards"] = json!([]);
    accounts.push(clock(9));
    let others = [
        "11111111111111111111111111111111",
        "SysvarEpochSchedu1e111111111111111111111111",
        "SysvarRecentB1ockHashes11111111111111111111",
        "SysvarRent111111111111111111111111111111111",
        "SysvarS1otHashes111111111111111111111111111",
        "SysvarS1otHistory11111111111111111111111111",
        "SysvarStakeHistory1111111111111111111111111",
    ];
    accounts.extend(others.map(|address| system_account(address, &[])));
    let touched = [(40, 1), (61, 4), (62, 5), (63, 6), (90, 77)];
    accounts.extend(touched.map(|(seed, lamports)| {
        let mut account = system_account(&key(seed).to_string(), &[]);
        account["account"]["lamports"] = lamports.into();
        account
    }));
    accounts.last_mut().unwrap()["account"]["owner"] = "Vote111111111111111111111111111111111111111".into();
}

async fn scope(choice: ScopeChoice, change: impl FnOnce(&mut Vec<Value>, &mut Vec<Value>)) -> Manifest {
    let directory = changed(|accounts, blocks| {
        complete(accounts, blocks);
        change(accounts, blocks);
    });
    let options = ImportOptions {
        scope: choice,
        ..options()
    };
    ledger::import_into(directory.path(), in_memory(), options, |_| ())
        .await
        .unwrap()
}

#[tokio::test]
async fn the_scope_is_decided_from_evidence() {
    let manifest = scope(ScopeChoice::Auto, |_, _| ()).await;
    let evidence = &manifest.scope_evidence;
    assert_eq!(manifest.scope, Scope::All, "{evidence:?}");
    assert_eq!(
        (evidence.given, evidence.vote_accounts, evidence.checked_accounts),
        (false, 1, 6)
    );
    assert_eq!((evidence.unlisted_accounts, evidence.differing_accounts), (0, 0));

    let manifest = scope(ScopeChoice::Auto, |accounts, _| {
        accounts.retain(|account| account["pubkey"] != key(62).to_string());
    })
    .await;
    assert_eq!(
        (manifest.scope, manifest.scope_evidence.unlisted_accounts),
        (Scope::Listed, 1)
    );
    assert_eq!(manifest.scope_evidence.example, Some(key(62).to_string()));

    let manifest = scope(ScopeChoice::Auto, |accounts, _| {
        accounts[0]["account"]["lamports"] = 5.into();
    })
    .await;
    assert_eq!(
        (manifest.scope, manifest.scope_evidence.differing_accounts),
        (Scope::All, 1),
        "a wrong balance says nothing of completeness"
    );

    let manifest = scope(ScopeChoice::Auto, |accounts, blocks| {
        accounts[0]["account"]["lamports"] = 5.into();
        for block in blocks {
            for transaction in block["transactions"].as_array_mut().unwrap() {
                transaction["meta"] = Value::Null;
            }
        }
    })
    .await;
    let evidence = &manifest.scope_evidence;
    assert_eq!(
        (manifest.scope, evidence.differing_accounts, evidence.unlisted_accounts),
        (Scope::All, 0, 0),
        "after an unrecorded transaction no balance of its accounts is the first one"
    );

    let manifest = scope(ScopeChoice::Auto, |accounts, _| drop(accounts.pop())).await;
    assert_eq!(
        (manifest.scope, manifest.scope_evidence.vote_accounts),
        (Scope::Listed, 0)
    );

    let manifest = scope(ScopeChoice::Auto, |accounts, _| {
        accounts.retain(|account| account["pubkey"] != "SysvarRent111111111111111111111111111111111");
    })
    .await;
    assert_eq!(
        manifest.scope_evidence.missing_accounts,
        ["SysvarRent111111111111111111111111111111111"]
    );
    assert_eq!(manifest.scope, Scope::Listed);
}

/// A reward shows a balance as well: that before it was paid.
#[tokio::test]
async fn rewards_are_evidence() {
    let reward = |pubkey: String| json!([{ "pubkey": pubkey, "lamports": 7, "postBalance": 84, "rewardType": "Voting", "commission": 0 }]);
    let manifest = scope(ScopeChoice::Auto, |_, blocks| {
        blocks[2]["rewards"] = reward(key(90).to_string());
    })
    .await;
    assert_eq!(
        (manifest.scope, manifest.scope_evidence.checked_accounts),
        (Scope::All, 7)
    );
    let manifest = scope(ScopeChoice::Auto, |_, blocks| {
        blocks[2]["rewards"] = reward(key(91).to_string());
    })
    .await;
    assert_eq!(
        (manifest.scope, manifest.scope_evidence.unlisted_accounts),
        (Scope::Listed, 1)
    );
}

#[tokio::test]
async fn the_scope_can_be_given() {
    let manifest = scope(ScopeChoice::Listed, |_, _| ()).await;
    assert_eq!((manifest.scope, manifest.scope_evidence.given), (Scope::Listed, true));
    let manifest = scope(ScopeChoice::All, |accounts, _| drop(accounts.pop())).await;
    assert_eq!((manifest.scope, manifest.scope_evidence.given), (Scope::All, true));
}

/// Without every block, the state cannot be followed. A ledger that lists some accounts may have gaps.
#[tokio::test]
async fn blocks_may_be_missing_only_where_some_accounts_are_listed() {
    let gap = |accounts: &mut Vec<Value>, blocks: &mut Vec<Value>| {
        complete(accounts, blocks);
        blocks.remove(1);
    };
    let directory = changed(gap);
    let error = import(directory.path()).await.unwrap_err();
    let ImportError::Line { line: 2, source, .. } = error else {
        panic!("{error:?}")
    };
    assert!(
        matches!(
            source,
            LineError::Chain(ChainProblem::MissingBlocks {
                slot: 13,
                parent: 12,
                previous: 10
            })
        ),
        "{source:?}"
    );
    let options = ImportOptions {
        scope: ScopeChoice::Listed,
        ..options()
    };
    let manifest = ledger::import_into(directory.path(), in_memory(), options, |_| ())
        .await
        .unwrap();
    assert_eq!(manifest.coverage.gaps, 1);
}

#[tokio::test]
async fn progress_reaches_the_total() {
    let directory = changed(|_, _| ());
    let mut seen = Vec::new();
    ledger::import_into(directory.path(), in_memory(), options(), |progress| seen.push(progress))
        .await
        .unwrap();
    let last = seen.last().unwrap();
    assert_eq!((last.accounts, last.blocks, last.transactions), (9, 4, 4));
    assert_eq!(last.bytes_read, last.bytes_total);
    assert!(seen.is_sorted_by_key(|progress| progress.bytes_read));
}

#[tokio::test]
async fn locations_are_checked() {
    let directory = changed(|_, _| ());
    let file = directory.path().join("blocks.jsonl");
    let not_built_in = |result| {
        matches!(
            result,
            Err(ArchiveError::Location(LocationError::UnsupportedScheme { .. }))
        )
    };
    assert!(not_built_in(Archive::open("s3://bucket/archive").await));
    let result = ledger::import(directory.path(), "gs://bucket/archive", options(), |_| ()).await;
    assert!(matches!(
        result,
        Err(ImportError::Archive(ArchiveError::Location(LocationError::UnsupportedScheme { scheme, .. }))) if scheme == "gs"
    ));
    let open = |path: std::path::PathBuf| async move { Archive::open(path.to_str().unwrap()).await.unwrap_err() };
    let error = open(file.clone()).await;
    assert!(
        matches!(error, ArchiveError::Location(LocationError::NotADirectory { .. })),
        "{error:?}"
    );
    let error = open(directory.path().join("nowhere")).await;
    assert!(
        matches!(error, ArchiveError::Location(LocationError::NotFound { .. })),
        "{error:?}"
    );
    let error = open(directory.path().to_owned()).await;
    assert!(matches!(error, ArchiveError::NotAnArchive { .. }), "{error:?}");
    let result = ledger::import(directory.path(), file.to_str().unwrap(), options(), |_| ()).await;
    assert!(
        matches!(result, Err(ImportError::Archive(ArchiveError::Location(_)))),
        "{result:?}"
    );
}
