//! Methods that this library and its tools call.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use simulator_api::AccountModifications;
use simulator_api::replay::{
    GET_REPLAY_ACCOUNTS, GET_REPLAY_OUTCOMES, GET_REPLAY_STATE_DIGEST, GET_REPLAY_SUMMARY, GetReplayAccountsParams,
    GetReplayOutcomesParams, ReplayAccounts, ReplayOutcomes, ReplayStateDigest, ReplaySummary,
};
use solana_address::Address;

use super::{RpcAccount, RpcCallError, RpcEndpoint};

/// A value together with the slot that it was read at.
#[derive(Deserialize)]
struct WithContext<T> {
    value: T,
}

/// No parameters.
const NONE: &[Value; 0] = &[];

impl RpcEndpoint {
    /// An account, or `None` if the chain has none at that address.
    ///
    /// # Errors
    ///
    /// [`RpcCallError`]; a server that does not know whether the account exists refuses the call.
    pub async fn get_account_info(&self, address: &Address) -> Result<Option<RpcAccount>, RpcCallError> {
        let params = json!([address.to_string(), {"encoding": "base64", "commitment": "confirmed"}]);
        let found: WithContext<Option<RpcAccount>> = self.call("getAccountInfo", &params).await?;
        Ok(found.value)
    }

    /// The slot that is open.
    ///
    /// # Errors
    ///
    /// [`RpcCallError`].
    pub async fn get_slot(&self) -> Result<u64, RpcCallError> {
        self.call("getSlot", &json!([{"commitment": "confirmed"}])).await
    }

    /// The lamports with which an account of `data_len` bytes is exempt from rent.
    ///
    /// # Errors
    ///
    /// [`RpcCallError`].
    pub async fn get_minimum_balance_for_rent_exemption(&self, data_len: usize) -> Result<u64, RpcCallError> {
        self.call("getMinimumBalanceForRentExemption", &json!([data_len])).await
    }

    /// Replaces accounts at once, outside of any block. Returns how many the server says that it replaced, or how
    /// many were sent if it does not say a number.
    ///
    /// # Errors
    ///
    /// [`RpcCallError`].
    pub async fn modify_accounts(&self, accounts: &AccountModifications) -> Result<usize, RpcCallError> {
        let result: Value = self.call("modifyAccounts", &[accounts]).await?;
        let said = result.as_u64().and_then(|count| usize::try_from(count).ok());
        Ok(said.unwrap_or_else(|| accounts.len()))
    }

    /// Outcomes of the slots after `params.after`, which acknowledges all slots up to there. Waits at the server for
    /// at most `params.wait_millis` if there are none yet. Asking again is harmless.
    ///
    /// # Errors
    ///
    /// [`RpcCallError`].
    pub async fn get_replay_outcomes(&self, params: &GetReplayOutcomesParams) -> Result<ReplayOutcomes, RpcCallError> {
        let patience = Duration::from_millis(params.wait_millis);
        self.call_patiently(GET_REPLAY_OUTCOMES, &[params], patience).await
    }

    /// Totals of the replay so far.
    ///
    /// # Errors
    ///
    /// [`RpcCallError`].
    pub async fn get_replay_summary(&self) -> Result<ReplaySummary, RpcCallError> {
        self.call(GET_REPLAY_SUMMARY, NONE).await
    }

    /// The digest over every account that the session knows. The server goes through the whole state, which may take it
    /// as long as `patience`.
    ///
    /// # Errors
    ///
    /// [`RpcCallError`].
    pub async fn get_replay_state_digest(&self, patience: Duration) -> Result<ReplayStateDigest, RpcCallError> {
        self.call_patiently(GET_REPLAY_STATE_DIGEST, NONE, patience).await
    }

    /// Accounts that the session knows, sorted by address, after `params.after`.
    ///
    /// # Errors
    ///
    /// [`RpcCallError`].
    pub async fn get_replay_accounts(&self, params: &GetReplayAccountsParams) -> Result<ReplayAccounts, RpcCallError> {
        self.call(GET_REPLAY_ACCOUNTS, &[params]).await
    }
}

/// Replaces accounts at once through the JSON-RPC at `rpc_url`, as [`RpcEndpoint::modify_accounts`] does. Where more
/// than one call is made, keep an [`RpcEndpoint`] and its connection.
///
/// # Errors
///
/// [`RpcCallError`].
pub async fn modify_accounts(rpc_url: &str, accounts: &AccountModifications) -> Result<usize, RpcCallError> {
    RpcEndpoint::new(rpc_url)?.modify_accounts(accounts).await
}
