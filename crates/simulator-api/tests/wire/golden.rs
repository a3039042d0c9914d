//! One golden file per message, read in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use simulator_api::replay::{
    AccountBytes, AccountDiff, BankHashCounts, BankHashDifference, BankHashPair, Divergence, DivergenceClass,
    GetReplayAccountsParams, GetReplayOutcomesParams, OutcomeCounts, OutcomeDetail, ReplayAccount, ReplayAccountEntry,
    ReplayAccounts, ReplayOutcomes, ReplayStateDigest, ReplaySummary, SignedAmount, SlotOutcome, TransactionOutcome,
    UnreproducedEffect, Verdict,
};
use simulator_api::usage::{BundleBuilds, ComputeTotals, DailyUsage, Pricing, SessionCounts, UsageReport};
use simulator_api::*;

use crate::addresses::{CLOCK, SOL, STAKE, SYSVAR, USDC, VOTE, address};

const A: &str = "backtest_0192f0c4a7d87c13b6f1a3b5c7d9e011";
const B: &str = "backtest_0192f0c4a7e97d20a1b2c3d4e5f60718";
const CONTROL: &str = "parallel_0192f0c4b0117e2a9d3c5f60718293a4";

#[test]
fn requests() {
    check_folder("request", &request_table());
}

#[test]
fn responses() {
    check_folder("response", &response_table());
}

#[test]
fn errors() {
    let mut errors = request_errors();
    errors.extend(session_errors());
    check("body/errors", &errors);
}

