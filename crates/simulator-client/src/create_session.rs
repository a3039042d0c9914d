//! What a session is to be.

use std::collections::BTreeSet;

use bon::Builder;
use simulator_api::replay::OutcomeDetail;
use simulator_api::{
    AgentParams, Capability, CreateBacktestSessionRequest, CreateSessionParams, DiagnosticProbe, DiscoveryFilter,
    FeatureSelection, RerouteParams, ScheduledAction, SessionName,
};
use solana_address::Address;

use crate::error::{BacktestClientResult, InvalidParams};
use crate::ids::unique_name;

/// What a session is to be: its range, and what the server does and reports on the way.
///
/// ```
/// use simulator_client::CreateSession;
///
/// let create = CreateSession::builder().start_slot(402_000_000).slot_count(63).send_summary(true).build();
/// assert_eq!(create.into_params()?.end_slot, 402_000_063);
/// # Ok::<(), simulator_client::BacktestClientError>(())
/// ```
#[derive(Clone, Debug, Builder)]
#[non_exhaustive]
pub struct CreateSession {
    /// First slot.
    pub start_slot: u64,
    /// Last slot. Give this or `slot_count`.
    pub end_slot: Option<u64>,
    /// Slots after the first: the range ends with `start_slot + slot_count`. Give this or `end_slot`.
    pub slot_count: Option<u64>,
    /// Transactions signed by one of these are left out.
    #[builder(default)]
    pub signer_filter: BTreeSet<Address>,
    /// Whether the end of the range comes with totals.
    #[builder(default)]
    pub send_summary: bool,
    /// Whether the range is split over several sessions.
    #[builder(default)]
    pub parallel: bool,
    /// How long the server may wait for capacity, in seconds. `None` and 0 fail at once.
    pub capacity_wait_timeout_secs: Option<u16>,
    /// How long the session survives without a connection, in seconds. `None` leaves it to the server.
    pub disconnect_timeout_secs: Option<u16>,
    /// Compute units added to the limit of every transaction that sets one.
    pub extra_compute_units: Option<u32>,
    /// Agents that trade along.
    #[builder(default)]
    pub agents: Vec<AgentParams>,
    /// Transactions to announce before they are executed.
    #[builder(default)]
    pub discoveries: Vec<DiscoveryFilter>,
    /// Whether only the states of accounts are replayed and no transaction is executed.
    #[builder(default)]
    pub replay_account_state: bool,
    /// Scheduled actions as they travel: base64 of zstd of a JSON array of [`ScheduledAction`].
    /// [`schedule`](CreateSession::schedule) packs them.
    #[builder(into)]
    pub actions: Option<String>,
    /// Rerouting of swaps.
    pub reroute: Option<RerouteParams>,
    /// Probes of markets.
    #[builder(default)]
    pub diagnostic_probes: Vec<DiagnosticProbe>,
    /// Whether the session pauses before the first transaction of its first slot, so that changes of accounts and
    /// programs take effect from there on. Needs a server with the capability `startPaused`.
    #[builder(default)]
    pub start_paused: bool,
    /// Which features are active. Needs a server with the capability `features`; `None` leaves it to the server.
    pub features: Option<FeatureSelection>,
    /// What the session records of each transaction, to be read as [outcomes](crate::rpc::RpcEndpoint). Needs a server
    /// with the capability `outcomes`; `None` records nothing.
    pub outcomes: Option<OutcomeDetail>,
    /// A name for the session, or for all of a parallel request. It can never be used again.
    pub name: Option<SessionName>,
    /// The name under which the server knows this request, so that repeating it makes no second session. `None` draws
    /// one for each request.
    #[builder(into)]
    pub create_token: Option<String>,
}

impl CreateSession {
    /// Leaves the transactions of one more signer out.
    #[must_use]
    pub fn add_signer_filter(mut self, signer: Address) -> Self {
        self.signer_filter.insert(signer);
        self
    }

    /// Has the session run these actions by itself, in place of those that it was to run.
    /// [`subscribe_actions`](crate::subscribe_actions) tells what they led to.
    #[must_use]
    pub fn schedule(mut self, actions: &[ScheduledAction]) -> Self {
        self.actions = (!actions.is_empty()).then(|| ScheduledAction::pack_all(actions));
        self
    }

    /// The parameters as they are sent.
    ///
    /// # Errors
    ///
    /// [`BacktestClientError::InvalidParams`](crate::BacktestClientError::InvalidParams) if the range has no end, two
    /// ends, or one before its start.
    pub fn into_params(self) -> BacktestClientResult<CreateSessionParams> {
        let end_slot = self.resolved_end()?;
        Ok(CreateSessionParams {
            start_slot: self.start_slot,
            end_slot,
            signer_filter: self.signer_filter,
            send_summary: self.send_summary,
            capacity_wait_timeout_secs: self.capacity_wait_timeout_secs,
            disconnect_timeout_secs: self.disconnect_timeout_secs,
            extra_compute_units: self.extra_compute_units,
            agents: self.agents,
            discoveries: self.discoveries,
            replay_account_state: self.replay_account_state,
            actions: self.actions,
            reroute: self.reroute,
            diagnostic_probes: self.diagnostic_probes,
            start_paused: self.start_paused,
            features: self.features,
            outcomes: self.outcomes,
        })
    }

