//! What changes outside of transactions: sysvars, rewards and fees at the edges of a slot, and what the user sets.

use crate::replay::Replay;
use crate::report::{AccountDiff, AccountDiffs};

impl Replay {
    /// Accounts that changed outside of transactions since the last call: when a slot was opened or closed, or because
    /// the user set them. Each of these has its accounts sorted by address. Nothing if the session does not record
    /// changes ([`ReplayOptions::account_diffs`](crate::ReplayOptions::account_diffs)).
    pub fn take_changes_outside(&mut self) -> Vec<AccountDiff> {
        std::mem::take(&mut self.changed_outside)
    }

    /// Does something that is no transaction, and records what it changes.
    pub(crate) fn outside<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        if self.options.account_diffs == AccountDiffs::Omit {
            return act(self);
        }
        self.accounts.watch();
        let done = act(self);
        let changed = self.accounts.take_watched();
        self.changed_outside.extend(changed);
        done
    }
}
