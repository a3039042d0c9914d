//! Replays everything that a server has: creates a session, answers each "ready" with a continue, prints the slots, and
//! tells at the end how the replay compares with what the chain recorded.
//!
//! ```text
//! sim serve --archive samples/agave-small
//! cargo run -p simulator-client --example quickstart -- ws://127.0.0.1:8900/backtest
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::env;
use std::error::Error;

use simulator_client::{BacktestClient, Continue, CreateSession, ManagedBacktestSession, ManagedEvent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("usage: quickstart URL")?;
    let create = whole_range(&url).await?;
    let mut session = ManagedBacktestSession::builder(url, create.into_request()?)
        .start()
        .await?;
    loop {
        match session.next_event().await? {
            ManagedEvent::ReadyForContinue => {
                // This is the place to look at accounts, to change them, and to send transactions.
                let next = Continue::builder().advance_count(1).build();
                session.send_continue(next.into_params()).await?;
            }
            ManagedEvent::Slot(slot) => println!("slot {slot}"),
            ManagedEvent::Error(error) => println!("the session reports: {error}"),
            ManagedEvent::Completed { summary, .. } => {
                let summary = summary.ok_or("the server sent no summary")?;
                println!("completed: {summary}");
                break;
            }
            _ => {}
        }
    }
    session.shutdown().await;
    Ok(())
}

/// A session over the first range that the server offers.
async fn whole_range(url: &str) -> Result<CreateSession, Box<dyn Error>> {
    let client = BacktestClient::builder().url(url).build();
    let ranges = client.available_ranges().await?;
    let range = ranges.first().ok_or("the server has no history")?;
    let last_slot = range
        .max_bundle_end_slot
        .ok_or("the server does not say where it ends")?;
    println!("slots {} to {last_slot}", range.bundle_start_slot);
    Ok(CreateSession::builder()
        .start_slot(range.bundle_start_slot)
        .end_slot(last_slot)
        .send_summary(true)
        .build())
}
