//! Searches through all accounts and what is known of tokens, compared with the accounts of the sample.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simulator_archive::import::ScopeChoice;
use solana_rpc_client_types::response::{Response, RpcKeyedAccount, RpcTokenAccountBalance};

use crate::conversation::{RICH, TOKEN};
use crate::support::{Control, Rpc, Running, SampleArchive};

const TOKEN_PROGRAM: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
const MISSING: &str = "Missing111111111111111111111111111111111111";

/// A session that has executed the whole sample, and the accounts as the validator left them.
struct Ended {
    rpc: Rpc,
    truth: BTreeMap<String, Value>,
    _control: Control,
    _server: Running,
    _sample: SampleArchive,
}

impl Ended {
    async fn new(scope: ScopeChoice) -> Self {
        let sample = SampleArchive::import(scope).await;
        let server = Running::start(sample.config()).await;
        let mut control = server.connect().await;
        let (rpc, _) = control.create(json!({"startSlot": 36, "endSlot": 59})).await;
        control.run().await;
        control.send("continue", json!({"advanceCount": 100})).await;
        let last = control.run().await.pop().unwrap();
        assert_eq!(last["method"], "completed", "{last}");
        Self {
            rpc,
            truth: accounts_at_end(),
            _control: control,
            _server: server,
            _sample: sample,
        }
    }

    /// Addresses and accounts for which this holds, as a search shows them.
    fn expected(&self, is_wanted: impl Fn(&Value, &[u8]) -> bool) -> Vec<Value> {
        let is_wanted = |account: &Value| is_wanted(account, &data(account));
        let wanted = self.truth.iter().filter(|(_, account)| is_wanted(account));
        wanted
            .map(|(address, account)| json!({"pubkey": address, "account": account}))
            .collect()
    }

    /// The mint of most of the sample's token accounts, with its decimals and its supply.
    fn busiest_mint(&self) -> (String, u8, u64) {
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for account in self.expected(is_token_account) {
            *count
                .entry(bs58::encode(&data(&account["account"])[..32]).into_string())
                .or_default() += 1;
        }
        let mint = count.into_iter().max_by_key(|(_, count)| *count).unwrap().0;
        let state = data(&self.truth[&mint]);
        let supply = u64::from_le_bytes(state[36..44].try_into().unwrap());
        (mint, state[44], supply)
    }
}

fn accounts_at_end() -> BTreeMap<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/agave-small/accounts-end.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| (line["pubkey"].as_str().unwrap().to_owned(), line["account"].clone()))
        .collect()
}

fn data(account: &Value) -> Vec<u8> {
    STANDARD.decode(account["data"][0].as_str().unwrap()).unwrap()
}

fn is_token_account(account: &Value, data: &[u8]) -> bool {
    account["owner"] == TOKEN_PROGRAM && data.len() == 165 && data[108] != 0
}

/// In the order of the truth.
fn by_address(found: &Value) -> Vec<Value> {
    let mut found = found.as_array().unwrap().clone();
    found.sort_by_key(|one| one["pubkey"].as_str().unwrap().to_owned());
    found
}

#[tokio::test]
async fn program_accounts_are_those_of_the_validator() {
    let ended = Ended::new(ScopeChoice::Auto).await;
    let search = async |config: Value| {
        ended
            .rpc
            .call("getProgramAccounts", json!([TOKEN_PROGRAM, config]))
            .await
    };
    let found = search(json!({"encoding": "base64"})).await;
    let expected = ended.expected(|account, _| account["owner"] == TOKEN_PROGRAM);
    assert!(expected.len() > 100);
    assert_eq!(by_address(&found), expected);
    serde_json::from_value::<Vec<RpcKeyedAccount>>(found).unwrap();

    let owner = bs58::encode(&data(&ended.truth[TOKEN])[32..64]).into_string();
    let filters = json!([{"dataSize": 165}, {"memcmp": {"offset": 32, "bytes": owner}}, "tokenAccountState"]);
    let config = json!({"encoding": "base64", "filters": filters, "withContext": true, "commitment": "processed"});
    let found = search(config).await;
    assert_eq!(found["context"]["slot"], 59);
    let is_of_owner = |account: &Value, data: &[u8]| {
        is_token_account(account, data) && bs58::encode(&data[32..64]).into_string() == owner
    };
    let expected = ended.expected(is_of_owner);
    assert!(!expected.is_empty());
    assert_eq!(by_address(&found["value"]), expected);
    let owned = ended.rpc.call(
        "getTokenAccountsByOwner",
        json!([owner, {"programId": TOKEN_PROGRAM}, {"encoding": "base64"}]),
    );
    assert_eq!(by_address(&owned.await["value"]), expected);

    let sliced =
        json!({"encoding": "base64", "filters": [{"dataSize": 165}], "dataSlice": {"offset": 64, "length": 8}});
    for one in search(sliced).await.as_array().unwrap() {
        let whole = data(&ended.truth[one["pubkey"].as_str().unwrap()]);
        assert_eq!(data(&one["account"]), whole[64..72], "{one}");
    }
    let parsed = search(json!({"encoding": "jsonParsed", "filters": [{"dataSize": 82}]})).await;
    assert_eq!(parsed[0]["account"]["data"]["parsed"]["type"], "mint");
    check_search_refusals(&ended.rpc).await;
}

