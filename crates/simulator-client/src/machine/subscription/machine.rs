//! The state of a subscription connection and every transition of it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use simulator_api::Compression;

use crate::machine::{Machine, Message, Standing};
use crate::managed::{MachineCounts, SubscriptionNotification};
use crate::transport::SharedText;

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
}

/// A subscription connection.
#[derive(Debug)]
pub struct SubscriptionMachine {}

impl SubscriptionMachine {
    /// Subscriptions that are opened on the first connection.
    pub fn new(_config: SubscriptionConfig) -> Self {
        Self {}
    }
}

impl Machine for SubscriptionMachine {
    type Request = Infallible;
    type Event = SubscriptionNotification;

    fn handle_connected(&mut self, _now: Instant) {}
    fn handle_message(&mut self, _message: Message, _now: Instant) {}
    fn handle_sign_of_life(&mut self, _now: Instant) {}
    fn handle_disconnected(&mut self, _now: Instant) {}
    fn handle_timeout(&mut self, _now: Instant) {}
    fn handle_request(&mut self, request: Infallible, _now: Instant) {
        match request {}
    }
    fn handle_close(&mut self, _now: Instant) {}
    fn poll_transmit(&mut self) -> Option<SharedText> {
        None
    }
    fn poll_event(&mut self) -> Option<SubscriptionNotification> {
        None
    }
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn accepts_request(&self) -> bool {
        false
    }
    fn needs_connection_to_close(&self) -> bool {
        false
    }
    fn standing(&self) -> Standing {
        Standing::Opening
    }
    fn counts(&self) -> MachineCounts {
        MachineCounts::default()
    }
}
