//! What a create request asks for, in the server's terms.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use simulator_api::replay::OutcomeDetail;
use simulator_api::{
    BacktestError, CreateBacktestSessionRequest, CreateSessionParams, DiscoveryFilter, FeatureSelection, SessionName,
};
use simulator_archive::model::Slot;
use simulator_engine::{AccountDiffs, BlockTransactions, FeatureChoice, ReplayOptions};

use super::action::actions;
use crate::actions::{Action, Kind};
use crate::config::Times;
use crate::session::{Start, Stop};

/// A session that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct SessionSpec {
    pub(crate) range: RangeInclusive<Slot>,
    pub(crate) start: Start,
    /// What to look for, each filter once.
    pub(crate) discoveries: Vec<DiscoveryFilter>,
    pub(crate) options: ReplayOptions,
    pub(crate) outcomes: Option<OutcomeDetail>,
    pub(crate) send_summary: bool,
    /// How long to wait for a free place.
    pub(crate) capacity_wait: Duration,
    /// How long the session outlives its connection.
    pub(crate) disconnect: Duration,
    /// The same token from the same key stands for the same session.
    pub(crate) token: Option<String>,
    /// How its user calls it.
    pub(crate) name: Option<SessionName>,
    /// What it runs by itself.
    pub(crate) actions: Arc<[Action]>,
}

/// Most addresses in all filters of a session together: each transaction is compared with each of them.
pub(super) const MAX_DISCOVERY_ADDRESSES: usize = 1024;
/// Longest create token that is taken, in bytes.
const MAX_TOKEN_BYTES: usize = 256;

/// Reads a create request.
///
/// # Errors
/// `invalidRequest` that names the field: one that this server does not implement, or a range that is none.
pub(crate) fn session_spec(
    request: &CreateBacktestSessionRequest,
    times: &Times,
) -> Result<SessionSpec, BacktestError> {
    read(request, times, request.request.start_slot..=request.request.end_slot)
}

/// Reads a create that was accepted before. Its range may be a part of the one that its actions were written for: those
/// at slots outside of it never come to their turn.
///
/// # Errors
/// As [`session_spec`].
pub(crate) fn session_spec_again(
    request: &CreateBacktestSessionRequest,
    times: &Times,
) -> Result<SessionSpec, BacktestError> {
    read(request, times, Slot::MIN..=Slot::MAX)
}

/// Reads a create whose actions may name these slots.
fn read(
    request: &CreateBacktestSessionRequest,
    times: &Times,
    action_slots: RangeInclusive<Slot>,
) -> Result<SessionSpec, BacktestError> {
    let params = &request.request;
    if let Some(field) = unsupported_field(request) {
        return Err(invalid(format!("{field} is not supported by this server")));
    }
    if params.end_slot < params.start_slot {
        return Err(invalid(format!(
            "endSlot {} is before startSlot {}",
            params.end_slot, params.start_slot
        )));
    }
    if request
        .create_token
        .as_ref()
        .is_some_and(|token| token.len() > MAX_TOKEN_BYTES)
    {
        return Err(invalid(format!("createToken is longer than {MAX_TOKEN_BYTES} bytes")));
    }
    let actions = actions(params, action_slots)?;
    if params.replay_account_state
        && let Some(field) = field_about_execution(params, &actions)
    {
        return Err(invalid(format!(
            "{field} is about transactions that are executed, and with replayAccountState none is; leave one of them out"
        )));
    }
    Ok(SessionSpec {
        range: params.start_slot..=params.end_slot,
        start: start(params),
        discoveries: discoveries(params)?,
        options: replay_options(params),
        outcomes: params.outcomes,
        send_summary: params.send_summary,
        capacity_wait: seconds(params.capacity_wait_timeout_secs).unwrap_or_default(),
        disconnect: seconds(params.disconnect_timeout_secs)
            .unwrap_or(default_disconnect(request, times))
            .min(times.max_disconnect),
        token: request.create_token.clone(),
        name: request.name.clone(),
        actions,
    })
}

