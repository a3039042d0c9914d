//! Transactions that are run together over accounts that are replaced for them.

use std::sync::Arc;

use simulator_engine::{Bundle, BundleOutcome, DivergenceClass, Execution, Lookup, Replay, Skip, Verdict};
use solana_account::{AccountSharedData, ReadableAccount, WritableAccount as _};
use solana_hash::Hash;
use solana_keypair::{Keypair, Signer};
use solana_pubkey::Pubkey;
use solana_system_interface::instruction::transfer;
use solana_transaction::Transaction;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::support::{Loaded, execute_all, execute_block};

const SOL: u64 = 1_000_000_000;
const FEE: u64 = 5000;
const MEMO: Pubkey = Pubkey::from_str_const("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
const TOKEN: Pubkey = Pubkey::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
const CLOCK: Pubkey = Pubkey::from_str_const("SysvarC1ock11111111111111111111111111111111");

fn keypair(name: u8) -> Keypair {
    Keypair::new_from_array([name; 32])
}

/// A payment with a blockhash that no chain has had.
fn payment(from: &Keypair, to: &Pubkey, lamports: u64) -> VersionedTransaction {
    let instruction = transfer(&from.pubkey(), to, lamports);
    Transaction::new_signed_with_payer(&[instruction], Some(&from.pubkey()), &[from], Hash::default()).into()
}

fn with_lamports(lamports: u64) -> AccountSharedData {
    AccountSharedData::new(lamports, 0, &Pubkey::default())
}

fn statuses(outcome: &BundleOutcome) -> Vec<Result<(), String>> {
    let status = |execution: &Execution| match execution {
        Execution::Processed(outcome) => outcome.status.clone().map_err(|error| error.to_string()),
        other => Err(format!("{other:?}")),
    };
    outcome.transactions.iter().map(|ran| status(&ran.execution)).collect()
}

fn lamports(lookup: &Lookup) -> u64 {
    lookup.clone().known().map_or(0, |account| account.lamports())
}

/// A replay whose first block has been executed.
fn open(ledger: &Loaded) -> Replay {
    let mut replay = ledger.replay();
    execute_block(&mut replay, &ledger.blocks[0]);
    replay
}

/// Somebody who has nothing is given 5 SOL and pays, and whom he paid pays on; twice the same.
struct Payments {
    overrides: Vec<(Pubkey, AccountSharedData)>,
    transactions: Vec<VersionedTransaction>,
    shown: Vec<Pubkey>,
}

impl Payments {
    fn new() -> Self {
        let (first, second, last) = (keypair(42), keypair(43), keypair(44).pubkey());
        let on = payment(&second, &last, SOL);
        Self {
            overrides: vec![
                (first.pubkey(), with_lamports(5 * SOL)),
                (keypair(45).pubkey(), with_lamports(7 * SOL)),
            ],
            transactions: vec![payment(&first, &second.pubkey(), 3 * SOL), on.clone(), on],
            shown: vec![first.pubkey(), second.pubkey(), last, keypair(45).pubkey()],
        }
    }

    fn bundle(&self) -> Bundle<'_> {
        Bundle {
            overrides: &self.overrides,
            transactions: &self.transactions,
            shown: &self.shown,
        }
    }
}

#[test]
fn a_simulated_bundle_runs_in_order_and_leaves_no_trace() {
    let ledger = Loaded::sample();
    let mut replay = open(&ledger);
    let before = replay.result_digest();
    let payments = Payments::new();
    let outcome = replay.simulate_bundle(payments.bundle()).expect("a slot is open");
    assert_eq!(statuses(&outcome), [Ok(()), Ok(()), Ok(())]);
    let shown: Vec<_> = outcome.accounts.iter().map(lamports).collect();
    assert_eq!(shown, [2 * SOL - FEE, SOL - 2 * FEE, 2 * SOL, 7 * SOL]);
    assert!(outcome.transactions.iter().all(|ran| ran.account_diffs.is_empty()));
    assert_eq!(replay.result_digest(), before);
    assert_eq!(replay.account(&payments.shown[0]), Lookup::Absent);
    replay.close_slot().expect("the block is done");
    execute_all(&mut replay, &ledger.blocks[1..]);
    let mut untouched = ledger.replay();
    execute_all(&mut untouched, &ledger.blocks);
    assert_eq!(replay.result_digest(), untouched.result_digest());
    assert_eq!(replay.summary(), untouched.summary());
}

