//! Conversations with the machine: a list of blocks stands for the archive, and no engine runs.

use std::collections::BTreeMap;

use proptest::prelude::*;
use simulator_api::{BacktestError, PausedEvent, RequestId};
use solana_account::AccountSharedData;
use solana_pubkey::Pubkey;

use super::*;

mod continue_to;
mod discovery;

/// A worker that does every step at once and writes down what it did.
struct Worker {
    session: Session,
    /// Number of batches of each block that is still to come.
    blocks: BTreeMap<u64, usize>,
    /// Batches that a filter finds, and how many blocks after the open one it looks through.
    finds: BTreeMap<u64, Vec<u32>>,
    sight: usize,
    done: Vec<String>,
}

impl Worker {
    fn new(blocks: &[(u64, usize)], end: u64, start: Start) -> Self {
        Self {
            session: Session::new(end, start),
            blocks: blocks.iter().copied().collect(),
            finds: BTreeMap::new(),
            sight: usize::MAX,
            done: Vec::new(),
        }
    }

    /// Runs until the session waits, and returns what it told.
    fn run(&mut self) -> Vec<String> {
        while self.step() {}
        self.told()
    }

    /// What it told, statuses left out: they have tests of their own.
    fn told(&mut self) -> Vec<String> {
        self.told_with_statuses()
            .into_iter()
            .filter(|text| !text.contains("status "))
            .collect()
    }

    fn told_with_statuses(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.next_event())
            .map(|event| show(&event))
            .collect()
    }

    fn step(&mut self) -> bool {
        let step = self.session.next_step();
        match step {
            Step::OpenSlot => {
                let (slot, batches) = self.blocks.pop_first().expect("the machine peeked before it closed");
                self.done.push(format!("open {slot}"));
                self.look_ahead(slot);
                self.session.opened(slot, batches);
            }
            Step::Apply(changes) => {
                self.done.push(format!("apply {}", changes.accounts.len()));
                self.session.applied(&changes.extent(), []);
            }
            Step::Send(id) => self.done.push(format!("send {}", id.0)),
            Step::ExecuteBatch => {
                self.done.push("batch".to_owned());
                self.session.batch_done();
            }
            Step::Peek => {
                let next = self.blocks.first_key_value().map(|(slot, _)| *slot);
                self.session.peeked(next.map_or(Upcoming::End, Upcoming::Block));
            }
            Step::CloseSlot => {
                self.done.push("close".to_owned());
                self.session.closed();
            }
            Step::Wait | Step::Over => return false,
        }
        true
    }

    fn go(&mut self, order: Order) -> Vec<String> {
        self.session.order(order);
        self.run()
    }

    /// What was done since the last call.
    fn take_done(&mut self) -> String {
        std::mem::take(&mut self.done).join(" ")
    }
}

fn show(event: &Event) -> String {
    let text = match &event.kind {
        EventKind::Status(status) => format!("status {status}"),
        EventKind::Slot(slot) => format!("slot {slot}"),
        EventKind::Ready => "ready".to_owned(),
        EventKind::Paused(PausedEvent {
            slot,
            batch_index: None,
        }) => format!("paused {slot}"),
        EventKind::Paused(PausedEvent {
            slot,
            batch_index: Some(batch),
        }) => format!("paused {slot}/{batch}"),
        EventKind::Discovery(found) => format!("found {}/{}", found.slot, found.batch_index),
        EventKind::Completed => "completed".to_owned(),
        EventKind::Error(BacktestError::InvalidRequest { error }) => format!("invalid: {error}"),
        EventKind::Error(error) => format!("error {error:?}"),
    };
    match &event.request {
        Some(request) => format!("{request}: {text}"),
        None => text,
    }
}

fn blocks(blocks: u64) -> Order {
    Order::Continue {
        request: None,
        blocks,
        changes: Changes::default(),
    }
}

fn named(name: &str, blocks: u64) -> Order {
    Order::Continue {
        request: Some(RequestId::new(name).unwrap()),
        blocks,
        changes: Changes::default(),
    }
}

fn to(slot: u64, batch: impl Into<Option<usize>>) -> Order {
    Order::ContinueTo {
        request: None,
        target: Target {
            slot,
            batch: batch.into(),
        },
    }
}

