//! What a bot may get wrong, and what lies at the edge of what a method takes: answered as Solana's own server does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator_api::{AccountData, BinaryEncoding, EncodedBinary};
use simulator_archive::import::ScopeChoice;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::v0::{Message as MessageV0, MessageAddressTableLookup};
use solana_message::{MessageHeader, VersionedMessage};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

use crate::conversation::{RICH, TOKEN, recorded_block};
use crate::ledger::{NOBODY, at_slot_44};
use crate::support::Rpc;

const NATIVE_MINT: &str = "So11111111111111111111111111111111111111112";
const TOKEN_PROGRAM: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

#[tokio::test]
async fn mistakes_are_told_in_solana_s_words() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    let below = "Method does not support commitment below `confirmed`";
    let processed = json!({"commitment": "processed"});
    let long = "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.";
    let cases = [
        ("getBalance", json!(["zzz"]), -32602, "Invalid param: WrongSize"),
        ("getBalance", json!(["0"]), -32602, "Invalid param: Invalid"),
        ("getTransaction", json!(["zzz"]), -32602, "Invalid param: WrongSize"),
        ("isBlockhashValid", json!(["zzz"]), -32602, "WrongSize"),
        (
            "getBalance",
            json!({"pubkey": RICH}),
            -32602,
            "`params` should be an array",
        ),
        ("getAccountInfo", json!([TOKEN]), -32600, long),
        ("getAccountInfo", json!([TOKEN, {"encoding": "base58"}]), -32600, long),
        ("getBlock", json!([40, processed]), -32602, below),
        ("getBlocks", json!([40, 42, processed]), -32602, below),
        ("getBlocks", json!([40, processed]), -32602, below),
        ("getBlocksWithLimit", json!([40, 2, processed]), -32602, below),
        ("getTransaction", json!(["1".repeat(64), processed]), -32602, below),
        ("getSignaturesForAddress", json!([RICH, processed]), -32602, below),
        (
            "getMultipleAccounts",
            json!([vec![RICH; 101]]),
            -32602,
            "Too many inputs provided; max 100",
        ),
    ];
    for (method, params, code, message) in cases {
        let told = rpc.error(method, params.clone()).await;
        assert_eq!(told, (code, message.to_owned()), "{method} {params}");
    }
    let too_long = json!([10 * 1024 * 1024 + 1]);
    let (code, _) = rpc.error("getMinimumBalanceForRentExemption", too_long).await;
    assert_eq!(code, -32600);
}

#[tokio::test]
async fn a_slot_that_is_to_come_is_waited_for_by_nobody() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    let later = json!({"minContextSlot": 45, "encoding": "base64"});
    let now = json!({"minContextSlot": 44, "encoding": "base64"});
    let hash = NOBODY;
    for (method, before) in [
        ("getSlot", vec![]),
        ("getBlockHeight", vec![]),
        ("getEpochInfo", vec![]),
        ("getTransactionCount", vec![]),
        ("getLatestBlockhash", vec![]),
        ("getAccountInfo", vec![json!(RICH)]),
        ("getBalance", vec![json!(RICH)]),
        ("getMultipleAccounts", vec![json!([RICH])]),
        ("getProgramAccounts", vec![json!(TOKEN_PROGRAM)]),
        ("getSignaturesForAddress", vec![json!(RICH)]),
        (
            "getTokenAccountsByOwner",
            vec![json!(RICH), json!({"programId": TOKEN_PROGRAM})],
        ),
        ("isBlockhashValid", vec![json!(hash)]),
        ("getBlocks", vec![json!(40), json!(42)]),
        ("getBlocksWithLimit", vec![json!(40), json!(2)]),
    ] {
        let with = |config: &Value| json!([&before[..], std::slice::from_ref(config)].concat());
        let reply = rpc.reply(method, with(&later)).await;
        let error = json!({"code": -32016, "message": "Minimum context slot has not been reached", "data": {"contextSlot": 44}});
        assert_eq!(reply["error"], error, "{method}");
        rpc.call(method, with(&now)).await;
    }
}

#[tokio::test]
async fn what_says_nothing_is_answered_with_the_default() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    for config in [
        Value::Null,
        json!({}),
        json!({"commitment": null, "minContextSlot": null}),
        json!({"commitment": "max"}),
        json!({"commitment": "processed", "unknown": 1}),
    ] {
        assert_eq!(rpc.call("getSlot", json!([config])).await, 44, "{config}");
    }
    assert_eq!(rpc.call("getMultipleAccounts", json!([[]])).await["value"], json!([]));
    // There is no parser for its owner, the system program, without data.
    let parsed = rpc
        .call("getAccountInfo", json!([RICH, {"encoding": "jsonParsed"}]))
        .await;
    assert_eq!(parsed["value"]["data"], json!(["", "base64"]));
}

#[tokio::test]
async fn a_version_is_asked_for_where_transactions_are_shown() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    let slot = (38..44)
        .find(|slot| versioned(&recorded_block(*slot)).is_some())
        .unwrap();
    let (signature, legacy) = versioned(&recorded_block(slot)).unwrap();
    for details in ["none", "signatures"] {
        let shown = rpc
            .call("getBlock", json!([slot, {"transactionDetails": details}]))
            .await;
        assert_eq!(shown["signatures"].is_array(), details == "signatures");
        assert_eq!(shown["blockhash"], recorded_block(slot)["blockhash"]);
    }
    for details in ["full", "accounts"] {
        let (code, message) = rpc
            .error("getBlock", json!([slot, {"transactionDetails": details}]))
            .await;
        assert!(
            code == -32015 && message.contains("\"maxSupportedTransactionVersion\": 0"),
            "{message}"
        );
    }
    assert_eq!(rpc.error("getTransaction", json!([signature])).await.0, -32015);
    let shown = rpc.call("getTransaction", json!([legacy])).await;
    assert_eq!(
        shown.get("version"),
        None,
        "who does not ask for versions is not told of them"
    );
}