#[test]
fn sequenced_responses() {
    let response = BacktestResponse::SlotNotification(402_000_002);
    check(
        "body/sequenced",
        &SequencedResponse {
            seq_id: Some(119),
            ..response.into()
        },
    );
    let response = BacktestResponse::ReadyForContinue;
    check(
        "body/sequenced_with_extensions",
        &SequencedResponse {
            seq_id: Some(120),
            request_id: Some(RequestId::new("r-1").unwrap()),
            replayed: true,
            response,
        },
    );
    let unknown = UnknownMessage::from_json(r#"{"method":"rewound","params":{"to":5}}"#).unwrap();
    let response = BacktestResponse::Unknown(unknown);
    check(
        "body/sequenced_unknown",
        &SequencedResponse {
            seq_id: Some(121),
            ..response.into()
        },
    );
}

#[test]
fn subscribe_options() {
    let options = SubscribeOptions {
        replay_from_slot: Some(402_000_010),
        replay_after: Some(Cursor {
            slot: 402_000_010,
            index: 3,
        }),
        compression: Some(Compression::Zstd),
        intra_slot_updates: true,
        commitment: Some("confirmed".into()),
        address_type: Some(AddressType::Program),
    };
    let text = golden("body/subscribe_options");
    let parsed = SubscribeOptions::from_json(&text).unwrap();
    assert!(parsed.rejected.is_empty());
    assert_eq!(parsed.options, options);
    assert_eq!(serde_json::to_value(&options).unwrap(), value(&text));
}

#[test]
fn available_ranges() {
    let ranges = vec![
        AvailableRange {
            bundle_start_slot: 402_000_000,
            bundle_start_slot_utc: Some("2026-02-21T10:00:00Z".parse().unwrap()),
            max_bundle_end_slot: Some(402_009_999),
            max_bundle_end_slot_utc: Some("2026-02-21T11:06:40Z".parse().unwrap()),
            max_bundle_size: Some(10_000),
            kind: BundleKind::Blocks,
            scope: Some(RangeScope::Global),
        },
        AvailableRange {
            bundle_start_slot: 402_010_000,
            bundle_start_slot_utc: None,
            max_bundle_end_slot: None,
            max_bundle_end_slot_utc: None,
            max_bundle_size: None,
            kind: BundleKind::AccountState,
            scope: None,
        },
    ];
    check("body/available_ranges", &ranges);
}

#[test]
fn usage_report() {
    let report = UsageReport {
        api_key_name: "desk-1".into(),
        since: "2026-03-03T00:00:00Z".parse().unwrap(),
        until: "2026-03-04T09:30:00Z".parse().unwrap(),
        sessions: SessionCounts {
            started: 3,
            completed: 3,
            failed: 0,
        },
        compute: ComputeTotals {
            executed_slot_count: 900,
            session_duration_ms: 51_000,
        },
        daily: vec![DailyUsage {
            start: "2026-03-03T00:00:00Z".parse().unwrap(),
            end: "2026-03-04T00:00:00Z".parse().unwrap(),
            sessions: SessionCounts {
                started: 1,
                completed: 1,
                failed: 0,
            },
            compute: ComputeTotals {
                executed_slot_count: 300,
                session_duration_ms: 17_000,
            },
        }],
        bundle_builds: Some(BundleBuilds { requested: 2 }),
        pricing: Some(Pricing {
            dollars_per_slot: 0.002,
            dollars_per_minute: 0.4,
            max_ms_per_slot: 400,
        }),
        activity: None,
    };
    check("body/usage", &report);
}

#[test]
fn scheduled_actions() {
    check("body/scheduled_actions", &action_list());
}

#[test]
fn replay_bodies() {
    let params = GetReplayOutcomesParams {
        after: Some(402_000_000),
        max_slots: 16,
        wait_millis: 5000,
    };
    check("body/replay_outcomes_params", &params);
    check("body/replay_outcomes", &replay_outcomes());
    check("body/replay_summary", &replay_summary());
    check(
        "body/replay_accounts_params",
        &GetReplayAccountsParams {
            after: Some(address(VOTE)),
            limit: 100,
        },
    );
    check("body/replay_accounts", &replay_accounts());
    check(
        "body/replay_state_digest",
        &ReplayStateDigest {
            slot: 402_000_001,
            accounts: 617,
            digest: "a5".repeat(32),
        },
    );
}

#[test]
fn every_body_has_a_test() {
    let tested = [
        "available_ranges",
        "errors",
        "replay_accounts",
        "replay_accounts_params",
        "replay_outcomes",
        "replay_outcomes_params",
        "replay_state_digest",
        "replay_summary",
        "scheduled_actions",
        "sequenced",
        "sequenced_unknown",
        "sequenced_with_extensions",
        "subscribe_options",
        "usage",
    ];
    assert_eq!(file_names("body"), BTreeSet::from(tested.map(String::from)));
}

/// Examples as both published generations write them; what they leave out is filled in, so they are only decoded.
#[test]
fn published_examples_decode() {
    for text in items("published/requests") {
        let request = BacktestRequest::from_json(&text).unwrap();
        assert!(!matches!(request, BacktestRequest::Unknown(_)), "{text}");
    }
    for text in items("published/responses") {
        let response = BacktestResponse::from_json(&text).unwrap();
        assert!(!matches!(response, BacktestResponse::Unknown(_)), "{text}");
    }
    for text in items("published/sequenced") {
        assert!(SequencedResponse::from_json(&text).unwrap().seq_id.is_some(), "{text}");
    }
    for text in items("published/errors") {
        let error = BacktestError::from_json(&text).unwrap();
        assert!(!matches!(error, BacktestError::Unknown(_)), "{text}");
    }
    for text in items("published/available_ranges") {
        assert_eq!(serde_json::from_str::<Vec<AvailableRange>>(&text).unwrap().len(), 2);
    }
    for text in items("published/usage") {
        assert_eq!(
            serde_json::from_str::<UsageReport>(&text).unwrap().api_key_name,
            "desk-1"
        );
    }
    for text in items("published/scheduled_actions") {
        assert_eq!(
            serde_json::from_str::<ScheduledAction>(&text).unwrap().label.as_deref(),
            Some("probe-a")
        );
    }
}

fn request_table() -> Vec<(&'static str, BacktestRequest)> {
    let mut table = create_table();
    table.extend(continue_table());
    let last_sequences = BTreeMap::from([(session(A), 41), (session(B), 7)]);
    table.extend([
        (
            "close_session_v1",
            BacktestRequest::CloseSessionV1(CloseSessionRequestV1 { session_id: session(A) }),
        ),
        ("close_backtest_session", BacktestRequest::CloseBacktestSession),
        ("resume_attached_session", BacktestRequest::ResumeAttachedSession),
        ("attach_backtest_session", attach(Some(118))),
        ("attach_backtest_session_from_start", attach(None)),
        (
            "attach_parallel_control_session_v2",
            BacktestRequest::AttachParallelControlSessionV2(AttachParallelControlSessionRequestV2 {
                control_session_id: CONTROL.parse().unwrap(),
                last_sequences,
            }),
        ),
        ("unknown", BacktestRequest::Unknown(unknown_message("request/unknown"))),
    ]);
    table
}

fn create_table() -> Vec<(&'static str, BacktestRequest)> {
    let single = CreateSessionParams {
        start_slot: 402_000_000,
        end_slot: 402_000_063,
        ..Default::default()
    };
    let parallel = CreateBacktestSessionRequest {
        request: CreateSessionParams {
            end_slot: 402_039_999,
            capacity_wait_timeout_secs: Some(600),
            extra_compute_units: Some(40_000),
            discoveries: vec![DiscoveryFilter::ProgramExecuted(address(STAKE))],
            ..single.clone()
        },
        parallel: true,
        name: Some("Nightly-7".parse().unwrap()),
        create_token: Some("5d0c7a8e9b1f4c2da6e37b5f90128374".into()),
    };
    let everything = CreateBacktestSessionRequest {
        create_token: Some("t".into()),
        ..session_with_everything().into()
    };
    vec![
        ("create_single", CreateBacktestSessionRequest::from(single).into()),
        ("create_parallel", parallel.into()),
        ("create_everything", everything.into()),
    ]
}

fn session_with_everything() -> CreateSessionParams {
    CreateSessionParams {
        start_slot: 1,
        end_slot: u64::MAX,
        signer_filter: BTreeSet::from([address(VOTE), address(STAKE)]),
        send_summary: true,
        capacity_wait_timeout_secs: Some(u16::MAX),
        disconnect_timeout_secs: Some(180),
        extra_compute_units: Some(u32::MAX),
        agents: vec![agent()],
        discoveries: vec![
            DiscoveryFilter::ProgramExecuted(address(STAKE)),
            DiscoveryFilter::OracleUpdate {
                programs: vec![address(VOTE)],
                accounts: vec![],
            },
            DiscoveryFilter::OracleUpdate {
                programs: vec![address(VOTE)],
                accounts: vec![address(CLOCK)],
            },
        ],
        replay_account_state: true,
        actions: Some("KLUv/QBYqQAA".into()),
        reroute: Some(reroute()),
        diagnostic_probes: probes(),
        start_paused: true,
        features: Some(FeatureSelection::Listed(vec![address(VOTE)])),
        outcomes: Some(OutcomeDetail::AccountDiffs),
    }
}

fn agent() -> AgentParams {
    AgentParams {
        agent_type: AgentType::Arb,
        wallet: None,
        keypair: None,
        seed_sol_lamports: Some(5_000_000_000),
        seed_token_accounts: BTreeMap::from([(address(USDC), 250_000_000)]),
        arb_routes: vec![ArbRouteParams {
            base_mint: address(SOL),
            temp_mint: address(USDC),
            buy_dexes: vec!["alpha".into()],
            sell_dexes: vec![],
            min_input: 1000,
            max_input: 900_000,
            min_profit: 1,
        }],
    }
}

fn reroute() -> RerouteParams {
    RerouteParams {
        aggregators: vec![
            Aggregator::Jupiter,
            Aggregator::Okx,
            Aggregator::Titan,
            Aggregator::Dflow,
        ],
        filter: Some(RerouteFilter {
            pairs: vec![[address(SOL), address(USDC)]],
        }),
        detect_failed_l1_swaps: true,
        circular_arbs: true,
        requote: false,
        direct_fill: vec![RawJson::from_json(r#"{"any":[1,2]}"#).unwrap()],
        extra_markets: vec![address(VOTE)],
    }
}

fn probes() -> Vec<DiagnosticProbe> {
    vec![
        DiagnosticProbe {
            anchor: ProbeAnchor::AfterEverySlot { every_n_slots: 10 },
            markets: vec![address(VOTE)],
            usd_values: vec![100, 1000],
            label: None,
        },
        DiagnosticProbe {
            anchor: ProbeAnchor::AfterSlot {
                slots: "KLUv/QBYqQAA".into(),
            },
            markets: vec![address(VOTE)],
            usd_values: vec![1],
            label: Some("p".into()),
        },
    ]
}

fn continue_table() -> Vec<(&'static str, BacktestRequest)> {
    let full = ContinueParams {
        advance_count: 4,
        transactions: vec!["AgAAAAAA".into()],
        modify_account_states: [(address(CLOCK), account())].into_iter().collect(),
        request_id: None,
    };
    let with_id = ContinueParams {
        advance_count: u64::MAX,
        request_id: Some(RequestId::new("r-1").unwrap()),
        ..Default::default()
    };
    let to = ContinueToParams {
        slot: 402_000_017,
        batch_index: Some(9),
        request_id: None,
    };
    let to_boundary = ContinueToParams {
        slot: 402_000_020,
        batch_index: None,
        request_id: Some(RequestId::new("r-2").unwrap()),
    };
    let session_v1 = ContinueSessionRequestV1 {
        session_id: session(A),
        request: ContinueParams {
            advance_count: 500,
            ..Default::default()
        },
    };
    let to_session_v1 = ContinueToSessionRequestV1 {
        session_id: session(B),
        request: ContinueToParams {
            slot: 402_010_003,
            batch_index: Some(0),
            request_id: None,
        },
    };
    vec![
        ("continue", BacktestRequest::Continue(full)),
        ("continue_default", BacktestRequest::Continue(ContinueParams::default())),
        ("continue_with_id", BacktestRequest::Continue(with_id)),
        ("continue_to", BacktestRequest::ContinueTo(to)),
        ("continue_to_boundary", BacktestRequest::ContinueTo(to_boundary)),
        ("continue_session_v1", BacktestRequest::ContinueSessionV1(session_v1)),
        (
            "continue_to_session_v1",
            BacktestRequest::ContinueToSessionV1(to_session_v1),
        ),
    ]
}

fn attach(last_sequence: Option<u64>) -> BacktestRequest {
    BacktestRequest::AttachBacktestSession(AttachBacktestSessionRequest {
        session_id: session(A),
        last_sequence,
    })
}

fn response_table() -> Vec<(&'static str, BacktestResponse)> {
    let mut table = opened_table();
    table.extend(event_table());
    table.extend(status_table());
    table.extend(completed_table());
    table.extend(enveloped_table());
    let unknown_error = RawJson::from_json(r#"{"quotaExceeded":{"limit":1.50,"until":[1,2]}}"#).unwrap();
    let busy = BacktestError::SessionOwnershipBusy {
        reason: "previous manager still draining".into(),
    };
    table.extend([
        ("error_unit", BacktestError::NoMoreBlocks.into()),
        ("error_fields", busy.into()),
        ("error_unknown", BacktestError::Unknown(unknown_error).into()),
        (
            "unknown",
            BacktestResponse::Unknown(unknown_message("response/unknown")),
        ),
    ]);
    table
}

fn opened_table() -> Vec<(&'static str, BacktestResponse)> {
    let created = SessionOpened {
        session_id: session(A),
        rpc_endpoint: format!("/backtest/{A}"),
        task_id: None,
        session_name: None,
        capabilities: vec![],
    };
    let mut capabilities = Capability::KNOWN.to_vec();
    capabilities.push(Capability::Unknown("timeTravel".into()));
    let capable = SessionOpened {
        capabilities,
        ..created.clone()
    };
    let attached = SessionOpened {
        rpc_endpoint: format!("https://sim.example.net/backtest/{A}"),
        task_id: Some("worker-17".into()),
        session_name: Some("nightly-7".into()),
        ..created.clone()
    };
    let created_v2 = SessionsCreatedV2 {
        control_session_id: CONTROL.parse().unwrap(),
        session_ids: vec![session(A), session(B)],
        task_ids: vec![None, Some("worker-18".into())],
        start_slots: vec![402_000_000, 402_010_000],
        end_slots: vec![402_009_999, 402_019_999],
        control_session_name: Some("nightly-7".into()),
        capabilities: vec![Capability::RequestId],
    };
    let attached_v2 = ParallelSessionAttachedV2 {
        control_session_id: CONTROL.parse().unwrap(),
        session_ids: vec![session(A), session(B)],
        task_ids: vec![],
        capabilities: vec![Capability::RequestId],
    };
    let sessions = SessionsCreated {
        session_ids: vec![session(A), session(B)],
    };
    vec![
        ("session_created", BacktestResponse::SessionCreated(created)),
        (
            "session_created_with_capabilities",
            BacktestResponse::SessionCreated(capable),
        ),
        ("session_attached", BacktestResponse::SessionAttached(attached)),
        ("sessions_created", BacktestResponse::SessionsCreated(sessions)),
        ("sessions_created_v2", BacktestResponse::SessionsCreatedV2(created_v2)),
        (
            "parallel_session_attached_v2",
            BacktestResponse::ParallelSessionAttachedV2(attached_v2),
        ),
    ]
}

fn event_table() -> Vec<(&'static str, BacktestResponse)> {
    let batch = DiscoveryBatchEvent {
        slot: 402_000_017,
        batch_index: 9,
        matched: vec![DiscoveryFilter::ProgramExecuted(address(STAKE))],
        transactions: vec![EncodedBinary::from_bytes(&[1, 2, 3, 4], BinaryEncoding::Base64)],
        transaction_indices: vec![133],
    };
    let paused = PausedEvent {
        slot: 402_000_017,
        batch_index: Some(9),
    };
    let at_boundary = PausedEvent {
        slot: 402_000_020,
        batch_index: None,
    };
    vec![
        ("ready_for_continue", BacktestResponse::ReadyForContinue),
        ("success", BacktestResponse::Success),
        ("slot_notification", BacktestResponse::SlotNotification(402_000_001)),
        ("paused", BacktestResponse::Paused(paused)),
        ("paused_at_boundary", BacktestResponse::Paused(at_boundary)),
        ("discovery_batch", BacktestResponse::DiscoveryBatch(batch)),
    ]
}

fn status_table() -> Vec<(&'static str, BacktestResponse)> {
    vec![
        ("status_starting_runtime", BacktestStatus::StartingRuntime.into()),
        (
            "status_decoded_transactions",
            BacktestStatus::DecodedTransactions.into(),
        ),
        (
            "status_applied_account_modifications",
            BacktestStatus::AppliedAccountModifications.into(),
        ),
        (
            "status_ready_to_execute_user_transactions",
            BacktestStatus::ReadyToExecuteUserTransactions.into(),
        ),
        (
            "status_executed_user_transactions",
            BacktestStatus::ExecutedUserTransactions.into(),
        ),
        (
            "status_executing_block_transactions",
            BacktestStatus::ExecutingBlockTransactions.into(),
        ),
        (
            "status_executed_block_transactions",
            BacktestStatus::ExecutedBlockTransactions.into(),
        ),
        (
            "status_program_accounts_loaded",
            BacktestStatus::ProgramAccountsLoaded.into(),
        ),
        (
            "status_unknown",
            BacktestStatus::Unknown("preparingBundle".into()).into(),
        ),
    ]
}

fn completed_table() -> Vec<(&'static str, BacktestResponse)> {
    let summary = SessionSummary {
        correct_simulation: 51_230,
        incorrect_simulation: 12,
        execution_errors: 3,
        balance_diff: 5,
        log_diff: 41,
        unsanitizable: 2,
        reroute_stats: None,
    };
    let stats = AgentStatsReport {
        name: "arb-0".into(),
        slots_processed: 64,
        opportunities_found: 9,
        opportunities_skipped: 4,
        no_routes: 11,
        txs_produced: 5,
        expected_gain_by_mint: BTreeMap::from([(address(SOL), -1250)]),
        txs_submitted: 4,
        txs_failed: 1,
        txs_simulation_rejected: 0,
        txs_simulation_failed: 0,
    };
    let rerouted = SessionSummary {
        reroute_stats: Some(Box::new(reroute_stats())),
        ..summary.clone()
    };
    vec![
        (
            "completed",
            BacktestResponse::Completed {
                summary: None,
                agent_stats: None,
            },
        ),
        (
            "completed_with_summary",
            BacktestResponse::Completed {
                summary: Some(summary),
                agent_stats: Some(vec![stats]),
            },
        ),
        (
            "completed_with_reroute",
            BacktestResponse::Completed {
                summary: Some(rerouted),
                agent_stats: None,
            },
        ),
    ]
}

fn reroute_stats() -> RerouteStats {
    let template = DirectFillTemplate {
        matched: 14,
        outcomes: BTreeMap::from([("filled".into(), 15)]),
        scored: 16,
        bps_total: -17,
    };
    RerouteStats {
        swaps_detected: 1,
        swaps_filtered: 2,
        swaps_rerouted: 3,
        swaps_simulated: 4,
        swaps_succeeded: 5,
        requote_failures: 6,
        override_setup_failures: 7,
        metis_unavailable_blocks: 8,
        quote_attempts_unavailable: 9,
        direct_fill_matched: 10,
        direct_fill_outcomes: BTreeMap::from([("filled".into(), 11)]),
        direct_fill_scored: 12,
        direct_fill_bps_total: -13,
        direct_fill_templates: BTreeMap::from([("t".into(), template)]),
        originals_scored: 18,
        originals_bps_total: -19,
        originals_replayed: 20,
        dataset_uri: Some("s3://example/run".into()),
    }
}

fn enveloped_table() -> Vec<(&'static str, BacktestResponse)> {
    let notification = SessionEventKind::SlotNotification(402_000_000);
    let v1 = SessionEventV1 {
        session_id: session(A),
        event: notification.clone(),
    };
    let failed = BacktestError::SimulationError {
        error: "could not load account".into(),
    };
    let unknown = UnknownMessage::from_json(r#"{"method":"rewound","params":{"to":5}}"#).unwrap();
    let completed = SessionEventKind::Completed {
        summary: None,
        agent_stats: None,
    };
    vec![
        ("session_event_v1", BacktestResponse::SessionEventV1(v1)),
        ("session_event_v2", event_v2(A, 1, notification)),
        ("session_event_v2_completed", event_v2(B, 902, completed)),
        (
            "session_event_v2_error",
            event_v2(B, 3, SessionEventKind::Error(failed)),
        ),
        (
            "session_event_v2_unknown",
            event_v2(B, 4, SessionEventKind::Unknown(unknown)),
        ),
    ]
}

fn event_v2(id: &str, seq_id: u64, event: SessionEventKind) -> BacktestResponse {
    BacktestResponse::SessionEventV2(SessionEventV2 {
        session_id: session(id),
        seq_id,
        event,
    })
}

fn request_errors() -> Vec<BacktestError> {
    let clock = || CLOCK.to_owned();
    vec![
        BacktestError::InvalidTransactionEncoding {
            index: 0,
            error: "not base64".into(),
        },
        BacktestError::InvalidTransactionFormat {
            index: 2,
            error: "short buffer".into(),
        },
        BacktestError::InvalidAccountEncoding {
            address: clock(),
            encoding: "base64".into(),
            error: "odd length".into(),
        },
        BacktestError::InvalidAccountOwner {
            address: clock(),
            error: "bad owner".into(),
        },
        BacktestError::InvalidAccountPubkey {
            address: "zzz".into(),
            error: "not base58".into(),
        },
        BacktestError::NoMoreBlocks,
        BacktestError::BundleNotFound {
            start_slot: 402_000_000,
            end_slot: 402_000_063,
        },
    ]
}

fn session_errors() -> Vec<BacktestError> {
    vec![
        BacktestError::AdvanceSlotFailed {
            slot: 402_000_007,
            error: "parent missing".into(),
        },
        BacktestError::FinalizeSlotFailed {
            slot: 402_000_007,
            error: "hash mismatch".into(),
        },
        BacktestError::InvalidRequest {
            error: "endSlot before startSlot".into(),
        },
        BacktestError::Internal {
            error: "worker lost".into(),
        },
        BacktestError::InvalidBlockhashFormat {
            slot: 402_000_007,
            error: "33 bytes".into(),
        },
        BacktestError::InitializingSysvarsFailed {
            slot: 402_000_000,
            error: "clock missing".into(),
        },
        BacktestError::ClerkError {
            error: "store unavailable".into(),
        },
        BacktestError::SimulationError {
            error: "account not found in bundle".into(),
        },
        BacktestError::SessionNotFound { session_id: A.into() },
        BacktestError::SessionOwnerMismatch,
        BacktestError::SessionOwnershipBusy {
            reason: "draining".into(),
        },
        BacktestError::NoProducedBlocksInRange {
            start_slot: 402_000_004,
            end_slot: 402_000_004,
        },
        BacktestError::SessionNameTaken {
            session_name: "nightly-7".into(),
        },
    ]
}

fn action_list() -> Vec<ScheduledAction> {
    let probe = ScheduledAction {
        anchor: ActionAnchor::AfterSlot {
            slots: "KLUv/QBYqQAAWzQwMjAwMDAxMCw0MDIwMDAwMjBd".into(),
        },
        kind: ActionKind::Simulate,
        transactions: "KLUv/QBYeQAAWyJBZ01FIiwiQWdNRiJd".into(),
        account_overrides: AccountModifications::default(),
        feeds_reroute: false,
        return_accounts: vec![address(VOTE)],
        label: Some("probe-a".into()),
        resolve: None,
    };
    let bare = ScheduledAction {
        transactions: String::new(),
        return_accounts: vec![],
        label: None,
        ..probe.clone()
    };
    let send = ScheduledAction {
        anchor: ActionAnchor::BeforeMatch {
            filter: DiscoveryFilter::ProgramExecuted(address(STAKE)),
        },
        kind: ActionKind::Send,
        account_overrides: [(address(CLOCK), account())].into_iter().collect(),
        feeds_reroute: true,
        resolve: Some(ResolveRule::LiquidityArrays {
            pool: address(VOTE),
            input_mint: address(SOL),
            array_key_indices: vec![7, 8],
        }),
        ..bare.clone()
    };
    let every = ScheduledAction {
        anchor: ActionAnchor::BeforeEverySlot { every_n_slots: 1 },
        resolve: Some(ResolveRule::QuoteStamp),
        ..bare
    };
    vec![probe, send, every]
}

fn replay_outcomes() -> ReplayOutcomes {
    let first = SlotOutcome {
        slot: 402_000_001,
        parent_slot: 402_000_000,
        block_time: Some(1_771_668_000),
        blockhash: "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d".into(),
        counts: counts(),
        compute_units: 1500,
        bank_hash: Some(BankHashPair {
            computed: Some("4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZ".into()),
            recorded: Some("EtWTRABZaYq6iMfeYKouRu166VU2xqa1".into()),
        }),
        digest: Some("5a".repeat(32)),
        unverifiable_by_reason: BTreeMap::from([("noRecord".into(), 1)]),
        divergences: vec![Divergence {
            slot: 402_000_001,
            index: 1,
            signature: "sig-1".into(),
            field: "logs[2]".into(),
            recorded: json!("a"),
            computed: Value::Null,
            class: DivergenceClass::UnknownAccount,
            culprit: None,
            root: true,
        }],
        transactions: vec![failed_transaction(), unverifiable_transaction()],
    };
    let second = SlotOutcome {
        slot: 402_000_002,
        parent_slot: 402_000_001,
        blockhash: "h".into(),
        ..SlotOutcome::default()
    };
    ReplayOutcomes {
        slots: vec![first, second],
        complete: false,
    }
}

fn failed_transaction() -> TransactionOutcome {
    let amount = BTreeMap::from([(address(USDC), SignedAmount(i128::MIN))]);
    TransactionOutcome {
        slot: 402_000_001,
        index: 1,
        signature: "sig-1".into(),
        success: false,
        error: Some(json!({"InstructionError": [0, {"Custom": 6001}]})),
        fee: 5000,
        compute_units: 1500,
        logs: vec!["Program log: x".into()],
        programs: vec![address(STAKE)],
        verdict: Verdict::Diverged,
        unverifiable_reason: None,
        sol_changes: BTreeMap::from([(address(VOTE), -5000)]),
        token_changes: BTreeMap::from([(address(VOTE), amount)]),
        account_diffs: Some(BTreeMap::from([(
            address(VOTE),
            AccountDiff {
                before: None,
                after: Some(account()),
            },
        )])),
    }
}

fn unverifiable_transaction() -> TransactionOutcome {
    TransactionOutcome {
        slot: 402_000_001,
        index: 2,
        signature: "sig-2".into(),
        success: true,
        error: None,
        fee: 5000,
        compute_units: 0,
        logs: vec![],
        programs: vec![],
        verdict: Verdict::Unverifiable,
        unverifiable_reason: Some("no recorded outcome".into()),
        sol_changes: BTreeMap::new(),
        token_changes: BTreeMap::new(),
        account_diffs: None,
    }
}

fn counts() -> OutcomeCounts {
    OutcomeCounts {
        total: 2,
        successes: 1,
        failures: 1,
        matched: 1,
        diverged: 1,
        unverifiable: 0,
    }
}

fn replay_summary() -> ReplaySummary {
    ReplaySummary {
        slots: 64,
        counts: counts(),
        compute_units: 1500,
        bank_hashes: BankHashCounts {
            agreed: 63,
            differed: 1,
            unrecorded: 0,
            first_difference: Some(BankHashDifference {
                slot: 402_000_063,
                recorded: "a".into(),
                computed: "b".into(),
            }),
            unavailable: None,
        },
        unreproduced: vec![UnreproducedEffect {
            kind: "blockTime".into(),
            count: 2,
            first_slot: 402_000_007,
            reason: "the block's time is not recorded".into(),
        }],
        result_digest: "00ff".into(),
        archive_digest: "ff00".into(),
        engine: "simulator-engine 0.1.0".into(),
        first_slot: 402_000_000,
        last_slot: 402_000_063,
        injected: 1,
        complete: true,
        state_only: false,
    }
}

fn replay_accounts() -> ReplayAccounts {
    let account = ReplayAccount {
        lamports: 1_169_280,
        data: AccountBytes::from_bytes(&[0xde, 0xad, 0xbe, 0xef]),
        owner: address(SYSVAR),
        executable: false,
        rent_epoch: u64::MAX,
        space: 4,
    };
    ReplayAccounts {
        accounts: vec![ReplayAccountEntry {
            pubkey: address(CLOCK),
            account,
        }],
        complete: true,
    }
}

fn account() -> AccountData {
    AccountData {
        data: EncodedBinary::from_bytes(&[0xde, 0xad, 0xbe, 0xef], BinaryEncoding::Base64),
        executable: false,
        lamports: 1_169_280,
        owner: address(SYSVAR),
        space: 4,
    }
}

fn session(id: &str) -> SessionId {
    id.parse().unwrap()
}

fn unknown_message(name: &str) -> UnknownMessage {
    let text = golden(name);
    let message = UnknownMessage::from_json(&text).unwrap();
    assert_eq!(message.text(), text.trim_end(), "the text is kept verbatim");
    message
}

/// Checks every file of a folder against its value, and that each has one.
fn check_folder<T>(folder: &str, table: &[(&'static str, T)])
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    for (name, expected) in table {
        check(&format!("{folder}/{name}"), expected);
    }
    let tested = table.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(file_names(folder), tested, "every file has a test");
}

/// Checks that a golden file decodes to a value, and that the value encodes to the file.
fn check<T>(name: &str, expected: &T)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let text = golden(name);
    let decoded: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(&decoded, expected, "{name} decodes");
    assert_eq!(serde_json::to_value(expected).unwrap(), value(&text), "{name} encodes");
    let reencoded = serde_json::to_string(expected).unwrap();
    assert_eq!(value(&reencoded), value(&text), "{name} encodes as text");
}

fn golden(name: &str) -> String {
    let path = folder().join(format!("{name}.json"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The elements of a golden file that is an array, each as text.
fn items(name: &str) -> Vec<String> {
    let items: Vec<Value> = serde_json::from_str(&golden(name)).unwrap();
    assert!(!items.is_empty());
    items.iter().map(Value::to_string).collect()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn file_names(name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder().join(name)).unwrap();
    entries
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}
