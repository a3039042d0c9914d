//! What nearly every method of Solana has in common: the slot that an answer is about, and addresses as text.

use serde::Deserialize;
use simulator_archive::model::Slot;
use solana_commitment_config::CommitmentConfig;
use solana_pubkey::Pubkey;
use solana_rpc_client_types::response::{Response, RpcResponseContext};
use solana_signature::Signature;

use super::error::RpcError;
use crate::executor::Executor;
use crate::handle::SessionHandle;

/// The part of a config object that says how recent the answer must be. A commitment means nothing here: everything in a
/// replay is final.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContextConfig {
    pub(super) min_context_slot: Option<Slot>,
}

/// Looks at a session, and says in which slot.
pub(super) async fn look<T: Send + 'static>(
    session: &SessionHandle,
    min_context_slot: Option<Slot>,
    look: impl FnOnce(&Executor) -> Result<T, RpcError> + Send + 'static,
) -> Result<Response<T>, RpcError> {
    let read = move |executor: &Executor| {
        let slot = executor.replay().slot();
        if min_context_slot.is_some_and(|min| slot < min) {
            return Err(RpcError::min_context_slot(slot));
        }
        let context = RpcResponseContext::new(slot);
        Ok(Response {
            context,
            value: look(executor)?,
        })
    };
    session.read(read).await?
}

/// Blocks and what is found in them are never shown below `confirmed`, by Solana either: who asks for that here would be
/// refused by a validator.
pub(super) fn at_least_confirmed(commitment: Option<CommitmentConfig>) -> Result<(), RpcError> {
    if commitment.is_none_or(|commitment| commitment.is_at_least_confirmed()) {
        return Ok(());
    }
    Err(RpcError::invalid_params(
        "Method does not support commitment below `confirmed`",
    ))
}

/// Reads an address. Solana names the error by its variant, and programs look for that.
pub(super) fn pubkey(text: &str) -> Result<Pubkey, RpcError> {
    text.parse()
        .map_err(|error| RpcError::invalid_params(format!("Invalid param: {error:?}")))
}

pub(super) fn signature(text: &str) -> Result<Signature, RpcError> {
    text.parse()
        .map_err(|error| RpcError::invalid_params(format!("Invalid param: {error:?}")))
}
