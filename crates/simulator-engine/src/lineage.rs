//! Which accounts are no longer what they were on the chain, and why.

use ahash::HashMap;
use solana_pubkey::Pubkey;

use crate::report::DivergenceClass;

/// Accounts that a user's change or an earlier divergence has reached.
///
/// It spreads along transactions: one that reads such an account passes it on to everything it can write. So the
/// first divergence of each chain can be told from those that merely follow.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    reached: HashMap<Pubkey, DivergenceClass>,
}

impl Lineage {
    /// What has reached these accounts, if anything. A user's change is named before anything else.
    pub(crate) fn of<'a>(&self, accounts: impl IntoIterator<Item = &'a Pubkey>) -> Option<DivergenceClass> {
        if self.reached.is_empty() {
            return None;
        }
        accounts
            .into_iter()
            .filter_map(|account| self.reached.get(account))
            .min()
            .copied()
    }

    /// Notes that these accounts are no longer what they were.
    pub(crate) fn reach<'a>(&mut self, accounts: impl IntoIterator<Item = &'a Pubkey>, class: DivergenceClass) {
        for account in accounts {
            let reached = self.reached.entry(*account).or_insert(class);
            *reached = class.min(*reached);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_change_is_named_before_what_follows_from_the_engine() {
        let (a, b) = (Pubkey::new_from_array([1; 32]), Pubkey::new_from_array([2; 32]));
        let mut lineage = Lineage::default();
        assert_eq!(lineage.of([&a, &b]), None);
        lineage.reach([&a], DivergenceClass::Engine);
        assert_eq!(lineage.of([&a, &b]), Some(DivergenceClass::Engine));
        lineage.reach([&b], DivergenceClass::Overridden);
        assert_eq!(lineage.of([&a, &b]), Some(DivergenceClass::Overridden));
        lineage.reach([&b], DivergenceClass::Engine);
        assert_eq!(lineage.of([&b]), Some(DivergenceClass::Overridden));
    }
}
