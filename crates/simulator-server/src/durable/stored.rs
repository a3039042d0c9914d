//! What the records of a session's file say, in the layout of bincode 1 with its variable-length integers.
//!
//! Types of their own: those that the server works with may change, these may not without a new version of the format.

use bincode::Options as _;
use serde::{Deserialize, Serialize};
use simulator_api::{BacktestError, BacktestRequest, CreateBacktestSessionRequest, RequestId, SessionId};
use simulator_archive::Digest;
use simulator_engine::decode_transaction;
use solana_account::{Account, AccountSharedData, ReadableAccount as _};
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;
use thiserror::Error;

use super::store::Birth;
use crate::command_log::{Command, LoggedCommand, Point, Progress};
use crate::keys::Owner;
use crate::session::{Changes, Order, SendId, Target};

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// What the session is made from: the first record, and no other.
    Birth(Birth),
    Command(LoggedCommand),
    Progress(Progress),
}

/// Why the content of a record cannot be understood.
#[derive(Debug, Error)]
pub(super) enum ContentError {
    #[error("its layout is not that of a record")]
    Layout(#[from] bincode::Error),
    #[error("the {0} in it is none")]
    Value(&'static str),
}

#[derive(Serialize, Deserialize)]
enum Stored {
    Birth(StoredBirth),
    Command {
        steps: u64,
        events: u64,
        command: StoredCommand,
    },
    Progress {
        reached: u64,
        read: u64,
        outcomes: Option<u64>,
        data: Option<u64>,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredBirth {
    id: String,
    /// The name of the key; none where the server had none.
    owner: Option<String>,
    /// The message as JSON.
    request: String,
    archive: [u8; 32],
    data_bytes: u64,
    engine: String,
}

#[derive(Serialize, Deserialize)]
enum StoredCommand {
    Continue {
        request: Option<String>,
        blocks: u64,
        accounts: Vec<StoredAccount>,
        transactions: Vec<Vec<u8>>,
    },
    ContinueTo {
        request: Option<String>,
        slot: u64,
        batch: Option<u64>,
    },
    Reject {
        request: Option<String>,
        /// As JSON.
        error: String,
    },
    Remind,
    SetAccounts(Vec<StoredAccount>),
    Send {
        id: u64,
        transaction: Vec<u8>,
    },
    Withdraw(u64),
    /// The error as JSON.
    Fail(String),
    Close,
}

#[derive(Serialize, Deserialize)]
struct StoredAccount {
    address: [u8; 32],
    lamports: u64,
    data: Vec<u8>,
    owner: [u8; 32],
    executable: bool,
    rent_epoch: u64,
}

impl Record {
    /// The content of this record.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let stored = match self {
            Self::Birth(birth) => Stored::Birth(store_birth(birth)),
            Self::Command(logged) => Stored::Command {
                steps: logged.at.steps,
                events: logged.at.events,
                command: store_command(&logged.command),
            },
            Self::Progress(progress) => Stored::Progress {
                reached: progress.reached,
                read: progress.read,
                outcomes: progress.outcomes,
                data: progress.data,
            },
        };
        to_bytes(&stored)
    }

    /// The record with this content.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, ContentError> {
        Ok(match from_bytes(bytes)? {
            Stored::Birth(birth) => Self::Birth(load_birth(birth)?),
            Stored::Command { steps, events, command } => Self::Command(LoggedCommand {
                at: Point { steps, events },
                command: load_command(command)?,
            }),
            Stored::Progress {
                reached,
                read,
                outcomes,
                data,
            } => Self::Progress(Progress {
                reached,
                read,
                outcomes,
                data,
            }),
        })
    }
}

/// The layout of all that is stored.
pub(super) fn to_bytes(stored: &impl Serialize) -> Vec<u8> {
    bincode::DefaultOptions::new()
        .serialize(stored)
        .expect("plain structs serialise, and a vector takes everything")
}

pub(super) fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ContentError> {
    Ok(bincode::DefaultOptions::new().deserialize(bytes)?)
}

pub(super) fn store_owner(owner: &Owner) -> Option<String> {
    match owner {
        Owner::Anyone => None,
        Owner::Key(name) => Some(name.clone()),
    }
}

pub(super) fn load_owner(stored: Option<String>) -> Owner {
    stored.map_or(Owner::Anyone, Owner::Key)
}

pub(super) fn store_create(request: &CreateBacktestSessionRequest) -> String {
    json(&BacktestRequest::CreateBacktestSession(Box::new(request.clone())))
}

pub(super) fn load_create(stored: &str) -> Result<Box<CreateBacktestSessionRequest>, ContentError> {
    match BacktestRequest::from_json(stored) {
        Ok(BacktestRequest::CreateBacktestSession(request)) => Ok(request),
        _ => Err(ContentError::Value("create request")),
    }
}

fn store_birth(birth: &Birth) -> StoredBirth {
    StoredBirth {
        id: birth.id.to_string(),
        owner: store_owner(&birth.owner),
        request: store_create(&birth.request),
        archive: birth.archive.0,
        data_bytes: birth.data_bytes as u64,
        engine: birth.engine.clone(),
    }
}

fn load_birth(stored: StoredBirth) -> Result<Birth, ContentError> {
    Ok(Birth {
        id: stored
            .id
            .parse::<SessionId>()
            .map_err(|_| ContentError::Value("session id"))?,
        owner: load_owner(stored.owner),
        request: load_create(&stored.request)?,
        archive: Digest(stored.archive),
        data_bytes: usize::try_from(stored.data_bytes).map_err(|_| ContentError::Value("size"))?,
        engine: stored.engine,
    })
}

fn store_command(command: &Command) -> StoredCommand {
    let request = |request: &Option<RequestId>| request.as_ref().map(RequestId::to_string);
    match command {
        Command::Order(Order::Continue {
            request: id,
            blocks,
            changes,
        }) => StoredCommand::Continue {
            request: request(id),
            blocks: *blocks,
            accounts: changes.accounts.iter().map(store_account).collect(),
            transactions: changes.transactions.iter().map(store_transaction).collect(),
        },
        Command::Order(Order::ContinueTo { request: id, target }) => StoredCommand::ContinueTo {
            request: request(id),
            slot: target.slot,
            batch: target.batch.map(|batch| batch as u64),
        },
        Command::Reject { request: id, error } => StoredCommand::Reject {
            request: request(id),
            error: json(error),
        },
        Command::Remind => StoredCommand::Remind,
        Command::SetAccounts(accounts) => StoredCommand::SetAccounts(accounts.iter().map(store_account).collect()),
        Command::Send(id, transaction) => StoredCommand::Send {
            id: id.0,
            transaction: store_transaction(transaction),
        },
        Command::Withdraw(id) => StoredCommand::Withdraw(id.0),
        Command::Fail(error) => StoredCommand::Fail(json(error)),
        Command::Close => StoredCommand::Close,
    }
}

fn load_command(stored: StoredCommand) -> Result<Command, ContentError> {
    Ok(match stored {
        StoredCommand::Continue {
            request,
            blocks,
            accounts,
            transactions,
        } => Command::Order(Order::Continue {
            request: load_request(request)?,
            blocks,
            changes: Changes {
                accounts: accounts.into_iter().map(load_account).collect(),
                transactions: transactions
                    .iter()
                    .map(|wire| load_transaction(wire))
                    .collect::<Result<_, _>>()?,
            },
        }),
        StoredCommand::ContinueTo { request, slot, batch } => Command::Order(Order::ContinueTo {
            request: load_request(request)?,
            target: Target {
                slot,
                batch: batch.map(|batch| usize::try_from(batch).unwrap_or(usize::MAX)),
            },
        }),
        StoredCommand::Reject { request, error } => Command::Reject {
            request: load_request(request)?,
            error: load_error(&error)?,
        },
        StoredCommand::Remind => Command::Remind,
        StoredCommand::SetAccounts(accounts) => Command::SetAccounts(accounts.into_iter().map(load_account).collect()),
        StoredCommand::Send { id, transaction } => Command::Send(SendId(id), load_transaction(&transaction)?),
        StoredCommand::Withdraw(id) => Command::Withdraw(SendId(id)),
        StoredCommand::Fail(error) => Command::Fail(load_error(&error)?),
        StoredCommand::Close => Command::Close,
    })
}

fn load_request(stored: Option<String>) -> Result<Option<RequestId>, ContentError> {
    let request = stored.map(RequestId::new).transpose();
    request.map_err(|_| ContentError::Value("request id"))
}

fn load_error(stored: &str) -> Result<BacktestError, ContentError> {
    serde_json::from_str(stored).map_err(|_| ContentError::Value("error"))
}

fn store_transaction(transaction: &VersionedTransaction) -> Vec<u8> {
    wincode::serialize(transaction).expect("it was read from the wire, where it has the same form")
}

fn load_transaction(stored: &[u8]) -> Result<VersionedTransaction, ContentError> {
    decode_transaction(stored).map_err(|_| ContentError::Value("transaction"))
}

fn store_account((address, account): &(Pubkey, AccountSharedData)) -> StoredAccount {
    StoredAccount {
        address: address.to_bytes(),
        lamports: account.lamports(),
        data: account.data().to_vec(),
        owner: account.owner().to_bytes(),
        executable: account.executable(),
        rent_epoch: account.rent_epoch(),
    }
}

fn load_account(stored: StoredAccount) -> (Pubkey, AccountSharedData) {
    let account = Account {
        lamports: stored.lamports,
        data: stored.data,
        owner: Pubkey::from(stored.owner),
        executable: stored.executable,
        rent_epoch: stored.rent_epoch,
    };
    (Pubkey::from(stored.address), account.into())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("messages have text keys only, so that they always serialise")
}

#[cfg(test)]
pub(super) mod tests {
    use solana_account::WritableAccount as _;
    use solana_message::{Message, VersionedMessage};
    use solana_signature::Signature;

