//! Building the replacement of a program from what a session says about it.

use std::time::Duration;

use simulator_api::{AccountData, AccountModifications};
use solana_address::Address;
use solana_address::error::ParseAddressError;
use thiserror::Error;

use super::PROGRAM_DATA_HEADER_LEN;
use super::elf::{ElfError, check_elf};
use super::program_data::{
    PROGRAM_LEN, UPGRADEABLE_LOADER, account, build_program_injection, derive_programdata, program_bytes,
    read_authority, read_program,
};
use crate::rpc::{RpcAccount, RpcCallError, RpcEndpoint};

/// How often one question is asked before its failure counts.
const ATTEMPTS: u32 = 10;

/// How long to wait before asking again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Loaders whose programs keep their code in the program account itself.
const LOADERS_WITHOUT_PROGRAMDATA: [Address; 2] = [
    Address::from_str_const("BPFLoader1111111111111111111111111111111111"),
    Address::from_str_const("BPFLoader2111111111111111111111111111111111"),
];

/// Why the replacement of a program could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProgramModError {
    /// The id is not an address.
    #[error("{id:?} is not a program id")]
    InvalidProgramId {
        /// The id.
        id: String,
        /// What is wrong with it.
        #[source]
        source: ParseAddressError,
    },
    /// The new code is no program that a Solana runtime can load.
    #[error("the new code cannot be loaded")]
    InvalidElf {
        /// What is wrong with it.
        #[from]
        source: ElfError,
    },
    /// The account at that address is not a program that can be replaced.
    #[error("{address} is not a program: the account is owned by {owner}")]
    NotAProgram {
        /// The address.
        address: Address,
        /// The owner of the account.
        owner: Address,
    },
    /// The session did not say what is needed.
    #[error("the session did not say what is needed to replace the program")]
    Rpc {
        /// Why not.
        #[from]
        source: RpcCallError,
    },
}

/// Builds the accounts that make `elf` the code of a program from the slot that is open; it does not apply them.
///
/// A program of the upgradeable loader gets a new ProgramData account, with the authority of the old one. A program
/// of an older loader gets a new program account. Where there is no program yet, both accounts of a new one are made.
/// Balances are never lowered, and always suffice for the rent exemption. A question that fails for a passing reason
/// is asked again, up to ten times. Nothing is asked if [`check_elf`] refuses the code.
///
/// # Errors
///
/// [`ProgramModError`].
pub async fn modify_program_via_rpc(
    rpc: &RpcEndpoint,
    program_id: &str,
    elf: &[u8],
) -> Result<AccountModifications, ProgramModError> {
    let program_id: Address = program_id.parse().map_err(|source| ProgramModError::InvalidProgramId {
        id: program_id.to_owned(),
        source,
    })?;
    check_elf(elf)?;
    let session = Session { rpc };
    match session.account(&program_id).await? {
        None => session.new_program(program_id, elf).await,
        Some(program) if LOADERS_WITHOUT_PROGRAMDATA.contains(&program.owner) => {
            let replaced = session.program_account(&program, elf).await?;
            Ok(AccountModifications::from_iter([(program_id, replaced)]))
        }
        Some(program) => {
            let programdata = Some(&program)
                .filter(|program| program.owner == UPGRADEABLE_LOADER)
                .and_then(|program| read_program(&program.data))
                .ok_or(ProgramModError::NotAProgram {
                    address: program_id,
                    owner: program.owner,
                })?;
            session.programdata(programdata, elf).await
        }
    }
}

/// Asks patiently.
struct Session<'a> {
    rpc: &'a RpcEndpoint,
}

impl Session<'_> {
    async fn account(&self, address: &Address) -> Result<Option<RpcAccount>, RpcCallError> {
        patiently(|| self.rpc.get_account_info(address)).await
    }

    /// A balance that exempts from rent and is not below the `present` one.
    async fn balance(&self, data_len: usize, present: Option<u64>) -> Result<u64, RpcCallError> {
        let exempt = patiently(|| self.rpc.get_minimum_balance_for_rent_exemption(data_len)).await?;
        Ok(exempt.max(present.unwrap_or_default()))
    }

    async fn programdata(&self, address: Address, elf: &[u8]) -> Result<AccountModifications, ProgramModError> {
        let present = self.account(&address).await?;
        let authority = present.as_ref().and_then(|account| read_authority(&account.data));
        let present_balance = present.map(|account| account.lamports);
        let lamports = self
            .balance(PROGRAM_DATA_HEADER_LEN + elf.len(), present_balance)
            .await?;
        let open_slot = patiently(|| self.rpc.get_slot()).await?;
        // Code can be called from the slot after its deployment on, and it should work in the open one.
        let deploy_slot = open_slot.saturating_sub(1);
        Ok(build_program_injection(address, elf, deploy_slot, authority, lamports))
    }

    async fn new_program(&self, program_id: Address, elf: &[u8]) -> Result<AccountModifications, ProgramModError> {
        let address = derive_programdata(&program_id);
        let mut accounts = self.programdata(address, elf).await?;
        let lamports = self.balance(PROGRAM_LEN, None).await?;
        let program = account(&program_bytes(&address), UPGRADEABLE_LOADER, lamports);
        accounts.insert(
            program_id,
            AccountData {
                executable: true,
                ..program
            },
        );
        Ok(accounts)
    }

    async fn program_account(&self, present: &RpcAccount, elf: &[u8]) -> Result<AccountData, ProgramModError> {
        let lamports = self.balance(elf.len(), Some(present.lamports)).await?;
        Ok(AccountData {
            executable: true,
            ..account(elf, present.owner, lamports)
        })
    }
}

async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, RpcCallError>
where
    F: Future<Output = Result<T, RpcCallError>>,
{
    for _ in 1..ATTEMPTS {
        match ask().await {
            Err(error) if error.is_retryable() => tokio::time::sleep(RETRY_DELAY).await,
            answer => return answer,
        }
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;
    use crate::http::HttpError;
    use crate::rpc::RpcError;

    fn passing() -> RpcCallError {
        RpcCallError::Http {
            method: "m".into(),
            source: HttpError::Timeout { limit: RETRY_DELAY },
        }
    }

    fn lasting() -> RpcCallError {
        RpcCallError::Remote {
            method: "m".into(),
            source: RpcError {
                code: -32602,
                message: "no".into(),
                data: None,
            },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_fails_for_a_passing_reason_is_asked_again() {
        let asked = Cell::new(0);
        let answer = patiently(async || {
            asked.set(asked.get() + 1);
            if asked.get() < ATTEMPTS {
                Err(passing())
            } else {
                Ok(asked.get())
            }
        });
        assert_eq!(answer.await.unwrap(), ATTEMPTS);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_a_lasting_reason_ends_it_at_once() {
        let began = Instant::now();
        assert!(patiently(async || Err::<(), _>(lasting())).await.is_err());
        assert_eq!(began.elapsed(), Duration::ZERO);
        let asked = Cell::new(0);
        let answer = patiently(async || {
            asked.set(asked.get() + 1);
            Err::<(), _>(passing())
        });
        assert!(answer.await.is_err());
        assert_eq!((asked.get(), began.elapsed()), (ATTEMPTS, RETRY_DELAY * (ATTEMPTS - 1)));
    }
}
