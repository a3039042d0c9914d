//! The accounts a session sees: a shared, immutable base and what the session changed.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ahash::HashMap;
use simulator_archive::model::Account;
use simulator_archive::{Bank, LatticeHash, Scope};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;
use solana_sdk_ids::bpf_loader_upgradeable;

use crate::bank_hash::in_lattice;
use crate::deployment;
use crate::parent::ParentBank;
use crate::report::AccountDiff;

/// What is known about one address.
///
/// "It does not exist" and "we do not know it" are different answers: an archive that lists only some accounts
/// cannot say of any other address that it is empty.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// The account exists and this is its state.
    Known(AccountSharedData),
    /// The account does not exist.
    Absent,
    /// The archive does not say whether the account exists.
    Unknown,
}

impl Lookup {
    /// The account's state, if it is known to exist.
    #[must_use]
    pub fn known(self) -> Option<AccountSharedData> {
        match self {
            Self::Known(account) => Some(account),
            Self::Absent | Self::Unknown => None,
        }
    }
}

/// The accounts at the start of an archive, shared by every session over it.
#[derive(Debug)]
pub struct AccountBase {
    accounts: HashMap<Pubkey, AccountSharedData>,
    scope: Scope,
    lattice: OnceLock<LatticeHash>,
    sorted: OnceLock<Vec<Pubkey>>,
    /// Accounts of code that say when it was deployed.
    deployments: OnceLock<Vec<Pubkey>>,
    /// The bank whose accounts these are, where more is known of it.
    parent: Option<ParentBank>,
}

impl AccountBase {
    /// Collects the accounts of a keyframe. Accounts without lamports do not exist and are left out.
    pub fn from_accounts(accounts: impl IntoIterator<Item = (Pubkey, Account)>, scope: Scope) -> Self {
        let accounts = accounts
            .into_iter()
            .filter(|(_, account)| account.lamports > 0)
            .map(|(address, account)| (address, to_shared(account)))
            .collect();
        Self {
            accounts,
            scope,
            lattice: OnceLock::new(),
            sorted: OnceLock::new(),
            deployments: OnceLock::new(),
            parent: None,
        }
    }

    /// The same with what an archive knows of the parent of its first block. It counts where these are the accounts of
    /// that bank.
    #[must_use]
    pub fn with_parent(mut self, bank: Option<&Bank>) -> Self {
        self.parent = bank.and_then(ParentBank::parse);
        self
    }

    /// Whether the base holds every account of the chain, or only some.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// How many accounts the base holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether the base holds no account at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The addresses of code that claims to be deployed after `slot`, sorted. Looked for once for all sessions.
    pub(crate) fn deployed_after(&self, slot: u64) -> impl Iterator<Item = &Pubkey> {
        let deployments = self.deployments.get_or_init(|| {
            let dated = self
                .accounts
                .iter()
                .filter(|(_, account)| deployment::is_after(account, 0));
            let mut dated: Vec<_> = dated.map(|(address, _)| *address).collect();
            dated.sort_unstable();
            dated
        });
        let is_after = move |address: &&Pubkey| {
            self.accounts
                .get(*address)
                .is_some_and(|account| deployment::is_after(account, slot))
        };
        deployments.iter().filter(is_after)
    }

    /// The addresses of all accounts, sorted once for all sessions.
    fn sorted_addresses(&self) -> &[Pubkey] {
        self.sorted.get_or_init(|| {
            let mut addresses: Vec<_> = self.accounts.keys().copied().collect();
            addresses.sort_unstable();
            addresses
        })
    }

    /// The sum over all accounts, computed once for all sessions.
    pub(crate) fn lattice(&self) -> &LatticeHash {
        self.lattice.get_or_init(|| {
            let mut sum = LatticeHash::default();
            for (address, account) in &self.accounts {
                sum.add(address, in_lattice(account));
            }
            sum
        })
    }
}

/// What a slot has written, each address with its state before.
pub(crate) type SlotChanges = HashMap<Pubkey, Option<AccountSharedData>>;

