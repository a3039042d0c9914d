//! `requestAirdrop`: lamports out of nothing, by a transaction like any other.

use std::sync::atomic::Ordering;

use simulator_engine::Execution;
use solana_account::AccountSharedData;
use solana_message::{Message, VersionedMessage};
use solana_pubkey::Pubkey;
use solana_rpc_client_types::config::RpcRequestAirdropConfig;
use solana_signature::Signature;
use solana_system_interface::instruction::transfer;
use solana_transaction::versioned::VersionedTransaction;

use super::accounts::known;
use super::call::Params;
use super::context::pubkey;
use super::error::RpcError;
use super::fees::fee;
use super::{Answer, result};
use crate::convert::execution_error;
use crate::executor::Executor;
use crate::handle::SessionHandle;

/// Sets an account up that holds the lamports and the fee, and has it send them; answers the transaction's signature.
pub(super) async fn request_airdrop(session: &SessionHandle, params: Params<'_>) -> Answer {
    session.check_executing()?;
    let to = pubkey(&params.required::<String>(0, "a pubkey")?)?;
    let lamports: u64 = params.required(1, "lamports")?;
    params.optional::<RpcRequestAirdropConfig>(2, "config")?;
    let number = session.airdrops.fetch_add(1, Ordering::Relaxed);
    let prepare = move |executor: &Executor| Gift::prepare(executor, to, lamports, number);
    let gift = session.read(prepare).await??;
    session.set_accounts(vec![(gift.from, gift.account)]).await?;
    let sent = session.send(gift.transaction).await?;
    match (&sent.execution, execution_error(&sent.execution)) {
        (Execution::Processed(_), None) => result(&sent.signature.to_string()),
        (_, error) => {
            let why = error.map(|error| error.to_string()).unwrap_or_default();
            Err(RpcError::refused(&format!("the airdrop failed: {why}")))
        }
    }
}

/// A transaction and the account that pays for it.
struct Gift {
    from: Pubkey,
    account: AccountSharedData,
    transaction: VersionedTransaction,
}

impl Gift {
    fn prepare(executor: &Executor, to: Pubkey, lamports: u64, number: u64) -> Result<Self, RpcError> {
        known(executor, &to)?;
        let blockhash = executor.replay().latest_blockhash().blockhash;
        let sent = executor.replay().summary().injected;
        let from = giver(&to, number, sent, &Pubkey::new_from_array(blockhash.to_bytes()))?;
        let message = Message::new_with_blockhash(&[transfer(&from, &to, lamports)], Some(&from), &blockhash);
        let transaction = VersionedTransaction {
            signatures: vec![name(&from, &to)],
            message: VersionedMessage::Legacy(message),
        };
        let fee = fee(executor, transaction.clone())?.unwrap_or_default();
        let funds = lamports
            .checked_add(fee)
            .ok_or_else(|| RpcError::invalid_params("Invalid param: lamports: too many"))?;
        Ok(Self {
            from,
            account: AccountSharedData::new(funds, 0, &Pubkey::default()),
            transaction,
        })
    }
}

/// An address that nobody has, another one for each airdrop: two equal transactions would be one. The number alone
/// would not do, because it begins anew in a session that was restored; what the session has sent goes on.
fn giver(to: &Pubkey, number: u64, sent: u64, blockhash: &Pubkey) -> Result<Pubkey, RpcError> {
    let seed = format!("{number:016x}{sent:016x}");
    Pubkey::create_with_seed(to, &seed, blockhash).map_err(|error| RpcError::internal(&error.to_string()))
}

/// Nobody has the key, so that it cannot be signed; signatures are not checked.
fn name(from: &Pubkey, to: &Pubkey) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(from.as_ref());
    bytes[32..].copy_from_slice(to.as_ref());
    Signature::from(bytes)
}
