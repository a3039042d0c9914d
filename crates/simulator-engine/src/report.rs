//! What a replay says about the slots it has executed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use simulator_archive::model::{Outcome, Slot};
use solana_account::AccountSharedData;
use solana_hash::Hash;
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_transaction_error::TransactionError;

use crate::digest::ResultDigest;

/// One transaction of a block, executed and compared with its record.
#[derive(Clone, Debug)]
pub struct TransactionReport {
    /// Index in the block.
    pub index: u32,
    /// The transaction's first signature.
    pub signature: Signature,
    /// All account keys: static ones, then the loaded writable and read-only ones.
    pub account_keys: Vec<Pubkey>,
    /// Programs that were invoked, top level or by another program, in order of first use.
    pub programs: Vec<Pubkey>,
    /// What happened to it.
    pub execution: Execution,
    /// How that compares with the record.
    pub verdict: Verdict,
    /// Accounts that it changed, sorted by address; empty unless [`AccountDiffs::Record`] was asked for.
    pub account_diffs: Vec<AccountDiff>,
}

/// What happened to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every transaction is processed; a box would only cost"
)]
pub enum Execution {
    /// It was executed, or at least paid its fee.
    Processed(Outcome),
    /// The runtime refused it; nothing was charged or changed.
    Refused(TransactionError),
    /// It was not given to the runtime.
    Skipped(Skip),
}

impl Execution {
    /// The computed outcome, if the transaction was processed.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Processed(outcome) => Some(outcome),
            Self::Refused(_) | Self::Skipped(_) => None,
        }
    }
}

/// Why a transaction of a block was not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// One of its signers is to be left out ([`ReplayOptions::ignored_signers`](crate::ReplayOptions)).
    IgnoredSigner(Pubkey),
    /// The archive does not hold this account, which the transaction needs.
    UnknownAccount(Pubkey),
    /// Nothing is executed: accounts took on the states that were recorded
    /// ([`BlockTransactions::TakeRecorded`](crate::BlockTransactions)). Such a transaction is in no total.
    StateOnly,
}

/// How a computed outcome compares with the recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every recorded field is equal.
    Matched,
    /// Some field differs.
    Diverged(Divergence),
    /// There is nothing to compare.
    Unverifiable(Unverifiable),
}

/// Why an outcome could not be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverifiable {
    /// The archive holds no outcome for the transaction.
    NoRecord,
    /// The transaction was not executed.
    Skipped(Skip),
}

/// A difference between what was computed and what the chain recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The fields that differ, in a fixed order; never empty.
    pub fields: Vec<OutcomeField>,
    /// What the difference is put down to.
    pub class: DivergenceClass,
    /// The account or the feature that is to blame, where it began and can be named.
    pub culprit: Option<Pubkey>,
    /// Whether this is where it began: no transaction before it passed the cause on to one of its accounts. What the user
    /// changed directly is a cause, not a divergence.
    pub root: bool,
}

/// A field of an outcome that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutcomeField {
    /// Whether the runtime processed the transaction at all.
    Processed,
    /// Success or the error.
    Status,
    /// The fee.
    Fee,
    /// Compute units consumed.
    ComputeUnits,
    /// Lamports before.
    PreBalances,
    /// Lamports after.
    PostBalances,
    /// Token balances before.
    PreTokenBalances,
    /// Token balances after.
    PostTokenBalances,
    /// The log.
    Logs,
    /// Inner instructions.
    InnerInstructions,
    /// Return data.
    ReturnData,
    /// Addresses loaded from lookup tables.
    LoadedAddresses,
}

/// What a divergence is put down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DivergenceClass {
    /// The user changed an account that the transaction, or one before it, depends on.
    Overridden,
    /// An account that the transaction depends on is not in the archive.
    UnknownAccount,
    /// An account had another balance on the chain before the transaction: the archive does not hold what the chain had,
    /// or something outside transactions was not repeated.
    Archive,
    /// A feature is not active that was on the chain: with it the transaction does what was recorded.
    Feature,
    /// Nothing but what execution costs differs: compute units, the fee of a transaction that sets no limit, and what the
    /// log says of them. The runtime's rules for that have changed without a feature.
    CostRules,
    /// A sysvar holds a stand-in, because the archive does not tell what the chain had.
    Sysvar,
    /// None of these: the engine is wrong.
    Engine,
}

