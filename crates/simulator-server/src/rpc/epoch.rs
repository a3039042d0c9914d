//! Where a session is in its cluster's history: epochs, totals, and the cluster itself.

use solana_account::ReadableAccount;
use solana_epoch_info::EpochInfo;
use solana_epoch_schedule::EpochSchedule;
use solana_pubkey::Pubkey;
use solana_rpc_client_types::response::RpcIdentity;
use solana_sdk_ids::sysvar;

use super::accounts::known;
use super::call::Params;
use super::context::{ContextConfig, look};
use super::error::RpcError;
use super::{Answer, result};
use crate::executor::Executor;
use crate::handle::SessionHandle;

pub(super) async fn get_epoch_info(session: &SessionHandle, params: Params<'_>) -> Answer {
    let config: ContextConfig = params.optional(0, "config")?.unwrap_or_default();
    result(&look(session, config.min_context_slot, epoch_info).await?.value)
}

pub(super) async fn get_epoch_schedule(session: &SessionHandle) -> Answer {
    result(&look(session, None, schedule).await?.value)
}

pub(super) async fn get_transaction_count(session: &SessionHandle, params: Params<'_>) -> Answer {
    let config: ContextConfig = params.optional(0, "config")?.unwrap_or_default();
    let count = |executor: &Executor| Ok(transaction_count(executor));
    result(&look(session, config.min_context_slot, count).await?.value)
}

/// The genesis hash that the archive was given when it was imported.
pub(super) async fn get_genesis_hash(session: &SessionHandle) -> Answer {
    let hash = session
        .read(|executor| executor.context().genesis_hash.clone())
        .await?
        .ok_or_else(|| RpcError::refused("the archive does not record the genesis hash of its cluster"))?;
    result(&hash)
}

/// A replay is nobody's node.
pub(super) fn get_identity() -> Answer {
    let identity = Pubkey::default().to_string();
    result(&RpcIdentity { identity })
}

fn epoch_info(executor: &Executor) -> Result<EpochInfo, RpcError> {
    let (schedule, slot) = (schedule(executor)?, executor.replay().slot());
    let (epoch, slot_index) = schedule.get_epoch_and_slot_index(slot);
    Ok(EpochInfo {
        epoch,
        slot_index,
        slots_in_epoch: schedule.get_slots_in_epoch(epoch),
        absolute_slot: slot,
        block_height: executor.replay().block_height(),
        transaction_count: Some(transaction_count(executor)),
    })
}

fn schedule(executor: &Executor) -> Result<EpochSchedule, RpcError> {
    let address = sysvar::epoch_schedule::ID;
    let account = known(executor, &address)?.ok_or_else(|| RpcError::internal("there is no epoch schedule"))?;
    bincode::deserialize(account.data()).map_err(|error| RpcError::internal(&error.to_string()))
}

/// Those of the session; what came before is not counted, because nobody has recorded it.
fn transaction_count(executor: &Executor) -> u64 {
    let summary = executor.replay().summary();
    summary.total + summary.injected
}
