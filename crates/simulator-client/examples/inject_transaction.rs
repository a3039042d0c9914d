//! Sends a transfer that never happened into a recorded slot, and shows three ways to see what became of it: a
//! subscription, its status, and the balances.
//!
//! Signatures of what a session is sent are not checked, so that anyone's lamports can be moved. Every other rule of the
//! validator holds, that of the recent blockhash included.
//!
//! ```text
//! sim serve --archive samples/agave-small
//! cargo run -p simulator-client --example inject_transaction -- ws://127.0.0.1:8900/backtest 36 59 \
//!     1iktbX8RwbwLoxKSAnRstCJwkuZ189cuhHvt1sypD3Y 71PvmEchigwUJsygzTBs94sL47872v1XD98V75SvFor 1000000
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::env;
use std::error::Error;

use serde_json::{Value, json};
use simulator_client::rpc::{RpcCallError, RpcEndpoint};
use simulator_client::{Continue, CreateSession, ManagedBacktestSession, ManagedEvent};
use solana_address::Address;
use solana_hash::Hash;
use solana_message::{Message, VersionedMessage};
use solana_signature::Signature;
use solana_system_interface::instruction::transfer;
use solana_transaction::versioned::VersionedTransaction;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, first_slot, last_slot, from, to, lamports] = args.as_slice() else {
        return Err("usage: inject_transaction URL FIRST_SLOT LAST_SLOT FROM TO LAMPORTS".into());
    };
    let (from, to): (Address, Address) = (from.parse()?, to.parse()?);
    let create = CreateSession::builder()
        .start_slot(first_slot.parse()?)
        .end_slot(last_slot.parse()?)
        .build();
    let mut session = ManagedBacktestSession::builder(url, create.into_request()?)
        .start()
        .await?;
    let rpc = RpcEndpoint::new(&session.session_info().rpc_endpoint)?;
    session.subscribe_transactions(vec![from])?;

    // The session stands in its first slot, after everything that the chain recorded there.
    while !matches!(session.next_event().await?, ManagedEvent::ReadyForContinue) {}
    print_balances(&rpc, [&from, &to]).await?;
    let message = Message::new_with_blockhash(
        &[transfer(&from, &to, lamports.parse()?)],
        Some(&from),
        &latest_blockhash(&rpc).await?,
    );
    let signature = Signature::from([7; 64]);
    let transaction = VersionedTransaction {
        signatures: vec![signature],
        message: VersionedMessage::Legacy(message),
    };
    // No block follows: the session stays where it is. With a larger count history would go on after the transfer.
    let next = Continue::builder().advance_count(0).build();
    session
        .send_continue(next.push_transaction(&transaction)?.into_params())
        .await?;

    print_outcome(&mut session, &signature.to_string()).await?;
    let status: Value = rpc
        .call("getSignatureStatuses", &json!([[signature.to_string()]]))
        .await?;
    println!("status: {}", status["value"][0]);
    print_balances(&rpc, [&from, &to]).await?;
    session.shutdown().await;
    Ok(())
}

/// Reads on until the subscription shows the transaction. One that fails is shown, too; one that breaks a rule, such as
/// that of the blockhash, is not executed and gives an error instead.
async fn print_outcome(session: &mut ManagedBacktestSession, signature: &str) -> Result<(), Box<dyn Error>> {
    loop {
        match session.next_event().await? {
            ManagedEvent::Transaction(shown) if shown.signature().as_deref() == Some(signature) => {
                let transaction: Value = shown.decode()?;
                let meta = &transaction["meta"];
                println!(
                    "executed in slot {}: error {}, fee {}",
                    shown.slot(),
                    meta["err"],
                    meta["fee"]
                );
                return Ok(());
            }
            ManagedEvent::Error(error) => return Err(error.into()),
            ManagedEvent::Completed { .. } => return Err("the transaction was not executed".into()),
            _ => {}
        }
    }
}

async fn latest_blockhash(rpc: &RpcEndpoint) -> Result<Hash, Box<dyn Error>> {
    let latest: Value = rpc.call("getLatestBlockhash", &json!([])).await?;
    let text = latest["value"]["blockhash"]
        .as_str()
        .ok_or("the answer has no blockhash")?;
    Ok(text.parse()?)
}

async fn print_balances(rpc: &RpcEndpoint, accounts: [&Address; 2]) -> Result<(), RpcCallError> {
    for account in accounts {
        let lamports = rpc
            .get_account_info(account)
            .await?
            .map_or(0, |account| account.lamports);
        println!("{account}: {lamports} lamports");
    }
    Ok(())
}
