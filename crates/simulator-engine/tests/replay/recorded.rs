//! A replay that takes on recorded states stands where one that executes stands, in every slot.

use std::sync::Arc;

use simulator_archive::model::{Account, Change, SlotDelta, Writer};
use simulator_engine::{
    AccountDiffs, BlockTransactions, BlockhashCheck, Checkpoint, DecodedBlock, Execution, Lookup, Replay,
    ReplayOptions, SimulateOptions, SlotError, Summary, to_shared,
};
use simulator_testkit::paths;
use solana_account::{AccountSharedData, ReadableAccount, WritableAccount};
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::support::{Loaded, dump, execute_block, execute_slot};

/// A ledger whose blocks come with what their slots changed.
struct Recorded {
    ledger: Loaded,
    deltas: Vec<SlotDelta>,
}

impl Recorded {
    fn of(ledger: Loaded) -> Self {
        let mut replay = ledger.replay();
        let deltas = ledger.blocks.iter().map(|block| {
            let delta = replay.record_slot(Arc::clone(block));
            delta.expect("the block follows")
        });
        let deltas = deltas.collect();
        Self { ledger, deltas }
    }

    /// The block of this index, with a delta after this change to it.
    fn edited_block(&self, index: usize, edit: impl FnOnce(&mut SlotDelta)) -> Arc<DecodedBlock> {
        let mut delta = self.deltas[index].clone();
        edit(&mut delta);
        let block = DecodedBlock::decode(self.ledger.blocks[index].block().clone());
        Arc::new(block.expect("it was decoded before").with_delta(delta))
    }

    fn block(&self, index: usize) -> Arc<DecodedBlock> {
        self.edited_block(index, |_| ())
    }

    fn replay(&self) -> Replay {
        self.ledger.replay_with(state_only())
    }

    /// The replay after so many blocks.
    fn replay_after(&self, blocks: usize) -> Replay {
        let mut replay = self.replay();
        for index in 0..blocks {
            execute_slot(&mut replay, &self.block(index));
        }
        replay
    }
}

fn state_only() -> ReplayOptions {
    ReplayOptions {
        transactions: BlockTransactions::TakeRecorded,
        account_diffs: AccountDiffs::Record,
        ..ReplayOptions::default()
    }
}

/// What a transaction would do in the open slot, whatever its blockhash.
fn simulate(replay: &Replay, transaction: &VersionedTransaction) -> impl PartialEq + std::fmt::Debug + use<> {
    let options = SimulateOptions {
        blockhash: BlockhashCheck::Replace,
    };
    let simulated = replay.simulate(transaction, options).expect("a slot is open");
    (simulated.execution, simulated.accounts_after, simulated.programs)
}

fn assert_same_simulations(executed: &Replay, recorded: &Replay, transactions: &[VersionedTransaction]) {
    for transaction in transactions.iter().step_by(transactions.len() / 4 + 1) {
        assert_eq!(simulate(executed, transaction), simulate(recorded, transaction));
    }
}

/// Compares the two in every slot: opened, in its middle, and closed.
fn assert_same_everywhere(recorded: &Recorded) {
    let ledger = &recorded.ledger;
    let (mut executed, mut taken) = (ledger.replay(), recorded.replay());
    for (index, block) in ledger.blocks.iter().enumerate() {
        let slot = block.block().slot;
        execute_block(&mut executed, block);
        execute_block(&mut taken, &recorded.block(index));
        assert_same_simulations(&executed, &taken, block.transactions());
        if let Some(next) = ledger.blocks.get(index + 1) {
            assert_same_simulations(&executed, &taken, next.transactions());
        }
        assert_eq!(executed.latest_blockhash(), taken.latest_blockhash());
        let close = |replay: &mut Replay| replay.close_slot().expect("every batch is through");
        let (one, other) = (close(&mut executed), close(&mut taken));
        assert_eq!(one.bank_hash, other.bank_hash, "slot {slot}");
        assert_eq!(executed.state_digest(), taken.state_digest(), "slot {slot}");
    }
    assert!(dump(&executed) == dump(&taken));
    let summary = executed.summary();
    let nothing = Summary {
        total: 0,
        successes: 0,
        failures: 0,
        matched: 0,
        diverged: 0,
        unverifiable: 0,
        compute_units: 0,
        ..summary.clone()
    };
    assert!(summary.total > 0);
    assert_eq!(
        taken.summary(),
        nothing,
        "all else is the same, and nothing was executed"
    );
}

#[test]
fn every_slot_of_the_sample_is_the_same_as_if_it_were_executed() {
    assert_same_everywhere(&Recorded::of(Loaded::sample()));
}

