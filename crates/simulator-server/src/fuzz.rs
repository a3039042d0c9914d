//! What fuzzers do to the parsers of what clients send. Not an interface.
//!
//! Each function is a fuzz target of `fuzz/`, and is also run in the tests on mutations of well-formed requests. A target
//! panics where a parser breaks a promise: that it does not panic, that what it refuses has a known code, and that an
//! answer is not much larger than what was asked.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::Value;
use simulator_api::{BacktestError, BacktestRequest};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{Limits, Times};
use crate::convert::{continue_order, continue_to_order, session_spec};
use crate::durable::Keeping;
use crate::encode::Encoders;
use crate::event_log::EventLog;
use crate::handle::SessionHandle;
use crate::pubsub::{DataLog, check_request};
use crate::rpc::{self, Target};
use crate::usage::SessionMeter;

/// The codes of JSON-RPC, Solana's and ours.
const CODES: [i64; 17] = [
    -32700, -32603, -32602, -32601, -32600, -32099, -32098, -32097, -32096, -32001, -32002, -32003, -32004, -32007,
    -32015, -32016, -32006,
];
/// How much an answer may have beside what was asked, for each byte that was asked and altogether.
const MAX_GROWTH: usize = 64;
const MAX_EXTRA: usize = 1 << 14;

/// A message on the control channel.
pub fn control_requests(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let refused = match BacktestRequest::from_json(&text) {
        Err(error) => Err(BacktestError::from(&error)),
        Ok(request) => {
            let again = serde_json::to_string(&request).expect("requests have text keys only");
            let again = BacktestRequest::from_json(&again);
            let is_same = again.as_ref().is_ok_and(|again| *again == request);
            assert!(is_same, "{request:?} is written so that it is read as {again:?}");
            carry_out(request)
        }
    };
    if let Err(error) = refused {
        let shown = serde_json::to_vec(&error).expect("errors have text keys only");
        check_size(shown.len(), text.len());
    }
}

/// As far as that goes without a session.
fn carry_out(request: BacktestRequest) -> Result<(), BacktestError> {
    match request {
        BacktestRequest::CreateBacktestSession(create) => session_spec(&create, &Times::default()).map(drop),
        BacktestRequest::Continue(params) => continue_order(params).map(drop),
        BacktestRequest::ContinueTo(params) => {
            drop(continue_to_order(params));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The body of an HTTP request, to a session that has ended: everything but the reading of accounts happens.
pub fn json_rpc_requests(input: &[u8]) {
    static SCENE: LazyLock<(Runtime, Target)> = LazyLock::new(scene);
    let (runtime, target) = &*SCENE;
    let Some(answer) = runtime.block_on(rpc::answer(target, input)) else {
        return;
    };
    check_size(answer.len(), input.len());
    match serde_json::from_slice(&answer).expect("an answer is JSON") {
        Value::Array(answers) => answers.iter().for_each(check_answer),
        answer => check_answer(&answer),
    }
}

/// A message on a data channel.
pub fn data_requests(input: &[u8]) {
    if let Err(error) = check_request(&String::from_utf8_lossy(input)) {
        assert!(CODES.contains(&error.code), "{error:?}");
        check_size(error.message.len(), input.len());
    }
}

fn check_answer(answer: &Value) {
    assert!(answer.get("id").is_some() && answer["jsonrpc"] == "2.0", "{answer}");
    match (answer.get("result"), answer.get("error")) {
        (Some(_), None) => {}
        (None, Some(error)) => {
            let code = error["code"].as_i64();
            assert!(code.is_some_and(|code| CODES.contains(&code)), "{answer}");
            assert!(error["message"].is_string(), "{answer}");
        }
        _ => panic!("either a result or an error: {answer}"),
    }
}

fn check_size(answer: usize, asked: usize) {
    let most = asked.saturating_mul(MAX_GROWTH) + MAX_EXTRA;
    assert!(answer <= most, "{answer} bytes in answer to {asked}");
}

/// A session that takes no messages any more.
fn scene() -> (Runtime, Target) {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without I/O needs nothing");
    let (limits, times) = (Limits::default(), Times::default());
    let (inbox, _) = mpsc::channel(1);
    let session = SessionHandle {
        id: "backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011".parse().expect("it is one"),
        number: 0,
        inbox,
        events: Arc::new(EventLog::new(&limits)),
        outcomes: None,
        data: Arc::new(DataLog::new(limits.data(), &limits.data_pool())),
        meter: SessionMeter::alone(),
        disconnect: Duration::ZERO,
        transactions: simulator_engine::BlockTransactions::Execute,
        airdrops: 0.into(),
        name: None,
        keeping: Keeping::default(),
        stop: CancellationToken::new(),
        finished: CancellationToken::new(),
    };
    let target = Target::of(Arc::new(session), limits, times, Encoders::new(1));
    (runtime, target)
}
