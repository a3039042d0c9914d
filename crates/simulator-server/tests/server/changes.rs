//! What subscribers are told of accounts that no transaction changed, and of programs' accounts that pass filters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::conversation::{RICH, TOKEN, transfer_to};
use crate::data::{Data, cursor};
use crate::pubsub::{Stage, TOKEN_PROGRAM, all_of};
use crate::support::Rpc;

const CLOCK: &str = "SysvarC1ock11111111111111111111111111111111";
const SYSVARS: &str = "Sysvar1111111111111111111111111111111111111";
/// Nobody has it in the sample.
const NOBODY: &str = "Nobody1111111111111111111111111111111111111";
const NOBODYS_PROGRAM: &str = "Nobody2222222222222222222222222222222222222";
/// Bytes of a token account.
const TOKEN_ACCOUNT: u64 = 165;

fn account(lamports: u64, owner: &str, data: &[u8]) -> Value {
    json!({"data": {"data": STANDARD.encode(data), "encoding": "base64"}, "executable": false, "lamports": lamports,
           "owner": owner, "space": data.len()})
}

async fn modify(rpc: &Rpc, address: &str, to: Value) {
    assert_eq!(rpc.call("modifyAccounts", json!([{address: to}])).await, 1);
}

async fn told(data: &mut Data) -> Value {
    data.next().await.message["params"]["result"].clone()
}

