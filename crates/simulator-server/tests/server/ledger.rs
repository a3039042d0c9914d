//! Blocks, fees, epochs and airdrops, compared with what the validator recorded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator_archive::import::{ImportOptions, ScopeChoice};
use solana_message::{Message, VersionedMessage};
use solana_pubkey::Pubkey;
use solana_rpc_client_types::response::{RpcConfirmedTransactionStatusWithSignature, RpcPrioritizationFee};
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

use crate::conversation::{RICH, TOKEN, recorded_block, transfer_to};
use crate::support::{Control, Rpc, Running, SampleArchive};

const GENESIS: &str = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d";
pub(crate) const NOBODY: &str = "Nobody1111111111111111111111111111111111111";

/// A session that stands at slot 44 and began at 38.
pub(crate) async fn at_slot_44(scope: ScopeChoice) -> (SampleArchive, Running, Control, Rpc) {
    let options = ImportOptions {
        scope,
        genesis_hash: Some(GENESIS.to_owned()),
        ..ImportOptions::default()
    };
    let sample = SampleArchive::import_with(options).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(json!({"startSlot": 38, "endSlot": 59})).await;
    control.run().await;
    control.send("continueTo", json!({"slot": 44})).await;
    control.run().await;
    (sample, server, control, rpc)
}

