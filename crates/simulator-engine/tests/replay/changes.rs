//! Every change of every account is reported: by a transaction, or outside of any.

use std::collections::BTreeMap;

use crate::support::{Loaded, execute_block};
use simulator_engine::{AccountDiff, AccountDiffs, Replay, ReplayOptions};
use solana_account::AccountSharedData;
use solana_pubkey::Pubkey;
use solana_sdk_ids::sysvar;

/// The accounts as the reported changes say.
#[derive(Debug, PartialEq)]
struct Told(BTreeMap<Pubkey, AccountSharedData>);

impl Told {
    fn of(replay: &Replay) -> Self {
        Self(replay.accounts_after(None, usize::MAX).into_iter().collect())
    }

    /// Follows a change, which has to begin where the last one of that account ended.
    fn follow(&mut self, diff: AccountDiff) {
        let AccountDiff { address, before, after } = diff;
        assert_eq!(self.0.get(&address), before.as_ref(), "{address}");
        assert_ne!(before, after, "{address}: not a change");
        match after {
            Some(account) => self.0.insert(address, account),
            None => self.0.remove(&address),
        };
    }

    fn follow_outside(&mut self, replay: &mut Replay) -> Vec<Pubkey> {
        let diffs = replay.take_changes_outside();
        let addresses = diffs.iter().map(|diff| diff.address).collect();
        diffs.into_iter().for_each(|diff| self.follow(diff));
        addresses
    }
}

fn recording(ledger: &Loaded) -> Replay {
    ledger.replay_with(ReplayOptions {
        account_diffs: AccountDiffs::Record,
        ..ReplayOptions::default()
    })
}

#[test]
fn the_reported_changes_lead_to_the_accounts_as_they_are() {
    let ledger = Loaded::sample();
    let mut replay = recording(&ledger);
    let mut told = Told::of(&replay);
    let user = Pubkey::new_from_array([7; 32]);
    for (index, block) in ledger.blocks.iter().enumerate() {
        for report in execute_block(&mut replay, block) {
            if report.index == 0 {
                let opened = told.follow_outside(&mut replay);
                assert!(opened.contains(&sysvar::clock::ID) && opened.contains(&sysvar::slot_hashes::ID));
            }
            report.account_diffs.into_iter().for_each(|diff| told.follow(diff));
        }
        told.follow_outside(&mut replay);
        let lamports = u64::try_from(index).expect("there are few blocks");
        replay.set_account(user, AccountSharedData::new(lamports, 0, &Pubkey::default()));
        let is_change = lamports > 0;
        assert_eq!(told.follow_outside(&mut replay), vec![user; usize::from(is_change)]);
        replay.close_slot().expect("the block is done");
        assert!(told.follow_outside(&mut replay).contains(&sysvar::slot_history::ID));
        assert_eq!(told, Told::of(&replay), "slot {}", block.block().slot);
    }
}

#[test]
fn changes_are_reported_only_where_they_are_asked_for() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    execute_block(&mut replay, &ledger.blocks[0]);
    replay.set_account(Pubkey::default(), AccountSharedData::new(5, 0, &Pubkey::default()));
    assert_eq!(replay.take_changes_outside(), []);
}