/// The last eight bytes of the Clock are its time, the first eight its slot.
fn slot_of_clock(account: &Value) -> u64 {
    let bytes = STANDARD.decode(account["data"][0].as_str().unwrap()).unwrap();
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

#[tokio::test]
async fn tells_of_sysvars_in_every_slot() {
    let mut stage = Stage::set(|_| {}).await;
    let mut data = stage.rpc.data().await;
    let base64 = json!({"encoding": "base64"});
    data.subscribe("accountSubscribe", json!([CLOCK, base64])).await;
    stage.control.send("continue", json!({"advanceCount": 99})).await;
    let clocks = data.rest().await;
    stage.control.run().await;
    assert_eq!(clocks.len(), 21, "one a block");
    for message in &clocks {
        let result = &message["params"]["result"];
        assert_eq!(slot_of_clock(&result["value"]), cursor(message).0);
        assert_eq!(result["context"]["slot"], cursor(message).0);
    }
    let last = stage.rpc.call("getAccountInfo", json!([CLOCK, base64])).await;
    assert_eq!(clocks[20]["params"]["result"]["value"], last["value"]);
    // All sysvars belong to one program; each is told once a slot.
    let options = json!({"encoding": "base64", "filters": [{"dataSize": 40}], "replayFromSlot": 0});
    let by_owner = all_of(&stage.rpc, "programSubscribe", json!([SYSVARS, options])).await;
    let of_clock = |message: &Value| message["params"]["result"]["value"]["account"].clone();
    let expected: Vec<_> = clocks
        .iter()
        .map(|message| message["params"]["result"]["value"].clone())
        .collect();
    assert_eq!(by_owner.iter().map(of_clock).collect::<Vec<_>>(), expected);
    stage.end(data).await;
}

#[tokio::test]
async fn tells_of_accounts_that_the_user_sets() {
    let mut stage = Stage::set(|_| {}).await;
    let mut data = stage.rpc.data().await;
    let intra = json!({"encoding": "base64", "intraSlotUpdates": true});
    data.subscribe("accountSubscribe", json!([NOBODY, intra])).await;
    data.subscribe("accountSubscribe", json!([NOBODY, {"encoding": "jsonParsed"}]))
        .await;
    for lamports in [7, 9] {
        modify(&stage.rpc, NOBODY, account(lamports, RICH, &[1, 2])).await;
        let result = told(&mut data).await;
        let expected = stage
            .rpc
            .call("getAccountInfo", json!([NOBODY, {"encoding": "base64"}]))
            .await;
        assert_eq!(
            (&result["value"], &result["context"]["slot"]),
            (&expected["value"], &json!(36))
        );
    }
    modify(&stage.rpc, NOBODY, account(9, RICH, &[1, 2])).await;
    // Nothing has changed. The next change is by a request on the control channel.
    let changes = json!({NOBODY: account(0, RICH, &[])});
    stage
        .control
        .send("continue", json!({"advanceCount": 2, "modifyAccountStates": changes}))
        .await;
    let gone = told(&mut data).await["value"].clone();
    assert_eq!((&gone["lamports"], &gone["data"]), (&json!(0), &json!(["", "base64"])));
    let at_the_end = told(&mut data).await;
    assert_eq!(
        (&at_the_end["value"]["lamports"], &at_the_end["context"]["slot"]),
        (&json!(0), &json!(36))
    );
    stage.end(data).await;
}

#[tokio::test]
async fn tells_of_airdrops_and_tokens_as_get_account_info_shows_them() {
    let stage = Stage::set(|_| {}).await;
    let mut data = stage.rpc.data().await;
    let parsed = json!({"encoding": "jsonParsed", "intraSlotUpdates": true});
    data.subscribe("accountSubscribe", json!([NOBODY, parsed])).await;
    data.subscribe("accountSubscribe", json!([TOKEN, parsed])).await;
    stage.rpc.call("requestAirdrop", json!([NOBODY, 5_000_000])).await;
    let shown = async |address: &str| stage.rpc.call("getAccountInfo", json!([address, parsed])).await["value"].clone();
    assert_eq!(told(&mut data).await["value"], shown(NOBODY).await);
    let bytes = stage
        .rpc
        .call("getAccountInfo", json!([TOKEN, {"encoding": "base64"}]))
        .await;
    let mut bytes = STANDARD.decode(bytes["value"]["data"][0].as_str().unwrap()).unwrap();
    bytes[64..72].copy_from_slice(&777_u64.to_le_bytes());
    modify(&stage.rpc, TOKEN, account(2_039_280, TOKEN_PROGRAM, &bytes)).await;
    let result = told(&mut data).await["value"].clone();
    assert_eq!(result["data"]["parsed"]["info"]["tokenAmount"]["amount"], "777");
    assert_eq!(result, shown(TOKEN).await);
    let transfer = json!([transfer_to(TOKEN, &stage.rpc).await, {"encoding": "base64"}]);
    stage.rpc.call("sendTransaction", transfer).await;
    assert_eq!(told(&mut data).await["value"], shown(TOKEN).await);
    stage.end(data).await;
}

#[tokio::test]
async fn airdrops_at_the_same_time_are_different_ones() {
    let stage = Stage::set(|_| {}).await;
    let drop = || stage.rpc.call("requestAirdrop", json!([NOBODY, 5_000_000]));
    let (first, second, third) = tokio::join!(drop(), drop(), drop());
    assert!(first != second && second != third && first != third);
    let balance = async || stage.rpc.call("getBalance", json!([NOBODY])).await["value"].clone();
    assert_eq!(balance().await, 15_000_000);
    // Spent meanwhile: the account looks as before.
    modify(&stage.rpc, NOBODY, account(0, RICH, &[])).await;
    drop().await;
    modify(&stage.rpc, NOBODY, account(0, RICH, &[])).await;
    drop().await;
    assert_eq!(balance().await, 5_000_000);
    stage.end(()).await;
}

#[tokio::test]
async fn tells_a_program_s_accounts_that_pass_filters_in_every_encoding() {
    let mut stage = Stage::set(|_| {}).await;
    stage.finish().await;
    let mint = stage
        .rpc
        .call("getAccountInfo", json!([TOKEN, {"encoding": "jsonParsed"}]))
        .await;
    let mint = mint["value"]["data"]["parsed"]["info"]["mint"].clone();
    let filters = json!([{"dataSize": TOKEN_ACCOUNT}, {"memcmp": {"offset": 0, "bytes": mint}}]);
    let of = |encoding: &str, filters: &Value| {
        let options = json!({"encoding": encoding, "filters": filters, "replayFromSlot": 0});
        json!([TOKEN_PROGRAM, options])
    };
    let all = all_of(&stage.rpc, "programSubscribe", of("base64", &json!([]))).await;
    let meant = all_of(&stage.rpc, "programSubscribe", of("base64", &filters)).await;
    assert!(!meant.is_empty() && meant.len() < all.len());
    let search = json!([TOKEN_PROGRAM, {"encoding": "base64", "filters": filters}]);
    let now = stage.rpc.call("getProgramAccounts", search).await;
    // The last that was told of an account is its state now, unless it never changed.
    for account in now.as_array().unwrap() {
        let is_it = |message: &&Value| message["params"]["result"]["value"]["pubkey"] == account["pubkey"];
        if let Some(last) = meant.iter().rfind(is_it) {
            assert_eq!(last["params"]["result"]["value"], *account);
        }
    }
    for encoding in ["base58", "base64+zstd", "jsonParsed"] {
        let options = json!([{"dataSize": TOKEN_ACCOUNT}, {"memcmp": {"offset": 0, "bytes": mint}}]);
        let told = all_of(&stage.rpc, "programSubscribe", of(encoding, &options)).await;
        let addresses = |messages: &[Value]| -> Vec<Value> {
            let address = |message: &Value| message["params"]["result"]["value"]["pubkey"].clone();
            messages.iter().map(address).collect()
        };
        assert_eq!(addresses(&told), addresses(&meant), "{encoding}");
        let data = &told[0]["params"]["result"]["value"]["account"]["data"];
        match encoding {
            "jsonParsed" => assert_eq!(data["parsed"]["info"]["mint"], mint),
            // More than base58 takes: as in Solana, an error in place of the bytes.
            "base58" => assert!(data[0].as_str().unwrap().starts_with("error: data too large"), "{data}"),
            other => assert_eq!(data[1], other),
        }
    }
    stage.end(()).await;
}

#[tokio::test]
async fn an_account_that_leaves_its_program_is_not_told_to_its_subscribers() {
    let mut stage = Stage::set(|_| {}).await;
    let mut data = stage.rpc.data().await;
    let options = |intra: bool| json!({"encoding": "base64", "intraSlotUpdates": intra, "filters": [{"dataSize": 3}]});
    let every = data
        .subscribe("programSubscribe", json!([NOBODYS_PROGRAM, options(true)]))
        .await;
    let last = data
        .subscribe("programSubscribe", json!([NOBODYS_PROGRAM, options(false)]))
        .await;
    modify(&stage.rpc, NOBODY, account(5, NOBODYS_PROGRAM, &[1, 2, 3])).await;
    modify(&stage.rpc, NOBODY, account(5, RICH, &[1, 2, 3])).await;
    modify(&stage.rpc, RICH, account(5, NOBODYS_PROGRAM, &[1, 2, 3, 4])).await;
    modify(&stage.rpc, TOKEN, account(6, NOBODYS_PROGRAM, &[4, 5, 6])).await;
    stage.control.send("continue", json!({"advanceCount": 2})).await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        let params = data.next().await.message["params"].clone();
        heard.push((
            params["subscription"].clone(),
            params["result"]["value"]["pubkey"].clone(),
        ));
    }
    let expected = [(every, NOBODY), (every, TOKEN), (last, TOKEN)];
    assert_eq!(heard, expected.map(|(number, address)| (json!(number), json!(address))));
    stage.end(data).await;
}

