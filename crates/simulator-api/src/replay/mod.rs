//! What a replay found out: outcomes by slot, totals, and the accounts that it knows. All of it is an extension of
//! ours, read by JSON-RPC over a session's data channel.

mod accounts;
mod outcome;
mod slots;
mod summary;

pub use accounts::{
    AccountBytes, GET_REPLAY_ACCOUNTS, GetReplayAccountsParams, ReplayAccount, ReplayAccountEntry, ReplayAccounts,
};
pub use outcome::{AccountDiff, Divergence, DivergenceClass, OutcomeDetail, SignedAmount, TransactionOutcome, Verdict};
pub use slots::{
    BankHashPair, GET_REPLAY_OUTCOMES, GetReplayOutcomesParams, OutcomeCounts, ReplayOutcomes, SlotOutcome,
};
pub use summary::{
    BankHashCounts, BankHashDifference, GET_REPLAY_STATE_DIGEST, GET_REPLAY_SUMMARY, ReplayStateDigest, ReplaySummary,
    UnreproducedEffect,
};
