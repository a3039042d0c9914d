//! Rules of form that a transaction of a block has already passed, and that a user's transaction must pass as well.

use agave_feature_set::FeatureSet;
use solana_message::VersionedMessage;
use solana_transaction::sanitized::SanitizedTransaction;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::check::Sanitized;

/// The most bytes that a legacy or version 0 transaction takes on the wire. (Agave: `PACKET_DATA_SIZE`.)
const MAX_PACKET_LEN: usize = 1232;

/// The most accounts that a transaction may lock. (Agave: `get_transaction_account_lock_limit`.)
const ACCOUNT_LOCK_LIMIT: usize = 64;

/// The same once the feature that raises it is active.
const RAISED_ACCOUNT_LOCK_LIMIT: usize = 128;

/// Checks version and size.
pub(crate) fn check_wire(transaction: &VersionedTransaction, features: &FeatureSet) -> Result<(), TransactionError> {
    let limit = match transaction.message {
        VersionedMessage::Legacy(_) | VersionedMessage::V0(_) => MAX_PACKET_LEN,
        VersionedMessage::V1(_) if features.snapshot().enable_tx_v1 => solana_message::v1::MAX_TRANSACTION_SIZE,
        VersionedMessage::V1(_) => return Err(TransactionError::UnsupportedVersion),
    };
    let len = wincode::serialized_size(transaction).map_err(|_| TransactionError::SanitizeFailure)?;
    if len > limit as u64 {
        Err(TransactionError::SanitizeFailure)
    } else {
        Ok(())
    }
}

/// Checks that no account is named twice, and not too many in all.
pub(crate) fn check_locks(transaction: &Sanitized, features: &FeatureSet) -> Result<(), TransactionError> {
    let limit = match features.snapshot().increase_tx_account_lock_limit {
        true => RAISED_ACCOUNT_LOCK_LIMIT,
        false => ACCOUNT_LOCK_LIMIT,
    };
    SanitizedTransaction::validate_account_locks(transaction.message(), limit)
}
