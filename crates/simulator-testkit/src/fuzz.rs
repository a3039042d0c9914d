//! What fuzzers do to the client's machines: arbitrary bytes as what a server sends, at arbitrary moments.
//!
//! Each function is a fuzz target of `fuzz/`, and is also run in the tests on mutations of well-formed conversations.
//! Input is a list of steps: a byte that says what happens, two bytes of length, and so many bytes of content. A
//! target panics where the machine breaks a promise: that it does not panic, that one message leads to few events, and
//! that nothing it holds grows beyond its limits.

use std::time::{Duration, Instant};

use simulator_api::{Compression, ContinueParams, ContinueToParams};
use simulator_client::CreateSession;
use simulator_client::machine::control::{AfterCompletion, ControlConfig, ControlMachine, ControlRequest};
use simulator_client::machine::subscription::{SubscriptionConfig, SubscriptionKind, SubscriptionMachine};
use simulator_client::machine::{Machine, Message, Standing};
use simulator_client::managed::SubscriptionNotification;
use simulator_client::transport::SharedText;

use crate::wire::Clock;

/// Largest message once decompressed, in bytes.
const MAX_MESSAGE: usize = 1 << 16;
/// Most events that one step may lead to. A handshake's answer releases what came before it, which the size of a
/// message bounds.
const MAX_EVENTS: usize = MAX_MESSAGE;
/// Most requests that wait for evidence, and what goes before them.
const MAX_TRANSMITS: usize = 16;

/// What a server sends on a control channel.
pub fn control_frames(input: &[u8]) {
    let mut machine = ControlMachine::new(control_config());
    let mut now = Clock::new().now();
    machine.handle_connected(now);
    for Step { kind, content } in Steps(input) {
        now += Duration::from_millis(u64::from(kind));
        match kind % 16 {
            0 => machine.handle_disconnected(now),
            1 => machine.handle_connected(now),
            2 => machine.handle_sign_of_life(now),
            3 if machine.accepts_request() => machine.handle_request(request(content), now),
            4 => now = run_out(&mut machine, now),
            5 if content.first() == Some(&0) => machine.handle_close(now),
            6 => machine.handle_message(Message::Binary(content.to_vec().into()), now),
            _ => machine.handle_message(Message::Text(text(content)), now),
        }
        drain(&mut machine, |_| {});
    }
}

/// What a server sends on a data channel, as text.
pub fn notifications(input: &[u8]) {
    for kind in KINDS {
        subscription(input, kind, None);
    }
}

/// What a server sends on a data channel that is compressed.
pub fn compressed_frames(input: &[u8]) {
    subscription(input, SubscriptionKind::ProgramAccountDiffs, Some(Compression::Zstd));
}

const KINDS: [SubscriptionKind; 5] = [
    SubscriptionKind::Transactions,
    SubscriptionKind::ProgramAccountDiffs,
    SubscriptionKind::AccountDiffs,
    SubscriptionKind::Logs,
    SubscriptionKind::Actions,
];

fn subscription(input: &[u8], kind: SubscriptionKind, compression: Option<Compression>) {
    let mut machine = SubscriptionMachine::new(SubscriptionConfig {
        kind,
        addresses: vec!["one".into(), "two".into()],
        from_slot: None,
        compression,
        handshake_response_timeout: Duration::from_secs(120),
        handshake_total_timeout: Duration::from_secs(900),
        max_message_bytes: MAX_MESSAGE,
    });
    let mut now = Clock::new().now();
    machine.handle_connected(now);
    for Step { kind, content } in Steps(input) {
        now += Duration::from_millis(u64::from(kind));
        match kind % 16 {
            0 => {
                machine.handle_disconnected(now);
                machine.handle_connected(now);
            }
            1 => now = run_out(&mut machine, now),
            2..=5 => machine.handle_message(Message::Text(text(content)), now),
            _ if compression.is_some() => machine.handle_message(Message::Binary(content.to_vec().into()), now),
            _ => machine.handle_message(Message::Text(text(content)), now),
        }
        drain(&mut machine, |event| look_at(&event));
    }
}

