//! What a caller gets to see.

use simulator_api::{
    AgentStatsReport, BacktestError, BacktestStatus, DiscoveryBatchEvent, PausedEvent, SessionSummary, UnknownMessage,
};

use super::{ManagedFailure, StreamFault};
use crate::machine::subscription::{
    AccountDiffNotification, ActionNotification, LogsNotification, TransactionNotification,
};

/// An event of the control channel, in the order of the session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ControlEvent {
    /// The session waits for a continue.
    ReadyForContinue,
    /// The session stopped at a position, and waits for a continue.
    Paused(PausedEvent),
    /// A coming batch holds transactions that a filter looks for.
    DiscoveryBatch(DiscoveryBatchEvent),
    /// The historical transactions of this slot have been applied.
    Slot(u64),
    /// Progress.
    Status(BacktestStatus),
    /// The last block has been executed.
    Completed {
        /// Totals, if the create asked for them.
        summary: Option<SessionSummary>,
        /// What the agents did, if there were any.
        agent_stats: Option<Vec<AgentStatsReport>>,
    },
    /// An error of the session. One that ends it is followed by [`Failed`](Self::Failed).
    Error(BacktestError),
    /// A message that this version does not know.
    Unknown(UnknownMessage),
    /// Something is wrong with the stream, which goes on.
    Fault(StreamFault),
    /// The control channel has failed for good. Nothing follows.
    Failed(ManagedFailure),
}

/// What a subscription delivers, in the order of its stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SubscriptionNotification {
    /// A transaction was executed.
    Transaction(TransactionNotification),
    /// An account was changed by a transaction.
    AccountDiff(AccountDiffNotification),
    /// A transaction wrote logs.
    Logs(LogsNotification),
    /// A scheduled action ran, or could not.
    Action(ActionNotification),
    /// Something is wrong with the stream, which goes on.
    Fault(StreamFault),
    /// The subscription has failed for good. Nothing follows.
    Failed(ManagedFailure),
}

/// An event of a managed session: of its control channel, or of one of its subscriptions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ManagedEvent {
    /// The session waits for a continue.
    ReadyForContinue,
    /// The session stopped at a position, and waits for a continue.
    Paused(PausedEvent),
    /// A coming batch holds transactions that a filter looks for.
    DiscoveryBatch(DiscoveryBatchEvent),
    /// The historical transactions of this slot have been applied.
    Slot(u64),
    /// Progress.
    Status(BacktestStatus),
    /// The last block has been executed and every subscription has told everything. Nothing follows.
    Completed {
        /// Totals, if the create asked for them.
        summary: Option<SessionSummary>,
        /// What the agents did, if there were any.
        agent_stats: Option<Vec<AgentStatsReport>>,
    },
    /// An error of the session.
    Error(BacktestError),
    /// A message that this version does not know.
    Unknown(UnknownMessage),
    /// A transaction was executed.
    Transaction(TransactionNotification),
    /// An account was changed by a transaction.
    AccountDiff(AccountDiffNotification),
    /// A transaction wrote logs.
    Logs(LogsNotification),
    /// A scheduled action ran, or could not.
    Action(ActionNotification),
}
