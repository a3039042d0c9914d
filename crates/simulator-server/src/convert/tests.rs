//! What goes over the wire, written out.

use bytes::Bytes;
use serde_json::{Value, json};
use simulator_api::replay::OutcomeDetail;
use simulator_api::{AccountModifications, BacktestError, SessionSummary};
use simulator_archive::model::{
    Block, InnerInstruction, InnerInstructions, Outcome, RecordedTransaction, TokenBalance,
};
use simulator_engine::{
    AccountDiff, Divergence, DivergenceClass, Execution, OutcomeField, ResultDigest, Skip, SlotReport,
    TransactionReport, Unverifiable, Verdict,
};
use solana_account::{Account, AccountSharedData};
use solana_account_decoder::{UiAccountEncoding, UiDataSliceConfig};
use solana_hash::Hash;
use solana_message::{Message, VersionedMessage};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;
use solana_transaction_status::UiTransactionEncoding;

use super::*;
use crate::history::PastTransaction;

const SYSTEM: &str = "11111111111111111111111111111111";
const FROM: &str = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi";
const TO: &str = "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR";
const MINT: &str = "CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8";

fn key(text: &str) -> Pubkey {
    text.parse().unwrap()
}

fn account() -> AccountSharedData {
    Account {
        lamports: 7,
        data: vec![1, 2, 3],
        owner: key(SYSTEM),
        executable: false,
        rent_epoch: u64::MAX,
    }
    .into()
}

fn shown(encoding: UiAccountEncoding, slice: Option<UiDataSliceConfig>) -> Value {
    serde_json::to_value(ui_account(
        &key(TO),
        &account(),
        encoding,
        slice,
        &ParseContext::default(),
    ))
    .unwrap()
}

#[test]
fn accounts_in_every_encoding() {
    let expected = |data: Value| json!({"lamports": 7, "data": data, "owner": SYSTEM, "executable": false, "rentEpoch": u64::MAX, "space": 3});
    assert_eq!(shown(UiAccountEncoding::Binary, None), expected(json!("Ldp")));
    assert_eq!(
        shown(UiAccountEncoding::Base58, None),
        expected(json!(["Ldp", "base58"]))
    );
    assert_eq!(
        shown(UiAccountEncoding::Base64, None),
        expected(json!(["AQID", "base64"]))
    );
    assert_eq!(
        shown(UiAccountEncoding::JsonParsed, None),
        expected(json!(["AQID", "base64"])),
        "not parsable"
    );
    let slice = Some(UiDataSliceConfig { offset: 1, length: 1 });
    assert_eq!(
        shown(UiAccountEncoding::Base64, slice),
        expected(json!(["Ag==", "base64"]))
    );
    let replay = serde_json::to_value(replay_account(key(TO), &account())).unwrap();
    assert_eq!(
        replay,
        json!({"pubkey": TO, "account": expected(json!(["AQID", "base64"]))})
    );
}

#[test]
fn account_modifications() {
    let text = json!({TO: {"data": {"data": "AQID", "encoding": "base64"}, "executable": false, "lamports": 7,
                           "owner": SYSTEM, "space": 3}});
    let read = |text: Value| modifications(serde_json::from_str::<AccountModifications>(&text.to_string()).unwrap());
    assert_eq!(read(text.clone()).unwrap(), [(key(TO), account())]);
    let mut wrong = text;
    wrong[TO]["data"]["data"] = json!("A");
    assert!(matches!(read(wrong), Err(BacktestError::InvalidAccountEncoding { address, .. }) if address == TO));
}

fn outcome() -> Outcome {
    let token = |amount| TokenBalance {
        account_index: 1,
        mint: key(MINT),
        owner: Some(key(FROM)),
        program_id: None,
        amount,
        decimals: 2,
    };
    let inner = InnerInstruction {
        program_id_index: 2,
        accounts: vec![0],
        data: Bytes::from_static(&[9]),
        stack_height: Some(2),
    };
    Outcome {
        status: Ok(()),
        fee: 5000,
        pre_balances: vec![20_000, 1, 1],
        post_balances: vec![14_000, 1001, 1],
        pre_token_balances: Some(vec![token(250)]),
        post_token_balances: Some(vec![token(100)]),
        logs: Some(vec!["Program log: hi".to_owned()]),
        inner_instructions: Some(vec![InnerInstructions {
            index: 0,
            instructions: vec![inner],
        }]),
        return_data: None,
        compute_units: Some(150),
        loaded_addresses: None,
        cost_units: None,
    }
}

fn transaction() -> VersionedTransaction {
    let instruction = solana_system_interface::instruction::transfer(&key(FROM), &key(TO), 1000);
    let message = Message::new_with_blockhash(&[instruction], Some(&key(FROM)), &Hash::default());
    VersionedTransaction {
        signatures: vec![Signature::default()],
        message: VersionedMessage::Legacy(message),
    }
}

