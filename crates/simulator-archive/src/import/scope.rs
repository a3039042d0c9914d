//! Whether a ledger lists every account of the chain.
//!
//! It does if it lists what every state has, and if no block shows an account that is not listed, or one with another
//! balance than the list says. The blocks' view of an account is the first balance that they record for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use solana_pubkey::Pubkey;
use solana_sdk_ids::{incinerator, system_program, sysvar, vote};

use super::blocks::LedgerBlock;
use super::sort::{Sorted, Sorter};
use crate::manifest::ScopeEvidence;
use crate::model::{Account, Reward, RewardKind};

/// The accounts that every state has.
const REQUIRED: [Pubkey; 8] = [
    system_program::ID,
    sysvar::clock::ID,
    sysvar::epoch_schedule::ID,
    sysvar::recent_blockhashes::ID,
    sysvar::rent::ID,
    sysvar::slot_hashes::ID,
    sysvar::slot_history::ID,
    sysvar::stake_history::ID,
];

/// Accounts that the runtime changes outside transactions without recording it.
const RUNTIME: [Pubkey; 10] = [
    incinerator::ID,
    sysvar::clock::ID,
    sysvar::epoch_rewards::ID,
    sysvar::fees::ID,
    sysvar::instructions::ID,
    sysvar::last_restart_slot::ID,
    sysvar::recent_blockhashes::ID,
    sysvar::slot_hashes::ID,
    sysvar::slot_history::ID,
    sysvar::stake_history::ID,
];

/// What the list of accounts shows. Takes the accounts in order of address.
#[derive(Debug)]
pub(super) struct Listing {
    missing: Vec<Pubkey>,
    vote_accounts: u64,
    balances: BufWriter<File>,
}

/// What the blocks show.
#[derive(Debug)]
pub(super) struct Touches {
    sorter: Sorter<40>,
    sequence: u64,
}

/// A sorted stream of addresses and their lamports.
#[derive(Debug)]
struct Balances {
    file: BufReader<File>,
    next: Option<(Pubkey, u64)>,
}

impl Listing {
    pub(super) fn new() -> io::Result<Self> {
        let balances = BufWriter::new(tempfile::tempfile()?);
        Ok(Self {
            missing: REQUIRED.to_vec(),
            vote_accounts: 0,
            balances,
        })
    }

    pub(super) fn add(&mut self, address: &Pubkey, account: &Account) -> io::Result<()> {
        self.missing.retain(|required| required != address);
        self.vote_accounts += u64::from(account.owner == vote::ID);
        self.balances.write_all(address.as_array())?;
        self.balances.write_all(&account.lamports.to_le_bytes())
    }

    /// Whether the list alone looks as if it were complete.
    pub(super) fn looks_complete(&self) -> bool {
        self.missing.is_empty() && self.vote_accounts > 0
    }

    /// Compares the list with the blocks, where they were looked at.
    pub(super) fn evidence(self, given: bool, touches: Option<Touches>) -> io::Result<ScopeEvidence> {
        let mut missing_accounts: Vec<_> = self.missing.iter().map(Pubkey::to_string).collect();
        missing_accounts.sort();
        let mut evidence = ScopeEvidence {
            given,
            missing_accounts,
            vote_accounts: self.vote_accounts,
            checked_accounts: 0,
            unlisted_accounts: 0,
            differing_accounts: 0,
            example: None,
        };
        if let Some(touches) = touches {
            let balances = self.balances.into_inner().map_err(io::IntoInnerError::into_error)?;
            compare(Balances::new(balances)?, touches.sorter.finish()?, &mut evidence)?;
        }
        Ok(evidence)
    }
}

impl ScopeEvidence {
    /// Whether the evidence shows that every account is listed.
    pub(super) fn is_complete(&self) -> bool {
        let is_listed = self.missing_accounts.is_empty() && self.vote_accounts > 0;
        is_listed && self.unlisted_accounts == 0 && self.differing_accounts == 0
    }
}

