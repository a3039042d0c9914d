//! Arbitrary wire values. Large unions are boxed, because a test thread's stack does not hold them.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value, json};
use simulator_api::replay::{
    AccountDiff, BankHashPair, Divergence, DivergenceClass, OutcomeCounts, OutcomeDetail, ReplayOutcomes, SignedAmount,
    SlotOutcome, TransactionOutcome, Verdict,
};
use simulator_api::*;
use solana_address::Address;

/// Texts that need escaping, and those that do not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9 ]{0,12}", "\\PC{0,12}", Just("\"\\\n\u{1f600}".to_owned())]
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 32]>().prop_map(Address::from)
}

fn session_id() -> impl Strategy<Value = SessionId> {
    any::<[u8; 16]>().prop_map(SessionId::from_random_bytes)
}

fn control_id() -> impl Strategy<Value = ControlSessionId> {
    any::<[u8; 16]>().prop_map(ControlSessionId::from_random_bytes)
}

fn request_id() -> impl Strategy<Value = RequestId> {
    "\\PC{1,64}".prop_map(|text| RequestId::new(text).unwrap())
}

/// Compact JSON, as serde writes it, so that going through a value keeps the text.
fn raw_json() -> impl Strategy<Value = RawJson> {
    json_value().prop_map(|value| RawJson::from_json(&value.to_string()).unwrap())
}

fn json_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
        (text(), any::<u64>()).prop_map(|(key, number)| json!({key: [number, null]})),
    ]
}

fn unknown_message() -> impl Strategy<Value = UnknownMessage> {
    (any::<u32>(), of(json_value())).prop_map(|(number, params)| {
        let mut message = json!({"method": format!("unknown{number}")});
        if let Some(params) = params {
            message["params"] = params;
        }
        UnknownMessage::from_json(&message.to_string()).unwrap()
    })
}

pub(crate) fn request() -> impl Strategy<Value = BacktestRequest> {
    prop_oneof![
        create().prop_map(BacktestRequest::from),
        continue_params().prop_map(BacktestRequest::Continue),
        continue_to().prop_map(BacktestRequest::ContinueTo),
        (session_id(), continue_params()).prop_map(|(session_id, request)| {
            BacktestRequest::ContinueSessionV1(ContinueSessionRequestV1 { session_id, request })
        }),
        (session_id(), continue_to()).prop_map(|(session_id, request)| {
            BacktestRequest::ContinueToSessionV1(ContinueToSessionRequestV1 { session_id, request })
        }),
        session_id().prop_map(|session_id| BacktestRequest::CloseSessionV1(CloseSessionRequestV1 { session_id })),
        Just(BacktestRequest::CloseBacktestSession),
        Just(BacktestRequest::ResumeAttachedSession),
        (session_id(), any::<Option<u64>>()).prop_map(|(session_id, last_sequence)| {
            BacktestRequest::AttachBacktestSession(AttachBacktestSessionRequest {
                session_id,
                last_sequence,
            })
        }),
        (control_id(), btree_map(session_id(), any::<u64>(), 0..4)).prop_map(|(control_session_id, last_sequences)| {
            let attach = AttachParallelControlSessionRequestV2 {
                control_session_id,
                last_sequences,
            };
            BacktestRequest::AttachParallelControlSessionV2(attach)
        }),
        unknown_message().prop_map(BacktestRequest::Unknown),
    ]
}

fn create() -> impl Strategy<Value = CreateBacktestSessionRequest> {
    let name = of("[a-z0-9]([a-z0-9._-]{0,9}[a-z0-9])?".prop_map(|name| name.parse().unwrap()));
    (published_session(), later_session(), any::<bool>(), name, of(text())).prop_map(
        |(published, later, parallel, name, create_token)| CreateBacktestSessionRequest {
            request: CreateSessionParams {
                discoveries: later.discoveries,
                replay_account_state: later.replay_account_state,
                actions: later.actions,
                reroute: later.reroute,
                diagnostic_probes: later.diagnostic_probes,
                start_paused: later.start_paused,
                features: later.features,
                outcomes: later.outcomes,
                ..published
            },
            parallel,
            name,
            create_token,
        },
    )
}

