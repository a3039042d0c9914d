//! Simulations over other accounts than the session's.

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use solana_message::{Message, VersionedMessage};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_system_interface::instruction::transfer;
use solana_transaction::versioned::VersionedTransaction;

use crate::conversation::{RICH, TOKEN, transfer_to};
use crate::support::{Rpc, Running, SampleArchive};

const MISSING: &str = "Missing111111111111111111111111111111111111";
const MEMO: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";
const CLOCK: &str = "SysvarC1ock11111111111111111111111111111111";

#[tokio::test]
async fn accounts_are_replaced_for_one_simulation() {
    let sample = SampleArchive::import(ScopeChoice::Listed).await;
    let server = Running::start(sample.config()).await;
    let mut control = server.connect().await;
    let (rpc, _) = control.create(json!({"startSlot": 38, "endSlot": 59})).await;
    control.run().await;
    let before = rpc.call("getBalance", json!([RICH])).await["value"].clone();
    let changes = json!({RICH: lamports(1_001_005_000)});
    let shown = simulate(&rpc, TOKEN, &changes).await["result"]["value"].clone();
    assert_eq!(shown["err"], Value::Null, "{shown}");
    assert_eq!(shown["preBalances"][0], 1_001_005_000);
    assert_eq!(shown["accounts"][0]["lamports"], 1_000_000);
    let poor = simulate(&rpc, TOKEN, &json!({RICH: lamports(10_000)})).await["result"]["value"].clone();
    assert_eq!(poor["err"]["InstructionError"][0], 0, "{poor}");
    assert_eq!(rpc.call("getBalance", json!([RICH])).await["value"], before);

    assert_eq!(simulate(&rpc, MISSING, &json!({})).await["error"]["code"], -32099);
    let known = simulate(&rpc, MISSING, &json!({MISSING: lamports(890_880)})).await;
    assert_eq!(known["result"]["value"]["err"], Value::Null, "{known}");
    assert_eq!(
        simulate(&rpc, MISSING, &json!({})).await["error"]["code"],
        -32099,
        "it is forgotten"
    );
    check_refusals(&rpc).await;
}

async fn check_refusals(rpc: &Rpc) {
    check_code(rpc).await;
    let transfer = transfer_to(TOKEN, rpc).await;
    let config = json!({"encoding": "base64", "skipPreflight": true, "minContextSlot": 60});
    assert_eq!(rpc.error("sendTransaction", json!([transfer, config])).await.0, -32016);
}

/// A program that is replaced by something else cannot be called, in that simulation only.
async fn check_code(rpc: &Rpc) {
    let from: Pubkey = RICH.parse().unwrap();
    let mut memo = transfer(&from, &from, 1);
    memo.program_id = MEMO.parse().unwrap();
    (memo.accounts, memo.data) = (Vec::new(), b"hi".to_vec());
    let transaction = VersionedTransaction {
        signatures: vec![Signature::default()],
        message: VersionedMessage::Legacy(Message::new(&[memo], Some(&from))),
    };
    let wire = wincode::serialize(&transaction).unwrap();
    let wire = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, wire);
    let clock = json!({"data": {"data": "", "encoding": "base64"}, "executable": false, "lamports": 1,
                       "owner": "Sysvar1111111111111111111111111111111111111", "space": 0});
    let none = Value::Null;
    let uncallable = json!("InvalidProgramForExecution");
    for (changes, err) in [
        (json!({}), &none),
        (json!({MEMO: lamports(1)}), &uncallable),
        (json!({CLOCK: clock}), &none),
        (json!({}), &none),
    ] {
        let config = json!({"encoding": "base64", "replaceRecentBlockhash": true, "modifyAccountStates": changes});
        let reply = rpc.reply("simulateTransaction", json!([wire, config])).await;
        assert_eq!(&reply["result"]["value"]["err"], err, "{changes}: {reply}");
    }
}

/// One SOL from the rich account.
async fn simulate(rpc: &Rpc, to: &str, changes: &Value) -> Value {
    let transfer = transfer_to(to, rpc).await;
    let accounts = json!({"encoding": "base64", "addresses": [RICH]});
    let config = json!({"encoding": "base64", "modifyAccountStates": changes, "accounts": accounts});
    rpc.reply("simulateTransaction", json!([transfer, config])).await
}

fn lamports(lamports: u64) -> Value {
    json!({"data": {"data": "", "encoding": "base64"}, "executable": false, "lamports": lamports,
           "owner": "11111111111111111111111111111111", "space": 0})
}