/// The account store of one session.
#[derive(Clone, Debug)]
pub(crate) struct AccountStore {
    base: Arc<AccountBase>,
    /// What the session wrote; `None` is an account that was removed.
    written: HashMap<Pubkey, Option<AccountSharedData>>,
    /// What had been written when the session began.
    at_start: HashMap<Pubkey, Option<AccountSharedData>>,
    /// The state before the open slot of every account that the slot has written so far.
    before_slot: SlotChanges,
    /// The same since [`watch`](Self::watch); none while nobody watches.
    watched: Option<HashMap<Pubkey, Option<AccountSharedData>>>,
}

impl AccountStore {
    pub(crate) fn new(base: Arc<AccountBase>) -> Self {
        Self {
            base,
            written: HashMap::default(),
            at_start: HashMap::default(),
            before_slot: HashMap::default(),
            watched: None,
        }
    }

    /// The store of a session before which these accounts were written; sorted by address.
    pub(crate) fn after(base: Arc<AccountBase>, differences: &[(Pubkey, Option<AccountSharedData>)]) -> Self {
        Self {
            written: differences.iter().cloned().collect(),
            ..Self::new(base)
        }
    }

    /// The sum over all accounts.
    pub(crate) fn lattice(&self) -> LatticeHash {
        let mut lattice = self.base.lattice().clone();
        for (address, account) in &self.written {
            if let Some(before) = self.base.accounts.get(address) {
                lattice.subtract(address, in_lattice(before));
            }
            if let Some(account) = account {
                lattice.add(address, in_lattice(account));
            }
        }
        lattice
    }

    /// What is not as it is in the base, or only known from what was written; sorted by address.
    pub(crate) fn differences(&self) -> Vec<(Pubkey, Option<AccountSharedData>)> {
        let says_more = |address: &Pubkey, account: &Option<AccountSharedData>| match self.base.accounts.get(address) {
            None => account.is_some() || self.base.scope == Scope::Listed,
            before => before != account.as_ref(),
        };
        let written = self.written.iter();
        let mut differences: Vec<_> = written
            .filter(|(address, account)| says_more(address, account))
            .map(|(address, account)| (*address, account.clone()))
            .collect();
        differences.sort_unstable_by_key(|(address, _)| *address);
        differences
    }

    pub(crate) fn scope(&self) -> Scope {
        self.base.scope
    }

    /// The bank at `slot`, if that is the one whose accounts the base holds and more is known of it.
    pub(crate) fn parent_at(&self, slot: u64) -> Option<&ParentBank> {
        self.base.parent.as_ref().filter(|parent| parent.slot == slot)
    }

    /// The account, if it is known to exist.
    pub(crate) fn get(&self, address: &Pubkey) -> Option<&AccountSharedData> {
        match self.written.get(address) {
            Some(written) => written.as_ref(),
            None => self.base.accounts.get(address),
        }
    }

    pub(crate) fn lookup(&self, address: &Pubkey) -> Lookup {
        match self.get(address) {
            Some(account) => Lookup::Known(account.clone()),
            None if self.is_known(address) => Lookup::Absent,
            None => Lookup::Unknown,
        }
    }

    /// Whether the store can say what stands at this address, be it nothing.
    pub(crate) fn is_known(&self, address: &Pubkey) -> bool {
        self.base.scope == Scope::All || self.written.contains_key(address) || self.base.accounts.contains_key(address)
    }

    /// Whether the account existed at the start of the archive.
    pub(crate) fn is_in_base(&self, address: &Pubkey) -> bool {
        self.base.accounts.contains_key(address)
    }

    /// Where an upgradeable program keeps its code, as its account says.
    pub(crate) fn program_data_address(&self, program: &Pubkey) -> Option<Pubkey> {
        program_data_address_in(self.get(program)?)
    }

    /// Stores an account. One without lamports ceases to exist.
    pub(crate) fn put(&mut self, address: Pubkey, account: AccountSharedData) {
        let account = (account.lamports() > 0).then_some(account);
        self.replace(address, account);
    }

