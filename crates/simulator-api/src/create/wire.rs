//! The create request in JSON: the parameters of the session and of the request stand at one level.

use std::collections::BTreeSet;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use solana_address::Address;

use super::{CreateBacktestSessionRequest, CreateSessionParams};
use crate::DecodeError;
use crate::address::Base58;
use crate::decode::{Decode, Fields, deserialize_by_decoding};

impl Decode for CreateBacktestSessionRequest {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            request: decode_session(&fields)?,
            // Published servers take null for false here, and only here.
            parallel: fields.optional::<bool>("parallel")?.unwrap_or_default(),
            name: fields.optional("name")?,
            create_token: fields.optional("createToken")?,
        })
    }
}

impl Decode for CreateSessionParams {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        decode_session(&Fields::of(raw)?)
    }
}

deserialize_by_decoding!(CreateBacktestSessionRequest, CreateSessionParams);

fn decode_session(fields: &Fields<'_>) -> Result<CreateSessionParams, DecodeError> {
    Ok(CreateSessionParams {
        start_slot: fields.required("startSlot")?,
        end_slot: fields.required("endSlot")?,
        signer_filter: fields.or_default::<Vec<Address>>("signerFilter")?.into_iter().collect(),
        send_summary: fields.or_default("sendSummary")?,
        capacity_wait_timeout_secs: fields.optional("capacityWaitTimeoutSecs")?,
        disconnect_timeout_secs: fields.optional("disconnectTimeoutSecs")?,
        extra_compute_units: fields.optional("extraComputeUnits")?,
        agents: fields.or_default("agents")?,
        discoveries: fields.or_default("discoveries")?,
        replay_account_state: fields.or_default("replayAccountState")?,
        actions: fields.optional("actions")?,
        reroute: fields.optional("reroute")?,
        diagnostic_probes: fields.or_default("diagnosticProbes")?,
        start_paused: fields.or_default("startPaused")?,
        features: fields.optional("features")?,
        outcomes: fields.optional("outcomes")?,
    })
}

impl Serialize for CreateBacktestSessionRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        write_session(&mut map, &self.request)?;
        if self.parallel || self.name.is_some() || self.create_token.is_some() {
            map.serialize_entry("parallel", &self.parallel)?;
        }
        write_some(&mut map, "name", self.name.as_ref())?;
        write_some(&mut map, "createToken", self.create_token.as_ref())?;
        map.end()
    }
}

impl Serialize for CreateSessionParams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        write_session(&mut map, self)?;
        map.end()
    }
}

fn write_session<M: SerializeMap>(map: &mut M, session: &CreateSessionParams) -> Result<(), M::Error> {
    write_always(map, session)?;
    write_if_any(map, "discoveries", &session.discoveries)?;
    write_some(map, "actions", session.actions.as_ref())?;
    write_some(map, "reroute", session.reroute.as_ref())?;
    write_if_any(map, "diagnosticProbes", &session.diagnostic_probes)?;
    write_some(map, "startPaused", session.start_paused.then_some(&true))?;
    write_some(map, "features", session.features.as_ref())?;
    write_some(map, "outcomes", session.outcomes.as_ref())
}

/// What clients of one published generation or the other always write.
fn write_always<M: SerializeMap>(map: &mut M, session: &CreateSessionParams) -> Result<(), M::Error> {
    map.serialize_entry("startSlot", &session.start_slot)?;
    map.serialize_entry("endSlot", &session.end_slot)?;
    map.serialize_entry(
        "signerFilter",
        &session
            .signer_filter
            .iter()
            .copied()
            .map(Base58)
            .collect::<BTreeSet<_>>(),
    )?;
    map.serialize_entry("sendSummary", &session.send_summary)?;
    map.serialize_entry("capacityWaitTimeoutSecs", &session.capacity_wait_timeout_secs)?;
    map.serialize_entry("disconnectTimeoutSecs", &session.disconnect_timeout_secs)?;
    map.serialize_entry("extraComputeUnits", &session.extra_compute_units)?;
    map.serialize_entry("agents", &session.agents)?;
    map.serialize_entry("replayAccountState", &session.replay_account_state)
}

fn write_some<M: SerializeMap>(map: &mut M, key: &str, value: Option<&impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, value))
}

fn write_if_any<M: SerializeMap>(map: &mut M, key: &str, values: &[impl Serialize]) -> Result<(), M::Error> {
    write_some(map, key, (!values.is_empty()).then_some(&values))
}