async fn check_search_refusals(rpc: &Rpc) {
    let refused = async |config: Value| rpc.error("getProgramAccounts", json!([TOKEN_PROGRAM, config])).await;
    let size = json!({"dataSize": 165});
    let (code, message) = refused(json!({"filters": [size, size, size, size, size]})).await;
    assert_eq!((code, message.as_str()), (-32602, "Too many filters provided; max 4"));
    let (code, _) = refused(json!({"filters": [{"memcmp": {"offset": 0, "bytes": "0OIl"}}]})).await;
    assert_eq!(code, -32602, "not base58");
    assert_eq!(refused(json!({"minContextSlot": 60})).await.0, -32016);
    let (code, message) = refused(json!({})).await;
    assert!(code == -32600 && message.contains("base 58"), "{message}");
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "getProgramAccounts", "params": [MISSING]});
    let (_, text) = rpc.post(Value::Array(vec![call; 9]).to_string()).await;
    let replies: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(replies[7]["result"], json!([]));
    assert_eq!(replies[8]["error"]["code"], -32600, "{replies:?}");
}

#[tokio::test]
async fn tokens_are_those_of_the_validator() {
    let ended = Ended::new(ScopeChoice::Auto).await;
    let (mint, decimals, supply) = ended.busiest_mint();
    let call = async |method, params| ended.rpc.call(method, params).await;
    let shown = call("getTokenSupply", json!([mint])).await;
    assert_eq!(shown["value"]["amount"], supply.to_string());
    assert_eq!(shown["value"]["decimals"], decimals);

    let mut holders: Vec<(u64, String)> = ended
        .expected(|account, data| is_token_account(account, data) && bs58::encode(&data[..32]).into_string() == mint)
        .iter()
        .map(|one| (amount(&one["account"]), one["pubkey"].as_str().unwrap().to_owned()))
        .collect();
    holders.sort_by(|one, other| other.cmp(one));
    let balance = call("getTokenAccountBalance", json!([holders[0].1])).await;
    assert_eq!(balance["value"]["amount"], holders[0].0.to_string());
    let largest = call("getTokenLargestAccounts", json!([mint])).await;
    let largest: Response<Vec<RpcTokenAccountBalance>> = serde_json::from_value(largest).unwrap();
    let amounts: Vec<u64> = largest
        .value
        .iter()
        .map(|one| one.amount.amount.parse().unwrap())
        .collect();
    let expected: Vec<u64> = holders.iter().map(|(amount, _)| *amount).take(20).collect();
    assert_eq!(amounts, expected);

    for program in [TOKEN_PROGRAM, TOKEN_2022] {
        check_owned(&ended, program).await;
    }
    let delegated = call("getTokenAccountsByDelegate", json!([RICH, {"mint": mint}])).await;
    assert_eq!(delegated["value"], json!([]));
    check_token_refusals(&ended.rpc, &mint).await;
}

