//! A session's replay: the one place where recorded history is executed.

use std::collections::BTreeSet;
use std::sync::Arc;

use simulator_archive::Scope;
use simulator_archive::model::{Block, Slot};
use solana_hash::Hash;
use solana_pubkey::Pubkey;
use solana_svm::transaction_processor::TransactionProcessingEnvironment;
use thiserror::Error;

use crate::accounts::{AccountBase, AccountStore};
use crate::block::DecodedBlock;
use crate::blockhash_queue::{BlockhashQueue, RecentBlockhash};
use crate::cause::Trials;
use crate::check::Checker;
use crate::epoch::Payout;
use crate::execute::Machine;
use crate::features::{self, FeatureChoice};
use crate::fees::{CollectedFees, FeeRate};
use crate::lineage::Lineage;
use crate::natives;
use crate::proof::Proof;
use crate::recorder::Recorder;
use crate::report::{AccountDiff, AccountDiffs, SlotReport, TransactionReport, Unreproduced};
use crate::runtime::{Runtime, SetupError};
use crate::seen::SeenTransactions;
use crate::sysvars::{self, Clock, SysvarError};
use crate::view::AccountView;

/// What a replay depends on besides its accounts and blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    /// Which runtime features are active.
    pub features: FeatureChoice,
    /// Added to the compute unit limit of every transaction that sets one. Fees stay as they are.
    pub extra_compute_units: u32,
    /// Transactions of a block that any of these signed are left out.
    pub ignored_signers: BTreeSet<Pubkey>,
    /// Whether reports carry the accounts that each transaction changed.
    pub account_diffs: AccountDiffs,
    /// What is done with the transactions of blocks.
    pub transactions: BlockTransactions,
}

/// What is done with the transactions of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockTransactions {
    /// They are executed.
    #[default]
    Execute,
    /// Nothing is executed, the user's transactions included: accounts take on the states that blocks carry
    /// ([`DecodedBlock::with_delta`]), and the options that are about execution have no effect but on simulations.
    TakeRecorded,
}

impl ReplayOptions {
    /// Whether blocks are executed under other rules than the chain's. Ignored signers count where they sign.
    pub(crate) fn deviate(&self) -> bool {
        let executes = self.transactions == BlockTransactions::Execute;
        executes && (self.extra_compute_units > 0 || self.features != FeatureChoice::Accounts)
    }
}

/// Where a replay stands in its open slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The open slot.
    pub slot: Slot,
    /// The next batch to execute, or the one that is being executed; equal to `batches` when the whole block has been
    /// executed.
    pub batch: usize,
    /// How many batches the block has.
    pub batches: usize,
}

/// The blockhash that a transaction sent now should name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockhashInfo {
    /// The newest blockhash.
    pub blockhash: Hash,
    /// The last block height at which a transaction that names it is accepted.
    pub last_valid_block_height: u64,
}