/// The fields that the older generation has.
fn published_session() -> impl Strategy<Value = CreateSessionParams> {
    let timeouts = (any::<Option<u16>>(), any::<Option<u16>>(), any::<Option<u32>>());
    (
        any::<u64>(),
        any::<u64>(),
        btree_set(address(), 0..3),
        any::<bool>(),
        timeouts,
        vec(agent(), 0..2),
    )
        .prop_map(
            |(start_slot, end_slot, signer_filter, send_summary, timeouts, agents)| CreateSessionParams {
                start_slot,
                end_slot,
                signer_filter,
                send_summary,
                capacity_wait_timeout_secs: timeouts.0,
                disconnect_timeout_secs: timeouts.1,
                extra_compute_units: timeouts.2,
                agents,
                ..CreateSessionParams::default()
            },
        )
}

/// The fields that came later.
fn later_session() -> impl Strategy<Value = CreateSessionParams> {
    let filters = vec(filter(), 0..3);
    (
        filters,
        any::<bool>(),
        of(text()),
        of(reroute()),
        vec(probe(), 0..2),
        any::<bool>(),
        of(features()),
        of(detail()),
    )
        .prop_map(
            |(
                discoveries,
                replay_account_state,
                actions,
                reroute,
                diagnostic_probes,
                start_paused,
                features,
                outcomes,
            )| {
                CreateSessionParams {
                    discoveries,
                    replay_account_state,
                    actions,
                    reroute,
                    diagnostic_probes,
                    start_paused,
                    features,
                    outcomes,
                    ..CreateSessionParams::default()
                }
            },
        )
}

fn agent() -> impl Strategy<Value = AgentParams> {
    let seeds = btree_map(address(), any::<u64>(), 0..3);
    (
        of(address()),
        of(text()),
        any::<Option<u64>>(),
        seeds,
        vec(route(), 0..2),
    )
        .prop_map(
            |(wallet, keypair, seed_sol_lamports, seed_token_accounts, arb_routes)| AgentParams {
                agent_type: AgentType::Arb,
                wallet,
                keypair,
                seed_sol_lamports,
                seed_token_accounts,
                arb_routes,
            },
        )
}

fn route() -> impl Strategy<Value = ArbRouteParams> {
    (
        address(),
        address(),
        vec(text(), 0..2),
        vec(text(), 0..2),
        any::<[u64; 3]>(),
    )
        .prop_map(
            |(base_mint, temp_mint, buy_dexes, sell_dexes, [min_input, max_input, min_profit])| ArbRouteParams {
                base_mint,
                temp_mint,
                buy_dexes,
                sell_dexes,
                min_input,
                max_input,
                min_profit,
            },
        )
}

fn filter() -> impl Strategy<Value = DiscoveryFilter> {
    prop_oneof![
        address().prop_map(DiscoveryFilter::ProgramExecuted),
        (vec(address(), 0..3), vec(address(), 0..3))
            .prop_map(|(programs, accounts)| DiscoveryFilter::OracleUpdate { programs, accounts }),
    ]
}

fn reroute() -> impl Strategy<Value = RerouteParams> {
    let aggregator = prop::sample::select(vec![
        Aggregator::Jupiter,
        Aggregator::Okx,
        Aggregator::Titan,
        Aggregator::Dflow,
    ]);
    let pairs = vec((address(), address()).prop_map(|(one, other)| [one, other]), 0..2);
    let filter = of(pairs.prop_map(|pairs| RerouteFilter { pairs }));
    (
        vec(aggregator, 0..3),
        filter,
        any::<[bool; 3]>(),
        vec(raw_json(), 0..2),
        vec(address(), 0..2),
    )
        .prop_map(
            |(aggregators, filter, flags, direct_fill, extra_markets)| RerouteParams {
                aggregators,
                filter,
                detect_failed_l1_swaps: flags[0],
                circular_arbs: flags[1],
                requote: flags[2],
                direct_fill,
                extra_markets,
            },
        )
}

