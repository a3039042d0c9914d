//! What a replay found out: our own methods.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use simulator_api::replay::{GetReplayAccountsParams, GetReplayOutcomesParams, ReplayAccounts};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;
use tokio::time::timeout;

use super::budget::Budget;
use super::call::Params;
use super::error::RpcError;
use super::{Answer, Target, result};
use crate::convert::{replay_account, state_digest};
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
        max_bytes: target.limits.answer_bytes,
    };
    let patience = Duration::from_millis(asked.wait_millis).min(target.times.max_outcome_wait);
    let page = match timeout(patience, outcomes.next(request)).await {
        Ok(page) => page,
        Err(_) => outcomes.read(request),
    };
    target
        .budget
        .spend(page.records.iter().map(|record| record.get().len()).sum())?;
    result(&WirePage::from(page))
}

pub(super) async fn get_replay_summary(session: &SessionHandle) -> Answer {
    result(&session.read(Executor::replay_summary).await?)
}

/// Goes through the whole state, so that it counts as a search.
pub(super) async fn get_replay_state_digest(target: &Target) -> Answer {
    target.budget.search()?;
    let digest = |executor: &Executor| state_digest(executor.replay());
    result(&target.session.read(digest).await?)
}

pub(super) async fn get_replay_accounts(target: &Target, params: Params<'_>) -> Answer {
    let asked: GetReplayAccountsParams = params.optional(0, "request")?.unwrap_or_default();
    let limit = usize::try_from(asked.limit)
        .unwrap_or(MAX_ACCOUNTS)
        .clamp(1, MAX_ACCOUNTS);
    // One more than is shown says whether there are more.
    let find = move |executor: &Executor| executor.replay().accounts_after(asked.after.as_ref(), limit + 1);
    let found = target.session.read(find).await?;
    let count = page_len(&found, limit, target.limits.answer_bytes);
    let size = found.iter().take(count).map(|(_, account)| account.data().len()).sum();
    target.budget.spend(size)?;
    let show = move |_: &Budget| {
        let shown = found.iter().take(count);
        let accounts = shown.map(|(address, account)| replay_account(*address, account));
        result(&ReplayAccounts {
            accounts: accounts.collect(),
            complete: count == found.len(),
        })
    };
    target.show(size, show).await
}

/// How many accounts fit into an answer: at least one, whatever its size.
fn page_len(found: &[(Pubkey, AccountSharedData)], limit: usize, max_bytes: usize) -> usize {
    let mut bytes = 0;
    let fits = |(index, (_, account)): &(usize, &(Pubkey, AccountSharedData))| {
        bytes += account.data().len();
        *index == 0 || bytes <= max_bytes
    };
    found.iter().take(limit).enumerate().take_while(fits).count()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_limit_in_accounts_and_in_bytes() {
        let account = || (Pubkey::default(), AccountSharedData::new(1, 10, &Pubkey::default()));
        let found = [account(), account(), account()];
        assert_eq!(page_len(&found, 2, 1000), 2);
        assert_eq!(page_len(&found, 9, 20), 2);
        assert_eq!(page_len(&found, 9, 1), 1);
        assert_eq!(page_len(&[], 9, 1), 0);
    }
}