/// A field that asks for something that is not implemented. To ignore it would give wrong results silently.
fn unsupported_field(request: &CreateBacktestSessionRequest) -> Option<&'static str> {
    let params = &request.request;
    let asked = [
        ("agents", !params.agents.is_empty()),
        ("reroute", params.reroute.is_some()),
        ("diagnosticProbes", !params.diagnostic_probes.is_empty()),
    ];
    asked
        .into_iter()
        .find(|(_, is_asked)| *is_asked)
        .map(|(field, _)| field)
}

/// A field that would have no effect in a session that executes nothing.
fn field_about_execution(params: &CreateSessionParams, actions: &[Action]) -> Option<&'static str> {
    let asked = [
        ("signerFilter", !params.signer_filter.is_empty()),
        ("outcomes", params.outcomes.is_some()),
        (
            "an action of kind send",
            actions.iter().any(|action| action.kind == Kind::Send),
        ),
    ];
    asked
        .into_iter()
        .find(|(_, is_asked)| *is_asked)
        .map(|(field, _)| field)
}

fn default_disconnect(request: &CreateBacktestSessionRequest, times: &Times) -> Duration {
    if request.parallel {
        times.default_parallel_disconnect
    } else {
        times.default_disconnect
    }
}

fn start(params: &CreateSessionParams) -> Start {
    match (params.discoveries.is_empty(), params.start_paused) {
        (true, false) => Start::AfterFirstBlock,
        (true, true) => Start::Paused,
        (false, false) => Start::Discovering(Stop::Ready),
        (false, true) => Start::Discovering(Stop::Paused),
    }
}

fn discoveries(params: &CreateSessionParams) -> Result<Vec<DiscoveryFilter>, BacktestError> {
    let addresses: usize = params.discoveries.iter().map(addresses).sum();
    if addresses > MAX_DISCOVERY_ADDRESSES {
        return Err(invalid(format!(
            "discoveries name {addresses} addresses, of which there may be {MAX_DISCOVERY_ADDRESSES}"
        )));
    }
    let mut filters = Vec::new();
    for filter in &params.discoveries {
        if !filters.contains(filter) {
            filters.push(filter.clone());
        }
    }
    Ok(filters)
}

/// How many addresses a filter names, at least 1: one without any is compared all the same.
pub(super) fn addresses(filter: &DiscoveryFilter) -> usize {
    match filter {
        DiscoveryFilter::ProgramExecuted(_) => 1,
        DiscoveryFilter::OracleUpdate { programs, accounts } => (programs.len() + accounts.len()).max(1),
    }
}

fn replay_options(params: &CreateSessionParams) -> ReplayOptions {
    ReplayOptions {
        features: match &params.features {
            None | Some(FeatureSelection::Accounts) => FeatureChoice::Accounts,
            Some(FeatureSelection::All) => FeatureChoice::All,
            Some(FeatureSelection::Listed(features)) => FeatureChoice::Only(features.iter().copied().collect()),
        },
        extra_compute_units: params.extra_compute_units.unwrap_or_default(),
        ignored_signers: params.signer_filter.clone(),
        // Somebody may subscribe to them at any time.
        account_diffs: AccountDiffs::Record,
        transactions: if params.replay_account_state {
            BlockTransactions::TakeRecorded
        } else {
            BlockTransactions::Execute
        },
    }
}

fn seconds(seconds: Option<u16>) -> Option<Duration> {
    seconds.map(|seconds| Duration::from_secs(seconds.into()))
}

fn invalid(error: String) -> BacktestError {
    BacktestError::InvalidRequest { error }
}

#[cfg(test)]
mod tests {
    use simulator_api::BacktestRequest;

    use super::*;