/// Slots 10, 11, 13 and 14; 12 and 15 were skipped.
const BLOCKS: &[(u64, usize)] = &[(10, 2), (11, 3), (13, 0), (14, 1)];

fn started() -> Worker {
    let mut worker = Worker::new(BLOCKS, 15, Start::AfterFirstBlock);
    assert_eq!(worker.run(), ["slot 10", "ready"]);
    worker
}

#[test]
fn a_session_over_one_block_starts_open_and_completes_when_told_to_go_on() {
    let mut worker = Worker::new(&[(10, 2)], 10, Start::AfterFirstBlock);
    assert_eq!(worker.run(), ["slot 10", "ready"]);
    assert_eq!(worker.go(blocks(1)), ["completed"]);
}

#[test]
fn statuses_tell_how_far_a_request_has_come_and_never_follow_its_end() {
    let mut worker = Worker::new(BLOCKS, 15, Start::AfterFirstBlock);
    while worker.step() {}
    let start = [
        "status executingBlockTransactions",
        "slot 10",
        "status executedBlockTransactions",
        "status readyToExecuteUserTransactions",
        "ready",
    ];
    assert_eq!(worker.told_with_statuses(), start);
    let changes = Changes {
        accounts: vec![(Pubkey::default(), AccountSharedData::default())],
        transactions: vec![solana_transaction::versioned::VersionedTransaction::default()],
    };
    worker.session.order(Order::Continue {
        request: None,
        blocks: 2,
        changes,
    });
    while worker.step() {}
    let step = [
        "status appliedAccountModifications",
        "status executedUserTransactions",
        "status executingBlockTransactions",
        "slot 11",
        "slot 13",
        "status executedBlockTransactions",
        "status readyToExecuteUserTransactions",
        "ready",
    ];
    assert_eq!(worker.told_with_statuses(), step);
}

#[test]
fn continues_by_produced_blocks_and_completes_without_ready() {
    let mut worker = started();
    assert_eq!(worker.go(blocks(2)), ["slot 11", "slot 13", "ready"]);
    assert_eq!(worker.go(blocks(u64::MAX)), ["slot 14", "completed"]);
    assert_eq!(
        worker.take_done(),
        "open 10 batch batch close open 11 batch batch batch close open 13 close open 14 batch close"
    );
    assert_eq!(worker.go(blocks(1)), ["error NoMoreBlocks"]);
}

#[test]
fn completes_with_the_last_block_even_if_it_was_asked_for_exactly() {
    let mut worker = started();
    assert_eq!(worker.go(blocks(3)), ["slot 11", "slot 13", "slot 14", "completed"]);
}

#[test]
fn starts_paused_before_the_first_batch() {
    let mut worker = Worker::new(BLOCKS, 15, Start::Paused);
    assert_eq!(worker.run(), ["paused 10/0"]);
    assert_eq!(worker.take_done(), "open 10");
    assert_eq!(worker.go(blocks(1)), ["slot 10", "ready"]);
}

#[test]
fn stops_before_a_batch_and_goes_on_from_there() {
    let mut worker = started();
    assert_eq!(worker.go(to(11, 2)), ["paused 11/2"]);
    assert_eq!(worker.take_done(), "open 10 batch batch close open 11 batch batch");
    assert_eq!(worker.go(to(11, 2)), ["paused 11/2"]);
    assert_eq!(
        worker.go(to(11, 1)),
        ["invalid: slot 11, batch 1 is behind the session, which is at slot 11, batch 2"]
    );
    assert_eq!(worker.go(blocks(1)), ["slot 11", "ready"]);
    assert_eq!(
        worker.go(to(10, None)),
        ["invalid: slot 10 is behind the session, which is at the end of slot 11"]
    );
}

#[test]
fn stops_at_the_end_of_a_slot() {
    let mut worker = started();
    assert_eq!(worker.go(to(10, None)), ["paused 10"]);
    assert_eq!(worker.go(to(11, None)), ["slot 11", "paused 11"]);
    assert_eq!(worker.go(to(12, None)), ["paused 11"], "slot 12 has no block");
    assert_eq!(
        worker.go(to(13, 0)),
        ["slot 13", "paused 13"],
        "an empty block has no batch 0"
    );
    assert_eq!(worker.go(to(14, 9)), ["slot 14", "paused 14"], "there is no batch 9");
    assert_eq!(
        worker.go(to(15, None)),
        ["paused 14"],
        "slot 15 has no block, but is in the range"
    );
    assert_eq!(worker.go(blocks(1)), ["completed"]);
}

