//! A session's JSON-RPC over HTTP: Solana's methods with Solana's shapes, and a few of our own.
//!
//! One file a group of methods. Each method asks the session's worker for what it needs between two steps, and does
//! everything else, such as encoding, here.

mod accounts;
mod airdrop;
mod blocks;
mod budget;
mod call;
mod context;
mod epoch;
mod error;
mod fees;
mod filter;
mod ledger;
mod replay;
mod search;
mod simulate;
mod tables;
mod tokens;
mod transactions;

use std::sync::Arc;

use serde_json::value::RawValue;

use self::budget::Budget;
pub(crate) use self::call::{Envelope, Params, Reply, answer};
pub(crate) use self::error::RpcError;
pub(crate) use self::filter::Filters;
use crate::config::{Limits, Times};
use crate::encode::Encoders;
use crate::handle::SessionHandle;
use crate::metrics::Metrics;
use crate::state::State;

/// What the methods that one HTTP request calls work with.
#[derive(Debug)]
pub(crate) struct Target {
    session: Arc<SessionHandle>,
    limits: Limits,
    times: Times,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    encoders: Encoders,
}

impl Target {
    pub(crate) fn new(session: Arc<SessionHandle>, state: &State) -> Self {
        let (limits, times) = (state.limits.clone(), state.times.clone());
        Self {
            metrics: Arc::clone(&state.metrics),
            ..Self::of(session, limits, times, state.encoders.clone())
        }
    }

    pub(crate) fn of(session: Arc<SessionHandle>, limits: Limits, times: Times, encoders: Encoders) -> Self {
        Self {
            session,
            budget: Arc::new(Budget::new(limits.request_answer_bytes)),
            encoders,
            limits,
            times,
            metrics: Arc::default(),
        }
    }

    /// The session that is asked.
    pub(crate) fn session(&self) -> &SessionHandle {
        &self.session
    }
}

impl Target {
    /// Writes an answer of about so many bytes, where that holds nobody up.
    async fn show(&self, bytes: usize, write: impl FnOnce(&Budget) -> Answer + Send + 'static) -> Answer {
        let budget = Arc::clone(&self.budget);
        self.encoders.run(bytes, move || write(&budget)).await
    }
}

/// The JSON of a result.
pub(crate) type Answer = Result<Box<RawValue>, RpcError>;

/// Carries out one method.
async fn dispatch(target: &Target, method: &str, params: Params<'_>) -> Answer {
    let session = &target.session;
    match method {
        "getAccountInfo" => accounts::get_account_info(target, params).await,
        "getBalance" => accounts::get_balance(session, params).await,
        "getMinimumBalanceForRentExemption" => accounts::get_minimum_balance(session, params).await,
        "getMultipleAccounts" => accounts::get_multiple_accounts(target, params).await,
        "getProgramAccounts" => search::get_program_accounts(target, params).await,
        "getTokenAccountBalance" => tokens::get_token_account_balance(session, params).await,
        "getTokenAccountsByDelegate" => tokens::get_token_accounts_by_delegate(target, params).await,
        "getTokenAccountsByOwner" => tokens::get_token_accounts_by_owner(target, params).await,
        "getTokenLargestAccounts" => tokens::get_token_largest_accounts(target, params).await,
        "getTokenSupply" => tokens::get_token_supply(session, params).await,
        "modifyAccounts" => accounts::modify_accounts(session, params).await,
        "getBlockHeight" => blocks::get_block_height(session, params).await,
        "getBlock" => ledger::get_block(target, params).await,
        "getBlocks" => ledger::get_blocks(session, params).await,
        "getBlocksWithLimit" => ledger::get_blocks_with_limit(session, params).await,
        "getBlockTime" => ledger::get_block_time(session, params).await,
        "getFirstAvailableBlock" | "minimumLedgerSlot" => ledger::get_first_available_block(session).await,
        "getSignaturesForAddress" => ledger::get_signatures_for_address(target, params).await,
        "getEpochInfo" => epoch::get_epoch_info(session, params).await,
        "getEpochSchedule" => epoch::get_epoch_schedule(session).await,
        "getGenesisHash" => epoch::get_genesis_hash(session).await,
        "getIdentity" => epoch::get_identity(),
        "getTransactionCount" => epoch::get_transaction_count(session, params).await,
        "getFeeForMessage" => fees::get_fee_for_message(session, params).await,
        "getRecentPrioritizationFees" => fees::get_recent_prioritization_fees(target, params).await,
        "getAddressLookupTable" => tables::get_address_lookup_table(session, params).await,
        "requestAirdrop" => airdrop::request_airdrop(session, params).await,
        "getHealth" => blocks::get_health(),
        "getLatestBlockhash" => blocks::get_latest_blockhash(session, params).await,
        "getSlot" => blocks::get_slot(session, params).await,
        "getVersion" => blocks::get_version(),
        "isBlockhashValid" => blocks::is_blockhash_valid(session, params).await,
        "getSignatureStatuses" => transactions::get_signature_statuses(session, params).await,
        "getTransaction" => transactions::get_transaction(target, params).await,
        "sendTransaction" => transactions::send_transaction(session, params).await,
        "simulateTransaction" => simulate::simulate_transaction(target, params).await,
        simulator_api::replay::GET_REPLAY_ACCOUNTS => replay::get_replay_accounts(target, params).await,
        simulator_api::replay::GET_REPLAY_OUTCOMES => replay::get_replay_outcomes(target, params).await,
        simulator_api::replay::GET_REPLAY_STATE_DIGEST => replay::get_replay_state_digest(target).await,
        simulator_api::replay::GET_REPLAY_SUMMARY => replay::get_replay_summary(session).await,
        unknown => Err(RpcError::method_not_found(unknown)),
    }
}

/// Writes a result. Every type that is written has text keys only.
pub(crate) fn result(value: &impl serde::Serialize) -> Answer {
    serde_json::value::to_raw_value(value).map_err(|error| RpcError::internal(&error.to_string()))
}
