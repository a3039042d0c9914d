//! A replay that goes on from a checkpoint is the one that came all the way, and deltas lead from state to state.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use simulator_archive::model::{SlotDelta, Writer};
use simulator_engine::{
    Checkpoint, DecodedBlock, Execution, FeatureChoice, Replay, ReplayOptions, TransactionReport, Verdict, to_shared,
};
use simulator_testkit::accounts::AccountDump;
use simulator_testkit::{edit, paths};
use solana_pubkey::Pubkey;
use solana_transaction_error::TransactionError;

use crate::support::{Loaded, dump, execute_block, execute_slot, record};

/// BLAKE3 of the context of the sample after three blocks.
const CONTEXT_OF_THE_SAMPLE: &str = "96c6ea4aae35c73c7161c3474e35eadfdde03c00d715b57ceaa2e2a3a3579036";

/// What can be said of a session at its end.
#[derive(Debug, PartialEq)]
struct End {
    digest: simulator_engine::ResultDigest,
    summary: simulator_engine::Summary,
    verdicts: Vec<Verdict>,
    accounts: AccountDump,
}

impl End {
    fn of(mut replay: Replay, blocks: &[Arc<DecodedBlock>]) -> Self {
        let reports = blocks.iter().flat_map(|block| execute_slot(&mut replay, block).0);
        Self {
            verdicts: reports.map(|report| report.verdict).collect(),
            digest: replay.result_digest(),
            summary: replay.summary(),
            accounts: dump(&replay),
        }
    }
}

/// What is kept of a replay that is recorded from the first block to the last.
struct Recorded {
    /// By how many blocks had been executed.
    checkpoints: BTreeMap<usize, Checkpoint>,
    deltas: Vec<SlotDelta>,
    accounts: AccountDump,
}

impl Recorded {
    fn whole(ledger: &Loaded) -> Self {
        let mut replay = ledger.replay();
        let (mut checkpoints, mut deltas) = (BTreeMap::new(), Vec::new());
        for (executed, block) in ledger.blocks.iter().enumerate() {
            checkpoints.extend(replay.checkpoint().map(|checkpoint| (executed, checkpoint)));
            deltas.push(replay.record_slot(Arc::clone(block)).expect("the block follows"));
        }
        Self {
            checkpoints,
            deltas,
            accounts: dump(&replay),
        }
    }

    /// The newest checkpoint after so many blocks or fewer, as an archive would give it back, and how many blocks were.
    fn before(&self, executed: usize) -> (usize, Checkpoint) {
        let (at, checkpoint) = self
            .checkpoints
            .range(..=executed)
            .next_back()
            .expect("the start is one");
        let read = Checkpoint::new(checkpoint.differences(), &checkpoint.context()).expect("it was written here");
        assert_eq!(&read, checkpoint);
        (*at, read)
    }
}

fn forward(mut replay: Replay, blocks: &[Arc<DecodedBlock>]) -> Replay {
    for block in blocks {
        replay.fast_forward(Arc::clone(block)).expect("the block follows");
    }
    replay
}

/// Compares sessions of some blocks: from the start of the ledger, and from the nearest checkpoint.
fn assert_same_session(ledger: &Loaded, recorded: &Recorded, blocks: Range<usize>, options: &ReplayOptions) {
    let begin = blocks.start;
    let straight = forward(ledger.replay_with(options.clone()), &ledger.blocks[..begin]);
    let (at, checkpoint) = recorded.before(begin);
    let resumed = Replay::resume(Arc::clone(&ledger.base), &checkpoint, options.clone());
    let resumed = forward(resumed.expect("the checkpoint fits"), &ledger.blocks[at..begin]);
    let rest = &ledger.blocks[blocks];
    let (straight, resumed) = (End::of(straight, rest), End::of(resumed, rest));
    assert!(
        straight == resumed,
        "after {begin} blocks: {:#?} {:#?}",
        straight.summary,
        resumed.summary
    );
}

fn options_of_a_user() -> ReplayOptions {
    ReplayOptions {
        extra_compute_units: 7,
        ..ReplayOptions::default()
    }
}

#[test]
fn a_session_from_any_checkpoint_is_the_one_from_the_start() {
    let ledger = Loaded::sample();
    let recorded = Recorded::whole(&ledger);
    assert_eq!(
        recorded.checkpoints.len(),
        ledger.blocks.len(),
        "no block pays staking rewards"
    );
    let end = ledger.blocks.len();
    for begin in (1..end).step_by(5) {
        assert_same_session(&ledger, &recorded, begin..end, &ReplayOptions::default());
    }
    assert_same_session(&ledger, &recorded, 7..end, &options_of_a_user());
}

/// Across two epoch boundaries: rewards being paid, features that activate, a program that is replaced.
#[test]
fn the_first_tenth_slots_of_a_ledger_with_epochs_can_be_begun_at() {
    begin_at_tenths(0..5);
}

#[test]
fn the_later_tenth_slots_of_a_ledger_with_epochs_can_be_begun_at() {
    begin_at_tenths(5..11);
}