/// Across two epoch boundaries: rewards being paid, features that activate, a program that is replaced.
#[test]
fn every_slot_of_a_ledger_with_epochs_is_the_same_as_if_it_were_executed() {
    if let Some(directory) = paths::shared_ledger_or_skip("agave-full") {
        assert_same_everywhere(&Recorded::of(Loaded::from_ledger(&directory)));
    }
}

#[test]
fn what_is_unknown_stays_unknown_where_some_accounts_are_listed() {
    let recorded = Recorded::of(Loaded::listed_sample());
    let ledger = &recorded.ledger;
    let (mut executed, mut taken) = (ledger.replay(), recorded.replay());
    let keys = |block: &Arc<DecodedBlock>| -> Vec<Pubkey> {
        let messages = block.transactions().iter().map(|transaction| &transaction.message);
        messages
            .flat_map(|message| message.static_account_keys().to_vec())
            .collect()
    };
    let all: Vec<_> = ledger.blocks.iter().flat_map(keys).collect();
    for (index, block) in ledger.blocks.iter().enumerate() {
        execute_slot(&mut executed, block);
        execute_slot(&mut taken, &recorded.block(index));
        for key in &all {
            assert_eq!(executed.account(key), taken.account(key), "{key}");
        }
    }
    assert!(all.iter().any(|key| taken.account(key) == Lookup::Absent));
}

/// As in a part of an archive, whose deltas are those of its accounts: what others create is not taken not to exist.
#[test]
fn what_deltas_say_nothing_of_is_unknown_once_it_exists() {
    let recorded = Recorded::of(Loaded::listed_sample());
    let start = recorded.ledger.replay();
    let is_listed = |address: &Pubkey| matches!(start.account(address), Lookup::Known(_));
    let truth = Loaded::sample();
    let (mut executed, mut taken) = (truth.replay(), recorded.replay());
    let (mut absent, mut created) = (0, 0);
    for (index, block) in truth.blocks.iter().enumerate() {
        let reports = execute_slot(&mut executed, block).0;
        let part = recorded.edited_block(index, |delta| delta.changes.retain(|change| is_listed(&change.address)));
        execute_slot(&mut taken, &part);
        for key in reports.iter().flat_map(|report| &report.account_keys) {
            match (executed.account(key), taken.account(key)) {
                (Lookup::Absent, Lookup::Absent) => absent += 1,
                (Lookup::Known(_), Lookup::Unknown) => created += 1,
                (one, other) => assert_eq!(one, other, "{key}"),
            }
        }
    }
    assert!(absent > 0 && created > 0, "{absent} {created}");
}

#[test]
fn each_transaction_leaves_what_it_left() {
    let recorded = Recorded::of(Loaded::sample());
    let options = ReplayOptions {
        account_diffs: AccountDiffs::Record,
        ..ReplayOptions::default()
    };
    let (mut executed, mut taken) = (recorded.ledger.replay_with(options), recorded.replay());
    let mut batches = 0;
    for (index, block) in recorded.ledger.blocks.iter().enumerate() {
        executed.open_slot(Arc::clone(block)).unwrap();
        taken.open_slot(recorded.block(index)).unwrap();
        while let Some(one) = executed.execute_batch().unwrap() {
            let other = taken.execute_batch().unwrap().expect("it has as many batches");
            for (one, other) in one.iter().zip(&other) {
                assert_eq!((one.index, one.signature), (other.index, other.signature));
                assert_eq!(one.account_keys, other.account_keys);
                assert_eq!(one.account_diffs, other.account_diffs);
                assert!(other.execution.outcome().is_none());
            }
            assert_eq!(executed.position(), taken.position());
            batches += one.len().min(1);
        }
        assert_eq!(taken.execute_batch().unwrap().map(|batch| batch.len()), None);
        executed.close_slot().unwrap();
        taken.close_slot().unwrap();
        assert_eq!(executed.take_changes_outside(), taken.take_changes_outside());
    }
    assert!(batches > recorded.ledger.blocks.len());
}

#[test]
fn a_session_may_begin_at_a_checkpoint() {
    let recorded = Recorded::of(Loaded::sample());
    let mut first = recorded.ledger.replay();
    for block in &recorded.ledger.blocks[..7] {
        execute_slot(&mut first, block);
    }
    let checkpoint = first.checkpoint().expect("no slot is open");
    let checkpoint = Checkpoint::new(checkpoint.differences(), &checkpoint.context()).expect("it was written here");
    let mut taken = Replay::resume(Arc::clone(&recorded.ledger.base), &checkpoint, state_only()).expect("it fits");
    taken.fast_forward(recorded.block(7)).expect("it follows");
    execute_slot(&mut first, &recorded.ledger.blocks[7]);
    for index in 8..recorded.ledger.blocks.len() {
        let one = execute_slot(&mut first, &recorded.ledger.blocks[index]).1;
        let other = execute_slot(&mut taken, &recorded.block(index)).1;
        assert!(one.bank_hash.is_some());
        assert_eq!(one.bank_hash, other.bank_hash);
        assert_eq!(first.state_digest(), taken.state_digest());
    }
}

