//! Replays a range with another build of a program, and tells how many transactions ended otherwise than recorded.
//!
//! The session starts paused, so that the program is replaced before the first transaction. A server that cannot do that
//! lacks the capability `startPaused`, and the start fails with an error that says so.
//!
//! ```text
//! sim serve --archive samples/agave-small
//! cargo run -p simulator-client --example replace_program -- ws://127.0.0.1:8900/backtest 36 59 \
//!     TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA program.so
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::env;
use std::error::Error;

use simulator_client::rpc::RpcEndpoint;
use simulator_client::{Continue, CreateSession, ManagedBacktestSession, ManagedEvent, modify_program_via_rpc};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, first_slot, last_slot, program, file] = args.as_slice() else {
        return Err("usage: replace_program URL FIRST_SLOT LAST_SLOT PROGRAM ELF_FILE".into());
    };
    let elf = std::fs::read(file)?;
    let create = CreateSession::builder()
        .start_slot(first_slot.parse()?)
        .end_slot(last_slot.parse()?)
        .start_paused(true)
        .send_summary(true)
        .build();
    let mut session = ManagedBacktestSession::builder(url, create.into_request()?)
        .start()
        .await?;
    let rpc = RpcEndpoint::new(&session.session_info().rpc_endpoint)?;
    loop {
        match session.next_event().await? {
            ManagedEvent::Paused(place) => {
                println!(
                    "replacing {program} by {} bytes of {file} before slot {}",
                    elf.len(),
                    place.slot
                );
                // Built from the account that is there: its loader, its authority and its balance stay.
                let accounts = modify_program_via_rpc(&rpc, program, &elf).await?;
                let next = Continue::builder()
                    .advance_count(u64::MAX)
                    .modify_accounts(accounts)
                    .build();
                session.send_continue(next.into_params()).await?;
            }
            ManagedEvent::Error(error) => println!("the session reports: {error}"),
            ManagedEvent::Completed { summary, .. } => {
                let summary = summary.ok_or("the server sent no summary")?;
                println!("as recorded: {}", summary.correct_simulation);
                println!(
                    "otherwise: {}",
                    summary.total_transactions() - summary.correct_simulation
                );
                break;
            }
            _ => {}
        }
    }
    session.shutdown().await;
    Ok(())
}
