//! What became of an action at one of its places.

use std::mem::size_of;
use std::sync::Arc;

use simulator_archive::model::{ReturnData, Slot};
use simulator_engine::{Execution, Lookup};
use solana_account::ReadableAccount as _;
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction_error::TransactionError;

use crate::convert::execution_error;

/// What became of an action at one of its places.
#[derive(Clone, Debug)]
pub(crate) struct ActionRecord {
    /// The open slot.
    pub(crate) told_in: Slot,
    /// The slot that it was for: the open one, unless that has no block.
    pub(crate) slot: Slot,
    /// The transaction that a filter looked for.
    pub(crate) matched: Option<MatchedAt>,
    /// The action's place in the create.
    pub(crate) action: usize,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) fate: Fate,
}

/// A historical transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MatchedAt {
    pub(crate) batch: usize,
    /// Index in the block.
    pub(crate) transaction: usize,
    pub(crate) signature: Signature,
}

/// Whether an action ran.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Ran {
        /// Whether any of its transactions is part of the slot now.
        is_committed: bool,
        /// What happened to its transactions, in order.
        transactions: Vec<RanTransaction>,
        /// The accounts that it was to show, as they were afterwards.
        accounts: Vec<(Pubkey, Lookup)>,
    },
    NotRun(NotRun),
}

/// What happened to a transaction of an action, as far as it is told.
#[derive(Clone, Debug)]
pub(crate) struct RanTransaction {
    pub(crate) error: Option<TransactionError>,
    pub(crate) logs: Vec<String>,
    pub(crate) compute_units: u64,
    /// `None` if it was not executed.
    pub(crate) fee: Option<u64>,
    pub(crate) return_data: Option<ReturnData>,
}

/// Why an action did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRun {
    #[error("the slot has no block")]
    NoBlock,
    #[error("the slot holds as much of what the user sent as it may")]
    SlotFull,
}

impl ActionRecord {
    /// About how much memory it takes.
    pub(crate) fn size(&self) -> usize {
        let content = match &self.fate {
            Fate::Ran {
                transactions, accounts, ..
            } => {
                let transactions = transactions.iter().map(RanTransaction::size).sum::<usize>();
                transactions + accounts.iter().map(account_size).sum::<usize>()
            }
            Fate::NotRun(_) => 0,
        };
        size_of::<Self>() + content
    }
}

impl RanTransaction {
    fn size(&self) -> usize {
        let logs = self.logs.iter().map(|line| size_of::<String>() + line.len());
        let return_data = self.return_data.as_ref().map_or(0, |returned| returned.data.len());
        size_of::<Self>() + logs.sum::<usize>() + return_data
    }
}

impl From<Execution> for RanTransaction {
    fn from(execution: Execution) -> Self {
        let error = execution_error(&execution);
        let outcome = match execution {
            Execution::Processed(outcome) => Some(outcome),
            Execution::Refused(_) | Execution::Skipped(_) => None,
        };
        let fee = outcome.as_ref().map(|outcome| outcome.fee);
        let compute_units = outcome.as_ref().and_then(|outcome| outcome.compute_units);
        let (logs, return_data) = outcome.map_or((None, None), |outcome| (outcome.logs, outcome.return_data));
        Self {
            error,
            logs: logs.unwrap_or_default(),
            compute_units: compute_units.unwrap_or_default(),
            fee,
            return_data,
        }
    }
}

fn account_size((_, account): &(Pubkey, Lookup)) -> usize {
    let data = match account {
        Lookup::Known(account) => account.data().len(),
        Lookup::Absent | Lookup::Unknown => 0,
    };
    size_of::<(Pubkey, Lookup)>() + data
}
