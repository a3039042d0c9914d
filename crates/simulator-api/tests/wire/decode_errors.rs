//! What a client reads when its request cannot be decoded.

use serde_json::json;
use simulator_api::{BacktestError, BacktestRequest, BacktestResponse, DecodeError, Problem};

use crate::addresses::{CLOCK, SYSVAR};

#[test]
fn create_names_the_field() {
    let cases = [
        (r#"{"endSlot": 2}"#, "params.startSlot: required field is missing"),
        (
            r#"{"startSlot": 1, "endSlot": "2"}"#,
            "params.endSlot: expected an unsigned 64-bit integer, got a string",
        ),
        (
            r#"{"startSlot": 1.0, "endSlot": 2}"#,
            "params.startSlot: expected an unsigned 64-bit integer, got the number 1.0",
        ),
        (
            r#"{"startSlot": -1, "endSlot": 2}"#,
            "params.startSlot: expected an unsigned 64-bit integer, got the number -1",
        ),
        (
            r#"{"startSlot": null, "endSlot": 2}"#,
            "params.startSlot: expected an unsigned 64-bit integer, got null",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 18446744073709551616}"#,
            "params.endSlot: expected an unsigned 64-bit integer, got the number 18446744073709551616",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "disconnectTimeoutSecs": 65536}"#,
            "params.disconnectTimeoutSecs: expected an unsigned 16-bit integer, got the number 65536",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "sendSummary": null}"#,
            "params.sendSummary: expected a boolean, got null",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "parallel": 1}"#,
            "params.parallel: expected a boolean, got the number 1",
        ),
    ];
    for (params, expected) in cases {
        assert_eq!(
            request_error("createBacktestSession", params).to_string(),
            expected,
            "{params}"
        );
    }
}

#[test]
fn create_names_what_is_nested() {
    let cases = [
        (
            r#"{"startSlot": 1, "endSlot": 2, "signerFilter": ["x"]}"#,
            "params.signerFilter[0]: expected a base58 address",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "discoveries": [{"kind": "any", "value": 1}]}"#,
            "params.discoveries[0].kind: expected \"programExecuted\" or \"oracleUpdate\", got \"any\"",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "agents": [{"agentType": "arb", "arbRoutes": [{}]}]}"#,
            "params.agents[0].arbRoutes[0].baseMint: required field is missing",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "reroute": {"aggregators": ["other"]}}"#,
            "params.reroute.aggregators[0]: expected \"jupiter\", \"okx\", \"titan\" or \"dflow\", got \"other\"",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "diagnosticProbes": [{"anchor": {"at": "afterEverySlot", "everyNSlots": 0}}]}"#,
            "params.diagnosticProbes[0].anchor.everyNSlots: expected an integer of at least 1, got the number 0",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "actions": []}"#,
            "params.actions: expected a string, got an array",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "outcomes": "all"}"#,
            "params.outcomes: expected \"divergences\", \"transactions\" or \"accountDiffs\", got \"all\"",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "features": true}"#,
            "params.features: expected \"accounts\", \"all\" or an array of feature addresses, got the boolean true",
        ),
        (
            r#"{"startSlot": 1, "endSlot": 2, "name": "-x"}"#,
            "params.name: expected a session name of 1 to 100 letters, digits and \".\", \"_\", \"-\" that begins and \
             ends with a letter or digit, got \"-x\"",
        ),
    ];
    for (params, expected) in cases {
        assert_eq!(
            request_error("createBacktestSession", params).to_string(),
            expected,
            "{params}"
        );
    }
}

#[test]
fn other_requests_name_the_field() {
    let cases = [
        ("continue", "[]", "params: expected an object, got an array"),
        (
            "continue",
            r#"{"transactions": ["AA==", 7]}"#,
            "params.transactions[1]: expected a string, got the number 7",
        ),
        (
            "continue",
            r#"{"requestId": ""}"#,
            "params.requestId: expected a request id of 1 to 64 characters, got 0",
        ),
        (
            "continueTo",
            r#"{"batchIndex": 1}"#,
            "params.slot: required field is missing",
        ),
        (
            "continueSessionV1",
            r#"{"request": {}}"#,
            "params.sessionId: required field is missing",
        ),
        (
            "continueToSessionV1",
            r#"{"request": {"slot": true}}"#,
            "params.request.slot: expected an unsigned 64-bit integer, got the boolean true",
        ),
        (
            "attachBacktestSession",
            r#"{"session_id": "parallel_0192f0c4b0117e2a9d3c5f60718293a4"}"#,
            "params.session_id: expected an id of the form backtest_<uuid>, got \
             \"parallel_0192f0c4b0117e2a9d3c5f60718293a4\"",
        ),
        (
            "attachParallelControlSessionV2",
            r#"{"control_session_id": "0192f0c4b0117e2a9d3c5f60718293a4", "last_sequences": {"x": 1}}"#,
            "params.last_sequences.x: expected an id of the form backtest_<uuid>, got \"x\"",
        ),
        (
            "closeBacktestSession",
            "{}",
            "params: expected no params, got an object",
        ),
        (
            "resumeAttachedSession",
            "[]",
            "params: expected no params, got an array",
        ),
    ];
    for (method, params, expected) in cases {
        assert_eq!(request_error(method, params).to_string(), expected, "{method} {params}");
    }
}

