//! What a subscription connection is made with.

use std::time::Duration;

use simulator_api::Compression;

/// What a subscription connection is made with.
#[derive(Clone, Debug)]
pub struct SubscriptionConfig {
    /// What is subscribed to.
    pub kind: SubscriptionKind,
    /// The addresses, one subscription each. Not empty.
    pub addresses: Vec<String>,
    /// The first slot whose notifications are wanted; `None` is everything that the server has kept.
    pub from_slot: Option<u64>,
    /// How notifications are to travel.
    pub compression: Option<Compression>,
    /// Longest silence in a handshake.
    pub handshake_response_timeout: Duration,
    /// Longest handshake altogether.
    pub handshake_total_timeout: Duration,
    /// Largest notification once decompressed, in bytes.
    pub max_message_bytes: usize,
}

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionKind {
    /// Transactions that mention an address.
    Transactions,
    /// Changes of the accounts that a program owns.
    ProgramAccountDiffs,
    /// Changes of one account.
    AccountDiffs,
    /// Logs of transactions that mention an address.
    Logs,
    /// What the session's scheduled actions led to. It has no address: whatever is named stands for all of them.
    Actions,
}
