//! Requests to go on: what they carry is decoded and checked as a whole before anything is applied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simulator_api::{BacktestError, ContinueParams, ContinueToParams};
use simulator_engine::decode_transaction;
use solana_transaction::versioned::VersionedTransaction;

use super::account::modifications;
use crate::session::{Changes, Order, Target};

/// Reads a `continue`.
///
/// # Errors
/// The first transaction or account that does not decode.
pub(crate) fn continue_order(params: ContinueParams) -> Result<Order, BacktestError> {
    let transactions = params
        .transactions
        .iter()
        .zip(0..)
        .map(|(text, index)| transaction(text, index))
        .collect::<Result<_, _>>()?;
    let accounts = modifications(params.modify_account_states)?;
    let changes = Changes { accounts, transactions };
    Ok(Order::Continue {
        request: params.request_id,
        blocks: params.advance_count,
        changes,
    })
}

/// Reads a `continueTo`.
pub(crate) fn continue_to_order(params: ContinueToParams) -> Order {
    let batch = params
        .batch_index
        .map(|batch| usize::try_from(batch).unwrap_or(usize::MAX));
    Order::ContinueTo {
        request: params.request_id,
        target: Target {
            slot: params.slot,
            batch,
        },
    }
}

fn transaction(text: &str, index: u64) -> Result<VersionedTransaction, BacktestError> {
    let wire = STANDARD
        .decode(text)
        .map_err(|error| BacktestError::InvalidTransactionEncoding {
            index,
            error: error.to_string(),
        })?;
    decode_transaction(&wire).map_err(|error| BacktestError::InvalidTransactionFormat {
        index,
        error: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(transactions: &[&str]) -> Result<Order, BacktestError> {
        let transactions = transactions.iter().map(|text| (*text).to_owned()).collect();
        continue_order(ContinueParams {
            transactions,
            ..ContinueParams::default()
        })
    }

    #[test]
    fn names_the_transaction_that_does_not_decode() {
        assert!(matches!(
            read(&["%"]),
            Err(BacktestError::InvalidTransactionEncoding { index: 0, .. })
        ));
        assert!(matches!(
            read(&["AAAA"]),
            Err(BacktestError::InvalidTransactionFormat { index: 0, .. })
        ));
        assert!(matches!(read(&[]), Ok(Order::Continue { blocks: 1, .. })));
    }
}