#[test]
fn a_sent_bundle_stays_and_what_it_did_not_write_does_not() {
    let ledger = Loaded::sample();
    let mut replay = open(&ledger);
    let payments = Payments::new();
    let outcome = replay.send_bundle(payments.bundle()).expect("a slot is open");
    assert_eq!(statuses(&outcome), [Ok(()), Ok(()), Ok(())]);
    let shown: Vec<_> = outcome.accounts.iter().map(lamports).collect();
    assert_eq!(
        shown,
        [2 * SOL - FEE, SOL - 2 * FEE, 2 * SOL, 0],
        "nobody wrote the last"
    );
    let now: Vec<_> = payments
        .shown
        .iter()
        .map(|address| lamports(&replay.account(address)))
        .collect();
    assert_eq!(now, shown);
    assert_eq!(replay.summary().injected, 3);
    assert!(replay.summary().bank_hashes.unavailable.is_some());
}

#[test]
fn a_failed_transaction_pays_and_the_others_run() {
    let ledger = Loaded::sample();
    let replay = open(&ledger);
    let (user, to) = (keypair(42), keypair(43).pubkey());
    let transactions = [
        payment(&user, &to, 9 * SOL),
        payment(&user, &to, SOL),
        payment(&keypair(46), &to, SOL),
    ];
    let bundle = Bundle {
        overrides: &[(user.pubkey(), with_lamports(5 * SOL))],
        transactions: &transactions,
        shown: &[user.pubkey()],
    };
    let outcome = replay.simulate_bundle(bundle).expect("a slot is open");
    let statuses = statuses(&outcome);
    assert!(statuses[0].is_err() && statuses[1].is_ok(), "{statuses:?}");
    assert_eq!(
        outcome.transactions[2].execution,
        Execution::Refused(TransactionError::AccountNotFound)
    );
    assert_eq!(lamports(&outcome.accounts[0]), 4 * SOL - 2 * FEE);
}

#[test]
fn what_follows_from_a_sent_bundle_is_put_down_to_the_user() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    let block = &ledger.blocks[0];
    replay.open_slot(Arc::clone(block)).expect("the first block");
    let payer = block.transactions()[0].message.static_account_keys()[0];
    let bundle = Bundle {
        overrides: &[],
        transactions: &block.transactions()[..1],
        shown: &[],
    };
    let sent = replay.send_bundle(bundle).expect("a slot is open");
    assert_eq!(statuses(&sent), [Ok(())]);
    let mut overridden = 0;
    while let Some(report) = replay.execute_transaction().expect("a slot is open") {
        if let Verdict::Diverged(divergence) = &report.verdict {
            assert!(report.account_keys.contains(&payer) || overridden > 0, "{report:?}");
            assert_eq!(divergence.class, DivergenceClass::Overridden, "{report:?}");
            overridden += 1;
        }
    }
    assert!(overridden > 0, "the block has the same transaction");
}

#[test]
fn code_is_replaced_for_a_bundle_only() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    let mut tried = 0;
    for block in &ledger.blocks {
        replay.open_slot(Arc::clone(block)).expect("the block follows");
        for index in 0..block.transactions().len() {
            let transaction = &block.transactions()[index..=index];
            let recorded = block.block().transactions[index].outcome.as_ref();
            let succeeds = recorded.is_some_and(|outcome| outcome.status.is_ok());
            if succeeds && transaction[0].message.static_account_keys().contains(&MEMO) {
                check_memo(&replay, transaction);
                tried += 1;
            }
            let report = replay
                .execute_transaction()
                .expect("a slot is open")
                .expect("it is not the end");
            assert_eq!(report.verdict, Verdict::Matched);
        }
        replay.close_slot().expect("the block is done");
    }
    assert!(tried > 0);
    assert_eq!(replay.summary().bank_hashes.agreed, 20);
}