/// One account that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountDiff {
    /// The account's address.
    pub address: Pubkey,
    /// Its state before; `None` if it did not exist.
    pub before: Option<AccountSharedData>,
    /// Its state after; `None` if it ceased to exist.
    pub after: Option<AccountSharedData>,
}

/// Whether reports carry the accounts that each transaction changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountDiffs {
    /// Leave them out.
    #[default]
    Omit,
    /// Record state before and after.
    Record,
}

/// One slot, closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotReport {
    /// The slot.
    pub slot: Slot,
    /// Its bank hash as computed from the session's own accounts; `None` where the accounts of the archive are not
    /// complete, its parent's hash is unknown, or the session was changed by its user.
    pub bank_hash: Option<Hash>,
    /// A digest over everything that the session has done up to the end of the slot: all outcomes, and all accounts that
    /// each slot changed. Two sessions that agree here have done the same until here.
    pub digest: ResultDigest,
}

/// Totals of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// First slot with a block that was executed.
    pub first_slot: Option<Slot>,
    /// Last slot with a block that was executed.
    pub last_slot: Option<Slot>,
    /// Blocks executed, or gone through.
    pub slots: u64,
    /// Historical transactions, but for those that were [not to be executed](Skip::StateOnly); the sum of `matched`, `diverged` and `unverifiable`.
    pub total: u64,
    /// Transactions that succeeded.
    pub successes: u64,
    /// Transactions that failed, were refused or skipped.
    pub failures: u64,
    /// Transactions whose outcome equals the record.
    pub matched: u64,
    /// Transactions whose outcome differs from the record.
    pub diverged: u64,
    /// Transactions that could not be compared.
    pub unverifiable: u64,
    /// Compute units consumed by historical transactions.
    pub compute_units: u64,
    /// Transactions that the user added.
    pub injected: u64,
    /// How computed bank hashes compare with those that votes name.
    pub bank_hashes: BankHashes,
    /// What the runtime did outside transactions that the archive does not let us repeat.
    pub unreproduced: BTreeMap<Unreproduced, Occurrences>,
}

/// How computed bank hashes compare with recorded ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BankHashes {
    /// Slots whose computed bank hash equals the recorded one.
    pub agreed: u64,
    /// Slots whose computed bank hash differs from the recorded one.
    pub differed: u64,
    /// Slots with a computed bank hash that no vote of the archive names.
    pub unrecorded: u64,
    /// The first slot that differs.
    pub first_difference: Option<BankHashDifference>,
    /// Why bank hashes were not computed for some or all slots.
    pub unavailable: Option<ProofUnavailable>,
}

/// A bank hash that is not the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankHashDifference {
    /// The slot.
    pub slot: Slot,
    /// The hash that votes name.
    pub recorded: Hash,
    /// The hash that was computed.
    pub computed: Hash,
}

/// Why a bank hash cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofUnavailable {
    /// The archive lists only some accounts.
    AccountsIncomplete,
    /// The user changed accounts or added transactions.
    SessionChanged,
    /// Neither the archive nor a vote names the bank hash of the first block's parent.
    ParentUnknown,
}

/// Something that the runtime did outside transactions and that could not be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unreproduced {
    /// A transaction without a recorded outcome named accounts of which the archive says nothing; they were taken not to
    /// exist. Counted by account.
    UnlistedAccounts,
    /// The block's fees were due to a leader whom no recorded reward names.
    LeaderFee,
    /// The block has no recorded time; the Clock kept its parent's.
    BlockTime,
    /// An epoch began under rules that the engine does not know: its rewards may differ.
    EpochBoundary,
    /// An epoch ended, but not all stake accounts are known: StakeHistory lacks its totals.
    StakeHistory,
    /// What the last epoch paid in total does not follow from the archive: EpochRewards holds stand-ins.
    EpochRewards,
    /// Vote accounts were due commissions, and the block records none.
    VotingRewards,
    /// What some stake accounts were paid, or the credits they were paid for, does not follow from the archive.
    StakeRewards,
    /// A feature replaced a program, and the archive does not hold the accounts that takes.
    ProgramReplacement,
    /// The block's parent is not in the archive: what the missing blocks changed is not known.
    MissingBlocks,
    /// The bank hash of the parent is neither recorded nor computable, so that SlotHashes holds a stand-in.
    ParentBankHash,
}

/// How often something happened, and where first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrences {
    /// How often.
    pub count: u64,
    /// The first slot in which it happened.
    pub first_slot: Slot,
}