fn probe() -> impl Strategy<Value = DiagnosticProbe> {
    let anchor = prop_oneof![
        text().prop_map(|slots| ProbeAnchor::AfterSlot { slots }),
        (1..=u64::MAX).prop_map(|every_n_slots| ProbeAnchor::AfterEverySlot { every_n_slots }),
    ];
    (anchor, vec(address(), 1..3), vec(any::<u32>(), 1..3), of(text())).prop_map(
        |(anchor, markets, usd_values, label)| DiagnosticProbe {
            anchor,
            markets,
            usd_values,
            label,
        },
    )
}

fn features() -> impl Strategy<Value = FeatureSelection> {
    prop_oneof![
        Just(FeatureSelection::Accounts),
        Just(FeatureSelection::All),
        vec(address(), 0..3).prop_map(FeatureSelection::Listed),
    ]
}

fn detail() -> impl Strategy<Value = OutcomeDetail> {
    prop::sample::select(vec![
        OutcomeDetail::Divergences,
        OutcomeDetail::Transactions,
        OutcomeDetail::AccountDiffs,
    ])
}

fn continue_params() -> impl Strategy<Value = ContinueParams> {
    let modifications = btree_map(address(), account(), 0..3).prop_map(AccountModifications);
    (any::<u64>(), vec(text(), 0..3), modifications, of(request_id())).prop_map(
        |(advance_count, transactions, modify_account_states, request_id)| ContinueParams {
            advance_count,
            transactions,
            modify_account_states,
            request_id,
        },
    )
}

fn continue_to() -> impl Strategy<Value = ContinueToParams> {
    (any::<u64>(), any::<Option<u32>>(), of(request_id())).prop_map(|(slot, batch_index, request_id)| {
        ContinueToParams {
            slot,
            batch_index,
            request_id,
        }
    })
}

fn account() -> impl Strategy<Value = AccountData> {
    (binary(), any::<bool>(), any::<u64>(), address(), any::<u64>()).prop_map(
        |(data, executable, lamports, owner, space)| AccountData {
            data,
            executable,
            lamports,
            owner,
            space,
        },
    )
}

fn binary() -> impl Strategy<Value = EncodedBinary> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| EncodedBinary::from_bytes(&bytes, BinaryEncoding::Base64))
}

pub(crate) fn response() -> BoxedStrategy<BacktestResponse> {
    prop_oneof![
        event().prop_map(BacktestResponse::from),
        opened().prop_map(BacktestResponse::SessionCreated),
        opened().prop_map(BacktestResponse::SessionAttached),
        vec(session_id(), 0..3)
            .prop_map(|session_ids| BacktestResponse::SessionsCreated(SessionsCreated { session_ids })),
        created_v2().prop_map(BacktestResponse::SessionsCreatedV2),
        attached_v2().prop_map(BacktestResponse::ParallelSessionAttachedV2),
        (session_id(), event())
            .prop_map(|(session_id, event)| BacktestResponse::SessionEventV1(SessionEventV1 { session_id, event })),
        (session_id(), any::<u64>(), event()).prop_map(|(session_id, seq_id, event)| {
            BacktestResponse::SessionEventV2(SessionEventV2 {
                session_id,
                seq_id,
                event,
            })
        }),
    ]
    .boxed()
}

pub(crate) fn sequenced() -> impl Strategy<Value = SequencedResponse> {
    (any::<Option<u64>>(), of(request_id()), any::<bool>(), response()).prop_map(
        |(seq_id, request_id, replayed, response)| SequencedResponse {
            seq_id,
            request_id,
            replayed,
            response,
        },
    )
}

