//! What the virtual machine asks of its host.

use agave_feature_set::FeatureSet;
use agave_precompiles::{get_precompile, is_precompile};
use solana_account::AccountSharedData;
use solana_precompile_error::PrecompileError;
use solana_pubkey::Pubkey;
use solana_svm_callback::{InvokeContextCallback, TransactionProcessingCallback};

use crate::view::AccountView;

/// The host of one call into the virtual machine.
pub(crate) struct Callbacks<'a> {
    pub(crate) accounts: AccountView<'a>,
    pub(crate) features: &'a FeatureSet,
}

impl TransactionProcessingCallback for Callbacks<'_> {
    fn get_account_shared_data(&self, address: &Pubkey) -> Option<(AccountSharedData, u64)> {
        // The slot of the last change is carried along but never looked at in this version of the machine.
        self.accounts.get(address).map(|account| (account.clone(), 0))
    }
}

impl InvokeContextCallback for Callbacks<'_> {
    fn is_precompile(&self, program: &Pubkey) -> bool {
        is_precompile(program, |feature| self.features.is_active(feature))
    }

    fn process_precompile(
        &self,
        program: &Pubkey,
        data: &[u8],
        instructions: Vec<&[u8]>,
    ) -> Result<(), PrecompileError> {
        get_precompile(program, |feature| self.features.is_active(feature))
            .ok_or(PrecompileError::InvalidPublicKey)?
            .verify(data, &instructions, self.features)
    }
}
