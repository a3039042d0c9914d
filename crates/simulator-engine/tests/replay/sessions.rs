//! What a user does to a session, and what that does to the replay.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::{Loaded, execute_all, execute_block, execute_slot};
use simulator_engine::{
    AccountDiffs, BlockhashCheck, DivergenceClass, Execution, FeatureChoice, Lookup, ProofUnavailable, Replay,
    ReplayOptions, SimulateOptions, Skip, SlotError, Unverifiable, Verdict,
};
use simulator_testkit::edit;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_hash::Hash;
use solana_keypair::{Keypair, Signer};
use solana_pubkey::Pubkey;
use solana_system_interface::instruction::transfer;
use solana_transaction::Transaction;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

const SOL: u64 = 1_000_000_000;

fn user() -> Keypair {
    Keypair::new_from_array([42; 32])
}

fn payment(to: &Pubkey, lamports: u64, blockhash: Hash) -> VersionedTransaction {
    let user = user();
    let instruction = transfer(&user.pubkey(), to, lamports);
    Transaction::new_signed_with_payer(&[instruction], Some(&user.pubkey()), &[&user], blockhash).into()
}

/// A payment of one SOL that names the newest blockhash.
fn valid_payment(replay: &Replay, to: &Pubkey) -> VersionedTransaction {
    payment(to, SOL, replay.latest_blockhash().blockhash)
}

/// A replay that stands in the first open slot of the sample, with a funded user.
fn open_session(ledger: &Loaded) -> Replay {
    let mut replay = ledger.replay();
    execute_block(&mut replay, &ledger.blocks[0]);
    replay.set_account(user().pubkey(), AccountSharedData::new(10 * SOL, 0, &Pubkey::default()));
    replay
}

fn lamports(replay: &Replay, address: &Pubkey) -> u64 {
    replay.account(address).known().map_or(0, |account| account.lamports())
}

#[test]
fn two_replays_give_the_same_digest_and_stepping_does_not_show() {
    let ledger = Loaded::sample();
    let mut first = ledger.replay();
    execute_all(&mut first, &ledger.blocks);
    let mut second = ledger.replay();
    for block in &ledger.blocks {
        second.open_slot(Arc::clone(block)).expect("the block follows");
        while second.execute_batch().expect("a slot is open").is_some() {
            // Looking changes nothing.
            assert_eq!(second.accounts_after(None, 10).len(), 10);
            second
                .simulate(
                    &payment(&Pubkey::default(), 1, Hash::default()),
                    SimulateOptions::default(),
                )
                .expect("open");
        }
        second.close_slot().expect("all batches are done");
    }
    assert_eq!(first.result_digest(), second.result_digest());
    assert_eq!(first.summary(), second.summary());
}

#[test]
fn a_transaction_lands_in_the_open_slot_after_its_block() {
    let ledger = Loaded::sample();
    let mut replay = open_session(&ledger);
    let to = Pubkey::new_from_array([7; 32]);
    let sent = valid_payment(&replay, &to);

    let injected = replay.inject(&sent).expect("a slot is open");

    assert_eq!(
        injected.execution.outcome().map(|outcome| &outcome.status),
        Some(&Ok(()))
    );
    assert_eq!(lamports(&replay, &to), SOL);
    assert_eq!(lamports(&replay, &user().pubkey()), 9 * SOL - 5000);
    assert_eq!(replay.summary().injected, 1);
    assert_eq!(
        replay.summary().bank_hashes.unavailable,
        Some(ProofUnavailable::SessionChanged)
    );
}

#[test]
fn the_same_transaction_is_not_processed_twice() {
    let ledger = Loaded::sample();
    let mut replay = open_session(&ledger);
    let sent = valid_payment(&replay, &Pubkey::new_from_array([7; 32]));
    replay.inject(&sent).expect("a slot is open");
    let again = replay.inject(&sent).expect("a slot is open");
    assert_eq!(again.execution, Execution::Refused(TransactionError::AlreadyProcessed));
    let historical = &ledger.blocks[0].transactions()[0];
    let repeated = replay.inject(historical).expect("a slot is open");
    assert_eq!(
        repeated.execution,
        Execution::Refused(TransactionError::AlreadyProcessed)
    );
    assert_eq!(replay.summary().injected, 1);
}

#[test]
fn an_unknown_blockhash_is_refused_but_a_simulation_may_replace_it() {
    let ledger = Loaded::sample();
    let mut replay = open_session(&ledger);
    let stale = payment(&Pubkey::new_from_array([7; 32]), SOL, Hash::new_from_array([1; 32]));
    let refused = replay.inject(&stale).expect("a slot is open");
    assert_eq!(
        refused.execution,
        Execution::Refused(TransactionError::BlockhashNotFound)
    );
    let options = SimulateOptions {
        blockhash: BlockhashCheck::Replace,
    };
    let simulated = replay.simulate(&stale, options).expect("a slot is open");
    assert_eq!(
        simulated.execution.outcome().map(|outcome| &outcome.status),
        Some(&Ok(()))
    );
}

