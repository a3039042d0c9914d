//! What a replay found out: our own methods.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use simulator_api::replay::{GetReplayAccountsParams, GetReplayOutcomesParams, ReplayAccounts};
use tokio::time::timeout;

use super::call::Params;
use super::error::RpcError;
use super::{Answer, Target, result};
use crate::convert::replay_account;
use crate::executor::Executor;
use crate::handle::SessionHandle;
use crate::outcomes::{OutcomePage, OutcomeRequest};

/// Most accounts in one answer.
const MAX_ACCOUNTS: usize = 10_000;
/// Most slots in one answer.
const MAX_SLOTS: usize = 10_000;

/// Reads outcome records, waiting for the next one if asked to. The worker is not disturbed.
pub(super) async fn get_replay_outcomes(target: &Target, params: Params<'_>) -> Answer {
    let asked: GetReplayOutcomesParams = params.optional(0, "request")?.unwrap_or_default();
    let Some(outcomes) = &target.session.outcomes else {
        return Err(RpcError::invalid_request(
            "the session keeps no outcomes; create it with `outcomes`",
        ));
    };
    let request = OutcomeRequest {
        after: asked.after,
        max_slots: usize::try_from(asked.max_slots)
            .unwrap_or(MAX_SLOTS)
            .clamp(1, MAX_SLOTS),
        max_bytes: target.limits.outcome_answer_bytes,
    };
    let patience = Duration::from_millis(asked.wait_millis).min(target.times.max_outcome_wait);
    let page = match timeout(patience, outcomes.next(request)).await {
        Ok(page) => page,
        Err(_) => outcomes.read(request),
    };
    result(&WirePage::from(page))
}

pub(super) async fn get_replay_summary(session: &SessionHandle) -> Answer {
    result(&session.read(Executor::replay_summary).await?)
}

pub(super) async fn get_replay_accounts(session: &SessionHandle, params: Params<'_>) -> Answer {
    let asked: GetReplayAccountsParams = params.optional(0, "request")?.unwrap_or_default();
    let limit = usize::try_from(asked.limit)
        .unwrap_or(MAX_ACCOUNTS)
        .clamp(1, MAX_ACCOUNTS);
    // One more than is shown says whether there are more.
    let mut found = session
        .read(move |executor| executor.replay().accounts_after(asked.after.as_ref(), limit + 1))
        .await?;
    let complete = found.len() <= limit;
    found.truncate(limit);
    let accounts = found
        .iter()
        .map(|(address, account)| replay_account(*address, account))
        .collect();
    result(&ReplayAccounts { accounts, complete })
}

/// [`simulator_api::replay::ReplayOutcomes`] with records that are JSON already.
#[derive(Serialize)]
struct WirePage {
    slots: Vec<WireRecord>,
    complete: bool,
}

#[derive(Serialize)]
#[serde(transparent)]
struct WireRecord(#[serde(serialize_with = "raw")] Arc<RawValue>);

fn raw<S: serde::Serializer>(record: &Arc<RawValue>, serializer: S) -> Result<S::Ok, S::Error> {
    record.as_ref().serialize(serializer)
}

impl From<OutcomePage> for WirePage {
    fn from(page: OutcomePage) -> Self {
        Self {
            slots: page.records.into_iter().map(WireRecord).collect(),
            complete: page.complete,
        }
    }
}
