//! What the digests of a replay say.

use std::sync::Arc;

use simulator_engine::{Replay, ResultDigest};
use simulator_testkit::edit;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;

use crate::support::{Loaded, execute_all, execute_slot};

/// The digest of each slot.
fn slots(replay: &mut Replay, ledger: &Loaded) -> Vec<ResultDigest> {
    let slots = ledger.blocks.iter().map(|block| execute_slot(replay, block).1.digest);
    slots.collect()
}

#[test]
fn slots_agree_up_to_the_first_change_and_never_after_it() {
    let ledger = Loaded::sample();
    let original = slots(&mut ledger.replay(), &ledger);
    assert_eq!(slots(&mut ledger.replay(), &ledger), original);
    let mut changed = ledger.replay();
    let mut digests = slots(
        &mut changed,
        &Loaded {
            blocks: ledger.blocks[..5].to_vec(),
            base: Arc::clone(&ledger.base),
        },
    );
    // Nobody uses this account, so that no outcome shows it.
    changed.set_account(
        Pubkey::new_from_array([7; 32]),
        AccountSharedData::new(1, 0, &Pubkey::default()),
    );
    for block in &ledger.blocks[5..] {
        digests.push(execute_slot(&mut changed, block).1.digest);
    }
    assert_eq!(digests[..5], original[..5]);
    assert!(digests[5..].iter().zip(&original[5..]).all(|(one, other)| one != other));
}

#[test]
fn a_session_that_begins_later_does_the_same_from_there_whatever_led_to_its_start() {
    let ledger = Loaded::sample();
    let late = |blocks: usize| {
        let mut replay = ledger.replay();
        for block in &ledger.blocks[..blocks] {
            replay.fast_forward(Arc::clone(block)).expect("it follows");
        }
        let rest = ledger.blocks[blocks..].iter();
        rest.map(|block| execute_slot(&mut replay, block).1.digest)
            .collect::<Vec<_>>()
    };
    assert_eq!(late(5), late(5));
    assert_ne!(
        late(5)[1..],
        late(6)[..],
        "it covers everything since the beginning of the session"
    );
}

/// The definition in `docs/determinism.md`, from the accounts as they are read one by one.
#[test]
fn the_digest_of_the_state_is_that_of_all_accounts() {
    let ledger = Loaded::sample();
    let mut replay = ledger.replay();
    execute_all(&mut replay, &ledger.blocks);
    let accounts = replay.accounts_after(None, usize::MAX);
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"simulator state digest 1");
    for (address, account) in &accounts {
        hasher.update(address.as_ref());
        hasher.update(&account.lamports().to_le_bytes());
        hasher.update(account.owner().as_ref());
        hasher.update(&[u8::from(account.executable())]);
        hasher.update(&account.rent_epoch().to_le_bytes());
        hasher.update(&(account.data().len() as u64).to_le_bytes());
        hasher.update(account.data());
    }
    let state = replay.state_digest();
    assert_eq!(state.accounts, accounts.len() as u64);
    assert_eq!(state.digest, ResultDigest(*hasher.finalize().as_bytes()));
}

#[test]
fn one_account_that_nobody_uses_changes_the_state_and_no_slot() {
    let stranger = "Vo5siZ442SaZBKPXNocthiXysNviW4UYPwRFggmbgAp"
        .parse()
        .expect("an address");
    let edited = Loaded::edited_sample(|directory| {
        edit::edit_account(directory, &stranger, |account| account.rent_epoch = 7).expect("edited");
    });
    let ledger = Loaded::sample();
    let (mut one, mut other) = (ledger.replay(), edited.replay());
    assert_eq!(slots(&mut one, &ledger), slots(&mut other, &edited));
    assert_eq!(one.result_digest(), other.result_digest());
    assert_ne!(one.state_digest(), other.state_digest());
}
