//! Progress of a session.

use crate::open_names::open_names;

open_names! {
    /// What a session is doing. Statuses are progress reports: nothing depends on their number or order.
    pub enum BacktestStatus {
        /// The runtime starts.
        StartingRuntime = "startingRuntime",
        /// The transactions of a continue request have been decoded.
        DecodedTransactions = "decodedTransactions",
        /// The account changes of a continue request have been applied.
        AppliedAccountModifications = "appliedAccountModifications",
        /// Transactions may be sent now.
        ReadyToExecuteUserTransactions = "readyToExecuteUserTransactions",
        /// The transactions that the user sent have been executed.
        ExecutedUserTransactions = "executedUserTransactions",
        /// The transactions of a block are being executed.
        ExecutingBlockTransactions = "executingBlockTransactions",
        /// The transactions of a block have been executed.
        ExecutedBlockTransactions = "executedBlockTransactions",
        /// The accounts of a program have been loaded.
        ProgramAccountsLoaded = "programAccountsLoaded",
    }
}
