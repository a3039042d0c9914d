//! Stops right before every batch of transactions that call a program, looks at an account there over JSON-RPC, and goes
//! on. What it sees is the state that those transactions were about to meet.
//!
//! ```text
//! sim serve --archive samples/agave-small
//! cargo run -p simulator-client --example pause_before_program -- ws://127.0.0.1:8900/backtest 36 59 \
//!     MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr SysvarC1ock11111111111111111111111111111111
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::env;
use std::error::Error;

use simulator_client::rpc::RpcEndpoint;
use simulator_client::{
    Continue, ContinueToParams, CreateSession, DiscoveryFilter, ManagedBacktestSession, ManagedEvent,
};
use solana_address::Address;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, first_slot, last_slot, program, account] = args.as_slice() else {
        return Err("usage: pause_before_program URL FIRST_SLOT LAST_SLOT PROGRAM ACCOUNT".into());
    };
    let create = CreateSession::builder()
        .start_slot(first_slot.parse()?)
        .end_slot(last_slot.parse()?)
        .discoveries(vec![DiscoveryFilter::ProgramExecuted(program.parse()?)])
        .build();
    let mut session = ManagedBacktestSession::builder(url, create.into_request()?)
        .start()
        .await?;
    let pauses = step_through(&mut session, &account.parse()?).await?;
    println!("paused {pauses} times");
    session.shutdown().await;
    Ok(())
}

/// Every announcement is answered with the place to stop at, every "ready" with a continue to the end: the session does
/// not pass a batch that it has announced, so that neither answer can come too late. Returns the number of pauses.
async fn step_through(session: &mut ManagedBacktestSession, account: &Address) -> Result<u64, Box<dyn Error>> {
    let rpc = RpcEndpoint::new(&session.session_info().rpc_endpoint)?;
    let mut pauses = 0;
    loop {
        match session.next_event().await? {
            ManagedEvent::ReadyForContinue => {
                let to_the_end = Continue::builder().advance_count(u64::MAX).build();
                session.send_continue(to_the_end.into_params()).await?;
            }
            ManagedEvent::DiscoveryBatch(batch) => {
                println!(
                    "slot {}, batch {}: transactions {:?}",
                    batch.slot, batch.batch_index, batch.transaction_indices
                );
                let before_it = ContinueToParams::before_batch(batch.slot, batch.batch_index);
                session.send_continue_to(before_it).await?;
            }
            // The next announcement follows, or "ready" if there is none in sight.
            ManagedEvent::Paused(place) => {
                pauses += 1;
                let slot = place.slot;
                match rpc.get_account_info(account).await? {
                    Some(state) => println!("  paused in slot {slot}: {account} holds {} lamports", state.lamports),
                    None => println!("  paused in slot {slot}: {account} does not exist"),
                }
            }
            ManagedEvent::Error(error) => println!("the session reports: {error}"),
            ManagedEvent::Completed { .. } => return Ok(pauses),
            _ => {}
        }
    }
}