/// A step that the replay cannot take.
#[derive(Debug, Error)]
pub enum SlotError {
    /// A slot has to be closed before the next one is opened.
    #[error("slot {open} is still open")]
    StillOpen {
        /// The open slot.
        open: Slot,
    },
    /// The step needs an open slot.
    #[error("no slot is open")]
    NoOpenSlot,
    /// The slot's block has not been executed to its end.
    #[error("slot {slot} still has {left} batches to execute")]
    BatchesLeft {
        /// The open slot.
        slot: Slot,
        /// Batches that have not been executed.
        left: usize,
    },
    /// The block is not the child of the block before it.
    #[error("block {slot} names slot {named} as its parent, but the replay stands at slot {at}")]
    NotTheNextBlock {
        /// The block's slot.
        slot: Slot,
        /// The parent that it names.
        named: Slot,
        /// The last closed slot.
        at: Slot,
    },
    /// The block's parent has another blockhash than the one it names.
    #[error("block {slot} names blockhash {named} as its parent's, but the replay's newest is {at}")]
    OtherParentBlockhash {
        /// The block's slot.
        slot: Slot,
        /// The blockhash that it names.
        named: Hash,
        /// The newest blockhash of the replay.
        at: Hash,
    },
    /// The replay takes on recorded states, and the block comes without those of its slot.
    #[error("what slot {slot} changed was not read with its block")]
    NoDelta {
        /// The block's slot.
        slot: Slot,
    },
    /// The replay takes on recorded states, so that it executes no transaction of the user's either.
    #[error("this session takes on recorded account states and executes no transactions; simulate them instead")]
    NothingIsExecuted,
    /// The runtime could not be set up for a new epoch.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A sysvar account is missing or malformed.
    #[error(transparent)]
    Sysvar(#[from] SysvarError),
}

/// A replay over an archive's accounts: open a slot, execute its batches, let the user act, close it.
pub struct Replay {
    pub(crate) accounts: AccountStore,
    pub(crate) options: ReplayOptions,
    pub(crate) runtime: Runtime,
    pub(crate) blockhashes: BlockhashQueue,
    pub(crate) fee_rate: FeeRate,
    pub(crate) seen: SeenTransactions,
    pub(crate) proof: Proof,
    pub(crate) lineage: Lineage,
    pub(crate) recorder: Recorder,
    pub(crate) trials: Trials,
    /// Staking rewards that are still to be paid.
    pub(crate) payout: Option<Payout>,
    pub(crate) tip: Tip,
    pub(crate) open: Option<OpenSlot>,
    /// What changed outside of transactions and has not been taken yet.
    pub(crate) changed_outside: Vec<AccountDiff>,
    phase: Phase,
}

/// Whether the session has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Blocks are executed that come before it.
    FastForward,
    /// It has.
    Session,
}

/// The last closed slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    pub(crate) slot: Slot,
    /// Its epoch, or that of the last block which the archive holds, if this one is missing.
    pub(crate) epoch: u64,
    pub(crate) block_height: u64,
    /// Signatures of its processed transactions.
    pub(crate) signatures: u64,
    /// Its bank hash, where the archive records it.
    pub(crate) recorded_bank_hash: Option<Hash>,
}

/// The slot that is being executed.
pub(crate) struct OpenSlot {
    pub(crate) block: Arc<DecodedBlock>,
    pub(crate) next_batch: usize,
    /// The next transaction of the block: one of the next batch.
    pub(crate) next_transaction: usize,
    pub(crate) block_height: u64,
    pub(crate) environment: TransactionProcessingEnvironment,
    pub(crate) fees: CollectedFees,
    /// The parent's bank hash as it entered SlotHashes; none if that was a stand-in.
    pub(crate) parent_bank_hash: Option<Hash>,
}

impl Replay {
    /// Sets a replay up over the accounts as they were just before the first block.
    ///
    /// # Errors
    /// A sysvar that a replay needs is not among the accounts, or the virtual machine refuses the features.
    pub fn new(base: Arc<AccountBase>, options: ReplayOptions) -> Result<Self, SetupError> {
        Self::over(AccountStore::new(base), options)
    }

    pub(crate) fn over(mut accounts: AccountStore, options: ReplayOptions) -> Result<Self, SetupError> {
        let mut proof = Proof::new(&accounts);
        if options.features != FeatureChoice::Accounts {
            proof.session_changed();
        }
        let feature_set = features::initial(&options.features, &accounts);
        if accounts.scope() == Scope::Listed {
            natives::supply(&mut accounts, &feature_set);
        }
        let clock = Clock::read(&accounts)?;
        accounts.limit_deployments(clock.slot);
        let runtime = Runtime::new(feature_set, &accounts, clock.slot)?;
        let recent = sysvars::read_recent_blockhashes(&accounts)?;
        let mut blockhashes = BlockhashQueue::from_sysvar(&recent)
            .ok_or(SysvarError::Malformed(solana_sdk_ids::sysvar::recent_blockhashes::ID))?;
        let parent = accounts.parent_at(clock.slot).cloned();
        if let Some(parent) = &parent {
            blockhashes.extend_to(&parent.blockhashes);
        }
        let fee_rate = FeeRate(blockhashes.last().lamports_per_signature);
        accounts.take_slot_changes();
        Ok(Self {
            accounts,
            options,
            runtime,
            blockhashes,
            fee_rate,
            seen: SeenTransactions::default(),
            proof,
            lineage: Lineage::default(),
            recorder: Recorder::default(),
            trials: Trials::default(),
            payout: None,
            tip: Tip {
                slot: clock.slot,
                epoch: clock.epoch,
                block_height: parent.as_ref().map_or(clock.slot, |parent| parent.block_height),
                signatures: 0,
                recorded_bank_hash: parent.map(|parent| parent.hash),
            },
            open: None,
            changed_outside: Vec::new(),
            phase: Phase::Session,
        })
    }

