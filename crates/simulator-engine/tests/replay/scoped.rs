//! Archives of some accounts: what other transactions did to these is taken from their records.

use std::collections::BTreeMap;

use simulator_engine::{Replay, Skip, Unverifiable, Verdict};
use simulator_testkit::{accounts, paths};
use solana_pubkey::Pubkey;

use crate::support::{Loaded, dump, execute_slot};

const TOKEN: Pubkey = Pubkey::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");

/// How often each verdict was given, by a word for it.
fn replayed(ledger: &Loaded) -> (BTreeMap<&'static str, usize>, Replay) {
    let mut replay = ledger.replay();
    let mut counts = BTreeMap::new();
    for block in &ledger.blocks {
        for report in execute_slot(&mut replay, block).0 {
            let word = match &report.verdict {
                Verdict::Matched => "matched",
                Verdict::Diverged(_) => "diverged",
                Verdict::Unverifiable(Unverifiable::Skipped(Skip::UnknownAccount(_))) => "unknown",
                Verdict::Unverifiable(_) => "unverifiable",
            };
            *counts.entry(word).or_default() += 1;
        }
    }
    (counts, replay)
}

/// More than half of the transactions cannot be executed, most of them votes. They pay fees from accounts that the others
/// use, create accounts, and move tokens.
#[test]
fn transactions_of_a_program_match_though_others_are_not_executed() {
    let directory = paths::sample("agave-small");
    let (counts, replay) = replayed(&Loaded::scoped(&directory, TOKEN));
    assert_eq!(counts, BTreeMap::from([("matched", 229), ("unknown", 249)]));
    let end = accounts::read(&directory.join("accounts-end.jsonl.gz")).expect("the ledger says how it ends");
    for (address, account) in dump(&replay) {
        assert_eq!(end.get(&address), Some(&account), "{address}");
    }
}
