//! The accounts that transactions are executed against: the session's own, or those under a layer of changes.

use ahash::HashMap;
use simulator_archive::Scope;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;

use crate::accounts::{AccountStore, Lookup, program_data_address_in};

/// Changes that lie over a session's accounts and leave them as they are. It holds what was changed, and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    /// `None` is an account that does not exist.
    changed: HashMap<Pubkey, Option<AccountSharedData>>,
}

/// A session's accounts, as seen through a layer if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountView<'a> {
    store: &'a AccountStore,
    layer: Option<&'a Layer>,
}

impl Layer {
    /// Stores an account. One without lamports does not exist.
    pub(crate) fn put(&mut self, address: Pubkey, account: AccountSharedData) {
        let account = (account.lamports() > 0).then_some(account);
        self.changed.insert(address, account);
    }

    /// Gives the view back to what lies below.
    pub(crate) fn forget(&mut self, address: &Pubkey) {
        self.changed.remove(address);
    }
}

impl<'a> AccountView<'a> {
    pub(crate) fn under(store: &'a AccountStore, layer: &'a Layer) -> Self {
        Self {
            store,
            layer: Some(layer),
        }
    }

    /// The account, if it is known to exist.
    pub(crate) fn get(self, address: &Pubkey) -> Option<&'a AccountSharedData> {
        match self.changed(address) {
            Some(changed) => changed.as_ref(),
            None => self.store.get(address),
        }
    }

    pub(crate) fn lookup(self, address: &Pubkey) -> Lookup {
        match self.get(address) {
            Some(account) => Lookup::Known(account.clone()),
            None if self.is_known(address) => Lookup::Absent,
            None => Lookup::Unknown,
        }
    }

    /// Whether it can be said what stands at this address, be it nothing.
    pub(crate) fn is_known(self, address: &Pubkey) -> bool {
        self.changed(address).is_some() || self.store.is_known(address)
    }

    /// The first of some accounts, with the code of the programs among them, of which the archive says nothing.
    pub(crate) fn first_unknown(self, keys: &[Pubkey]) -> Option<Pubkey> {
        self.unknown(keys).next()
    }

    /// All of them.
    pub(crate) fn unknown(self, keys: &'a [Pubkey]) -> impl Iterator<Item = Pubkey> + 'a {
        let code = keys
            .iter()
            .filter_map(move |key| program_data_address_in(self.get(key)?));
        let keys = keys.iter().copied().chain(code);
        keys.filter(move |key| self.store.scope() == Scope::Listed && !self.is_known(key))
    }

    fn changed(self, address: &Pubkey) -> Option<&'a Option<AccountSharedData>> {
        self.layer.and_then(|layer| layer.changed.get(address))
    }
}

impl<'a> From<&'a AccountStore> for AccountView<'a> {
    fn from(store: &'a AccountStore) -> Self {
        Self { store, layer: None }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::accounts::AccountBase;

    fn key(first: u8) -> Pubkey {
        Pubkey::new_from_array([first; 32])
    }

    fn with_lamports(lamports: u64) -> AccountSharedData {
        AccountSharedData::new(lamports, 0, &Pubkey::default())
    }

    #[test]
    fn a_layer_hides_what_lies_below_and_leaves_it_as_it_is() {
        let base = AccountBase::from_accounts([], Scope::Listed);
        let mut store = AccountStore::new(Arc::new(base));
        store.put(key(1), with_lamports(5));
        store.put(key(2), with_lamports(5));
        let mut layer = Layer::default();
        layer.put(key(1), with_lamports(9));
        layer.put(key(2), with_lamports(0));
        layer.put(key(3), with_lamports(0));
        let view = AccountView::under(&store, &layer);
        assert_eq!(view.lookup(&key(1)), Lookup::Known(with_lamports(9)));
        assert_eq!(view.lookup(&key(2)), Lookup::Absent);
        assert_eq!(
            view.lookup(&key(3)),
            Lookup::Absent,
            "it is known that nothing is there"
        );
        assert_eq!(view.lookup(&key(4)), Lookup::Unknown);
        assert_eq!(view.first_unknown(&[key(1), key(3), key(4)]), Some(key(4)));
        assert_eq!(store.lookup(&key(1)), Lookup::Known(with_lamports(5)));
        layer.forget(&key(1));
        assert_eq!(AccountView::under(&store, &layer).get(&key(1)), Some(&with_lamports(5)));
    }
}
