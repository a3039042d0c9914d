//! Client of the Solana backtest protocol.
//!
//! [`BacktestClient`] is the way to a server; [`BacktestSession`] is one session, driven by hand: send a
//! [`Continue`], read the events up to the next stop, look at accounts through the session's [JSON-RPC](rpc), go on.
//!
//! What the library promises:
//!
//! * **No event is lost to a call that waits for another one.** It stays unread and in order.
//! * **Every wait is bounded** if a limit is given, and every [limit](Limits) has a name. A call that runs into one, or
//!   is cancelled, has lost nothing. A server that has gone away without a word is noticed, limit or not.
//! * **No match is passed unseen.** Stepping from [match to match](BacktestSession::advance_to_discovery) holds every
//!   announcement until the session stands before it, or says that it could not be stopped there.
//! * **A `simulationError` is an event**, never a failure of a call: it is about one transaction.
//! * **Errors are typed**, keep their causes, and say whether trying again can help.
//!
//! Nothing here prints. What a session's agents earned comes with the end of its range, as
//! [`ContinueResult::agent_stats`]; there is no `report_agent_pnl`.
//!
//! The rules of the conversation are in [`machine`], without any I/O; the network is behind [`transport::Connector`].

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
pub mod transport;
pub mod urls;

pub use api_key::ApiKey;
pub use client::{BacktestClient, BacktestClientBuilder, DEFAULT_USER_AGENT};
pub use continue_builder::{Continue, ContinueBuilder, SerializeEncodeError};
pub use coverage::{CoverageError, SessionCoverage};
pub use create_session::{CreateSession, CreateSessionBuilder};
pub use error::{BacktestClientError, BacktestClientResult, InvalidParams};
pub use http::HttpError;
pub use injection::{ProgramModError, build_program_injection, modify_program_via_rpc};
pub use limits::Limits;
pub use machine::{
    AdvanceState, ContinueResult, DiscoveryPause, DiscoveryStep, DiscoveryStepResult, MissedDiscovery, StopReason,
};
pub use managed::{ControlEvent, ManagedBacktestSession, ManagedEvent, ManagedSessionError};
pub use ranges::{ParseRangeBoundError, RangeBound, filter_ranges};
pub use session::{BacktestSession, CreatedSession, CreatedSessions, ReadyOutcome};
pub use simulator_api::usage::{ComputeTotals, SessionCounts, UsageReport};
pub use simulator_api::{
    AccountData, AccountModifications, AvailableRange, ContinueParams, ContinueToParams, DiscoveryFilter, split_range,
};
pub use urls::{UrlError, http_to_ws_url};
