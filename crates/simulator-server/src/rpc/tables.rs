//! `getAddressLookupTable`: a lookup table with its addresses.

use solana_account::ReadableAccount;
use solana_account_decoder::parse_address_lookup_table::{
    LookupTableAccountType, UiLookupTable, parse_address_lookup_table,
};
use solana_pubkey::Pubkey;
use solana_sdk_ids::address_lookup_table;

use super::accounts::known;
use super::call::Params;
use super::context::{ContextConfig, look, pubkey};
use super::error::RpcError;
use super::{Answer, result};
use crate::executor::Executor;
use crate::handle::SessionHandle;

/// The table in the form of `jsonParsed`; null if there is none.
pub(super) async fn get_address_lookup_table(session: &SessionHandle, params: Params<'_>) -> Answer {
    let address = pubkey(&params.required::<String>(0, "a pubkey")?)?;
    let config: ContextConfig = params.optional(1, "config")?.unwrap_or_default();
    let table = move |executor: &Executor| table(executor, &address);
    result(&look(session, config.min_context_slot, table).await?)
}

fn table(executor: &Executor, address: &Pubkey) -> Result<Option<UiLookupTable>, RpcError> {
    let Some(account) = known(executor, address)? else {
        return Ok(None);
    };
    let refuse = || RpcError::invalid_params("Invalid param: not an address lookup table");
    if *account.owner() != address_lookup_table::ID {
        return Err(refuse());
    }
    match parse_address_lookup_table(account.data()).map_err(|_| refuse())? {
        LookupTableAccountType::LookupTable(table) => Ok(Some(table)),
        LookupTableAccountType::Uninitialized => Ok(None),
    }
}
