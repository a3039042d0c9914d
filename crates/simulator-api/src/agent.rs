//! Agents: strategies that run inside the server (0.8).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use solana_address::Address;

use crate::decode::{Decode, Fields, deserialize_by_decoding, unexpected_name};
use crate::{DecodeError, address};

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AgentType {
    /// Looks for arbitrage along given routes.
    Arb,
}

/// One agent of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentParams {
    /// What the agent does.
    pub agent_type: AgentType,
    /// The agent's wallet.
    #[serde(with = "address::option")]
    pub wallet: Option<Address>,
    /// The wallet's key pair: base58 of 64 bytes.
    pub keypair: Option<String>,
    /// Lamports that the wallet starts with.
    pub seed_sol_lamports: Option<u64>,
    /// Tokens that the wallet starts with: base units by mint.
    #[serde(with = "address::map")]
    pub seed_token_accounts: BTreeMap<Address, u64>,
    /// Routes to search.
    pub arb_routes: Vec<ArbRouteParams>,
}

/// One route of an arbitrage agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArbRouteParams {
    /// The mint that the route begins and ends with.
    #[serde(with = "address::one")]
    pub base_mint: Address,
    /// The mint in between.
    #[serde(with = "address::one")]
    pub temp_mint: Address,
    /// Venues to buy at; empty for any.
    pub buy_dexes: Vec<String>,
    /// Venues to sell at; empty for any.
    pub sell_dexes: Vec<String>,
    /// Least amount to put in, in base units of the base mint.
    pub min_input: u64,
    /// Most to put in, in base units of the base mint.
    pub max_input: u64,
    /// Least profit that is worth a transaction, in base units of the base mint.
    pub min_profit: u64,
}

/// What an agent has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatsReport {
    /// The agent's name.
    pub name: String,
    /// Slots that it looked at.
    pub slots_processed: u64,
    /// Opportunities that it found.
    pub opportunities_found: u64,
    /// Opportunities that it passed over.
    pub opportunities_skipped: u64,
    /// Searches that found no route.
    pub no_routes: u64,
    /// Transactions that it built.
    pub txs_produced: u64,
    /// Gain that it expected, in base units by mint; negative is a loss.
    #[serde(with = "address::map")]
    pub expected_gain_by_mint: BTreeMap<Address, i64>,
    /// Transactions that it sent.
    #[serde(default)]
    pub txs_submitted: u64,
    /// Transactions that failed.
    #[serde(default)]
    pub txs_failed: u64,
    /// Transactions that their simulation refused.
    #[serde(default)]
    pub txs_simulation_rejected: u64,
    /// Transactions whose simulation did not run.
    #[serde(default)]
    pub txs_simulation_failed: u64,
}

impl Decode for AgentType {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        match raw.get() {
            "\"arb\"" => Ok(Self::Arb),
            _ => Err(unexpected_name("\"arb\"", raw)),
        }
    }
}

impl Decode for AgentParams {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            agent_type: fields.required("agentType")?,
            wallet: fields.optional("wallet")?,
            keypair: fields.optional("keypair")?,
            seed_sol_lamports: fields.optional("seedSolLamports")?,
            seed_token_accounts: fields.or_default("seedTokenAccounts")?,
            arb_routes: fields.or_default("arbRoutes")?,
        })
    }
}

impl Decode for ArbRouteParams {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            base_mint: fields.required("baseMint")?,
            temp_mint: fields.required("tempMint")?,
            buy_dexes: fields.or_default("buyDexes")?,
            sell_dexes: fields.or_default("sellDexes")?,
            min_input: fields.required("minInput")?,
            max_input: fields.required("maxInput")?,
            min_profit: fields.or_default("minProfit")?,
        })
    }
}

deserialize_by_decoding!(AgentType, AgentParams, ArbRouteParams);