    /// Removes an account.
    pub(crate) fn remove(&mut self, address: &Pubkey) {
        self.replace(*address, None);
    }

    /// Moves deployments of the base that lie after `slot` to that slot.
    pub(crate) fn limit_deployments(&mut self, slot: u64) {
        let base = Arc::clone(&self.base);
        for address in base.deployed_after(slot) {
            if let Some(mut account) = self.get(address).cloned() {
                deployment::limit_slot(&mut account, slot);
                self.put(*address, account);
            }
        }
    }

    /// Notes that nothing stands at an address of which the base knows nothing.
    pub(crate) fn assume_absent(&mut self, address: &Pubkey) {
        if !self.is_known(address) {
            self.written.insert(*address, None);
        }
    }

    /// Takes back that nothing stands at an address of which the base knows nothing.
    pub(crate) fn doubt_absent(&mut self, address: &Pubkey) {
        let is_absent = self.written.get(address).is_some_and(Option::is_none);
        if is_absent && !self.base.accounts.contains_key(address) {
            self.written.remove(address);
        }
    }

    fn replace(&mut self, address: Pubkey, account: Option<AccountSharedData>) {
        let before = match self.written.insert(address, account) {
            Some(written) => written,
            None => self.base.accounts.get(&address).cloned(),
        };
        if let Some(watched) = &mut self.watched {
            watched.entry(address).or_insert_with(|| before.clone());
        }
        self.before_slot.entry(address).or_insert(before);
    }

    /// Begins to note what is written.
    pub(crate) fn watch(&mut self) {
        self.watched = Some(HashMap::default());
    }

    /// Hands out what has been written since [`watch`](Self::watch), sorted by address, without what is as it was.
    pub(crate) fn take_watched(&mut self) -> Vec<AccountDiff> {
        let watched = self.watched.take().unwrap_or_default();
        let changed = watched.into_iter().map(|(address, before)| AccountDiff {
            address,
            before,
            after: self.get(&address).cloned(),
        });
        let mut changed: Vec<_> = changed.filter(|diff| diff.before != diff.after).collect();
        changed.sort_unstable_by_key(|diff| diff.address);
        changed
    }

    /// Hands out what the slot changed, each address with its state before, and begins a new slot.
    pub(crate) fn take_slot_changes(&mut self) -> SlotChanges {
        std::mem::take(&mut self.before_slot)
    }

    /// The accounts as they are now that were others before, sorted by address.
    pub(crate) fn changed_since(&self, before: &SlotChanges) -> BTreeMap<Pubkey, Option<&AccountSharedData>> {
        let now = before
            .iter()
            .map(|(address, before)| (address, before, self.get(address)));
        now.filter(|(_, before, now)| before.as_ref() != *now)
            .map(|(address, _, now)| (*address, now))
            .collect()
    }

    /// The session begins with the accounts as they are now.
    pub(crate) fn begin_session(&mut self) {
        self.at_start = self.written.clone();
    }

    fn at_start(&self, address: &Pubkey) -> Option<&AccountSharedData> {
        match self.at_start.get(address) {
            Some(written) => written.as_ref(),
            None => self.base.accounts.get(address),
        }
    }

    /// What the session changed, sorted by address; `None` is an account that was removed. An account that was
    /// written back as it was is no change.
    pub(crate) fn changes(&self) -> BTreeMap<Pubkey, Option<&AccountSharedData>> {
        self.written
            .iter()
            .filter(|(address, account)| account.as_ref() != self.at_start(address))
            .map(|(address, account)| (*address, account.as_ref()))
            .collect()
    }

