//! Whether a ledger lists every account of the chain.
//!
//! It does if it lists what every state has, and if no block shows an account that is not listed. The blocks' view of an
//! account is the first balance that they record for it. A listed account with another balance than that is counted as
//! well, but says nothing of completeness: then the list is wrong, and the first bank hash shows it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use solana_pubkey::Pubkey;
use solana_sdk_ids::{incinerator, system_program, sysvar, vote};

use super::chain::LedgerBlock;
use super::sort::{Sorted, Sorter};
use super::transaction::Shape;
use crate::manifest::ScopeEvidence;
use crate::model::{Account, Outcome, Reward, RewardKind};

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
    /// Whether a transaction has been met of which neither the outcome nor all accounts are recorded: what it changed
    /// is not known, so that no later balance is sure to be the first one.
    blind: bool,
}

/// The first balance of each account that a block touches; `None` where it is not recorded.
type FirstBalances = BTreeMap<Pubkey, Option<u64>>;

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
        is_listed && self.unlisted_accounts == 0
    }
}

impl Touches {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            sorter: Sorter::new(memory),
            sequence: 0,
            blind: false,
        }
    }

    /// Notes the first balance that a block records for each account.
    pub(super) fn add(&mut self, ledger: &LedgerBlock) -> io::Result<()> {
        let (late, early): (Vec<&Reward>, Vec<&Reward>) =
            ledger.block.rewards.iter().partition(|reward| is_paid_late(reward));
        let mut first = FirstBalances::new();
        self.note_rewards(&early, &mut first);
        for (transaction, shape) in ledger.block.transactions.iter().zip(&ledger.shapes) {
            self.note_transaction(transaction.outcome.as_ref(), shape, &mut first);
        }
        self.note_rewards(&late, &mut first);
        for (address, lamports) in first {
            self.push(&address, lamports)?;
        }
        Ok(())
    }

    fn note_transaction(&mut self, outcome: Option<&Outcome>, shape: &Shape, first: &mut FirstBalances) {
        if self.blind {
            return;
        }
        match (outcome, shape.unrecorded_keys()) {
            (Some(outcome), _) => {
                for (address, lamports) in shape.keys(outcome).zip(outcome.pre_balances.iter().copied()) {
                    first.entry(address).or_insert(Some(lamports));
                }
            }
            (None, Some(keys)) => {
                for address in keys {
                    first.entry(*address).or_insert(None);
                }
            }
            (None, None) => self.blind = true,
        }
    }

    fn note_rewards(&self, rewards: &[&Reward], first: &mut FirstBalances) {
        for reward in rewards.iter().filter(|_| !self.blind) {
            let before = i128::from(reward.post_balance) - i128::from(reward.lamports);
            if let Ok(lamports) = u64::try_from(before) {
                first.entry(reward.pubkey).or_insert(Some(lamports));
            }
        }
    }

    fn push(&mut self, address: &Pubkey, lamports: Option<u64>) -> io::Result<()> {
        let mut key = [0; 40];
        key[..32].copy_from_slice(address.as_array());
        key[32..].copy_from_slice(&self.sequence.to_be_bytes());
        self.sequence += 1;
        self.sorter
            .push(key, lamports.map(u64::to_le_bytes).map(Vec::from).unwrap_or_default())
    }
}

/// The leader gets fees, and rent is collected, after the transactions; everything else is paid before them.
fn is_paid_late(reward: &Reward) -> bool {
    matches!(reward.kind, Some(RewardKind::Fee | RewardKind::Rent))
}

/// Walks through both in order of address, and looks only at the first touch of each account.
fn compare(mut listed: Balances, mut touches: Sorted<40>, evidence: &mut ScopeEvidence) -> io::Result<()> {
    let mut last = None;
    while let Some((key, value)) = touches.next()? {
        let address = Pubkey::try_from(&key[..32]).expect("the key starts with the 32 bytes of an address");
        if last.replace(address) == Some(address) || RUNTIME.contains(&address) {
            continue;
        }
        // Without a value, a transaction whose outcome is not recorded came first.
        let Some(lamports) = value.first_chunk().copied().map(u64::from_le_bytes) else {
            continue;
        };
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