/// The signatures of a version 0 and of a legacy transaction of a block, if it has both.
fn versioned(block: &Value) -> Option<(Value, Value)> {
    let all = block["transactions"].as_array()?;
    let first = |version: Value| {
        let found = all.iter().find(|one| one["version"] == version)?;
        let wire = STANDARD.decode(found["transaction"][0].as_str()?).ok()?;
        let signature = Signature::try_from(wire.get(1..65)?).ok()?;
        Some(json!(signature.to_string()))
    };
    Some((first(json!(0))?, first(json!("legacy"))?))
}

#[tokio::test]
async fn what_cannot_be_put_together_is_no_transaction() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::All).await;
    let nowhere = CompiledInstruction::new_from_raw_parts(9, Vec::new(), Vec::new());
    let no_table = MessageAddressTableLookup {
        account_key: Pubkey::new_from_array([9; 32]),
        writable_indexes: vec![0],
        readonly_indexes: Vec::new(),
    };
    let cases = [
        (
            message(vec![nowhere], Vec::new()),
            "Transaction failed to sanitize accounts offsets correctly",
        ),
        (
            message(Vec::new(), vec![no_table]),
            "Transaction loads an address table account that doesn't exist",
        ),
    ];
    for (message, why) in cases {
        let expected = (-32602, format!("invalid transaction: {why}"));
        let text = text(&rpc, message).await;
        for (method, config) in [
            ("simulateTransaction", json!({"encoding": "base64"})),
            ("sendTransaction", json!({"encoding": "base64"})),
            ("sendTransaction", json!({"encoding": "base64", "skipPreflight": true})),
        ] {
            let told = rpc.error(method, json!([text, config])).await;
            assert_eq!(told, expected, "{method} {config}");
        }
    }
}

fn message(instructions: Vec<CompiledInstruction>, address_table_lookups: Vec<MessageAddressTableLookup>) -> MessageV0 {
    MessageV0 {
        header: MessageHeader {
            num_required_signatures: 1,
            ..MessageHeader::default()
        },
        account_keys: vec![RICH.parse().unwrap(), Pubkey::default()],
        instructions,
        address_table_lookups,
        ..MessageV0::default()
    }
}

async fn text(rpc: &Rpc, mut message: MessageV0) -> String {
    let latest = rpc.call("getLatestBlockhash", json!([])).await;
    message.recent_blockhash = latest["value"]["blockhash"].as_str().unwrap().parse().unwrap();
    let transaction = VersionedTransaction {
        signatures: vec![Signature::from([1; 64])],
        message: VersionedMessage::V0(message),
    };
    STANDARD.encode(wincode::serialize(&transaction).unwrap())
}

/// The mint of wrapped SOL is known to everyone, whether or not an archive holds it.
#[tokio::test]
async fn wrapped_sol_has_nine_decimals_without_its_mint() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Listed).await;
    let mut data = vec![0; 165];
    data[..32].copy_from_slice(NATIVE_MINT.parse::<Pubkey>().unwrap().as_ref());
    data[64..72].copy_from_slice(&1_500_000_000_u64.to_le_bytes());
    data[108] = 1; // Initialised.
    let account = |lamports: u64, owner: Pubkey, data: &[u8]| AccountData {
        data: EncodedBinary::from_bytes(data, BinaryEncoding::Base64),
        executable: false,
        lamports,
        owner,
        space: data.len() as u64,
    };
    let wrapped = account(3_000_000_000, TOKEN_PROGRAM.parse().unwrap(), &data);
    let gone = account(0, Pubkey::default(), &[]);
    rpc.call("modifyAccounts", json!([{NOBODY: wrapped, NATIVE_MINT: gone}]))
        .await;
    let mint = rpc.call("getAccountInfo", json!([NATIVE_MINT])).await;
    assert_eq!(mint["value"], Value::Null);
    let balance = rpc.call("getTokenAccountBalance", json!([NOBODY])).await;
    assert_eq!(balance["value"]["uiAmountString"], "1.5", "{balance}");
    let parsed = rpc
        .call("getAccountInfo", json!([NOBODY, {"encoding": "jsonParsed"}]))
        .await;
    let shown = &parsed["value"]["data"]["parsed"]["info"]["tokenAmount"];
    assert_eq!(shown["uiAmountString"], "1.5", "{parsed}");
    let owned =
        json!([Pubkey::default().to_string(), {"mint": NATIVE_MINT}, {"encoding": "base64", "allowPartial": true}]);
    let owned = rpc.call("getTokenAccountsByOwner", owned).await;
    assert_eq!(owned["value"][0]["pubkey"], NOBODY, "{owned}");
}

#[tokio::test]
async fn batches_have_an_end() {
    let (_sample, _server, _control, rpc) = at_slot_44(ScopeChoice::Auto).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "getSlot"});
    let post = async |body: Value| rpc.post(body.to_string()).await;
    for (body, code) in [(json!([]), -32600), (json!(vec![&call; 1000]), -32600)] {
        let (status, text) = post(body).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status, 200);
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null));
    }
    let (_, text) = post(json!([1, call])).await;
    let answers: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answers[0]["error"]["code"], -32600);
    assert_eq!(answers[1]["result"], 44);
    let quiet = json!({"jsonrpc": "2.0", "method": "getSlot"});
    for body in [quiet.clone(), json!([quiet.clone(), quiet])] {
        assert_eq!(post(body).await, (204, String::new()));
    }
}
