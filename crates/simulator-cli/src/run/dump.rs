//! `--dump-accounts`: every account that a session knows, one JSON object a line.

use std::io::{self, Write};

use simulator_api::replay::{GetReplayAccountsParams, ReplayAccountEntry, ReplayAccounts};
use simulator_client::HttpError;
use simulator_client::rpc::{RpcCallError, RpcEndpoint};

use super::error::SessionError;
use crate::output::{OutputError, WholeFile};

/// Accounts in one answer, at most. Where they are large, fewer are asked for.
const PAGE_ACCOUNTS: u32 = 10_000;

/// Writes the accounts, sorted by address, and gives the file its name.
pub(super) async fn dump_accounts(rpc: &RpcEndpoint, mut file: WholeFile) -> Result<(), SessionError> {
    let mut page = GetReplayAccountsParams {
        after: None,
        limit: PAGE_ACCOUNTS,
    };
    loop {
        let ReplayAccounts { accounts, complete } = match rpc.get_replay_accounts(&page).await {
            Err(RpcCallError::Http {
                source: HttpError::TooLong { .. },
                ..
            }) if page.limit > 1 => {
                page.limit /= 2;
                continue;
            }
            answer => answer?,
        };
        page.after = accounts.last().map(|entry| entry.pubkey).or(page.after);
        write_lines(&mut file, &accounts).map_err(OutputError::at(file.path()))?;
        if complete || accounts.is_empty() {
            return Ok(file.publish()?);
        }
    }
}

fn write_lines(to: &mut impl Write, accounts: &[ReplayAccountEntry]) -> io::Result<()> {
    for entry in accounts {
        serde_json::to_writer(&mut *to, entry)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}
