//! The state before the first block: a list of accounts, or a snapshot.

use solana_hash::Hash;
use solana_pubkey::Pubkey;

use super::accounts::SortedAccounts;
use super::closure::Closure;
use super::error::ImportError;
use super::input::{InputFile, Meter};
use super::lines::Lines;
use super::snapshot::SnapshotAccounts;
use crate::manifest::{Bank, SourceFile};
use crate::model::{Account, Block, Slot};

/// How many lines are read between two signs of life.
const SIGN_OF_LIFE: u64 = 1000;

/// A file that holds a state.
#[derive(Clone, Debug)]
pub(super) enum StateFile {
    /// One account a line.
    Accounts(InputFile),
    /// An Agave full snapshot.
    Snapshot(InputFile),
}

/// The accounts of a state in order of address.
pub(super) enum StateReader {
    Accounts {
        accounts: Box<SortedAccounts>,
        source: SourceFile,
    },
    Snapshot(Box<SnapshotAccounts>),
}

impl StateFile {
    pub(super) fn file(&self) -> &InputFile {
        match self {
            Self::Accounts(file) | Self::Snapshot(file) => file,
        }
    }
}

impl StateReader {
    /// Reads and sorts all accounts, using about `memory` bytes; of a snapshot only those in the closure, if there is one.
    /// Calls `each` now and then.
    pub(super) fn read(
        file: &StateFile,
        memory: usize,
        closure: Option<&Closure>,
        mut each: impl FnMut(&Meter),
    ) -> Result<Self, ImportError> {
        match file {
            StateFile::Snapshot(file) => {
                SnapshotAccounts::read(file, memory, closure, each).map(|snapshot| Self::Snapshot(Box::new(snapshot)))
            }
            StateFile::Accounts(file) => {
                let mut lines = Lines::open(file)?;
                let accounts = SortedAccounts::read(&mut lines, memory, |lines| {
                    if lines.number().is_multiple_of(SIGN_OF_LIFE) {
                        each(lines.meter());
                    }
                })?;
                let source = lines.meter().source();
                Ok(Self::Accounts {
                    accounts: Box::new(accounts),
                    source,
                })
            }
        }
    }

    /// Checks that the state is the one just before the first block. A block that does not name the blockhash of its
    /// parent takes it from the state.
    pub(super) fn join(&self, first: &mut Block) -> Result<(), ImportError> {
        match self {
            Self::Accounts { accounts, source } => check_clock(accounts.clock, source, first),
            Self::Snapshot(snapshot) => join_snapshot(snapshot, first),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<(Pubkey, Account)>, ImportError> {
        match self {
            Self::Accounts { accounts, .. } => accounts.next(),
            Self::Snapshot(snapshot) => snapshot.next(),
        }
    }

    /// What the bank knew beside the accounts.
    pub(super) fn bank(&self) -> Option<Bank> {
        match self {
            Self::Accounts { .. } => None,
            Self::Snapshot(snapshot) => Some(snapshot.bank().clone()),
        }
    }

    /// What the manifest says about the file.
    pub(super) fn source(&self) -> SourceFile {
        match self {
            Self::Accounts { source, .. } => source.clone(),
            Self::Snapshot(snapshot) => snapshot.source.clone(),
        }
    }
}

fn check_clock(clock: Option<Slot>, source: &SourceFile, first: &Block) -> Result<(), ImportError> {
    match clock.filter(|clock| *clock != first.parent_slot) {
        None => Ok(()),
        Some(clock) => Err(ImportError::StartState {
            file: source.name.clone(),
            clock,
            first: first.slot,
            parent: first.parent_slot,
        }),
    }
}

fn join_snapshot(snapshot: &SnapshotAccounts, first: &mut Block) -> Result<(), ImportError> {
    let (file, slot) = (snapshot.source.name.clone(), snapshot.slot());
    if slot != first.parent_slot {
        return Err(ImportError::NotParent {
            file,
            slot,
            first: first.slot,
            parent: first.parent_slot,
        });
    }
    let Some(blockhash) = snapshot.blockhash() else {
        return Ok(());
    };
    let named = std::mem::replace(&mut first.previous_blockhash, blockhash);
    match named == blockhash || named == Hash::default() {
        true => Ok(()),
        false => Err(ImportError::OtherCluster {
            file,
            slot,
            blockhash,
            first: first.slot,
            named,
        }),
    }
}