fn opened() -> impl Strategy<Value = SessionOpened> {
    (session_id(), text(), of(text()), of(text()), vec(capability(), 0..3)).prop_map(
        |(session_id, rpc_endpoint, task_id, session_name, capabilities)| SessionOpened {
            session_id,
            rpc_endpoint,
            task_id,
            session_name,
            capabilities,
        },
    )
}

fn capability() -> impl Strategy<Value = Capability> {
    prop_oneof![
        prop::sample::select(Capability::KNOWN),
        "[A-Z]{1,8}".prop_map(Capability::Unknown),
    ]
}

fn created_v2() -> impl Strategy<Value = SessionsCreatedV2> {
    let slots = || vec(any::<u64>(), 0..3);
    (attached_v2(), slots(), slots(), of(text())).prop_map(
        |(sessions, start_slots, end_slots, control_session_name)| SessionsCreatedV2 {
            control_session_id: sessions.control_session_id,
            session_ids: sessions.session_ids,
            task_ids: sessions.task_ids,
            start_slots,
            end_slots,
            control_session_name,
            capabilities: sessions.capabilities,
        },
    )
}

fn attached_v2() -> impl Strategy<Value = ParallelSessionAttachedV2> {
    (
        control_id(),
        vec(session_id(), 0..3),
        vec(of(text()), 0..3),
        vec(capability(), 0..3),
    )
        .prop_map(
            |(control_session_id, session_ids, task_ids, capabilities)| ParallelSessionAttachedV2 {
                control_session_id,
                session_ids,
                task_ids,
                capabilities,
            },
        )
}

fn event() -> BoxedStrategy<SessionEventKind> {
    prop_oneof![
        Just(SessionEventKind::ReadyForContinue),
        Just(SessionEventKind::Success),
        any::<u64>().prop_map(SessionEventKind::SlotNotification),
        (any::<u64>(), any::<Option<u32>>())
            .prop_map(|(slot, batch_index)| SessionEventKind::Paused(PausedEvent { slot, batch_index })),
        discovery_batch().prop_map(SessionEventKind::DiscoveryBatch),
        error().prop_map(SessionEventKind::Error),
        (of(summary()), of(vec(agent_stats(), 0..2)))
            .prop_map(|(summary, agent_stats)| SessionEventKind::Completed { summary, agent_stats }),
        status().prop_map(|status| SessionEventKind::Status { status }),
        unknown_message().prop_map(SessionEventKind::Unknown),
    ]
    .boxed()
}

fn status() -> impl Strategy<Value = BacktestStatus> {
    prop_oneof![
        prop::sample::select(BacktestStatus::KNOWN),
        "[A-Z]{1,8}".prop_map(BacktestStatus::Unknown),
    ]
}

fn discovery_batch() -> impl Strategy<Value = DiscoveryBatchEvent> {
    (
        any::<u64>(),
        any::<u32>(),
        vec(filter(), 0..3),
        vec(binary(), 0..3),
        vec(any::<u32>(), 0..3),
    )
        .prop_map(
            |(slot, batch_index, matched, transactions, transaction_indices)| DiscoveryBatchEvent {
                slot,
                batch_index,
                matched,
                transactions,
                transaction_indices,
            },
        )
}

fn summary() -> BoxedStrategy<SessionSummary> {
    (any::<[u64; 6]>(), of(reroute_stats()))
        .prop_map(|(counts, reroute_stats)| SessionSummary {
            correct_simulation: counts[0],
            incorrect_simulation: counts[1],
            execution_errors: counts[2],
            balance_diff: counts[3],
            log_diff: counts[4],
            unsanitizable: counts[5],
            reroute_stats: reroute_stats.map(Box::new),
        })
        .boxed()
}

