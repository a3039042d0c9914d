//! Client of the Solana backtest protocol: drives sessions that replay the chain, and reads what they do.
//!
//! There are two layers over the same rules. **Begin with the managed one**:
//!
//! | to do this | take |
//! |---|---|
//! | run a session, with its subscriptions, over connections that look after themselves | [`ManagedBacktestSession`] and its [`ManagedEvent`]s |
//! | the same, from the parts: one control channel, one subscription connection | [`managed::spawn_control_manager`], [`managed::spawn_transaction_subscription_manager`] and its siblings |
//! | drive a session by hand over one WebSocket, step by step or from match to match | [`BacktestClient`] for the server, [`BacktestSession`] for one session, [`Continue`] for one step |
//! | be called back for logs and account changes of any session | [`subscribe_program_logs`], [`subscribe_account_diffs`] and their siblings in [`subscriptions`] |
//! | look at accounts and replace them, programs included | [`rpc`], [`injection`] |
//! | say what to replay | [`CreateSession`]; [`BacktestClient::available_ranges`], [`filter_ranges`] and [`split_range`] for what there is |
//! | check that a run was whole | [`SessionCoverage`] |
//!
//! ```no_run
//! use simulator_client::{ContinueParams, CreateSession, ManagedBacktestSession, ManagedEvent};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let create = CreateSession::builder().start_slot(402_000_000).slot_count(63).build().into_request()?;
//! let mut session = ManagedBacktestSession::builder("ws://127.0.0.1:8900/backtest", create).start().await?;
//! session.subscribe_transactions(vec!["Stake11111111111111111111111111111111111111".parse()?])?;
//! loop {
//!     match session.next_event().await? {
//!         ManagedEvent::ReadyForContinue => session.send_continue(ContinueParams::default()).await?,
//!         ManagedEvent::Transaction(transaction) => println!("{}", transaction.json()),
//!         ManagedEvent::Completed { .. } => break,
//!         _ => {}
//!     }
//! }
//! session.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! The folder `examples` has whole programs. What the library promises:
//!
//! * **A lost connection is not a lost session.** The managed layer attaches again and goes on: no event is lost or
//!   told twice, no request is forgotten or applied twice, and what cannot be made good is a typed event.
//! * **No event is lost to a call that waits for another one.** It stays unread and in order.
//! * **Every wait is bounded**, or can be: each limit has a name, in [`managed::ConnectionPolicy`] and in [`Limits`]. A
//!   call that runs into one, or is cancelled, has lost nothing. A server that has gone away without a word is
//!   noticed, limit or not. No queue is unbounded.
//! * **No match is passed unseen.** Stepping from [match to match](BacktestSession::advance_to_discovery) holds every
//!   announcement until the session stands before it, or says that it could not be stopped there.
//! * **A `simulationError` is an event**, never a failure of a call: it is about one transaction.
//! * **Errors are typed**, keep their causes, and say whether trying again can help.
//!
//! Nothing here prints. What a session's agents earned comes with the end of its range, as
//! [`ContinueResult::agent_stats`]; there is no `report_agent_pnl`. Two types are called `SubscriptionHandle`: the one
//! here calls back, [`managed::SubscriptionHandle`] is read.
//!
//! The rules of the conversation are in [`machine`], without any I/O; the network is behind [`transport::Connector`].
//! The feature `solana-rpc-client` adds Solana's own client of a session's JSON-RPC, at the price of its dependencies.

mod api_key;
mod client;
mod continue_builder;
mod coverage;
mod create_session;
pub mod error;
mod http;
mod ids;
pub mod injection;
mod limits;
pub mod machine;
pub mod managed;
mod ranges;
pub mod rpc;
mod session;
pub mod subscriptions;
pub mod transport;
pub mod urls;

pub use api_key::ApiKey;
pub use client::{BacktestClient, BacktestClientBuilder, DEFAULT_USER_AGENT};
pub use continue_builder::{Continue, ContinueBuilder, SerializeEncodeError};
pub use coverage::{CoverageError, SessionCoverage};
pub use create_session::{CreateSession, CreateSessionBuilder};
pub use error::{BacktestClientError, BacktestClientResult, InvalidParams};
pub use http::HttpError;
pub use injection::{ElfError, ProgramModError, build_program_injection, check_elf, modify_program_via_rpc};
pub use limits::Limits;
pub use machine::{
    AdvanceState, ContinueResult, DiscoveryPause, DiscoveryStep, DiscoveryStepResult, MissedDiscovery, StopReason,
};
pub use managed::{ControlEvent, ManagedBacktestSession, ManagedEvent, ManagedSessionError};
pub use ranges::{ParseRangeBoundError, RangeBound, filter_ranges};
pub use session::{BacktestSession, CreatedSession, CreatedSessions, ReadyOutcome};
pub use simulator_api::usage::{ComputeTotals, SessionCounts, UsageReport};
pub use simulator_api::{
    AccountData, AccountModifications, ActionAnchor, ActionKind, AvailableRange, ContinueParams, ContinueToParams,
    DiscoveryFilter, ScheduledAction, split_range,
};
pub use subscriptions::{
    AccountDiffNotification, AccountDiffSubscriptionHandle, ActionNotification, ActionOutcome, ActionResult,
    LogSubscriptionHandle, LogsNotification, RoutedAccountDiffNotification, SubscriptionError, SubscriptionHandle,
    SubscriptionRuntimeError, subscribe_account_diffs, subscribe_account_diffs_many, subscribe_actions,
    subscribe_program_diffs, subscribe_program_logs,
};
pub use transport::{RootCertificates, RootCertificatesError};
pub use urls::{UrlError, http_to_ws_url};