fn begin_at_tenths(which: Range<usize>) {
    let Some(directory) = paths::shared_ledger_or_skip("agave-full") else {
        return;
    };
    let ledger = Loaded::from_ledger(&directory);
    let recorded = Recorded::whole(&ledger);
    let end = ledger.blocks.len();
    let first = ledger.blocks[0].block().slot;
    for number in which {
        let tenth = first + 10 * (number as u64 + 1);
        let begin = ledger.blocks.partition_point(|block| block.block().slot < tenth);
        assert!(begin < end, "{tenth}");
        // One goes all the way, the others past the next tenth slot.
        let end = if number == 0 { end } else { end.min(begin + 12) };
        assert_same_session(&ledger, &recorded, begin..end, &ReplayOptions::default());
    }
}

/// What is unknown stays unknown, what was found not to exist stays so, and what an earlier divergence has reached is not
/// taken for a new one.
#[test]
fn what_went_wrong_before_a_checkpoint_is_remembered() {
    let ledger = Loaded::listed_sample();
    let payer = payer_of(&ledger);
    let changed = Loaded::edited_sample(|copy| edit::set_lamports(copy, &payer, 77_000_000_000).expect("it is there"));
    let without = Loaded::edited_sample(|copy| edit::drop_account(copy, &payer).expect("it is there"));
    for ledger in [ledger, changed, without] {
        let recorded = Recorded::whole(&ledger);
        for begin in [4, 12] {
            let blocks = begin..ledger.blocks.len();
            assert_same_session(&ledger, &recorded, blocks, &ReplayOptions::default());
        }
    }
}

fn payer_of(ledger: &Loaded) -> Pubkey {
    let mut transactions = ledger.blocks.iter().flat_map(|block| block.transactions());
    let first = transactions.next().expect("the sample has transactions");
    first.message.static_account_keys()[0]
}

#[test]
fn a_transaction_from_before_the_checkpoint_is_not_processed_again() {
    let ledger = Loaded::sample();
    let (at, checkpoint) = Recorded::whole(&ledger).before(5);
    let options = ReplayOptions::default();
    let mut replay = Replay::resume(Arc::clone(&ledger.base), &checkpoint, options).expect("the checkpoint fits");
    execute_block(&mut replay, &ledger.blocks[at]);
    let past = ledger.blocks[at - 1]
        .transactions()
        .last()
        .expect("the block has transactions");
    let repeated = replay.inject(past).expect("a slot is open");
    assert_eq!(
        repeated.execution,
        Execution::Refused(TransactionError::AlreadyProcessed)
    );
}

#[test]
fn deltas_lead_from_each_state_to_the_next() {
    for ledger in [Loaded::sample(), Loaded::listed_sample()] {
        let recorded = Recorded::whole(&ledger);
        let mut replay = ledger.replay();
        let mut accounts = dump(&replay);
        for (delta, block) in recorded.deltas.iter().zip(&ledger.blocks) {
            assert!(delta.changes.is_sorted_by_key(|change| change.writer), "{}", delta.slot);
            let reports = execute_block(&mut replay, block);
            assert_only_writable(delta, &reports);
            replay.close_slot().expect("every batch has been executed");
            for change in &delta.changes {
                match change.account.clone().map(to_shared) {
                    Some(account) => accounts.insert(change.address, record(change.address, &account)),
                    None => accounts.remove(&change.address),
                };
            }
            assert!(accounts == dump(&replay), "slot {}", delta.slot);
        }
        assert!(accounts == recorded.accounts);
    }
}

/// A transaction changes what it names.
fn assert_only_writable(delta: &SlotDelta, reports: &[TransactionReport]) {
    for change in &delta.changes {
        if let Writer::Transaction(index) = change.writer {
            let keys = &reports[index as usize].account_keys;
            assert!(keys.contains(&change.address), "{} of {index}", change.address);
        }
    }
}

#[test]
fn features_of_the_users_own_hold_from_the_start() {
    let own = ReplayOptions {
        features: FeatureChoice::All,
        ..ReplayOptions::default()
    };
    assert!(!own.may_resume());
    assert!(options_of_a_user().may_resume());
}

#[test]
fn a_context_of_another_shape_is_refused() {
    let ledger = Loaded::sample();
    let checkpoint = ledger.replay().checkpoint().expect("no slot is open");
    let context = checkpoint.context();
    assert!(Checkpoint::new([], &context).is_ok());
    let mut newer = context.clone();
    newer[0] += 1;
    let longer = [&context[..], &[0]].concat();
    for other in [&newer[..], &longer, &context[..context.len() - 1], &[]] {
        assert!(
            Checkpoint::new([], other).is_err(),
            "{} of {} bytes",
            other.len(),
            context.len()
        );
    }
}

/// Archives hold contexts. If this fails, the number that stands at the beginning of the encoding has to change with it.
#[test]
fn the_encoding_of_a_context_is_the_one_that_archives_hold() {
    let ledger = Loaded::sample();
    let (_, checkpoint) = Recorded::whole(&ledger).before(3);
    let context = checkpoint.context();
    assert_eq!(context[..4], 1_u32.to_le_bytes());
    assert_eq!(blake3::hash(&context).to_hex().as_str(), CONTEXT_OF_THE_SAMPLE);
}

#[test]
fn there_is_no_checkpoint_in_the_middle_of_a_slot() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    assert!(replay.checkpoint().is_some());
    execute_block(&mut replay, &ledger.blocks[0]);
    assert!(replay.checkpoint().is_none());
    replay.close_slot().expect("every batch has been executed");
    assert!(replay.checkpoint().is_some());
}