#[test]
fn what_the_user_sets_stays_until_the_chain_writes_it() {
    let recorded = Recorded::of(Loaded::sample());
    let mut taken = recorded.replay_after(3);
    execute_block(&mut taken, &recorded.block(3));
    let next = &recorded.deltas[4].changes;
    let by_transaction = next
        .iter()
        .find(|change| matches!(change.writer, Writer::Transaction(_)));
    let written = by_transaction.expect("the block changes something").address;
    let unused = Pubkey::new_from_array([7; 32]);
    let mine = AccountSharedData::new(77, 3, &Pubkey::default());
    for address in [written, unused] {
        taken.set_account(address, mine.clone());
        assert_eq!(taken.account(&address), Lookup::Known(mine.clone()));
    }
    taken.close_slot().unwrap();
    taken.open_slot(recorded.block(4)).unwrap();
    assert_eq!(taken.account(&written), Lookup::Known(mine.clone()));
    while taken.execute_batch().unwrap().is_some() {}
    let last = next.iter().rev().find(|change| change.address == written);
    let state = last.and_then(|change| change.account.clone()).map(to_shared);
    assert_eq!(taken.account(&written).known(), state);
    assert_eq!(taken.account(&unused), Lookup::Known(mine));
}

#[test]
fn nothing_is_executed_for_the_user_either() {
    let recorded = Recorded::of(Loaded::sample());
    let mut taken = recorded.replay();
    execute_block(&mut taken, &recorded.block(0));
    let past = &recorded.ledger.blocks[0].transactions()[0];
    let sent = taken.inject(past);
    assert!(matches!(sent, Err(SlotError::NothingIsExecuted)), "{sent:?}");
    let again = taken.simulate(past, SimulateOptions::default()).unwrap();
    assert_eq!(
        again.execution,
        Execution::Refused(TransactionError::AlreadyProcessed),
        "the chain has executed it"
    );
}

#[test]
fn a_block_without_its_delta_is_refused() {
    let recorded = Recorded::of(Loaded::sample());
    let refused = recorded.replay().open_slot(Arc::clone(&recorded.ledger.blocks[0]));
    assert!(matches!(refused, Err(SlotError::NoDelta { slot: 36 })), "{refused:?}");
}

/// What was compiled from the code before is not run any more.
#[test]
fn a_program_that_changed_is_simulated_as_it_is_now() {
    let recorded = Recorded::of(Loaded::sample());
    let mut taken = recorded.replay_after(5);
    execute_block(&mut taken, &recorded.block(5));
    let next = recorded.ledger.blocks[6].transactions();
    let is_code = |replay: &Replay, address: &Pubkey| {
        let code = replay.account(address).known();
        code.filter(|account| account.executable() && account.data().len() > 1000)
    };
    let (caller, program, code) = next
        .iter()
        .find_map(|transaction| {
            let mut keys = transaction.message.static_account_keys().iter();
            let found = keys.find_map(|key| Some((*key, is_code(&taken, key)?)));
            found.map(|(program, code)| (transaction, program, code))
        })
        .expect("the block calls a program that is no builtin");
    let replace = SimulateOptions {
        blockhash: BlockhashCheck::Replace,
    };
    let before = taken.simulate(caller, replace).unwrap().execution;
    assert!(
        before.outcome().is_some_and(|outcome| outcome.status.is_ok()),
        "{before:?}"
    );
    taken.close_slot().unwrap();
    let mut broken = code;
    broken.data_as_mut_slice().fill(0);
    let block = recorded.edited_block(6, |delta| {
        let account = Account {
            lamports: broken.lamports(),
            owner: *broken.owner(),
            executable: broken.executable(),
            rent_epoch: broken.rent_epoch(),
            data: broken.data().to_vec().into(),
        };
        let change = Change {
            writer: Writer::SlotStart,
            address: program,
            account: Some(account),
        };
        delta.changes.insert(0, change);
    });
    taken.open_slot(block).unwrap();
    let after = taken.simulate(caller, replace).unwrap().execution;
    assert!(
        after.outcome().is_none_or(|outcome| outcome.status.is_err()),
        "{after:?}"
    );
}