/// Reads everything that a notification offers.
fn look_at(event: &SubscriptionNotification) {
    match event {
        SubscriptionNotification::AccountDiff(diff) => {
            assert!(diff.raw().len() <= MAX_MESSAGE);
            let is_readable = diff.check().is_ok();
            let states = (diff.pre().is_ok(), diff.post().is_ok());
            assert!(
                is_readable || states == (false, false),
                "what cannot be read is an error"
            );
            let _read = (diff.account(), diff.signature(), diff.tx_index(), diff.block_time());
        }
        SubscriptionNotification::Transaction(transaction) => {
            drop((transaction.signature(), transaction.transaction_index()));
            drop(transaction.decode::<serde_json::Value>());
        }
        SubscriptionNotification::Logs(logs) => {
            drop((logs.signature(), logs.logs()));
        }
        SubscriptionNotification::Action(action) => {
            let result = action.result();
            assert!(action.check().is_ok());
            drop(result.map(|result| result.accounts()));
        }
        _ => {}
    }
}

/// Takes everything out of a machine, as a driver does after each step.
fn drain<M: Machine>(machine: &mut M, mut see: impl FnMut(M::Event)) {
    let mut events = 0;
    while let Some(event) = machine.poll_event() {
        events += 1;
        assert!(events <= MAX_EVENTS, "one step led to more than {MAX_EVENTS} events");
        see(event);
    }
    let mut transmits = 0;
    while machine.poll_transmit().is_some() {
        transmits += 1;
        assert!(
            transmits <= MAX_TRANSMITS,
            "one step led to more than {MAX_TRANSMITS} messages"
        );
    }
    if let Standing::Over(_) = machine.standing() {
        assert!(!machine.accepts_request(), "nothing can be asked of what is over");
    }
}

/// Lets the time come that the machine waits for.
fn run_out<M: Machine>(machine: &mut M, now: Instant) -> Instant {
    let Some(due) = machine.poll_timeout() else { return now };
    let now = due.max(now);
    machine.handle_timeout(now);
    assert!(
        machine.poll_timeout().is_none_or(|next| next > now),
        "a timeout that was handled is due again"
    );
    now
}

fn request(content: &[u8]) -> ControlRequest {
    let amount = content.first().copied().map_or(1, u64::from);
    if content.len().is_multiple_of(2) {
        ControlRequest::Continue(ContinueParams {
            advance_count: amount,
            ..ContinueParams::default()
        })
    } else {
        ControlRequest::ContinueTo(ContinueToParams {
            slot: amount,
            batch_index: None,
            request_id: None,
        })
    }
}

fn text(content: &[u8]) -> SharedText {
    String::from_utf8_lossy(content).into_owned().into()
}

fn control_config() -> ControlConfig {
    let create = CreateSession::builder()
        .start_slot(1)
        .end_slot(9)
        .create_token("fuzz")
        .build();
    ControlConfig {
        control_url: simulator_client::urls::control_url("ws://sim.test").expect("a fixed address"),
        create: create.into_request().expect("a fixed request"),
        request_id_prefix: "fuzz".into(),
        after_completion: AfterCompletion::Wait,
        handshake_response_timeout: Duration::from_secs(120),
        handshake_total_timeout: Duration::from_secs(900),
        resend_settle_time: Duration::from_secs(5),
    }
}

/// One thing that happens.
struct Step<'a> {
    kind: u8,
    content: &'a [u8],
}

/// The steps of an input.
struct Steps<'a>(&'a [u8]);

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        let (&[kind, low, high], rest) = self.0.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (content, rest) = rest.split_at(length);
        self.0 = rest;
        Some(Step { kind, content })
    }
}

/// An input of these steps.
pub fn input<'a>(steps: impl IntoIterator<Item = (u8, &'a [u8])>) -> Vec<u8> {
    let mut input = Vec::new();
    for (kind, content) in steps {
        let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
        input.push(kind);
        input.extend_from_slice(&length.to_le_bytes());
        input.extend_from_slice(&content[..usize::from(length)]);
    }
    input
}