    /// Opens the slot of a block: everything that the runtime does before the first transaction.
    ///
    /// # Errors
    /// A slot is still open, the block does not follow the last one, or a sysvar is malformed.
    pub fn open_slot(&mut self, block: Arc<DecodedBlock>) -> Result<(), SlotError> {
        self.begin_session();
        if self.options.deviate() {
            self.proof.session_changed();
        }
        self.open_any_slot(block)
    }

    fn open_any_slot(&mut self, block: Arc<DecodedBlock>) -> Result<(), SlotError> {
        if let Some(open) = &self.open {
            return Err(SlotError::StillOpen {
                open: open.block.block().slot,
            });
        }
        self.check_recorded(&block)?;
        let open = self.outside(|replay| {
            replay.go_on_to(&block)?;
            replay.begin_slot(block)
        })?;
        self.open = Some(open);
        Ok(())
    }

    /// Executes the next batch of the open slot, or gives `None` when the whole block has been executed.
    ///
    /// # Errors
    /// No slot is open.
    pub fn execute_batch(&mut self) -> Result<Option<Vec<TransactionReport>>, SlotError> {
        let batch = self.open.as_ref().ok_or(SlotError::NoOpenSlot)?.next_batch;
        let mut reports = Vec::new();
        while self.open.as_ref().is_some_and(|open| open.next_batch == batch)
            && let Some(report) = self.execute_transaction()?
        {
            reports.push(report);
        }
        Ok(Some(reports).filter(|reports| !reports.is_empty()))
    }

    /// Executes the next transaction of the open slot, or gives `None` when the whole block has been executed. A batch
    /// that was begun so is finished by [`execute_batch`](Self::execute_batch) or by further calls.
    ///
    /// # Errors
    /// No slot is open.
    pub fn execute_transaction(&mut self) -> Result<Option<TransactionReport>, SlotError> {
        let open = self.open.as_mut().ok_or(SlotError::NoOpenSlot)?;
        let block = Arc::clone(&open.block);
        let Some(batch) = block.batches().get(open.next_batch) else {
            return Ok(None);
        };
        let index = open.next_transaction;
        open.next_transaction += 1;
        if open.next_transaction == batch.end {
            open.next_batch += 1;
        }
        Ok(Some(match self.options.transactions {
            BlockTransactions::Execute => self.execute_historical(&block, index),
            BlockTransactions::TakeRecorded => self.take_recorded(&block, index),
        }))
    }

    /// Closes the open slot: everything that the runtime does after the last transaction.
    ///
    /// # Errors
    /// No slot is open, or its block has not been executed to its end.
    pub fn close_slot(&mut self) -> Result<SlotReport, SlotError> {
        let position = self.position().ok_or(SlotError::NoOpenSlot)?;
        if position.batch < position.batches {
            return Err(SlotError::BatchesLeft {
                slot: position.slot,
                left: position.batches - position.batch,
            });
        }
        let open = self.open.take().ok_or(SlotError::NoOpenSlot)?;
        Ok(self.outside(|replay| replay.end_slot(&open)))
    }

