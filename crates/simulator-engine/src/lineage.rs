//! Which accounts are no longer what they were on the chain, and why.

use ahash::HashMap;
use serde::{Deserialize, Serialize};
use solana_pubkey::Pubkey;

use crate::report::DivergenceClass;

/// Accounts that a user's change or an earlier divergence has reached.
///
/// It spreads along transactions: one that reads such an account passes it on to everything it can write. So the
/// first divergence of each chain can be told from those that merely follow.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    reached: HashMap<Pubkey, Reached>,
}

/// What has reached an account, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Reached {
    pub(crate) class: DivergenceClass,
    pub(crate) way: Way,
}

/// How something has reached an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Way {
    /// The user changed this very account.
    Directly,
    /// A transaction passed it on.
    ThroughTransaction,
}

impl Lineage {
    /// What has reached these accounts, if anything. A user's change is named before anything else, and of one class
    /// what a transaction passed on before what was changed directly.
    pub(crate) fn of<'a>(&self, accounts: impl IntoIterator<Item = &'a Pubkey>) -> Option<Reached> {
        let reached = accounts.into_iter().filter_map(|account| self.reached.get(account));
        reached.copied().reduce(|one, other| Reached {
            class: one.class.min(other.class),
            way: one.way.max(other.way),
        })
    }

    /// Everything that is no longer what it was, sorted by address.
    pub(crate) fn reached(&self) -> Vec<(Pubkey, Reached)> {
        let mut reached: Vec<_> = self.reached.iter().map(|(account, by)| (*account, *by)).collect();
        reached.sort_unstable_by_key(|(account, _)| *account);
        reached
    }

    /// Whether nothing has been changed at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.reached.is_empty()
    }

    /// Why anything at all is no longer what it was: the first of the causes there are, in the order of
    /// [`DivergenceClass`].
    pub(crate) fn cause(&self) -> Option<DivergenceClass> {
        self.reached.values().map(|reached| reached.class).min()
    }

    /// Notes that an account is what it was on the chain again.
    pub(crate) fn heal(&mut self, account: &Pubkey) {
        self.reached.remove(account);
    }

    /// Notes that these accounts are no longer what they were.
    pub(crate) fn reach<'a>(&mut self, accounts: impl IntoIterator<Item = &'a Pubkey>, by: Reached) {
        for account in accounts {
            let reached = self.reached.entry(*account).or_insert(by);
            *reached = by.min(*reached);
        }
    }
}

impl Reached {
    /// The user changed the account.
    pub(crate) const OVERRIDDEN: Self = Self {
        class: DivergenceClass::Overridden,
        way: Way::Directly,
    };

    /// The account may have been changed by a transaction that could not be executed.
    pub(crate) const UNKNOWN: Self = Self {
        class: DivergenceClass::UnknownAccount,
        way: Way::Directly,
    };

    /// A transaction that had to do with this class writes the account.
    pub(crate) fn through_transaction(class: DivergenceClass) -> Self {
        Self {
            class,
            way: Way::ThroughTransaction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE: Reached = Reached {
        class: DivergenceClass::Engine,
        way: Way::ThroughTransaction,
    };

    #[test]
    fn a_users_change_is_named_before_what_follows_from_the_engine() {
        let (a, b) = (Pubkey::new_from_array([1; 32]), Pubkey::new_from_array([2; 32]));
        let mut lineage = Lineage::default();
        assert_eq!(lineage.of([&a, &b]), None);
        lineage.reach([&a], ENGINE);
        assert_eq!(lineage.of([&a, &b]), Some(ENGINE));
        lineage.reach([&b], Reached::OVERRIDDEN);
        assert_eq!(lineage.of([&b]), Some(Reached::OVERRIDDEN));
        let both = lineage.of([&a, &b]).expect("both are reached");
        assert_eq!(
            (both.class, both.way),
            (DivergenceClass::Overridden, Way::ThroughTransaction)
        );
        lineage.reach([&b], ENGINE);
        assert_eq!(lineage.of([&b]), Some(Reached::OVERRIDDEN));
    }
}
