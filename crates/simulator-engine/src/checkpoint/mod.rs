//! A replay between two slots, taken down so that another one can go on from there.
//!
//! Both then do the same: outcomes, digests, verdicts, findings. What counts towards that beside the accounts is the
//! [context](Checkpoint::context): the blockhashes that transactions may name, the transactions that must not be repeated,
//! and what is known of divergences so far.

mod memory;

use std::sync::Arc;

use bytes::Bytes;
use simulator_archive::model::{Account, Change, SlotDelta, Writer};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;
use thiserror::Error;

use crate::accounts::{AccountBase, AccountStore, to_shared};
use crate::block::DecodedBlock;
use crate::checkpoint::memory::Memory;
use crate::replay::{Replay, ReplayOptions, SlotError};
use crate::report::{AccountDiff, AccountDiffs};
use crate::runtime::SetupError;

/// Where a replay stands between two slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Sorted by address.
    differences: Vec<(Pubkey, Option<AccountSharedData>)>,
    memory: Memory,
}

/// A context that was not written by this version of the engine.
#[derive(Debug, Error)]
#[error("the context of a keyframe is not one of {engine}", engine = crate::ENGINE_VERSION)]
pub struct ContextError(#[from] bincode::Error);

impl Checkpoint {
    /// Puts a checkpoint together from what [`differences`](Self::differences) and [`context`](Self::context) gave.
    ///
    /// # Errors
    /// The context is another engine's.
    pub fn new(
        differences: impl IntoIterator<Item = (Pubkey, Option<Account>)>,
        context: &[u8],
    ) -> Result<Self, ContextError> {
        let differences = differences.into_iter();
        Ok(Self {
            differences: differences
                .map(|(address, account)| (address, account.map(to_shared)))
                .collect(),
            memory: Memory::parse(context)?,
        })
    }

    /// The accounts that are not what they are in the base, sorted by address; none is an account that does not exist.
    /// Where the base lists only some accounts, these include all that have been found not to exist.
    pub fn differences(&self) -> impl Iterator<Item = (Pubkey, Option<Account>)> {
        let differences = self.differences.iter();
        differences.map(|(address, account)| (*address, account.as_ref().map(from_shared)))
    }

    /// What the replay knows beside the accounts, in the engine's own encoding.
    #[must_use]
    pub fn context(&self) -> Vec<u8> {
        self.memory.encode()
    }
}

impl ReplayOptions {
    /// Whether a session with these options may begin at a [`Checkpoint`] of a replay without any: what the chain did
    /// before its first slot is the same to it. Features hold from the start of an archive.
    #[must_use]
    pub fn may_resume(&self) -> bool {
        self.features == crate::FeatureChoice::Accounts
    }
}

impl Replay {
    /// Where the replay stands, to go on from later. None while a slot is open, and in the slots that pay the staking
    /// rewards of an epoch, of which more would have to be remembered.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let is_between = self.open.is_none() && self.payout.is_none();
        is_between.then(|| Checkpoint {
            differences: self.accounts.differences(),
            memory: Memory::of(self),
        })
    }

    /// Goes on from a checkpoint of a replay over the same base that no user has changed and whose options
    /// [may be resumed](ReplayOptions::may_resume). The session begins at the next slot that is opened, as after
    /// [`fast_forward`](Self::fast_forward).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn resume(base: Arc<AccountBase>, checkpoint: &Checkpoint, options: ReplayOptions) -> Result<Self, SetupError> {
        let accounts = AccountStore::after(base, &checkpoint.differences);
        let mut replay = Self::over(accounts, options)?;
        checkpoint.memory.restore(&mut replay);
        Ok(replay)
    }

    /// Executes a whole block and tells each state that an account took on, whether or not the options ask for changes.
    ///
    /// # Errors
    /// As [`open_slot`](Self::open_slot).
    pub fn record_slot(&mut self, block: Arc<DecodedBlock>) -> Result<SlotDelta, SlotError> {
        let before = std::mem::replace(&mut self.options.account_diffs, AccountDiffs::Record);
        let delta = self.record(block);
        self.options.account_diffs = before;
        delta
    }

    fn record(&mut self, block: Arc<DecodedBlock>) -> Result<SlotDelta, SlotError> {
        let slot = block.block().slot;
        self.open_slot(block)?;
        let mut changes: Vec<Change> = Vec::new();
        changes.extend(written_by(Writer::SlotStart, self.take_changes_outside()));
        while let Some(reports) = self.execute_batch()? {
            for report in reports {
                changes.extend(written_by(Writer::Transaction(report.index), report.account_diffs));
            }
        }
        self.close_slot()?;
        changes.extend(written_by(Writer::SlotEnd, self.take_changes_outside()));
        Ok(SlotDelta { slot, changes })
    }
}

fn written_by(writer: Writer, diffs: Vec<AccountDiff>) -> impl Iterator<Item = Change> {
    diffs.into_iter().map(move |diff| Change {
        writer,
        address: diff.address,
        account: diff.after.as_ref().map(from_shared),
    })
}

/// The form in which an archive keeps an account.
fn from_shared(account: &AccountSharedData) -> Account {
    Account {
        lamports: account.lamports(),
        owner: *account.owner(),
        executable: account.executable(),
        rent_epoch: account.rent_epoch(),
        data: Bytes::copy_from_slice(account.data()),
    }
}
