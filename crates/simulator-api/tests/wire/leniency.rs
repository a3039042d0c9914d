//! What is accepted beyond the canonical form.

use simulator_api::{
    AttachBacktestSessionRequest, BacktestError, BacktestRequest, BacktestResponse, ContinueParams, SequencedResponse,
};

const ID: &str = "backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011";

#[test]
fn unknown_fields_are_ignored() {
    let text = r#"{"method": "continueTo", "trace": 1, "params": {"slot": 1, "why": [1, {"a": null}]}}"#;
    assert!(matches!(BacktestRequest::from_json(text).unwrap(), BacktestRequest::ContinueTo(to) if to.slot == 1));
    let text = r#"{"method": "paused", "params": {"slot": 1, "why": [1]}}"#;
    assert!(matches!(BacktestResponse::from_json(text).unwrap(), BacktestResponse::Paused(paused) if paused.slot == 1));
}

#[test]
fn params_may_be_null_where_there_is_no_content() {
    let text = r#"{"params": null, "method": "closeBacktestSession"}"#;
    assert_eq!(
        BacktestRequest::from_json(text).unwrap(),
        BacktestRequest::CloseBacktestSession
    );
    let text = r#"{"method": "readyForContinue", "params": null}"#;
    assert_eq!(
        BacktestResponse::from_json(text).unwrap(),
        BacktestResponse::ReadyForContinue
    );
}

#[test]
fn params_may_be_empty_where_everything_has_a_default() {
    let text = r#"{"method": "continue", "params": {}}"#;
    assert_eq!(
        BacktestRequest::from_json(text).unwrap(),
        BacktestRequest::Continue(ContinueParams::default())
    );
}

#[test]
fn a_null_parallel_is_false() {
    let text = r#"{"method": "createBacktestSession", "params": {"startSlot": 1, "endSlot": 2, "parallel": null}}"#;
    let BacktestRequest::CreateBacktestSession(create) = BacktestRequest::from_json(text).unwrap() else {
        panic!("not a create");
    };
    assert!(!create.parallel);
}

#[test]
fn attach_accepts_both_spellings() {
    let expected = AttachBacktestSessionRequest {
        session_id: ID.parse().unwrap(),
        last_sequence: Some(7),
    };
    for params in [
        format!(r#"{{"session_id": "{ID}", "last_sequence": 7}}"#),
        format!(r#"{{"sessionId": "{ID}", "lastSequence": 7}}"#),
        format!(r#"{{"session_id": "{ID}", "sessionId": "other", "last_sequence": 7}}"#),
    ] {
        let text = format!(r#"{{"method": "attachBacktestSession", "params": {params}}}"#);
        assert_eq!(
            BacktestRequest::from_json(&text).unwrap(),
            BacktestRequest::AttachBacktestSession(expected)
        );
    }
    let text = r#"{"method": "attachParallelControlSessionV2",
        "params": {"controlSessionId": "0192f0c4b0117e2a9d3c5f60718293a4", "lastSequences": {}}}"#;
    assert!(matches!(
        BacktestRequest::from_json(text).unwrap(),
        BacktestRequest::AttachParallelControlSessionV2(_)
    ));
}

#[test]
fn a_request_id_may_stand_beside_the_session_id() {
    for params in [
        format!(r#"{{"sessionId": "{ID}", "requestId": "r", "request": {{}}}}"#),
        format!(r#"{{"sessionId": "{ID}", "request": {{"requestId": "r"}}}}"#),
    ] {
        let text = format!(r#"{{"method": "continueSessionV1", "params": {params}}}"#);
        let BacktestRequest::ContinueSessionV1(request) = BacktestRequest::from_json(&text).unwrap() else {
            panic!("not a continue");
        };
        assert_eq!(request.request.request_id.unwrap().as_str(), "r");
    }
}

#[test]
fn errors_without_fields_may_be_objects() {
    assert_eq!(
        BacktestError::from_json(r#"{"noMoreBlocks": null}"#).unwrap(),
        BacktestError::NoMoreBlocks
    );
    assert_eq!(
        BacktestError::from_json(r#""noMoreBlocks""#).unwrap(),
        BacktestError::NoMoreBlocks
    );
}

#[test]
fn unknown_errors_keep_their_text() {
    for text in [
        r#""newError""#,
        r#"{"newError": {"limit": 1.50}}"#,
        r#"{"newError":1,"other":2}"#,
    ] {
        let error = BacktestError::from_json(text).unwrap();
        let BacktestError::Unknown(raw) = &error else {
            panic!("known: {text}")
        };
        assert_eq!(raw.get(), text);
        assert_eq!(serde_json::to_string(&error).unwrap(), text);
        assert!(!error.is_terminal());
    }
}

#[test]
fn an_unknown_message_keeps_its_text_without_the_sequence_wrapper() {
    let text = r#"{"seqId":7,"method":"rewound","params":{"to":1.50},"replayed":true}"#;
    let message = SequencedResponse::from_json(text).unwrap();
    assert_eq!((message.seq_id, message.replayed), (Some(7), true));
    let BacktestResponse::Unknown(unknown) = &message.response else {
        panic!("known: {text}")
    };
    assert_eq!(unknown.method(), "rewound");
    assert_eq!(unknown.text(), r#"{"method":"rewound","params":{"to":1.50}}"#);
    let expected = r#"{"seqId":7,"replayed":true,"method":"rewound","params":{"to":1.50}}"#;
    assert_eq!(serde_json::to_string(&message).unwrap(), expected);
}

#[test]
fn an_unknown_request_is_kept_verbatim() {
    let text = r#"{"method": "rewindTo",  "requestId": "r", "params": {"slot": 1}}"#;
    let request = BacktestRequest::from_json(text).unwrap();
    let BacktestRequest::Unknown(unknown) = &request else {
        panic!("known: {text}")
    };
    assert_eq!(unknown.text(), text);
    assert_eq!(serde_json::to_string(&request).unwrap(), text);
}

#[test]
fn terminal_errors_end_a_session() {
    let terminal = [
        "bundleNotFound",
        "advanceSlotFailed",
        "finalizeSlotFailed",
        "internal",
        "noProducedBlocksInRange",
    ];
    let fields = r#"{"slot": 1, "start_slot": 1, "end_slot": 2, "error": "", "index": 0, "address": "", "encoding": "",
        "session_id": "", "session_name": "", "reason": ""}"#;
    let names = [
        "invalidTransactionEncoding",
        "invalidTransactionFormat",
        "invalidAccountEncoding",
        "invalidAccountOwner",
        "invalidAccountPubkey",
        "invalidRequest",
        "invalidBlockhashFormat",
        "initializingSysvarsFailed",
        "clerkError",
        "simulationError",
        "sessionNotFound",
        "sessionOwnershipBusy",
        "sessionNameTaken",
    ];
    for name in terminal.iter().chain(&names) {
        let error = BacktestError::from_json(&format!(r#"{{"{name}": {fields}}}"#)).unwrap();
        assert!(!matches!(error, BacktestError::Unknown(_)), "{name}");
        assert_eq!(error.is_terminal(), terminal.contains(name), "{name}");
    }
    assert!(BacktestError::NoMoreBlocks.is_terminal());
    assert!(!BacktestError::SessionOwnerMismatch.is_terminal());
}
