//! Differences from the record, field by field, in the words of Solana's RPC.

use serde_json::Value;
use simulator_api::replay::{Divergence, DivergenceClass};
use simulator_archive::model::{Outcome, Slot};
use simulator_engine::{self as engine, Execution, OutcomeField, TransactionReport};
use solana_transaction_status::UiTransactionStatusMeta;

use super::transaction::{execution_error, status_meta};

/// One entry for each field in which a transaction differs; none if it does not.
pub(super) fn divergences(slot: Slot, report: &TransactionReport, recorded: Option<&Outcome>) -> Vec<Divergence> {
    let engine::Verdict::Diverged(divergence) = &report.verdict else {
        return Vec::new();
    };
    let recorded = recorded.map_or(Value::Null, fields_of);
    let computed = report.execution.outcome().map_or(Value::Null, fields_of);
    let entry = |field: &OutcomeField| {
        let (recorded, computed) = match field {
            OutcomeField::Processed => (Value::from("processed"), not_processed(&report.execution)),
            field => (value(&recorded, *field), value(&computed, *field)),
        };
        Divergence {
            slot,
            index: report.index,
            signature: report.signature.to_string(),
            field: name(*field).to_owned(),
            recorded,
            computed,
            class: class(divergence.class),
            culprit: divergence.culprit.map(|culprit| culprit.to_string()),
            root: divergence.root,
        }
    };
    divergence.fields.iter().map(entry).collect()
}

/// What a divergence is put down to, on the wire.
fn class(class: engine::DivergenceClass) -> DivergenceClass {
    match class {
        engine::DivergenceClass::Overridden => DivergenceClass::Overridden,
        engine::DivergenceClass::UnknownAccount => DivergenceClass::UnknownAccount,
        engine::DivergenceClass::Archive => DivergenceClass::Archive,
        engine::DivergenceClass::Feature => DivergenceClass::Feature,
        engine::DivergenceClass::CostRules => DivergenceClass::CostRules,
        engine::DivergenceClass::Sysvar => DivergenceClass::Sysvar,
        engine::DivergenceClass::Engine => DivergenceClass::Engine,
    }
}

fn fields_of(outcome: &Outcome) -> Value {
    serde_json::to_value(UiTransactionStatusMeta::from(status_meta(outcome))).unwrap_or_default()
}

fn value(fields: &Value, field: OutcomeField) -> Value {
    fields.get(name(field)).cloned().unwrap_or_default()
}

fn not_processed(execution: &Execution) -> Value {
    match (execution, execution_error(execution)) {
        (Execution::Skipped(_), _) | (_, None) => Value::from("skipped"),
        (_, Some(error)) => serde_json::to_value(error).unwrap_or_default(),
    }
}

/// The field's name in Solana's `meta`, where it has one.
fn name(field: OutcomeField) -> &'static str {
    match field {
        OutcomeField::Processed => "processed",
        OutcomeField::Status => "status",
        OutcomeField::Fee => "fee",
        OutcomeField::ComputeUnits => "computeUnitsConsumed",
        OutcomeField::PreBalances => "preBalances",
        OutcomeField::PostBalances => "postBalances",
        OutcomeField::PreTokenBalances => "preTokenBalances",
        OutcomeField::PostTokenBalances => "postTokenBalances",
        OutcomeField::Logs => "logMessages",
        OutcomeField::InnerInstructions => "innerInstructions",
        OutcomeField::ReturnData => "returnData",
        OutcomeField::LoadedAddresses => "loadedAddresses",
    }
}