fn reroute_stats() -> impl Strategy<Value = RerouteStats> {
    let template =
        (any::<u64>(), any::<u64>(), any::<i64>()).prop_map(|(matched, scored, bps_total)| DirectFillTemplate {
            matched,
            outcomes: BTreeMap::new(),
            scored,
            bps_total,
        });
    (
        any::<u64>(),
        any::<i64>(),
        btree_map(text(), template, 0..2),
        of(text()),
    )
        .prop_map(
            |(swaps_detected, originals_bps_total, direct_fill_templates, dataset_uri)| RerouteStats {
                swaps_detected,
                originals_bps_total,
                direct_fill_templates,
                dataset_uri,
                ..RerouteStats::default()
            },
        )
}

fn agent_stats() -> impl Strategy<Value = AgentStatsReport> {
    (text(), any::<[u64; 9]>(), btree_map(address(), any::<i64>(), 0..3)).prop_map(
        |(name, counts, expected_gain_by_mint)| AgentStatsReport {
            name,
            slots_processed: counts[0],
            opportunities_found: counts[1],
            opportunities_skipped: counts[2],
            no_routes: counts[3],
            txs_produced: counts[4],
            expected_gain_by_mint,
            txs_submitted: counts[5],
            txs_failed: counts[6],
            txs_simulation_rejected: counts[7],
            txs_simulation_failed: counts[8],
        },
    )
}

pub(crate) fn error() -> BoxedStrategy<BacktestError> {
    prop_oneof![request_error(), session_error(), unknown_error()].boxed()
}

fn request_error() -> BoxedStrategy<BacktestError> {
    prop_oneof![
        (any::<u64>(), text()).prop_map(|(index, error)| BacktestError::InvalidTransactionEncoding { index, error }),
        (any::<u64>(), text()).prop_map(|(index, error)| BacktestError::InvalidTransactionFormat { index, error }),
        (text(), text(), text()).prop_map(|(address, encoding, error)| BacktestError::InvalidAccountEncoding {
            address,
            encoding,
            error
        }),
        (text(), text()).prop_map(|(address, error)| BacktestError::InvalidAccountOwner { address, error }),
        (text(), text()).prop_map(|(address, error)| BacktestError::InvalidAccountPubkey { address, error }),
        text().prop_map(|error| BacktestError::InvalidRequest { error }),
        text().prop_map(|session_name| BacktestError::SessionNameTaken { session_name }),
        text().prop_map(|session_id| BacktestError::SessionNotFound { session_id }),
        Just(BacktestError::SessionOwnerMismatch),
        text().prop_map(|reason| BacktestError::SessionOwnershipBusy { reason }),
    ]
    .boxed()
}

fn session_error() -> BoxedStrategy<BacktestError> {
    prop_oneof![
        Just(BacktestError::NoMoreBlocks),
        (any::<u64>(), any::<u64>())
            .prop_map(|(start_slot, end_slot)| BacktestError::BundleNotFound { start_slot, end_slot }),
        (any::<u64>(), any::<u64>())
            .prop_map(|(start_slot, end_slot)| BacktestError::NoProducedBlocksInRange { start_slot, end_slot }),
        (any::<u64>(), text()).prop_map(|(slot, error)| BacktestError::AdvanceSlotFailed { slot, error }),
        (any::<u64>(), text()).prop_map(|(slot, error)| BacktestError::FinalizeSlotFailed { slot, error }),
        (any::<u64>(), text()).prop_map(|(slot, error)| BacktestError::InvalidBlockhashFormat { slot, error }),
        (any::<u64>(), text()).prop_map(|(slot, error)| BacktestError::InitializingSysvarsFailed { slot, error }),
        text().prop_map(|error| BacktestError::Internal { error }),
        text().prop_map(|error| BacktestError::ClerkError { error }),
        text().prop_map(|error| BacktestError::SimulationError { error }),
    ]
    .boxed()
}

