//! Blocks and the transactions in them, as this session executed them and as far as they are kept.

use std::sync::Arc;

use simulator_archive::model::Slot;
use solana_pubkey::Pubkey;
use solana_rpc_client_types::config::{
    RpcBlockConfig, RpcBlocksConfigWrapper, RpcContextConfig, RpcEncodingConfigWrapper, RpcSignaturesForAddressConfig,
};
use solana_rpc_client_types::response::Response;
use solana_signature::Signature;
use solana_transaction_status::{BlockEncodingOptions, EncodeError, UiTransactionEncoding};

use super::budget::Budget;
use super::call::Params;
use super::context::{at_least_confirmed, look, pubkey, signature};
use super::error::RpcError;
use super::{Answer, Target, result};
use crate::convert::{confirmed_block, signature_status};
use crate::handle::SessionHandle;
use crate::history::PastTransaction;
use crate::pubsub::KeptSlot;

/// Most slots that one call may reach over, as Solana has it.
const MAX_SLOT_RANGE: u64 = 500_000;
/// Stands for the size of what has to be looked through to write an answer.
pub(super) const EVERYTHING: usize = usize::MAX;
/// Most signatures of one answer, as Solana has it.
const MAX_SIGNATURES: usize = 1000;

pub(super) async fn get_block(target: &Target, params: Params<'_>) -> Answer {
    let slot: Slot = params.required(0, "a slot")?;
    let config: Option<RpcEncodingConfigWrapper<RpcBlockConfig>> = params.optional(1, "config")?;
    let config = config.map(|config| config.convert_to_current()).unwrap_or_default();
    at_least_confirmed(config.commitment)?;
    let ledger = ledger(&target.session, None).await?.value;
    let block = ledger.closed(slot)?.clone();
    let size = block.transactions().map(|record| record.transaction.size()).sum();
    target.budget.spend(size)?;
    let options = BlockEncodingOptions {
        transaction_details: config.transaction_details.unwrap_or_default(),
        show_rewards: config.rewards.unwrap_or(true),
        max_supported_transaction_version: config.max_supported_transaction_version,
    };
    let encoding = config.encoding.unwrap_or(UiTransactionEncoding::Json);
    let show = move |_: &Budget| {
        let transactions = block.transactions().map(|record| record.transaction.as_ref());
        match confirmed_block(&block.head, transactions).encode_with_options(encoding, options) {
            Ok(shown) => result(&shown),
            Err(EncodeError::UnsupportedTransactionVersion(version)) => Err(RpcError::unsupported_version(version)),
        }
    };
    target.show(size, show).await
}

pub(super) async fn get_block_time(session: &SessionHandle, params: Params<'_>) -> Answer {
    let slot: Slot = params.required(0, "a slot")?;
    let ledger = ledger(session, None).await?.value;
    result(&ledger.find(slot)?.head.block_time)
}

pub(super) async fn get_blocks(session: &SessionHandle, params: Params<'_>) -> Answer {
    let start: Slot = params.required(0, "a slot")?;
    let end: Option<RpcBlocksConfigWrapper> = params.optional(1, "a slot")?;
    let (end, first) = end.map(|end| end.unzip()).unwrap_or_default();
    let config: Option<RpcContextConfig> = params.optional(2, "config")?;
    let config = config.or(first).unwrap_or_default();
    at_least_confirmed(config.commitment)?;
    let end = end.unwrap_or_else(|| start.saturating_add(MAX_SLOT_RANGE));
    if end.saturating_sub(start) > MAX_SLOT_RANGE {
        return Err(RpcError::invalid_params(format!(
            "Slot range too large; max {MAX_SLOT_RANGE}"
        )));
    }
    let ledger = ledger(session, config.min_context_slot).await?.value;
    let slots: Vec<Slot> = ledger.blocks_from(start).take_while(|slot| *slot <= end).collect();
    result(&slots)
}

pub(super) async fn get_blocks_with_limit(session: &SessionHandle, params: Params<'_>) -> Answer {
    let start: Slot = params.required(0, "a slot")?;
    let limit: u64 = params.required(1, "a limit")?;
    let config: RpcContextConfig = params.optional(2, "config")?.unwrap_or_default();
    at_least_confirmed(config.commitment)?;
    if limit > MAX_SLOT_RANGE {
        return Err(RpcError::invalid_params(format!(
            "Limit too large; max {MAX_SLOT_RANGE}"
        )));
    }
    let ledger = ledger(session, config.min_context_slot).await?.value;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    result(&ledger.blocks_from(start).take(limit).collect::<Vec<_>>())
}