/// A memo succeeds, and does not with the code of the token program.
fn check_memo(replay: &Replay, transactions: &[VersionedTransaction]) {
    let mut code = replay.account(&MEMO).known().expect("the sample has the memo program");
    code.set_data_from_slice(replay.account(&TOKEN).known().expect("and the token program").data());
    for (overrides, is_memo) in [(&[][..], true), (&[(MEMO, code)][..], false), (&[][..], true)] {
        let bundle = Bundle {
            overrides,
            transactions,
            shown: &[],
        };
        let outcome = replay.simulate_bundle(bundle).expect("a slot is open");
        assert_eq!(statuses(&outcome)[0].is_ok(), is_memo, "{outcome:?}");
    }
}

#[test]
fn a_sysvar_is_replaced_for_a_bundle_only() {
    let ledger = Loaded::sample();
    let mut replay = open(&ledger);
    let mut clock = replay.account(&CLOCK).known().expect("every ledger has a clock");
    clock.data_as_mut_slice()[32..40].copy_from_slice(&7i64.to_le_bytes());
    let bundle = Bundle {
        overrides: &[(CLOCK, clock.clone())],
        transactions: &[],
        shown: &[CLOCK],
    };
    let outcome = replay.simulate_bundle(bundle).expect("a slot is open");
    assert_eq!(outcome.accounts, [Lookup::Known(clock)]);
    replay.close_slot().expect("the block is done");
    execute_all(&mut replay, &ledger.blocks[1..]);
    assert_eq!(
        (replay.summary().diverged, replay.summary().bank_hashes.agreed),
        (0, 20)
    );
}

#[test]
fn an_account_that_is_not_in_the_archive_is_said_to_be() {
    let ledger = Loaded::listed_sample();
    let replay = open(&ledger);
    let (user, unknown) = (keypair(42), keypair(43).pubkey());
    let transactions = [payment(&user, &unknown, SOL)];
    let overrides = [(user.pubkey(), with_lamports(5 * SOL)), (unknown, with_lamports(0))];
    let mut bundle = Bundle {
        overrides: &overrides[..1],
        transactions: &transactions,
        shown: &[unknown],
    };
    let outcome = replay.simulate_bundle(bundle).expect("a slot is open");
    assert_eq!(
        outcome.transactions[0].execution,
        Execution::Skipped(Skip::UnknownAccount(unknown))
    );
    assert_eq!(outcome.accounts, [Lookup::Unknown]);
    bundle.overrides = &overrides;
    let outcome = replay.simulate_bundle(bundle).expect("a slot is open");
    assert_eq!(statuses(&outcome), [Ok(())]);
    assert_eq!(lamports(&outcome.accounts[0]), SOL);
}

#[test]
fn one_transaction_at_a_time_is_the_same_as_batches() {
    let ledger = Loaded::sample();
    let mut batches = ledger.replay();
    execute_all(&mut batches, &ledger.blocks);
    let mut single = ledger.replay();
    for block in &ledger.blocks {
        single.open_slot(Arc::clone(block)).expect("the block follows");
        let mut seen = Vec::new();
        loop {
            let position = single.position().expect("a slot is open");
            // Now and then a batch is finished at once that was begun.
            if seen.len() % 5 == 4 {
                let Some(rest) = single.execute_batch().expect("a slot is open") else {
                    break;
                };
                seen.extend(rest);
            } else {
                let Some(report) = single.execute_transaction().expect("a slot is open") else {
                    break;
                };
                let batch = &block.batches()[position.batch];
                assert!(batch.contains(&usize::try_from(report.index).expect("a small number")));
                seen.push(report);
            }
        }
        assert!(seen.iter().zip(0..).all(|(report, index)| report.index == index));
        single.close_slot().expect("the block is done");
    }
    assert_eq!(single.result_digest(), batches.result_digest());
}
