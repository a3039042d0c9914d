//! One transaction through the virtual machine, and what it leaves behind.
//!
//! Transactions go in one at a time: that is exact, and costs a few percent against larger calls.

use std::collections::HashMap;
use std::sync::Arc;

use simulator_archive::model::Outcome;
use solana_account::AccountSharedData;
use solana_message::TransactionSignatureDetails;
use solana_program_runtime::program_cache_entry::ProgramCacheEntry;
use solana_pubkey::Pubkey;
use solana_runtime_transaction::transaction_meta::TransactionMeta;
use solana_svm::account_loader::LoadedTransaction;
use solana_svm::rollback_accounts::RollbackAccounts;
use solana_svm::transaction_processing_result::ProcessedTransaction;
use solana_svm::transaction_processor::{
    ExecutionRecordingConfig, TransactionProcessingConfig, TransactionProcessingEnvironment,
};
use solana_svm_transaction::svm_message::SVMMessage;
use solana_transaction::sanitized::MessageHash;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::check::{Checker, Origin, Sanitized};
use crate::form;
use crate::lookup::LookupTables;
use crate::outcome;
use crate::seen::SeenTransactions;

/// What executing a transaction would do to the session.
#[derive(Debug)]
pub(crate) struct Effects {
    /// What the transaction did.
    pub(crate) outcome: Outcome,
    /// Accounts to store, in the order in which the runtime stores them.
    pub(crate) writes: Vec<(Pubkey, AccountSharedData)>,
    /// Programs that it deployed, upgraded or closed.
    pub(crate) programs: HashMap<Pubkey, Arc<ProgramCacheEntry>>,
    /// Fee for signatures, in lamports.
    pub(crate) transaction_fee: u64,
    /// Fee for priority, in lamports.
    pub(crate) priority_fee: u64,
    /// How much was loaded, in bytes, as the runtime counts it against the limit that a transaction may set.
    pub(crate) loaded_bytes: u32,
    /// Signatures of the transaction itself, those of precompiles left out.
    pub(crate) signatures: u64,
}

/// Everything that a transaction is executed against.
#[derive(Clone, Copy)]
pub(crate) struct Machine<'a> {
    pub(crate) checker: Checker<'a>,
    pub(crate) environment: &'a TransactionProcessingEnvironment,
    pub(crate) slot: u64,
}

impl Machine<'_> {
    /// Resolves lookup tables and checks the transaction's form.
    pub(crate) fn sanitize(
        &self,
        transaction: VersionedTransaction,
        origin: Origin,
    ) -> Result<Sanitized, TransactionError> {
        let runtime = self.checker.runtime;
        if origin != Origin::Block {
            form::check_wire(&transaction, &runtime.features)?;
        }
        let slot_hashes = runtime
            .processor
            .sysvar_cache()
            .get_slot_hashes()
            .map_err(|_| TransactionError::AddressLookupTableNotFound)?;
        let tables = LookupTables {
            accounts: self.checker.accounts,
            slot: self.slot,
            slot_hashes: &slot_hashes,
        };
        let sanitized = Sanitized::try_create(
            transaction,
            MessageHash::Compute,
            None,
            tables,
            &runtime.reserved.active,
            runtime.features.snapshot().limit_instruction_accounts,
        )?;
        if origin != Origin::Block {
            form::check_locks(&sanitized, &runtime.features)?;
        }
        Ok(sanitized)
    }

    /// Executes a transaction. Nothing is stored; an error means that the runtime refuses to process it.
    pub(crate) fn execute(
        &self,
        transaction: &Sanitized,
        origin: Origin,
        seen: &SeenTransactions,
    ) -> Result<Effects, TransactionError> {
        let check = self.checker.check(transaction, origin)?;
        if origin != Origin::UserAnyBlockhash && seen.contains(transaction.message_hash()) {
            return Err(TransactionError::AlreadyProcessed);
        }
        let runtime = self.checker.runtime;
        let config = TransactionProcessingConfig {
            recording_config: ExecutionRecordingConfig::new_single_setting(true),
            ..TransactionProcessingConfig::default()
        };
        let mut output = runtime.processor.load_and_execute_sanitized_transactions(
            &runtime.callbacks(self.checker.accounts),
            std::slice::from_ref(transaction),
            vec![Ok(check)],
            self.environment,
            &config,
        );
        let processed = output
            .processing_results
            .pop()
            .expect("one result for one transaction")?;
        let balances = output.balance_collector.expect("balances are recorded");
        let outcome = outcome::from_processed(transaction, &processed, balances.into_vecs());
        Ok(effects(transaction, processed, outcome))
    }
}

fn effects(transaction: &Sanitized, processed: ProcessedTransaction, outcome: Outcome) -> Effects {
    let fees = processed.fee_details();
    let loaded_bytes = processed.loaded_accounts_data_size();
    let signatures = TransactionSignatureDetails::num_transaction_signatures(transaction.signature_details());
    let (writes, programs) = match processed {
        ProcessedTransaction::Executed(executed) if executed.was_successful() => (
            written_accounts(transaction, executed.loaded_transaction),
            executed.programs_modified_by_tx,
        ),
        ProcessedTransaction::Executed(executed) => (
            rolled_back(&executed.loaded_transaction.rollback_accounts),
            HashMap::new(),
        ),
        ProcessedTransaction::FeesOnly(fees_only) => (rolled_back(&fees_only.rollback_accounts), HashMap::new()),
    };
    Effects {
        outcome,
        writes,
        programs,
        transaction_fee: fees.transaction_fee(),
        priority_fee: fees.prioritization_fee(),
        loaded_bytes,
        signatures,
    }
}

/// The accounts that a successful transaction may have changed.
fn written_accounts(transaction: &Sanitized, loaded: LoadedTransaction) -> Vec<(Pubkey, AccountSharedData)> {
    let LoadedTransaction {
        accounts,
        touched_flags,
        ..
    } = loaded;
    accounts
        .into_iter()
        .enumerate()
        .filter(|(index, _)| {
            let only_invoked = transaction.is_invoked(*index) && !transaction.is_instruction_account(*index);
            transaction.is_writable(*index) && touched_flags.get(*index).copied().unwrap_or(false) && !only_invoked
        })
        .map(|(_, account)| account)
        .collect()
}

/// What a failed transaction leaves: the fee is paid, the nonce is advanced.
fn rolled_back(accounts: &RollbackAccounts) -> Vec<(Pubkey, AccountSharedData)> {
    accounts.iter().cloned().collect()
}
