//! The fuzz targets of what clients send, on mutations of well-formed requests, the same in every run.

use simulator_server::fuzz::{control_requests, data_requests, json_rpc_requests};
use simulator_testkit::seeded::Seeded;

const RUNS: u64 = 4_000;
const ADDRESS: &str = "Stake11111111111111111111111111111111111111";
const SIGNATURE: &str = "DPKi42qxxNTBrvvwWtuoSQauM3L5jmLc4Z3GoVS8fGFAyYpqAYhRRjTcsqDpcYEbgLnqAPYrVHRkyDLoaH7w85N";

const CONTROL: [&str; 13] = [
    r#"{"method":"createBacktestSession","params":{"startSlot":402000000,"endSlot":402000063,"sendSummary":true,"createToken":"a","disconnectTimeoutSecs":900}}"#,
    r#"{"method":"createBacktestSession","params":{"version":"v1","startSlot":1,"endSlot":2,"parallel":true,"signerFilter":["Stake11111111111111111111111111111111111111"]}}"#,
    r#"{"method":"createBacktestSession","params":{"startSlot":1,"endSlot":2,"discoveries":[{"programExecuted":{"program":"Stake11111111111111111111111111111111111111"}}],"outcomes":"accountDiffs","startPaused":true}}"#,
    r#"{"method":"continue","params":{"advanceCount":18446744073709551615,"requestId":"a-1"}}"#,
    r#"{"method":"continue","params":{"advanceCount":1,"transactions":[{"data":"AQID","encoding":"base64"}],"modifyAccountStates":{"Stake11111111111111111111111111111111111111":{"data":{"data":"AQ==","encoding":"base64"},"executable":false,"lamports":5,"owner":"11111111111111111111111111111111","space":1}}}}"#,
    r#"{"method":"continueTo","params":{"slot":402000017,"batchIndex":9}}"#,
    r#"{"method":"continueTo","params":{"slot":402000017,"batchIndex":null,"requestId":"b"}}"#,
    r#"{"method":"closeBacktestSession"}"#,
    r#"{"method":"resumeAttachedSession","params":null}"#,
    r#"{"method":"attachBacktestSession","params":{"session_id":"backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011","last_sequence":7}}"#,
    r#"{"method":"attachParallelControlSessionV2","params":{"control_session_id":"parallel_0192f0c4b0117e2a9d3c5f60718293a4","last_sequences":{"backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011":4}}}"#,
    r#"{"method":"continueSessionV1","params":{"sessionId":"backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011","request":{"advanceCount":1}}}"#,
    r#"{"method":"somethingNew","params":[1,2]}"#,
];

/// Each method with parameters of every kind that there is.
const METHODS: [&str; 45] = [
    "getAccountInfo",
    "getAddressLookupTable",
    "getBalance",
    "getBlock",
    "getBlockHeight",
    "getBlockTime",
    "getBlocks",
    "getBlocksWithLimit",
    "getEpochInfo",
    "getEpochSchedule",
    "getFeeForMessage",
    "getFirstAvailableBlock",
    "getGenesisHash",
    "getHealth",
    "getIdentity",
    "getLatestBlockhash",
    "getMinimumBalanceForRentExemption",
    "getMultipleAccounts",
    "getProgramAccounts",
    "getRecentPrioritizationFees",
    "getReplayAccounts",
    "getReplayOutcomes",
    "getReplayStateDigest",
    "getReplaySummary",
    "getSignatureStatuses",
    "getSignaturesForAddress",
    "getSlot",
    "getTokenAccountBalance",
    "getTokenAccountsByDelegate",
    "getTokenAccountsByOwner",
    "getTokenLargestAccounts",
    "getTokenSupply",
    "getTransaction",
    "getTransactionCount",
    "getVersion",
    "isBlockhashValid",
    "minimumLedgerSlot",
    "modifyAccounts",
    "requestAirdrop",
    "sendTransaction",
    "simulateTransaction",
    "getSupply",
    "getVoteAccounts",
    "getNothing",
    "",
];

const SUBSCRIPTIONS: [&str; 13] = [
    "account",
    "accountDiff",
    "action",
    "block",
    "logs",
    "program",
    "root",
    "signature",
    "slot",
    "slotsUpdates",
    "transaction",
    "vote",
    "nothing",
];

