//! Simulations over other accounts than the session's.

use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;

use crate::conversation::{RICH, TOKEN, transfer_to};
use crate::support::{Rpc, Running, SampleArchive};

const MISSING: &str = "Missing111111111111111111111111111111111111";
const TOKEN_PROGRAM: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
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
    for special in [TOKEN_PROGRAM, CLOCK] {
        let reply = simulate(rpc, TOKEN, &json!({special: lamports(1)})).await;
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("modifyAccounts") && message.contains(special),
            "{reply}"
        );
    }
    let transfer = transfer_to(TOKEN, rpc).await;
    let config = json!({"encoding": "base64", "skipPreflight": true, "minContextSlot": 60});
    assert_eq!(rpc.error("sendTransaction", json!([transfer, config])).await.0, -32016);
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
