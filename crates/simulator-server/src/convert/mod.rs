//! Wire types to engine types and back. Nowhere else in this crate does one become the other.

mod account;
mod action;
mod action_result;
mod block;
mod create;
mod discovery;
mod divergence;
mod event;
mod notification;
mod order;
mod outcome;
mod summary;
#[cfg(test)]
mod tests;
mod transaction;

pub(crate) use account::{
    ParseContext, mint_of, modifications, native_tokens, replay_account, token_context, ui_account,
};
pub(crate) use action_result::action_result;
pub(crate) use block::{BlockForm, block_result, confirmed_block};
pub(crate) use create::{SessionSpec, session_spec, session_spec_again};
pub(crate) use discovery::transaction_record;
pub(crate) use event::response;
pub(crate) use notification::{
    AccountForm, account_result, diff_result, logs_result, program_result, received_result, root_result,
    signature_result, slot_created, slot_frozen, slot_result, slot_rooted, transaction_result,
};
pub(crate) use order::{continue_order, continue_to_order};
pub(crate) use outcome::SlotRecord;
pub(crate) use summary::{SummaryContext, Tally, replay_summary, state_digest};
pub(crate) use transaction::{
    confirmed, execution_error, signature_status, status, status_meta, transaction_from_text,
};
