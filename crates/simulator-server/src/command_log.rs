//! What changes a session, written down before it is applied.
//!
//! A session is a function of its archive, its create parameters and this list. A log that outlives the process lets
//! the next one rebuild the session ([`crate::durable`]); the one here lives in memory.

use std::io;
use std::mem::size_of;

use simulator_api::{BacktestError, RequestId};
use simulator_archive::model::Slot;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;
use thiserror::Error;

use crate::session::{Order, SendId};

/// Something that changes a session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// A request to go on.
    Order(Order),
    /// A request that could not be carried out. It changes nothing but the numbers of the events after it.
    Reject {
        request: Option<RequestId>,
        error: BacktestError,
    },
    /// The client is told anew that the session waits. It changes nothing but the numbers of the events after it.
    Remind,
    /// Accounts to replace at once.
    SetAccounts(Vec<(Pubkey, AccountSharedData)>),
    /// A transaction for the open slot.
    Send(SendId, VersionedTransaction),
    /// The transaction that was sent under this name is not executed: its sender had gone.
    Withdraw(SendId),
    /// The session cannot go on. Storage that fails once need not fail the next time.
    Fail(BacktestError),
    /// The end.
    Close,
}

/// Where a session is, exactly: a command that is taken at the same point has the same effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    /// Steps that have been done.
    pub(crate) steps: u64,
    /// Events that there have been. They follow from the steps; a difference shows that something else does not.
    pub(crate) events: u64,
}

/// A command and where the session was when it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LoggedCommand {
    pub(crate) at: Point,
    pub(crate) command: Command,
}

/// How far a session and its readers have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The number of the last event.
    pub(crate) reached: u64,
    /// The number of the last event that the client has.
    pub(crate) read: u64,
    /// The last slot whose outcome record was acknowledged.
    pub(crate) outcomes: Option<Slot>,
    /// The first slot that a subscriber has not been sent.
    pub(crate) data: Option<Slot>,
}

/// Why a command was not written down, and is therefore not applied.
#[derive(Debug, Error)]
pub(crate) enum CommandLogError {
    /// The limit is reached.
    #[error("the session's command log is full ({limit} bytes); start another session")]
    Full { limit: usize },
    /// The storage fails. Nothing is left of the command.
    #[error("the session's command log cannot be written ({0}); nothing was changed, try again later")]
    Write(#[source] io::Error),
    /// The storage failed in a way after which nobody knows what it holds.
    #[error("the session's command log could not be written before and takes nothing any more; start another session")]
    Broken,
}

/// Where a session's commands are written.
pub(crate) trait CommandLog: Send {
    /// Writes a command down. It may be applied once this has returned.
    fn append(&mut self, command: LoggedCommand) -> Result<(), CommandLogError>;

    /// Writes down how far the session has come. It may be lost: it saves work, and no result depends on it.
    fn note(&mut self, progress: Progress);
}

/// A log in memory, up to a limit.
#[derive(Debug)]
pub(crate) struct MemoryCommandLog {
    commands: Vec<LoggedCommand>,
    bytes: usize,
    limit: usize,
}

impl MemoryCommandLog {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            commands: Vec::new(),
            bytes: 0,
            limit,
        }
    }
}

impl CommandLog for MemoryCommandLog {
    fn append(&mut self, command: LoggedCommand) -> Result<(), CommandLogError> {
        let bytes = self.bytes + command.size();
        let is_end = command.command == Command::Close;
        if bytes > self.limit && !is_end {
            return Err(CommandLogError::Full { limit: self.limit });
        }
        self.bytes = bytes;
        self.commands.push(command);
        Ok(())
    }

    fn note(&mut self, _: Progress) {}
}

impl LoggedCommand {
    /// About how much memory it takes.
    fn size(&self) -> usize {
        let content = match &self.command {
            Command::Order(Order::Continue { changes, .. }) => {
                accounts_size(&changes.accounts) + changes.transactions.iter().map(transaction_size).sum::<usize>()
            }
            Command::SetAccounts(accounts) => accounts_size(accounts),
            Command::Send(_, transaction) => transaction_size(transaction),
            Command::Order(Order::ContinueTo { .. })
            | Command::Reject { .. }
            | Command::Remind
            | Command::Withdraw(_)
            | Command::Fail(_)
            | Command::Close => 0,
        };
        size_of::<Self>() + content
    }
}

fn accounts_size(accounts: &[(Pubkey, AccountSharedData)]) -> usize {
    accounts
        .iter()
        .map(|(address, account)| size_of_val(address) + size_of_val(account) + account.data().len())
        .sum()
}

/// About how much memory a transaction takes.
pub(crate) fn transaction_size(transaction: &VersionedTransaction) -> usize {
    let message = &transaction.message;
    let instructions = message
        .instructions()
        .iter()
        .map(|instruction| instruction.accounts.len() + instruction.data.len());
    size_of_val(transaction)
        + size_of_val(transaction.signatures.as_slice())
        + size_of_val(message.static_account_keys())
        + size_of_val(message.instructions())
        + instructions.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Changes;

    fn program(bytes: usize) -> LoggedCommand {
        let account = AccountSharedData::new(1, bytes, &Pubkey::default());
        let changes = Changes {
            accounts: vec![(Pubkey::default(), account)],
            transactions: Vec::new(),
        };
        LoggedCommand {
            at: Point::default(),
            command: Command::Order(Order::Continue {
                request: None,
                blocks: 1,
                changes,
            }),
        }
    }

    #[test]
    fn refuses_what_does_not_fit_but_never_the_end() {
        let mut log = MemoryCommandLog::new(10_000);
        log.append(program(8_000)).unwrap();
        assert!(matches!(
            log.append(program(8_000)),
            Err(CommandLogError::Full { limit: 10_000 })
        ));
        log.append(program(10)).unwrap();
        for _ in 0..100 {
            log.append(LoggedCommand {
                at: Point::default(),
                command: Command::Close,
            })
            .unwrap();
        }
        assert_eq!(log.commands.len(), 102);
    }
}
