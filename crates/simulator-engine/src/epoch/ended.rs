//! The epoch that has ended, as far as its rewards depend on it.

use simulator_archive::Scope;
use simulator_archive::model::Block;

use crate::epoch::epoch_rewards::{push_stake_history, read_stake_history};
use crate::epoch::stake::{self, Stake, Warmup};
use crate::replay::Replay;
use crate::report::Unreproduced;

/// An epoch, with the stake accounts at its end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) epoch: u64,
    /// Sorted by address.
    pub(crate) stakes: Vec<Stake>,
    pub(crate) warmup: Warmup,
}

impl Ended {
    /// Ends the epoch of the last slot and takes its totals into StakeHistory.
    pub(crate) fn now(replay: &mut Replay, block: &Block) -> Self {
        let (features, schedule) = (&replay.runtime.features, &replay.runtime.epoch_schedule);
        let epoch = schedule.get_epoch(replay.tip.slot);
        let stakes = stake::all(&replay.accounts);
        let mut warmup = Warmup::new(read_stake_history(&replay.accounts), features, schedule);
        if replay.accounts.scope() == Scope::All {
            let total = warmup.end_epoch(epoch, &stakes);
            push_stake_history(&mut replay.accounts, &replay.runtime.rent, epoch, &total);
        } else {
            replay.recorder.unreproduced(Unreproduced::StakeHistory, block.slot);
        }
        Self { epoch, stakes, warmup }
    }

    /// The last epoch that StakeHistory knows of, which ended before the archive begins.
    pub(crate) fn earlier(replay: &Replay, block: &Block) -> Self {
        let (features, schedule) = (&replay.runtime.features, &replay.runtime.epoch_schedule);
        let history = read_stake_history(&replay.accounts);
        let before = || schedule.get_epoch(block.slot).saturating_sub(1);
        Self {
            epoch: history.first().map_or_else(before, |(epoch, _)| *epoch),
            stakes: stake::all(&replay.accounts),
            warmup: Warmup::new(history, features, schedule),
        }
    }
}
