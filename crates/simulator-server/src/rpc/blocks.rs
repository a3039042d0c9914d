//! Where a session is: slot, height, blockhash, and the server itself.

use solana_hash::Hash;
use solana_rpc_client_types::response::{RpcApiVersion, RpcBlockhash, RpcVersionInfo};

use super::call::Params;
use super::context::{ContextConfig, look};
use super::error::RpcError;
use super::{Answer, result};
use crate::executor::Executor;
use crate::handle::SessionHandle;

pub(super) async fn get_slot(session: &SessionHandle, params: Params<'_>) -> Answer {
    let config: ContextConfig = params.optional(0, "config")?.unwrap_or_default();
    result(
        &look(session, config.min_context_slot, |executor| {
            Ok(executor.replay().slot())
        })
        .await?
        .value,
    )
}

pub(super) async fn get_block_height(session: &SessionHandle, params: Params<'_>) -> Answer {
    let config: ContextConfig = params.optional(0, "config")?.unwrap_or_default();
    result(
        &look(session, config.min_context_slot, |executor| {
            Ok(executor.replay().block_height())
        })
        .await?
        .value,
    )
}

pub(super) async fn get_latest_blockhash(session: &SessionHandle, params: Params<'_>) -> Answer {
    let config: ContextConfig = params.optional(0, "config")?.unwrap_or_default();
    result(
        &look(session, config.min_context_slot, |executor| {
            Ok(latest_blockhash(executor))
        })
        .await?,
    )
}

pub(super) async fn is_blockhash_valid(session: &SessionHandle, params: Params<'_>) -> Answer {
    let text: String = params.required(0, "a blockhash")?;
    let blockhash: Hash = text
        .parse()
        .map_err(|error| RpcError::invalid_params(format!("{error:?}")))?;
    let config: ContextConfig = params.optional(1, "config")?.unwrap_or_default();
    let is_valid = move |executor: &Executor| Ok(executor.replay().is_blockhash_valid(&blockhash));
    result(&look(session, config.min_context_slot, is_valid).await?)
}

pub(super) fn get_health() -> Answer {
    result(&"ok")
}

/// The version of the validator whose code executes the session.
pub(super) fn get_version() -> Answer {
    result(&RpcVersionInfo {
        solana_core: RpcApiVersion::default().to_string(),
        feature_set: Some(simulator_engine::known_features()),
    })
}

/// The blockhash that a transaction sent now should name.
pub(super) fn latest_blockhash(executor: &Executor) -> RpcBlockhash {
    let latest = executor.replay().latest_blockhash();
    RpcBlockhash {
        blockhash: latest.blockhash.to_string(),
        last_valid_block_height: latest.last_valid_block_height,
    }
}
