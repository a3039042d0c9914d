//! What epoch rewards need to know of a vote account.
//!
//! Layouts: bincode of `VoteStateVersions` (`solana-vote-interface`), read like `solana-vote`'s `VoteStateView`.

use solana_account::{AccountSharedData, ReadableAccount};
use solana_sdk_ids::vote;

/// Size of a vote account whose state has version 2 or 3 (`VoteStateV3`, `VoteStateV4`).
pub(crate) const VOTE_STATE_LEN: usize = 3_762;
/// Size of a vote account whose state has version 1 (`VoteState1_14_11`).
const OLD_VOTE_STATE_LEN: usize = 3_731;
/// The list of earlier voters: 32 entries, an index and a flag.
const PRIOR_VOTERS_LEN: usize = 32 * 48 + 9;
/// A compressed BLS public key.
const BLS_KEY_LEN: usize = 48;

/// Credits of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochCredits {
    pub(crate) epoch: u64,
    /// Credits at the end of the epoch, or so far.
    pub(crate) credits: u64,
    /// Credits at its start.
    pub(crate) previous: u64,
}

/// A vote account, as far as rewards depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VoteState {
    pub(crate) lamports: u64,
    /// In hundredths of a percent.
    pub(crate) commission_bps: u16,
    /// Whether the account names a BLS key, without which it cannot be admitted (SIMD-0357).
    pub(crate) has_bls_key: bool,
    /// All credits ever earned.
    pub(crate) credits: u64,
    /// Credits by epoch, oldest first.
    pub(crate) history: Vec<EpochCredits>,
}

impl VoteState {
    /// Reads an account; `None` if it is not an initialized vote account.
    pub(crate) fn of(account: &AccountSharedData) -> Option<Self> {
        let data = account.data();
        if *account.owner() != vote::ID || !is_initialized(data) {
            return None;
        }
        let mut state = parse(data)?;
        state.lamports = account.lamports();
        Some(state)
    }

    /// The account as it stood at the end of an epoch. Votes of later epochs only add to the end of the history.
    pub(crate) fn at_end_of(mut self, epoch: u64) -> Self {
        let later = self.history.partition_point(|entry| entry.epoch <= epoch);
        if let Some(first_later) = self.history.get(later) {
            self.credits = first_later.previous;
            self.history.truncate(later);
        }
        self
    }
}

/// (Agave: `VoteStateVersions::is_correct_size_and_initialized`.)
fn is_initialized(data: &[u8]) -> bool {
    let head_len = match data.len() {
        VOTE_STATE_LEN => 114,
        OLD_VOTE_STATE_LEN => 82,
        _ => return false,
    };
    data.starts_with(&[3, 0, 0, 0]) || data[4..4 + head_len].iter().any(|byte| *byte != 0)
}

fn parse(data: &[u8]) -> Option<VoteState> {
    let mut rest = data;
    let version = u32::from_le_bytes(take(&mut rest)?);
    // The node's identity and the authority over withdrawals.
    skip(&mut rest, 64)?;
    let mut has_bls_key = false;
    let commission_bps = if version == 3 {
        // Two addresses that collect rewards.
        skip(&mut rest, 64)?;
        let commission_bps = u16::from_le_bytes(take(&mut rest)?);
        // Commission on block revenue, and rewards that wait for delegators.
        skip(&mut rest, 10)?;
        has_bls_key = skip_option(&mut rest, BLS_KEY_LEN)?;
        commission_bps
    } else {
        let [percent] = take(&mut rest)?;
        u16::from(percent) * 100
    };
    let vote_len = match version {
        1 => 12,
        2 | 3 => 13,
        _ => return None,
    };
    skip_list(&mut rest, vote_len)?;
    skip_option(&mut rest, 8)?;
    // Authorized voters: epoch and address.
    skip_list(&mut rest, 40)?;
    if version != 3 {
        skip(&mut rest, PRIOR_VOTERS_LEN)?;
    }
    let history = epoch_credits(&mut rest)?;
    Some(VoteState {
        lamports: 0,
        commission_bps,
        has_bls_key,
        credits: history.last().map_or(0, |entry| entry.credits),
        history,
    })
}

