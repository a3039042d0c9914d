//! Wire types of the Solana backtest protocol.
//!
//! Everything that travels between a client and a server is a plain type here: the control channel's
//! [requests](BacktestRequest), [responses](BacktestResponse) and [errors](BacktestError), the
//! [identifiers](SessionId), the data channel's [subscribe options](SubscribeOptions), the bodies of the HTTP
//! endpoints ([`AvailableRange`], [`usage`]) and the [outcomes of a replay](replay). The types know JSON and nothing
//! else: no socket, no clock, no runtime.
//!
//! Both published generations of the protocol (0.8 and 0.28) are covered by one set of types:
//!
//! * unknown fields are ignored;
//! * an unknown message, status or error variant decodes into an explicit `Unknown` case that keeps its text and
//!   encodes back to the same;
//! * a request that cannot be decoded says which field is wrong and what was expected ([`DecodeError`]);
//! * fields that published peers expect are always written; fields that only our peers understand are left out
//!   when they are unset.
//!
//! ```
//! use simulator_api::{BacktestRequest, ContinueParams};
//!
//! let request = BacktestRequest::from_json(r#"{"method": "continue", "params": {"advanceCount": 4}}"#)?;
//! assert_eq!(
//!     request,
//!     BacktestRequest::Continue(ContinueParams { advance_count: 4, ..ContinueParams::default() })
//! );
//!
//! let error = BacktestRequest::from_json(r#"{"method": "continueTo", "params": {"slot": "4"}}"#).unwrap_err();
//! assert_eq!(error.to_string(), "params.slot: expected an unsigned 64-bit integer, got a string");
//! # Ok::<(), simulator_api::DecodeError>(())
//! ```

mod account;
mod action;
mod address;
mod agent;
mod binary;
mod capability;
mod continue_request;
mod create;
mod decode;
mod decode_error;
mod discovery;
mod error;
mod event;
mod message;
mod name;
mod open_names;
mod packed;
mod parallel;
mod probe;
mod ranges;
pub mod replay;
mod request;
mod request_id;
mod reroute;
mod response;
mod sequenced;
mod session_event;
mod session_id;
mod split;
mod status;
mod subscribe;
mod summary;
pub mod usage;

pub use account::{AccountData, AccountModifications};
pub use action::{ActionAnchor, ActionKind, ResolveRule, ScheduledAction};
pub use agent::{AgentParams, AgentStatsReport, AgentType, ArbRouteParams};
pub use binary::{BinaryDecodeError, BinaryEncoding, EncodedBinary};
pub use capability::Capability;
pub use continue_request::{ContinueParams, ContinueToParams};
pub use create::{
    CreateBacktestSessionRequest, CreateBacktestSessionRequestOptions, CreateBacktestSessionRequestV1,
    CreateSessionParams, FeatureSelection,
};
pub use decode_error::{DecodeError, Problem};
pub use discovery::{DiscoveryFilter, TxMatchContext};
pub use error::BacktestError;
pub use event::{DiscoveryBatchEvent, PausedEvent};
pub use message::{RawJson, UnknownMessage};
pub use name::{InvalidSessionName, SessionName};
pub use packed::{UnpackBudget, UnpackError};
pub use parallel::{
    AttachBacktestSessionRequest, AttachParallelControlSessionRequestV2, CloseSessionRequestV1,
    ContinueSessionRequestV1, ContinueToSessionRequestV1,
};
pub use probe::{DiagnosticProbe, ProbeAnchor};
pub use ranges::{AvailableRange, BundleKind, RangeScope, SlotRange};
pub use request::BacktestRequest;
pub use request_id::{InvalidRequestId, RequestId};
pub use reroute::{Aggregator, RerouteFilter, RerouteParams};
pub use response::{BacktestResponse, ParallelSessionAttachedV2, SessionOpened, SessionsCreated, SessionsCreatedV2};
pub use sequenced::SequencedResponse;
pub use session_event::{SessionEventKind, SessionEventV1, SessionEventV2};
pub use session_id::{ControlSessionId, InvalidSessionId, SessionId};
pub use split::{SplitRangeError, split_range, split_range_fewest, split_range_finest};
pub use status::BacktestStatus;
pub use subscribe::{AddressType, Compression, Cursor, SubscribeOptions, SubscribeOptionsParsed};
pub use summary::{DirectFillTemplate, RerouteStats, SessionSummary};