#[test]
fn runs_to_the_end_when_the_target_is_beyond_it() {
    let mut worker = started();
    assert_eq!(worker.go(to(16, None)), ["slot 11", "slot 13", "slot 14", "completed"]);
}

#[test]
fn queues_one_continue_and_refuses_more() {
    let mut worker = started();
    worker.session.order(named("a", 1));
    worker.session.order(named("b", 1));
    worker.session.order(named("c", 1));
    let told = worker.run();
    assert!(told[0].starts_with("c: invalid: another request"), "{told:?}");
    assert_eq!(told[1..], ["a: slot 11", "a: ready", "b: slot 13", "b: ready"]);
}

#[test]
fn a_queued_continue_finds_no_more_blocks() {
    let mut worker = started();
    worker.session.order(named("a", 9));
    worker.session.order(named("b", 1));
    let told = worker.run();
    assert_eq!(told[3..], ["a: completed", "b: error NoMoreBlocks"]);
}

#[test]
fn a_continue_to_replaces_where_a_running_continue_stops() {
    let mut worker = started();
    worker.session.order(named("a", u64::MAX));
    while worker.session.position() != Some(Position { slot: 11, batch: 1 }) {
        assert!(worker.step());
    }
    worker.session.order(to(10, None));
    worker.session.order(to(13, None));
    let told = worker.run();
    assert!(told[0].contains("slot 10 is behind"), "{told:?}");
    assert_eq!(told[1..], ["slot 11", "slot 13", "paused 13"]);
}

#[test]
fn an_order_during_the_start_waits_for_its_end() {
    let mut worker = Worker::new(BLOCKS, 15, Start::AfterFirstBlock);
    assert_eq!(worker.go(to(11, 0)), ["slot 10", "ready", "paused 11/0"]);
}

#[test]
fn a_target_in_a_skipped_slot_that_was_passed_stops_at_once() {
    let mut worker = started();
    worker.session.order(blocks(u64::MAX));
    while worker.session.next_step() != Step::OpenSlot || !worker.done.ends_with(&["batch".into(), "close".into()]) {
        assert!(worker.step());
    }
    worker.take_done();
    assert!(worker.step(), "slot 11 opens");
    while worker.session.position().is_some() {
        assert!(worker.step());
    }
    worker.session.order(to(12, None));
    assert_eq!(worker.run().last().unwrap(), "paused 13/0");
}

#[test]
fn a_repeated_request_is_applied_once() {
    let mut worker = started();
    assert_eq!(worker.go(named("a", 1)), ["a: slot 11", "a: ready"]);
    assert!(worker.go(named("a", 1)).is_empty());
    let error = || BacktestError::InvalidRequest {
        error: "bad".to_owned(),
    };
    worker.session.reject(RequestId::new("b").ok(), error());
    worker.session.reject(RequestId::new("b").ok(), error());
    assert_eq!(worker.told(), ["b: invalid: bad"]);
    assert!(worker.go(named("b", 1)).is_empty());
}

#[test]
fn tells_again_how_it_waits_only_while_it_does() {
    let mut worker = started();
    worker.session.remind();
    assert_eq!(worker.told(), ["ready"]);
    assert_eq!(worker.go(to(11, 1)), ["paused 11/1"]);
    worker.session.remind();
    assert_eq!(worker.told(), ["paused 11/1"]);
    worker.session.order(named("a", 1));
    worker.session.remind();
    assert_eq!(worker.run(), ["a: slot 11", "a: ready"], "it does not wait");
    worker.session.remind();
    assert_eq!(worker.told(), ["ready"], "no request led to it");
    worker.go(blocks(9));
    worker.session.remind();
    assert_eq!(worker.run(), Vec::<String>::new(), "it is completed");
}