#[test]
fn a_simulation_tells_all_and_changes_nothing() {
    let ledger = Loaded::sample();
    let replay = open_session(&ledger);
    let to = Pubkey::new_from_array([7; 32]);
    let before = replay.result_digest();
    let sent = valid_payment(&replay, &to);
    let simulated = replay
        .simulate(&sent, SimulateOptions::default())
        .expect("a slot is open");
    let after = simulated
        .accounts_after
        .get(&to)
        .and_then(Option::as_ref)
        .map(ReadableAccount::lamports);
    assert_eq!(after, Some(SOL));
    assert_eq!(lamports(&replay, &to), 0);
    assert_eq!(replay.result_digest(), before);
}

#[test]
fn without_an_open_slot_nothing_can_be_sent() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    let sent = payment(&Pubkey::default(), 1, replay.latest_blockhash().blockhash);
    assert!(matches!(replay.inject(&sent), Err(SlotError::NoOpenSlot)));
    assert!(matches!(
        replay.simulate(&sent, SimulateOptions::default()),
        Err(SlotError::NoOpenSlot)
    ));
    assert!(matches!(replay.close_slot(), Err(SlotError::NoOpenSlot)));
    assert!(matches!(replay.execute_batch(), Err(SlotError::NoOpenSlot)));
}

#[test]
fn slots_are_taken_in_order_and_whole() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    let wrong = replay.open_slot(Arc::clone(&ledger.blocks[1]));
    assert!(matches!(wrong, Err(SlotError::NotTheNextBlock { .. })), "{wrong:?}");
    replay
        .open_slot(Arc::clone(&ledger.blocks[0]))
        .expect("the first block");
    assert!(matches!(replay.close_slot(), Err(SlotError::BatchesLeft { .. })));
    assert!(matches!(
        replay.open_slot(Arc::clone(&ledger.blocks[1])),
        Err(SlotError::StillOpen { open: 36 })
    ));
}

#[test]
fn what_follows_from_a_users_change_is_said_to() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    let block = &ledger.blocks[0];
    replay.open_slot(Arc::clone(block)).expect("the first block");
    // Whoever pays for the first transaction has nothing any more.
    let payer = block.transactions()[0].message.static_account_keys()[0];
    replay.set_account(payer, AccountSharedData::new(0, 0, &Pubkey::default()));
    assert_eq!(replay.account(&payer), Lookup::Absent);
    let reports: Vec<_> = std::iter::from_fn(|| replay.execute_batch().expect("a slot is open"))
        .flatten()
        .collect();
    let first = &reports[0];
    assert_eq!(first.execution, Execution::Refused(TransactionError::AccountNotFound));
    let Verdict::Diverged(divergence) = &first.verdict else {
        panic!("{:?}", first.verdict)
    };
    assert_eq!((divergence.class, divergence.root), (DivergenceClass::Overridden, true));
    for report in &reports {
        if let Verdict::Diverged(divergence) = &report.verdict {
            assert_eq!(divergence.class, DivergenceClass::Overridden, "{report:?}");
        }
    }
}

#[test]
fn a_wrong_record_is_a_root_divergence_and_nothing_else_is() {
    let ledger = Loaded::edited_sample(|directory| {
        edit::edit_block(directory, 36, |block| {
            block["transactions"][0]["meta"]["fee"] = 1.into();
        })
        .expect("the block is there");
    });
    let mut replay = ledger.replay();
    let (reports, _) = execute_slot(&mut replay, &ledger.blocks[0]);
    let Verdict::Diverged(divergence) = &reports[0].verdict else {
        panic!("{:?}", reports[0].verdict)
    };
    assert_eq!((divergence.class, divergence.root), (DivergenceClass::Engine, true));
    assert_eq!(divergence.fields, [simulator_engine::OutcomeField::Fee]);
    assert_eq!(replay.summary().diverged, 1);
}

#[test]
fn transactions_without_a_record_cannot_be_verified() {
    let ledger = Loaded::edited_sample(|directory| edit::forget_outcomes(directory).expect("a sound ledger"));
    let mut replay = ledger.replay();
    execute_all(&mut replay, &ledger.blocks);
    let summary = replay.summary();
    assert_eq!((summary.matched, summary.diverged, summary.unverifiable), (0, 0, 478));
    assert_eq!((summary.successes, summary.failures), (421, 57));
    // The chain's own proof does not need the record of the transactions.
    assert_eq!((summary.bank_hashes.agreed, summary.bank_hashes.differed), (20, 0));
}