    use super::*;

    pub(in super::super) fn birth() -> Birth {
        let text = r#"{"method": "createBacktestSession", "params": {"startSlot": 36, "endSlot": 59,
            "discoveries": [{"kind": "programExecuted", "value": "Stake11111111111111111111111111111111111111"}],
            "createToken": "again", "outcomes": "accountDiffs", "startPaused": true}}"#;
        let Ok(BacktestRequest::CreateBacktestSession(request)) = BacktestRequest::from_json(text) else {
            panic!("not a create")
        };
        Birth {
            id: SessionId::from_random_bytes([7; 16]),
            owner: Owner::Key("desk".to_owned()),
            request,
            archive: Digest([9; 32]),
            data_bytes: 1 << 28,
            engine: "engine 1".to_owned(),
        }
    }

    fn transaction() -> VersionedTransaction {
        let (from, to) = (Pubkey::from([1; 32]), Pubkey::from([2; 32]));
        let transfer = solana_system_interface::instruction::transfer(&from, &to, 5);
        VersionedTransaction {
            signatures: vec![Signature::from([3; 64])],
            message: VersionedMessage::Legacy(Message::new(&[transfer], Some(&from))),
        }
    }

    /// One command of each kind.
    pub(in super::super) fn commands() -> Vec<LoggedCommand> {
        let request = || Some(RequestId::new("a").unwrap());
        let accounts = || {
            let mut account = AccountSharedData::new(8, 3, &Pubkey::from([4; 32]));
            account.set_rent_epoch(u64::MAX);
            vec![(Pubkey::from([5; 32]), account)]
        };
        let error = BacktestError::AdvanceSlotFailed {
            slot: 4,
            error: "no".to_owned(),
        };
        let commands = [
            Command::Order(Order::Continue {
                request: request(),
                blocks: u64::MAX,
                changes: Changes {
                    accounts: accounts(),
                    transactions: vec![transaction()],
                },
            }),
            Command::Order(Order::ContinueTo {
                request: None,
                target: Target {
                    slot: 8,
                    batch: Some(1),
                },
            }),
            Command::Reject {
                request: request(),
                error: error.clone(),
            },
            Command::Remind,
            Command::SetAccounts(accounts()),
            Command::Send(SendId(6), transaction()),
            Command::Withdraw(SendId(6)),
            Command::Fail(error),
            Command::Close,
        ];
        let at = |steps| Point {
            steps,
            events: steps * 3,
        };
        let logged = commands
            .into_iter()
            .zip(1..)
            .map(|(command, steps)| LoggedCommand { at: at(steps), command });
        logged.collect()
    }

    #[test]
    fn reads_what_it_wrote() {
        let progress = Progress {
            reached: 700,
            read: 650,
            outcomes: Some(40),
            data: None,
        };
        let mut records = vec![Record::Birth(birth()), Record::Progress(progress)];
        records.extend(commands().into_iter().map(Record::Command));
        for record in records {
            let bytes = record.to_bytes();
            assert_eq!(Record::from_bytes(&bytes).unwrap(), record);
            assert!(Record::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        }
    }

    /// A file that was written once is read for ever: whatever changes here needs a new version.
    #[test]
    fn the_layout_stays() {
        let bytes = |record: Record| record.to_bytes();
        let all: Vec<u8> = commands().into_iter().map(Record::Command).flat_map(bytes).collect();
        let commands = "e130210414b2c9fe5bc86f787c8196079cd79ee1e85a211368f96032ea50c967";
        assert_eq!(Digest::of(&all).to_string(), commands);
        let progress = Progress {
            reached: 3,
            read: 2,
            outcomes: Some(1),
            data: None,
        };
        assert_eq!(bytes(Record::Progress(progress)), [2, 3, 2, 1, 1, 0]);
        let text = birth().id.to_string();
        let start = [&[0, 41][..], text.as_bytes(), &[1, 4], b"desk"].concat();
        assert!(bytes(Record::Birth(birth())).starts_with(&start));
    }
}