/// Written out here, so that the layout that users decode cannot change unnoticed.
#[test]
fn the_record_of_a_discovered_transaction() {
    let record = |outcome| {
        let wire = Bytes::from_static(b"wire");
        transaction_record(&RecordedTransaction { wire, outcome })
            .decode()
            .unwrap()
    };
    assert_eq!(record(None), *b"wire\0\0\0\0");
    let failed = Outcome {
        status: Err(TransactionError::InvalidRentPayingAccount),
        ..outcome()
    };
    let mut expected = b"wire".to_vec();
    let mut add = |bytes: &[u8]| expected.extend(bytes);
    let length = |length: u64| length.to_le_bytes();
    add(&[1]);
    add(&27_u32.to_le_bytes());
    add(&[1]);
    for balances in [[20_000_u64, 1, 1], [14_000, 1001, 1]] {
        add(&length(3));
        balances.iter().for_each(|balance| add(&balance.to_le_bytes()));
    }
    for (amount, number, text) in [("250", 2.5_f64, "2.5"), ("100", 1.0, "1")] {
        add(&[1]);
        add(&length(1));
        add(&[1]);
        add(&length(MINT.len() as u64));
        add(MINT.as_bytes());
        add(&[1]);
        add(&number.to_le_bytes());
        add(&[2]);
        for text in [amount, text, FROM, ""] {
            add(&length(text.len() as u64));
            add(text.as_bytes());
        }
    }
    add(&[1]);
    add(&length(1));
    add(&length(15));
    add(b"Program log: hi");
    add(&[1]);
    add(&length(1));
    add(&[0]);
    add(&length(1));
    add(&[2, 1, 0, 1, 9, 1]);
    add(&2_u32.to_le_bytes());
    assert_eq!(record(Some(failed)), expected);
}

fn past() -> PastTransaction {
    PastTransaction {
        slot: 40,
        index: Some(3),
        block_time: Some(99),
        transaction: transaction(),
        outcome: outcome(),
    }
}

#[test]
fn a_transaction_as_json() {
    let shown = serde_json::to_value(confirmed(&past(), UiTransactionEncoding::Json, None).unwrap()).unwrap();
    let token = |amount: &str, ui: f64, text: &str| {
        json!({"accountIndex": 1, "mint": MINT, "owner": FROM,
               "uiTokenAmount": {"amount": amount, "decimals": 2, "uiAmount": ui, "uiAmountString": text}})
    };
    let meta = json!({
        "err": null, "status": {"Ok": null}, "fee": 5000, "preBalances": [20_000, 1, 1], "postBalances": [14_000, 1001, 1],
        "preTokenBalances": [token("250", 2.5, "2.5")], "postTokenBalances": [token("100", 1.0, "1")],
        "logMessages": ["Program log: hi"], "rewards": [], "loadedAddresses": {"writable": [], "readonly": []},
        "innerInstructions": [{"index": 0, "instructions": [
            {"programIdIndex": 2, "accounts": [0], "data": "A", "stackHeight": 2}]}],
        "computeUnitsConsumed": 150,
    });
    let message = json!({
        "accountKeys": [FROM, TO, SYSTEM], "recentBlockhash": SYSTEM,
        "header": {"numRequiredSignatures": 1, "numReadonlySignedAccounts": 0, "numReadonlyUnsignedAccounts": 1},
        "instructions": [{"programIdIndex": 2, "accounts": [0, 1], "data": "3Bxs4ffTu9T19DNF", "stackHeight": 1}],
    });
    let signatures = ["1".repeat(64)];
    assert_eq!(shown["meta"], meta);
    assert_eq!(
        shown["transaction"],
        json!({"message": message, "signatures": signatures})
    );
    assert_eq!(
        (&shown["slot"], &shown["blockTime"], &shown["transactionIndex"]),
        (&json!(40), &json!(99), &json!(3))
    );
}

#[test]
fn a_transaction_parsed_and_packed() {
    let shown = serde_json::to_value(confirmed(&past(), UiTransactionEncoding::JsonParsed, Some(0)).unwrap()).unwrap();
    let parsed = json!({"type": "transfer", "info": {"source": FROM, "destination": TO, "lamports": 1000}});
    assert_eq!(shown["transaction"]["message"]["instructions"][0]["parsed"], parsed);
    for encoding in [UiTransactionEncoding::Base58, UiTransactionEncoding::Base64] {
        let shown = serde_json::to_value(confirmed(&past(), encoding, Some(0)).unwrap()).unwrap();
        let text = shown["transaction"][0].as_str().unwrap();
        assert_eq!(
            transaction_from_text(text, encoding.into_binary_encoding().unwrap()).unwrap(),
            transaction()
        );
    }
}

