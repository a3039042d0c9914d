//! What the user changes before the first slot, with its files read.

use std::collections::BTreeSet;

use simulator_api::{AccountData, AccountModifications, BinaryEncoding, EncodedBinary, FeatureSelection};
use simulator_client::BacktestSession;
use solana_pubkey::Pubkey;

use super::error::SessionError;
use super::inputs::{self, AccountFile, InputError};
use super::options::Changes;
use crate::args::FeaturesArg;

/// Changes that are ready to be made.
#[derive(Debug)]
pub(crate) struct LoadedChanges {
    programs: Vec<(Pubkey, Vec<u8>)>,
    accounts: AccountModifications,
    pub(crate) extra_compute_units: Option<u32>,
    pub(crate) ignored_signers: BTreeSet<Pubkey>,
    pub(crate) features: Option<FeatureSelection>,
}

impl LoadedChanges {
    /// Reads the files.
    pub(crate) fn load(changes: Changes) -> Result<Self, InputError> {
        let programs = changes.programs.iter();
        let accounts = changes.accounts.iter();
        Ok(Self {
            programs: programs
                .map(|given| Ok((given.address, inputs::program(&given.file)?)))
                .collect::<Result<_, InputError>>()?,
            accounts: accounts
                .map(|given| Ok((given.address, account_data(&inputs::account(&given.file)?))))
                .collect::<Result<_, InputError>>()?,
            extra_compute_units: changes.extra_compute_units,
            ignored_signers: changes.ignored_signers,
            features: changes.features.map(features).transpose()?,
        })
    }

    /// Whether something has to be replaced before the first transaction.
    pub(crate) fn replace_something(&self) -> bool {
        !self.programs.is_empty() || !self.accounts.is_empty()
    }

    /// Replaces programs and accounts in a session that is paused before its first transaction. An account of the
    /// user's wins over one that replaces a program.
    pub(crate) async fn apply(&self, session: &BacktestSession) -> Result<(), SessionError> {
        for (program, elf) in &self.programs {
            let accounts = session.modify_program(&program.to_string(), elf).await;
            let accounts = accounts.map_err(|error| SessionError::Program {
                program: *program,
                source: Box::new(error),
            })?;
            session.modify_accounts(&accounts).await?;
        }
        if !self.accounts.is_empty() {
            session.modify_accounts(&self.accounts).await?;
        }
        Ok(())
    }
}

fn features(arg: FeaturesArg) -> Result<FeatureSelection, InputError> {
    Ok(match arg {
        FeaturesArg::Accounts => FeatureSelection::Accounts,
        FeaturesArg::All => FeatureSelection::All,
        FeaturesArg::File(path) => FeatureSelection::Listed(inputs::features(&path)?.into_iter().collect()),
    })
}

fn account_data(account: &AccountFile) -> AccountData {
    AccountData {
        data: EncodedBinary::from_bytes(&account.data, BinaryEncoding::Base64),
        executable: account.executable,
        lamports: account.lamports,
        owner: account.owner,
        space: account.data.len() as u64,
    }
}