fn epoch_credits(rest: &mut &[u8]) -> Option<Vec<EpochCredits>> {
    let count = u64::from_le_bytes(take(rest)?);
    // Each entry is read before the next one is believed in, so that a forged count allocates nothing.
    let mut history = Vec::new();
    for _ in 0..count {
        history.push(EpochCredits {
            epoch: u64::from_le_bytes(take(rest)?),
            credits: u64::from_le_bytes(take(rest)?),
            previous: u64::from_le_bytes(take(rest)?),
        });
    }
    Some(history)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn skip(rest: &mut &[u8], len: usize) -> Option<()> {
    *rest = rest.get(len..)?;
    Some(())
}

/// Skips an optional value and says whether it is there.
fn skip_option(rest: &mut &[u8], len: usize) -> Option<bool> {
    match take(rest)? {
        [0] => Some(false),
        [1] => skip(rest, len).map(|()| true),
        _ => None,
    }
}

fn skip_list(rest: &mut &[u8], item_len: usize) -> Option<()> {
    let count = usize::try_from(u64::from_le_bytes(take(rest)?)).ok()?;
    skip(rest, count.checked_mul(item_len)?)
}

#[cfg(test)]
mod tests {
    use solana_account::WritableAccount;

    use super::*;

    fn account(data: &[u8], len: usize) -> AccountSharedData {
        let mut account = AccountSharedData::new(5, len, &vote::ID);
        account.data_as_mut_slice()[..data.len()].copy_from_slice(data);
        account
    }

    fn history(data: &mut Vec<u8>) {
        data.extend(2u64.to_le_bytes());
        for value in [7u64, 30, 10, 8, 55, 30] {
            data.extend(value.to_le_bytes());
        }
    }

    fn version_4() -> Vec<u8> {
        let mut data = vec![3, 0, 0, 0];
        data.extend([1; 128]);
        data.extend(725u16.to_le_bytes());
        data.extend([0; 10]);
        data.push(1);
        data.extend([9; BLS_KEY_LEN]);
        data.extend(1u64.to_le_bytes());
        data.extend([0; 13]);
        data.extend([0]);
        data.extend(1u64.to_le_bytes());
        data.extend([0; 40]);
        history(&mut data);
        data
    }

    #[test]
    fn the_newest_layout_is_read() {
        let state = VoteState::of(&account(&version_4(), VOTE_STATE_LEN)).expect("initialized");
        assert_eq!(state.lamports, 5);
        assert_eq!(state.commission_bps, 725);
        assert!(state.has_bls_key);
        assert_eq!(state.credits, 55);
        assert_eq!(state.history.len(), 2);
    }

    #[test]
    fn older_layouts_are_read() {
        for (version, vote_len, len) in [(1u8, 12, OLD_VOTE_STATE_LEN), (2, 13, VOTE_STATE_LEN)] {
            let mut data = vec![version, 0, 0, 0];
            data.extend([1; 64]);
            data.push(8);
            data.extend(2u64.to_le_bytes());
            data.extend(vec![0; 2 * vote_len]);
            data.push(1);
            data.extend([0; 8]);
            data.extend(0u64.to_le_bytes());
            data.extend([0; PRIOR_VOTERS_LEN]);
            history(&mut data);
            let state = VoteState::of(&account(&data, len)).expect("initialized");
            assert_eq!(
                (state.commission_bps, state.has_bls_key, state.credits),
                (800, false, 55)
            );
        }
    }

    #[test]
    fn later_votes_are_taken_back() {
        let state = VoteState::of(&account(&version_4(), VOTE_STATE_LEN)).expect("initialized");
        assert_eq!(state.clone().at_end_of(8), state);
        let earlier = state.clone().at_end_of(7);
        assert_eq!((earlier.credits, earlier.history.len()), (30, 1));
        let before = state.at_end_of(6);
        assert_eq!((before.credits, before.history.len()), (10, 0));
    }

    #[test]
    fn what_is_not_a_vote_account_is_none() {
        assert_eq!(VoteState::of(&account(&[], VOTE_STATE_LEN)), None);
        assert_eq!(VoteState::of(&account(&version_4(), VOTE_STATE_LEN + 1)), None);
        let mut forged = version_4();
        forged[4 + 128 + 12 + 49..][..8].fill(0xff);
        assert_eq!(VoteState::of(&account(&forged, VOTE_STATE_LEN)), None);
        let mut stranger = account(&version_4(), VOTE_STATE_LEN);
        stranger.set_owner(solana_sdk_ids::stake::ID);
        assert_eq!(VoteState::of(&stranger), None);
    }
}
