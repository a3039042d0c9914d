//! What subscribers are told, in the shapes of Solana's PubSub.

use serde::Serialize;
use simulator_archive::model::Slot;
use simulator_engine::AccountDiff;
use solana_account::AccountSharedData;
use solana_account_decoder::{UiAccount, UiAccountEncoding, UiDataSliceConfig};
use solana_rpc_client_types::response::{
    ProcessedSignatureResult, ReceivedSignatureResult, RpcKeyedAccount, RpcLogsResponse, RpcSignatureResult, SlotInfo,
    SlotTransactionStats, SlotUpdate,
};
use solana_transaction_status::UiTransactionEncoding;

use super::account::{ParseContext, ui_account};
use super::transaction::confirmed;
use crate::history::PastTransaction;
use crate::pubsub::{Author, Changes, SlotHead};

/// The result of a notification, as JSON.
pub(super) type Json = String;

/// How an account is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountForm {
    pub(crate) encoding: UiAccountEncoding,
    pub(crate) slice: Option<UiDataSliceConfig>,
}

/// What the slot was like when the notification was made.
#[derive(Serialize)]
pub(super) struct Context {
    pub(super) slot: Slot,
}

/// Solana's envelope.
#[derive(Serialize)]
struct InContext<T> {
    context: Context,
    value: T,
}

/// One change of one account. Other than everything else, its fields are in snake case.
#[derive(Serialize)]
struct Diff {
    context: Context,
    account: String,
    signature: String,
    tx_index: Option<u32>,
    block_time: Option<i64>,
    pre: Option<UiAccount>,
    post: Option<UiAccount>,
}

/// What `transactionNotification` shows: a `getTransaction` of any version.
pub(crate) fn transaction_result(past: &PastTransaction, encoding: UiTransactionEncoding) -> Json {
    let shown = confirmed(past, encoding, Some(u8::MAX)).expect("no version is above the largest");
    json(&shown)
}

/// What `accountDiffNotification` shows of one of the accounts that a transaction changed.
pub(crate) fn diff_result(changes: &Changes, author: &Author, index: usize) -> Json {
    let diff = &changes.diffs[index];
    let shown = |account: &Option<_>| {
        let context = ParseContext::default();
        let show = |account| ui_account(&diff.address, account, UiAccountEncoding::Base64, None, &context);
        account.as_ref().map(show)
    };
    json(&Diff {
        context: Context { slot: changes.slot },
        account: diff.address.to_string(),
        signature: author.signature.to_string(),
        tx_index: author.index,
        block_time: author.block_time,
        pre: shown(&diff.before),
        post: shown(&diff.after),
    })
}

/// What `logsNotification` shows.
pub(crate) fn logs_result(past: &PastTransaction) -> Json {
    in_context(
        past.slot,
        RpcLogsResponse {
            signature: signature(past),
            err: past.outcome.status.clone().err().map(Into::into),
            logs: past.outcome.logs.clone().unwrap_or_default(),
        },
    )
}

/// What `signatureNotification` shows to those who want to know that a transaction has arrived.
pub(crate) fn received_result(past: &PastTransaction) -> Json {
    in_context(
        past.slot,
        RpcSignatureResult::ReceivedSignature(ReceivedSignatureResult::ReceivedSignature),
    )
}

/// What `signatureNotification` shows.
pub(crate) fn signature_result(past: &PastTransaction) -> Json {
    let err = past.outcome.status.clone().err().map(Into::into);
    let value = RpcSignatureResult::ProcessedSignature(ProcessedSignatureResult { err });
    in_context(past.slot, value)
}

/// What `accountNotification` shows. An account that ceased to exist is an empty one, as in Solana.
pub(crate) fn account_result(changes: &Changes, index: usize, form: AccountForm) -> Json {
    in_context(changes.slot, form.after(changes, &changes.diffs[index]))
}

/// What `programNotification` shows.
pub(crate) fn program_result(changes: &Changes, index: usize, form: AccountForm) -> Json {
    let diff = &changes.diffs[index];
    let pubkey = diff.address.to_string();
    let account = form.after(changes, diff);
    in_context(changes.slot, RpcKeyedAccount { pubkey, account })
}

/// What `slotNotification` shows. Everything before the slot is final.
pub(crate) fn slot_result(head: &SlotHead) -> Json {
    json(&SlotInfo {
        slot: head.slot,
        parent: head.parent,
        root: head.parent,
    })
}

/// What `rootNotification` shows.
pub(crate) fn root_result(slot: Slot) -> Json {
    json(&slot)
}

/// What `slotsUpdatesNotification` shows of a slot that was opened.
pub(crate) fn slot_created(head: &SlotHead) -> Json {
    json(&SlotUpdate::CreatedBank {
        slot: head.slot,
        parent: head.parent,
        timestamp: timestamp(head),
    })
}

/// What `slotsUpdatesNotification` shows of a slot that was closed. Entries are not known.
pub(crate) fn slot_frozen<'a>(head: &SlotHead, transactions: impl Iterator<Item = &'a PastTransaction>) -> Json {
    let mut stats = SlotTransactionStats {
        num_transaction_entries: 0,
        num_successful_transactions: 0,
        num_failed_transactions: 0,
        max_transactions_per_entry: 0,
    };
    for past in transactions {
        match past.outcome.status {
            Ok(()) => stats.num_successful_transactions += 1,
            Err(_) => stats.num_failed_transactions += 1,
        }
    }
    json(&SlotUpdate::Frozen {
        slot: head.slot,
        timestamp: timestamp(head),
        stats,
    })
}

/// What `slotsUpdatesNotification` shows of a slot that is final.
pub(crate) fn slot_rooted(head: &SlotHead) -> Json {
    json(&SlotUpdate::Root {
        slot: head.slot,
        timestamp: timestamp(head),
    })
}

impl AccountForm {
    fn after(self, changes: &Changes, diff: &AccountDiff) -> UiAccount {
        let show = |account: &AccountSharedData, context| {
            ui_account(&diff.address, account, self.encoding, self.slice, context)
        };
        match &diff.after {
            Some(account) => show(account, &changes.context(account)),
            None => show(&AccountSharedData::default(), &ParseContext::default()),
        }
    }
}

/// The block's time in milliseconds: a replay has no other clock.
fn timestamp(head: &SlotHead) -> u64 {
    let seconds = u64::try_from(head.block_time.unwrap_or_default()).unwrap_or_default();
    seconds.saturating_mul(1000)
}

fn signature(past: &PastTransaction) -> String {
    past.transaction
        .signatures
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

pub(super) fn in_context(slot: Slot, value: impl Serialize) -> Json {
    let context = Context { slot };
    json(&InContext { context, value })
}

pub(super) fn json(value: &impl Serialize) -> Json {
    serde_json::to_string(value).expect("every shape has text keys only, so that it always serialises")
}
