//! What a client asks for over its data connection.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use simulator_api::{AddressType, SubscribeOptions};
use simulator_archive::model::Slot;
use solana_account_decoder::{UiAccountEncoding, UiDataSliceConfig};
use solana_pubkey::Pubkey;
use solana_rpc_client_types::config::{RpcBlockSubscribeFilter, RpcTransactionLogsFilter};
use solana_rpc_client_types::filter::RpcFilterType;
use solana_signature::Signature;
use solana_transaction_status::UiTransactionEncoding;

use super::slots::Start;
use super::subscriptions::Subject;
use super::topic::{AccountTopic, Arrival, Kind, Topic, Which, Whose};
use crate::convert::BlockForm;
use crate::rpc::{Envelope, Filters, Params, RpcError};

/// One message of a client.
#[derive(Debug)]
pub(super) struct Request {
    /// How the answer is named: null for what is no request. Absent from a notification, which has no answer; some
    /// clients send one every few seconds to see whether the connection lives.
    pub(super) id: Option<Box<RawValue>>,
    pub(super) call: Result<Call, RpcError>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Call {
    Subscribe(Subject, Start),
    Unsubscribe(Kind, u64),
}

/// Most addresses in one filter.
const MAX_MENTIONS: usize = 256;

/// Reads a message, for a fuzzer.
pub(crate) fn check_request(text: &str) -> Result<(), RpcError> {
    Request::from_json(text).call.map(drop)
}

impl Request {
    /// Reads a message.
    pub(super) fn from_json(text: &str) -> Self {
        match serde_json::from_str::<Envelope<'_>>(text) {
            Ok(envelope) => Self {
                id: envelope.id.map(ToOwned::to_owned),
                call: call(&envelope.method, Params::new(envelope.params)),
            },
            Err(error) => Self::unreadable(if error.is_data() {
                RpcError::invalid_request(&error.to_string())
            } else {
                RpcError::parse(&error)
            }),
        }
    }

    /// A message that is no request.
    pub(super) fn unreadable(error: RpcError) -> Self {
        Self {
            id: Some(RawValue::NULL.to_owned()),
            call: Err(error),
        }
    }
}

fn call(method: &str, params: Params<'_>) -> Result<Call, RpcError> {
    let named = |suffix| {
        let name = method.strip_suffix(suffix)?;
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    };
    if let Some(kind) = named("Unsubscribe") {
        return Ok(Call::Unsubscribe(kind, params.required(0, "a subscription id")?));
    }
    let kind = named("Subscribe").ok_or_else(|| RpcError::no_such_subscription(method))?;
    let options = options(params, kind.options_index())?;
    let subject = Subject {
        kind,
        topic: topic(kind, params, &options)?,
        compression: options.compression,
    };
    Ok(Call::Subscribe(subject, start(kind, &options)))
}

fn topic(kind: Kind, params: Params<'_>, options: &SubscribeOptions) -> Result<Topic, RpcError> {
    Ok(match kind {
        Kind::Account => Topic::Accounts(account_topic(Whose::Account(pubkey(params)?), params, options)?),
        Kind::Program => Topic::Accounts(account_topic(Whose::Program(pubkey(params)?), params, options)?),
        Kind::AccountDiff => Topic::Diffs(match options.address_type {
            Some(AddressType::Program) => Whose::Program(pubkey(params)?),
            None => Whose::Account(pubkey(params)?),
        }),
        Kind::Action => Topic::Actions,
        Kind::Block => Topic::Blocks(block_filter(params)?, block_form(params)?),
        Kind::Logs => Topic::Logs(which(params)?),
        Kind::Root => Topic::Roots,
        Kind::Signature => Topic::Signature(signature(params)?, arrival(params)?),
        Kind::Slot => Topic::Slots,
        Kind::SlotsUpdates => Topic::SlotsUpdates,
        Kind::Transaction => {
            let encoding = config_key(params, "encoding")?.unwrap_or(UiTransactionEncoding::Json);
            Topic::Transactions(which(params)?, encoding)
        }
    })
}

impl Kind {
    /// Where its options stand: those that take no other parameter have them first.
    fn options_index(self) -> usize {
        match self {
            Self::Root | Self::Slot | Self::SlotsUpdates => 0,
            _ => 1,
        }
    }
}