fn unknown_error() -> impl Strategy<Value = BacktestError> {
    let named = (any::<u32>(), json_value()).prop_map(|(number, content)| json!({format!("unknown{number}"): content}));
    let bare = any::<u32>().prop_map(|number| json!(format!("unknown{number}")));
    prop_oneof![named, bare].prop_map(|value| BacktestError::Unknown(RawJson::from_json(&value.to_string()).unwrap()))
}

pub(crate) fn outcomes() -> impl Strategy<Value = ReplayOutcomes> {
    (vec(slot_outcome(), 0..3), any::<bool>()).prop_map(|(slots, complete)| ReplayOutcomes { slots, complete })
}

fn slot_outcome() -> impl Strategy<Value = SlotOutcome> {
    let hashes = (of(text()), of(text())).prop_map(|(computed, recorded)| BankHashPair { computed, recorded });
    let header = (any::<u64>(), any::<u64>(), any::<Option<i64>>(), text(), any::<u64>());
    let lists = (vec(divergence(), 0..2), vec(transaction(), 0..2));
    let extras = (of(text()), btree_map(text(), any::<u64>(), 0..2));
    (header, counts(), of(hashes), lists, extras).prop_map(|(header, counts, bank_hash, lists, extras)| {
        let (slot, parent_slot, block_time, blockhash, compute_units) = header;
        let (divergences, transactions) = lists;
        let (digest, unverifiable_by_reason) = extras;
        SlotOutcome {
            slot,
            parent_slot,
            block_time,
            blockhash,
            counts,
            compute_units,
            bank_hash,
            digest,
            unverifiable_by_reason,
            divergences,
            transactions,
        }
    })
}

fn counts() -> impl Strategy<Value = OutcomeCounts> {
    any::<[u64; 6]>().prop_map(
        |[total, successes, failures, matched, diverged, unverifiable]| OutcomeCounts {
            total,
            successes,
            failures,
            matched,
            diverged,
            unverifiable,
        },
    )
}

fn divergence() -> impl Strategy<Value = Divergence> {
    let class = prop_oneof![
        prop::sample::select(DivergenceClass::KNOWN),
        "[A-Z]{1,8}".prop_map(DivergenceClass::Unknown),
    ];
    (
        any::<u64>(),
        any::<u32>(),
        text(),
        text(),
        json_value(),
        json_value(),
        class,
        of(text()),
        any::<bool>(),
    )
        .prop_map(
            |(slot, index, signature, field, recorded, computed, class, culprit, root)| Divergence {
                slot,
                index,
                signature,
                field,
                recorded,
                computed,
                class,
                culprit,
                root,
            },
        )
}

fn transaction() -> impl Strategy<Value = TransactionOutcome> {
    let verdict = prop::sample::select(vec![Verdict::Matched, Verdict::Diverged, Verdict::Unverifiable]);
    let scalars = (
        any::<u64>(),
        any::<u32>(),
        text(),
        any::<bool>(),
        of(json_value()),
        any::<u64>(),
        any::<u64>(),
    );
    let lists = (vec(text(), 0..3), vec(address(), 0..3));
    let mints = btree_map(address(), any::<i128>().prop_map(SignedAmount), 0..2);
    let account_diff = (of(account()), of(account())).prop_map(|(before, after)| AccountDiff { before, after });
    let changes = (
        btree_map(address(), any::<i64>(), 0..3),
        btree_map(address(), mints, 0..2),
        of(btree_map(address(), account_diff, 0..2)),
    );
    (scalars, lists, verdict, of(text()), changes).prop_map(
        |(scalars, lists, verdict, unverifiable_reason, changes)| {
            let (slot, index, signature, success, error, fee, compute_units) = scalars;
            let (logs, programs) = lists;
            let (sol_changes, token_changes, account_diffs) = changes;
            TransactionOutcome {
                slot,
                index,
                signature,
                success,
                error,
                fee,
                compute_units,
                logs,
                programs,
                verdict,
                unverifiable_reason,
                sol_changes,
                token_changes,
                account_diffs,
            }
        },
    )
}
