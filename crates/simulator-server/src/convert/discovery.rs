//! Transactions of a `discoveryBatch`.

use serde::Serialize;
use simulator_api::{BinaryEncoding, EncodedBinary};
use simulator_archive::model::{Outcome, RecordedTransaction};
use solana_account_decoder::parse_token::UiTokenAmount;
use solana_transaction_error::TransactionError;
use solana_transaction_status::{InnerInstructions, TransactionStatusMeta, TransactionTokenBalance};

use super::transaction::status_meta;

/// A recorded transaction with what the chain recorded about it: the transaction's wire encoding, then [`Metadata`] in
/// the layout of bincode 1 (`docs/protocol.md`, section 5, discovery).
pub(crate) fn transaction_record(recorded: &RecordedTransaction) -> EncodedBinary {
    let metadata = recorded.outcome.as_ref().map(Metadata::of).unwrap_or_default();
    let mut bytes = recorded.wire.to_vec();
    bincode::serialize_into(&mut bytes, &metadata).expect("plain structs serialise, and a vector takes everything");
    EncodedBinary::from_bytes(&bytes, BinaryEncoding::Base64)
}

/// What follows the transaction. The names are the published protocol's; the layout has only their order.
#[derive(Default, Serialize)]
struct Metadata {
    error: Option<TransactionError>,
    balance_diffs: Option<BalanceDiffs>,
    logs: Option<Vec<String>>,
    inner_instructions: Option<Vec<InnerInstructions>>,
}

#[derive(Serialize)]
struct BalanceDiffs {
    pre_balances: Vec<u64>,
    post_balances: Vec<u64>,
    pre_token_balances: Option<Vec<TokenBalance>>,
    post_token_balances: Option<Vec<TokenBalance>>,
}

/// Solana's `TransactionTokenBalance`, which does not serialise itself.
#[derive(Serialize)]
struct TokenBalance {
    account_index: u8,
    mint: String,
    ui_token_amount: UiTokenAmount,
    owner: String,
    program_id: String,
}

impl Metadata {
    fn of(outcome: &Outcome) -> Self {
        let TransactionStatusMeta {
            status,
            pre_balances,
            post_balances,
            pre_token_balances,
            post_token_balances,
            log_messages,
            inner_instructions,
            ..
        } = status_meta(outcome);
        Self {
            error: status.err(),
            balance_diffs: Some(BalanceDiffs {
                pre_balances,
                post_balances,
                pre_token_balances: pre_token_balances.map(token_balances),
                post_token_balances: post_token_balances.map(token_balances),
            }),
            logs: log_messages,
            inner_instructions,
        }
    }
}

fn token_balances(balances: Vec<TransactionTokenBalance>) -> Vec<TokenBalance> {
    balances.into_iter().map(TokenBalance::from).collect()
}

impl From<TransactionTokenBalance> for TokenBalance {
    fn from(balance: TransactionTokenBalance) -> Self {
        Self {
            account_index: balance.account_index,
            mint: balance.mint,
            ui_token_amount: balance.ui_token_amount,
            owner: balance.owner,
            program_id: balance.program_id,
        }
    }
}
