//! The request that makes a session.

mod features;
mod wire;

use std::collections::BTreeSet;

use solana_address::Address;

pub use self::features::FeatureSelection;
use crate::replay::OutcomeDetail;
use crate::{AgentParams, DiagnosticProbe, DiscoveryFilter, RerouteParams, SessionName};

/// Asks for one session, or for several that share a slot range.
///
/// The two published forms, with and without `parallel`, are one type here; the shorter one is written when nothing
/// needs the longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateBacktestSessionRequest {
    /// The session to make.
    pub request: CreateSessionParams,
    /// Whether the range should be split over several sessions that run side by side.
    pub parallel: bool,
    /// A name for the session (0.28).
    pub name: Option<SessionName>,
    /// A random text. The same create sent again with it gets the session that the first one made.
    pub create_token: Option<String>,
}

/// What a session is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateSessionParams {
    /// First slot, inclusive.
    pub start_slot: u64,
    /// Last slot, inclusive.
    pub end_slot: u64,
    /// Transactions that one of these signed are left out (0.8).
    pub signer_filter: BTreeSet<Address>,
    /// Whether `completed` should carry totals.
    pub send_summary: bool,
    /// How long to wait for a free place, in seconds; `None` and 0 do not wait.
    pub capacity_wait_timeout_secs: Option<u16>,
    /// How long the session outlives its connection, in seconds; `None` leaves it to the server.
    pub disconnect_timeout_secs: Option<u16>,
    /// Compute units to add to every limit that a transaction sets.
    pub extra_compute_units: Option<u32>,
    /// Strategies that run inside the server (0.8).
    pub agents: Vec<AgentParams>,
    /// Transactions to announce.
    pub discoveries: Vec<DiscoveryFilter>,
    /// Whether only account states are replayed (0.28).
    pub replay_account_state: bool,
    /// Scheduled actions: base64 of zstd of a JSON array of [`ScheduledAction`](crate::ScheduledAction) (0.28).
    pub actions: Option<String>,
    /// Rerouting of swaps (0.28).
    pub reroute: Option<RerouteParams>,
    /// Probes (0.28).
    pub diagnostic_probes: Vec<DiagnosticProbe>,
    /// Whether the session begins paused before batch 0 of its first slot, so that changes take effect from there; an
    /// extension of ours.
    pub start_paused: bool,
    /// Which features are active; `None` leaves it to the server. An extension of ours.
    pub features: Option<FeatureSelection>,
    /// How much of every outcome the session keeps to be read; an extension of ours.
    pub outcomes: Option<OutcomeDetail>,
}

/// A create request without what the server may leave out: the longer published form of 0.8.
pub type CreateBacktestSessionRequestV1 = CreateBacktestSessionRequestOptions;

/// The two things that decide how a create is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateBacktestSessionRequestOptions {
    /// The session to make.
    pub request: CreateSessionParams,
    /// Whether the range should be split over several sessions.
    pub parallel: bool,
}

impl CreateBacktestSessionRequest {
    /// Takes the request apart, without name and token.
    pub fn into_request_options(self) -> CreateBacktestSessionRequestOptions {
        CreateBacktestSessionRequestOptions {
            request: self.request,
            parallel: self.parallel,
        }
    }

    /// Takes the request apart, without name and token.
    pub fn into_request_and_parallel(self) -> (CreateSessionParams, bool) {
        (self.request, self.parallel)
    }
}

/// A single session without name or token.
impl From<CreateSessionParams> for CreateBacktestSessionRequest {
    fn from(request: CreateSessionParams) -> Self {
        Self {
            request,
            parallel: false,
            name: None,
            create_token: None,
        }
    }
}

/// Without name or token.
impl From<CreateBacktestSessionRequestOptions> for CreateBacktestSessionRequest {
    fn from(CreateBacktestSessionRequestOptions { request, parallel }: CreateBacktestSessionRequestOptions) -> Self {
        Self {
            parallel,
            ..request.into()
        }
    }
}
