//! What the network knows of a session: a channel to its worker, and the queues that the worker fills.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use simulator_api::{BacktestError, RequestId, SessionId, SessionName};
use simulator_engine::{BlockTransactions, InjectedTransaction, SlotError};
use solana_account::AccountSharedData;
use solana_pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::command_log::CommandLogError;
use crate::durable::Keeping;
use crate::event_log::EventLog;
use crate::executor::{Executor, InjectError};
use crate::outcomes::OutcomeQueue;
use crate::pubsub::{Channel, DataLog};
use crate::session::{Order, SendRefusal};
use crate::usage::SessionMeter;

/// One session, seen from the network.
#[derive(Debug)]
pub(crate) struct SessionHandle {
    /// The only secret of its data channel: not for the log.
    pub(crate) id: SessionId,
    /// How the log calls it.
    pub(crate) number: u64,
    /// How its user calls it.
    pub(crate) name: Option<SessionName>,
    pub(crate) inbox: mpsc::Sender<Message>,
    pub(crate) events: Arc<EventLog>,
    /// Present if the create asked for outcomes.
    pub(crate) outcomes: Option<Arc<OutcomeQueue>>,
    /// What its subscribers are told.
    pub(crate) data: Arc<DataLog>,
    /// What it uses, and whose it is.
    pub(crate) meter: Arc<SessionMeter>,
    /// Where it is kept, if it outlives the server.
    pub(crate) keeping: Keeping,
    /// How long it outlives its control connection.
    pub(crate) disconnect: Duration,
    /// What it does with transactions.
    pub(crate) transactions: BlockTransactions,
    /// How many airdrops were asked for.
    pub(crate) airdrops: AtomicU64,
    /// Cancelled to end the worker.
    pub(crate) stop: CancellationToken,
    /// Cancelled by the worker's thread when it ends.
    pub(crate) finished: CancellationToken,
}

/// What a worker is asked for.
pub(crate) enum Message {
    /// A request to go on.
    Order(Order),
    /// A request that cannot be carried out; its answer is an event like any other.
    Reject {
        request: Option<RequestId>,
        error: BacktestError,
    },
    /// Tell the client anew that the session waits, if it does.
    Remind,
    /// Stop executing; reads are still answered.
    Close,
    /// Replace accounts at once.
    SetAccounts {
        accounts: Vec<(Pubkey, AccountSharedData)>,
        reply: oneshot::Sender<Result<(), ChangeError>>,
    },
    /// Execute a transaction in the open slot.
    Send {
        transaction: Box<VersionedTransaction>,
        reply: SendReply,
    },
    /// Look at the session.
    Read(Box<dyn FnOnce(&Executor) + Send>),
}

/// Where the result of a sent transaction goes.
pub(crate) type SendReply = oneshot::Sender<Result<InjectedTransaction, ChangeError>>;

/// The session has ended, or its engine is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the session has ended")]
pub(crate) struct SessionGone;

/// Why a change was not made.
#[derive(Debug, Error)]
pub(crate) enum ChangeError {
    #[error(transparent)]
    Gone(#[from] SessionGone),
    #[error(transparent)]
    Log(#[from] CommandLogError),
    #[error(transparent)]
    Send(#[from] SendRefusal),
    #[error(transparent)]
    Inject(#[from] InjectError),
}

impl SessionHandle {
    /// What its data connections need.
    pub(crate) fn channel(&self) -> Channel {
        Channel {
            data: Arc::clone(&self.data),
            number: self.number,
            key: Arc::clone(self.meter.key()),
            finished: self.finished.clone(),
        }
    }

    /// Hands a message to the worker, waiting for room in its inbox.
    pub(crate) async fn tell(&self, message: Message) -> Result<(), SessionGone> {
        self.inbox.send(message).await.map_err(|_| SessionGone)
    }

    /// Has the worker look at the session between two steps.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Executor) -> T + Send + 'static,
    ) -> Result<T, SessionGone> {
        let (reply, answer) = oneshot::channel();
        let read = Box::new(move |executor: &Executor| {
            // An asker who has gone away needs no answer.
            if !reply.is_closed() {
                drop(reply.send(look(executor)));
            }
        });
        self.tell(Message::Read(read)).await?;
        answer.await.map_err(|_| SessionGone)
    }

    /// Replaces accounts at once.
    pub(crate) async fn set_accounts(&self, accounts: Vec<(Pubkey, AccountSharedData)>) -> Result<(), ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.tell(Message::SetAccounts { accounts, reply }).await?;
        answer.await.map_err(|_| SessionGone)?
    }

    /// Says why no transaction can be sent to the session, if that is so.
    pub(crate) fn check_executing(&self) -> Result<(), ChangeError> {
        match self.transactions {
            BlockTransactions::Execute => Ok(()),
            BlockTransactions::TakeRecorded => Err(InjectError::from(SlotError::NothingIsExecuted).into()),
        }
    }

    /// Executes a transaction in the open slot: at once if the session waits, else after the slot's historical ones.
    pub(crate) async fn send(&self, transaction: VersionedTransaction) -> Result<InjectedTransaction, ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.tell(Message::Send {
            transaction: Box::new(transaction),
            reply,
        })
        .await?;
        answer.await.map_err(|_| SessionGone)?
    }
}
