//! Writes every change of the accounts that some programs own as CSV, to a file or, for `-`, to standard output.
//!
//! The table is whole or the program fails: the session waits while this writes, a lost connection resumes where it was,
//! and anything that is missing or cannot be read ends the program with an error.
//!
//! ```text
//! sim serve --archive samples/agave-small
//! cargo run -p simulator-client --example collect_account_diffs -- ws://127.0.0.1:8900/backtest 36 59 diffs.csv \
//!     TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA Stake11111111111111111111111111111111111111
//! ```

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use simulator_client::machine::subscription::{AccountDiffNotification, AccountState, AccountStateError};
use simulator_client::managed::ManagedSessionError;
use simulator_client::{Continue, CreateSession, ManagedBacktestSession, ManagedEvent};
use thiserror::Error;

/// Why the table is not whole.
#[derive(Debug, Error)]
enum CollectError {
    #[error("the session failed, or something of it is missing")]
    Session(#[from] ManagedSessionError),
    #[error("an account could not be decoded")]
    Account(#[from] AccountStateError),
    #[error("the table could not be written")]
    Write(#[from] io::Error),
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, first_slot, last_slot, file, programs @ ..] = args.as_slice() else {
        return Err("usage: collect_account_diffs URL FIRST_SLOT LAST_SLOT FILE PROGRAM...".into());
    };
    let programs = programs
        .iter()
        .map(|text| text.parse())
        .collect::<Result<Vec<_>, _>>()?;
    let create = CreateSession::builder()
        .start_slot(first_slot.parse()?)
        .end_slot(last_slot.parse()?)
        .build();
    let table: Box<dyn Write> = match file.as_str() {
        "-" => Box::new(io::stdout().lock()),
        file => Box::new(BufWriter::new(File::create(file)?)),
    };
    let mut session = ManagedBacktestSession::builder(url, create.into_request()?)
        .start()
        .await?;
    session.subscribe_account_diffs(programs)?;
    collect(&mut session, table).await?;
    session.shutdown().await;
    Ok(())
}

async fn collect(session: &mut ManagedBacktestSession, mut table: impl Write) -> Result<(), CollectError> {
    writeln!(
        table,
        "slot,tx_index,signature,program,account,lamports_before,lamports_after,data_len_before,data_len_after"
    )?;
    loop {
        match session.next_event().await? {
            // Waits until the subscriptions are established, so that they see the session from its first slot.
            ManagedEvent::ReadyForContinue => {
                let to_the_end = Continue::builder().advance_count(u64::MAX).build();
                session.send_continue(to_the_end.into_params()).await?;
            }
            ManagedEvent::AccountDiff(diff) => write_row(&mut table, &diff)?,
            // Comes after the last row: the subscriptions have told everything.
            ManagedEvent::Completed { .. } => return Ok(table.flush()?),
            _ => {}
        }
    }
}

/// Addresses, signatures and numbers need no quotes. What there is not, before or after, is an empty field.
fn write_row(table: &mut impl Write, diff: &AccountDiffNotification) -> Result<(), CollectError> {
    let (before, after) = (diff.pre()?, diff.post()?);
    let lamports = |state: &Option<AccountState>| field(state.as_ref().map(|state| state.lamports));
    let data_len = |state: &Option<AccountState>| field(state.as_ref().map(|state| state.data.len()));
    writeln!(
        table,
        "{},{},{},{},{},{},{},{},{}",
        diff.slot(),
        field(diff.tx_index()),
        field(diff.signature()),
        diff.target(),
        field(diff.account()),
        lamports(&before),
        lamports(&after),
        data_len(&before),
        data_len(&after),
    )?;
    Ok(())
}

fn field(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
