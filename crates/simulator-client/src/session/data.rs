//! What a session does through its JSON-RPC.

use simulator_api::AccountModifications;

use super::BacktestSession;
use crate::error::BacktestClientResult;
use crate::injection::{ProgramModError, modify_program_via_rpc};

impl BacktestSession {
    /// Replaces accounts at once, outside of any block, and returns how many the server replaced.
    ///
    /// # Errors
    ///
    /// [`Rpc`](crate::BacktestClientError::Rpc).
    pub async fn modify_accounts(&self, accounts: &AccountModifications) -> BacktestClientResult<usize> {
        Ok(self.opened.rpc.modify_accounts(accounts).await?)
    }

    /// The accounts that replace the code of a program, as [`modify_program_via_rpc`] builds them. They are not
    /// applied: pass them to [`modify_accounts`](Self::modify_accounts) or to a [`Continue`](crate::Continue).
    ///
    /// # Errors
    ///
    /// As [`modify_program_via_rpc`].
    pub async fn modify_program(&self, program_id: &str, elf: &[u8]) -> Result<AccountModifications, ProgramModError> {
        modify_program_via_rpc(&self.opened.rpc, program_id, elf).await
    }
}