fn report(execution: Execution, verdict: Verdict) -> TransactionReport {
    TransactionReport {
        index: 0,
        signature: Signature::default(),
        account_keys: vec![key(FROM), key(TO), key(SYSTEM)],
        programs: vec![key(SYSTEM)],
        execution,
        verdict,
        account_diffs: vec![AccountDiff {
            address: key(TO),
            before: None,
            after: Some(account()),
        }],
    }
}

fn block() -> Block {
    Block {
        slot: 40,
        parent_slot: 38,
        blockhash: Hash::default(),
        previous_blockhash: Hash::default(),
        block_height: None,
        block_time: Some(99),
        bank_hash: None,
        rewards: Vec::new(),
        num_reward_partitions: None,
        transactions: vec![RecordedTransaction {
            wire: Bytes::new(),
            outcome: None,
        }],
    }
}

fn diverged(fields: Vec<OutcomeField>) -> Verdict {
    Verdict::Diverged(Divergence {
        fields,
        class: DivergenceClass::Overridden,
        culprit: None,
        root: true,
    })
}

#[test]
fn the_record_of_a_slot() {
    let mut record = SlotRecord::begin(&block(), OutcomeDetail::AccountDiffs);
    let recorded = Outcome {
        fee: 10_000,
        ..outcome()
    };
    record.add(
        &report(Execution::Processed(outcome()), diverged(vec![OutcomeField::Fee])),
        Some(&recorded),
    );
    let refused = Execution::Refused(TransactionError::BlockhashNotFound);
    record.add(
        &report(refused, diverged(vec![OutcomeField::Processed])),
        Some(&recorded),
    );
    let left_out = Skip::IgnoredSigner(key(FROM));
    let skipped = report(
        Execution::Skipped(left_out.clone()),
        Verdict::Unverifiable(Unverifiable::Skipped(left_out)),
    );
    record.add(&skipped, Some(&recorded));
    let closed = SlotReport {
        slot: 40,
        bank_hash: Some(Hash::default()),
        digest: ResultDigest([0x5a; 32]),
    };
    let record: Value = serde_json::from_str(record.finish(&closed).get()).unwrap();
    let divergence = |field: &str, recorded: Value, computed: Value| {
        json!({"slot": 40, "index": 0, "signature": "1".repeat(64), "field": field, "recorded": recorded,
               "computed": computed, "class": "overridden", "root": true})
    };
    assert_eq!(
        record["divergences"],
        json!([
            divergence("fee", json!(10_000), json!(5000)),
            divergence("processed", json!("processed"), json!("BlockhashNotFound")),
        ])
    );
    let counts = json!({"total": 3, "successes": 1, "failures": 2, "matched": 0, "diverged": 2, "unverifiable": 1});
    assert_eq!((&record["counts"], &record["computeUnits"]), (&counts, &json!(150)));
    assert_eq!(record["bankHash"], json!({"computed": SYSTEM}));
    assert_eq!(record["digest"], "5a".repeat(32));
    assert_eq!(record["unverifiableByReason"], json!({"ignoredSigner": 1}));
    let first = &record["transactions"][0];
    assert_eq!(first["solChanges"], json!({FROM: -6000, TO: 1000}));
    assert_eq!(first["tokenChanges"], json!({FROM: {MINT: "-150"}}));
    assert_eq!(first["accountDiffs"][TO]["before"], Value::Null);
    assert_eq!(
        first["accountDiffs"][TO]["after"]["data"],
        json!({"data": "AQID", "encoding": "base64"})
    );
    assert_eq!(record["transactions"][1]["error"], "BlockhashNotFound");
    assert_eq!(record["transactions"][2]["verdict"], "unverifiable");
    assert_eq!(
        record["transactions"][2]["unverifiableReason"],
        format!("left out: {FROM} signed it")
    );
}

#[test]
fn the_totals_of_completed() {
    let mut tally = Tally::default();
    tally.add(&report(Execution::Processed(outcome()), Verdict::Matched));
    tally.add(&report(
        Execution::Processed(outcome()),
        diverged(vec![OutcomeField::Status, OutcomeField::Logs]),
    ));
    tally.add(&report(
        Execution::Processed(outcome()),
        diverged(vec![OutcomeField::PostTokenBalances]),
    ));
    let unknown = Execution::Skipped(Skip::UnknownAccount(key(TO)));
    tally.add(&report(unknown, diverged(vec![OutcomeField::Processed])));
    tally.add(&report(
        Execution::Processed(outcome()),
        Verdict::Unverifiable(Unverifiable::NoRecord),
    ));
    let expected = SessionSummary {
        correct_simulation: 1,
        incorrect_simulation: 2,
        execution_errors: 1,
        balance_diff: 1,
        log_diff: 1,
        ..SessionSummary::default()
    };
    assert_eq!(tally.summary(), expected);
}
