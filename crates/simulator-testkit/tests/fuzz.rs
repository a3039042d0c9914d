//! The fuzz targets on mutations of well-formed conversations, the same in every run.

use simulator_testkit::fuzz::{compressed_frames, control_frames, input, notifications};
use simulator_testkit::seeded::Seeded;

const SESSION: &str = r#"{"method":"sessionCreated","params":{"session_id":"backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011","rpc_endpoint":"/backtest/x","capabilities":["requestId"]}}"#;

const CONTROL: [&str; 16] = [
    SESSION,
    r#"{"method":"sessionAttached","params":{"session_id":"backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011","rpc_endpoint":"/backtest/x"}}"#,
    r#"{"method":"success"}"#,
    r#"{"seqId":1,"method":"readyForContinue"}"#,
    r#"{"seqId":2,"method":"slotNotification","params":402000002}"#,
    r#"{"seqId":18446744073709551615,"method":"slotNotification","params":7}"#,
    r#"{"seqId":3,"requestId":"a-1","replayed":true,"method":"paused","params":{"slot":402000017,"batchIndex":9}}"#,
    r#"{"method":"status","params":{"status":"startingRuntime"}}"#,
    r#"{"method":"status","params":{"status":"executingBlockTransactions"}}"#,
    r#"{"seqId":4,"method":"error","params":{"simulationError":{"error":"x"}}}"#,
    r#"{"method":"error","params":{"sessionOwnershipBusy":{"reason":"x"}}}"#,
    r#"{"method":"error","params":{"invalidRequest":{"error":"x"}}}"#,
    r#"{"seqId":5,"method":"discoveryBatch","params":{"slot":4,"batchIndex":1,"matched":[],"transactions":[{"data":"AQ==","encoding":"base64"}]}}"#,
    r#"{"seqId":6,"method":"completed","params":{}}"#,
    r#"{"method":"somethingNew","params":[1,2]}"#,
    r#"{"seqId":7,"method":"error","params":"noMoreBlocks"}"#,
];

const DATA: [&str; 9] = [
    r#"{"jsonrpc":"2.0","id":1,"result":17}"#,
    r#"{"jsonrpc":"2.0","id":2,"result":18}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#,
    r#"{"jsonrpc":"2.0","method":"accountDiffNotification","params":{"subscription":17,"result":{"context":{"slot":4},"account":"a","signature":"s","tx_index":1,"pre":null,"post":{"lamports":1,"data":["3q2+7w==","base64"],"owner":"11111111111111111111111111111111","executable":false,"rentEpoch":0,"space":4}},"cursor":{"slot":4,"index":1}}}"#,
    r#"{"jsonrpc":"2.0","method":"accountDiffNotification","params":{"subscription":18,"result":{"context":{"slot":4},"account":"a","signature":"s","tx_index":1,"pre":null,"post":null}}}"#,
    r#"{"jsonrpc":"2.0","method":"transactionNotification","params":{"subscription":17,"result":{"slot":4,"transaction":["AQAB","base64"],"meta":null}}}"#,
    r#"{"jsonrpc":"2.0","method":"logsNotification","params":{"subscription":17,"result":{"context":{"slot":4},"value":{"signature":"s","err":null,"logs":["a\"b"]}}}}"#,
    r#"{"jsonrpc":"2.0","method":"subscriptionComplete","params":{"subscription":17}}"#,
    r#"{"jsonrpc":"2.0","method":"slotNotification","params":{"subscription":17,"result":{"parent":1,"root":0,"slot":2}}}"#,
];

const RUNS: u64 = 3_000;

/// Puts a random conversation together, and damages some of it.
fn conversation(random: &mut Seeded, messages: &[Vec<u8>]) -> Vec<u8> {
    let steps = random.below(24) + 1;
    let contents: Vec<_> = (0..steps)
        .map(|_| {
            let mut content = messages[random.index(messages.len())].clone();
            if random.below(3) == 0 {
                random.damage(&mut content);
            }
            // Mostly messages: the other steps have the smallest numbers.
            let kind = if random.below(5) == 0 {
                random.below(256)
            } else {
                7 + 16 * random.below(15)
            };
            (byte(kind), content)
        })
        .collect();
    let mut bytes = input(contents.iter().map(|(kind, content)| (*kind, content.as_slice())));
    if random.below(10) == 0 {
        random.damage(&mut bytes);
    }
    bytes
}

fn byte(number: u64) -> u8 {
    u8::try_from(number).expect("it is below 256")
}

fn run(target: fn(&[u8]), messages: &[Vec<u8>]) {
    for seed in 0..RUNS {
        let bytes = conversation(&mut Seeded::new(seed), messages);
        let outcome = std::panic::catch_unwind(|| target(&bytes));
        assert!(outcome.is_ok(), "seed {seed} breaks a promise");
    }
}

fn bytes_of(messages: &[&str]) -> Vec<Vec<u8>> {
    messages.iter().map(|message| message.as_bytes().to_vec()).collect()
}

#[test]
fn control_frames_break_nothing() {
    run(control_frames, &bytes_of(&CONTROL));
}

#[test]
fn notifications_break_nothing() {
    run(notifications, &bytes_of(&DATA));
}

#[test]
fn compressed_frames_break_nothing() {
    let packed = |message: &[u8]| zstd::bulk::compress(message, 3).unwrap();
    let mut messages = bytes_of(&DATA);
    messages.extend(DATA.iter().map(|message| packed(message.as_bytes())));
    messages.push(packed(&vec![b' '; 1 << 24]));
    run(compressed_frames, &messages);
}

#[test]
fn a_conversation_of_a_whole_session_reaches_its_end() {
    // Without this, a target that never gets past the handshake would pass.
    let steps = [SESSION, CONTROL[3], CONTROL[4], CONTROL[13]];
    control_frames(&input(steps.iter().map(|text| (7, text.as_bytes()))));
    notifications(&input(DATA.iter().map(|text| (7, text.as_bytes()))));
}