#[tokio::test]
async fn blocks_are_those_of_the_validator() {
    let (_sample, _server, mut control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    control.send("continueTo", json!({"slot": 49})).await;
    control.run().await;
    assert_eq!(rpc.call("getFirstAvailableBlock", json!([])).await, 38);
    let slots = json!([38, 39, 40, 41, 42, 43, 44, 46]);
    assert_eq!(rpc.call("getBlocks", json!([0])).await, slots);
    assert_eq!(rpc.call("getBlocks", json!([40, 42])).await, json!([40, 41, 42]));
    assert_eq!(rpc.call("getBlocks", json!([43, 38])).await, json!([]));
    assert_eq!(rpc.call("getBlocksWithLimit", json!([43, 2])).await, json!([43, 44]));
    for slot in [38, 44] {
        check_block(&rpc, slot).await;
    }
    let time = recorded_block(49)["blockTime"].clone();
    assert_eq!(
        rpc.call("getBlockTime", json!([49])).await,
        time,
        "the open slot's, too"
    );
    check_block_refusals(&rpc).await;
}

async fn check_block(rpc: &Rpc, slot: u64) {
    let config = json!({"encoding": "base64", "maxSupportedTransactionVersion": 0});
    let mut shown = rpc.call("getBlock", json!([slot, config])).await;
    let mut recorded = recorded_block(slot);
    recorded.as_object_mut().unwrap().remove("slot");
    for block in [&mut shown, &mut recorded] {
        for transaction in block["transactions"].as_array_mut().unwrap() {
            // The cost in the block is not computed.
            transaction["meta"].as_object_mut().unwrap().remove("costUnits");
        }
    }
    for key in recorded.as_object().unwrap().keys() {
        assert_eq!(shown[key], recorded[key], "{key} of block {slot}");
    }
    let config = json!({"transactionDetails": "signatures", "rewards": false});
    let short = rpc.call("getBlock", json!([slot, config])).await;
    let count = recorded["transactions"].as_array().unwrap().len();
    assert_eq!(short["signatures"].as_array().unwrap().len(), count);
    assert_eq!(short.get("rewards"), None);
}

async fn check_block_refusals(rpc: &Rpc) {
    let refused = async |method, params| rpc.error(method, params).await;
    let (code, message) = refused("getBlock", json!([37])).await;
    assert!(
        code == -32001 && message.ends_with("First available block: 38"),
        "{message}"
    );
    assert_eq!(refused("getBlock", json!([45])).await.0, -32007);
    assert_eq!(refused("getBlockTime", json!([47])).await.0, -32007);
    assert_eq!(refused("getBlock", json!([49])).await.0, -32004, "it is still open");
    assert_eq!(refused("getBlock", json!([50])).await.0, -32004);
    assert_eq!(refused("getBlocks", json!([0, 500_001])).await.0, -32602);
    assert_eq!(refused("getBlocksWithLimit", json!([0, 500_001])).await.0, -32602);
    assert_eq!(refused("getBlocks", json!([0, {"minContextSlot": 60}])).await.0, -32016);
    let versioned = (38..=44).find(|slot| has_version_0(&recorded_block(*slot)));
    let (code, message) = refused("getBlock", json!([versioned.unwrap()])).await;
    assert!(code == -32015 && message.contains("version (0)"), "{message}");
}

fn has_version_0(block: &Value) -> bool {
    block["transactions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["version"] == 0))
}

#[tokio::test]
async fn signatures_of_an_address_come_newest_first() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    let list = async |config: Value| -> Vec<RpcConfirmedTransactionStatusWithSignature> {
        let shown = rpc.call("getSignaturesForAddress", json!([RICH, config])).await;
        serde_json::from_value(shown).unwrap()
    };
    let transfer = transfer_to(TOKEN, &rpc).await;
    let sent = rpc
        .call("sendTransaction", json!([transfer, {"encoding": "base64"}]))
        .await;
    let all = list(json!({})).await;
    assert_eq!(sent, all[0].signature);
    assert_eq!((all[0].slot, all[0].transaction_index), (44, None));
    let recorded: usize = [38, 39, 40, 41, 42, 43, 44].iter().map(|slot| mentions(*slot)).sum();
    assert!(recorded > 2, "the sample's payer is busy");
    assert_eq!(all.len(), recorded + 1);
    assert!(all.iter().rev().is_sorted_by_key(|one| one.slot));
    let page = list(json!({"before": sent, "limit": 2, "until": all[3].signature})).await;
    assert_eq!(page, all[1..3]);
    let rest = list(json!({"before": all[1].signature, "until": all[3].signature})).await;
    assert_eq!(rest, all[2..3]);
    for bad in [
        json!({"limit": 0}),
        json!({"limit": 1001}),
        json!({"before": "1".repeat(64)}),
    ] {
        let (code, message) = rpc.error("getSignaturesForAddress", json!([RICH, bad])).await;
        assert_eq!(code, -32602, "{message}");
    }
}

/// How many transactions of a recorded block have the rich account among their keys, static or loaded.
fn mentions(slot: u64) -> usize {
    let key = bs58::decode(RICH).into_vec().unwrap();
    let is_in = |transaction: &&Value| {
        let wire = STANDARD
            .decode(transaction["transaction"][0].as_str().unwrap())
            .unwrap();
        let is_loaded = transaction["meta"]["loadedAddresses"].to_string().contains(RICH);
        is_loaded || wire.windows(32).any(|window| window == key)
    };
    let block = recorded_block(slot);
    block["transactions"].as_array().unwrap().iter().filter(is_in).count()
}

#[tokio::test]
async fn fees_and_epochs_are_those_of_the_engine() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    let transfer = STANDARD.decode(transfer_to(TOKEN, &rpc).await).unwrap();
    let fee =
        async |message: &[u8]| rpc.call("getFeeForMessage", json!([STANDARD.encode(message)])).await["value"].clone();
    let mut message = transfer[65..].to_vec();
    assert_eq!(fee(&message).await, 5000);
    // Four bytes, three or four keys, and then the blockhash.
    let at = 4 + 32 * usize::from(message[3]);
    message[at] ^= 1;
    assert_eq!(fee(&message).await, Value::Null, "nobody knows this blockhash");
    assert_eq!(rpc.error("getFeeForMessage", json!(["AAAA"])).await.0, -32602);
    assert_eq!(rpc.error("getFeeForMessage", json!(["A".repeat(5468)])).await.0, -32602);

    let recent = rpc.call("getRecentPrioritizationFees", json!([[RICH]])).await;
    let recent: Vec<RpcPrioritizationFee> = serde_json::from_value(recent).unwrap();
    let slots: Vec<u64> = recent.iter().map(|one| one.slot).collect();
    assert_eq!(slots, [38, 39, 40, 41, 42, 43]);
    let too_many = json!([vec![RICH; 129]]);
    assert_eq!(rpc.error("getRecentPrioritizationFees", too_many).await.0, -32602);

    let executed: usize = (38..=44)
        .map(|slot| recorded_block(slot)["transactions"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(rpc.call("getTransactionCount", json!([])).await, executed);
    let info = rpc.call("getEpochInfo", json!([{"commitment": "finalized"}])).await;
    let expected = json!({"epoch": 0, "slotIndex": 44, "slotsInEpoch": 64, "absoluteSlot": 44,
                          "blockHeight": recorded_block(44)["blockHeight"], "transactionCount": executed});
    assert_eq!(info, expected);
    let schedule = rpc.call("getEpochSchedule", json!([])).await;
    assert_eq!(
        (&schedule["slotsPerEpoch"], &schedule["warmup"]),
        (&json!(64), &json!(false))
    );
    assert_eq!(rpc.call("getGenesisHash", json!([])).await, GENESIS);
    let identity = rpc.call("getIdentity", json!([])).await;
    assert_eq!(identity["identity"], "11111111111111111111111111111111");
}

#[tokio::test]
async fn a_price_that_was_paid_is_shown_for_those_who_were_locked() {
    let (_sample, _server, mut control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    let latest = rpc.call("getLatestBlockhash", json!([])).await;
    let blockhash = latest["value"]["blockhash"].as_str().unwrap().parse().unwrap();
    let (from, to): (Pubkey, Pubkey) = (RICH.parse().unwrap(), NOBODY.parse().unwrap());
    let transfer = solana_system_interface::instruction::transfer(&from, &to, 1_000_000);
    let mut price = transfer.clone();
    price.program_id = "ComputeBudget111111111111111111111111111111".parse().unwrap();
    price.accounts.clear();
    price.data = [&[3][..], &7_000_000_u64.to_le_bytes()].concat();
    let message = Message::new_with_blockhash(&[price, transfer], Some(&from), &blockhash);
    let message = VersionedMessage::Legacy(message);
    let asked = json!([STANDARD.encode(wincode::serialize(&message).unwrap())]);
    let fee = rpc.call("getFeeForMessage", asked).await["value"].as_u64().unwrap();
    assert!(fee > 5000, "{fee}");
    let transaction = VersionedTransaction {
        signatures: vec![Signature::from([9; 64])],
        message,
    };
    let wire = STANDARD.encode(wincode::serialize(&transaction).unwrap());
    let sent = rpc.call("sendTransaction", json!([wire, {"encoding": "base64"}])).await;
    let shown = rpc.call("getTransaction", json!([sent, {"encoding": "base64"}])).await;
    assert_eq!(shown["meta"]["fee"], fee);

    control.send("continue", json!({})).await;
    control.run().await;
    let at_44 = async |params| {
        let recent = rpc.call("getRecentPrioritizationFees", params).await;
        recent.as_array().unwrap().last().unwrap().clone()
    };
    assert_eq!(
        at_44(json!([[NOBODY]])).await,
        json!({"slot": 44, "prioritizationFee": 7_000_000})
    );
    assert_eq!(at_44(json!([])).await["prioritizationFee"], 0, "others paid nothing");
}

#[tokio::test]
async fn an_airdrop_is_a_transaction() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    let lamports = 1_000_000;
    for round in 1..=2 {
        let signature = rpc.call("requestAirdrop", json!([NOBODY, lamports])).await;
        assert_eq!(rpc.call("getBalance", json!([NOBODY])).await["value"], lamports * round);
        let status = rpc.call("getSignatureStatuses", json!([[signature]])).await;
        assert_eq!(status["value"][0]["slot"], 44);
    }
    let (code, message) = rpc.error("requestAirdrop", json!([NOBODY, u64::MAX])).await;
    assert_eq!(code, -32602, "{message}");
    let poor = "Poor111111111111111111111111111111111111111";
    let (code, message) = rpc.error("requestAirdrop", json!([poor, 1])).await;
    assert!(code == -32098 && message.contains("rent"), "{message}");

    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Listed).await;
    assert_eq!(rpc.error("requestAirdrop", json!([NOBODY, lamports])).await.0, -32099);
}

#[tokio::test]
async fn lookup_tables_are_shown_with_their_addresses() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    let program = "AddressLookupTab1e1111111111111111111111111";
    let tables = rpc
        .call("getProgramAccounts", json!([program, {"encoding": "jsonParsed"}]))
        .await;
    assert!(!tables.as_array().unwrap().is_empty());
    for table in tables.as_array().unwrap() {
        let shown = rpc.call("getAddressLookupTable", json!([table["pubkey"]])).await;
        assert_eq!(shown["value"], table["account"]["data"]["parsed"]["info"]);
        assert!(shown["value"]["addresses"].is_array(), "{shown}");
    }
    assert_eq!(
        rpc.call("getAddressLookupTable", json!([NOBODY])).await["value"],
        Value::Null
    );
    assert_eq!(rpc.error("getAddressLookupTable", json!([RICH])).await.0, -32602);
}
