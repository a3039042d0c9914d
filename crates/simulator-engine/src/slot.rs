//! The edges of a slot: what the runtime does before its first and after its last transaction, in the Bank's order.

use std::sync::Arc;

use simulator_archive::model::{Block, Writer};
use solana_hash::Hash;
use solana_sdk_ids::incinerator;

use crate::accounts::SlotChanges;
use crate::bank_hash::SlotIdentity;
use crate::block::DecodedBlock;
use crate::fees::{self, CollectedFees, LeaderFee};
use crate::lineage::Reached;
use crate::replay::{OpenSlot, Replay, SlotError, Tip};
use crate::report::{ProofUnavailable, SlotReport, Unreproduced};
use crate::sysvars::{self, Clock};
use crate::{epoch, votes};

impl Replay {
    pub(crate) fn begin_slot(&mut self, decoded: Arc<DecodedBlock>) -> Result<OpenSlot, SlotError> {
        let block = decoded.block();
        self.recorder.begin_slot(block.slot);
        let parent_bank_hash = self.parent_bank_hash(&decoded);
        self.runtime.enter_slot(block.slot);
        self.fee_rate = self.fee_rate.next(self.tip.signatures);
        let clock = self.next_clock(block)?;
        if clock.epoch > self.tip.epoch {
            epoch::begin(self, block)?;
        }
        epoch::distribute_rewards(self, block);
        // Without any source for the parent's bank hash, something unique has to stand in for it.
        let slot_hash = parent_bank_hash.unwrap_or(block.previous_blockhash);
        let rent = self.runtime.rent.clone();
        sysvars::push_slot_hash(&mut self.accounts, &rent, self.tip.slot, &slot_hash);
        clock.write(&mut self.accounts, &rent);
        self.take_over_edge(&decoded, Writer::SlotStart);
        self.runtime.fill_sysvar_cache((&self.accounts).into());
        let environment = self.runtime.environment(block.slot, self.blockhashes.last());
        Ok(OpenSlot {
            next_batch: 0,
            next_transaction: 0,
            block_height: self.height_of(block),
            environment,
            fees: CollectedFees::default(),
            parent_bank_hash,
            block: decoded,
        })
    }

    /// The parent's bank hash: named by this block's votes, or recorded, or computed.
    ///
    /// In a session that its user changed, the chain's own hashes must be used: every vote would fail otherwise.
    fn parent_bank_hash(&mut self, decoded: &DecodedBlock) -> Option<Hash> {
        let mut named = votes::named_hashes(decoded.block(), decoded.transactions());
        if let Some(recorded) = self.tip.recorded_bank_hash {
            named.entry(self.tip.slot).or_insert(recorded);
        }
        self.proof.confirm(&named);
        let hash = named.get(&self.tip.slot).copied().or_else(|| self.proof.last());
        if hash.is_none() {
            self.recorder
                .unreproduced(Unreproduced::ParentBankHash, decoded.block().slot);
        }
        hash
    }

    /// The Clock of a block. Its time is the block's own, as recorded.
    fn next_clock(&mut self, block: &Block) -> Result<Clock, SlotError> {
        let parent = Clock::read(&self.accounts)?;
        let schedule = &self.runtime.epoch_schedule;
        let epoch = schedule.get_epoch(block.slot);
        let unix_timestamp = block.block_time.unwrap_or(parent.unix_timestamp);
        let starts_epoch = epoch != self.tip.epoch;
        let clock = Clock {
            slot: block.slot,
            epoch_start_timestamp: if starts_epoch {
                unix_timestamp
            } else {
                parent.epoch_start_timestamp
            },
            epoch,
            leader_schedule_epoch: schedule.get_leader_schedule_epoch(block.slot),
            unix_timestamp,
        };
        if block.block_time.is_none() {
            self.recorder.unreproduced(Unreproduced::BlockTime, block.slot);
        }
        Ok(clock)
    }

    pub(crate) fn end_slot(&mut self, open: &OpenSlot) -> SlotReport {
        let block = open.block.block();
        let rent = self.runtime.rent.clone();
        self.register_blockhash(block.blockhash);
        self.seen.close_block();
        self.settle_fees(open);
        sysvars::add_to_slot_history(&mut self.accounts, &rent, block.slot);
        if self.accounts.get(&incinerator::ID).is_some() {
            self.accounts.remove(&incinerator::ID);
        }
        self.take_over_edge(&open.block, Writer::SlotEnd);
        let changes = self.accounts.take_slot_changes();
        let bank_hash = self.prove_slot(open, &changes);
        let digest = self.recorder.end_slot(self.accounts.changed_since(&changes));
        self.tip = Tip {
            slot: block.slot,
            epoch: self.runtime.epoch_schedule.get_epoch(block.slot),
            block_height: open.block_height,
            signatures: open.fees.signatures,
            recorded_bank_hash: block.bank_hash,
        };
        SlotReport {
            slot: block.slot,
            bank_hash,
            digest,
        }
    }

    fn settle_fees(&mut self, open: &OpenSlot) {
        let block = open.block.block();
        match fees::pay_leader(&mut self.accounts, &self.runtime, block, &open.fees) {
            LeaderFee::AsRecorded => {}
            LeaderFee::Other(leader) => {
                // Whatever changed the fees of the block now reaches its leader.
                let class = self.lineage.cause().unwrap_or_else(|| self.default_class());
                self.lineage.reach([&leader], Reached::through_transaction(class));
            }
            LeaderFee::LeaderUnknown => self.recorder.unreproduced(Unreproduced::LeaderFee, block.slot),
        }
    }

    fn prove_slot(&mut self, open: &OpenSlot, changes: &SlotChanges) -> Option<Hash> {
        let block = open.block.block();
        let identity = open
            .parent_bank_hash
            .map(|parent| SlotIdentity {
                parent,
                signatures: open.fees.signatures,
                blockhash: block.blockhash,
            })
            .ok_or(ProofUnavailable::ParentUnknown);
        self.proof.close_slot(block.slot, identity, changes, &self.accounts)
    }
}