    /// The request as it is sent, with its token.
    ///
    /// # Errors
    ///
    /// As [`CreateSession::into_params`].
    pub fn into_request(mut self) -> BacktestClientResult<CreateBacktestSessionRequest> {
        let parallel = self.parallel;
        let create_token = self.create_token.take().unwrap_or_else(unique_name);
        let name = self.name.take();
        let request = self.into_params()?;
        Ok(CreateBacktestSessionRequest {
            request,
            parallel,
            name,
            create_token: Some(create_token),
        })
    }

    fn resolved_end(&self) -> Result<u64, InvalidParams> {
        let start_slot = self.start_slot;
        let end_slot = match (self.end_slot, self.slot_count) {
            (Some(end_slot), None) => end_slot,
            (None, Some(slot_count)) => start_slot
                .checked_add(slot_count)
                .ok_or(InvalidParams::EndOverflow { start_slot, slot_count })?,
            (None, None) => return Err(InvalidParams::NoEnd),
            (Some(_), Some(_)) => return Err(InvalidParams::TwoEnds),
        };
        if end_slot < start_slot {
            return Err(InvalidParams::EndBeforeStart { start_slot, end_slot });
        }
        Ok(end_slot)
    }
}

/// The extensions without which a session would not be what was asked for.
pub(crate) fn required_capabilities(params: &CreateSessionParams) -> Vec<Capability> {
    let wanted = [
        (params.start_paused, Capability::StartPaused),
        (params.features.is_some(), Capability::Features),
        (params.outcomes.is_some(), Capability::Outcomes),
    ];
    wanted
        .into_iter()
        .filter(|(is_wanted, _)| *is_wanted)
        .map(|(_, capability)| capability)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BacktestClientError;

    #[track_caller]
    fn refused(create: CreateSession) -> InvalidParams {
        match create.into_params() {
            Err(BacktestClientError::InvalidParams(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_range_has_exactly_one_end() {
        let base = || CreateSession::builder().start_slot(10);
        assert_eq!(base().end_slot(10).build().into_params().unwrap().end_slot, 10);
        assert_eq!(base().slot_count(0).build().into_params().unwrap().end_slot, 10);
        assert_eq!(refused(base().build()), InvalidParams::NoEnd);
        assert_eq!(
            refused(base().end_slot(11).slot_count(1).build()),
            InvalidParams::TwoEnds
        );
        assert_eq!(
            refused(base().end_slot(9).build()),
            InvalidParams::EndBeforeStart {
                start_slot: 10,
                end_slot: 9
            }
        );
        let overflow = InvalidParams::EndOverflow {
            start_slot: 10,
            slot_count: u64::MAX,
        };
        assert_eq!(refused(base().slot_count(u64::MAX).build()), overflow);
    }

    #[test]
    fn every_request_carries_a_token_of_its_own() {
        let create = CreateSession::builder().start_slot(1).end_slot(2).build();
        let token = |create: &CreateSession| create.clone().into_request().unwrap().create_token.unwrap();
        assert_ne!(token(&create), token(&create));
        let named = CreateSession {
            create_token: Some("mine".into()),
            ..create
        };
        assert_eq!(token(&named), "mine");
    }

    #[test]
    fn actions_are_packed() {
        let base = CreateSession::builder().start_slot(1).end_slot(2).build();
        let action = ScheduledAction::simulate(simulator_api::ActionAnchor::after_slots(&[2]), &["AQID"]);
        let packed = base
            .clone()
            .schedule(std::slice::from_ref(&action))
            .into_params()
            .unwrap()
            .actions;
        let mut budget = simulator_api::UnpackBudget::new(10_000);
        assert_eq!(
            ScheduledAction::unpack_all(&packed.unwrap(), &mut budget).unwrap(),
            [action]
        );
        assert_eq!(base.schedule(&[]).actions, None);
    }

    #[test]
    fn what_was_asked_for_is_sent() {
        let create = CreateSession::builder()
            .start_slot(1)
            .end_slot(2)
            .replay_account_state(true)
            .actions("KLUv")
            .name("Nightly-7".parse().unwrap())
            .parallel(true)
            .build();
        let request = create.into_request().unwrap();
        assert_eq!(request.name.unwrap().as_str(), "nightly-7");
        assert!(request.parallel && request.request.replay_account_state);
        assert_eq!(request.request.actions.as_deref(), Some("KLUv"));
    }
}