#[test]
fn a_message_needs_a_method_and_its_params() {
    let error = |text| BacktestRequest::from_json(text).unwrap_err().to_string();
    assert_eq!(error("{}"), "method: required field is missing");
    assert_eq!(error(r#"{"method": 1}"#), "method: expected a string, got the number 1");
    assert_eq!(error("[1]"), "expected an object, got an array");
    assert_eq!(error(r#"{"method": "continue"}"#), "params: required field is missing");
    assert_eq!(
        error(r#"{"method": "continue", "params": null}"#),
        "params: expected an object, got null"
    );
    assert_eq!(
        error("{"),
        "not valid JSON: EOF while parsing an object at line 1 column 1"
    );
}

#[test]
fn an_error_has_a_path_and_a_problem() {
    let error = request_error("continueTo", r#"{"slot": []}"#);
    assert_eq!(error.path(), "params.slot");
    assert!(matches!(
        error.problem(),
        Problem::Unexpected {
            expected: "an unsigned 64-bit integer",
            ..
        }
    ));
}

#[test]
fn a_server_answers_with_the_most_fitting_error() {
    let key = request_error("continue", r#"{"modifyAccountStates": {"zzz": {}}}"#);
    assert_eq!(
        key.to_string(),
        "params.modifyAccountStates.zzz: expected a base58 address as key"
    );
    assert!(
        matches!(BacktestError::from(&key), BacktestError::InvalidAccountPubkey { address, .. } if address == "zzz")
    );

    let owner = request_error("continue", &modification("zzz", "base64", "1"));
    assert_eq!(
        owner.to_string(),
        format!("params.modifyAccountStates.{CLOCK}.owner: expected a base58 address")
    );
    assert!(
        matches!(BacktestError::from(&owner), BacktestError::InvalidAccountOwner { address, .. } if address == CLOCK)
    );

    let encoding = request_error("continue", &modification(SYSVAR, "base58", "1"));
    let expected = BacktestError::InvalidAccountEncoding {
        address: CLOCK.into(),
        encoding: "base58".into(),
        error: format!("params.modifyAccountStates.{CLOCK}.data.encoding: expected \"base64\", got \"base58\""),
    };
    assert_eq!(BacktestError::from(&encoding), expected);

    let lamports = request_error("continue", &modification(SYSVAR, "base64", "-1"));
    let text =
        format!("params.modifyAccountStates.{CLOCK}.lamports: expected an unsigned 64-bit integer, got the number -1");
    assert_eq!(
        BacktestError::from(&lamports),
        BacktestError::InvalidRequest { error: text }
    );

    let id = request_error("attachBacktestSession", r#"{"session_id": "gone"}"#);
    assert_eq!(
        BacktestError::from(&id),
        BacktestError::SessionNotFound {
            session_id: "gone".into()
        }
    );
}

#[test]
fn responses_name_the_place() {
    let error = |text| BacktestResponse::from_json(text).unwrap_err().to_string();
    assert_eq!(
        error(r#"{"method": "slotNotification", "params": {}}"#),
        "params: expected an unsigned 64-bit integer, got an object"
    );
    assert_eq!(
        error(r#"{"method": "error", "params": {"simulationError": {}}}"#),
        "params.simulationError.error: required field is missing"
    );
    assert_eq!(
        error(r#"{"method": "error", "params": 1}"#),
        "params: expected the name of an error or an object with it, got the number 1"
    );
    assert!(error(r#"{"method": "paused", "params": {}}"#).starts_with("params: missing field `slot`"));
    assert!(error(r#"{"method": "completed"}"#).starts_with("params: required field is missing"));
}

fn request_error(method: &str, params: &str) -> DecodeError {
    let text = format!(r#"{{"method": "{method}", "params": {params}}}"#);
    BacktestRequest::from_json(&text).expect_err(&text)
}

fn modification(owner: &str, encoding: &str, lamports: &str) -> String {
    format!(
        r#"{{"modifyAccountStates": {{"{CLOCK}": {{"data": {{"data": "", "encoding": "{encoding}"}},
           "executable": false, "lamports": {lamports}, "owner": "{owner}", "space": 0}}}}}}"#
    )
}

#[test]
fn an_error_repeats_only_the_beginning_of_a_long_text() {
    let account = json!({"data": {"data": "", "encoding": "x".repeat(100_000)}, "executable": false, "lamports": 1,
                         "owner": "11111111111111111111111111111111", "space": 0});
    for accounts in [
        json!({"11111111111111111111111111111111": account}),
        json!({"k".repeat(100_000): account}),
    ] {
        let message = json!({"method": "continue", "params": {"modifyAccountStates": accounts}});
        let error = BacktestRequest::from_json(&message.to_string()).expect_err("it is wrong");
        assert!(error.to_string().len() < 500, "{} bytes", error.to_string().len());
    }
}