#[test]
fn one_changed_account_shows_in_every_bank_hash() {
    let address = Pubkey::from_str_const("1iktbX8RwbwLoxKSAnRstCJwkuZ189cuhHvt1sypD3Y");
    let ledger = Loaded::edited_sample(|directory| {
        edit::edit_account(directory, &address, |account| account.lamports += 1).expect("the account is listed");
    });
    let mut replay = ledger.replay();
    execute_all(&mut replay, &ledger.blocks);
    let hashes = replay.summary().bank_hashes;
    assert_eq!((hashes.agreed, hashes.differed), (0, 20));
    assert_eq!(hashes.first_difference.map(|first| first.slot), Some(36));
}

#[test]
fn transactions_of_an_ignored_signer_are_left_out() {
    let ledger = Loaded::sample();
    let signer = ledger.blocks[0].transactions()[0].message.static_account_keys()[0];
    let options = ReplayOptions {
        ignored_signers: BTreeSet::from([signer]),
        ..ReplayOptions::default()
    };
    let mut replay = ledger.replay_with(options);
    let (reports, _) = execute_slot(&mut replay, &ledger.blocks[0]);
    let skip = Skip::IgnoredSigner(signer);
    assert_eq!(reports[0].execution, Execution::Skipped(skip.clone()));
    assert_eq!(reports[0].verdict, Verdict::Unverifiable(Unverifiable::Skipped(skip)));
    assert_eq!(
        replay.summary().bank_hashes.unavailable,
        Some(ProofUnavailable::SessionChanged)
    );
}

#[test]
fn more_compute_units_change_no_fee() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay_with(ReplayOptions {
        extra_compute_units: 100_000,
        ..ReplayOptions::default()
    });
    for block in &ledger.blocks {
        let (reports, _) = execute_slot(&mut replay, block);
        for (report, recorded) in reports.iter().zip(&block.block().transactions) {
            let fees = (report.execution.outcome(), recorded.outcome.as_ref());
            let (Some(computed), Some(recorded)) = fees else {
                panic!("{report:?}")
            };
            assert_eq!(computed.fee, recorded.fee);
        }
    }
}

#[test]
fn account_diffs_are_what_the_balances_say() {
    let ledger = Loaded::sample();
    let options = ReplayOptions {
        account_diffs: AccountDiffs::Record,
        ..ReplayOptions::default()
    };
    let mut replay = ledger.replay_with(options);
    let (reports, _) = execute_slot(&mut replay, &ledger.blocks[0]);
    for report in &reports {
        let outcome = report.execution.outcome().expect("every transaction was processed");
        for (index, key) in report.account_keys.iter().enumerate() {
            let (pre, post) = (outcome.pre_balances[index], outcome.post_balances[index]);
            let diff = report.account_diffs.iter().find(|diff| diff.address == *key);
            let before = diff.map(|diff| diff.before.as_ref().map_or(0, ReadableAccount::lamports));
            let after = diff.map(|diff| diff.after.as_ref().map_or(0, ReadableAccount::lamports));
            assert!(
                pre == post || (before, after) == (Some(pre), Some(post)),
                "{key} in {report:?}"
            );
        }
    }
}

#[test]
fn a_program_can_be_replaced_while_the_replay_runs() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    execute_all(&mut replay, &ledger.blocks[..10]);
    execute_block(&mut replay, &ledger.blocks[10]);
    // The memo program gets the code of the token program: it no longer takes memos.
    let memo = Pubkey::from_str_const("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
    let token = Pubkey::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
    let mut replaced = replay.account(&memo).known().expect("the sample has the memo program");
    replaced.set_data_from_slice(replay.account(&token).known().expect("and the token program").data());
    replay.set_account(memo, replaced);
    replay.close_slot().expect("the block is done");
    let (mut invoked, mut diverged) = (0u64, 0u64);
    for block in &ledger.blocks[11..] {
        for report in execute_slot(&mut replay, block).0 {
            if report.programs.contains(&memo) {
                invoked += 1;
                let Verdict::Diverged(divergence) = &report.verdict else {
                    continue;
                };
                assert_eq!(divergence.class, DivergenceClass::Overridden);
                diverged += 1;
            }
        }
    }
    assert!(invoked > 0);
    assert_eq!(diverged, invoked);
}

#[test]
fn a_feature_can_be_left_out() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay_with(ReplayOptions {
        features: FeatureChoice::Only(BTreeSet::new()),
        ..ReplayOptions::default()
    });
    execute_all(&mut replay, &ledger.blocks);
    assert!(replay.summary().diverged > 0);
}

