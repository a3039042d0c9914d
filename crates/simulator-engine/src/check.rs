//! What the runtime checks before it executes a transaction: age or nonce, compute budget, fee.

use solana_account::AccountSharedData;
use solana_compute_budget::compute_budget_limits::MAX_COMPUTE_UNIT_LIMIT;
use solana_fee::FeeFeatures;
use solana_hash::Hash;
use solana_nonce::state::DurableNonce;
use solana_nonce_account::verify_nonce_account;
use solana_program_runtime::execution_budget::SVMTransactionExecutionAndFeeBudgetLimits;
use solana_pubkey::Pubkey;
use solana_runtime_transaction::runtime_transaction::RuntimeTransaction;
use solana_runtime_transaction::transaction_meta::{TransactionConfiguration, TransactionMeta};
use solana_sdk_ids::compute_budget;
use solana_svm::account_loader::{CheckedTransactionDetails, TransactionCheckResult};
use solana_svm_transaction::svm_message::{SVMMessage, SVMStaticMessage};
use solana_transaction::sanitized::SanitizedTransaction;
use solana_transaction_error::TransactionError;

use crate::blockhash_queue::{BlockhashAge, BlockhashQueue};
use crate::runtime::Runtime;
use crate::view::AccountView;

/// Price of one signature. (Agave: `FeeStructure::lamports_per_signature`; the rate of the fee governor does not
/// enter into fees.)
const LAMPORTS_PER_SIGNATURE: u64 = 5000;

/// First byte of the compute budget instruction that sets the limit. (`ComputeBudgetInstruction`, borsh.)
const SET_COMPUTE_UNIT_LIMIT: u8 = 2;

/// A transaction in the form that the virtual machine takes.
pub(crate) type Sanitized = RuntimeTransaction<SanitizedTransaction>;

/// Where a transaction comes from, which decides what is taken on trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is in a recorded block: the chain has accepted it.
    Block,
    /// The user sent it.
    User,
    /// The user wants to know what it would do, whatever its blockhash.
    UserAnyBlockhash,
}

/// What the checks depend on.
#[derive(Clone, Copy)]
pub(crate) struct Checker<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) accounts: AccountView<'a>,
    pub(crate) blockhashes: &'a BlockhashQueue,
    /// Added to limits that transactions set themselves; fees stay as they are.
    pub(crate) extra_compute_units: u32,
}

impl Checker<'_> {
    pub(crate) fn check(&self, transaction: &Sanitized, origin: Origin) -> TransactionCheckResult {
        let configuration = transaction.transaction_configuration(&self.runtime.features)?;
        let nonce = self.check_age(transaction, origin)?;
        Ok(CheckedTransactionDetails::new(
            nonce,
            self.limits(transaction, &configuration),
        ))
    }

    /// What the transaction would pay, in lamports.
    pub(crate) fn fee(&self, transaction: &Sanitized) -> Result<u64, TransactionError> {
        let configuration = transaction.transaction_configuration(&self.runtime.features)?;
        self.check_age(transaction, Origin::User)?;
        Ok(self.limits(transaction, &configuration).fee_details.total_fee())
    }

    fn limits(
        &self,
        transaction: &Sanitized,
        configuration: &TransactionConfiguration,
    ) -> SVMTransactionExecutionAndFeeBudgetLimits {
        let mut budget = self.runtime.compute_budget().to_budget();
        budget.compute_unit_limit = u64::from(self.compute_unit_limit(transaction, configuration));
        budget.heap_size = configuration.updated_heap_bytes;
        SVMTransactionExecutionAndFeeBudgetLimits {
            budget,
            loaded_accounts_data_size_limit: configuration.loaded_accounts_data_size_limit,
            fee_details: solana_fee::calculate_fee_details(
                transaction,
                LAMPORTS_PER_SIGNATURE,
                configuration.priority_fee_lamports,
                FeeFeatures::from(self.runtime.features.as_ref()),
            ),
        }
    }

    fn compute_unit_limit(&self, transaction: &Sanitized, configuration: &TransactionConfiguration) -> u32 {
        let limit = configuration.compute_unit_limit;
        if self.extra_compute_units == 0 || !sets_compute_unit_limit(transaction) {
            return limit;
        }
        limit
            .saturating_add(self.extra_compute_units)
            .min(MAX_COMPUTE_UNIT_LIMIT)
    }

    /// The nonce account by which the transaction is valid, or none if it is by its age.
    fn check_age(&self, transaction: &Sanitized, origin: Origin) -> Result<Option<Pubkey>, TransactionError> {
        let age = self.blockhashes.age(transaction.recent_blockhash());
        if age == BlockhashAge::Valid {
            return Ok(None);
        }
        if let Some(nonce) = self.valid_nonce(transaction) {
            return Ok(Some(nonce));
        }
        match (origin, age) {
            (Origin::UserAnyBlockhash, _) | (Origin::Block, BlockhashAge::PossiblyMissing) => Ok(None),
            _ => Err(TransactionError::BlockhashNotFound),
        }
    }

    fn valid_nonce(&self, transaction: &Sanitized) -> Option<Pubkey> {
        let next = DurableNonce::from_blockhash(&self.blockhashes.last().blockhash);
        if transaction.recent_blockhash() == next.as_hash() {
            return None;
        }
        let address = transaction.get_durable_nonce()?;
        let account = self.accounts.get(address)?;
        is_nonce_with(account, transaction.recent_blockhash()).then_some(*address)
    }
}

fn is_nonce_with(account: &AccountSharedData, blockhash: &Hash) -> bool {
    verify_nonce_account(account, blockhash).is_some()
}

/// Whether a transaction says itself how many compute units it may use.
pub(crate) fn sets_compute_unit_limit(transaction: &Sanitized) -> bool {
    transaction.program_instructions_iter().any(|(program, instruction)| {
        *program == compute_budget::ID && instruction.data.first() == Some(&SET_COMPUTE_UNIT_LIMIT)
    })
}
