//! What `actionNotification` shows.

use serde::Serialize;
use simulator_engine::Lookup;
use solana_account_decoder::{UiAccount, UiAccountEncoding};
use solana_pubkey::Pubkey;
use solana_transaction_status::UiTransactionReturnData;
use solana_transaction_status_client_types::UiTransactionError;

use super::account::{ParseContext, ui_account};
use super::notification::{Context, Json, json};
use super::transaction::return_data;
use crate::actions::{ActionRecord, Fate, RanTransaction};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActionResult<'a> {
    context: Context,
    slot: u64,
    batch_index: Option<usize>,
    tx_index: Option<usize>,
    action_index: usize,
    label: Option<&'a str>,
    committed: bool,
    transaction_outcomes: Vec<TransactionOutcome<'a>>,
    /// In the order in which the action names them; null for one that does not exist.
    accounts: Vec<Option<UiAccount>>,
    /// The published protocol does not say what stands here; the fields below do ours.
    matched: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matched_signature: Option<String>,
    /// Those of the accounts that the archive does not know: of them, null says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_accounts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_run: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransactionOutcome<'a> {
    err: Option<UiTransactionError>,
    logs: &'a [String],
    units_consumed: u64,
    fee: Option<u64>,
    return_data: Option<UiTransactionReturnData>,
}

/// What `actionNotification` shows.
pub(crate) fn action_result(record: &ActionRecord) -> Json {
    let (committed, transactions, accounts, not_run) = match &record.fate {
        Fate::Ran {
            is_committed,
            transactions,
            accounts,
        } => (*is_committed, transactions.as_slice(), accounts.as_slice(), None),
        Fate::NotRun(reason) => (false, [].as_slice(), [].as_slice(), Some(reason.to_string())),
    };
    let unknown = accounts.iter().filter(|(_, account)| *account == Lookup::Unknown);
    json(&ActionResult {
        context: Context { slot: record.told_in },
        slot: record.slot,
        batch_index: record.matched.map(|matched| matched.batch),
        tx_index: record.matched.map(|matched| matched.transaction),
        action_index: record.action,
        label: record.label.as_deref(),
        committed,
        transaction_outcomes: transactions.iter().map(transaction_outcome).collect(),
        accounts: accounts.iter().map(shown).collect(),
        matched: None,
        matched_signature: record.matched.map(|matched| matched.signature.to_string()),
        unknown_accounts: unknown.map(|(address, _)| address.to_string()).collect(),
        not_run,
    })
}

fn transaction_outcome(ran: &RanTransaction) -> TransactionOutcome<'_> {
    let returned = ran.return_data.as_ref().map(return_data);
    TransactionOutcome {
        err: ran.error.clone().map(Into::into),
        logs: &ran.logs,
        units_consumed: ran.compute_units,
        fee: ran.fee,
        return_data: returned.map(Into::into),
    }
}

fn shown((address, account): &(Pubkey, Lookup)) -> Option<UiAccount> {
    let Lookup::Known(account) = account else {
        return None;
    };
    let context = ParseContext::default();
    Some(ui_account(address, account, UiAccountEncoding::Base64, None, &context))
}