/// Options are read one by one: a malformed one counts as absent. A place to resume from is the exception, because to
/// ignore it would repeat or skip without a word.
fn options(params: Params<'_>, index: usize) -> Result<SubscribeOptions, RpcError> {
    let Some(raw) = params.optional::<Box<RawValue>>(index, "options")? else {
        return Ok(SubscribeOptions::default());
    };
    let parsed = SubscribeOptions::from_json(raw.get());
    let parsed = parsed.map_err(|error| RpcError::invalid_params(format!("Invalid params: {error}")))?;
    let is_place = |path: &str| path.starts_with("replayAfter") || path.starts_with("replayFromSlot");
    match parsed.rejected.iter().find(|error| is_place(error.path())) {
        Some(error) => Err(RpcError::invalid_params(format!("Invalid params: {error}"))),
        None => Ok(parsed.options),
    }
}

fn start(kind: Kind, options: &SubscribeOptions) -> Start {
    match (options.replay_after, options.replay_from_slot) {
        (Some(cursor), _) => Start::After(cursor),
        (None, Some(slot)) => Start::From(Slot::try_from(slot).unwrap_or_default()),
        (None, None) if kind.begins_with_history() => Start::Oldest,
        (None, None) => Start::Now,
    }
}

fn account_topic(whose: Whose, params: Params<'_>, options: &SubscribeOptions) -> Result<AccountTopic, RpcError> {
    let filters = match whose {
        Whose::Account(_) => Vec::new(),
        Whose::Program(_) => config_key::<Vec<RpcFilterType>>(params, "filters")?.unwrap_or_default(),
    };
    Ok(AccountTopic {
        whose,
        filters: Filters::read(filters)?,
        encoding: config_key(params, "encoding")?.unwrap_or(UiAccountEncoding::Binary),
        slice: config_key::<UiDataSliceConfig>(params, "dataSlice")?,
        is_intra_slot: options.intra_slot_updates,
    })
}

fn which(params: Params<'_>) -> Result<Which, RpcError> {
    let addresses = match params.required(0, "a filter")? {
        RpcTransactionLogsFilter::All => return Ok(Which::AllButVotes),
        RpcTransactionLogsFilter::AllWithVotes => return Ok(Which::All),
        RpcTransactionLogsFilter::Mentions(addresses) => addresses,
    };
    if addresses.is_empty() || addresses.len() > MAX_MENTIONS {
        return Err(RpcError::invalid_params(format!(
            "Invalid params: mentions should have 1 to {MAX_MENTIONS} addresses"
        )));
    }
    let addresses = addresses
        .iter()
        .map(|text| parse(text, "mentions"))
        .collect::<Result<_, _>>()?;
    Ok(Which::Mentioning(addresses))
}

fn block_filter(params: Params<'_>) -> Result<Which, RpcError> {
    match params.required(0, "a filter")? {
        RpcBlockSubscribeFilter::All => Ok(Which::All),
        RpcBlockSubscribeFilter::MentionsAccountOrProgram(address) => {
            Ok(Which::Mentioning(vec![parse(&address, "mentions_account_or_program")?]))
        }
    }
}

fn block_form(params: Params<'_>) -> Result<BlockForm, RpcError> {
    let default = BlockForm::default();
    Ok(BlockForm {
        encoding: config_key(params, "encoding")?.unwrap_or(default.encoding),
        details: config_key(params, "transactionDetails")?.unwrap_or(default.details),
        show_rewards: config_key(params, "showRewards")?.unwrap_or(default.show_rewards),
        max_version: config_key(params, "maxSupportedTransactionVersion")?,
    })
}

fn arrival(params: Params<'_>) -> Result<Arrival, RpcError> {
    Ok(match config_key(params, "enableReceivedNotification")? {
        Some(true) => Arrival::Told,
        Some(false) | None => Arrival::Untold,
    })
}

fn pubkey(params: Params<'_>) -> Result<Pubkey, RpcError> {
    parse(&params.required::<String>(0, "an address")?, "pubkey")
}

fn signature(params: Params<'_>) -> Result<Signature, RpcError> {
    parse(&params.required::<String>(0, "a signature")?, "signature")
}

/// Reads an address or a signature; Solana words the refusal in this way.
fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, RpcError> {
    text.parse()
        .map_err(|_| RpcError::invalid_params(format!("Invalid Request: Invalid {what} provided")))
}

/// One key of Solana's own options; null counts as absent.
fn config_key<T: DeserializeOwned>(params: Params<'_>, key: &str) -> Result<Option<T>, RpcError> {
    let config: Option<serde_json::Map<String, serde_json::Value>> = params.optional(1, "options")?;
    let value = config
        .and_then(|mut config| config.remove(key))
        .filter(|value| !value.is_null());
    let read = value.map(serde_json::from_value).transpose();
    read.map_err(|error| RpcError::invalid_params(format!("Invalid params: {key}: {error}")))
}

#[cfg(test)]
mod tests;