impl Touches {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            sorter: Sorter::new(memory),
            sequence: 0,
        }
    }

    /// Notes the first balance that a block records for each account.
    pub(super) fn add(&mut self, ledger: &LedgerBlock) -> io::Result<()> {
        let (late, early): (Vec<&Reward>, Vec<&Reward>) =
            ledger.block.rewards.iter().partition(|reward| is_paid_late(reward));
        let mut first = BTreeMap::new();
        note_rewards(&early, &mut first);
        for (transaction, shape) in ledger.block.transactions.iter().zip(&ledger.shapes) {
            let balances = |outcome| shape.keys(outcome).zip(outcome.pre_balances.iter().copied());
            for (address, lamports) in transaction.outcome.iter().flat_map(balances) {
                first.entry(address).or_insert(lamports);
            }
        }
        note_rewards(&late, &mut first);
        for (address, lamports) in first {
            self.push(&address, lamports)?;
        }
        Ok(())
    }

    fn push(&mut self, address: &Pubkey, lamports: u64) -> io::Result<()> {
        let mut key = [0; 40];
        key[..32].copy_from_slice(address.as_array());
        key[32..].copy_from_slice(&self.sequence.to_be_bytes());
        self.sequence += 1;
        self.sorter.push(key, lamports.to_le_bytes().to_vec())
    }
}

/// The leader gets fees, and rent is collected, after the transactions; everything else is paid before them.
fn is_paid_late(reward: &Reward) -> bool {
    matches!(reward.kind, Some(RewardKind::Fee | RewardKind::Rent))
}

fn note_rewards(rewards: &[&Reward], first: &mut BTreeMap<Pubkey, u64>) {
    for reward in rewards {
        let before = i128::from(reward.post_balance) - i128::from(reward.lamports);
        if let Ok(lamports) = u64::try_from(before) {
            first.entry(reward.pubkey).or_insert(lamports);
        }
    }
}

/// Walks through both in order of address, and looks only at the first touch of each account.
fn compare(mut listed: Balances, mut touches: Sorted<40>, evidence: &mut ScopeEvidence) -> io::Result<()> {
    let mut last = None;
    while let Some((key, value)) = touches.next()? {
        let address = Pubkey::try_from(&key[..32]).expect("the key starts with the 32 bytes of an address");
        if last.replace(address) == Some(address) || RUNTIME.contains(&address) {
            continue;
        }
        let lamports = value
            .first_chunk()
            .copied()
            .map(u64::from_le_bytes)
            .expect("the value is one number");
        evidence.note(&address, lamports, listed.at(&address)?);
    }
    Ok(())
}

impl ScopeEvidence {
    fn note(&mut self, address: &Pubkey, recorded: u64, listed: Option<u64>) {
        self.checked_accounts += 1;
        match listed {
            None if recorded == 0 => return,
            None => self.unlisted_accounts += 1,
            Some(listed) if listed == recorded => return,
            Some(_) => self.differing_accounts += 1,
        }
        self.example.get_or_insert_with(|| address.to_string());
    }
}

impl Balances {
    fn new(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        let mut balances = Self {
            file: BufReader::new(file),
            next: None,
        };
        balances.advance()?;
        Ok(balances)
    }

    /// The lamports of an account; addresses are asked for in ascending order.
    fn at(&mut self, address: &Pubkey) -> io::Result<Option<u64>> {
        while self.next.is_some_and(|(next, _)| next < *address) {
            self.advance()?;
        }
        Ok(self
            .next
            .filter(|(next, _)| next == address)
            .map(|(_, lamports)| lamports))
    }

    fn advance(&mut self) -> io::Result<()> {
        let (mut address, mut lamports) = ([0; 32], [0; 8]);
        self.next = match self.file.read_exact(&mut address) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            result => {
                result?;
                self.file.read_exact(&mut lamports)?;
                Some((Pubkey::new_from_array(address), u64::from_le_bytes(lamports)))
            }
        };
        Ok(())
    }
}
