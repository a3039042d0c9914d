//! A machine, and a server that the tests play.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{SubscriptionConfig, SubscriptionKind, SubscriptionMachine};
use crate::machine::{Ending, Machine, Message, Standing};
use crate::managed::{ConnectionError, ManagedFailure, StreamFault, SubscriptionNotification};

mod compression;
mod cutting;
mod notifications;
mod opening;
mod recognising;
mod resuming;
mod scanning;

const RESPONSE: Duration = Duration::from_secs(120);
const TOTAL: Duration = Duration::from_secs(900);
const LIMIT: usize = 1 << 20;

/// A machine and the server's side of its connection.
struct Peer {
    machine: SubscriptionMachine,
    now: Instant,
}

fn config(kind: SubscriptionKind, addresses: &[&str]) -> SubscriptionConfig {
    SubscriptionConfig {
        kind,
        addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        from_slot: None,
        compression: None,
        handshake_response_timeout: RESPONSE,
        handshake_total_timeout: TOTAL,
        max_message_bytes: LIMIT,
    }
}

fn diffs(addresses: &[&str]) -> SubscriptionConfig {
    config(SubscriptionKind::AccountDiffs, addresses)
}

impl Peer {
    fn new(config: SubscriptionConfig) -> Self {
        Self {
            machine: SubscriptionMachine::new(config),
            now: tokio::time::Instant::now().into_std(),
        }
    }

    /// Connects, and grants subscription n the number 10 + n, from 1.
    fn up(config: SubscriptionConfig) -> Self {
        let mut peer = Self::new(config);
        peer.reconnect();
        peer
    }

    fn connect(&mut self) -> Vec<Value> {
        self.machine.handle_connected(self.now);
        std::iter::from_fn(|| self.machine.poll_transmit())
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }

    /// The connection is lost and another one made; every request is granted. Returns the options of each.
    fn reconnect(&mut self) -> Vec<Value> {
        self.machine.handle_disconnected(self.now);
        let requests = self.connect();
        for request in &requests {
            let id = request["id"].as_u64().unwrap();
            self.send(&json!({"jsonrpc": "2.0", "id": id, "result": 10 + id}));
        }
        assert!(matches!(self.machine.standing(), Standing::Up));
        requests
            .into_iter()
            .map(|request| request["params"][1].clone())
            .collect()
    }

    fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    fn send_text(&mut self, text: &str) {
        self.machine.handle_message(Message::Text(text.into()), self.now);
    }

    fn send_binary(&mut self, bytes: &[u8]) {
        let bytes = bytes.to_vec().into();
        self.machine.handle_message(Message::Binary(bytes), self.now);
    }

    fn events(&mut self) -> Vec<SubscriptionNotification> {
        std::iter::from_fn(|| self.machine.poll_event()).collect()
    }

    /// What was delivered, as `target slot signature`.
    fn delivered(&mut self) -> Vec<String> {
        self.events().iter().map(summary).collect()
    }

    fn duplicates(&self) -> u64 {
        self.machine.counts().duplicates
    }
}

fn summary(event: &SubscriptionNotification) -> String {
    match event {
        SubscriptionNotification::AccountDiff(diff) => {
            format!("{} {} {}", diff.target(), diff.slot(), diff.signature().unwrap_or("-"))
        }
        SubscriptionNotification::Transaction(one) => {
            format!(
                "{} {} {}",
                one.target(),
                one.slot(),
                one.signature().unwrap_or("-".into())
            )
        }
        SubscriptionNotification::Logs(logs) => format!("{} {} {}", logs.target(), logs.slot(), logs.signature()),
        SubscriptionNotification::Fault(StreamFault::UnreadableNotification { reason, .. }) => {
            format!("fault: {reason}")
        }
        SubscriptionNotification::Fault(StreamFault::Unnumbered) => "fault: a hole".to_owned(),
        other => panic!("unexpected: {other:?}"),
    }
}

fn diff(subscription: u64, slot: u64, signature: &str) -> Value {
    let result = json!({"context": {"slot": slot}, "account": "acc", "signature": signature, "tx_index": 3,
        "block_time": 1_771_668_000, "pre": null, "post": null});
    json!({"jsonrpc": "2.0", "method": "accountDiffNotification",
        "params": {"subscription": subscription, "result": result}})
}

fn with_cursor(mut notification: Value, index: u64) -> Value {
    let slot = notification["params"]["result"]["context"]["slot"].clone();
    notification["params"]["cursor"] = json!({"slot": slot, "index": index});
    notification
}

fn complete(subscription: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "subscriptionComplete", "params": {"subscription": subscription}})
}

fn permanent(machine: &SubscriptionMachine) -> ConnectionError {
    match machine.standing() {
        Standing::Over(Ending::Failed(ManagedFailure::Permanent(error))) => error,
        other => panic!("not a permanent failure: {other:?}"),
    }
}

fn retry(machine: &SubscriptionMachine) -> ConnectionError {
    match machine.standing() {
        Standing::Retry(error) => error,
        other => panic!("not worth another try: {other:?}"),
    }
}

fn is_finished(machine: &SubscriptionMachine) -> bool {
    matches!(machine.standing(), Standing::Over(Ending::Finished))
}
