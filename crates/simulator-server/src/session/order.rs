//! What a client asks of a session.

use simulator_api::RequestId;
use solana_account::AccountSharedData;
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;

use super::Target;

/// A request to go on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// Apply changes to the open slot, then go on by a number of blocks.
    Continue {
        request: Option<RequestId>,
        blocks: u64,
        changes: Changes,
    },
    /// Go on up to a position.
    ContinueTo { request: Option<RequestId>, target: Target },
}

/// What a `continue` changes in the open slot before it goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// Accounts to replace, sorted by address.
    pub(crate) accounts: Vec<(Pubkey, AccountSharedData)>,
    /// Transactions to execute after that, in order.
    pub(crate) transactions: Vec<VersionedTransaction>,
}

/// How much a `continue` has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Accounts that were replaced.
    pub(crate) accounts: usize,
    /// Transactions that were executed or refused.
    pub(crate) transactions: usize,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.transactions.is_empty()
    }

    /// What will have been applied when all of it is.
    pub(crate) fn extent(&self) -> Applied {
        Applied {
            accounts: self.accounts.len(),
            transactions: self.transactions.len(),
        }
    }
}

impl Order {
    pub(crate) fn request(&self) -> Option<&RequestId> {
        match self {
            Self::Continue { request, .. } | Self::ContinueTo { request, .. } => request.as_ref(),
        }
    }
}
