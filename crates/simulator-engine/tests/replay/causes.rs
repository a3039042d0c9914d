//! What divergences are put down to: ledgers with one thing wrong, and what the replay says of each.

use std::collections::BTreeSet;

use simulator_engine::{Divergence, DivergenceClass, Execution, Skip, Unverifiable, Verdict};
use simulator_testkit::edit;
use solana_pubkey::Pubkey;

use crate::support::{Loaded, execute_slot};

/// Every divergence of a ledger, in order.
fn divergences(ledger: &Loaded) -> Vec<Divergence> {
    let mut replay = ledger.replay();
    let mut found = Vec::new();
    for block in &ledger.blocks {
        let (reports, _) = execute_slot(&mut replay, block);
        found.extend(reports.into_iter().filter_map(|report| match report.verdict {
            Verdict::Diverged(divergence) => Some(divergence),
            Verdict::Matched | Verdict::Unverifiable(_) => None,
        }));
    }
    found
}

/// The payer of the first transaction.
fn first_payer(ledger: &Loaded) -> Pubkey {
    let mut transactions = ledger.blocks.iter().flat_map(|block| block.transactions());
    let first = transactions.next().expect("the sample has transactions");
    first.message.static_account_keys()[0]
}

#[test]
fn an_account_that_was_changed_is_named() {
    let payer = first_payer(&Loaded::sample());
    let ledger = Loaded::edited_sample(|copy| edit::set_lamports(copy, &payer, 77_000_000_000).expect("it is there"));
    let found = divergences(&ledger);
    let first = &found[0];
    assert_eq!(
        (first.class, first.culprit, first.root),
        (DivergenceClass::Archive, Some(payer), true)
    );
    let roots = found.iter().filter(|divergence| divergence.root).count();
    assert_eq!(roots, 1, "everything else follows from it: {found:#?}");
    assert!(
        found
            .iter()
            .all(|divergence| divergence.class == DivergenceClass::Archive)
    );
}

#[test]
fn a_program_that_was_removed_is_named() {
    let token: Pubkey = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
        .parse()
        .expect("an address");
    let remove = |copy: &std::path::Path| edit::drop_account(copy, &token).expect("it is there");
    let found = divergences(&Loaded::edited_sample_said_to_be_complete(remove));
    let first = &found[0];
    assert_eq!(
        (first.class, first.culprit, first.root),
        (DivergenceClass::Archive, Some(token), true)
    );
    // An import that looks for itself finds that something is missing, and nothing is executed without it.
    let ledger = Loaded::edited_sample(remove);
    let mut replay = ledger.replay();
    let reports = ledger
        .blocks
        .iter()
        .flat_map(|block| execute_slot(&mut replay, block).0);
    let skipped: BTreeSet<Pubkey> = reports
        .filter_map(|report| match (&report.execution, &report.verdict) {
            (Execution::Skipped(_), Verdict::Unverifiable(Unverifiable::Skipped(Skip::UnknownAccount(account)))) => {
                Some(*account)
            }
            (Execution::Skipped(_), verdict) => panic!("{verdict:?}"),
            _ => None,
        })
        .collect();
    assert_eq!(skipped, BTreeSet::from([token]));
    // What had to do with accounts that a skipped transaction would have changed follows from that.
    for divergence in divergences(&ledger) {
        assert_eq!(
            (divergence.class, divergence.culprit),
            (DivergenceClass::UnknownAccount, None)
        );
    }
}

#[test]
fn a_feature_that_was_off_is_found_by_trying() {
    for feature in [
        "5cC3foj77CWun58pC51ebHFUWavHWKarWyR5UUik7dnC",
        "6sPDzwyARRExKH52LECxcGoqziH8G7SZofwuxi8Ja331",
        "CLCoTADvV64PSrnR6QXty6Fwrt9Xc6EdxSJE4wLRePjq",
    ] {
        let feature: Pubkey = feature.parse().expect("an address");
        let ledger =
            Loaded::edited_sample(|copy| edit::drop_account(copy, &feature).expect("the sample has every feature"));
        let found = divergences(&ledger);
        let roots: Vec<_> = found.iter().filter(|divergence| divergence.root).collect();
        assert!(!roots.is_empty());
        for root in roots {
            assert_eq!(
                (root.class, root.culprit),
                (DivergenceClass::Feature, Some(feature)),
                "{root:#?}"
            );
        }
    }
}