#[tokio::test]
async fn one_to_which_little_happens_resumes_after_its_last_notification() {
    let mut stage = Stage::set(|config| config.limits.data_bytes = 1).await;
    let mut data = stage.rpc.data().await;
    let options = json!({"encoding": "base64", "intraSlotUpdates": true});
    data.subscribe("accountSubscribe", json!([NOBODY, options])).await;
    modify(&stage.rpc, NOBODY, account(5, RICH, &[])).await;
    let first = data.next().await.message;
    assert_eq!(cursor(&first), (36, 0));
    data.raw(tokio_tungstenite::tungstenite::Message::Close(None)).await;
    stage.control.send("continue", json!({"advanceCount": 4})).await;
    stage.control.run().await;
    // Slot 36 is forgotten, and nothing was missed.
    let mut again = stage.rpc.data().await;
    let resumed = |slot: u64, index: u64| {
        let cursor = json!({"slot": slot, "index": index});
        json!([NOBODY, {"encoding": "base64", "intraSlotUpdates": true, "replayAfter": cursor}])
    };
    again.subscribe("accountSubscribe", resumed(36, 0)).await;
    modify(&stage.rpc, NOBODY, account(6, RICH, &[])).await;
    let second = again.next().await.message;
    assert_eq!(second["params"]["result"]["value"]["lamports"], 6);
    drop(again);
    stage.finish().await;
    // Something was missed now, and something may have been by another one.
    let mut late = stage.rpc.data().await;
    assert_eq!(late.refused("accountSubscribe", resumed(36, 0)).await["code"], -32097);
    let (slot, index) = cursor(&second);
    late.subscribe("accountSubscribe", resumed(slot, index)).await;
    assert_eq!(late.rest().await, [] as [Value; 0]);
    let other = json!([RICH, {"replayAfter": {"slot": slot, "index": 0}}]);
    assert_eq!(late.refused("accountSubscribe", other).await["code"], -32097);
    stage.end(late).await;
}

#[tokio::test]
async fn a_notification_of_the_client_has_no_answer() {
    let stage = Stage::set(|_| {}).await;
    let mut data = stage.rpc.data().await;
    for text in [
        r#"{"jsonrpc": "2.0", "method": "ping"}"#,
        r#"{"method": "slotSubscribe"}"#,
    ] {
        data.raw(tokio_tungstenite::tungstenite::Message::text(text)).await;
    }
    assert_eq!(
        data.subscribe("slotSubscribe", json!([])).await,
        1,
        "the next message is the answer to this"
    );
    stage.end(data).await;
}
