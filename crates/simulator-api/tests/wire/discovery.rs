//! What discovery filters match.

use simulator_api::{DiscoveryFilter, TxMatchContext};
use solana_address::Address;

use crate::addresses::{CLOCK, STAKE, VOTE, address};

#[test]
fn a_program_filter_matches_any_invocation() {
    let filter = DiscoveryFilter::ProgramExecuted(address(STAKE));
    let programs = [address(VOTE), address(STAKE)];
    assert!(filter.matches(&TxMatchContext {
        programs: &programs,
        ..Default::default()
    }));
    assert!(!filter.matches(&TxMatchContext {
        programs: &programs[..1],
        ..Default::default()
    }));
}

#[test]
fn an_oracle_filter_matches_updates_only() {
    let programs = [address(VOTE)];
    let update = TxMatchContext {
        programs: &programs,
        ..Default::default()
    };
    assert!(oracle(&[]).matches(&update));
    assert!(!oracle(&[]).matches(&TxMatchContext {
        changes_token_balance: true,
        ..update
    }));
    assert!(!oracle(&[]).matches(&TxMatchContext {
        programs: &[],
        ..update
    }));
}

#[test]
fn an_oracle_filter_with_accounts_wants_one_written() {
    let (programs, written) = ([address(VOTE)], [address(CLOCK)]);
    let filter = oracle(&[address(CLOCK)]);
    let update = TxMatchContext {
        programs: &programs,
        ..Default::default()
    };
    assert!(!filter.matches(&update));
    assert!(filter.matches(&TxMatchContext {
        writable_accounts: &written,
        ..update
    }));
    assert!(filter.matches(&TxMatchContext {
        writes_through_unresolved_lookup: true,
        ..update
    }));
}

fn oracle(accounts: &[Address]) -> DiscoveryFilter {
    DiscoveryFilter::OracleUpdate {
        programs: vec![address(VOTE)],
        accounts: accounts.to_vec(),
    }
}