fn parameters() -> Vec<String> {
    vec![
        "[]".to_owned(),
        "null".to_owned(),
        format!(r#"["{ADDRESS}"]"#),
        format!(r#"["{SIGNATURE}",{{"encoding":"jsonParsed","maxSupportedTransactionVersion":0}}]"#),
        format!(r#"[["{ADDRESS}","{ADDRESS}"],{{"encoding":"base64+zstd","dataSlice":{{"offset":1,"length":2}}}}]"#),
        format!(
            r#"["{ADDRESS}",{{"filters":[{{"dataSize":165}},{{"memcmp":{{"offset":0,"bytes":"3Mc6vR"}}}}],"withContext":true}}]"#
        ),
        format!(r#"["{ADDRESS}",{{"mint":"{ADDRESS}"}},{{"encoding":"jsonParsed","minContextSlot":9}}]"#),
        format!(r#"["{ADDRESS}",1000000000,{{"commitment":"finalized"}}]"#),
        r#"[402000017,{"encoding":"base64","transactionDetails":"full","rewards":true}]"#.to_owned(),
        r#"[1,18446744073709551615]"#.to_owned(),
        format!(
            r#"[{{"mentions":["{ADDRESS}"]}},{{"commitment":"confirmed","compression":"zstd","replayFromSlot":-1}}]"#
        ),
        r#"["all",{"encoding":"base64","showRewards":false,"replayAfter":{"slot":4,"index":1}}]"#.to_owned(),
        format!(
            r#"[{{"{ADDRESS}":{{"data":{{"data":"AQ==","encoding":"base64"}},"executable":false,"lamports":5,"owner":"{ADDRESS}","space":1}}}}]"#
        ),
        format!(
            r#"["{}",{{"encoding":"base64","sigVerify":true,"innerInstructions":true,"accounts":{{"addresses":["{ADDRESS}"]}}}}]"#,
            transaction()
        ),
    ]
}

/// A transfer in base64.
fn transaction() -> String {
    let body = [
        vec![1],
        vec![7; 64],
        vec![1, 0, 1, 3],
        vec![9; 96],
        vec![3; 32],
        vec![1, 2, 2, 0, 1, 4, 2, 0, 0, 0],
    ];
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, body.concat())
}

/// Calls of every one of these methods, or of several at once, some of them damaged.
fn calls(random: &mut Seeded, methods: &[String], parameters: &[String]) -> Vec<u8> {
    let mut call = || {
        let (method, params) = (
            &methods[random.index(methods.len())],
            &parameters[random.index(parameters.len())],
        );
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":{params}}}"#,
            random.below(9)
        )
    };
    let mut bytes = call().into_bytes();
    if bytes.len().is_multiple_of(5) {
        bytes = format!("[{},{}]", call(), call()).into_bytes();
    }
    (0..random.below(4)).for_each(|_| random.damage(&mut bytes));
    bytes
}

fn run(target: fn(&[u8]), mut input: impl FnMut(&mut Seeded) -> Vec<u8>) {
    for seed in 0..RUNS {
        let bytes = input(&mut Seeded::new(seed));
        let outcome = std::panic::catch_unwind(|| target(&bytes));
        assert!(
            outcome.is_ok(),
            "seed {seed} breaks a promise: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn control_requests_break_nothing() {
    CONTROL.iter().for_each(|text| control_requests(text.as_bytes()));
    run(control_requests, |random| {
        let mut bytes = CONTROL[random.index(CONTROL.len())].as_bytes().to_vec();
        (0..random.below(4)).for_each(|_| random.damage(&mut bytes));
        bytes
    });
}

#[test]
fn json_rpc_requests_break_nothing() {
    let (methods, parameters) = (METHODS.map(str::to_owned), parameters());
    for (method, params) in methods
        .iter()
        .flat_map(|method| parameters.iter().map(move |params| (method, params)))
    {
        json_rpc_requests(format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#).as_bytes());
    }
    run(json_rpc_requests, |random| calls(random, &methods, &parameters));
}

#[test]
fn data_requests_break_nothing() {
    let name = |kind: &str| ["Subscribe", "Unsubscribe"].map(|suffix| format!("{kind}{suffix}"));
    let methods: Vec<_> = SUBSCRIPTIONS.into_iter().flat_map(name).collect();
    let parameters = parameters();
    run(data_requests, |random| calls(random, &methods, &parameters));
}