    fn read(params: &str) -> Result<SessionSpec, BacktestError> {
        let text =
            format!(r#"{{"method": "createBacktestSession", "params": {{"startSlot": 5, "endSlot": 9, {params}}}}}"#);
        let request = BacktestRequest::from_json(&text).unwrap();
        let BacktestRequest::CreateBacktestSession(create) = request else {
            panic!("not a create")
        };
        session_spec(&create, &Times::default())
    }

    fn error(params: &str) -> String {
        match read(params) {
            Err(BacktestError::InvalidRequest { error }) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_the_field_that_is_not_supported() {
        let probe =
            r#"{"anchor": {"at": "afterEverySlot", "everyNSlots": 10}, "markets": [], "usdValues": [], "label": null}"#;
        for (field, value) in [
            (
                "agents",
                r#"[{"agentType": "arb", "wallet": null, "keypair": null, "seedSolLamports": null, "arbRoutes": []}]"#,
            ),
            ("reroute", "{}"),
            ("diagnosticProbes", &format!("[{probe}]")),
        ] {
            assert_eq!(
                error(&format!(r#""{field}": {value}"#)),
                format!("{field} is not supported by this server")
            );
        }
    }

    #[test]
    fn a_session_that_executes_nothing_takes_no_field_about_execution() {
        let transactions = |params| read(params).unwrap().options.transactions;
        assert_eq!(
            transactions(r#""replayAccountState": true, "extraComputeUnits": 7, "discoveries": []"#),
            BlockTransactions::TakeRecorded
        );
        assert_eq!(
            transactions(r#""replayAccountState": false"#),
            BlockTransactions::Execute
        );
        for (field, value) in [
            ("signerFilter", r#"["Stake11111111111111111111111111111111111111"]"#),
            ("outcomes", r#""divergences""#),
        ] {
            let error = error(&format!(r#""replayAccountState": true, "{field}": {value}"#));
            assert!(error.starts_with(&format!("{field} is about transactions")), "{error}");
        }
    }

    #[test]
    fn reads_filters() {
        let spec = |more: &str| {
            let stake = r#"{"kind": "programExecuted", "value": "Stake11111111111111111111111111111111111111"}"#;
            read(&format!(r#"{more} "discoveries": [{stake}, {stake}]"#)).unwrap()
        };
        assert_eq!(spec("").discoveries.len(), 1, "each filter once");
        assert_eq!(spec("").start, Start::Discovering(Stop::Ready));
        assert_eq!(spec(r#""startPaused": true,"#).start, Start::Discovering(Stop::Paused));
        assert_eq!(read(r#""discoveries": []"#).unwrap().start, Start::AfterFirstBlock);
        let empty = r#"{"kind": "oracleUpdate", "value": {"programs": []}}"#;
        let many = vec![empty; MAX_DISCOVERY_ADDRESSES + 1].join(", ");
        assert_eq!(
            error(&format!(r#""discoveries": [{many}]"#)),
            "discoveries name 1025 addresses, of which there may be 1024"
        );
    }

    #[test]
    fn reads_times_with_their_bounds() {
        let spec = read(r#""disconnectTimeoutSecs": 5000, "capacityWaitTimeoutSecs": 3"#).unwrap();
        assert_eq!(
            (spec.disconnect, spec.capacity_wait),
            (Duration::from_secs(900), Duration::from_secs(3))
        );
        assert_eq!(read(r#""agents": []"#).unwrap().disconnect, Duration::from_secs(30));
        assert_eq!(
            read(r#""parallel": true"#).unwrap().disconnect,
            Duration::from_secs(360)
        );
        assert_eq!(
            read(r#""disconnectTimeoutSecs": 0"#).unwrap().disconnect,
            Duration::ZERO
        );
    }

    #[test]
    fn reads_the_extensions() {
        let spec =
            read(r#""startPaused": true, "features": "all", "outcomes": "accountDiffs", "extraComputeUnits": 7"#)
                .unwrap();
        assert_eq!(
            (spec.start, spec.outcomes),
            (Start::Paused, Some(OutcomeDetail::AccountDiffs))
        );
        assert_eq!(
            (spec.options.features, spec.options.extra_compute_units),
            (FeatureChoice::All, 7)
        );
        assert_eq!(spec.options.account_diffs, AccountDiffs::Record);
    }
}