/// The tokens of one of the owners, shown parsed.
async fn check_owned(ended: &Ended, program: &str) {
    let of_program = |account: &Value, data: &[u8]| {
        account["owner"] == program && data.len() >= 165 && (data.len() == 165 || data[165] == 2)
    };
    let owner = bs58::encode(&data(&ended.expected(of_program)[0]["account"])[32..64]).into_string();
    let params = json!([owner, {"programId": program}, {"encoding": "jsonParsed"}]);
    let found = ended.rpc.call("getTokenAccountsByOwner", params).await;
    let addresses = |found: &[Value]| -> Vec<String> {
        found
            .iter()
            .map(|one| one["pubkey"].as_str().unwrap().to_owned())
            .collect()
    };
    let expected =
        ended.expected(|account, data| of_program(account, data) && bs58::encode(&data[32..64]).into_string() == owner);
    let found = by_address(&found["value"]);
    assert_eq!(addresses(&found), addresses(&expected));
    for (one, expected) in found.iter().zip(&expected) {
        let info = &one["account"]["data"]["parsed"]["info"];
        assert_eq!(info["owner"], owner, "{one}");
        assert_eq!(info["tokenAmount"]["amount"], amount(&expected["account"]).to_string());
    }
}

fn amount(account: &Value) -> u64 {
    u64::from_le_bytes(data(account)[64..72].try_into().unwrap())
}

async fn check_token_refusals(rpc: &Rpc, mint: &str) {
    let cases = [
        ("getTokenAccountBalance", json!([RICH]), "not a Token account"),
        ("getTokenAccountBalance", json!([mint]), "not a Token account"),
        ("getTokenAccountBalance", json!([MISSING]), "could not find account"),
        ("getTokenSupply", json!([TOKEN]), "mint could not be unpacked"),
        ("getTokenSupply", json!([RICH]), "not a Token mint"),
        (
            "getTokenLargestAccounts",
            json!([TOKEN]),
            "Token mint could not be unpacked",
        ),
        ("getTokenLargestAccounts", json!([MISSING]), "could not find mint"),
        (
            "getTokenAccountsByOwner",
            json!([RICH, {"mint": MISSING}]),
            "could not find mint",
        ),
        (
            "getTokenAccountsByOwner",
            json!([RICH, {"programId": MISSING}]),
            "unrecognized Token program id",
        ),
    ];
    for (method, params, why) in cases {
        let (code, message) = rpc.error(method, params).await;
        assert_eq!((code, message), (-32602, format!("Invalid param: {why}")), "{method}");
    }
}

#[tokio::test]
async fn a_search_does_not_pretend_that_a_list_is_everything() {
    let ended = Ended::new(ScopeChoice::Listed).await;
    let (mint, ..) = ended.busiest_mint();
    let base64 = json!({"encoding": "base64"});
    let searches = [
        ("getProgramAccounts", json!([TOKEN_PROGRAM]), base64.clone()),
        ("getTokenLargestAccounts", json!([mint]), base64.clone()),
        ("getTokenAccountsByOwner", json!([RICH, {"mint": mint}]), base64.clone()),
        (
            "getTokenAccountsByDelegate",
            json!([RICH, {"mint": mint}]),
            base64.clone(),
        ),
    ];
    for (method, params, config) in searches {
        let with = |config: &Value| {
            let mut params = params.as_array().unwrap().clone();
            params.push(config.clone());
            Value::Array(params)
        };
        let (code, message) = ended.rpc.error(method, with(&config)).await;
        assert!(
            code == -32096 && message.contains("allowPartial"),
            "{method}: {message}"
        );
        let mut partial = config.clone();
        partial["allowPartial"] = json!(true);
        ended.rpc.call(method, with(&partial)).await;
    }
    let config = json!({"encoding": "base64", "allowPartial": true});
    let found = ended
        .rpc
        .call("getProgramAccounts", json!([TOKEN_PROGRAM, config]))
        .await;
    let held = ended.expected(|account, _| account["owner"] == TOKEN_PROGRAM);
    assert_eq!(
        by_address(&found),
        held,
        "the sample's list is complete, but does not say so"
    );
    for (method, params) in [
        ("getTokenAccountBalance", json!([MISSING])),
        ("getTokenSupply", json!([MISSING])),
        (
            "getTokenAccountsByOwner",
            json!([RICH, {"mint": MISSING}, {"allowPartial": true}]),
        ),
    ] {
        let reply = ended.rpc.reply(method, params).await;
        assert_eq!(reply["error"]["code"], -32099, "{reply}");
        assert_eq!(reply["error"]["data"]["account"], MISSING);
    }
}
