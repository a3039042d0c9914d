//! What the user changes before the first slot, with its files read.

use std::collections::BTreeSet;

use simulator_api::{AccountData, AccountModifications, BinaryEncoding, EncodedBinary, FeatureSelection};
use simulator_client::BacktestSession;
use solana_pubkey::Pubkey;

use super::error::SessionError;
use super::inputs::{self, AccountFile, Input, InputError};
use super::options::{Changes, Replacement};
use crate::args::{AddressFile, FeaturesArg};

/// Changes that are ready to be made.
#[derive(Debug)]
pub(crate) struct LoadedChanges {
    /// In the order in which they are made.
    pub(crate) replacements: Vec<LoadedReplacement>,
    pub(crate) extra_compute_units: Option<u32>,
    pub(crate) ignored_signers: BTreeSet<Pubkey>,
    pub(crate) features: Option<LoadedFeatures>,
}

/// A program's code, or accounts.
pub(crate) type LoadedReplacement = Replacement<Loaded<Vec<u8>>, Loaded<AccountData>>;

/// What replaces the program or the account at an address.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    pub(crate) address: Pubkey,
    pub(crate) input: Input<T>,
}

/// Which features are active.
#[derive(Debug)]
pub(crate) enum LoadedFeatures {
    /// Those of the archive's feature accounts.
    Accounts,
    /// All.
    All,
    /// Those that a file lists.
    Listed(Input<BTreeSet<Pubkey>>),
}

impl LoadedChanges {
    /// Reads the files.
    pub(crate) fn load(changes: Changes) -> Result<Self, InputError> {
        let replacements = changes.replacements.into_iter().map(load);
        Ok(Self {
            replacements: replacements.collect::<Result<_, _>>()?,
            extra_compute_units: changes.extra_compute_units,
            ignored_signers: changes.ignored_signers,
            features: changes.features.map(features).transpose()?,
        })
    }

    /// Whether something has to be replaced before the first transaction.
    pub(crate) fn replace_something(&self) -> bool {
        !self.replacements.is_empty()
    }

    /// The features, as a create names them.
    pub(crate) fn feature_selection(&self) -> Option<FeatureSelection> {
        self.features.as_ref().map(|features| match features {
            LoadedFeatures::Accounts => FeatureSelection::Accounts,
            LoadedFeatures::All => FeatureSelection::All,
            LoadedFeatures::Listed(input) => FeatureSelection::Listed(input.value.iter().copied().collect()),
        })
    }

    /// Replaces programs and accounts in a session that is paused before its first transaction.
    pub(crate) async fn apply(&self, session: &BacktestSession) -> Result<(), SessionError> {
        for replacement in &self.replacements {
            let accounts = match replacement {
                Replacement::Program(program) => program_accounts(session, program).await?,
                Replacement::Accounts(accounts) => accounts.iter().map(Loaded::account).collect(),
            };
            session.modify_accounts(&accounts).await?;
        }
        Ok(())
    }
}

impl Loaded<AccountData> {
    fn account(&self) -> (Pubkey, AccountData) {
        (self.address, self.input.value.clone())
    }
}

/// The accounts that hold a program with this code.
async fn program_accounts(
    session: &BacktestSession,
    program: &Loaded<Vec<u8>>,
) -> Result<AccountModifications, SessionError> {
    let id = program.address.to_string();
    let accounts = session.modify_program(&id, &program.input.value).await;
    accounts.map_err(|error| SessionError::Program {
        program: program.address,
        source: Box::new(error),
    })
}

fn load(replacement: Replacement<AddressFile>) -> Result<LoadedReplacement, InputError> {
    Ok(match replacement {
        Replacement::Program(AddressFile { address, file }) => Replacement::Program(Loaded {
            address,
            input: inputs::program(&file)?,
        }),
        Replacement::Accounts(accounts) => {
            let accounts = accounts.into_iter().map(|AddressFile { address, file }| {
                let input = inputs::account(&file)?.map(|account| account_data(&account));
                Ok(Loaded { address, input })
            });
            Replacement::Accounts(accounts.collect::<Result<_, InputError>>()?)
        }
    })
}

fn features(arg: FeaturesArg) -> Result<LoadedFeatures, InputError> {
    Ok(match arg {
        FeaturesArg::Accounts => LoadedFeatures::Accounts,
        FeaturesArg::All => LoadedFeatures::All,
        FeaturesArg::File(path) => LoadedFeatures::Listed(inputs::features(&path)?),
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