pub(super) async fn get_first_available_block(session: &SessionHandle) -> Answer {
    result(&ledger(session, None).await?.value.first())
}

pub(super) async fn get_signatures_for_address(target: &Target, params: Params<'_>) -> Answer {
    let address = pubkey(&params.required::<String>(0, "a pubkey")?)?;
    let config: RpcSignaturesForAddressConfig = params.optional(1, "config")?.unwrap_or_default();
    let page = Page::read(&config)?;
    at_least_confirmed(config.commitment)?;
    target.budget.search()?;
    let ledger = ledger(&target.session, config.min_context_slot).await?.value;
    let show = move |_: &Budget| {
        let found = ledger.mentions(&address, page)?;
        result(&found.iter().map(|past| signature_status(past)).collect::<Vec<_>>())
    };
    target.show(EVERYTHING, show).await
}

/// The slots that a session keeps, oldest first; the last one is open until the session has ended.
pub(super) struct Ledger(Vec<KeptSlot>);

/// Looks at the slots of a session between two steps.
pub(super) async fn ledger(
    session: &SessionHandle,
    min_context_slot: Option<Slot>,
) -> Result<Response<Ledger>, RpcError> {
    let data = Arc::clone(&session.data);
    look(session, min_context_slot, move |_| Ok(Ledger(data.kept()))).await
}

impl Ledger {
    /// Slots that are over, oldest first.
    pub(super) fn closed_slots(&self) -> impl DoubleEndedIterator<Item = &KeptSlot> {
        self.0.iter().filter(|slot| slot.is_closed)
    }

    fn first(&self) -> Slot {
        self.0.first().map_or(0, |slot| slot.head.slot)
    }

    fn find(&self, slot: Slot) -> Result<&KeptSlot, RpcError> {
        match self.0.binary_search_by_key(&slot, |kept| kept.head.slot) {
            Ok(index) => Ok(&self.0[index]),
            Err(index) if index == self.0.len() => Err(RpcError::block_not_available(slot)),
            Err(0) => Err(RpcError::block_cleaned_up(slot, self.first())),
            Err(_) => Err(RpcError::slot_skipped(slot)),
        }
    }

    /// A block to which nothing will be added.
    fn closed(&self, slot: Slot) -> Result<&KeptSlot, RpcError> {
        let found = self.find(slot)?;
        found
            .is_closed
            .then_some(found)
            .ok_or_else(|| RpcError::block_not_available(slot))
    }

    fn blocks_from(&self, start: Slot) -> impl Iterator<Item = Slot> {
        let slots = self.closed_slots().map(|kept| kept.head.slot);
        slots.skip_while(move |slot| *slot < start)
    }

    /// Transactions that have this address among their account keys, newest first.
    fn mentions(&self, address: &Pubkey, page: Page) -> Result<Vec<&PastTransaction>, RpcError> {
        let newest_first = self.0.iter().rev().flat_map(|slot| slot.transactions().rev());
        let mut newest_first = newest_first.map(|record| record.transaction.as_ref());
        if let Some(before) = page.before
            && !newest_first.any(|past| is_called(past, &before))
        {
            return Err(RpcError::invalid_params(
                "Invalid param: before: the session does not keep this transaction",
            ));
        }
        let is_wanted = |past: &&PastTransaction| past.account_keys().any(|key| key == address);
        Ok(newest_first
            .take_while(|past| page.until.is_none_or(|until| !is_called(past, &until)))
            .filter(is_wanted)
            .take(page.limit)
            .collect())
    }
}

fn is_called(past: &PastTransaction, name: &Signature) -> bool {
    past.transaction.signatures.first() == Some(name)
}

/// Which transactions of an address are asked for.
#[derive(Clone, Copy, Debug)]
struct Page {
    before: Option<Signature>,
    until: Option<Signature>,
    limit: usize,
}

impl Page {
    fn read(config: &RpcSignaturesForAddressConfig) -> Result<Self, RpcError> {
        let limit = config.limit.unwrap_or(MAX_SIGNATURES);
        if !(1..=MAX_SIGNATURES).contains(&limit) {
            return Err(RpcError::invalid_params(format!("Invalid limit; max {MAX_SIGNATURES}")));
        }
        let named = |text: &Option<String>| text.as_deref().map(signature).transpose();
        Ok(Self {
            before: named(&config.before)?,
            until: named(&config.until)?,
            limit,
        })
    }
}