#[test]
fn changes_come_before_everything_and_sends_at_the_end_of_the_slot() {
    let mut worker = started();
    worker.session.send(SendId(1)).unwrap();
    worker.run();
    worker.take_done();
    let accounts = vec![(Pubkey::new_from_array([1; 32]), AccountSharedData::default())];
    let changes = Changes {
        accounts,
        transactions: Vec::new(),
    };
    worker.session.order(Order::Continue {
        request: None,
        blocks: 1,
        changes,
    });
    assert!(worker.step());
    worker.session.send(SendId(2)).unwrap();
    worker.run();
    assert_eq!(worker.take_done(), "apply 1 send 2 close open 11 batch batch batch");
    worker.session.order(blocks(1));
    worker.step();
    worker.session.send(SendId(3)).unwrap();
    worker.run();
    assert_eq!(
        worker.take_done(),
        "close open 13 send 3",
        "after the historical transactions of the next slot"
    );
}

#[test]
fn what_was_sent_before_an_order_comes_before_its_changes() {
    let with_changes = || Order::Continue {
        request: None,
        blocks: 1,
        changes: Changes {
            accounts: vec![(Pubkey::default(), AccountSharedData::default())],
            transactions: Vec::new(),
        },
    };
    let mut worker = started();
    worker.take_done();
    worker.session.order(blocks(1));
    worker.session.send(SendId(1)).unwrap();
    worker.session.order(with_changes());
    worker.run();
    assert_eq!(
        worker.take_done(),
        "send 1 close open 11 batch batch batch apply 1 close open 13"
    );
    worker.session.send(SendId(2)).unwrap();
    worker.session.send(SendId(3)).unwrap();
    worker.session.order(with_changes());
    worker.run();
    assert_eq!(worker.take_done(), "send 2 send 3 apply 1 close open 14 batch close");
}

#[test]
fn refuses_sends_without_a_slot_and_above_the_limit() {
    let mut worker = started();
    (0..step::MAX_WAITING_SENDS as u64).for_each(|id| worker.session.send(SendId(id)).unwrap());
    assert_eq!(worker.session.send(SendId(999)), Err(SendRefusal::TooMany));
    worker.go(blocks(9));
    assert_eq!(worker.session.send(SendId(1)), Err(SendRefusal::NoOpenSlot));
}

#[test]
fn tells_of_refused_transactions() {
    let mut worker = started();
    worker.session.order(named("a", 0));
    worker.session.applied(
        &Applied {
            accounts: 0,
            transactions: 1,
        },
        ["transaction 0: blockhash not found".to_owned()],
    );
    let told = worker.run();
    assert!(told[0].starts_with("a: error SimulationError"), "{told:?}");
    assert_eq!(told[1..], ["a: ready"]);
}

#[test]
fn says_nothing_after_a_close() {
    let mut worker = started();
    worker.session.order(blocks(1));
    assert!(worker.step());
    worker.session.close();
    assert!(worker.run().is_empty());
    assert_eq!(worker.session.next_step(), Step::Over);
    assert_eq!(worker.session.send(SendId(1)), Err(SendRefusal::NoOpenSlot));
}

#[test]
fn a_failure_is_the_last_event() {
    let mut worker = started();
    worker.session.order(named("a", 5));
    worker.session.order(named("b", 5));
    worker.session.fail(BacktestError::Internal {
        error: "lost".to_owned(),
    });
    let told = worker.run();
    assert!(told.len() == 1 && told[0].starts_with("a: error Internal"), "{told:?}");
    assert_eq!(worker.go(named("c", 1)), ["c: invalid: the session has ended"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is asked, every block is told once and in order, and `completed` comes last and once.
    #[test]
    fn every_block_is_told_once(
        sizes in prop::collection::btree_map(0_u64..40, 0_usize..4, 1..12),
        orders in prop::collection::vec((any::<bool>(), 0_u64..45, prop::option::of(0_usize..5)), 0..12),
    ) {
        let sizes: Vec<(u64, usize)> = sizes.into_iter().collect();
        let mut worker = Worker::new(&sizes, 40, Start::AfterFirstBlock);
        let mut told = worker.run();
        for (is_to, number, batch) in orders {
            told.extend(worker.go(if is_to { to(number, batch) } else { blocks(number) }));
        }
        told.extend(worker.go(blocks(u64::MAX)));
        let slots: Vec<String> = told.iter().filter(|event| event.starts_with("slot")).cloned().collect();
        let expected: Vec<String> = sizes.iter().map(|(slot, _)| format!("slot {slot}")).collect();
        prop_assert_eq!(slots, expected);
        prop_assert_eq!(told.iter().filter(|event| *event == "completed").count(), 1);
    }
}
