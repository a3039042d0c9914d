//! Addresses that transactions load from lookup tables.

use solana_account::ReadableAccount;
use solana_address_lookup_table_interface::error::AddressLookupError;
use solana_address_lookup_table_interface::state::AddressLookupTable;
use solana_message::AddressLoader;
use solana_message::v0::{LoadedAddresses, MessageAddressTableLookup};
use solana_pubkey::Pubkey;
use solana_sdk_ids::address_lookup_table;
use solana_slot_hashes::SlotHashes;
use solana_transaction_error::AddressLoaderError;

use crate::view::AccountView;

/// Resolves table lookups as of the open slot: an address that was added in this slot cannot be used yet, and a
/// table that was deactivated works for as long as the slot of its deactivation is in SlotHashes.
#[derive(Clone, Copy)]
pub(crate) struct LookupTables<'a> {
    pub(crate) accounts: AccountView<'a>,
    pub(crate) slot: u64,
    pub(crate) slot_hashes: &'a SlotHashes,
}

impl AddressLoader for LookupTables<'_> {
    fn load_addresses(self, lookups: &[MessageAddressTableLookup]) -> Result<LoadedAddresses, AddressLoaderError> {
        let mut loaded = LoadedAddresses::default();
        for lookup in lookups {
            let account = self
                .accounts
                .get(&lookup.account_key)
                .ok_or(AddressLoaderError::LookupTableAccountNotFound)?;
            if *account.owner() != address_lookup_table::ID {
                return Err(AddressLoaderError::InvalidAccountOwner);
            }
            let table =
                AddressLookupTable::deserialize(account.data()).map_err(|_| AddressLoaderError::InvalidAccountData)?;
            loaded.writable.extend(self.resolve(&table, &lookup.writable_indexes)?);
            loaded.readonly.extend(self.resolve(&table, &lookup.readonly_indexes)?);
        }
        Ok(loaded)
    }
}

impl LookupTables<'_> {
    fn resolve(&self, table: &AddressLookupTable<'_>, indexes: &[u8]) -> Result<Vec<Pubkey>, AddressLoaderError> {
        table
            .lookup(self.slot, indexes, self.slot_hashes)
            .map_err(|error| match error {
                AddressLookupError::LookupTableAccountNotFound => AddressLoaderError::LookupTableAccountNotFound,
                AddressLookupError::InvalidAccountOwner => AddressLoaderError::InvalidAccountOwner,
                AddressLookupError::InvalidAccountData => AddressLoaderError::InvalidAccountData,
                AddressLookupError::InvalidLookupIndex => AddressLoaderError::InvalidLookupIndex,
            })
    }
}