/// Where the sample keeps the code of its stake program.
fn stake_code() -> Pubkey {
    let stake = Pubkey::from_str_const("Stake11111111111111111111111111111111111111");
    let loader = Pubkey::from_str_const("BPFLoaderUpgradeab1e11111111111111111111111");
    Pubkey::find_program_address(&[stake.as_ref()], &loader).0
}

#[test]
fn code_from_a_later_state_of_the_chain_can_be_called_at_once() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    replay
        .open_slot(Arc::clone(&ledger.blocks[0]))
        .expect("the first block");
    let mut code = replay
        .account(&stake_code())
        .known()
        .expect("the sample has the stake program");
    let mut data = code.data().to_vec();
    data[4..12].copy_from_slice(&1_000_000u64.to_le_bytes());
    code.set_data_from_slice(&data);
    replay.set_account(stake_code(), code);
    while let Some(reports) = replay.execute_batch().expect("a slot is open") {
        assert!(
            reports.iter().all(|report| report.verdict == Verdict::Matched),
            "{reports:#?}"
        );
    }
    replay.close_slot().expect("the block is done");
    execute_all(&mut replay, &ledger.blocks[1..]);
    assert_eq!(replay.summary().diverged, 0);
}

#[test]
fn code_that_claims_to_be_from_the_future_does_not_stop_a_replay() {
    let ledger = Loaded::edited_sample(|directory| {
        edit::edit_account(directory, &stake_code(), |account| {
            account.data[4..12].copy_from_slice(&u64::MAX.to_le_bytes());
        })
        .expect("it is listed");
    });
    let mut replay = ledger.replay();
    execute_all(&mut replay, &ledger.blocks);
    assert_eq!((replay.summary().matched, replay.summary().diverged), (478, 0));
}

#[test]
fn a_clock_that_the_user_sets_keeps_to_the_slot_of_the_session() {
    let clock = Pubkey::from_str_const("SysvarC1ock11111111111111111111111111111111");
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    replay
        .open_slot(Arc::clone(&ledger.blocks[0]))
        .expect("the first block");
    let mut account = replay.account(&clock).known().expect("every ledger has a clock");
    let mut data = account.data().to_vec();
    data[..8].copy_from_slice(&7u64.to_le_bytes());
    data[32..40].copy_from_slice(&1_000_000i64.to_le_bytes());
    account.set_data_from_slice(&data);
    replay.set_account(clock, account);
    let set = replay.account(&clock).known().expect("it was set");
    assert_eq!(set.data()[..8], 36u64.to_le_bytes());
    assert_eq!(set.data()[32..40], 1_000_000i64.to_le_bytes());
    while replay.execute_batch().expect("a slot is open").is_some() {}
    replay.close_slot().expect("the block is done");
    execute_all(&mut replay, &ledger.blocks[1..]);
}

#[test]
fn everything_that_follows_from_an_injected_transaction_is_put_down_to_the_user() {
    let ledger = Loaded::sample();
    let mut replay = open_session(&ledger);
    let sent = valid_payment(&replay, &Pubkey::new_from_array([7; 32]));
    replay.inject(&sent).expect("a slot is open");
    replay.close_slot().expect("the block is done");
    for block in &ledger.blocks[1..] {
        for report in execute_slot(&mut replay, block).0 {
            if let Verdict::Diverged(divergence) = &report.verdict {
                // The fee of the transaction went to the leader, who votes.
                assert_eq!(divergence.class, DivergenceClass::Overridden, "{report:?}");
            }
        }
    }
    assert!(replay.summary().diverged > 0);
}

#[test]
fn a_fast_forward_gives_the_session_that_begins_there() {
    let ledger = Loaded::sample();
    let options = ReplayOptions {
        extra_compute_units: 1,
        ..ReplayOptions::default()
    };
    let mut straight = ledger.replay_with(options.clone());
    let mut forwarded = ledger.replay_with(options);
    execute_all(&mut straight, &ledger.blocks);
    for block in &ledger.blocks[..10] {
        forwarded.fast_forward(Arc::clone(block)).expect("the block follows");
    }
    execute_all(&mut forwarded, &ledger.blocks[10..]);
    let (all, rest) = (straight.summary(), forwarded.summary());
    assert_eq!((all.slots, rest.slots), (21, 11));
    assert_eq!(rest.first_slot, Some(ledger.blocks[10].block().slot));
    assert_ne!(straight.result_digest(), forwarded.result_digest());
    assert_eq!(crate::support::dump(&straight), crate::support::dump(&forwarded));
}