    /// Addresses greater than `after` of all existing accounts, sorted, at most `limit`. A page costs what the session
    /// has written and what it returns, not what the base holds.
    pub(crate) fn addresses_after(&self, after: Option<&Pubkey>, limit: usize) -> Vec<Pubkey> {
        let is_later = |address: &Pubkey| after.is_none_or(|after| address > after);
        let mut written: Vec<Pubkey> = self
            .written
            .iter()
            .filter(|(address, account)| account.is_some() && is_later(address))
            .map(|(address, _)| *address)
            .collect();
        written.sort_unstable();
        let base = self.base.sorted_addresses();
        let base = &base[base.partition_point(|address| !is_later(address))..];
        let mut base = base
            .iter()
            .filter(|address| !self.written.contains_key(*address))
            .peekable();
        let mut written = written.iter().peekable();
        let next = || match (base.peek(), written.peek()) {
            (Some(one), Some(other)) if one > other => written.next(),
            (Some(_), _) => base.next(),
            (None, _) => written.next(),
        };
        std::iter::from_fn(next).take(limit).copied().collect()
    }
}

/// Where an upgradeable program keeps its code, as its account says; `None` if it is no such account. (Layout:
/// `UpgradeableLoaderState::Program`.)
pub(crate) fn program_data_address_in(program: &AccountSharedData) -> Option<Pubkey> {
    if *program.owner() != bpf_loader_upgradeable::ID {
        return None;
    }
    let address = program
        .data()
        .strip_prefix(&deployment::PROGRAM_KIND)?
        .first_chunk::<32>()?;
    Some(Pubkey::new_from_array(*address))
}

/// The runtime's form of a recorded account.
#[must_use]
pub fn to_shared(account: Account) -> AccountSharedData {
    AccountSharedData::from(solana_account::Account {
        lamports: account.lamports,
        data: account.data.into(),
        owner: account.owner,
        executable: account.executable,
        rent_epoch: account.rent_epoch,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn key(first: u8) -> Pubkey {
        Pubkey::new_from_array([first; 32])
    }

    fn store(listed: &[u8], scope: Scope) -> AccountStore {
        let account = Account {
            lamports: 1,
            owner: Pubkey::default(),
            executable: false,
            rent_epoch: 0,
            data: Bytes::new(),
        };
        let accounts = listed.iter().map(|first| (key(*first), account.clone()));
        AccountStore::new(Arc::new(AccountBase::from_accounts(accounts, scope)))
    }

    fn with_lamports(lamports: u64) -> AccountSharedData {
        AccountSharedData::new(lamports, 0, &Pubkey::default())
    }

    #[test]
    fn pages_are_sorted_and_see_what_was_written() {
        let mut store = store(&[9, 1, 5, 3], Scope::All);
        store.put(key(4), with_lamports(1));
        store.put(key(10), with_lamports(1));
        store.put(key(5), with_lamports(0));
        store.put(key(3), with_lamports(7));
        let all = [1, 3, 4, 9, 10].map(key);
        assert_eq!(store.addresses_after(None, usize::MAX), all);
        for limit in 1..=all.len() {
            let mut pages = Vec::new();
            while let page @ [_, ..] = &store.addresses_after(pages.last(), limit)[..] {
                assert!(page.len() <= limit);
                pages.extend_from_slice(page);
            }
            assert_eq!(pages, all);
        }
    }

    #[test]
    fn what_is_not_listed_is_unknown_only_where_the_list_is_not_complete() {
        assert_eq!(store(&[1], Scope::All).lookup(&key(2)), Lookup::Absent);
        let mut listed = store(&[1], Scope::Listed);
        assert_eq!(listed.lookup(&key(2)), Lookup::Unknown);
        listed.assume_absent(&key(2));
        assert_eq!(listed.lookup(&key(2)), Lookup::Absent);
        listed.remove(&key(1));
        assert_eq!(listed.lookup(&key(1)), Lookup::Absent);
    }

    #[test]
    fn what_was_written_back_is_no_change() {
        let mut store = store(&[1, 2], Scope::All);
        store.put(key(1), with_lamports(9));
        store.put(key(2), with_lamports(9));
        store.put(key(1), with_lamports(1));
        assert_eq!(store.changes().into_keys().collect::<Vec<_>>(), [key(2)]);
        store.begin_session();
        assert!(store.changes().is_empty());
        store.remove(&key(2));
        assert_eq!(store.changes(), BTreeMap::from([(key(2), None)]));
    }
}