    /// Executes a whole block on the way to where the session begins: as the chain did, without the user's options but
    /// for the features, which hold from the start. It leaves no trace in totals and digest; what could not be
    /// reproduced on the way is still counted.
    ///
    /// # Errors
    /// As [`open_slot`](Self::open_slot).
    pub fn fast_forward(&mut self, block: Arc<DecodedBlock>) -> Result<(), SlotError> {
        let neutral = ReplayOptions {
            features: self.options.features.clone(),
            transactions: self.options.transactions,
            ..ReplayOptions::default()
        };
        let options = std::mem::replace(&mut self.options, neutral);
        let executed = self.execute_whole(block);
        self.options = options;
        self.await_session();
        executed
    }

    fn execute_whole(&mut self, block: Arc<DecodedBlock>) -> Result<(), SlotError> {
        self.open_any_slot(block)?;
        while self.execute_batch()?.is_some() {}
        self.close_slot().map(drop)
    }

    /// What has happened so far came before the session, which begins at the next slot that is opened.
    pub(crate) fn await_session(&mut self) {
        self.phase = Phase::FastForward;
    }

    /// Here the session begins, if it has not begun yet: what came before only led to its start.
    pub(crate) fn begin_session(&mut self) {
        if self.phase == Phase::FastForward {
            self.phase = Phase::Session;
            self.recorder.begin_session();
            self.proof.begin_session();
            self.accounts.begin_session();
        }
    }

    /// The height of a block that follows the last one; counted where it is not recorded.
    pub(crate) fn height_of(&self, block: &Block) -> u64 {
        block
            .block_height
            .unwrap_or_else(|| self.tip.block_height.saturating_add(1))
    }

    /// Makes the parent of a block the last slot, or says why it is not.
    fn go_on_to(&mut self, block: &DecodedBlock) -> Result<(), SlotError> {
        let block = block.block();
        let last = self.blockhashes.last();
        let is_child = block.parent_slot == self.tip.slot && block.previous_blockhash == last.blockhash;
        if is_child && block.slot > self.tip.slot {
            return Ok(());
        }
        if self.accounts.scope() == Scope::Listed && block.parent_slot >= self.tip.slot && block.slot > self.tip.slot {
            self.skip_missing_blocks(block);
            return Ok(());
        }
        let slot = block.slot;
        Err(if block.parent_slot == self.tip.slot && slot > self.tip.slot {
            SlotError::OtherParentBlockhash {
                slot,
                named: block.previous_blockhash,
                at: last.blockhash,
            }
        } else {
            SlotError::NotTheNextBlock {
                slot,
                named: block.parent_slot,
                at: self.tip.slot,
            }
        })
    }

    /// Goes on to a block whose parent is not in the archive. A list of some accounts makes no promise that every
    /// block is there; what the missing ones changed is not known.
    fn skip_missing_blocks(&mut self, block: &Block) {
        self.recorder.unreproduced(Unreproduced::MissingBlocks, block.slot);
        self.blockhashes.note_gap();
        if block.previous_blockhash != self.blockhashes.last().blockhash {
            self.register_blockhash(block.previous_blockhash);
        }
        self.tip.slot = block.parent_slot;
        self.tip.signatures = 0;
        self.tip.recorded_bank_hash = None;
    }

    pub(crate) fn register_blockhash(&mut self, blockhash: Hash) {
        let recent = RecentBlockhash {
            blockhash,
            lamports_per_signature: self.fee_rate.0,
        };
        self.blockhashes
            .register(recent.blockhash, recent.lamports_per_signature);
        sysvars::push_recent_blockhash(&mut self.accounts, &self.runtime.rent, recent);
    }

    /// What transactions of the open slot are executed against.
    pub(crate) fn machine<'a>(&'a self, open: &'a OpenSlot) -> Machine<'a> {
        self.machine_over(open, &self.runtime, (&self.accounts).into())
    }

    /// The same over other accounts than the session's, in a machine that knows them.
    pub(crate) fn machine_over<'a>(
        &'a self,
        open: &'a OpenSlot,
        runtime: &'a Runtime,
        accounts: AccountView<'a>,
    ) -> Machine<'a> {
        Machine {
            checker: Checker {
                runtime,
                accounts,
                blockhashes: &self.blockhashes,
                extra_compute_units: self.options.extra_compute_units,
            },
            environment: &open.environment,
            slot: open.block.block().slot,
        }
    }
}
